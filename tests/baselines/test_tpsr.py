"""The backbone with planning as an estimator."""

import math

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from equate_srbench.backbone import checkpoint
from equate_srbench.baselines.e2e import E2ERegressor
from equate_srbench.baselines.tpsr import TPSRRegressor
from equate_srbench.formula_regressor import ConstantAnswerWarning


@pytest.fixture(scope="module")
def fitted(network, table):
    """One fit that several tests look at."""
    return plans(network).fit(*table)


def plans(network, **settings):
    """A planner on a random network, limited by evaluations, not by the clock."""
    given = {"max_evaluations": 60, "n_rollouts": 4, "random_state": 0, "max_length": 12}
    return TPSRRegressor(backbone=network, **(given | settings))


def test__fit__random_network__only_backbone_formulas(fitted):
    """Nothing but decoded formulas, counted."""
    assert set(fitted.candidates_["source"]) <= {"constant", "backbone"}
    counts = fitted.diagnostics_["planning"]
    assert counts["fitted"] == fitted.diagnostics_["tried"]["backbone"] >= 60
    assert counts["passes"] >= 1


def test__fit__caches__many_rollouts_need_no_decoder(fitted):
    """Known completions are not decoded again."""
    counts = fitted.diagnostics_["planning"]
    assert counts["decoded"] < 0.9 * counts["rollouts"]


def test__fit__budget_in_evaluations__is_kept_but_for_one_batch(network, table):
    """At most the batch under way comes on top."""
    est = plans(network, max_evaluations=20, n_bags=1).fit(*table)
    assert 20 <= est.diagnostics_["planning"]["fitted"] <= 20 + 2 * 4  # two views


def test__fit__select__answer_follows_the_rule(network, table, fitted):
    """Best reward by default, least error on request."""
    X, y = table
    accurate = plans(network, select="accurate").fit(X, y)
    losses = accurate.candidates_["loss"]
    assert np.mean((accurate.predict(X) - y) ** 2) == pytest.approx(losses.min(), rel=1e-9)
    found = fitted.trajectory_
    assert (np.diff(found["score"]) > 0).all()
    error = math.sqrt(np.mean((fitted.predict(X) - y) ** 2) / np.var(y))
    assert 1 / (1 + error) < found["score"].max() <= 1 / (1 + error) + 0.1


@pytest.mark.parametrize("rule", ["uct", "p-ucb"])
def test__fit__same_seed__same_formula(network, table, rule):
    """Everything follows from ``random_state``, also in a clone."""
    est = plans(network, rule=rule, random_state=3, max_evaluations=30)
    first = str(est.fit(*table).equation_)
    again = clone(est).fit(*table)
    assert first == str(again.equation_)
    assert list(est.candidates_["equation"]) == list(again.candidates_["equation"])


def test__fit__no_time__constant(network, table):
    """A fit without time still answers, and says what that is worth."""
    with pytest.warns(ConstantAnswerWarning, match="no formula was tried"):
        est = plans(network, max_time=1e-6).fit(*table)
    np.testing.assert_allclose(est.predict(table[0]), table[1].mean())


def test__fit__callback_says_stop__best_so_far(network, table):
    """Progress is told per token, and True ends the fit."""
    seen = []

    def stop(progress):
        seen.append(progress)
        return True

    est = plans(network, max_evaluations=None, on_progress=stop).fit(*table)
    assert len(seen) == 1
    assert seen[0].phase == "propose"
    assert np.isfinite(est.predict(table[0])).all()


def test__fit__nothing_better_for_long__ends(network):
    """A tiny table is soon read in every way, the fit does not wait for its time."""
    X = np.random.default_rng(0).normal(size=(5, 1))
    est = plans(network, max_evaluations=None, patience=1).fit(X, X[:, 0] ** 3)
    assert est.diagnostics_["planning"]["passes"] < 20


def test__fit__too_many_columns__names_and_warning(network):
    """Column names and the choice of columns work as in ``EquateRegressor``."""
    X = np.random.default_rng(0).uniform(1, 2, (60, 12))
    with pytest.warns(UserWarning, match="max_features"):
        est = plans(network, max_evaluations=20).fit(X, X[:, 0])
    assert est.predict(X).shape == (60,)


def test__fit__wrong_rule__refused(network, table):
    """Parameters are checked."""
    with pytest.raises(ValueError, match="rule"):
        plans(network, rule="ucb").fit(*table)


def test__get_params__both__have_no_preset():
    """The frame's preset is no parameter of the rivals."""
    assert "preset" not in TPSRRegressor().get_params()
    assert "preset" not in E2ERegressor().get_params()


def test__fit__shipped_weights__finds_a_ratio():
    """With the shipped backbone a plain quotient is found and the search ends by itself."""
    if not checkpoint.SHIPPED["compact"].exists():
        pytest.skip("the shipped backbone is not here yet")
    X = np.random.default_rng(1).uniform(1.0, 5.0, (100, 2))
    y = 3.0 * X[:, 0] / X[:, 1]
    est = TPSRRegressor(max_evaluations=2000, random_state=0).fit(X, y)
    assert est.score(X, y) > 1 - 1e-8


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the checks provoke warnings on purpose
@pytest.mark.parametrize("method", [E2ERegressor, TPSRRegressor])
def test__check_estimator__rivals_on_the_backbone__all_passed(method):
    """No failures; planning is limited by count, because a limit in seconds is not repeatable."""
    est = method(max_evaluations=40) if method is TPSRRegressor else method()
    results = check_estimator(est, on_fail=None, on_skip=None)
    found = {r["check_name"]: r["status"] for r in results if r["status"] not in ("passed",)}
    assert not {name: status for name, status in found.items() if status != "skipped"}
