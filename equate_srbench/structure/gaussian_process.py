"""Gaussian process regression with a sum of squared-exponential kernels over groups of columns.

One group with all columns is the ordinary process; several are an additive one (Duvenaud, Nickisch
& Rasmussen 2011, Additive Gaussian processes), whose components can be read off one by one. The
logarithm of the marginal likelihood says how well a grouping agrees with the rows (Rasmussen &
Williams 2006, chapter 5); it is maximised by L-BFGS with exact derivatives, and the number of its
evaluations is bounded, so that the work does not depend on the clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.optimize import minimize

Array = NDArray[np.float64]
Group = tuple[int, ...]

#: Evaluations of the marginal likelihood: about 60 are enough from scratch, 25 from a good start.
MAX_EVALUATIONS = 60
#: Bounds of length scales and amplitudes (in standard deviations) and of the noise.
_LENGTH, _AMPLITUDE, _NOISE = (0.05, 100.0), (1e-2, 100.0), (1e-4, 1.0)
#: Mean and deviation of the normal prior on the logarithm of a length scale: without it, scales of
#: columns that do nothing wander, and small samples are overfitted.
_PRIOR_MEAN, _PRIOR_SPREAD = np.log(2.0), 1.5
#: What the marginal likelihood is where the covariance is not positive definite.
_FAILED = 1e10


@dataclass(frozen=True, slots=True)
class Scales:
    """Hyperparameters.

    Attributes
    ----------
    lengths : dict of Group to ndarray of shape (len(group),)
        Length scales, in standard deviations of the columns.
    amplitudes : dict of Group to float
        In standard deviations of the target.
    noise : float
        In standard deviations of the target.
    """

    lengths: dict[Group, Array]
    amplitudes: dict[Group, float]
    noise: float


class GaussianProcess:
    """A fitted process on standardised rows.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
        Standardised.
    y : ndarray of shape (n_rows,)
        Standardised.
    groups : sequence of tuple of int
        Columns of each component; they may overlap.
    variances : ndarray of shape (n_rows,), optional
        Relative variances of the noise, 1 in the mean; default: the same on all rows.
    start : Scales, optional
        Where to start; groups that it does not know take the scales of a group that contains them.
    evaluations : int, default=MAX_EVALUATIONS

    Attributes
    ----------
    scales : Scales
    log_likelihood : float
        Of the rows, at the maximum, prior not included.
    n_parameters : int
    """

    def __init__(
        self,
        X: Array,
        y: Array,
        groups: Sequence[Group],
        *,
        variances: Array | None = None,
        start: Scales | None = None,
        evaluations: int = MAX_EVALUATIONS,
    ) -> None:
        self.X, self.y = X, y
        self.groups = tuple(groups)
        self.variances = np.ones(len(y)) if variances is None else variances
        #: Places of each group's length scales among the parameters.
        ends = np.cumsum([len(g) for g in self.groups])
        self._places = [slice(e - len(g), e) for g, e in zip(self.groups, ends, strict=True)]
        self._n_lengths = int(ends[-1])
        self.n_parameters = self._n_lengths + len(self.groups) + 1
        self._rows = np.tril_indices(len(y), -1)  # pairs of rows, in the order of the arrays below
        i, j = self._rows
        squares = (X[i] - X[j]).T ** 2  # (n_columns, n_pairs)
        self._squares = [squares[list(g)] for g in self.groups]
        best = minimize(
            self._objective,
            self._initial(start),
            jac=True,
            method="L-BFGS-B",
            bounds=np.log([_LENGTH] * self._n_lengths + [_AMPLITUDE] * len(self.groups) + [_NOISE]),
            options={"maxfun": evaluations, "maxiter": evaluations},
        )
        self._finish(np.asarray(best.x))

    def _initial(self, start: Scales | None) -> Array:
        out = np.empty(self.n_parameters)
        for g, place in zip(self.groups, self._places, strict=True):
            out[place] = np.log(_lengths_from(start, g))
        amplitude = [_amplitude_from(start, g, len(self.groups)) for g in self.groups]
        out[self._n_lengths : -1] = np.log(amplitude)
        out[-1] = np.log(0.1 if start is None else start.noise)
        return out

    def _kernels(self, theta: Array) -> list[Array]:
        """Covariance of each component between pairs of rows, each (n_pairs,)."""
        out = []
        for k, (squares, place) in enumerate(zip(self._squares, self._places, strict=True)):
            exponent = np.exp(-2.0 * theta[place]) @ squares
            out.append(np.exp(2.0 * theta[self._n_lengths + k] - 0.5 * exponent))
        return out

    def _solved(self, theta: Array, kernels: list[Array]) -> tuple[Array | None, Array, float]:
        """Inverse covariance (lower triangle), its product with ``y``, minus the log likelihood."""
        n = len(self.y)
        covariance = np.zeros((n, n))
        covariance[self._rows] = np.sum(kernels, axis=0)
        diagonal = float(np.exp(2.0 * theta[self._n_lengths : -1]).sum())
        covariance.flat[:: n + 1] = diagonal + np.exp(2.0 * theta[-1]) * self.variances
        # the transpose has the order of LAPACK, and its upper triangle
        root, failed = lapack.dpotrf(covariance.T, lower=0, overwrite_a=1)
        if failed or not np.isfinite(root[-1, -1]):
            return None, self.y, _FAILED
        alpha, _ = lapack.dpotrs(root, self.y, lower=0)
        value = 0.5 * float(self.y @ alpha) + float(np.log(np.diag(root)).sum())
        inverse, _ = lapack.dpotri(root, lower=0, overwrite_c=1)
        return inverse.T, alpha, value + 0.5 * n * float(np.log(2.0 * np.pi))

    def _objective(self, theta: Array) -> tuple[float, Array]:
        """Minus the log of likelihood times prior, and its gradient."""
        kernels = self._kernels(theta)
        inverse, alpha, value = self._solved(theta, kernels)
        if inverse is None:
            return _FAILED, np.zeros_like(theta)
        gradient = np.empty_like(theta)
        i, j = self._rows
        outer = alpha[i] * alpha[j] - inverse[self._rows]
        own = alpha**2 - np.diag(inverse)
        for k, (squares, place) in enumerate(zip(self._squares, self._places, strict=True)):
            moved = outer * kernels[k]
            gradient[place] = -np.exp(-2.0 * theta[place]) * (squares @ moved)
            amplitude = float(np.exp(2.0 * theta[self._n_lengths + k]))
            gradient[self._n_lengths + k] = -2.0 * moved.sum() - amplitude * own.sum()
        gradient[-1] = -float(np.exp(2.0 * theta[-1])) * float(self.variances @ own)
        off = (theta[: self._n_lengths] - _PRIOR_MEAN) / _PRIOR_SPREAD
        gradient[: self._n_lengths] += off / _PRIOR_SPREAD
        return value + 0.5 * float(off @ off), gradient

    def _finish(self, theta: Array) -> None:
        inverse, self._alpha, value = self._solved(theta, self._kernels(theta))
        if inverse is None:
            raise np.linalg.LinAlgError("the covariance is not positive definite")
        self._inverse = np.tril(inverse) + np.tril(inverse, -1).T
        self.log_likelihood = -value
        amplitudes = np.exp(theta[self._n_lengths : -1]).tolist()
        self.scales = Scales(
            {g: np.exp(theta[p]) for g, p in zip(self.groups, self._places, strict=True)},
            dict(zip(self.groups, amplitudes, strict=True)),
            float(np.exp(theta[-1])),
        )
        del self._squares, self._rows  # large, and of no use any more

    @property
    def evidence(self) -> float:
        """Log marginal likelihood with a penalty for each parameter (Schwarz 1978), in nats."""
        return self.log_likelihood - 0.5 * self.n_parameters * float(np.log(len(self.y)))

    @cached_property
    def left_out(self) -> Array:
        """Residual of every row if predicted from the others (Rasmussen & Williams, 5.12)."""
        out: Array = self._alpha / np.diag(self._inverse)
        return out

    @property
    def error(self) -> float:
        """Mean squared leave-one-out residual: a share of the target's variance."""
        return float(np.mean(self.left_out**2))

    def score(self, columns: Group) -> float:
        """Score statistic of one more component, with the scales that are known for its columns.

        The derivative of the log likelihood by the variance of the new component, in standard
        deviations of what it would be by chance (Verbeke & Molenberghs 2003); one costs as much as
        one evaluation of the likelihood, and nothing is fitted.
        """
        lengths = _lengths_from(self.scales, columns)
        scaled = self.X[:, list(columns)] / lengths
        squares = ((scaled[:, None] - scaled[None]) ** 2).sum(axis=2)
        kernel = np.exp(-0.5 * squares)
        mixed = self._inverse @ kernel
        chance = float(np.sqrt(2.0 * np.sum(mixed * mixed.T)))
        return float(self._alpha @ kernel @ self._alpha - np.trace(mixed)) / chance

    def predict(self, Z: Array, group: Group | None = None) -> Array:
        """Posterior mean on standardised rows, of all components or of one.

        Parameters
        ----------
        Z : ndarray of shape (n, n_columns)
        group : tuple of int, optional
            One of ``groups``.
        """
        return sum(self._cross(Z, g) for g in self.groups if group in (None, g)) @ self._alpha

    def gradient(self, Z: Array) -> Array:
        """Gradient of the posterior mean; (n, n_columns)."""
        out = np.zeros(Z.shape)
        for g in self.groups:
            weighted = self._cross(Z, g) * self._alpha
            for j, length in zip(g, self.scales.lengths[g].tolist(), strict=True):
                near = weighted @ self.X[:, j] - weighted.sum(axis=1) * Z[:, j]
                out[:, j] += near / length**2
        return out

    def _cross(self, Z: Array, group: Group) -> Array:
        """Covariance of a component between new rows and the fitted ones; (n, n_rows)."""
        columns = list(group)
        lengths = self.scales.lengths[group]
        a, b = Z[:, columns] / lengths, self.X[:, columns] / lengths
        squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2.0 * a @ b.T
        out: Array = self.scales.amplitudes[group] ** 2 * np.exp(-0.5 * np.maximum(squares, 0.0))
        return out


def _lengths_from(start: Scales | None, group: Group) -> Array:
    """Length scales of each column in the smallest known group that has it."""
    default = 2.0 * float(np.sqrt(len(group)))
    known = sorted(start.lengths, key=len, reverse=True) if start else []
    lengths = {
        j: length
        for g in known
        for j, length in zip(g, start.lengths[g].tolist() if start else [], strict=True)
    }
    return np.array([lengths.get(j, default) for j in group])


def _amplitude_from(start: Scales | None, group: Group, n_groups: int) -> float:
    """Amplitude of the smallest known group with one of the columns, shared among the groups."""
    known = [g for g in start.lengths if set(group) & set(g)] if start else []
    if not known or start is None:
        return float(1.0 / np.sqrt(n_groups))
    nearest = min(known, key=len)
    share = 1.0 if len(start.lengths) > 1 else float(np.sqrt(n_groups))
    return max(start.amplitudes[nearest] / share, _AMPLITUDE[0])
