"""``SearchRegressor``: the frame of a fit that searches formulas on an archive of candidates."""

from __future__ import annotations

import numbers
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from equate_srbench.formula_regressor import FormulaRegressor, warn_of_little
from equate_srbench.problem.archive import PARSIMONY, Archive
from equate_srbench.problem.canonical import Problem, prepare
from equate_srbench.problem.domain import Domain
from equate_srbench.refine import warm_up
from equate_srbench.results import FitResult, LiveFront, RawEquations
from equate_srbench.runtime.clock import Deadline
from equate_srbench.runtime.progress import Listener, Progress, Reporter
from equate_srbench.runtime.threads import full_precision, one_thread
from equate_srbench.search.base import Search
from equate_srbench.search.columns import narrowed
from equate_srbench.search.starts import most_correlated
from equate_srbench.sklearn_callbacks import CallbackSupportMixin, CallbackTasks, with_callbacks

warm_up()  # on import, so that compiling, once per installation, takes no time of a fit

#: Archive, generator, and all rows where the archive has a sample of them -> a search.
MakeSearch = Callable[[Archive, np.random.Generator, NDArray[np.float64] | None], Search]


class SearchRegressor(CallbackSupportMixin, FormulaRegressor):
    """Frame of a fit: validation, canonical rows, search on the backbone's device, and results.

    A subclass names its parameters, among them those listed here, and makes the search.

    Parameters
    ----------
    max_time, backbone, device, lam, max_features, select, on_progress, random_state :
        As in ``EquateRegressor``.
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012 - scikit-learn's protocol
        "max_time": [Interval(numbers.Real, 0, None, closed="neither")],
        "backbone": [str, os.PathLike],
        "device": [str],
        "lam": [Interval(numbers.Real, 0, None, closed="left")],
        "max_features": [Interval(numbers.Integral, 1, None, closed="left")],
        "select": [StrOptions({"best", "accurate"})],
        "on_progress": [callable, None],
        "random_state": ["random_state"],
    }

    max_time: float | None
    backbone: str | os.PathLike[str]
    device: str
    lam: float | str
    max_features: int
    select: str
    on_progress: Callable[[Progress], bool | None] | None
    random_state: int | np.random.RandomState | None
    _result: FitResult

    def _search_factory(self) -> MakeSearch:
        """Resolve and check all parameters; what is returned makes searches from them."""
        raise NotImplementedError

    @property
    def time_limit(self) -> float:
        """Seconds of wall clock for ``fit``."""
        assert self.max_time is not None
        return float(self.max_time)

    def _before_search(
        self, search: Search, make_search: MakeSearch, report: Callable[[str], None]
    ) -> None:
        """What else happens between the choice of columns and the search."""

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Find a formula for ``y``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), default=None
            How many rows a row stands for; see the notes.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For parameters out of range, and for tables that scikit-learn refuses (not numbers, not
            finite, wrong shapes); where ``X`` has column names, the message names the columns.
        FileNotFoundError
            If there is no such ``backbone``.
        """
        deadline = Deadline(self.time_limit)
        make_search = self._search_factory()
        problem = self._canonical(X, y, sample_weight)
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        fit = _Fit(self, make_search, deadline, rng)
        tasks = CallbackTasks(self, X, y, sample_weight, fit.attributes)
        told: list[Listener] = [] if self.on_progress is None else [fit.tell]
        report = Reporter(deadline, [*told, tasks])
        self.interrupted_ = False
        # simple formulas are the answer from the first moment on; of many columns, in a few of them
        wide = len(problem.kept) > self.max_features
        few = most_correlated(problem.X, problem.y, self.max_features)
        fit.begin(problem.of_columns(few) if wide else problem)
        try:
            tasks.begin()
            # formulas are tried where they are not defined
            with one_thread(), full_precision(), np.errstate(all="ignore"):
                if wide:
                    report("columns")
                    fit.begin(self._narrowed(problem, deadline, rng))
                self._before_search(fit.search, make_search, report)
                fit.search.run(report)
        except KeyboardInterrupt:
            self.interrupted_ = True
        finally:  # other exceptions, such as a harness's alarm, pass through
            fit.keep()
            self.fit_time_ = deadline.elapsed()
        tasks.finish()
        if deadline.elapsed() >= self.time_limit and not self.diagnostics_["began"]:
            warn_of_little(self.time_limit, problem, sum(self.diagnostics_["tried"].values()))
        return self

    # -- parts of fit -----------------------------------------------------------------------

    def _canonical(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None) -> Problem:
        """Validate the table, and bring it to canonical rows."""
        rows, target = self._validated(X, y, y_numeric=True)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, rows, dtype=np.float64)
            if (weights < 0).any():
                raise ValueError("sample_weight must not be negative: leave rows out with weight 0")
            if not (weights > 0).any():
                raise ValueError("sample_weight is 0 for every row: nothing to fit")
        return prepare(rows, np.asarray(target, dtype=np.float64), weights)

    def _narrowed(self, problem: Problem, deadline: Deadline, rng: np.random.Generator) -> Problem:
        """Choose the columns that the search works on, and warn which they are."""
        n_columns = len(problem.kept)
        problem = narrowed(problem, self.max_features, rng=rng, deadline=deadline)
        names = [self._names()[j] for j in problem.kept]
        warnings.warn(
            f"{n_columns} columns, max_features={self.max_features}: fitting on the ones that "
            f"tell most about the target, alone or together ({', '.join(names)}); raise "
            "max_features or choose columns",
            UserWarning,
            stacklevel=5,
        )
        return problem

    # -- results ----------------------------------------------------------------------------

    @property
    def candidates_(self) -> pd.DataFrame:
        """Everything refined on the fit rows."""
        return self._fitted_result().candidates

    @property
    def equations_(self) -> pd.DataFrame:
        """The accuracy-complexity front."""
        return self._fitted_result().front

    @property
    def trajectory_(self) -> pd.DataFrame:
        """One row per search step and proposal."""
        return self._fitted_result().trajectory

    @property
    def embeddings_(self) -> NDArray[np.float32]:
        """Joint embeddings behind the rows of ``trajectory_``."""
        return self._fitted_result().embeddings

    def _fitted_result(self) -> FitResult:
        check_is_fitted(self, "equation_")
        return self._result


