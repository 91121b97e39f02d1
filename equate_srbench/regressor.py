"""``EquateRegressor``: a table in, a formula out, behind scikit-learn's interface."""

from __future__ import annotations

import numbers
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from equate_srbench.backbone import checkpoint
from equate_srbench.equate.settings import CHOICES, EquateSettings, preset
from equate_srbench.equate.trajectory import TrajectoryRow, edit_row, embeddings, to_frame
from equate_srbench.equation import Equation
from equate_srbench.expr.algebra.rewrite import rewrite
from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.text.html import Front, formulas_html
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import LAM, Archive
from equate_srbench.problem.canonical import Problem, bad_columns, prepare
from equate_srbench.refine import warm_up
from equate_srbench.runtime.clock import Deadline
from equate_srbench.runtime.device import pick_device
from equate_srbench.runtime.progress import CallbackSupportMixin, Progress, Reporter, with_callbacks
from equate_srbench.runtime.threads import full_precision, one_thread
from equate_srbench.search import pipeline
from equate_srbench.search.columns import narrowed
from equate_srbench.teacher.smooth import SmoothTeacher

warm_up()  # on import, so that compiling, once per installation, takes no time of a fit

Array = NDArray[np.float64]

#: Most rows of ``candidates_``; the best by loss are kept.
MAX_CANDIDATES = 3000


