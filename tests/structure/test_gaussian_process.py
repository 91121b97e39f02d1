"""Gaussian processes: derivatives, leave-one-out residuals, components, scores."""

from __future__ import annotations

import numpy as np
import pytest

from equate_srbench.structure.gaussian_process import GaussianProcess


def table(n: int = 60, p: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Standardised rows of ``sin(x0) x1 + x2^2``."""
    X = np.random.default_rng(seed).normal(size=(n, p))
    y = np.sin(X[:, 0]) * X[:, 1] + X[:, 2] ** 2
    return X, (y - y.mean()) / y.std()


class Unfinished(GaussianProcess):
    """Keeps what its objective needs."""

    def _finish(self, theta: np.ndarray) -> None:
        self.theta = theta


@pytest.mark.parametrize("seed", range(5))
def test__objective__any_scales__gradient_is_that_of_differences(seed):
    """Also with groups that overlap and noise that differs by row."""
    rng = np.random.default_rng(seed)
    X, y = table(seed=seed)
    process = Unfinished(
        X, y, [(0, 1), (2,), (1, 3)], variances=rng.uniform(0.5, 1.5, len(y)), evaluations=3
    )
    theta = 0.5 * rng.normal(size=process.n_parameters)
    steps = 1e-5 * np.eye(len(theta))
    values = [process._objective(theta + s)[0] - process._objective(theta - s)[0] for s in steps]
    np.testing.assert_allclose(process._objective(theta)[1], np.array(values) / 2e-5, atol=1e-5)


def test__left_out__each_row__is_its_residual_from_the_others():
    """The closed form against a process without the row."""
    X, y = table(n=25)
    process = GaussianProcess(X, y, [(0, 1, 2)])
    noise = process.scales.noise**2
    kernel = process._cross(X, (0, 1, 2)) + noise * np.eye(len(y))
    for i in range(5):
        others = np.arange(len(y)) != i
        weights = np.linalg.solve(kernel[np.ix_(others, others)], y[others])
        assert process.left_out[i] == pytest.approx(y[i] - kernel[i, others] @ weights, abs=1e-6)


def test__gradient__of_the_mean__is_that_of_differences():
    """In every column, also one that no group has."""
    X, y = table()
    process = GaussianProcess(X, y, [(0, 1), (2,)])
    steps = 1e-3 * np.eye(X.shape[1])
    slopes = [(process.predict(X + s) - process.predict(X - s)) / 2e-3 for s in steps]
    np.testing.assert_allclose(process.gradient(X), np.array(slopes).T, atol=1e-3)


def test__predict__groups__components_add_up():
    """The mean is the sum of the components."""
    X, y = table()
    process = GaussianProcess(X, y, [(0, 1), (2,)])
    parts = process.predict(X, (0, 1)) + process.predict(X, (2,))
    np.testing.assert_allclose(parts, process.predict(X), atol=1e-6)


def test__evidence__groups_of_the_law__is_larger_than_of_others():
    """The right grouping beats the joint process and a wrong grouping."""
    X, y = table(n=120)
    right, joint, wrong = (
        GaussianProcess(X, y, groups).evidence
        for groups in ([(0, 1), (2,)], [(0, 1, 2)], [(0,), (1, 2)])
    )
    assert right > joint + 10.0
    assert right > wrong + 10.0


def test__score__missing_interaction__is_the_largest():
    """The pair whose interaction an additive process lacks has the largest score."""
    X, y = table(n=120)
    process = GaussianProcess(X, y, [(0,), (1,), (2,)])
    scores = {pair: process.score(pair) for pair in ((0, 1), (0, 2), (1, 2))}
    assert max(scores, key=scores.__getitem__) == (0, 1)
    assert scores[0, 1] > 3.0
