"""Least-squares constants of one formula and their covariance."""

import numpy as np
import pytest
from scipy.optimize import least_squares, root

from equate_srbench.expr.evaluate import evaluate, mean_square
from equate_srbench.expr.text.parser import parse
from equate_srbench.refine.one_formula import fit_constants
from equate_srbench.runtime.clock import Deadline

NAMES = ["a", "b"]


@pytest.fixture
def X():
    """A hundred positive rows."""
    return np.random.default_rng(0).uniform(0.5, 3.0, (100, 2))


@pytest.mark.parametrize("scale", [1e-200, 1e-150, 1e-9, 1.0, 1e12, 1e150, 1e200])
def test__fit_constants__exact_data__found_at_any_scale(X, scale):
    """Constants come back to 1e-9, whatever the unit of the target."""
    true = parse("2.5*exp(-0.7*a) + 0.3*b", NAMES)
    y = scale * evaluate(true, X)
    start = true.with_constants([c * s for c, s in zip(true.constants, (2 * scale, 1.3, scale),
                                                       strict=True)])  # fmt: skip
    fit = fit_constants(start, X, y)
    wanted = [2.5 * scale, -0.7, 0.3 * scale]
    np.testing.assert_allclose(fit.tree.constants, wanted, rtol=1e-9)


def test__fit_constants__linear_model__matches_closed_form(X):
    """Estimates and covariance are those of ordinary least squares."""
    rng = np.random.default_rng(1)
    y = 2.0 * X[:, 0] - 1.0 * X[:, 1] + 0.5 + 0.1 * rng.normal(size=100)
    fit = fit_constants(parse("1.1*a + 0.9*b + 0.2", NAMES), X, y)
    design = np.column_stack([X, np.ones(100)])
    best, rss, *_ = np.linalg.lstsq(design, y)
    np.testing.assert_allclose(fit.tree.constants, best, rtol=1e-11)
    covariance = rss[0] / 97 * np.linalg.inv(design.T @ design)
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-9)


def test__fit_constants__weights__count_like_repeated_rows(X):
    """A row of weight two is a row twice."""
    rng = np.random.default_rng(2)
    y = 2.0 * X[:, 0] + rng.normal(size=100)
    weights = rng.integers(0, 3, 100).astype(float)
    tree = parse("1.5*a + 0.1", NAMES)
    weighted = fit_constants(tree, X, y, weights)
    repeated = np.repeat(np.arange(100), weights.astype(int))
    plain = fit_constants(tree, X[repeated], y[repeated])
    np.testing.assert_allclose(weighted.tree.constants, plain.tree.constants, rtol=1e-10)
    np.testing.assert_allclose(weighted.loss, plain.loss, rtol=1e-9)


def test__fit_constants__held__stays(X):
    """Held constants keep their bits and have no variance."""
    y = 3.0 * X[:, 0] + X[:, 1]
    fit = fit_constants(parse("2*a + 1.5*b", NAMES), X, y, held={0})
    assert fit.tree.constants[0] == 2.0
    assert fit.covariance[0, 0] == 0.0
    assert fit.covariance[1, 1] > 0.0


def test__fit_constants__undetermined__nan_covariance(X):
    """Two constants for one degree of freedom have no variance of their own."""
    fit = fit_constants(parse("2*(3*a)", NAMES), X, X[:, 0])
    assert fit.loss < 1e-20
    assert np.isnan(fit.covariance).all()


@pytest.mark.parametrize("text", ["log(a - 5) + 2", "sqrt(a - 1)*2", "a + b"])
def test__fit_constants__nothing_to_do__unchanged(X, text):
    """Undefined formulas and formulas without free constants come back as they were."""
    tree = parse(text, NAMES)
    fit = fit_constants(tree, X, X[:, 0] + X[:, 1], held=range(len(tree.constants)))
    assert fit.tree == tree
    assert fit.loss == mean_square(tree, X, X[:, 0] + X[:, 1])


def test__fit_constants__step_off_the_domain__never_worse(X):
    """A formula that is defined only nearby is fitted from inside its domain."""
    y = np.log(X[:, 0] - 0.49)
    start = parse("1.5*log(a - 0.3)", NAMES)
    fit = fit_constants(start, X, y)
    assert fit.loss <= mean_square(start, X, y)
    assert np.isfinite(evaluate(fit.tree, X)).all()


def test__fit_constants__fewer_rows_than_constants__no_error(X):
    """Two rows and three constants: a fit, without a covariance."""
    fit = fit_constants(parse("2*a + 3*b + 1", NAMES), X[:2], np.array([1.0, 2.0]))
    assert fit.loss < 1e-15
    assert np.isnan(fit.covariance).all()


