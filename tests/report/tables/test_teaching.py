"""Rows of students and teachers as tables and pictures."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from equate_srbench.report.figures import teaching_figures
from equate_srbench.report.tables import teaching

GAIN = 0.2


@pytest.fixture
def fits() -> pd.DataFrame:
    """Two data sets, six seeds: chosen strengths add ``GAIN`` on one, nothing on the other."""
    rows = []
    for setting in [{}, *teaching.settings("e2e", [0.1])]:
        method = "distilled" if setting else "e2e"
        chosen = len(setting.get("jacobian", [])) > 1
        for dataset in ("better", "same"):
            for seed in range(6):
                score = 0.5 + 0.01 * seed + GAIN * (chosen and dataset == "better")
                teacher = {"jacobian": setting["jacobian"][-1], "r2_test": 0.9} if setting else None
                rows.append({
                    "suite": "made-up", "dataset": dataset, "noise": 0.0, "seed": seed,
                    "method": method, "settings": json.dumps(setting), "status": "ok",
                    "r2_test": score, "complexity": 9 if chosen else 11,
                    "teacher": json.dumps(teacher),
                })  # fmt: skip
    return teaching.labelled(pd.DataFrame(rows))


def test__settings__strengths__zero_is_added_and_all_are_a_choice():
    """What the notebook and the tables agree on."""
    found = teaching.settings("e2e", [0.1, 0.01])
    assert [s["jacobian"] for s in found] == [[0.0], [0.01], [0.1], [0.0, 0.01, 0.1]]


def test__labelled__rows__know_what_they_are_for(fits):
    """One variant for each way to learn."""
    assert set(fits["student"]) == {"e2e"}
    assert fits["variant"].value_counts().to_dict() == {
        "alone": 12, "standard": 12, "fixed": 12, "chosen": 12,
    }  # fmt: skip
    assert fits.loc[fits["variant"] == "alone", "teacher_r2"].isna().all()


def test__labelled__failed_and_wild_fits__count_zero(fits):
    """No median is lost to a pole."""
    raw = fits.drop(columns=["student", "variant", "score"]).head(2)
    raw = raw.assign(status=["error", "ok"], r2_test=[np.nan, -50.0])
    assert list(teaching.labelled(raw)["score"]) == [0.0, 0.0]


def test__by_data_set__gain__absolute_relative_and_significance(fits):
    """Differences stand beside relative changes, tests are paired over seeds."""
    table = teaching.by_data_set(fits)
    line = table.loc[("e2e", "better")]
    assert line["difference"] == pytest.approx(GAIN)
    assert line["relative"] == pytest.approx(GAIN / 0.525)
    assert line["p"] < 0.05
    assert table.loc[("e2e", "same"), "p"] == 1.0
    assert (table["p_holm"] >= table["p"]).all()


def test__by_student__gain__counts_and_words(fits):
    """One line per student, and a sentence that says both changes."""
    table = teaching.by_student(fits)
    line = table.loc["e2e"]
    assert (line["sets"], line["better"], line["worse"]) == (2, 1, 0)
    assert line["difference"] == pytest.approx(GAIN / 2)
    assert (line["nodes_standard"], line["nodes_chosen"]) == (11, 9)
    (said,) = teaching.in_words(table)
    assert "+0.100" in said
    assert "better on 1 and worse on 0 of 2" in said


def test__tables__no_pair__empty(fits):
    """A run without plain teachers is said to have nothing to compare."""
    some = fits[fits["variant"] == "chosen"]
    assert teaching.by_data_set(some).empty
    assert teaching.by_student(some).empty
    assert teaching.in_words(teaching.by_student(some)) == []
    assert "No data set" in teaching.shown_data_sets(teaching.by_data_set(some)).forms["text/html"]


def test__figures__rows__drawn_or_none(fits):
    """Pictures of what there is."""
    assert len(teaching_figures.over_strength(fits).axes) == 2
    assert teaching_figures.over_strength(fits[fits["variant"] == "alone"]) is None
    table = teaching.by_data_set(fits)
    assert len(teaching_figures.differences(table).axes) == 1
    assert teaching_figures.differences(table.iloc[:0]) is None


def test__shown_data_sets__foreign_name__escaped(fits):
    """Names are text."""
    table = teaching.by_data_set(fits.assign(dataset="<img src=x>"))
    assert "<img" not in teaching.shown_data_sets(table).forms["text/html"]
