"""The compiled kernel's fit of constants in torch, batched over formulas, for GPUs.

All nodes of all formulas are ordered by height and operator, so that one array operation computes
every ``sin`` of one height at once. Operators come from the operator table, derivatives from
``derivatives.RULES``; the numbers follow ``kernel`` step by step.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equate_srbench.expr.operators import ARITY, BY_CODE, CONSTANT, VARIABLE
from equate_srbench.refine import tolerances as limit
from equate_srbench.refine.derivatives import RULES
from equate_srbench.refine.programs import Floats, Ints, Programs
from equate_srbench.runtime.clock import Deadline
from equate_srbench.runtime.memory import OomSafe

_VALUES_PER_BATCH = 1 << 23  # nodes times rows at once: 64 MB for values and for derivatives
_ARITY = np.array([*ARITY, 0], dtype=np.int64)  # the last stands for every variable


@dataclass(frozen=True)
class _Group:
    """All nodes of one operator at one height: rows ``begin .. end - 1`` of the values.

    ``args`` are the rows of their arguments; ``active[j]`` says which nodes have a constant below
    argument ``j``.
    """

    code: int
    begin: int
    end: int
    args: tuple[Tensor, ...]
    active: tuple[Tensor, ...]


class Schedule:
    """Evaluation order of a batch of programs with equally many constants each.

    Parameters
    ----------
    programs : Programs
    chosen : ndarray of int64
        Indices of the programs to run.
    X : Tensor of shape (n_columns, n_rows)
    """

    def __init__(self, programs: Programs, chosen: Ints, X: Tensor) -> None:
        code, args, height, below, roots = _link(programs, chosen)
        kind = np.minimum(code, VARIABLE)
        order = np.lexsort((np.arange(len(code)), kind, height))
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        edges = np.flatnonzero(
            np.diff(kind[order], prepend=-1) | np.diff(height[order], prepend=-1)
        )
        self.X = X
        self.n_nodes = len(code)
        self.roots = self._tensor(rank[roots])
        self.constants = self._tensor(rank[np.flatnonzero(code == CONSTANT)])
        is_variable = np.flatnonzero(code >= VARIABLE)
        self.variables = self._tensor(rank[is_variable])
        self.columns = self._tensor(code[is_variable] - VARIABLE)
        self.groups: list[_Group] = []
        for begin, end in zip(edges, [*edges[1:], len(order)], strict=True):
            nodes = order[begin:end]
            symbol = int(kind[nodes[0]])
            children = [args[j, nodes] for j in range(_ARITY[symbol])]
            if children:
                active = tuple(self._tensor(np.flatnonzero(below[c] > 0)) for c in children)
                rows = tuple(self._tensor(rank[c]) for c in children)
                self.groups.append(_Group(symbol, int(begin), int(end), rows, active))

    def _tensor(self, index: Ints) -> Tensor:
        return torch.as_tensor(index, device=self.X.device)

    def values(self, constants: Tensor) -> Tensor:
        """Values of all nodes, (nodes, rows), for ``constants`` (programs, constants)."""
        out = self.X.new_empty((self.n_nodes, self.X.shape[1]))
        out[self.variables] = self.X[self.columns]
        out[self.constants] = constants.reshape(-1, 1).expand(-1, self.X.shape[1])
        for g in self.groups:
            out[g.begin : g.end] = BY_CODE[g.code].array(torch, *(out[rows] for rows in g.args))
        return out

    def derivatives(self, values: Tensor) -> Tensor:
        """Derivatives of every program by its constants, (programs, constants, rows)."""
        down = torch.empty_like(values)
        down[self.roots] = 1.0
        for g in reversed(self.groups):
            rules = RULES[BY_CODE[g.code].name]
            for rule, rows, active in zip(rules, g.args, g.active, strict=True):
                if len(active):
                    nodes = g.begin + active
                    inputs = (values[other[active]] for other in g.args)
                    down[rows[active]] = rule(torch, down[nodes], *inputs, values[nodes])
        n_constants = len(self.constants) // len(self.roots)
        return down[self.constants].reshape(len(self.roots), n_constants, down.shape[1])


def _link(programs: Programs, chosen: Ints) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """Codes, arguments (2, nodes), heights, constants below, and roots of the chosen programs.

    Programs are aligned at their ends and read from right to left together, each with a stack.
    """
    sizes = programs.sizes[chosen]
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    source = np.repeat(programs.code_at[chosen] - roots, sizes) + np.arange(sizes.sum())
    code = programs.codes[source]
    args = np.zeros((2, len(code)), dtype=np.int64)
    height, below = np.zeros_like(code), (code == CONSTANT).astype(np.int64)
    stack = np.zeros((len(chosen), int(sizes.max()) + 1), dtype=np.int64)
    top = np.full(len(chosen), -1)
    for back in range(1, int(sizes.max()) + 1):
        which = np.flatnonzero(sizes >= back)
        nodes = roots[which] + sizes[which] - back
        arity = _ARITY[np.minimum(code[nodes], VARIABLE)]
        for j in range(2):
            more = arity > j
            takers, programs_ = nodes[more], which[more]
            child = stack[programs_, top[programs_]]
            top[programs_] -= 1
            args[j, takers] = child
            height[takers] = np.maximum(height[takers], height[child] + 1)
            below[takers] += below[child]
        top[which] += 1
        stack[which, top[which]] = nodes
    return code, args, height, below, roots


@dataclass(frozen=True)
class Target:
    """Regression target: ``y`` weighted, centred (if ``affine``) and scaled; all (rows,)."""

    y: Tensor
    weights: Tensor
    roots: Tensor
    unit: float
    affine: bool

    def to(self, device: torch.device) -> Target:
        """A copy on another device."""
        return replace(
            self, y=self.y.to(device), weights=self.weights.to(device), roots=self.roots.to(device)
        )

    def centre(self, v: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Weight (and centre) ``v``; return it with its mean, squared norm and extracted scale."""
        mean = (v * self.weights).sum(-1)
        v = self.roots * (v - mean[..., None] if self.affine else v)
        norm = v.square().sum(-1)
        peak = v.abs().amax(-1)
        rescale = mean.isfinite() & ~((norm > limit.TINY) & (norm < limit.HUGE)) & (peak > 0)
        scale = torch.where(rescale, peak, 1.0)
        v = v / scale[..., None]
        return v, mean, torch.where(rescale, v.square().sum(-1), norm), scale

    def project(self, f: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Loss, a, mean of f, norm, residual and weighted f of the best ``a f + b``."""
        f, mean, norm, scale = self.centre(f)
        if self.affine:
            varies = norm * scale * scale > limit.CONSTANT_SPREAD * mean * mean
            a = torch.where(varies, (f * self.y).sum(-1) / norm, 0.0)
        else:
            a = self.unit * scale
        residual = self.y - a[:, None] * f
        loss = residual.square().sum(-1)
        loss = torch.where(mean.isfinite() & loss.isfinite(), loss, torch.inf)
        return loss, a / scale, mean, norm, residual, f

    def normal_equations(
        self, columns: Tensor, f: Tensor, norm_f: Tensor, residual: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Normal matrix, gradient and sizes of the projected, normalised columns."""
        broken = ~(columns * self.weights).sum(-1, keepdim=True).isfinite()
        missing = broken & ~columns.isfinite()
        held = (missing * self.weights).sum(-1, keepdim=True) > limit.MISSING
        columns = torch.where(missing | held, 0.0, columns)
        g, mean, norm, scale = self.centre(columns)
        left = norm
        if self.affine:
            share = (g * f[:, None]).sum(-1) / norm_f[:, None]
            g = g - share[..., None] * f[:, None]
            left = g.square().sum(-1)
            left = torch.where(
                left * scale * scale > limit.CONSTANT_SPREAD * mean * mean, left, 0.0
            )
        free = left.isfinite() & (left > limit.DEPENDENT * norm)
        g = torch.where(free[..., None], g / left.sqrt()[..., None], 0.0)
        matrix = g @ g.mT
        matrix.diagonal(dim1=-2, dim2=-1).fill_(1.0)
        gradient = (g @ residual[..., None])[..., 0]
        return matrix, gradient, torch.where(free, left.sqrt() * scale, torch.inf)


def fit(
    programs: Programs, X: Floats, target: Target, noise: Floats, max_steps: int,
    abandon_above: float, out: NDArray[np.float64], deadline: Deadline | None, oom: OomSafe,
    device: str,
) -> None:  # fmt: skip
    """Fit constants as ``kernel.run`` with ``FIT``; ``noise`` (starts - 1, 2, constants).

    ``target`` is on the CPU; the work is done on ``device``, or on the CPU what does not fit there.
    """
    columns = torch.as_tensor(X.T.copy())
    for chosen, k in _batches(programs, len(X)):
        if deadline is not None and deadline.over:
            return

        def work(
            rows: slice, where: torch.device, chosen: Ints = chosen, k: int = k
        ) -> tuple[Ints, Floats, Floats]:
            some = chosen[rows]
            at = programs.constant_at[some][:, None] + np.arange(k)
            given = torch.as_tensor(programs.constants[at], device=where)
            schedule, there = Schedule(programs, some, columns.to(where)), target.to(where)
            starts = _starts(given, noise[: None if k else 0, :, :k])
            best, kept = _best(schedule, there, starts, max_steps, abandon_above, deadline)
            return at, best.cpu().numpy(), kept.cpu().numpy()

        parts = oom.run("refinement", work, len(chosen), device)
        at, best, kept = (np.concatenate(column) for column in zip(*parts, strict=True))
        out[chosen, :3] = best
        programs.constants[at] = kept


def _starts(given: Tensor, noise: Floats) -> Iterator[Tensor]:
    """The constants (programs, constants) as given, then perturbed ones."""
    yield given
    for factor, shift in torch.as_tensor(noise, device=given.device):
        yield given * factor + shift


def _best(
    schedule: Schedule, target: Target, starts: Iterator[Tensor], max_steps: int,
    abandon_above: float, deadline: Deadline | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Loss, scale and mean of f (programs, 3), and constants, of the best start of each program."""
    begin = next(starts)
    best, kept = begin.new_full((len(begin), 3), torch.inf), begin.clone()
    for start in itertools.chain([begin], starts):
        result, found = _descend(schedule, target, start, max_steps, abandon_above, deadline)
        better = result[:, 0] < best[:, 0]
        best[better], kept[better] = result[better], found[better]
    return best, kept


def _descend(
    schedule: Schedule,
    target: Target,
    trial: Tensor,
    max_steps: int,
    abandon_above: float,
    deadline: Deadline | None,
) -> tuple[Tensor, Tensor]:
    """Loss, scale and mean of f (programs, 3), and the constants reached; as ``kernel._descend``.

    Programs that have ended are computed along but do not change any more.
    """
    k = trial.shape[1]
    current = trial.clone()
    values = schedule.values(trial)
    loss, a, mean, norm, residual, f = target.project(values[schedule.roots])
    moved = torch.ones_like(loss, dtype=torch.bool)
    live = moved & (k > 0)
    damping, saved = torch.full_like(loss, limit.DAMPING), torch.full_like(loss, torch.inf)
    matrix = gradient = size = None
    for turn in range(max_steps + 1):
        live &= (a != 0.0) & (damping <= limit.DAMPING_MAX) & (loss > limit.EXACT) & loss.isfinite()
        live &= ~(moved & (saved < limit.SMALL_GAIN * loss))
        if turn == 2:
            live &= loss <= abandon_above
        over = deadline is not None and deadline.over
        if over or turn == max_steps or not bool(live.any()):
            break
        new = target.normal_equations(schedule.derivatives(values), f, norm, residual)
        if matrix is None or gradient is None or size is None:
            matrix, gradient, size = new
        else:
            matrix = torch.where(moved[:, None, None], new[0], matrix)
            gradient = torch.where(moved[:, None], new[1], gradient)
            size = torch.where(moved[:, None], new[2], size)
        step, gain = _solve(matrix, gradient, damping)
        live &= gain > limit.SMALL_GAIN * loss
        trial = torch.where(live[:, None], current + step / (size * a[:, None]), current)
        values = schedule.values(trial)
        tried = target.project(values[schedule.roots])
        f, residual = tried[5], tried[4]
        saved = loss - tried[0]
        moved = live & (tried[0] < loss)
        damping = torch.where(live, _adapt(damping, moved, saved, gain), damping)
        loss, a, mean, norm = (
            torch.where(moved, n, o) for n, o in zip(tried, (loss, a, mean, norm), strict=False)
        )
        current = torch.where(moved[:, None], trial, current)
    return torch.stack([loss, a, mean], dim=1), current


def _solve(matrix: Tensor, gradient: Tensor, damping: Tensor) -> tuple[Tensor, Tensor]:
    """Damped steps and their predicted reduction of the loss; 0 for an indefinite matrix."""
    damped = matrix + torch.diag_embed(damping[:, None].expand(gradient.shape))
    factor, failed = torch.linalg.cholesky_ex(damped)
    step = torch.cholesky_solve(gradient[..., None], factor)[..., 0]
    return step, torch.where(failed == 0, (step * gradient).sum(-1), 0.0)


def _adapt(damping: Tensor, moved: Tensor, saved: Tensor, gain: Tensor) -> Tensor:
    """Update the damping by how the loss fell compared with the linear model's prediction."""
    poor = torch.where(saved > limit.POOR_SHARE * gain, 1.0, limit.POOR)
    factor = torch.where(saved > limit.GOOD_SHARE * gain, limit.GOOD, poor)
    return (damping * torch.where(moved, factor, limit.BAD)).clamp(min=limit.DAMPING_MIN)


def _batches(programs: Programs, n_rows: int) -> list[tuple[Ints, int]]:
    """Group programs by number of constants, in batches that fit into memory."""
    out = []
    for k in np.unique(programs.counts):
        chosen = np.flatnonzero(programs.counts == k)
        filled = np.cumsum(programs.sizes[chosen]) * max(1, n_rows) // _VALUES_PER_BATCH
        cuts = np.flatnonzero(np.diff(filled)) + 1
        out += [(part, int(k)) for part in np.split(chosen, cuts)]
    return out
