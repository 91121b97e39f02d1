"""Transformed targets and their inverses; monomial factors."""

from __future__ import annotations

import numpy as np
import pytest

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.target_views import (
    COMPOSITIONS,
    IDENTITY,
    TRANSFORMS,
    monomial_factor,
    view,
)

X3 = np.random.default_rng(0).uniform(0.5, 3.0, (150, 3))
a = Tree.variable(0)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: t.name)
def test__transform__back_of_forward__is_the_target(transform):
    """Reading a perfect fit in a view back as a formula for y gives y."""
    y = np.linspace(-1.5, -0.2, 150) if "minus" in transform.name else np.linspace(0.2, 1.5, 150)
    seen = view(transform, X3, y, None)
    assert seen is not None
    table = seen.target[:, None]
    np.testing.assert_allclose(evaluate(seen.wrap(a), table), y, rtol=1e-12)


@pytest.mark.parametrize("transform", TRANSFORMS[:6], ids=lambda t: t.name)
def test__view__weights__turn_small_errors_into_errors_of_y(transform):
    """The weighted squared error of a nearly right target is the squared error of y."""
    y = np.random.default_rng(1).uniform(1.0, 2.0, 150)
    seen = view(transform, X3, y, None)
    moved = transform.forward(y + 1e-6)
    error = seen.weights * (moved - seen.target) ** 2
    np.testing.assert_allclose(error, 1e-12, rtol=1e-3)


def test__view__target_out_of_domain__is_none():
    """A view that some row does not allow is not offered."""
    y = np.linspace(-1.0, 1.0, 150)
    names = {t.name for t in TRANSFORMS if view(t, X3, y, None) is not None}
    assert "log" not in names
    assert "identity" in names


def test__monomial_factor__product_with_a_sum__finds_the_pure_powers():
    """Columns that enter as powers are divided out, the others stay."""
    y = 7.0 * X3[:, 0] ** 2 / (1.0 + X3[:, 1] * X3[:, 2])
    factor = monomial_factor(X3, y)
    assert factor is not None
    assert factor.columns == (0,)
    np.testing.assert_allclose(evaluate(factor, X3), X3[:, 0] ** 2)


def test__monomial_factor__sum_of_columns__is_none():
    """No column of a plain sum is a factor."""
    assert monomial_factor(X3, X3 @ [1.0, 2.0, 3.0]) is None


def test__identity__is_the_first_transform():
    """The plain view is the one that the search begins with."""
    assert TRANSFORMS[0] is IDENTITY


@pytest.mark.parametrize("transform", COMPOSITIONS, ids=lambda t: t.name)
def test__composition__where_it_is_defined__back_and_slope_are_right(transform):
    """The way back gives y on some range, and weights are those of the numerical slope."""
    seen = None
    for low, high in ((1.1, 1.5), (0.1, 0.9)):
        y = np.linspace(low, high, 150)
        seen = view(transform, X3, y, None)
        if seen is not None:
            np.testing.assert_allclose(evaluate(seen.wrap(a), seen.target[:, None]), y, rtol=1e-9)
            slope = (transform.forward(y + 1e-6) - transform.forward(y - 1e-6)) / 2e-6
            np.testing.assert_allclose(np.abs(transform.slope(y)), np.abs(slope), rtol=1e-4)
            return
    raise AssertionError(f"{transform.name} is defined on neither range")
