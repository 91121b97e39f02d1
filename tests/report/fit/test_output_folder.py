"""The folder that a fit leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from equate_srbench.equation import Equation
from equate_srbench.report.fit.output_folder import write_results
from equate_srbench.report.tables.record import FitRecord


def test__write_results__folder__reads_back_exactly(
    make_record: Callable[..., FitRecord], tmp_path: Path
) -> None:
    """The formula and the numbers come back bit by bit."""
    record = make_record()
    folder = tmp_path / "run"
    write_results(folder, record)
    text = (folder / "equation.json").read_text(encoding="utf-8")
    assert Equation.from_json(text) == record.equation
    candidates = pd.read_csv(folder / "candidates.csv")
    assert (candidates["loss"] == record.candidates["loss"]).all()
    front = pd.read_csv(folder / "front.csv")
    assert front["chosen"].sum() == 1
    assert len(pd.read_csv(folder / "trajectory.csv")) == len(record.trajectory)
    assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
