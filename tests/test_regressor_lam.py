"""The weight of simplicity of ``EquateRegressor``: given, or chosen from the rows of the fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from equate_srbench.baselines.e2e import E2ERegressor
from equate_srbench.baselines.tpsr import TPSRRegressor
from equate_srbench.regressor import EquateRegressor

#: The published part on so few subsets and steps that a fit takes about a second.
FEW = {
    "n_subsets": 2, "samples": 1, "max_points": 40, "epochs": 1, "batch": 16, "max_rows": 40,
    "starts": 1, "steps": 2, "best_samples": 0, "max_length": 20, "stop_r2": 1.0,
}  # fmt: skip


def table(noise: float, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """A short law with noise as a share of its spread."""
    rng = np.random.default_rng(4)
    X = rng.uniform(1.0, 5.0, (n, 2))
    y = X[:, 0] / X[:, 1]
    return X, y + noise * y.std() * rng.normal(size=n)


def few(**params: Any) -> EquateRegressor:
    """Preset paper at its smallest."""
    return EquateRegressor(preset="paper", random_state=7, settings=FEW, **params)


def frame(est: EquateRegressor) -> pd.DataFrame:
    """Everything the fit found."""
    return est.candidates_.drop(columns="seconds")


def test__lam__a_number__is_used_as_it_is() -> None:
    """The default is .1, and scores are R2 plus that much simplicity."""
    X, y = table(0.5)
    est = few(lam=0.1).fit(X, y)
    assert est.lam_ == est.diagnostics_["lam"] == 0.1
    pd.testing.assert_frame_equal(frame(est), frame(few().fit(X, y)))
    brevity = (est.candidates_["score"] - est.candidates_["r2"].clip(-1, 1)) / 0.1
    assert brevity.between(0, 1).all()
    assert few(lam=2).fit(X, y).lam_ == 2


def test__lam__auto__same_seed_same_value_and_formulas() -> None:
    """Two fits agree in the value, and in everything they found."""
    X, y = table(0.5)
    first, again = few(lam="auto").fit(X, y), few(lam="auto").fit(X, y)
    assert first.lam_ == again.lam_ == first.diagnostics_["lam"]
    assert 0 < first.lam_ <= 1
    pd.testing.assert_frame_equal(frame(first), frame(again))


def test__lam__auto__grows_with_noise() -> None:
    """Exact rows ask for no simplicity; the more noise, the more of it."""
    exact, some, much = (few(lam="auto").fit(*table(noise)).lam_ for noise in (0.0, 0.2, 1.0))
    assert exact < 1e-6
    assert exact < some < much


def test__lam__auto__falls_with_rows() -> None:
    """The same noise on more rows hides less."""
    assert few(lam="auto").fit(*table(0.5, 600)).lam_ < few(lam="auto").fit(*table(0.5)).lam_


def test__lam__auto_and_rows_not_given__have_no_influence() -> None:
    """Whatever stands in the rows that are not fitted, the weight and the model are the same."""
    X, y = table(0.5)
    train, test = np.arange(0, 60, 2), np.arange(1, 60, 2)
    expected = few(lam="auto").fit(X[train], y[train])
    X[test], y[test] = np.nan, y[test][::-1]
    found = few(lam="auto").fit(X[train], y[train])
    assert found.lam_ == expected.lam_
    pd.testing.assert_frame_equal(frame(found), frame(expected))


@pytest.mark.parametrize(
    ("params", "n"), [({"settings": {"sources": ["edits"]}}, 20), ({}, 4)], ids=["edits", "rows"]
)
def test__lam__auto_without_a_backbone__is_the_default(params: dict[str, Any], n: int) -> None:
    """Where nothing is learnt from scores, the weight decides nothing and stays .1."""
    X, y = table(0.5, n)
    est = EquateRegressor(preset="fast", max_time=0.5, random_state=0, lam="auto", **params)
    assert est.fit(X, y).lam_ == 0.1


@pytest.mark.parametrize("lam", ["x", "Auto", -1, np.nan, None])
def test__lam__neither_number_nor_auto__says_what_it_may_be(lam: Any) -> None:
    """The message has the name, the range and the word."""
    est = EquateRegressor(lam=lam)
    with pytest.raises(ValueError, match=r"'lam'.*\[0.0, inf\).*'auto'"):
        est.fit(*table(0.0))
    with pytest.raises(NotFittedError):
        est.predict([[1.0, 2.0]])


@pytest.mark.parametrize("rival", [E2ERegressor, TPSRRegressor])
def test__lam__auto_where_nothing_is_trained__refused(rival: type) -> None:
    """There it is a part of the reward or of a report, and has to be given."""
    with pytest.raises(ValueError, match=r"'lam'.*must be a float"):
        rival(lam="auto").fit(*table(0.0))


def test__lam__clone_and_parameters__the_word_stays() -> None:
    """A fit changes no parameter: a copy chooses again."""
    est = few(lam="auto").fit(*table(0.2, 30))
    assert est.get_params()["lam"] == clone(est).lam == "auto"
    assert not hasattr(clone(est), "lam_")
    assert "lam='auto'" in repr(est)
