"""The published method: quadruples, alignment and latent search in sequence."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from equate_srbench.backbone.network import Backbone
from equate_srbench.equate.alignment import Aligned, Alignment, align
from equate_srbench.equate.finetune import reinitialised
from equate_srbench.equate.proposals import LatentSearch, backbone_rows
from equate_srbench.equate.quadruples import Bags, Quadruple, collect, draw_subsets, encode_bags
from equate_srbench.equate.settings import EquateSettings
from equate_srbench.equate.trajectory import Diagnostics, TrajectoryRow, diagnose
from equate_srbench.problem.archive import Archive
from equate_srbench.runtime.clock import Deadline
from equate_srbench.runtime.memory import OomSafe, placed


@dataclass(slots=True, eq=False)
class NeuralResult:
    """Results of the neural part besides the archive's candidates.

    Attributes
    ----------
    rows : list of TrajectoryRow
    seconds : dict of str to float
        Processor time of ``quadruples``, ``alignment`` and ``search``.
    n_quadruples : int
    aligned : Aligned or None
        None if there were no quadruples, or the archive's best already was good enough.
    """

    rows: list[TrajectoryRow] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    n_quadruples: int = 0
    aligned: Aligned | None = None

    @property
    def diagnostics(self) -> Diagnostics:
        """Flip rate, validity rate and rank correlation of the search."""
        return diagnose(self.rows)


def propose(
    backbone: Backbone,
    archive: Archive,
    settings: EquateSettings,
    *,
    initial: Alignment | None = None,
    rng: np.random.Generator,
    deadline: Deadline,
    result: NeuralResult | None = None,
    tick: Callable[[str], object] = lambda phase: None,
    before_scoring: Callable[[], object] = lambda: None,
    oom: OomSafe | None = None,
) -> NeuralResult:
    """Run quadruples, alignment and latent search; all proposals go to the archive.

    Stops at the deadline, after ``settings.seconds``, or when the archive's best formula exceeds
    ``settings.stop_r2``.

    Parameters
    ----------
    backbone : Backbone
        Shared by the process; never changed.
    archive : Archive
        Holds the fit rows.
    settings : EquateSettings
    initial : Alignment, optional
        Pretrained modules for this backbone; used if ``settings.uses_pretrained``.
    rng : numpy.random.Generator
        Determines all random numbers, those of torch included.
    deadline : Deadline
    result : NeuralResult, optional
        Filled phase by phase, so that an interrupted fit keeps partial results.
    tick : callable, optional
        ``tick(phase)`` is called often, with ``propose``, ``align`` or ``ascend``.
    before_scoring : callable, optional
        Called once, before the backbone's formulas are scored; see ``collect``.
    oom : OomSafe, optional
        Of the fit; recovers from out-of-memory errors on the backbone's device.

    Returns
    -------
    NeuralResult
    """
    config = backbone.config
    longest = min(settings.max_length * config.token_factor, config.max_length)
    settings = replace(settings, max_length=longest)
    # processor time, so that the load of the machine does not change the result of a seed
    deadline = deadline.within(settings.seconds, time.thread_time)
    total = deadline.left()
    oom = OomSafe() if oom is None else oom
    # on the CPU, so that a seed gives the same numbers on every device
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    result = NeuralResult() if result is None else result
    if settings.finetune == "random":
        backbone = reinitialised(backbone, generator)

    subsets = draw_subsets(len(archive.y), settings, rng)
    soon = _until(deadline, total, 0.4 * settings.shares[0])
    bags = encode_bags(backbone, archive.X, archive.y, subsets, soon, oom)
    quadruples = collect(
        backbone, bags, archive, settings,
        rng=rng, generator=generator, deadline=_until(deadline, total, settings.shares[0]),
        tick=lambda: tick("propose"), before_scoring=before_scoring, oom=oom,
    )  # fmt: skip
    result.n_quadruples = len(quadruples)
    result.rows += backbone_rows(quadruples)
    result.seconds["quadruples"] = deadline.elapsed()
    enough = deadline.over or archive.best.r2 > settings.stop_r2
    if not quadruples or enough or "ascent" not in settings.sources:
        return result

    result.aligned = _align(
        backbone, bags, quadruples, settings,
        initial=initial if settings.uses_pretrained else None, generator=generator,
        deadline=_until(deadline, total, sum(settings.shares[:2])), tick=lambda: tick("align"),
        oom=oom,
    )  # fmt: skip
    result.seconds["alignment"] = deadline.elapsed() - result.seconds["quadruples"]

    LatentSearch(
        result.aligned, archive, settings, generator, deadline, result.rows,
        tick=lambda: tick("ascend"), oom=oom,
    ).run(quadruples)  # fmt: skip
    result.seconds["search"] = deadline.elapsed() - sum(result.seconds.values())
    return result


def _align(
    backbone: Backbone,
    bags: Bags,
    quadruples: Sequence[Quadruple],
    settings: EquateSettings,
    *,
    generator: torch.Generator,
    oom: OomSafe,
    **options: Any,
) -> Aligned:
    """``align``, on the CPU if weights and moments alone do not fit the device."""
    begin = generator.get_state()

    def attempt(rows: slice, where: torch.device) -> Aligned:
        generator.set_state(begin)
        return align(
            placed(backbone, where), bags.to(where), quadruples, settings,
            generator=generator, oom=oom, **options,
        )  # fmt: skip

    return oom.run("the alignment", attempt, 1, bags.memory.device)[0]


def _until(deadline: Deadline, total: float, share: float) -> Deadline:
    """The deadline at which ``share`` of ``total`` seconds is used."""
    return deadline.within(max(0.0, share * total - deadline.elapsed()))
