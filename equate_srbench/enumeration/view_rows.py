"""``ViewRows``: some rows of a table with all views of its target, and fits to these."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.enumeration.formulas import PROBES, Ints, spread_rows
from equate_srbench.enumeration.sieve import MAX_TARGETS
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.target_views import (
    COMPOSITIONS,
    IDENTITY,
    TRANSFORMS,
    TargetView,
    view,
)
from equate_srbench.refine import Refiner
from equate_srbench.runtime.clock import Deadline

Array = NDArray[np.float64]

#: Squared residual on the probe rows that counts as none, as a share of the variance there.
_NONE_LEFT = 1e-13


@dataclass(frozen=True, slots=True)
class ViewFit:
    """A formula ``f`` with ``g(y) ~ slope * f + intercept`` in view number ``view``."""

    view: int
    tree: Tree
    slope: float = 1.0
    intercept: float = 0.0


@dataclass(frozen=True, slots=True)
class ViewRows:
    """Sampled rows, the probe rows first.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_columns)
    views : tuple of TargetView
        Of the whole table: a view that is undefined on a row is no view.
    targets, weights, errors : ndarray of shape (n_views, n_rows)
        ``errors`` are those of the targets.
    """

    X: Array
    views: tuple[TargetView, ...]
    targets: Array
    weights: Array
    errors: Array

    @classmethod
    def sampled(
        cls,
        X: Array,
        y: Array,
        weights: Array | None,
        columns: list[int],
        *,
        n: int,
        resolution: float,
        rng: np.random.Generator,
    ) -> ViewRows:
        """Sample ``n`` rows, and see the target in all views that are defined on all rows.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_columns)
            At least ``PROBES`` rows.
        y : ndarray of shape (n_rows,)
        weights : ndarray of shape (n_rows,) or None
        columns : list of int
            Columns on which the probe rows should differ.
        n : int
        resolution : float
            Error of ``y``.
        rng : numpy Generator
        """
        seen = [view(t, X, y, weights) for t in (*TRANSFORMS, *COMPOSITIONS)]
        views = [v for v in seen if v is not None and np.isfinite(v.target).all()][:MAX_TARGETS]
        probes = spread_rows(X[:, columns], y, PROBES, rng)
        others = np.setdiff1d(rng.permutation(len(y))[:n], probes)
        rows = np.concatenate([probes, others])[: max(n, PROBES)]

        def stacked(columns: list[Array]) -> Array:
            return np.stack(columns) if columns else np.zeros((0, len(rows)))

        slopes = stacked([v.transform.slope(y[rows]) for v in views])
        return cls(
            np.ascontiguousarray(X[rows]),
            tuple(views),
            stacked([v.target[rows] for v in views]),
            stacked([v.weights[rows] for v in views]),
            resolution * np.abs(slopes),
        )

    @property
    def n_views(self) -> int:
        """Number of views."""
        return len(self.views)

    def named(self, names: tuple[str, ...]) -> Ints:
        """Numbers of the views with these transforms."""
        found = [v.transform.name for v in self.views]
        return np.array([found.index(name) for name in names if name in found], dtype=np.int64)

    def best(self, v: int, trees: list[Tree], k: int, deadline: Deadline) -> list[ViewFit]:
        """The ``k`` formulas that fit a view best, with fitted constants."""
        fitted = best_fits(self.X, self.targets[v], self.weights[v], trees, k, deadline)
        return [ViewFit(v, tree, scale, offset) for _, tree, scale, offset in fitted]

    def exact(self, values: Array, bits: Ints) -> tuple[Ints, Ints]:
        """Which formulas are which views up to scale and offset, on the probe rows.

        Parameters
        ----------
        values : ndarray of shape (n_probes, n)
        bits : ndarray of int, shape (n,)
            Views that are possible, a bit for each.

        Returns
        -------
        formulas, views : ndarray of int
        """
        formulas, views = [], []
        for v in range(self.n_views):
            at = np.flatnonzero(bits & (np.int64(1) << np.int64(v)))
            target = np.repeat(self.targets[v, :PROBES, None], len(at), axis=1)
            _, _, error = affine(values[:, at], target)
            good = np.flatnonzero(error < self.allowed(np.array([v])))
            formulas.append(at[good])
            views.append(np.full(len(good), v))
        return np.concatenate(formulas), np.concatenate(views)

    def allowed(self, v: Ints) -> Array:
        """Largest squared residual of exact fits on the probe rows, as a share of the variance."""
        targets, errors = self.targets[v, :PROBES], self.errors[v, :PROBES]
        out: Array = _NONE_LEFT + 4.0 * (errors**2).mean(axis=1) / targets.var(axis=1)
        return out

    def for_target(self, fit: ViewFit) -> Tree:
        """The formula for ``y``; in the identity view without scale and offset."""
        seen = self.views[fit.view]
        if seen.transform is IDENTITY:
            return fit.tree
        return seen.wrap(scaled(fit.tree, fit.slope, fit.intercept))


def best_fits(
    X: Array, target: Array, weights: Array, trees: list[Tree], k: int, deadline: Deadline
) -> list[tuple[float, Tree, float, float]]:
    """The ``k`` formulas that fit best: share unexplained, formula, scale and offset."""
    if not trees:
        return []
    fitted = Refiner(X, target, weights, check_input=False).fit(
        trees, max_steps=25, deadline=deadline
    )
    return [
        (
            float(fitted.unexplained[i]),
            trees[i].with_constants(fitted.constants(i)),
            float(fitted.scale[i]),
            float(fitted.offset[i]),
        )
        for i in np.argsort(fitted.unexplained, kind="stable")[:k].tolist()
        if np.isfinite(fitted.unexplained[i])
    ]


def affine(values: Array, targets: Array) -> tuple[Array, Array, Array]:
    """Slope, intercept, and the share of the variance left, of ``targets ~ a values + b``.

    Columns of both, shape (n_rows, n), are fitted one by one.
    """
    u, t = values - values.mean(axis=0), targets - targets.mean(axis=0)
    slope = (u * t).sum(axis=0) / (u * u).sum(axis=0)
    residual = t - slope * u
    error = (residual**2).sum(axis=0) / (t * t).sum(axis=0)
    return slope, targets.mean(axis=0) - slope * values.mean(axis=0), error


def scaled(tree: Tree, slope: float, intercept: float) -> Tree:
    """``slope * tree + intercept`` without factors 1 and terms 0 that are so but for rounding."""
    if abs(slope - 1.0) > 1e-9:
        tree = Tree.apply("mul", Tree.constant(float(slope)), tree)
    if abs(intercept) > 1e-9 * (abs(slope) + abs(intercept)):
        tree = Tree.apply("add", Tree.constant(float(intercept)), tree)
    return tree
