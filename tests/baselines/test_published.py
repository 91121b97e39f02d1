"""Published figures."""

import pytest

from equate_srbench.baselines.published import LABEL, published, published_on


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


@pytest.mark.parametrize("suite", ["fastsrb", "srsd", "feynman", "firstprinciples"])
def test__published_on__every_row__budget_machine_and_source(suite):
    """What a figure took and where it is from, or that this is not stated."""
    table = published_on(suite, 0.0)
    assert len(table)
    for column in ("algorithm", "metric", "budget", "machine", "source", "label"):
        assert table[column].str.len().gt(0).all()
    assert table["checked"].isin(["yes", "no"]).all()
    assert table["value"].between(0, 1).all()
    assert set(table["metric"]) <= {"single_precision", "rediscovered", "exact_form", "r2_test"}
    assert not table.duplicated(["dataset", "algorithm", "metric", "budget"]).any()


def test__published_on__fastsrb__known_figures_within_their_intervals():
    """Spot checks against srbf's results: PySR with and without noise, more time is better."""
    clean, noisy = (published_on("fastsrb", noise) for noise in (0.0, 0.01))
    pysr = clean[clean["algorithm"] == "PySR"]
    assert pysr["value"].is_monotonic_increasing
    assert pysr["value"].iloc[0] == pytest.approx(0.323, abs=1e-3)
    assert (clean["low"] <= clean["value"]).all()
    assert (clean["value"] <= clean["high"]).all()
    assert noisy.set_index("algorithm")["value"]["PySR"] == pytest.approx(0.256, abs=1e-3)
    assert published_on("fastsrb", 0.5).empty
    assert published_on("mine", 0.0).empty
