"""Measured rows beside published results."""

from __future__ import annotations

import pandas as pd

from equate_srbench.report.comparison import published_overlay


def rows(dataset: str, noise: float = 0.0) -> pd.DataFrame:
    """One exact fit on a data set."""
    return pd.DataFrame(
        [{"dataset": dataset, "method": "equate", "noise": noise, "acc999": True, "solved": True}]
    )


def test__overlays__ground_truth_rows__measured_and_published() -> None:
    """One group with our method and many published ones, drawn and described."""
    (overlay,) = published_overlay.overlays(rows("strogatz_bacres1"))
    assert overlay.measured["name"].tolist() == ["EQUATE"]
    assert overlay.table["is_published"].sum() > 5
    assert overlay.sentence.startswith("Strogatz: EQUATE has R² > .999 on 100.0 %")
    assert "0 of" in overlay.sentence
    assert len(published_overlay.draw(overlay).axes) == 2


def test__overlays__unpublished_group_or_noise__none() -> None:
    """Nothing is compared that was not published."""
    assert published_overlay.overlays(rows("mine")) == []
    assert published_overlay.overlays(rows("strogatz_bacres1", noise=0.5)) == []
