"""``EquateRegressor(teacher=...)``: labels that help are used, others are not."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone

from equate_srbench.expr.text.parser import parse
from equate_srbench.problem.archive import Archive
from equate_srbench.regressor import EquateRegressor
from equate_srbench.runtime.clock import Deadline
from equate_srbench.teacher import guide as guide_module
from equate_srbench.teacher.guide import guide
from equate_srbench.teacher.smooth import SmoothTeacher

QUICK = SmoothTeacher(hidden=(16, 16), max_steps=100, jacobian=0.05)


class Searched:
    """A search that finds the formulas it is told to, as the archive's labels allow."""

    def __init__(self, archive: Archive, rng: np.random.Generator, finds: list[str]) -> None:
        self.archive, self.rng, self.finds = archive, rng, finds

    def run(self, tick) -> None:
        """Find them."""
        tick("edit")
        self.archive.refine([parse(text, ["x0", "x1"]) for text in self.finds], "edit")

    def choose(self, select: str) -> object:
        """The most accurate."""
        return min(self.archive.candidates, key=lambda c: c.loss)


def run_guide(
    X: np.ndarray, y: np.ndarray, plain: str, taught: str, teacher: SmoothTeacher | str = QUICK
) -> tuple[guide_module.Verdict, Archive, list[Archive]]:
    """``guide`` with searches that find ``plain`` on the data's labels, else ``taught``."""
    archive, made = Archive(X, y, deadline=Deadline(600.0)), []

    def make(part: Archive, rng: np.random.Generator, rows: None) -> Searched:
        made.append(part)
        own = np.isin(part.y, y).all()
        return Searched(part, rng, [plain] if own else [taught])

    run = Searched(archive, np.random.default_rng(0), [])
    return guide(teacher, run, make, lambda phase: None), archive, made


@pytest.fixture
def noisy(rng) -> tuple[np.ndarray, np.ndarray]:
    """A bowl with noise."""
    X = rng.uniform(-2, 2, (160, 2))
    return X, X[:, 0] ** 2 + X[:, 1] + 0.2 * rng.standard_normal(160)


def test__guide__taught_formula_better__used_and_handed_over(noisy):
    """Its formula is in the archive, with constants fitted to the true labels."""
    verdict, archive, made = run_guide(*noisy, "x1", "x0**2 + 3*x1")
    assert verdict.used
    assert verdict.taught_r2 > verdict.plain_r2
    assert verdict.taught_r2 > 0.9
    wanted = parse("x0**2 + 3*x1", ["x0", "x1"]).skeleton
    found = next(c for c in archive.candidates if c.inner.skeleton == wanted)
    noise = found.loss / archive.variance
    assert noise < 0.05
    labelled = made[-1]  # all rows, and points between them
    assert len(labelled.y) == guide_module.POINTS
    np.testing.assert_array_equal(labelled.X[:160], noisy[0])
    for j in range(2):
        assert labelled.X[:, j].min() >= noisy[0][:, j].min()
        assert labelled.X[:, j].max() <= noisy[0][:, j].max()


def test__guide__taught_formula_no_better__not_used(noisy):
    """Nothing found on the teacher's labels gets into the archive, what was found before does."""
    verdict, archive, _ = run_guide(*noisy, "x1", "x0")
    assert not verdict.used
    assert "no better" in verdict.reason
    said = [c.inner for c in archive.candidates]
    assert parse("x1", ["x0", "x1"]) in said
    assert parse("x0", ["x0", "x1"]) not in said


def test__guide__formula_as_good_as_the_teacher__no_taught_search(noisy):
    """A teacher that knows less than the formula is not asked."""
    verdict, _, made = run_guide(*noisy, "x0**2 + x1", "x0")
    assert (verdict.used, len(made)) == (False, 1)
    assert "as well as the teacher" in verdict.reason


def test__guide__clean_labels__no_teacher_trained(rng, monkeypatch):
    """An exact formula on held rows ends the trial."""
    monkeypatch.setattr(guide_module, "train_grid", None)  # calling it would fail
    X = rng.uniform(-2, 2, (60, 2))
    verdict, *_ = run_guide(X, X[:, 0] * X[:, 1], "x0*x1", "x0")
    assert (verdict.used, verdict.reason) == (False, "the target has no noise")


@pytest.mark.parametrize("n_rows", [20, 1200])
def test__guide__size_out_of_range__left_alone(rng, n_rows):
    """Other sizes of tables cost no time."""
    X = rng.standard_normal((n_rows, 2))
    verdict, archive, made = run_guide(X, X[:, 0], "x0", "x1", "auto")
    assert not verdict.used
    assert f"{n_rows} rows" in verdict.reason
    assert not made
    assert len(archive) == 1


def test__guide__held_targets_changed__trials_see_the_same(noisy):
    """Rows that judge take no part in what they judge."""
    X, y = noisy
    other, order = y.copy(), np.random.default_rng(0)
    order.integers(2**31)  # as in ``guide``: the seed comes first
    held = np.sort(order.permutation(160)[:40])
    other[held] += 1e-3  # little, so that the verdict is the same
    one, two = (run_guide(X, labels, "x0", "x0**2 + x1")[2] for labels in (y, other))
    assert len(one) > 1
    for first, second in zip(one[:2], two[:2], strict=True):
        np.testing.assert_array_equal(first.X, second.X)
        np.testing.assert_array_equal(first.y, second.y)


@pytest.mark.parametrize("teacher", ["auto", QUICK])
def test__fit__teacher__verdict_in_diagnostics(noisy, teacher):
    """The whole estimator, in a moment; the parameter is left as it was."""
    est = EquateRegressor(max_time=2.0, preset="fast", teacher=teacher, random_state=0)
    est.fit(*noisy)
    verdict = est.diagnostics_["teacher"]
    assert set(verdict) >= {"used", "reason", "plain_r2", "teacher_r2"}
    assert np.isfinite(est.predict(noisy[0])).all()
    assert clone(est).teacher is not None
    if isinstance(teacher, SmoothTeacher):
        assert not hasattr(teacher, "n_features_in_")


def test__fit__teacher_diverges__not_used_and_said(noisy):
    """The fit goes on without it."""
    teacher = clone(QUICK).set_params(learning_rate=1e6)
    est = EquateRegressor(max_time=2.0, preset="fast", teacher=teacher, random_state=0)
    verdict = est.fit(*noisy).diagnostics_["teacher"]
    assert not verdict["used"]
    assert "diverged with learning_rate=1e+06" in verdict["reason"]
    assert est.score(*noisy) > 0.5


def test__fit__teacher_without_validation_rows__judged_all_the_same(noisy):
    """It cannot say how good it is; the rows held from the fit can."""
    teacher = clone(QUICK).set_params(validation_fraction=0.0)
    est = EquateRegressor(max_time=2.0, preset="fast", teacher=teacher, random_state=0)
    assert np.isfinite(est.fit(*noisy).diagnostics_["teacher"]["teacher_r2"])


def test__fit__other_teacher__value_error(noisy):
    """Not any word will do."""
    with pytest.raises(ValueError, match="'teacher' parameter"):
        EquateRegressor(teacher="smooth").fit(*noisy)


def test__fit__no_teacher__no_verdict():
    """The default changes nothing."""
    X = np.random.default_rng(0).uniform(1, 5, (60, 2))
    est = EquateRegressor(preset="fast", random_state=0).fit(X, X[:, 0] / X[:, 1])
    assert "teacher" not in est.diagnostics_
