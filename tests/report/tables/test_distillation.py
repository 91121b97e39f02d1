"""Rows of students and teachers as tables."""

from __future__ import annotations

import numpy as np
import pytest

from equate_srbench.report.tables import distillation
from tests.report.made_up import GAIN


def test__settings__strengths__zero_is_added_and_all_are_a_choice():
    """What the notebook and the tables agree on."""
    found = distillation.settings("e2e", [0.1, 0.01])
    assert [s["jacobian"] for s in found] == [[0.0], [0.01], [0.1], [0.0, 0.01, 0.1]]


def test__labelled__rows__know_what_they_are_for(students):
    """One variant for each way to learn."""
    assert set(students["student"]) == {"e2e"}
    assert students["variant"].value_counts().to_dict() == {
        "alone": 12, "standard": 12, "fixed": 12, "chosen": 12,
    }  # fmt: skip
    assert students.loc[students["variant"] == "alone", "teacher_r2"].isna().all()


def test__labelled__failed_and_wild_fits__count_zero(students):
    """No median is lost to a pole."""
    raw = students.drop(columns=["student", "variant", "score"]).head(2)
    raw = raw.assign(status=["error", "ok"], r2_test=[np.nan, -50.0])
    assert list(distillation.labelled(raw)["score"]) == [0.0, 0.0]


def test__by_dataset__gain__absolute_relative_and_significance(students):
    """Differences stand beside relative changes, tests are paired over seeds."""
    table = distillation.by_dataset(students)
    line = table.loc[("e2e", "better")]
    assert line["difference"] == pytest.approx(GAIN)
    assert line["relative"] == pytest.approx(GAIN / 0.525)
    assert line["p"] < 0.05
    assert table.loc[("e2e", "same"), "p"] == 1.0
    assert (table["p_holm"] >= table["p"]).all()


def test__by_student__gain__counts_and_words(students):
    """One line per student, and a sentence that says both changes."""
    table = distillation.by_student(students)
    line = table.loc["e2e"]
    assert (line["sets"], line["better"], line["worse"]) == (2, 1, 0)
    assert line["difference"] == pytest.approx(GAIN / 2)
    assert (line["nodes_standard"], line["nodes_chosen"]) == (11, 9)
    (said,) = distillation.describe(table)
    assert "+0.100" in said
    assert "better on 1 and worse on 0 of 2" in said


def test__tables__no_pair__empty(students):
    """A run without plain teachers is said to have nothing to compare."""
    some = students[students["variant"] == "chosen"]
    assert distillation.by_dataset(some).empty
    assert distillation.by_student(some).empty
    assert distillation.describe(distillation.by_student(some)) == []
