"""``TPSRRegressor``: the backbone with planning, judged by fitted formulas at every token."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions

from equate_srbench.backbone import checkpoint
from equate_srbench.backbone.network import Backbone
from equate_srbench.backbone.views import View
from equate_srbench.baselines.e2e import draw_bags
from equate_srbench.baselines.planning import Leaf, TokenPlan, Trunk
from equate_srbench.equate.quadruples import Bags, encode_bags
from equate_srbench.equate.trajectory import TrajectoryRow
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import Archive, Candidate
from equate_srbench.runtime.device import pick_device
from equate_srbench.runtime.progress import Progress
from equate_srbench.search.base import Search
from equate_srbench.search_regressor import MakeSearch, SearchRegressor


class TPSRRegressor(SearchRegressor):
    """Transformer-based planning: a tree search over tokens, guided by the backbone (TPSR).

    To choose a token, the search walks down the tree of prefixes, tries one of the backbone's
    most probable next tokens, lets the backbone complete the formula, fits the constants, and
    keeps the reward ``1 / (1 + e) + lam * exp(-l / L)`` at every prefix on the way, where e is the
    root of ``1 - R2`` on the fit rows, l the number of nodes and L ``max_length``. A prefix is
    worth its best reward (not the mean). When the formulas of some bags are emitted, the search
    goes on with other bags until the time is up.

    Parameters
    ----------
    max_time : float, default=60
        Seconds of wall clock for ``fit``.
    max_evaluations : int or None, default=None
        Most formulas that are fitted; the batch under way is completed. None is no limit.
    backbone, device, max_features, on_progress, random_state :
        As in ``EquateRegressor``.
    n_bags : int, default=2
        Bags of at most 200 rows that are searched side by side, each under every view.
    n_rollouts : int, default=8
        Rollouts per token and search, completed in one batch. TPSR takes 3.
    width : int, default=3
        Most probable tokens tried at each prefix.
    max_length : int, default=40
        Most tokens of a decoded formula, at most the backbone's own limit, in the compact
        vocabulary; E2E's takes five times as many, which is TPSR's 200.
    explore : float, default=1.0
        Weight of the bonus for seldom tried tokens.
    rule : {"uct", "p-ucb"}, default="uct"
        Bonus ``sqrt(ln N / n)``, or ``P * sqrt(ln N) / n`` with the backbone's probability P.
    lam : float, default=0.1
        Weight of simplicity in the reward; TPSR's grid is 0, 0.1, 0.5, 1.
    tol : float, default=1e-9
        ``1 - R2`` on the fit rows below which the search ends.
    patience : int, default=10
        Passes in a row without a better reward that end the search.
    select : {"reward", "accurate", "best"}, default="reward"
        The answer of all formulas seen: best reward, least error on the fit rows, or least
        description length.

    Attributes
    ----------
    equation_, equations_, candidates_, trajectory_, diagnostics_ :
        As in ``EquateRegressor``; ``trajectory_`` has the formulas that raised the best reward
        (``score`` is the reward), ``diagnostics_["planning"]`` the counts of rollouts, decoded
        formulas, fitted formulas and passes.

    References
    ----------
    Shojaee et al. (2023), arXiv 2303.06833. Not taken over: stopping on the test rows, and
    normalising the error by the mean square of ``y`` instead of its variance, which says little
    where every formula has a fitted offset.
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012 - scikit-learn's protocol
        **SearchRegressor._parameter_constraints,
        "max_evaluations": [Interval(numbers.Integral, 1, None, closed="left"), None],
        "n_bags": [Interval(numbers.Integral, 1, None, closed="left")],
        "n_rollouts": [Interval(numbers.Integral, 1, None, closed="left")],
        "width": [Interval(numbers.Integral, 1, None, closed="left")],
        "max_length": [Interval(numbers.Integral, 1, None, closed="left")],
        "explore": [Interval(numbers.Real, 0, None, closed="left")],
        "rule": [StrOptions({"uct", "p-ucb"})],
        "tol": [Interval(numbers.Real, 0, None, closed="left")],
        "patience": [Interval(numbers.Integral, 1, None, closed="left")],
        "select": [StrOptions({"reward", "accurate", "best"})],
    }

    def __init__(
        self,
        max_time: float = 60,
        max_evaluations: int | None = None,
        *,
        backbone: str | os.PathLike[str] = "compact",
        device: str = "auto",
        n_bags: int = 2,
        n_rollouts: int = 8,
        width: int = 3,
        max_length: int = 40,
        explore: float = 1.0,
        rule: str = "uct",
        lam: float = 0.1,
        tol: float = 1e-9,
        patience: int = 10,
        max_features: int = 10,
        select: str = "reward",
        on_progress: Callable[[Progress], bool | None] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.max_time = max_time
        self.max_evaluations = max_evaluations
        self.backbone = backbone
        self.device = device
        self.n_bags = n_bags
        self.n_rollouts = n_rollouts
        self.width = width
        self.max_length = max_length
        self.explore = explore
        self.rule = rule
        self.lam = lam
        self.tol = tol
        self.patience = patience
        self.max_features = max_features
        self.select = select
        self.on_progress = on_progress
        self.random_state = random_state

    def _search_factory(self) -> MakeSearch:
        checkpoint.check(self.backbone)  # raises now, before any time is spent
        options = PlanOptions(
            backbone=self.backbone,
            device=pick_device(self.device),
            max_evaluations=self.max_evaluations,
            n_bags=self.n_bags,
            n_rollouts=self.n_rollouts,
            width=self.width,
            max_length=self.max_length,
            explore=self.explore,
            rule=self.rule,
            tol=self.tol,
            patience=self.patience,
        )
        return lambda archive, rng, rows: PlanSearch(archive, rng, options, rows)


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """Parameters of the planning, as ``TPSRRegressor`` describes them, resolved once per fit."""

    backbone: str | os.PathLike[str]
    device: str
    max_evaluations: int | None
    n_bags: int
    n_rollouts: int
    width: int
    max_length: int
    explore: float
    rule: str
    tol: float
    patience: int


class PlanSearch(Search):
    """Passes over bags; in each, one plan per bag and view.

    Parameters
    ----------
    archive : Archive
    rng : numpy Generator
    options : PlanOptions
    all_rows : ndarray of shape (n_all_rows, n_columns), optional
        As in ``Search``.
    """

    def __init__(
        self,
        archive: Archive,
        rng: np.random.Generator,
        options: PlanOptions,
        all_rows: NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__(archive, rng, all_rows)
        self.options = options
        self.max_length = options.max_length
        self.counts = {"passes": 0, "rollouts": 0, "decoded": 0}
        self._best = -math.inf

    def run(self, tick: Callable[[str], None]) -> None:
        """Pass after pass, until nothing better comes or a limit is reached; ``tick`` per token."""
        if self.is_trivial:
            return
        archive, options = self.archive, self.options
        network = checkpoint.load(options.backbone, options.device)
        config = network.config
        self.max_length = min(options.max_length * config.token_factor, config.max_length)
        best, idle = -math.inf, 0
        for subsets in self._subsets():
            bags = encode_bags(network, archive.X, archive.y, subsets)
            self.counts["passes"] += 1
            for _ in self._plan(network, bags):
                tick("propose")
            idle = idle + 1 if self._best <= best else 0
            best = self._best
            if idle == self.options.patience or self._is_over():
                return

    def _subsets(self) -> Iterator[list[NDArray[np.intp]]]:
        """Rows of ``n_bags`` bags at a time: first disjoint ones, then any, of any size."""
        n_rows = len(self.archive.y)
        disjoint = draw_bags(n_rows, n_rows, self.rng)
        for first in range(0, len(disjoint), self.options.n_bags):
            yield disjoint[first : first + self.options.n_bags]
        most = len(disjoint[0])
        while True:
            sizes = self.rng.integers(
                (most + 1) // 2, most, size=self.options.n_bags, endpoint=True
            )
            yield [np.sort(self.rng.choice(n_rows, size, replace=False)) for size in sizes]

    def _plan(self, network: Backbone, bags: Bags) -> Iterator[None]:
        """One pass: emit the formulas of all bags token by token; yields after every token."""
        plans = [TokenPlan(self.options.explore, self.options.rule) for _ in bags.views]
        going = list(range(len(plans)))
        trunk = self._trunk(network, bags, plans, going)
        self._judge(trunk, plans, bags.views, [[Leaf([], ())] for _ in plans])
        while not self._is_over():
            here = [plans[i] for i in going]
            leaves = [self._pending(plan) for plan in here]
            self._judge(trunk, here, [bags.views[i] for i in going], leaves)
            yield
            if not all([plan.emit() for plan in here]):
                return  # the time is up
            left = [i for i in going if not plans[i].finished]
            if not left:
                return
            if left == going:
                trunk.push([plan.prefix[-1] for plan in here])
            else:
                trunk = self._trunk(network, bags, plans, left)
            going = left

    def _trunk(
        self, network: Backbone, bags: Bags, plans: list[TokenPlan], going: list[int]
    ) -> Trunk:
        return Trunk(
            network,
            bags.memory[going],
            bags.mask[going],
            n_columns=self.archive.X.shape[1],
            max_length=self.max_length,
            prefixes=[plans[i].prefix for i in going],
        )

    def _pending(self, plan: TokenPlan) -> list[Leaf]:
        """Roll out; returns the leaves whose formula is not known yet."""
        leaves = []
        for _ in range(self.options.n_rollouts):
            leaf = plan.select()
            reward = plan.known_reward(leaf.prefix)
            if reward is None:
                leaves.append(leaf)
            else:
                leaf.back_up(reward)
        self.counts["rollouts"] += self.options.n_rollouts
        return leaves

    def _judge(
        self,
        trunk: Trunk,
        plans: Sequence[TokenPlan],
        views: Sequence[View],
        leaves: Sequence[Sequence[Leaf]],
    ) -> None:
        """Complete prefixes, fit the formulas, and back up their rewards."""
        prefixes = [
            list(dict.fromkeys(f.prefix for f in own if f.prefix not in plan.completions))
            for plan, own in zip(plans, leaves, strict=True)
        ]
        if any(prefixes):
            trunk.complete(plans, prefixes, self.options.width, self.archive.deadline)
            self.counts["decoded"] += sum(map(len, prefixes))
        new = [
            (plan, view, ids)
            for plan, view, own in zip(plans, views, leaves, strict=True)
            for ids in dict.fromkeys(plan.completions.get(leaf.prefix) for leaf in own)
            if ids is not None and ids not in plan.rewards
        ]
        rewards = self._rewards([(view, trunk.tree(ids)) for _, view, ids in new])
        for (plan, _, ids), reward in zip(new, rewards, strict=True):
            plan.rewards[ids] = reward
        for plan, own in zip(plans, leaves, strict=True):
            for leaf in own:
                known = plan.known_reward(leaf.prefix)
                if known is not None:  # the time is up for the others
                    leaf.back_up(known)

    def _rewards(self, formulas: list[tuple[View, Tree | None]]) -> list[float]:
        """Rewards of formulas over the columns of their views; 0 where there is no fit."""
        users = [
            view.to_canonical(tree) if tree is not None and tree.columns else None
            for view, tree in formulas
        ]
        found = iter(self.archive.refine([u for u in users if u is not None], "backbone"))
        candidates = [None if user is None else next(found) for user in users]
        return [0.0 if c is None else self._note(c) for c in candidates]

    def _note(self, candidate: Candidate) -> float:
        """Reward of a candidate; a new best reward adds a row to the trajectory."""
        reward = self.reward(candidate)
        if reward > self._best:
            self._best = reward
            self.rows.append(
                TrajectoryRow(
                    start=-1,
                    step=self.counts["decoded"],
                    rung=0.0,
                    predicted_score=math.nan,
                    score=reward,
                    r2=candidate.r2,
                    tree=candidate.tree,
                    new_skeleton=True,
                    accepted=True,
                    seconds=candidate.seconds,
                    source="backbone",
                )
            )
        return reward

    def reward(self, candidate: Candidate) -> float:
        """``1 / (1 + sqrt(1 - R2)) + lam * exp(-l / L)``: accuracy and shortness."""
        error = math.sqrt(candidate.loss / self.archive.variance)
        short = math.exp(-candidate.inner.size / self.max_length)
        return 1.0 / (1.0 + error) + self.archive.parsimony * short

    def choose(self, select: str) -> Candidate:
        """The answer: the best reward, or as in ``Search``."""
        if select != "reward":
            return super().choose(select)
        ranked = sorted(self.archive.candidates, key=self.reward, reverse=True)
        return next(filter(self._is_defined, ranked))

    def diagnostics(self) -> dict[str, Any]:
        """As in ``Search``, and the counts of the planning."""
        fitted = self.archive.tried["backbone"]
        return {**super().diagnostics(), "planning": {**self.counts, "fitted": fitted}}

    def _is_over(self) -> bool:
        archive, most = self.archive, self.options.max_evaluations
        if archive.deadline.over or archive.error < self.options.tol:
            return True
        return most is not None and archive.tried["backbone"] >= most
