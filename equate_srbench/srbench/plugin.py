"""A plugin under test: loaded, fitted and read as SRBench does."""

from __future__ import annotations

import importlib
import inspect
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from equate_srbench.srbench.findings import ContractError

Array = NDArray[np.float64]

#: Attributes that SRBench takes for the time limit, in its order.
TIME_LIMITS = ("max_time", "timeout_in_seconds", "timeout", "stop_time", "time_limit")
#: Largest relative difference between the string and ``predict``.
TOLERANCE = 1e-6
#: What SymPy's parser raises for a text that it cannot read.
_UNREADABLE = (SyntaxError, TokenError, TypeError, ValueError, AttributeError, NameError)


class Plugin:
    """The module ``methods.NAME.regressor`` of a submission.

    Parameters
    ----------
    experiment : Path
        Folder that holds ``methods``.
    name : str

    Attributes
    ----------
    module, est, eval_kwargs
        The module, its estimator (this very object is fitted, as SRBench does it), its options.
    """

    def __init__(self, experiment: Path, name: str) -> None:
        sys.path.insert(0, str(experiment))
        self.module: Any = importlib.import_module(f"methods.{name}.regressor")
        for wanted in ("est", "model"):
            if not hasattr(self.module, wanted):
                raise ContractError(f"regressor.py defines no {wanted!r}")
        self.est: Any = self.module.est
        self.eval_kwargs: dict[str, Any] = getattr(self.module, "eval_kwargs", {})
        self._plain: dict[str, Any] | None = None
        self._fitted: TrialTable | None = None

    def warm_up(self) -> None:
        """Call the method's ``pre_train``, which SRBench calls before it starts the clock."""
        rng = np.random.default_rng(0)
        table = TrialTable(
            pd.DataFrame(rng.uniform(1, 2, (20, 2)), columns=["a", "b"]), rng.random(20)
        )
        self._pre_train(table.X, table.y)

    def fit(
        self,
        table: TrialTable,
        *,
        max_time: float = 10.0,
        test: bool = True,
        seed: int = 1,
        array: bool = False,
        at_start: Callable[[], None] = lambda: None,
    ) -> float:
        """Fit as SRBench does and return the seconds spent in ``fit``.

        Parameters
        ----------
        table : TrialTable
        max_time : float, default=10
        test : bool, default=True
            Apply ``test_params``, as SRBench's test mode does.
        seed : int, default=1
        array : bool, default=False
            Give ``fit`` an array without names.
        at_start : callable, optional
            Called when all is prepared and ``fit`` is next.
        """
        est = self.est
        self._fitted = None
        if self._plain is None:
            self._plain = dict(est.get_params(deep=False))
        est.set_params(**self._plain)
        np.random.seed(seed)  # noqa: NPY002 - as the harness does
        if hasattr(est, "random_state"):
            est.random_state = seed
        X = table.X.to_numpy() if array else table.X
        self._pre_train(X, table.y)
        if test and self.eval_kwargs.get("test_params"):
            est.set_params(**self.eval_kwargs["test_params"])
        for name in TIME_LIMITS:
            if hasattr(est, name):
                setattr(est, name, max_time)
                break
        started = time.monotonic()
        at_start()
        est.fit(X, table.y)
        self._fitted = table
        return time.monotonic() - started

    def fitted(self, table: TrialTable) -> None:
        """Fit unless the last fit was to this table."""
        if self._fitted is not table:
            self.fit(table)

    def string(self, X: pd.DataFrame) -> str:
        """The string returned by ``model``, which gets the frame if it has a parameter ``X``."""
        if "X" in inspect.signature(self.module.model).parameters:
            text = self.module.model(self.est, X)
        else:
            text = self.module.model(self.est)
        if not isinstance(text, str):
            raise ContractError(f"model() returned {type(text).__name__}, not a string")
        return text

    def predict(self, X: pd.DataFrame | Array, what: str) -> Array:
        """Finite predictions; ``what`` names the rows in error messages."""
        found = np.asarray(self.est.predict(X), dtype=np.float64)
        if found.size != len(X):
            raise ContractError(f"predict() gave shape {found.shape} for {len(X)} rows ({what})")
        bad = int((~np.isfinite(found)).sum())
        if bad:
            raise ContractError(
                f"predict() gave {bad} of {len(X)} values that are NaN or infinite ({what}): "
                "SRBench loses the run; answer with a formula that is defined there"
            )
        return found.ravel()

    def expression(self, X: pd.DataFrame) -> Any:
        """The model string parsed as in SRBench; its names must be columns of ``X``."""
        import sympy
        from sympy.parsing.sympy_parser import parse_expr

        text = self.string(X)
        symbols = {name: sympy.Symbol(name) for name in X.columns}
        try:  # parse_expr evaluates its text: the plugin's own code has run in this process before
            found = parse_expr(text, local_dict=symbols)
        except _UNREADABLE as error:
            raise ContractError(f"SymPy cannot parse {text[:80]!r}: {error}") from None
        if not isinstance(found, sympy.Expr):
            raise ContractError(
                f"SymPy reads {text[:80]!r} as {type(found).__name__}, not as a formula"
            )
        foreign = sorted({s.name for s in found.free_symbols} - set(X.columns))
        if foreign:
            raise ContractError(
                f"the model string has {', '.join(foreign)}, the columns are "
                f"{', '.join(X.columns)}: map the names in model(est, X)"
            )
        return found

    def compare(self, X: pd.DataFrame, what: str) -> float:
        """Largest relative difference between the model string and ``predict``.

        Raises
        ------
        ContractError
            If it is above ``TOLERANCE``.
        """
        import sympy

        expression = self.expression(X)
        columns = [sympy.Symbol(name) for name in X.columns]
        with np.errstate(all="ignore"):
            values = sympy.lambdify(columns, expression, modules=["numpy", "scipy"])(
                *X.to_numpy(np.float64).T
            )
        values = np.broadcast_to(np.asarray(values), len(X))
        predicted = self.predict(X, what)
        scale = max(float(np.abs(predicted).max()), 1e-300)
        with np.errstate(all="ignore"):
            gap = float(np.abs(values - predicted).max()) / scale
        if not gap <= TOLERANCE:
            row = int(np.argmax(np.nan_to_num(np.abs(values - predicted), nan=np.inf)))
            raise ContractError(
                f"the string is not what predict() computes ({what}): row {row} is "
                f"{values[row]:.6g} by the string and {predicted[row]:.6g} by predict()"
            )
        return gap

    def _pre_train(self, X: Any, y: Array) -> None:
        prepare = self.eval_kwargs.get("pre_train")
        if prepare:
            prepare(self.est, X, y)


class TrialTable:
    """A table with named columns and a target.

    Attributes
    ----------
    X : DataFrame of shape (n_rows, n_columns)
    y : ndarray of shape (n_rows,)
    """

    def __init__(self, X: pd.DataFrame, y: Array) -> None:
        self.X, self.y = X, np.asarray(y)


def sample(
    names: Sequence[str], n_rows: int, *, noise: float = 0.05, seed: int = 0, unit: float = 1.0
) -> TrialTable:
    """Draw a table whose target depends on its first three columns.

    Parameters
    ----------
    names : sequence of str
        Of the columns.
    n_rows : int
    noise : float, default=0.05
        Standard deviation of Gaussian noise on the target.
    seed : int, default=0
    unit : float, default=1
        Factor of the first column and the target.
    """
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.uniform(0.5, 3.0, (n_rows, len(names))), columns=list(names))
    values = X.to_numpy()
    y = 2.0 * values[:, 0] + noise * rng.normal(size=n_rows)
    if len(names) > 1:
        y = y * values[:, 1]
    if len(names) > 2:
        y = y + np.sin(2.0 * values[:, 2])
    X[X.columns[0]] *= unit
    return TrialTable(X, y * unit)
