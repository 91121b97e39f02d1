"""``E2ERegressor``: the backbone without adaptation, to measure what EQUATE adds."""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval

from equate_srbench.backbone import checkpoint
from equate_srbench.equate.proposals import backbone_rows
from equate_srbench.equate.quadruples import Quadruple, decode_trees, encode_bags
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import Archive
from equate_srbench.runtime.device import pick_device
from equate_srbench.runtime.memory import OomSafe
from equate_srbench.runtime.progress import Progress
from equate_srbench.search.base import Search
from equate_srbench.search_regressor import MakeSearch, SearchRegressor

_COLD = 1e-4  # a sample at this temperature is the greedy formula
_BAG_ROWS = 200
_SMALLEST_BAG = 20


class E2ERegressor(SearchRegressor):
    """End-to-end symbolic regression: bags, sampling, refinement of the best; no adaptation.

    Every bag of at most 200 rows gives a greedy formula and some samples. All are ranked by their
    error on the fit rows as decoded, the best are refined, and the best refined one is the
    answer. The compact backbone reads every bag in two views, converted weights of E2E in E2E's:
    columns standardised by all fit rows, the target as it is. Unlike in E2E, candidates carry a
    fitted outer scale and offset, because the compact backbone leaves those out.

    Parameters
    ----------
    max_time : float, default=60
        Seconds of wall clock for ``fit``, which usually ends long before.
    backbone, device, max_features, on_progress, random_state :
        As in ``EquateRegressor``.
    n_bags : int, default=10
        Most bags, disjoint and random.
    n_samples : int, default=10
        Samples per bag, besides the greedy formula.
    temperature : float, default=0.1
        Of the samples.
    n_refine : int, default=10
        Distinct skeletons that are refined.
    lam : float, default=0.1
        Weight of simplicity in the reported scores; it decides nothing here.
    select : {"accurate", "best"}, default="accurate"
        Least error on the fit rows, as in E2E, or least description length.

    Attributes
    ----------
    equation_, equations_, candidates_, trajectory_, diagnostics_ :
        As in ``EquateRegressor``.

    References
    ----------
    Kamienny et al. (2022), arXiv 2204.10532.
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012 - scikit-learn's protocol
        **SearchRegressor._parameter_constraints,
        "n_bags": [Interval(numbers.Integral, 1, None, closed="left")],
        "n_samples": [Interval(numbers.Integral, 0, None, closed="left")],
        "temperature": [Interval(numbers.Real, 0, None, closed="neither")],
        "n_refine": [Interval(numbers.Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        max_time: float = 60,
        backbone: str | os.PathLike[str] = "compact",
        *,
        device: str = "auto",
        n_bags: int = 10,
        n_samples: int = 10,
        temperature: float = 0.1,
        n_refine: int = 10,
        lam: float = 0.1,
        max_features: int = 10,
        select: str = "accurate",
        on_progress: Callable[[Progress], bool | None] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.max_time = max_time
        self.backbone = backbone
        self.device = device
        self.n_bags = n_bags
        self.n_samples = n_samples
        self.temperature = temperature
        self.n_refine = n_refine
        self.lam = lam
        self.max_features = max_features
        self.select = select
        self.on_progress = on_progress
        self.random_state = random_state

    def _search_factory(self) -> MakeSearch:
        checkpoint.check(self.backbone)  # raises now, before any time is spent
        options = DecodeOptions(
            backbone=self.backbone,
            device=pick_device(self.device),
            n_bags=self.n_bags,
            temperatures=(_COLD, *(float(self.temperature),) * self.n_samples),
            n_refine=self.n_refine,
        )
        return lambda archive, rng, rows: DecodeSearch(archive, rng, options, rows)


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """Parameters of ``DecodeSearch``, resolved once per fit.

    Attributes
    ----------
    backbone : str or path-like
    device : str
    n_bags : int
    temperatures : tuple of float
        One formula each per bag and view.
    n_refine : int
    """

    backbone: str | os.PathLike[str]
    device: str
    n_bags: int
    temperatures: tuple[float, ...]
    n_refine: int


class DecodeSearch(Search):
    """Decode every bag once, refine the best.

    Parameters
    ----------
    archive : Archive
    rng : numpy Generator
    options : DecodeOptions
    all_rows : ndarray of shape (n_all_rows, n_columns), optional
        As in ``Search``.
    """

    def __init__(
        self,
        archive: Archive,
        rng: np.random.Generator,
        options: DecodeOptions,
        all_rows: NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__(archive, rng, all_rows)
        self.options = options

    def run(self, tick: Callable[[str], None]) -> None:
        """Decode, rank, refine; ``tick`` is called after every bag."""
        if self.is_trivial:
            return
        trees = self._decoded(tick)
        fitted = self.archive.refiner.fit(trees, max_steps=0, deadline=self.archive.deadline)
        best: dict[tuple[int, ...], Tree] = {}
        for i in np.argsort(fitted.loss, kind="stable"):
            best.setdefault(trees[i].skeleton, trees[i])
        kept = list(best.values())[: self.options.n_refine]
        found = [c for c in self.archive.refine(kept, "backbone") if c is not None]
        self.rows += backbone_rows([Quadruple(0, (), self.archive.score(c), c) for c in found])

    def _decoded(self, tick: Callable[[str], None]) -> list[Tree]:
        """Formulas of all bags over the fit's columns, constants as decoded."""
        archive, options = self.archive, self.options
        network = checkpoint.load(options.backbone, options.device)
        generator = torch.Generator().manual_seed(int(self.rng.integers(2**62)))
        oom = OomSafe()
        out: list[Tree] = []
        for rows in draw_bags(len(archive.y), options.n_bags, self.rng):
            if archive.deadline.over:
                break
            bags = encode_bags(network, archive.X, archive.y, [rows], oom=oom)
            decoded = decode_trees(
                network,
                bags.memory,
                bags.mask,
                n_columns=archive.X.shape[1],
                temperatures=options.temperatures,
                max_length=network.config.max_length,
                generator=generator,
                deadline=archive.deadline,
                oom=oom,
            )
            for view, trees in zip(bags.views, decoded, strict=True):
                out += [view.to_canonical(t) for t in trees if t is not None and t.columns]
            tick("propose")
        return out


def draw_bags(n_rows: int, n_bags: int, rng: np.random.Generator) -> list[NDArray[np.intp]]:
    """Draw at most ``n_bags`` disjoint random bags of 200 rows; a small remainder is left out.

    A table of fewer rows than a bag is one bag.
    """
    order = rng.permutation(n_rows)
    chunks = [order[i : i + _BAG_ROWS] for i in range(0, n_rows, _BAG_ROWS)]
    if len(chunks) > 1 and len(chunks[-1]) < _SMALLEST_BAG:
        chunks.pop()
    return [np.sort(chunk) for chunk in chunks[:n_bags]]
