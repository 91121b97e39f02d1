"""The output folder of a fit."""

from __future__ import annotations

from pathlib import Path

from equate_srbench.report.fit.page import render
from equate_srbench.report.tables.record import FitRecord
from equate_srbench.runtime.files import publish


def write_results(folder: Path, record: FitRecord) -> None:
    """Write all results of a fit, each file atomically.

    Parameters
    ----------
    folder : Path
        Receives ``equation.json`` (read by ``Equation.from_json``), ``front.csv``,
        ``candidates.csv``, ``trajectory.csv`` and ``report.html``, with numbers to 17 digits.
    record : FitRecord

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    publish(
        folder,
        {
            "equation.json": record.equation.to_json() + "\n",
            "front.csv": record.ranking().drop(columns="object").to_csv(index=False),
            "candidates.csv": record.candidates.to_csv(index=False),
            "trajectory.csv": record.trajectory.to_csv(index=False),
            "report.html": render(record),
        },
    )
