"""Laws of one or two groups of columns are searched as laws of one or two columns."""

import numpy as np
import pytest

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.problem.archive import Archive
from equate_srbench.runtime.clock import Deadline
from equate_srbench.search.grouped_search import GroupedSearch


def searched(law, n_columns: int, deadline: Deadline) -> Archive:
    """An archive after the search, on 400 rows of a law."""
    X = np.random.default_rng(0).uniform(1.0, 4.0, (400, n_columns))
    archive = Archive(X, law(*X.T), deadline=deadline)
    GroupedSearch(archive, list(range(n_columns)), rng=np.random.default_rng(0)).run(deadline)
    return archive


@pytest.mark.parametrize(
    ("law", "n_columns"),
    [
        (lambda a, b, c, d: a * np.tanh(b * c / d), 4),
        (lambda a, b, c: np.log(1.0 + a * b) / (a * b * c), 3),
    ],
)
def test__run__law_of_a_group__exact(law, n_columns):
    """The group is a column, and what is outside of it a factor."""
    archive = searched(law, n_columns, Deadline(120.0))
    assert archive.is_exact(archive.best)
    np.testing.assert_allclose(evaluate(archive.best.tree, archive.X), archive.y, rtol=1e-7)


def test__run__no_groups__nothing_tried():
    """A law that no monomials span is left to the other searches."""
    archive = searched(lambda a, b, c: np.sin(9.0 * a) * np.cos(7.0 * b) + c, 3, Deadline(60.0))
    assert len(archive) == 1


def test__run__time_over__nothing_tried():
    """The deadline is respected from the start."""
    assert len(searched(lambda a, b: a / b + np.exp(a / b), 2, Deadline(0.0))) == 1
