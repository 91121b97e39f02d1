"""``EquateRegressor``: a table in, a formula out, behind scikit-learn's interface."""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

from equate_srbench.backbone import checkpoint
from equate_srbench.equate.settings import CHOICES, MAX_TIME, PRESETS, preset
from equate_srbench.runtime.device import pick_device
from equate_srbench.runtime.progress import Progress
from equate_srbench.search.base import Search
from equate_srbench.search.pipeline import FitPipeline, PipelineOptions
from equate_srbench.search_regressor import MakeSearch, SearchRegressor
from equate_srbench.teacher.smooth import SmoothTeacher


class EquateRegressor(SearchRegressor):
    """Symbolic regression by a pretrained transformer adapted to one dataset (EQUATE).

    A foundation model proposes formulas for subsets of the rows; an evaluator of formulas is
    trained on this dataset and climbed by its gradient; in preset ``default`` the best formulas
    are then edited until they are exact or the time is up. See the notes.

    Parameters
    ----------
    max_time : float or None, default=None
        Most seconds of wall clock for ``fit``; None: 60, in preset ``fast`` 2. It ends earlier when
        a short formula is exact, or when nothing better was found for a while (on small tables
        soon) and the answer is short or what it leaves is noise.
    preset : {"default", "paper", "fast"}, default="default"
        ``paper``: backbone and gradient ascent only, as published; stops at fit R2 > .99.
        ``default``: families of formulas that linear algebra solves, then edits before and after
        the network; what is exact and short ends the fit at once. ``fast``: the same with less
        work of the network, for fits of about 2 seconds.
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
    n_jobs : int, default=1
        Threads of the edits, -1 is one per processor that the process may use. Another number is
        another course of the search.
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
        Formulas tried per source (``tried``); ``began``, False where ``max_time`` was over before
        the search proper; ``floor``, how the numbers were rounded (``y has 3 decimals``), and
        ``exact``, whether the formula's residuals are no more than that rounding; flip rate,
        validity rate and rank correlation of predicted and true score of the gradient ascent; the
        verdict on the ``teacher`` if there is one.
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

    A fit on the CPU uses one thread, whatever torch is set to, unless ``n_jobs`` asks for more: of
    several fits, run these side by side.

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
        **SearchRegressor._parameter_constraints,
        "max_time": [Interval(numbers.Real, 0, None, closed="neither"), None],
        "preset": [StrOptions(set(PRESETS))],
        "lam": [Interval(numbers.Real, 0, None, closed="left"), StrOptions({"auto"})],
        "n_jobs": [Interval(numbers.Integral, 1, None, closed="left"), Options(int, {-1})],
        "teacher": [StrOptions({"auto"}), SmoothTeacher, None],
        "finetune": [StrOptions(set(CHOICES["finetune"]))],
        "settings": [Mapping, None],
    }

    def __init__(
        self,
        max_time: float | None = None,
        preset: str = "default",
        *,
        backbone: str | os.PathLike[str] = "compact",
        device: str = "auto",
        lam: float | str = 0.1,
        max_features: int = 10,
        select: str = "best",
        on_progress: Callable[[Progress], bool | None] | None = None,
        n_jobs: int = 1,
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
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.teacher = teacher
        self.finetune = finetune
        self.settings = settings

    @property
    def time_limit(self) -> float:
        """Seconds of wall clock for ``fit``: ``max_time``, or the preset's default."""
        return float(MAX_TIME[self.preset] if self.max_time is None else self.max_time)

    def _search_factory(self) -> MakeSearch:
        checkpoint.check(self.backbone)  # raises now, before any time is spent
        changes = dict(self.settings or {})
        if "finetune" in changes:
            raise ValueError("settings has 'finetune': give the parameter of that name instead")
        options = PipelineOptions(
            backbone=self.backbone,
            settings=preset(self.preset).changed({"finetune": self.finetune, **changes}),
            device=pick_device(self.device),
            is_paper=self.preset == "paper",
            chooses_parsimony=self.lam == "auto",
            n_jobs=self.n_jobs,
        )
        return lambda archive, rng, rows: FitPipeline(archive, rng, options, rows)

    def _before_search(
        self, search: Search, make_search: MakeSearch, report: Callable[[str], None]
    ) -> None:
        """Let the teacher suggest formulas, if there is one."""
        if self.teacher is not None:
            from equate_srbench.teacher.guide import guide  # a quarter of a second

            verdict = guide(self.teacher, search, make_search, report)
            search.notes["teacher"] = asdict(verdict)