class EquateRegressor(CallbackSupportMixin, RegressorMixin, BaseEstimator):
    """Symbolic regression by a pretrained transformer adapted to one dataset (EQUATE).

    A foundation model proposes formulas for subsets of the rows; an evaluator of formulas is
    trained on this dataset and climbed by its gradient; in preset ``default`` the best formulas
    are then edited until they are exact or the time is up. See the notes.

    Parameters
    ----------
    max_time : float, default=60
        Seconds of wall clock for ``fit``. It ends earlier when a formula is exact, or when
        nothing better was found for a while (on small tables soon).
    preset : {"default", "paper", "fast"}, default="default"
        ``paper``: backbone and gradient ascent only, as published; stops at fit R2 > .99.
        ``default``: adds edits. ``fast``: the same with at most 2 seconds.
    backbone : str or path-like, default="compact"
        Name of a shipped checkpoint, or path of one, such as Meta's E2E weights as ``equate
        convert`` writes them.
    device : {"auto", "cpu", "cuda"} or str, default="auto"
        Device of the networks; ``auto`` is CUDA where there is one.
    lam : float or "auto", default=0.1
        Weight of simplicity in the score ``clip(R2) + lam * exp(-length / 50)`` that the
        evaluator learns. ``auto``: as ``select="best"`` trades accuracy for size on this table,
        judged at the best formula of the backbone; at most 1.
    max_features : int, default=10
        Most columns that the search works on; of more, those that tell most about ``y``, alone or
        together with others, are kept (in up to a fifth of the time) and a warning names them.
    select : {"best", "accurate"}, default="best"
        How the answer is chosen from the front: least description length on the fit rows, or
        least error on them.
    on_progress : callable or None, default=None
        Called with a ``Progress`` a few times a second; returning True ends the fit.
    random_state : int, RandomState instance or None, default=None
        Same seed, same data, same result, as long as ``max_time`` is not what ends the fit or one
        of its phases: the neural part has a quarter of it, counted in processor time.
    teacher : {"auto"}, SmoothTeacher or None, default=None
        For noisy tables of 40 to 1000 rows: a smooth network labels them, and a search on those
        labels suggests formulas, if rows held back say that this helps; finding that out takes up
        to two fifths of the time. ``diagnostics_["teacher"]`` has the verdict. ``auto`` chooses
        the strength; it is off unless asked for.
    finetune : {"frozen", "full", "lora", "random"}, default="frozen"
        Which weights of the backbone are trained on the table: its decoder's last layer, all,
        low-rank adapters in the decoder, or the last layer of one with random weights.
        ``frozen`` is what was published: all but the last layer stays as it is. The four are
        compared in docs/results/ablation.md.
    settings : dict or None, default=None
        Fields of ``equate.settings.EquateSettings`` to change in the preset, such as
        ``{"steps": 5, "joint": "shift"}``; for studies of the method.

    Attributes
    ----------
    equation_ : Equation
        The chosen formula.
    equations_ : DataFrame
        The front: complexity, loss, r2, equation, object; by complexity.
    candidates_ : DataFrame
        Everything refined on all fit rows: source, complexity, loss, r2, score, equation, seconds.
    trajectory_ : DataFrame
        One row per search step and proposal of the gradient ascent and the edits.
    embeddings_ : ndarray of shape (n_trajectory_rows, width), float32
        Joint embedding behind each row of ``trajectory_`` (mean over the embedding's rows); NaN
        where a row has none, width 0 if there was no gradient ascent.
    diagnostics_ : dict
        Formulas tried per source; flip rate, validity rate and rank correlation of predicted and
        true score of the gradient ascent; the verdict on the ``teacher`` if there is one.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only when ``X`` has column names that are all strings.
    lam_ : float
        The weight of simplicity that was used; .1 if ``auto`` had nothing to judge by.
    interrupted_ : bool
        Whether Ctrl-C ended the fit.
    fit_time_ : float
        Seconds that ``fit`` took.

    Notes
    -----
    Only the rows given to ``fit`` take part in any choice. Sample weights that are whole numbers
    count rows: weight 2 is the row twice. Others are relative, and scaled to a mean of 1.

    A fit on the CPU uses one thread, whatever torch is set to: run several fits side by side.

    However a fit ends, by itself, by ``max_time``, Ctrl-C, a callback or an exception, the best
    formula so far is in place. Callbacks of scikit-learn (from 1.9 on) see the fit as a task, its
    phases as subtasks, and a step at most every 0.2 seconds; a hook that returns True ends the fit.

    References
    ----------
    EQUATE, arXiv 2508.19487. E2E, Kamienny et al. (2022), arXiv 2204.10532.

    Examples
    --------
    >>> import numpy as np
    >>> from equate_srbench import EquateRegressor
    >>> X = np.random.default_rng(0).uniform(1, 5, (100, 2))
    >>> est = EquateRegressor(preset="fast", random_state=0).fit(X, X[:, 0] / X[:, 1])
    >>> print(est.equation_)
    x0/x1
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012 - scikit-learn's protocol
        "max_time": [Interval(numbers.Real, 0, None, closed="neither")],
        "preset": [StrOptions({"default", "paper", "fast"})],
        "backbone": [str, os.PathLike],
        "device": [str],
        "lam": [Interval(numbers.Real, 0, None, closed="left"), StrOptions({"auto"})],
        "max_features": [Interval(numbers.Integral, 1, None, closed="left")],
        "select": [StrOptions({"best", "accurate"})],
        "on_progress": [callable, None],
        "random_state": ["random_state"],
        "teacher": [StrOptions({"auto"}), SmoothTeacher, None],
        "finetune": [StrOptions(set(CHOICES["finetune"]))],
        "settings": [Mapping, None],
    }

    def __init__(
        self,
        max_time: float = 60,
        preset: str = "default",
        backbone: str | os.PathLike[str] = "compact",
        device: str = "auto",
        lam: float | str = 0.1,
        max_features: int = 10,
        select: str = "best",
        on_progress: Callable[[Progress], bool | None] | None = None,
        random_state: int | np.random.RandomState | None = None,
        teacher: SmoothTeacher | str | None = None,
        finetune: str = "frozen",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.max_time = max_time
        self.preset = preset
        self.backbone = backbone
        self.device = device
        self.lam = lam
        self.max_features = max_features
        self.select = select
        self.on_progress = on_progress
        self.random_state = random_state
        self.teacher = teacher
        self.finetune = finetune
        self.settings = settings

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
        deadline = Deadline(self._seconds())
        problem = self._prepare(X, y, sample_weight)
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        run = self._begin(problem, deadline, rng)
        report = Reporter(self, run, X, y, sample_weight)
        self.interrupted_ = False
        try:
            self._answer(run)  # usable from the first moment on
            report.begin()
            # formulas are tried where they are not defined
            with one_thread(), full_precision(), np.errstate(all="ignore"):
                if len(problem.kept) > self.max_features:
                    report("columns")
                    run = self._begin(self._narrowed(problem, deadline, rng), deadline, rng)
                    report.run = run
                    self._answer(run)
                if self.teacher is not None:
                    from equate_srbench.teacher.guide import guide  # a quarter of a second

                    verdict = guide(self.teacher, run, self._make_search, report)
                    run.notes["teacher"] = asdict(verdict)
                run.run(report)
            self._answer(run)
        except KeyboardInterrupt:
            self.interrupted_ = True
            self._answer(run)
        except BaseException:  # passes through, such as a harness's alarm; the model is usable
            self._answer(run)
            raise
        finally:
            self.fit_time_ = deadline.elapsed()
        report.finish()
        return self

    # -- parts of fit -----------------------------------------------------------------------

    def _seconds(self) -> float:
        return min(float(self.max_time), 2.0) if self.preset == "fast" else float(self.max_time)

    def _phases(self) -> EquateSettings:
        """The preset's settings with what was changed."""
        changes = dict(self.settings or {})
        if "finetune" in changes:
            raise ValueError("settings has 'finetune': give the parameter of that name instead")
        return preset(self.preset).changed({"finetune": self.finetune, **changes})

    def _begin(
        self, problem: Problem, deadline: Deadline, rng: np.random.Generator
    ) -> pipeline.Search:
        """A search on a problem; ``_answer`` makes it what the estimator speaks of."""
        lam = LAM if self.lam == "auto" else self.lam
        archive = Archive(problem.X, problem.y, problem.weights, deadline=deadline, lam=lam)
        run = self._make_search(archive, rng)
        run.problem = problem
        return run

    def _make_search(self, archive: Archive, rng: np.random.Generator) -> pipeline.Search:
        return pipeline.Search(
            archive,
            rng=rng,
            preset=self.preset,
            phases=self._phases(),
            backbone=self.backbone,
            device=self.device,
            describe=self._describe,
            chooses_lam=self.lam == "auto",
        )

    def _prepare(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None) -> Problem:
        """Check everything that was given, before any time is spent."""
        checkpoint.describe(self.backbone)
        self._phases()
        pick_device(self.device)
        X, y = self._validated(X, y, y_numeric=True)
        y = np.asarray(y, dtype=np.float64)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
            if (weights < 0).any():
                raise ValueError("sample_weight must not be negative: leave rows out with weight 0")
            if not (weights > 0).any():
                raise ValueError("sample_weight is 0 for every row: nothing to fit")
        return prepare(X, y, weights)

    def _narrowed(self, problem: Problem, deadline: Deadline, rng: np.random.Generator) -> Problem:
        """The columns that the search works on, where there are too many; says which."""
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

    def _validated(self, X: ArrayLike, *y: ArrayLike, **options: Any) -> Any:
        """scikit-learn's checks; what they refuse is said by the names of the columns too."""
        try:
            return validate_data(self, X, *y, dtype=np.float64, **options)
        except (ValueError, TypeError) as error:
            columns = bad_columns(X)
            if not columns:
                raise
            raise ValueError(f"{error}\n{columns}") from None

    def _names(self) -> list[str]:
        names = getattr(self, "feature_names_in_", None)
        return [f"x{j}" for j in range(self.n_features_in_)] if names is None else list(names)

    def _answer(self, run: pipeline.Search) -> None:
        """Set the fitted attributes from what the archive holds now, in one step."""
        assert run.problem is not None
        self._problem = run.problem.without_rows()
        self._domain = run.problem.domain(self.n_features_in_)
        self.__dict__.update(self._fitted(run))
        self.__dict__.pop("_tables", None)

    def _fitted(self, run: pipeline.Search) -> dict[str, Any]:
        archive, chosen = run.archive, run.choose(self.select)
        kept = sorted(archive.candidates, key=lambda c: c.loss)[:MAX_CANDIDATES]
        if chosen not in kept:
            kept.append(chosen)
        return {
            "equation_": self._checked(chosen.tree, archive.X),
            "diagnostics_": run.diagnostics(),
            "lam_": archive.lam,
            "_found": [
                (c.tree, c.loss, c.r2, archive.score(c), c.source, c.seconds)
                for c in sorted(kept, key=lambda c: c.seconds)
            ],
            "_proposals": list(run.adapted.rows),
        }

    def _equation(self, tree: Tree) -> Equation:
        """A formula of the search in the user's names and units."""
        problem = self._problem
        if problem.extreme:  # powers of the units would leave the range of numbers
            return Equation(problem.to_user(rewrite(tree)), self._names())
        return Equation(rewrite(problem.to_user(tree)), self._names())

    def _describe(self, tree: Tree) -> tuple[str, int]:
        """Text and complexity of a formula of the search."""
        equation = self._equation(tree)
        return str(equation), equation.complexity

    def _checked(self, tree: Tree, X: Array) -> Equation:
        """The same for an answer: what it says on the fit rows is what the search found."""
        problem = self._problem
        try:
            equation = self._equation(tree)
            rows = np.zeros((len(X), self.n_features_in_))
            rows[:, problem.kept] = X * problem.x_scale
            with np.errstate(all="ignore"):
                wanted = evaluate(tree, X) * problem.y_scale
                gap = np.abs(equation.predict(rows) - wanted).max()
            if gap <= 1e-6 * np.abs(wanted).max():
                return equation
        except FormulaError:  # a constant left the range of numbers
            pass
        return Equation(problem.to_user(tree), self._names())

    # -- results ----------------------------------------------------------------------------

    def predict(self, X: ArrayLike) -> Array:
        """Values of the chosen formula.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
            What ``equation_`` says. Where that is undefined, something near, with a warning; see
            ``domain.Domain.predict``.
        """
        check_is_fitted(self)
        return self._domain.predict(self.equation_, self._validated(X, reset=False))

    @property
    def candidates_(self) -> pd.DataFrame:
        """Everything refined on the fit rows."""
        return self._table("candidates")

    @property
    def equations_(self) -> pd.DataFrame:
        """The accuracy-complexity front."""
        return self._table("equations")

    @property
    def trajectory_(self) -> pd.DataFrame:
        """One row per search step and proposal."""
        return self._table("trajectory")

    @property
    def embeddings_(self) -> NDArray[np.float32]:
        """Joint embeddings behind the rows of ``trajectory_``."""
        return self._table("embeddings")

    def _table(self, name: str) -> Any:
        """Tables are made when they are asked for: texts of thousands of formulas take time."""
        check_is_fitted(self, "equation_")
        tables = self.__dict__.setdefault("_tables", {})
        if name not in tables:
            tables[name] = getattr(self, f"_make_{name}")()
        return tables[name]

    def _make_candidates(self) -> pd.DataFrame:
        rows = []
        for tree, loss, r2, score, source, seconds in self._found:
            equation = self._equation(tree)
            loss = self._in_user_units(loss)
            rows.append((source, equation.complexity, loss, r2, score, str(equation), seconds))
        columns = ["source", "complexity", "loss", "r2", "score", "equation", "seconds"]
        table = pd.DataFrame(rows, columns=columns)
        return table

    def _make_equations(self) -> pd.DataFrame:
        rows = []
        for tree, loss, r2, *_ in sorted(self._found, key=lambda f: f[1]):
            equation = self._equation(tree)
            loss = self._in_user_units(loss)
            rows.append((equation.complexity, loss, r2, str(equation), equation))
        rows.sort(key=lambda row: (row[0], row[1]))
        front: list[tuple[Any, ...]] = []
        for row in rows:
            if not front or row[1] < front[-1][1]:
                front.append(row)
        return Front(front, columns=["complexity", "loss", "r2", "equation", "object"])

    def _in_user_units(self, loss: float) -> float:
        with np.errstate(over="ignore", under="ignore"):
            return float(np.float64(loss) * self._problem.y_scale * self._problem.y_scale)

    def _make_trajectory(self) -> pd.DataFrame:
        return to_frame(self._table("rows"))

    def _make_embeddings(self) -> NDArray[np.float32]:
        return embeddings(self._table("rows"))

    def _make_rows(self) -> list[TrajectoryRow]:
        rows = list(self._proposals)
        best = max((row.score for row in rows if row.score == row.score), default=-np.inf)
        for tree, _, r2, score, source, seconds in self._found:
            if source in ("edit", "shorten"):
                equation = self._equation(tree)
                rows.append(edit_row(equation, r2, score, seconds, accepted=score > best))
                best = max(best, score)
        return rows

    def _html_repr(self) -> str:
        """scikit-learn's box, the chosen formula below it."""
        box: str = super()._html_repr()
        chosen = getattr(self, "equation_", None)
        return box if chosen is None else box + formulas_html([chosen])

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_tables", None)
        return state


def model(est: EquateRegressor, X: pd.DataFrame | None = None) -> str:
    """The fitted formula as SRBench wants it: a SymPy-compatible string.

    Parameters
    ----------
    est : EquateRegressor
        Fitted.
    X : DataFrame, optional
        The names of its columns are used; default: the names seen in ``fit``, else ``x0, x1, ...``.
    """
    check_is_fitted(est, "equation_")
    if X is None or not hasattr(X, "columns"):
        return str(est.equation_)
    return str(Equation(est.equation_.tree, [str(c) for c in X.columns]))
