"""One fit of a benchmark as plain data: what is fitted to which rows, with which settings."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from typing import Annotated, Any

from pydantic import Field, JsonValue, TypeAdapter
from pydantic.dataclasses import dataclass

#: The ten seeds of SRBench's ground-truth track, in its order.
SEEDS = (23654, 15795, 860, 5390, 29802, 21575, 11964, 11284, 22118, 6265)
#: Noise levels of the ground-truth track: noise = level * RMS of the training target.
NOISE_LEVELS = (0.0, 0.001, 0.01, 0.1)


@dataclass(frozen=True)
class Task:
    """One fit of a benchmark; plain data that can be sent as JSON.

    Parameters
    ----------
    suite, dataset : str
        As ``load_suite`` and ``Suite.load`` take them.
    method : str
        As ``baselines.methods.make`` takes it.
    settings : dict of str to JSON value, default={}
        Parameters of the method's estimator.
    seed : int, default=23654
        Of the rows drawn, the split, the noise and the method.
    noise : float, default=0.0
        The training target gets Gaussian noise of ``noise * RMS(y_train)``.
    max_time : float, default=10.0
        Time limit of ``fit`` in seconds of wall clock, for methods that accept one.
    scale : bool, default=False
        Standardise X and y before the fit. Formulas are then in scaled units and are not compared
        with the truth.
    max_train : int or None, default=1000
        Maximum number of training rows, drawn without replacement.
    max_rows : int or None, default=10000
        Maximum number of rows of the dataset before the split; the number of rows where they are
        generated (None: 10000).
    """

    suite: str
    dataset: str
    method: str
    settings: dict[str, JsonValue] = dataclasses.field(default_factory=dict)
    seed: Annotated[int, Field(ge=0, lt=2**32)] = SEEDS[0]
    noise: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    max_time: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10.0
    scale: bool = False
    max_train: Annotated[int, Field(ge=2)] | None = 1000
    max_rows: Annotated[int, Field(ge=4)] | None = 10_000

    def __post_init__(self) -> None:
        fixed = sorted({"max_time", "random_state"} & set(self.settings))
        if fixed:
            raise ValueError(
                f"settings has {fixed[0]!r}, which the task sets itself: give the field "
                f"{'seed' if fixed[0] == 'random_state' else 'max_time'} of the task instead"
            )

    @property
    def key(self) -> str:
        """Identifier of the task, valid as a file name: equal tasks have equal keys."""
        whole = json.dumps(self.to_dict(), sort_keys=True, allow_nan=False)
        digest = hashlib.sha256(whole.encode()).hexdigest()[:10]
        words = (re.sub(r"[^A-Za-z0-9.-]+", "_", w)[-50:] for w in self._words)
        return f"{'--'.join(words)}--{digest}--s{self.seed}--n{self.noise:g}"

    @property
    def _words(self) -> tuple[str, str, str]:
        return self.suite, self.dataset, self.method

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-compatible data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Task:
        """A task from ``to_dict`` or from JSON.

        Raises
        ------
        pydantic.ValidationError
            A ``ValueError`` that names the field, the limit and the value.
        """
        return TypeAdapter(cls).validate_python(values)
