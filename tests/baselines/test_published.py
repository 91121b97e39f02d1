"""Published figures."""

import pytest

from equate_srbench.baselines.published import LABEL, published


def test__published__every_row__source_protocol_and_label():
    """No figure stands without where it is from and how it was measured."""
    table = published()
    assert (table["label"] == LABEL).all()
    for column in ("source", "protocol", "precision", "algorithm", "metric"):
        assert table[column].str.len().gt(0).all()
    keys = ["edition", "track", "data_group", "target_noise", "algorithm", "metric"]
    assert not table.duplicated(keys).any()


def test__published__ground_truth__known_figures():
    """Spot checks against SRBench 2021: ITEA and Operon on Feynman without noise."""
    table = published("ground-truth", "Feynman", 2021).query("target_noise == 0")
    rates = table[table["metric"] == "accuracy_solution_mean"].set_index("algorithm")["value"]
    assert len(rates) == 14
    assert 0 < rates["ITEA"] < rates["Operon"] < 1


def test__published__black_box__everything_a_triple_plot_needs():
    """Accuracy, size and time of the same methods."""
    table = published("black-box", "all").pivot_table(
        index="algorithm", columns="metric", values="value"
    )
    assert len(table) == 21
    assert set(table) == {"r2_test_median", "model_size_median", "training_time_s_median"}


def test__published__unknown_group__error_lists_the_known():
    """A typo gives no empty plot."""
    with pytest.raises(ValueError, match="use one of Feynman"):
        published(data_group="feynman")
