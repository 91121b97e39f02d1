"""``Surrogate``: a smooth function through the rows of a table, for the target or a link of it.

Columns that spread over a factor of more than ``WIDE`` are seen by their logarithm. The process is
fitted to at most ``MAX_ROWS`` rows; its evidence is that of the target itself, whatever the link
(the logarithm of the link's slope is added), so that links can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.structure.gaussian_process import GaussianProcess, Group, Scales

Array = NDArray[np.float64]

#: Most rows that a process is fitted to: its work grows with their third power.
MAX_ROWS = 250
#: Ratio of the largest to the smallest value above which a positive column is seen in logarithms.
WIDE = 8.0
#: Evaluations of the likelihood where it starts from a process on the same rows.
REFIT = 25


@dataclass(frozen=True, slots=True)
class Link:
    """A link function, as in generalised additive models: a law may be a sum on its scale.

    Attributes
    ----------
    name : str
    forward, slope : callable
        The transform and its derivative.
    """

    name: str
    forward: Callable[[Array], Array]
    slope: Callable[[Array], Array]


IDENTITY = Link("identity", lambda y: y, np.ones_like)
LOG = Link("log", lambda y: np.log(np.abs(y)), lambda y: 1.0 / y)
INVERSE = Link("inverse", lambda y: 1.0 / y, lambda y: -(y**-2.0))
#: A law that is a sum in the second is a product; in the last two, a root or an inverse of a sum.
LINKS = (
    IDENTITY,
    LOG,
    Link("square", np.square, lambda y: 2.0 * y),
    INVERSE,
)


class Frame:
    """Columns as the process sees them: logarithms where they are wide, standardised.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
    logs : bool, default=True
        Whether wide columns are seen by their logarithm.
    """

    def __init__(self, X: Array, logs: bool = True) -> None:
        low, high = X.min(axis=0), X.max(axis=0)
        self._wide = (low > 0.0) & (high > WIDE * low) & logs
        seen = self._seen(X)
        self._mean, spread = seen.mean(axis=0), seen.std(axis=0)
        self._spread = np.where(spread > 0.0, spread, 1.0)

    def _seen(self, X: Array) -> Array:
        out = X.copy()
        out[:, self._wide] = np.log(X[:, self._wide])
        return out

    def __call__(self, X: Array) -> Array:
        """Standardised columns."""
        out: Array = (self._seen(X) - self._mean) / self._spread
        return out

    def slope(self, X: Array) -> Array:
        """Derivative of each standardised column by the column."""
        return np.where(self._wide, 1.0 / np.where(self._wide, X, 1.0), 1.0) / self._spread


class Surrogate:
    """A Gaussian process on a table, in the units of the table.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
    y : ndarray of shape (n_rows,)
        Finite on the link's scale.
    groups : sequence of tuple of int
        Components of the process, as columns of ``X``.
    link : Link, default=IDENTITY
    weights : ndarray of shape (n_rows,), optional
        Inverse variances of the errors of ``y``.
    start : Scales, optional
        Of a process on the same rows.
    evaluations : int, default=60
        Most evaluations of the marginal likelihood.
    logs : bool, default=True
        Whether wide columns are seen by their logarithm.
    """

    def __init__(
        self,
        X: Array,
        y: Array,
        groups: Sequence[Group],
        *,
        link: Link = IDENTITY,
        weights: Array | None = None,
        start: Scales | None = None,
        evaluations: int = 60,
        logs: bool = True,
    ) -> None:
        self.X, self.y, self.link, self.logs = X, y, link, logs
        self.frame = Frame(X, logs)
        target, slope = link.forward(y), link.slope(y)
        variances = None
        mean = float(np.average(target, weights=weights))
        self._mean, self._spread = (
            mean,
            float(np.sqrt(np.average((target - mean) ** 2, weights=weights))),
        )
        if weights is not None:
            variances = np.clip(weights.mean() / weights, 1e-3, 1e6)
        self.process = GaussianProcess(
            self.frame(X),
            (target - self._mean) / self._spread,
            groups,
            variances=variances,
            start=start,
            evaluations=evaluations,
        )
        self._jacobian = float(np.log(np.abs(slope)).sum()) - len(y) * float(np.log(self._spread))

    def refitted(self, groups: Sequence[Group], evaluations: int = REFIT) -> Surrogate:
        """A process with other groups on the same rows, started from the scales of this one."""
        return Surrogate(self.X, self.y, groups, link=self.link, start=self.process.scales,
                         evaluations=evaluations, logs=self.logs)  # fmt: skip

    @property
    def is_wide(self) -> bool:
        """Whether any column is seen by its logarithm."""
        return bool(self.frame._wide.any())

    @property
    def evidence(self) -> float:
        """Log evidence of the rows, in nats; comparable between links and groups of a table."""
        return self.process.evidence + self._jacobian

    @property
    def error(self) -> float:
        """Mean squared leave-one-out error, as a share of the variance on the link's scale."""
        return self.process.error

    @property
    def groups(self) -> tuple[Group, ...]:
        """Components."""
        return self.process.groups

    @property
    def noise(self) -> float:
        """Standard deviation of the noise on the link's scale."""
        return self.process.scales.noise * self._spread

    def __call__(self, X: Array, group: Group | None = None) -> Array:
        """Values on the link's scale; of one component: its share of them, without the mean.

        Parameters
        ----------
        X : ndarray of shape (n, n_columns)
        group : tuple of int, optional
        """
        values = self.process.predict(self.frame(X), group) * self._spread
        return values + self._mean if group is None else values

    def gradient(self, X: Array) -> Array:
        """Gradient on the link's scale by the columns; (n, n_columns)."""
        out: Array = self.process.gradient(self.frame(X)) * self.frame.slope(X) * self._spread
        return out
