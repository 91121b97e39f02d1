"""Several tables per formula of the corpus, generated for many formulas at once.

Decontaminated formulas, their view and the distribution of their table are drawn as in the
plain corpus (``examples``), and checked on one table. The work per table is done here for
thousands of formulas at once, in torch, on a processor or a GPU: rows, values by one program per
batch, rejection, labels, features. The formulas of a pool are exactly those of the plain corpus;
each is used ``CorpusConfig.tables`` times, with new rows, noise, scale and offset.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equate_srbench.expr.operators import VARIABLE
from equate_srbench.expr.tokens.vocabulary import CompactVocabulary
from equate_srbench.pretrain.corpus.column_laws import MOST_CLUSTERS, ColumnLaw, Family
from equate_srbench.pretrain.corpus.decontaminate import Filter
from equate_srbench.pretrain.corpus.examples import (
    LEAST_SPAN,
    MAX_COLUMNS,
    MOST_LOST,
    NOISE,
    Batch,
    CorpusConfig,
    Counts,
    Example,
    examples_of_pool,
    pad_targets,
)
from equate_srbench.pretrain.corpus.point_features import point_features
from equate_srbench.refine.batched import Schedule
from equate_srbench.refine.programs import Programs

Floats = NDArray[np.float64]

_CHUNK = 2048  # tables generated at once
_TRIES = 16  # attempts at a table on which the formula is usable


@dataclass(frozen=True, eq=False)
class Templates:
    """n formulas with everything needed to generate further tables for them.

    Attributes
    ----------
    programs : Programs
        Targets over view columns.
    tokens : list of list of int
        Targets as token ids, without start and end.
    standard : bool ndarray of shape (n,)
        Whether the view is the standard one.
    numbers : dict of str to float64 ndarray of shape (n, ...)
        View (``center``, ``scale``), ``units``, ``present`` columns, and the fields of ``Spec``.
    family, n_clusters : int ndarray of shape (n,)
    n_points, size : int
        Points per bag, bags per batch.
    """

    programs: Programs
    tokens: list[list[int]]
    standard: NDArray[np.bool_]
    numbers: dict[str, Floats]
    family: NDArray[np.int64]
    n_clusters: NDArray[np.int64]
    n_points: int
    size: int


def templates(config: CorpusConfig, index: int, banned: Filter) -> tuple[Templates, Counts]:
    """The formulas of pool ``index`` of the plain corpus."""
    examples, size, counts, _ = examples_of_pool(config, index, banned)
    return pack(examples, size), counts


def pack(examples: Sequence[Example], size: int) -> Templates:
    """Convert examples to arrays, without their rows and labels."""
    vocabulary = CompactVocabulary(MAX_COLUMNS)
    n = len(examples)
    wide = ("center", "scale", "units", "present", "a", "b", "c", "law", "sign")
    numbers: dict[str, Floats] = {name: np.zeros((n, MAX_COLUMNS)) for name in wide}
    numbers["scale"] += 1.0
    numbers |= {k: np.zeros((n, MOST_CLUSTERS, MAX_COLUMNS)) for k in ("centres", "widths")}
    numbers |= {"path": np.zeros((n, 3)), "above": np.zeros(n), "digits": np.zeros(n)}
    for i, e in enumerate(examples):
        width, spec = e.X.shape[1], e.spec
        ones = np.ones(width)
        values = (
            e.view.center, e.view.scale, e.units, ones, spec.a, spec.b, spec.c, spec.law, spec.sign,
        )  # fmt: skip
        for name, value in zip(wide, values, strict=True):
            numbers[name][i, : len(value)] = value
        k = len(spec.centres)
        if k:
            numbers["centres"][i, :k, :width] = spec.centres
            numbers["widths"][i, :k, :width] = spec.widths
        numbers["path"][i], numbers["above"][i] = spec.path, spec.above
        numbers["digits"][i] = spec.digits
    return Templates(
        Programs([e.tree for e in examples]),
        [vocabulary.encode(e.tree) for e in examples],
        np.array([e.view.kind == "standard" for e in examples]),
        numbers,
        np.array([int(e.spec.family) for e in examples]),
        np.array([len(e.spec.centres) for e in examples]),
        len(examples[0].y),
        size,
    )


def draw_batches(
    config: CorpusConfig, index: int, made: Templates, device: torch.device
) -> list[Batch]:
    """Batches of pool ``index`` with ``config.tables`` tables per formula.

    Deterministic given seed, index and device type. If no usable table is found for a formula, the
    nearest other formula and its table take its place.

    Returns
    -------
    list of Batch
        Points on ``device`` (an ndarray on the CPU), batches in random order, targets of similar
        length within a batch.
    """
    key = hashlib.sha256(f"{config.seed}/{index}/tables".encode()).digest()
    rng = np.random.default_rng(list(key))
    generator = torch.Generator(device).manual_seed(int.from_bytes(key[:7], "big"))
    tables = Tables(made, device, generator)
    order = np.repeat(np.arange(len(made.tokens)), config.tables)
    rng.shuffle(order)
    lengths = np.array([len(ids) for ids in made.tokens])
    order = order[np.argsort(lengths[order], kind="stable")]
    vocabulary = CompactVocabulary(MAX_COLUMNS)
    batches = []
    step = max(1, _CHUNK // made.size) * made.size
    for begin in range(0, len(order), step):
        points, kept = tables.draw(order[begin : begin + step])
        for i in range(0, len(kept), made.size):
            targets = [made.tokens[j] for j in kept[i : i + made.size]]
            tokens = pad_targets(targets, vocabulary.eos, vocabulary.pad)
            rows = points[i : i + made.size]
            batches.append(Batch(rows.numpy() if device.type == "cpu" else rows, tokens))
    rng.shuffle(batches)
    return batches


class Tables:
    """Generates tables for templates.

    Parameters
    ----------
    made : Templates
    device : torch.device
    generator : torch.Generator
        On the same device.
    """

    def __init__(self, made: Templates, device: torch.device, generator: torch.Generator) -> None:
        self.made, self.device, self.generator = made, device, generator
        self.numbers = {k: torch.from_numpy(v).to(device) for k, v in made.numbers.items()}
        self.standard = torch.from_numpy(made.standard).to(device)
        self.may_span = made.family == Family.OWN

    def draw(self, chosen: NDArray[np.int64]) -> tuple[Tensor, NDArray[np.int64]]:
        """Generate a table for each of the chosen templates.

        Returns
        -------
        points : float16 Tensor of shape (n, n_points, n_features)
        kept : int ndarray of shape (n,)
            Their templates: ``chosen``, except for replaced ones.
        """
        Z = torch.empty((len(chosen), self.made.n_points, MAX_COLUMNS), dtype=torch.float64,
                        device=self.device)  # fmt: skip
        F = torch.empty(Z.shape[:2], dtype=torch.float64, device=self.device)
        open_ = np.arange(len(chosen))
        for _ in range(_TRIES):
            columns, fits = self._columns(chosen[open_])
            values = self._values(chosen[open_], columns)
            good = (fits & usable(values, self.may_span[chosen[open_]])).cpu().numpy()
            done = torch.from_numpy(open_[good]).to(self.device)
            Z[done], F[done] = columns[good], values[good]
            open_ = open_[~good]
            if not len(open_):
                break
        kept = chosen
        if len(open_):
            source = _nearest(len(chosen), open_)
            kept, at = chosen[source], torch.from_numpy(source).to(self.device)
            Z, F = Z[at], F[at]
        rows = torch.from_numpy(kept).to(self.device)
        y = self._label(F)
        coarse = _rounded(y, self.numbers["digits"][rows, None])
        lost = (coarse - y).std(1, keepdim=True, correction=0)
        y = torch.where(lost < MOST_LOST * y.std(1, keepdim=True, correction=0), coarse, y)
        points = point_features(
            Z, y, self.numbers["center"][rows], self.numbers["scale"][rows],
            self.standard[rows], self.numbers["present"][rows] > 0,
        )  # fmt: skip
        return points.half(), kept

    def _columns(self, chosen: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Draw view columns, and check that they have the templates' scales."""
        rows = torch.from_numpy(chosen).to(self.device)
        n = {name: values[rows] for name, values in self.numbers.items()}
        X = self._raw(chosen, n)
        least = X.amin(1, keepdim=True)
        above = n["above"][:, None, None]
        X = torch.where(above > 0, X - least + above, X) * n["units"][:, None]
        standard, present = self.standard[rows], n["present"] > 0
        deviation = X - X.mean(1, keepdim=True)
        spread = deviation.square().mean(1, keepdim=True).sqrt()
        scaled = torch.where(
            standard[:, None, None],
            deviation / torch.where(spread > 1e-13 * X.abs().amax(1, keepdim=True), spread, 1.0),
            X / n["scale"][:, None],
        )
        scaled = torch.where(present[:, None], scaled, 0.0)
        rms = scaled.square().mean(1).sqrt()
        in_range = (rms >= 1.0) & (rms < 10.0) | ~present
        return scaled, in_range.all(1) | standard

    def _raw(self, chosen: NDArray[np.int64], n: dict[str, Tensor]) -> Tensor:
        """Draw columns in the units of the formulas."""
        shape = (len(chosen), self.made.n_points, MAX_COLUMNS)
        out = torch.empty(shape, dtype=torch.float64, device=self.device)
        for family in Family:
            members = np.flatnonzero(self.made.family[chosen] == family)
            if not len(members):
                continue
            at = torch.from_numpy(members).to(self.device)
            size = (len(members), *shape[1:])
            a, b, c = (n[name][at][:, None] for name in "abc")
            if family == Family.UNIFORM:
                X = a + b * self._uniform(size)
            elif family == Family.LOGARITHMIC:
                X = 10.0 ** (a * (2.0 * self._uniform(size) - 1.0))
            elif family == Family.NORMAL:
                X = a + b * self._normal(size)
            elif family == Family.CLUSTERS:
                most = torch.from_numpy(self.made.n_clusters[chosen[members]]).to(self.device)
                member = (self._uniform(size[:2]) * most[:, None]).long()[..., None]
                member = member.expand(*size)
                X = n["centres"][at].gather(1, member)
                X = X + n["widths"][at].gather(1, member) * self._normal(size)
            elif family == Family.OWN:
                X = self._own(a + b * self._uniform(size), c, n["law"][at], n["sign"][at])
            else:
                length, decay, amplitude = torch.split(n["path"][at][:, None], 1, dim=-1)
                t = self._uniform((*size[:2], 1)) * length
                X = (a * t + b).sin() * (-decay * t).exp() * amplitude + c
            out[at] = X
        return out

    def _own(self, x: Tensor, rounding: Tensor, law: Tensor, sign: Tensor) -> Tensor:
        """``column_laws._own_rows`` for many tables: x (n, n_points, n_columns)."""
        is_power = (law == ColumnLaw.DECADES)[:, None]
        x = torch.where(is_power, 10.0 ** torch.where(is_power, x, 0.0), x)
        steps = torch.where(rounding > 0.0, rounding, 1.0)
        stepped = torch.where(rounding > 0.0, (x / steps).round() * steps, x)
        x = torch.where(is_power, _rounded(x, rounding), stepped)
        signs = torch.where(self._uniform(tuple(x.shape)) < 0.5, -1.0, 1.0)
        return x * torch.where(sign[:, None] == 0.0, signs, sign[:, None])

    def _values(self, chosen: NDArray[np.int64], columns: Tensor) -> Tensor:
        """Values of the chosen formulas, each on its own columns."""
        p = self.made.programs
        programs = p.repeated(chosen)
        owner = np.repeat(np.arange(len(chosen)), programs.sizes)
        codes = programs.codes
        programs.codes = np.where(codes >= VARIABLE, codes + MAX_COLUMNS * owner, codes)
        flat = columns.transpose(1, 2).flatten(0, 1)
        schedule = Schedule(programs, np.arange(len(chosen)), flat)
        constants = torch.from_numpy(programs.constants).to(self.device)
        return schedule.values(constants)[schedule.roots]

    def _label(self, F: Tensor) -> Tensor:
        """Outer scale, sometimes an offset, and noise: ``examples._label`` for many tables."""
        n = (len(F), 1)
        u = self._uniform
        scale = torch.where(u(n) < 0.5, 1.0, 10.0 ** (6.0 * u(n) - 3.0))
        y = F * torch.where(u(n) < 0.8, scale, -scale)
        steps = torch.tensor((0.3, 1.0, 3.0), dtype=F.dtype, device=self.device)
        offset = (6.0 * u(n) - 3.0) * y.std(1, keepdim=True, correction=0)
        offset = offset * steps[(3.0 * u(n)).long()]
        y = torch.where(u(n) < 0.35, y + offset, y)
        shares = torch.tensor(NOISE[1], dtype=F.dtype, device=self.device).cumsum(0)
        levels = torch.tensor(NOISE[0], dtype=F.dtype, device=self.device)
        which = torch.bucketize(u(n), shares[:-1].contiguous(), right=True)
        rms = y.square().mean(1, keepdim=True).sqrt()
        return y + levels[which] * rms * self._normal(tuple(F.shape))

    def _uniform(self, size: tuple[int, ...]) -> Tensor:
        return torch.rand(size, generator=self.generator, dtype=torch.float64, device=self.device)

    def _normal(self, size: tuple[int, ...]) -> Tensor:
        return torch.randn(size, generator=self.generator, dtype=torch.float64, device=self.device)


