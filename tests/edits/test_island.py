"""One island: its race, its news, its parents."""

from __future__ import annotations

import numpy as np
import pytest

from equate_srbench.edits.edit_search import EditSearch, EditSettings
from equate_srbench.edits.island import Island
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.archive import Archive
from equate_srbench.refine.programs import Programs
from equate_srbench.runtime.clock import Deadline

FOREVER = Deadline()


def islands(y=lambda X: np.exp(X[:, 0] * X[:, 1]) + X[:, 2] ** 1.7) -> list[Island]:
    """The islands of a table after their starts."""
    X = np.random.default_rng(0).uniform(0.5, 2.0, (150, 3))
    archive = Archive(X, y(X), deadline=FOREVER)
    search = EditSearch(
        archive, [0, 1, 2], rng=np.random.default_rng(0), settings=EditSettings(library=500)
    )
    search._populate(FOREVER, [], None)
    return search.islands


def test__race__formulas_with_constants__are_not_lost_to_their_start():
    """The look fits constants: sin(3 x) starting from sin(x) passes."""
    island = islands(lambda X: np.sin(2.3 * X[:, 0]) * X[:, 1] + 0.2 * X[:, 2])[0]
    x, y, z = (Tree.variable(j) for j in range(3))
    wave = Tree.apply("sin", Tree.apply("mul", Tree.constant(2.0), x))
    law = Tree.apply("add", Tree.apply("mul", wave, y), Tree.apply("mul", Tree.constant(1.0), z))
    island.race(Programs([law]), 0, deadline=FOREVER)
    assert island.population.error.min() < 1e-19


def test__step__rounds__fit_more_and_get_better():
    """Looked at are more than refined, and errors only fall."""
    island = islands()[0]
    before, looked, refined = island.population.error[:, 0].copy(), island.looked, island.refined
    for _ in range(3):
        island.step(400, 40, deadline=FOREVER)
    assert island.looked - looked > island.refined - refined > 0
    assert (island.population.error[:, 0] <= before).all()
    assert (island.population.error[:, 0] < before).any()


def test__news__twice__nothing_new():
    """A formula is promoted once; what it gives is a formula for y."""
    for island in islands():
        island._promoted[:] = np.inf
        news = island.news()
        assert news
        assert island.news() == []
        y = evaluate(news[-1], island.library.X)  # the inverse of a transform may be undefined
        assert np.isfinite(y).mean() > 0.5


@pytest.mark.parametrize("scale", [1e160, -1e160, 1e-160, 0.0])
def test__grafts__scale_out_of_range__nothing_grafted(scale):
    """A formula of values near 1e-160 has a scale whose square no double holds."""
    island = islands()[0]
    assert len(island._grafts(10))
    island.population.scale[:] = scale
    assert len(island._grafts(10)) == 0


def test__race__over_deadline__changes_nothing():
    """No round after the time is up."""
    island = islands()[0]
    before = island.population.error.copy()
    island.race(Programs([]), 100, deadline=Deadline(0.0))
    np.testing.assert_array_equal(island.population.error, before)
