"""Methods by name."""

import numpy as np
import pandas as pd
import pytest
import sympy

from equate_srbench.baselines import methods


@pytest.mark.parametrize(
    ("name", "key"), [("tfs", "tpsr"), ("Equate", "equate"), ("a.b:C", "a.b:C"), ("hgb", "hgb")]
)
def test__resolve__aliases_and_classes__key(name, key):
    """Aliases lead to keys, a class stays as it is."""
    assert methods.resolve(name) == key


def test__resolve__typo__error_with_the_right_name():
    """A typo is answered with what was meant."""
    with pytest.raises(ValueError, match=r"unknown method 'opern'.*did you mean 'operon'"):
        methods.resolve("opern")


def test__methods__all_of_them__are_complete_and_told_apart():
    """Each has a class that is there, a line about it, and a look of its own."""
    specs = methods.METHODS.values()
    assert all(key == s.key for key, s in methods.METHODS.items())
    assert all(callable(methods._load(s.home)) and s.about for s in specs)
    for field in ("label", "colour", "marker"):
        assert len({getattr(s, field) for s in specs}) == len(specs)
    aliases = [alias for s in specs for alias in s.aliases]
    assert len(set(aliases)) == len(aliases)
    assert not set(aliases) & set(methods.METHODS)


@pytest.mark.parametrize(
    ("name", "preset"), [("equate", "default"), ("equate-paper", "paper"), ("equate-fast", "fast")]
)
def test__make__presets__are_set_with_time_and_seed(name, preset):
    """Common parameters and the method's own arrive in the estimator."""
    est = methods.make(name, max_time=3.0, random_state=7, lam=0.5)
    seconds = 2.0 if name == "equate-fast" else 3.0  # the method that is fast stays fast
    assert (est.preset, est.max_time, est.random_state, est.lam) == (preset, seconds, 7, 0.5)


def test__make__student__is_a_method_in_its_turn():
    """By name, or with parameters of its own, as JSON can say it."""
    est = methods.make("distilled", max_time=9.0, random_state=7, jacobian=[0.0])
    assert (est.student.preset, est.max_time, est.jacobian) == ("fast", 9.0, [0.0])
    named = methods.make("distilled", student={"method": "equate", "lam": 0.5})
    assert (named.student.preset, named.student.lam) == ("default", 0.5)
    with pytest.raises(ValueError, match="unknown method 'equat'"):
        methods.make("distilled", student="equat")


def test__make__estimator_without_seed_and_time__goes_without():
    """A reference point takes no parameters it does not know."""
    est = methods.make("linear", max_time=3.0, random_state=7)
    X = np.arange(10.0)[:, None]
    assert est.fit(X, 2 * X[:, 0]).score(X, 2 * X[:, 0]) == 1.0
    assert methods.make("hgb", random_state=7).random_state == 7


def test__make__unknown_setting__error_lists_the_known():
    """A misspelt setting is not passed over."""
    with pytest.raises(ValueError, match=r"no setting 'presett': it has .*preset"):
        methods.make("equate", presett="fast")


@pytest.mark.parametrize(
    ("name", "message"),
    [("no.such.module:A", "no module 'no.such.module'"), ("sklearn.dummy:No", "has no 'No'")],
)
def test__make__class_that_is_not_there__clear_error(name, message):
    """The part of the name that is wrong is named."""
    with pytest.raises(ValueError, match=message):
        methods.make(name)


def test__make__class_path__any_regressor():
    """Any scikit-learn regressor is a method."""
    est = methods.make("sklearn.dummy:DummyRegressor", strategy="median")
    assert est.strategy == "median"


def test__model_string__formula__in_the_names_of_the_table():
    """A formula estimator speaks in the names of the columns it is given."""
    X = pd.DataFrame({"m": np.arange(1.0, 30.0), "a": 2.0 + np.cos(np.arange(29.0))})
    est = methods.make("equate-fast", random_state=0).fit(X, X["m"] * X["a"])
    formula = sympy.sympify(methods.model_string(est, X))
    assert {symbol.name for symbol in formula.free_symbols} <= {"m", "a"}
    values = [float(formula.subs(row)) for row in X.to_dict("records")]
    np.testing.assert_allclose(values, est.predict(X), rtol=1e-9)


def test__model_string__no_formula__none():
    """Reference points have no formula."""
    X = np.arange(30.0)[:, None]
    assert methods.model_string(methods.make("linear").fit(X, X[:, 0])) is None
