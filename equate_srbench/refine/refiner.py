"""Least-squares constants of many formulas at once, on one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from equate_srbench.expr.tree import Tree
from equate_srbench.refine import tolerances
from equate_srbench.refine.programs import Floats, Programs
from equate_srbench.runtime.clock import Deadline

if TYPE_CHECKING:  # the compiled kernel needs no torch
    from equate_srbench.runtime.memory import OomSafe

# Seconds of one kernel call, more or less: in between Python sees signals and deadlines.
_SECONDS_PER_CALL = 0.03
_SECONDS_PER_VALUE = 1e-8  # per node, row and sweep; on the safe side
_ROWS_PER_CALL = 4096  # rows evaluated at once: the workspace stays in the processor's cache


class Refined:
    """Fitted constants of a batch of trees.

    Attributes
    ----------
    programs : Programs
        With fitted constants.
    loss : ndarray of shape (n,)
        Weighted mean squared residual, in squared units of ``y``; inf where the formula is
        undefined on some row, or was not reached before the deadline.
    unexplained : ndarray of shape (n,)
        The loss as a share of the weighted variance of ``y`` (1 - R2; of the mean square if
        fitted without scale and offset). Keeps its digits where squares of ``y`` underflow.
    scale, offset : ndarray of shape (n,)
        ``y ~ scale * f(x; constants) + offset``.
    """

    def __init__(
        self, programs: Programs, loss: Floats, unexplained: Floats, scale: Floats, offset: Floats
    ) -> None:
        self.programs = programs
        self.loss = loss
        self.unexplained = unexplained
        self.scale = scale
        self.offset = offset

    def __len__(self) -> int:
        return len(self.programs)

    def constants(self, i: int) -> tuple[float, ...]:
        """Inner constants of tree ``i``, without scale and offset."""
        at = self.programs.constant_at
        return tuple(self.programs.constants[at[i] : at[i + 1]].tolist())

    def tree(self, i: int) -> Tree:
        """Tree ``i`` with its fitted constants, scale (unless 1) and offset (unless 0)."""
        tree = self.programs.tree(i)
        scale, offset = float(self.scale[i]), float(self.offset[i])
        if scale == 0.0:
            return Tree.constant(offset)
        if scale != 1.0:
            tree = Tree.apply("mul", Tree.constant(scale), tree)
        if offset != 0.0:
            tree = Tree.apply("add", tree, Tree.constant(offset))
        return tree


class Refiner:
    """Fits constants of many formulas at once on one table.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_columns)
    y : array-like of shape (n_rows,)
    weights : array-like of shape (n_rows,), default=None
        Non-negative; ``None`` weighs all rows alike, zero leaves a row out.
    backend : {"auto", "numba", "torch"}, default="auto"
        ``auto`` is the compiled CPU kernel unless ``device`` names another device.
    device : str or None, default=None
        Device of the torch backend.
    check_input : bool, default=True
        Whether the arrays are validated. False is for float64 arrays that were validated before;
        they are used without a copy, and must not change afterwards.

    Raises
    ------
    ValueError
        If shapes are inconsistent, values are not finite, no weight is positive, or the backend is
        unknown.
    """

    def __init__(
        self,
        X: ArrayLike,
        y: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        backend: str = "auto",
        device: str | None = None,
        check_input: bool = True,
    ) -> None:
        X, y = np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64)
        w = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
        if check_input:
            _check(X, y, w)
        if backend not in ("auto", "numba", "torch"):
            raise ValueError(f"backend {backend!r}: expected 'auto', 'numba' or 'torch'")
        if backend == "auto":
            backend = "numba" if device in (None, "cpu") else "torch"
        self.backend = backend
        self.device = device or "cpu"
        used = w > 0
        if check_input or not used.all():  # indexing makes a copy
            X, y, w = X[used], y[used], w[used]
        w = w / w.max()
        self._X, self._y = X, y
        self._weights = w / w.sum()
        self._roots = np.sqrt(self._weights)
        self._oom: OomSafe | None = None  # what fits into the device's memory is remembered

    def fit(
        self,
        trees: Sequence[Tree] | Programs,
        *,
        max_steps: int = 20,
        affine: bool = True,
        starts: int = 1,
        rng: np.random.Generator | None = None,
        abandon_above: float | None = None,
        deadline: Deadline | None = None,
    ) -> Refined:
        """Fit scale, offset and inner constants of every tree.

        Parameters
        ----------
        trees : sequence of Tree, or Programs
            Their constants are the first start; those of ``Programs`` are changed in place.
        max_steps : int, default=20
            Most trial steps of the inner constants per start; 0 only scores.
        affine : bool, default=True
            Whether scale and offset are fitted; without, they are 1 and 0.
        starts : int, default=1
            Starts per tree; those after the first perturb the given constants.
        rng : numpy.random.Generator, default=None
            Source of the perturbations, the same for all trees; ``None`` is a fixed seed.
        abandon_above : float, default=None
            Loss above which a start ends after two steps.
        deadline : Deadline, default=None
            Trees not reached by then keep loss inf.

        Returns
        -------
        Refined
        """
        programs = trees if isinstance(trees, Programs) else Programs(trees)
        y, mean, unit = self._target(affine)
        noise = _perturbations(starts, programs.largest[1], rng)
        limit = np.inf if abandon_above is None else abandon_above * unit * unit
        out = np.full((len(programs), 4), np.inf)
        run = self._run_kernel if self.backend == "numba" else self._run_torch
        run(programs, y, unit, affine, noise, max_steps, limit, out, deadline)
        return self._refined(programs, out, y, mean, unit, affine)

    def _run_kernel(
        self, programs: Programs, y: Floats, unit: float, affine: bool, noise: Floats,
        max_steps: int, limit: float, out: Floats, deadline: Deadline | None,
    ) -> None:  # fmt: skip
        """Fit on the CPU in short calls: some programs each, or some steps on a very long table."""
        from equate_srbench.refine import kernel

        memory = kernel.Memory.of(self._X, *programs.largest)
        memory.target(y, self._weights, self._roots)
        sweep = programs.sizes * (len(y) * _SECONDS_PER_VALUE)
        sweeps = np.where(programs.counts > 0, 2 * max_steps * (1 + len(noise)), 0) + 1
        for begin, end in programs.chunks(sweep * sweeps, _SECONDS_PER_CALL):
            whole = end - begin > 1 or programs.counts[begin] == 0
            at_once = max_steps if whole else int(_SECONDS_PER_CALL / sweep[begin] / 2)
            out[begin:end, 3] = tolerances.DAMPING
            for done in range(0, max(1, max_steps), max(3, at_once)):
                if deadline is not None and deadline.over:
                    return
                before = out[begin].tolist()
                kernel.run(
                    programs, begin, end, memory, kernel.FIT, out, unit=unit,
                    noise=noise if done == 0 else noise[:0],  # goes on from the best start
                    max_steps=min(max(3, at_once), max_steps - done), affine=affine,
                    abandon_above=limit,
                )  # fmt: skip
                if out[begin].tolist() == before:
                    break

    def _run_torch(
        self, programs: Programs, y: Floats, unit: float, affine: bool, noise: Floats,
        max_steps: int, limit: float, out: Floats, deadline: Deadline | None,
    ) -> None:  # fmt: skip
        """Fit on the torch device, all programs with equally many constants at once."""
        import torch

        from equate_srbench.refine import batched
        from equate_srbench.runtime.memory import OomSafe

        self._oom = self._oom or OomSafe()
        weights, roots = torch.as_tensor(self._weights), torch.as_tensor(self._roots)
        target = batched.Target(torch.as_tensor(y), weights, roots, unit, affine)
        batched.fit(
            programs, self._X, target, noise, max_steps, limit, out, deadline, self._oom,
            self.device,
        )  # fmt: skip

    def _target(self, affine: bool) -> tuple[Floats, float, float]:
        """Scaled, weighted and centred ``y`` for the kernels, its mean and its unit."""
        unit = _power_of_two(float(np.max(np.abs(self._y))))
        y = self._y * unit
        if not affine:
            return self._roots * y, 0.0, unit
        mean = float(np.dot(self._weights, y))
        mean += float(np.dot(self._weights, y - mean))  # second pass: exact to rounding
        y = y - mean
        spread = float(np.max(np.abs(y)))
        if spread <= 4.0 * np.finfo(np.float64).eps:  # a constant, but for the mean's rounding
            return np.zeros_like(y), mean / unit, unit
        more = _power_of_two(spread)
        return self._roots * y * more, mean / unit, unit * more

    def _refined(
        self, programs: Programs, out: Floats, y: Floats, mean: float, unit: float, affine: bool
    ) -> Refined:
        with np.errstate(all="ignore"):
            total = float(np.dot(y, y))
            lost = out[:, 0]
            scale = out[:, 1] / unit if affine else np.ones(len(out))
            offset = mean - scale * out[:, 2] if affine else np.zeros(len(out))
            lost = np.where(np.isfinite(scale) & np.isfinite(offset), lost, np.inf)
            undefined = ~np.isfinite(lost)
            scale[undefined] = 1.0
            offset[undefined] = 0.0
            unexplained = lost / total if total > 0 else np.where(lost > 0, np.inf, 0.0)
            return Refined(programs, lost / unit / unit, unexplained, scale, offset)


def _check(X: Floats, y: Floats, w: Floats) -> None:
    if X.ndim != 2 or y.shape != (len(X),) or w.shape != y.shape:
        raise ValueError(f"inconsistent shapes: X {X.shape}, y {y.shape}, weights {w.shape}")
    if not (np.isfinite(X).all() and np.isfinite(y).all() and np.isfinite(w).all()):
        raise ValueError("X, y and weights must be finite")
    if (w < 0).any() or not (w > 0).any():
        raise ValueError("weights must not be negative, and one must be positive")


def evaluate_many(trees: Sequence[Tree], X: ArrayLike) -> Floats:
    """Evaluate many trees.

    Parameters
    ----------
    trees : sequence of Tree
    X : array-like of shape (n_rows, n_columns)

    Returns
    -------
    ndarray of shape (n_trees, n_rows)
        NaN or inf where a formula is not defined.
    """
    from equate_srbench.refine import kernel

    X = np.asarray(X, dtype=np.float64)
    programs = Programs(trees)
    out = np.empty((len(trees), len(X)))
    for first in range(0, len(X), _ROWS_PER_CALL):
        block = X[first : first + _ROWS_PER_CALL]
        values = np.empty((len(trees), len(block)))
        memory = kernel.Memory.of(block, *programs.largest)
        costs = programs.sizes * (len(block) * _SECONDS_PER_VALUE)
        for begin, end in programs.chunks(costs, _SECONDS_PER_CALL):
            kernel.run(programs, begin, end, memory, kernel.EVALUATE, values)
        out[:, first : first + len(block)] = values
    return out


def jacobian(tree: Tree, X: ArrayLike) -> Floats:
    """Jacobian of ``tree`` with respect to its constants.

    Parameters
    ----------
    tree : Tree
    X : array-like of shape (n_rows, n_columns)

    Returns
    -------
    ndarray of shape (n_rows, n_constants)
    """
    from equate_srbench.refine import kernel

    X = np.asarray(X, dtype=np.float64)
    programs = Programs([tree])
    memory = kernel.Memory.of(X, *programs.largest)
    kernel.run(programs, 0, 1, memory, kernel.DIFFERENTIATE, np.empty((1, len(X))))
    return memory.columns(len(tree.constants)).T


def warm_up() -> None:
    """Compile the kernels, or load them from the cache of an earlier process."""
    from equate_srbench.refine import kernel  # noqa: F401


def _power_of_two(size: float) -> float:
    """The power of two that brings ``size`` into 0.5 .. 1; 1 for 0."""
    exponent = int(np.frexp(size)[1]) if size > 0.0 else 0
    return float(np.ldexp(1.0, min(max(-exponent, -1000), 1000)))


def _perturbations(starts: int, k: int, rng: np.random.Generator | None) -> Floats:
    """Factors and shifts of the extra starts, (starts - 1, 2, k), the same for all trees."""
    rng = np.random.default_rng(0) if rng is None else rng
    extra = max(starts - 1, 0)
    noise = np.empty((extra, 2, k))
    # drawn constant by constant, so that a tree's starts do not depend on the longest tree
    for j in range(k):
        noise[:, 0, j] = np.exp(rng.normal(0.0, 1.0, extra)) * rng.choice([1, 1, 1, -1], extra)
        noise[:, 1, j] = rng.normal(0.0, 0.3, extra)
    return noise
