"""Least-squares constants of one formula."""

import numpy as np
import pytest

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.fitting import fit_constants, mean_square
from equate_srbench.expr.text.parser import parse

NAMES = ["a", "b"]


@pytest.fixture
def X():
    """A hundred positive rows."""
    return np.random.default_rng(0).uniform(0.5, 3.0, (100, 2))


@pytest.mark.parametrize("scale", [1e-150, 1e-9, 1.0, 1e12, 1e150])
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
    np.testing.assert_allclose(fit.tree.constants, best, rtol=1e-7)
    covariance = rss[0] / 97 * np.linalg.inv(design.T @ design)
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-4)


def test__fit_constants__weights__count_like_repeated_rows(X):
    """A row of weight two is a row twice."""
    rng = np.random.default_rng(2)
    y = 2.0 * X[:, 0] + rng.normal(size=100)
    weights = rng.integers(0, 3, 100).astype(float)
    tree = parse("1.5*a + 0.1", NAMES)
    weighted = fit_constants(tree, X, y, weights)
    repeated = np.repeat(np.arange(100), weights.astype(int))
    plain = fit_constants(tree, X[repeated], y[repeated])
    np.testing.assert_allclose(weighted.tree.constants, plain.tree.constants, rtol=1e-6)
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