@dataclass(frozen=True, slots=True)
class _Stage:
    """A search, how its formulas are read, and where they may be trusted."""

    search: Search
    domain: Domain
    equations: RawEquations
    front: LiveFront


class _Fit:
    """One call of ``fit``: the search on a table, and what the estimator answers from it."""

    def __init__(
        self,
        est: SearchRegressor,
        make_search: MakeSearch,
        deadline: Deadline,
        rng: np.random.Generator,
    ) -> None:
        self._est, self._make_search = est, make_search
        self._deadline, self._rng = deadline, rng
        self._stage: _Stage

    @property
    def search(self) -> Search:
        """The search that the estimator answers from."""
        return self._stage.search

    def begin(self, problem: Problem) -> None:
        """Make a search on a problem; the estimator answers from it from now on."""
        lam = self._est.lam
        parsimony = PARSIMONY if isinstance(lam, str) else lam
        archive = Archive(
            problem.X, problem.y, problem.weights,
            deadline=self._deadline, parsimony=parsimony, floor=problem.floor,
        )  # fmt: skip
        search = self._make_search(archive, self._rng, problem.rows)
        named = hasattr(self._est, "feature_names_in_")
        equations = RawEquations(problem.without_rows(), self._est._names(), named)
        domain = problem.domain(self._est.n_features_in_)
        # one assignment, so that an interrupted fit keeps the old stage or has the new one
        self._stage = _Stage(search, domain, equations, LiveFront(archive, equations))
        self.keep()
        search.start()
        self.keep()

    def attributes(self) -> dict[str, Any]:
        """The fitted attributes as they are if the fit ends now."""
        stage = self._stage
        chosen = stage.search.choose(self._est.select)
        result = FitResult.of(stage.search, stage.equations, chosen)
        return {
            "equation_": result.chosen,
            "diagnostics_": {
                **stage.search.diagnostics(),
                "floor": ", ".join(stage.equations.problem.roundings(self._est._names())),
                "exact": stage.search.archive.is_exact(chosen),
            },
            "lam_": stage.search.archive.parsimony,
            "_domain": stage.domain,
            "_result": result,
        }

    def keep(self) -> None:
        """Set the fitted attributes, in one step."""
        self._est.__dict__.update(self.attributes())

    def tell(self, phase: str, seconds: float, is_new: bool) -> bool:
        """Call ``on_progress``; whether it asks for the end of the fit."""
        assert self._est.on_progress is not None
        return bool(self._est.on_progress(self._stage.front.progress(phase, seconds)))