#: Formula with its true constants, and the same as a NumPy function of constants and columns.
MODELS = [
    ("2*exp(-0.5*a) + 0.3*b", lambda c, a, b: c[0] * np.exp(c[1] * a) + c[2] * b),
    ("1.5*sin(2.2*a + 0.4) + 0.7*b", lambda c, a, b: c[0] * np.sin(c[1] * a + c[2]) + c[3] * b),
    ("3.1/(a + 0.6) + 0.2*b**2", lambda c, a, b: c[0] / (a + c[1]) + c[2] * b**2),
    ("0.8*a**1.7*b**(-0.6)", lambda c, a, b: c[0] * a ** c[1] * b ** c[2]),
    ("2.4*log(a + 1.3) + 0.1", lambda c, a, b: c[0] * np.log(a + c[1]) + c[2]),
    ("1.2*tanh(0.9*a + 0.5*b) + 4", lambda c, a, b: c[0] * np.tanh(c[1] * a + c[2] * b) + c[3]),
    ("2.5*a/(b + 1.5) + 0.3", lambda c, a, b: c[0] * a / (b + c[1]) + c[2]),
    ("exp(0.4*a + 0.3*b) + 100", lambda c, a, b: np.exp(c[0] * a + c[1] * b) + c[2]),
    ("sqrt(2.3*a + 0.2) + 1e-3*b", lambda c, a, b: np.sqrt(c[0] * a + c[1]) + c[2] * b),
]


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.3])
@pytest.mark.parametrize(("text", "function"), MODELS, ids=[text for text, _ in MODELS])
def test__fit_constants__well_determined__those_of_scipy(X, text, function, noise):
    """Constants and covariance of nonlinear models agree with MINPACK's, weights included."""
    rng = np.random.default_rng(4)
    tree = parse(text, NAMES)
    y = evaluate(tree, X)
    y = y + noise * y.std() * rng.normal(size=100)
    weights = rng.uniform(0.5, 2.0, 100)
    start = tree.with_constants([1.05 * c for c in tree.constants])
    fit = fit_constants(start, X, y, weights)

    def residuals(c):
        return np.sqrt(weights) * (function(c, *X.T) - y)

    def slopes(c):  # complex steps: derivatives exact to rounding
        steps = 1j * np.diag(np.full(len(c), 1e-150))
        return np.array([residuals(c + step).imag / 1e-150 for step in steps]).T

    tight = {"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15, "x_scale": "jac"}
    near = least_squares(residuals, start.constants, slopes, method="lm", **tight).x
    norms = np.linalg.norm(slopes(near), axis=0)
    # comparing losses cannot get closer than this to the zero of the gradient
    best = root(lambda c: (slopes(c) / norms).T @ residuals(c), near, tol=1e-15).x
    np.testing.assert_allclose(best, near, rtol=1e-6)
    np.testing.assert_allclose(fit.tree.constants, best, rtol=1e-9)
    mean_squares = [
        np.average((f - y) ** 2, weights=weights)
        for f in (function(best, *X.T), evaluate(fit.tree, X))
    ]
    assert fit.loss == pytest.approx(mean_squares[1], rel=1e-12)
    assert mean_squares[1] <= mean_squares[0] * (1 + 1e-12) + 1e-28
    if noise:
        J = slopes(best)
        covariance = np.sum(residuals(best) ** 2) / (100 - len(best)) * np.linalg.inv(J.T @ J)
        np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-6)


def test__fit_constants__columns_that_are_not_used__may_hold_anything(X):
    """A column outside the formula may be NaN."""
    X = np.column_stack([X[:, 0], np.full(100, np.nan)])
    fit = fit_constants(parse("2*a + 1", NAMES), X, 3.0 * X[:, 0] - 1.0)
    np.testing.assert_allclose(fit.tree.constants, [3.0, -1.0], rtol=1e-12)


def test__fit_constants__rows_without_weight__are_no_observations(X):
    """Three rows that count and three constants leave no degree of freedom."""
    weights = np.zeros(100)
    weights[:3] = 1.0
    fit = fit_constants(parse("2*a + 3*b + 1", NAMES), X, np.sin(X[:, 0]), weights)
    assert fit.loss < 1e-20
    assert np.isnan(fit.covariance).all()


def test__fit_constants__vertical_tangent__row_left_out():
    """A root at the edge of its domain has constants and a covariance all the same."""
    X = np.linspace(0.0, 4.0, 60)[:, None]
    y = 2.0 * np.sqrt(X[:, 0]) + 0.01 * np.cos(9.0 * X[:, 0])
    fit = fit_constants(parse("1.5*sqrt(1.1*a)", ["a"]), X, y, held={1})
    assert fit.tree.constants[0] == pytest.approx(2.0 / np.sqrt(1.1), rel=1e-2)
    fit = fit_constants(parse("1.5*a**0.7", ["a"]), X, y)
    np.testing.assert_allclose(fit.tree.constants, [2.0, 0.5], rtol=1e-2)
    assert np.all(np.sqrt(np.diag(fit.covariance)) < 0.01)


def test__fit_constants__deadline_over__start_returned(X):
    """No time, no fit."""
    start = parse("2*exp(0.3*a)", NAMES)
    fit = fit_constants(start, X, 3.0 * np.exp(0.5 * X[:, 0]), deadline=Deadline(0.0))
    assert fit.tree == start
