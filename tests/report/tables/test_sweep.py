"""A setting at several values, words among them."""

from __future__ import annotations

import pytest

from equate_srbench.report.tables import sweep
from tests.report.made_up import sweep_rows

VALUES = [1.0, "auto", 0.0]


def test__by_setting__numbers_and_a_word__numbers_first() -> None:
    """A word stands behind the numbers, and each value has its own fits."""
    table = sweep.by_setting(sweep_rows(VALUES), "lam")
    assert list(table["value"]) == [0.0, 1.0, "auto"]
    assert list(table["nodes"]) == [20, 10, 17]


def test__describe__a_word_among_the_values__is_named() -> None:
    """Sentences name values as they were given."""
    table = sweep.by_setting(sweep_rows([0.5, "auto"]), "lam")
    text = " ".join(sweep.describe(table, "lambda"))
    assert "lambda = auto" in text
    assert "lambda = 0.5" in text


def test__describe_auto__auto__range_and_median() -> None:
    """What auto came to is read from the fits; without auto there is nothing to say."""
    sentences = sweep.describe_auto(sweep_rows(VALUES), "lam", "lambda")
    assert sentences == ["auto chose lambda from 0.1 to 0.3, with a median of 0.2."]
    assert sweep.describe_auto(sweep_rows([0.0, 1.0]), "lam", "lambda") == []


@pytest.mark.parametrize(("noise", "share"), [(0.0, "100.0 %"), (0.1, "0.0 %")])
def test__describe_noise__two_levels__share_at_each(noise: float, share: str) -> None:
    """The sentence gives the share of accurate fits at the lowest and at the highest level."""
    from equate_srbench.report.tables import compare

    rows = sweep_rows([0.0])
    noisy = rows.assign(noise=0.1, r2_test=0.5)
    blocks = compare.blocks(rows) + compare.blocks(noisy)
    (sentence,) = sweep.describe_noise(sweep.noise_levels(blocks))
    assert f"{share} of the data sets at noise {noise:g}" in sentence or (
        f"{share} at {noise:g}" in sentence
    )
