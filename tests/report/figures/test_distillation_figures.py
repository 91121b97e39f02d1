"""Figures of students and teachers."""

from __future__ import annotations

import pandas as pd

from equate_srbench.report.figures import distillation_figures
from equate_srbench.report.tables import distillation


def test__figures__rows__drawn_or_none(students: pd.DataFrame) -> None:
    """Figures of what there is."""
    assert len(distillation_figures.r2_by_strength(students).axes) == 2
    alone = students[students["variant"] == "alone"]
    assert distillation_figures.r2_by_strength(alone) is None
    table = distillation.by_dataset(students)
    assert len(distillation_figures.differences(table).axes) == 1
    assert distillation_figures.differences(table.iloc[:0]) is None
