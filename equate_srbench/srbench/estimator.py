"""``SRBenchRegressor``: the estimator of the SRBench submission, quick to import.

It adds SRBench's requirements to ``EquateRegressor``: torch is imported late, weights may be in the
harness's folders, ``fit`` ends before the harness's limit, and a model exists from the start of
``fit`` on, whenever the harness's alarm interrupts it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted, validate_data

from equate_srbench.equate.settings import MAX_TIME
from equate_srbench.equation import Equation
from equate_srbench.expr.tree import Tree
from equate_srbench.formula_regressor import FormulaRegressor, model
from equate_srbench.runtime.clock import Deadline

if TYPE_CHECKING:
    from equate_srbench.regressor import EquateRegressor

__all__ = ["SRBenchRegressor", "complexity", "find_weights", "model", "pre_train"]

#: Environment variable that names a checkpoint file.
WEIGHTS_VARIABLE = "EQUATE_WEIGHTS"
#: Where SRBench's images keep weights, in the order of the search.
WEIGHTS_FOLDERS = (Path("/srbench_pretrained"), Path("/pretrained"))
WEIGHTS_FILE = "equate.safetensors"
#: The checkpoint that comes with the package.
PACKAGED = "compact"

#: Share of ``max_time`` that a fit uses, so that the harness's alarm is not needed.
SHARE = 0.95
#: Minimum seconds left for a search to be started.
SHORTEST = 0.05


class SRBenchRegressor(FormulaRegressor):
    """EQUATE for SRBench's harness.

    Parameters
    ----------
    max_time : float, default=3600
        Seconds of wall clock for ``fit``, which uses at most 95 % of them. SRBench sets it.
    longest : float, default=3600
        Seconds of ``fit`` whatever ``max_time`` allows: for more than 1000 rows SRBench sets ten
        hours, which bring nothing.
    preset : {"default", "paper", "fast"}, default="default"
        As in ``EquateRegressor``; ``fast`` takes two seconds.
    backbone : str, default="auto"
        ``auto`` takes the first of: the file named by ``EQUATE_WEIGHTS``,
        ``/srbench_pretrained/equate.safetensors``, ``/pretrained/equate.safetensors``, the
        weights in the package. Otherwise a name or file for ``EquateRegressor``.
    device : {"auto", "cpu", "cuda"} or str, default="auto"
    max_features : int, default=10
        Most columns used; of more, the strongest are kept and a warning names them.
    random_state : int, RandomState instance or None, default=None

    Attributes
    ----------
    equation_ : Equation
        The formula that ``predict`` computes and ``model`` prints.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only when ``X`` has column names that are all strings.

    Notes
    -----
    An exception that a signal handler raises during ``fit``, such as SRBench's alarm, passes
    through; the best formula so far is in place then. No signal is ever touched.
    """

    def __init__(
        self,
        max_time: float = 3600,
        longest: float = 3600,
        *,
        preset: str = "default",
        backbone: str = "auto",
        device: str = "auto",
        max_features: int = 10,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.max_time = max_time
        self.longest = longest
        self.preset = preset
        self.backbone = backbone
        self.device = device
        self.max_features = max_features
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Find a formula for ``y``.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As ``EquateRegressor.fit``.
        FileNotFoundError
            If ``EQUATE_WEIGHTS`` or ``backbone`` names a file that is not there.
        """
        for name in ("max_time", "longest"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name}={getattr(self, name)}: give seconds above 0")
        deadline = Deadline(min(SHARE * self.max_time, self.longest))
        _, target = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        # the answer until there is a better one: loading torch takes seconds
        self.equation_ = Equation(
            Tree.constant(float(np.mean(target))),
            self._names(),
            named=hasattr(self, "feature_names_in_"),
        )
        search = self._load()
        if deadline.left() < SHORTEST:
            return self
        search.max_time = deadline.left()
        if self.preset == "fast":
            search.max_time = min(search.max_time, MAX_TIME["fast"])
        try:
            search.fit(X, y)
        finally:
            self.equation_ = getattr(search, "equation_", self.equation_)
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Evaluate ``equation_`` without clipping or patching.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        return self.equation_.predict(validate_data(self, X, reset=False, dtype=np.float64))

    def warm_up(self) -> None:
        """Load torch, the compiled kernels and the weights before ``fit``."""
        from equate_srbench.backbone import checkpoint

        checkpoint.load(self._load().backbone)

    def _load(self) -> EquateRegressor:
        from equate_srbench.regressor import EquateRegressor  # torch

        return EquateRegressor(
            preset=self.preset,
            backbone=find_weights() if self.backbone == "auto" else self.backbone,
            device=self.device,
            max_features=self.max_features,
            random_state=self.random_state,
        )


def find_weights() -> str:
    """Name or file of the weights selected by ``backbone="auto"``.

    Raises
    ------
    FileNotFoundError
        If ``EQUATE_WEIGHTS`` names a file that is not there.
    """
    named = os.environ.get(WEIGHTS_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise FileNotFoundError(
                f"{WEIGHTS_VARIABLE}={named!r} is not a file: correct or unset the variable"
            )
        return named
    for folder in WEIGHTS_FOLDERS:
        if (folder / WEIGHTS_FILE).is_file():
            return str(folder / WEIGHTS_FILE)
    return PACKAGED


# -- what regressor.py passes on to the harness, besides ``model`` -----------------------------


def complexity(est: Any) -> int:
    """Number of nodes of the formula as SymPy parses it, which is SRBench's complexity."""
    check_is_fitted(est, "equation_")
    return int(est.equation_.complexity)


def pre_train(est: Any, X: Any = None, y: Any = None) -> None:
    """Load what ``fit`` needs before the harness starts its clock; the data is not used."""
    est.warm_up()
