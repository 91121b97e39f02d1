"""Measured rows beside published results."""

from __future__ import annotations

import pandas as pd
import pytest

from equate_srbench.bench.rows import RowStore, make_row
from equate_srbench.bench.task import Task
from equate_srbench.report.comparison import published_overlay
from equate_srbench.report.comparison.compare_page import write_report
from equate_srbench.report.tables import compare


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


def stored(folder, suite: str, datasets: dict[str, float]) -> RowStore:
    """Two methods on some sets: R2 as given, and half of it."""
    store = RowStore(folder)
    for dataset, r2 in datasets.items():
        for method, share in (("equate", 1.0), ("linear", 0.5)):
            task = Task(suite, dataset, method)
            values = {"r2_test": share * r2, "recovered": share * r2 == 1.0, "short": False}
            store.write(
                make_row(
                    task, status="ok", total_seconds=1.0, complexity=7, model="x", **values
                )
            )  # fmt: skip
    return store


def test__beside__suite_with_published_shares__ours_first(tmp_path) -> None:
    """The share that is measured alike, with budget and machine, before the published ones."""
    store = stored(tmp_path, "fastsrb", {"a": 1.0, "b": 1.0 - 1e-8, "c": 0.9})
    table = published_overlay.beside(compare.blocks(store.frame())[0])
    assert table["is_published"].tolist()[:3] == [False, False, True]
    ours = table[~table["is_published"]].set_index("name")
    assert ours.loc["EQUATE", "value"] == pytest.approx(2 / 3)
    assert ours.loc["EQUATE", "budget"] == "10 s a fit (limit)"
    assert (ours["n_datasets"] == 3).all()
    assert table[["measure", "budget", "machine", "source"]].notna().all(axis=None)


def test__beside__rediscovered__beside_our_recovered(tmp_path) -> None:
    """Another judgement of the same thing; a figure that was not read again says so."""
    store = stored(tmp_path, "feynman", {"feynman_I_6_2": 1.0, "feynman_I_6_2a": 0.9})
    table = published_overlay.beside(compare.blocks(store.frame())[0])
    assert table.loc[table["name"] == "EQUATE", "value"].tolist() == [0.5]
    assert table.loc[table["is_published"], "source"].str.contains("not re-read").all()


def test__beside__published_set_by_set__r2_and_nodes(tmp_path) -> None:
    """First-principles sets have an R2 and a size each; sets that were not run have only that."""
    store = stored(tmp_path, "firstprinciples", {"first_principles_kepler": 0.99})
    table = published_overlay.beside(compare.blocks(store.frame())[0])
    kepler = table[table["measure"] == "R² of first_principles_kepler"].set_index("name")
    assert kepler.loc["EQUATE", ["value", "nodes"]].tolist() == [0.99, 7]
    assert kepler.iloc[-1][["value", "nodes"]].tolist() == [0.996, 10]
    assert (table["measure"] == "R² of first_principles_bode").sum() == 1


def test__beside__nothing_published__empty(tmp_path) -> None:
    """A suite of one's own has only what was measured."""
    store = stored(tmp_path, "classic", {"Nguyen-1": 1.0})
    assert published_overlay.beside(compare.blocks(store.frame())[0]).empty


def test__write_report__suite_with_published__on_the_page(tmp_path) -> None:
    """The page shows the published rows, and no heading for them where there are none."""
    for suite, shown in (("srsd", True), ("classic", False)):
        stored(tmp_path / suite, suite, {"a": 1.0, "b": 0.9})
        page = write_report(tmp_path / suite).read_text(encoding="utf-8")
        assert ("Published results on this suite" in page) is shown
        assert ("TiSR" in page) is shown
        assert '<th class="num">recovered</th>' in page