def usable(F: Tensor, may_span: NDArray[np.bool_] | None = None) -> Tensor:
    """``examples.usable`` for values of shape (n, n_points) in torch."""
    largest = F.abs().amax(-1)
    sane = (largest > 1e-9) & (largest < 1e9)  # false where a value is NaN
    scaled = torch.where(sane[:, None], F, 0.0) / torch.where(sane, largest, 1.0)[:, None]
    good = sane & _varies(scaled, 1e-4)
    if may_span is not None and may_span.any():
        size = F.abs()
        one_sign = F.sign().sum(-1).abs() == F.shape[-1]
        sane = (size.amin(-1) > 1e-30) & (size.amax(-1) < 1e30) & one_sign
        logs = torch.where(sane[:, None], size, 1.0).log10()
        spans = sane & _varies(logs, LEAST_SPAN)
        good |= spans & torch.from_numpy(may_span).to(F.device)
    return good


def _varies(F: Tensor, least: float) -> Tensor:
    """Whether the rows of F vary by more than ``least`` and not by one outlier only."""
    spread = F.std(-1, correction=0)
    deviation = (F - F.mean(-1, keepdim=True)).abs().amax(-1)
    root: float = F.shape[-1] ** 0.5
    return (spread > least) & (deviation < 0.85 * root * spread)


def _rounded(x: Tensor, digits: Tensor) -> Tensor:
    """``column_laws.rounded`` in torch."""
    size = x.abs()
    steps = 10.0 ** (torch.where(size > 0.0, size, 1.0).log10().floor() - digits + 1.0)
    return torch.where((digits > 0.0) & (size > 0.0), (x / steps).round() * steps, x)


def _nearest(n: int, missing: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each of n positions itself, or the nearest one that is not missing."""
    there = np.setdiff1d(np.arange(n), missing)
    if not len(there):
        raise RuntimeError("none of the formulas has a usable table")
    right = np.searchsorted(there, np.arange(n)).clip(max=len(there) - 1)
    left = (right - 1).clip(min=0)
    places = np.arange(n)
    closer = np.abs(there[left] - places) < np.abs(there[right] - places)
    nearest: NDArray[np.int64] = np.where(closer, there[left], there[right])
    return nearest
