"""How the benchmark of ``lam="auto"`` judges."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "studies"


@pytest.fixture
def lam(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, which finds its neighbours."""
    if not FOLDER.is_dir():
        pytest.skip("an installed package has no studies beside it")
    monkeypatch.syspath_prepend(str(FOLDER))
    import lam

    return lam


def rows(lam: ModuleType, accuracy: dict[str, dict[float | str, list[float]]]) -> pd.DataFrame:
    """Rows of a run: test R2 by data set, value and seed."""
    return pd.DataFrame(
        [
            {"dataset": dataset, "seed": seed, "r2_test": r2, "status": "ok",
             "settings": json.dumps({"lam": value, "settings": lam.COUNTS})}
            for dataset, by_value in accuracy.items()
            for value, scores in by_value.items()
            for seed, r2 in enumerate(scores)
        ]
    )  # fmt: skip


def test__judged__two_sets__mean_over_seeds_and_best_value(lam: ModuleType) -> None:
    """R2 is clipped at 0 before the mean, and a fit without a result counts as 0."""
    frame = rows(lam, {
        "a": {0.0: [0.5, 0.7], 0.1: [0.9, 0.9], 0.5: [0.1, 0.1], 1.0: [0.1, 0.1],
              "auto": [0.89, 0.9]},
        "b": {0.0: [-5.0, 0.6], 0.1: [0.2, 0.2], 0.5: [0.1, 0.1], 1.0: [0.1, 0.1],
              "auto": [np.nan, 0.5]},
    })  # fmt: skip
    table, best = lam.judged(lam.labelled(frame))
    assert best == 0.1
    np.testing.assert_allclose(table.loc["a", [0.0, 0.1, "auto"]].astype(float), [0.6, 0.9, 0.895])
    np.testing.assert_allclose(table.loc["b", [0.0, 0.1, "auto"]].astype(float), [0.3, 0.2, 0.25])
    fixed = table.drop(columns="auto").max(axis=1)
    assert lam.no_worse(table, "auto", table[best]).startswith("100")
    assert lam.no_worse(table, "auto", fixed).startswith("50")


def test__judged__a_seed_without_all_values__takes_no_part(lam: ModuleType) -> None:
    """A stopped run compares what every value was run on."""
    frame = rows(lam, {"a": {v: [0.5, 0.1] for v in lam.VALUES}})
    table, _ = lam.judged(lam.labelled(frame.iloc[:-1]))
    assert (table.loc["a"] == 0.5).all()


def test__tasks__folder__every_fourth_set_all_values(lam: ModuleType, tmp_path: Path) -> None:
    """The sets of the published comparison, the same seeds and work for every value."""
    for name in "abcde":
        (tmp_path / f"{name}.csv").write_text("x,target\n1,2\n2,3\n")
    wanted = lam.tasks(str(tmp_path), seeds=2)
    assert {task.dataset for task in wanted} == {"a", "e"}
    assert len(wanted) == 2 * 2 * len(lam.VALUES)
    assert len({task.key for task in wanted}) == len(wanted)
