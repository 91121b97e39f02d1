"""Hyperparameters of the neural part, and the three presets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from equate_srbench.runtime.hints import did_you_mean

PRESETS = ("paper", "default", "fast")
#: Default seconds of a fit by preset.
MAX_TIME = {"paper": 60.0, "default": 60.0, "fast": 2.0}

#: Allowed values of the categorical fields.
CHOICES: dict[str, tuple[str, ...]] = {
    "finetune": ("frozen", "full", "lora", "random"),
    "joint": ("memory", "shift"),
    "pooling": ("attention", "mean"),
    "sources": ("families", "library", "backbone", "ascent", "edits"),
}
#: Sources of the presets ``default`` and ``fast``.
SOURCES = ("families", "library", "backbone", "ascent", "edits")


@dataclass(frozen=True, slots=True)
class EquateSettings:
    """Hyperparameters of the four phases; the defaults are preset ``paper``.

    Attributes
    ----------
    seconds : float
        Processor time of the whole neural part (also limited by the fit's deadline).
    shares : tuple of 3 floats
        Fractions of that time for quadruples, alignment and search; unused time goes to the next
        phase.
    n_subsets : int
        Number of row subsets; each is encoded under every view.
    min_points, max_points : int
        A subset has a uniform size in ``[min(n, max(min_points, n/2)), min(n, max_points)]``
        (with the lower bound clipped to the upper one).
    samples : int
        Samples per subset, view and temperature, besides the greedy formula.
    temperatures : tuple of float
        Sampling temperatures; high ones also give the evaluator poor formulas.
    negatives : float
        Perturbed formulas (a subtree replaced, a constant times ten) per decoded one.
    cap : int
        Largest number of quadruples.
    max_length : int
        Largest number of decoded tokens in the compact vocabulary; five times as many for E2E's.
    sources : tuple of {"families", "library", "backbone", "ascent", "edits"}
        Sources of formulas; ``ascent`` needs ``backbone``. A short exact formula of one ends the
        search.
    finetune : {"frozen", "full", "lora", "random"}
        Weights trained besides the new modules; see ``finetune.prepare``.
    rank : int
        Rank of the ``lora`` adapters.
    joint : {"memory", "shift"}
        Joint embedding: of the memory's shape, or one vector that shifts the memory's rows and
        adds a few (see ``fusion``).
    pooling : {"attention", "mean"}
        How the evaluator pools the rows of a joint embedding.
    amortised : bool
        Whether to initialise the new modules from the shipped weights (pretrained on synthetic
        data) where these apply: joint ``memory``, pooling ``attention``, pretrained backbones.
    epochs, batch, patience : int
        Epochs over the quadruples, batch size, epochs without improvement before stopping.
    held_out : float
        Fraction of quadruples held out for early stopping.
    lr, lr_decoder, weight_decay, clip : float
        AdamW's learning rates for new modules and last decoder layer, weight decay, and largest
        gradient norm.
    evaluator_weight : float
        Weight of the score loss relative to the reconstruction loss.
    row_keep : tuple of 2 floats
        Range of the fraction of memory rows kept in a training step (row dropout).
    max_rows : int
        Largest number of memory rows in a training step.
    sharpness, floor : float
        Reconstruction weight of a quadruple: softmax of score / sharpness over the set (largest
        is 1), at least ``floor``.
    starts, steps, rounds : int
        Best quadruples to start the search from, gradient steps from each, and restarts of the
        search from its own findings.
    block : int
        Steps decoded together: a larger batch costs little more than a small one, but the
        stopping rules are checked once per block.
    step_size, trust : float
        Step length and trust radius, relative to the start's Frobenius norm.
    ladder : tuple of float
        Step multipliers decoded in every step.
    pessimism : float
        The ascent maximises mean - pessimism * standard deviation over the evaluator's heads.
    best_samples, best_temperature
        Samples decoded at the best rung of a step, and their temperature.
    stop_r2 : float
        The search stops when the archive's best formula exceeds this R2.
    refine_steps, negative_steps : int
        Gauss-Newton steps for decoded formulas, and for perturbed ones (which only need a score).

    References
    ----------
    EQUATE, arXiv 2508.19487; ladder, trust region and heads are this package's additions.
    """

    seconds: float = float("inf")
    shares: tuple[float, float, float] = (0.35, 0.35, 0.30)
    n_subsets: int = 32
    min_points: int = 20
    max_points: int = 200
    samples: int = 4
    temperatures: tuple[float, ...] = (0.1, 0.5, 1.0)
    negatives: float = 0.2
    cap: int = 400
    max_length: int = 40
    sources: tuple[str, ...] = ("backbone", "ascent")
    finetune: str = "frozen"
    rank: int = 8
    joint: str = "memory"
    pooling: str = "attention"
    amortised: bool = True
    epochs: int = 30
    batch: int = 32
    patience: int = 5
    held_out: float = 0.1
    lr: float = 3e-4
    lr_decoder: float = 3e-5
    weight_decay: float = 0.01
    clip: float = 0.5
    evaluator_weight: float = 1.0
    row_keep: tuple[float, float] = (0.25, 1.0)
    max_rows: int = 200
    sharpness: float = 0.1
    floor: float = 0.05
    starts: int = 8
    steps: int = 20
    rounds: int = 1
    block: int = 2
    step_size: float = 0.05
    trust: float = 0.5
    ladder: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)
    pessimism: float = 0.5
    best_samples: int = 2
    best_temperature: float = 0.1
    stop_r2: float = 0.99
    refine_steps: int = 20
    negative_steps: int = 4

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            given = getattr(self, name)
            for word in given if isinstance(given, tuple) else (given,):
                if word not in known:
                    raise ValueError(f"{name}={word!r} is unknown: use one of {known}")

    @property
    def uses_pretrained(self) -> bool:
        """Whether the alignment can start from the shipped modules."""
        usual = self.joint == "memory" and self.pooling == "attention"
        return self.amortised and usual and self.finetune != "random"

    def changed(self, changes: Mapping[str, Any]) -> EquateSettings:
        """A copy with some fields changed; lists are converted to tuples.

        Raises
        ------
        ValueError
            For unknown fields or values, and for values of the wrong type.
        """
        known = [field.name for field in fields(self)]
        new: dict[str, Any] = {}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(
                    f"settings has no {name!r}{did_you_mean(str(name), known)}: it has "
                    f"{', '.join(known)}"
                )
            value = tuple(value) if isinstance(value, list) else value
            if not _is_like(value, getattr(self, name)):
                usual = getattr(self, name)
                raise ValueError(
                    f"settings: {name}={value!r}, expected {_KINDS[type(usual)]} such as {usual!r}"
                )
            new[name] = value
        return replace(self, **new)


_KINDS: dict[type, str] = {
    bool: "True or False,",
    int: "a whole number of at least 0,",
    float: "a number of at least 0,",
    str: "a word",
    tuple: "a sequence",
}


def _is_like(value: Any, usual: Any) -> bool:
    """Whether a value has the type of the default, or is an integer for a float."""
    if isinstance(usual, float):
        return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
    return type(value) is type(usual) and (type(value) is not int or value >= 0)


def parse_lam(text: str) -> float | str:
    """Parse the parsimony weight of a command line.

    Parameters
    ----------
    text : str
        A number of at least 0, or ``auto``.

    Raises
    ------
    ValueError
        For anything else.
    """
    word = text.strip()
    if word == "auto":
        return word
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not 0.0 <= value < math.inf:
        raise ValueError(f"{text!r}: give a number of at least 0, such as 0.1, or auto")
    return value


def preset(name: str) -> EquateSettings:
    """Settings of a preset.

    Parameters
    ----------
    name : {"paper", "default", "fast"}

    Returns
    -------
    EquateSettings

    Raises
    ------
    ValueError
        For any other name.
    """
    paper = EquateSettings()
    if name == "paper":
        return paper
    if name == "default":
        return replace(
            paper, n_subsets=5, max_points=64, samples=2, batch=16, max_rows=64,
            epochs=2, starts=4, steps=6, block=7, best_samples=0, stop_r2=1.0 - 1e-9,
            sources=SOURCES,
        )  # fmt: skip
    if name == "fast":
        return replace(
            paper, seconds=1.0, n_subsets=3, max_points=64, samples=2, temperatures=(0.5, 1.0),
            batch=16, max_rows=48, epochs=1, starts=2, steps=3, block=4, ladder=(0.5, 1.0, 2.0),
            best_samples=0, max_length=30, stop_r2=1.0 - 1e-9, sources=SOURCES,
        )  # fmt: skip
    raise ValueError(f"preset={name!r} is unknown: use one of {PRESETS}")
