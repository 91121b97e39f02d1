"""The plain backbone as an estimator."""

import numpy as np
import pytest
from sklearn.base import clone

from equate_srbench.baselines.e2e import E2ERegressor, draw_bags
from equate_srbench.formula_regressor import ConstantAnswerWarning


def test__fit__random_network__only_backbone_formulas_and_few_of_them(network, table):
    """Nothing but decoded formulas, at most ``n_refine`` refined."""
    est = E2ERegressor(backbone=network, n_samples=5, temperature=1.0, n_refine=4, random_state=0)
    est.fit(*table)
    sources = est.candidates_["source"].value_counts()
    assert set(sources.index) <= {"constant", "backbone"}
    assert 1 <= sources["backbone"] <= 4
    assert set(est.trajectory_["source"]) == {"backbone"}


def test__fit__select_accurate__answer_has_the_least_error(network, table):
    """The answer is the best refined candidate on the fit rows."""
    est = E2ERegressor(backbone=network, temperature=1.0, random_state=0).fit(*table)
    residual = np.mean((est.predict(table[0]) - table[1]) ** 2)
    assert residual == pytest.approx(est.candidates_["loss"].min(), rel=1e-9)


def test__fit__same_seed__same_formula(network, table):
    """Everything follows from ``random_state``, also in a clone."""
    est = E2ERegressor(backbone=network, temperature=1.0, random_state=3)
    assert str(est.fit(*table).equation_) == str(clone(est).fit(*table).equation_)


def test__fit__no_time__constant(network, table):
    """A fit without time still answers, and says what that is worth."""
    with pytest.warns(ConstantAnswerWarning, match="no formula was tried"):
        est = E2ERegressor(backbone=network, max_time=1e-6, random_state=0).fit(*table)
    np.testing.assert_allclose(est.predict(table[0]), table[1].mean())


@pytest.mark.parametrize(("n", "sizes"), [(5, [5]), (205, [200]), (450, [200, 200, 50])])
def test__draw_bags__rows__are_disjoint_and_a_small_rest_is_left_out(n, sizes):
    """Bags of 200 without repeated rows."""
    bags = draw_bags(n, 10, np.random.default_rng(0))
    assert [len(b) for b in bags] == sizes
    rows = np.concatenate(bags)
    assert len(set(rows.tolist())) == len(rows)
    assert rows.max() < n


def test__fit__shipped_weights__finds_a_ratio():
    """The shipped backbone reads a plain quotient off the table."""
    X = np.random.default_rng(1).uniform(1.0, 5.0, (100, 2))
    y = 3.0 * X[:, 0] / X[:, 1]
    est = E2ERegressor(temperature=0.5, n_refine=50, random_state=0).fit(X, y)
    assert est.score(X, y) > 0.99
