"""A fit in the background: shown, stopped, failed."""

from __future__ import annotations

import threading

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="the extra `widgets` is not installed")

from equate_srbench import EquateRegressor
from equate_widgets import LiveFit


@pytest.fixture
def endless() -> tuple[np.ndarray, np.ndarray]:
    """A table on which a fit takes all its time."""
    rng = np.random.default_rng(0)
    X = rng.uniform(1, 5, (1000, 3))
    return X, np.sin(3 * X[:, 0]) * X[:, 1] + rng.normal(size=1000)


def test__fit__exact_table__finishes_and_shows_the_front():
    """``fit`` returns at once, ``result`` when it is done; the front is the estimator's."""
    X = np.random.default_rng(0).uniform(1, 5, (60, 2))
    live = LiveFit(EquateRegressor(random_state=0)).fit(X, X[:, 0] / X[:, 1])
    est = live.result()
    assert str(est.equation_) == "x0/x1"
    assert live.state["ending"] == "finished"
    assert live.state["equation"] == "x0/x1"
    assert live.state["front"]["equation"][-1]
    assert est.on_progress is None
    assert len(live.explore().children) == 3


def test__stop__while_running__keeps_the_result(endless):
    """The button's message ends the fit early with a usable model; own callbacks are told too."""
    began = threading.Event()
    told = []

    def own(progress):
        told.append(progress)
        began.set()

    est = EquateRegressor(max_time=300, random_state=0, on_progress=own)
    live = LiveFit(est).fit(*endless)
    assert began.wait(120)
    with pytest.raises(RuntimeError, match="still running"):
        live.fit(*endless)
    with pytest.raises(TimeoutError, match="still running"):
        live.result(timeout=0.01)
    live._handle_custom_msg({"do": "stop"}, [])
    est = live.result()
    assert est.fit_time_ < 300
    assert live.state["ending"].startswith("stopped")
    assert np.isfinite(est.predict(endless[0])).all()
    assert est.on_progress is own
    assert told[-1].front
    assert [p[0] for p in told[-1].front] == sorted({p[0] for p in told[-1].front})
    assert (np.diff([p[1] for p in told[-1].front]) > 0).all()


def test__fit__invalid_table__error_shown_and_raised():
    """The message stands in the view; ``result`` raises it."""
    live = LiveFit(EquateRegressor()).fit(np.full((5, 1), np.nan), np.ones(5))
    with pytest.raises(ValueError, match="NaN"):
        live.result()
    assert "NaN" in live.state["error"]
    assert not live.state["running"]


def test__result__before_fit__says_what_to_do():
    """Nothing to wait for."""
    with pytest.raises(RuntimeError, match="call fit"):
        LiveFit(EquateRegressor()).result()
