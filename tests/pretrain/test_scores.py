"""Rows of scores, and intervals over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from equate_srbench.pretrain import scores
from equate_srbench.pretrain.scores import SYNTHETIC, Score


def row(name: str = "a", seed: int = 0, r2: float = 1.0, **others) -> Score:
    """A row with the rest filled in."""
    facts = {
        "sha256": "f" * 64, "examples": 5, "suite": "s", "nodes": 3, "columns": 2,
        "true_nodes": 0, "seconds": 0.5,
    }  # fmt: skip
    return Score(name=name, seed=seed, r2=r2, **(facts | others))


def test__rows__written_and_read__the_same(tmp_path: Path) -> None:
    """Names with commas and undefined scores survive; a row made twice counts once."""
    path = tmp_path / "deep" / "rows.csv"
    wanted = [row('a,"b', r2=-np.inf), row(seed=1, r2=0.1 + 0.2)]
    assert scores.read_rows(path) == []
    for score in [*wanted, wanted[0]]:
        scores.append_row(path, score)
    assert scores.read_rows(path) == wanted


def test__rows__cut_short_by_a_kill__left_out_and_not_glued_to_the_next(tmp_path: Path) -> None:
    """Half a row is no row, and the next one begins on a line of its own."""
    path = tmp_path / "rows.csv"
    scores.append_row(path, row())
    with path.open("a") as file:
        file.write("abc,1,fey")
    scores.append_row(path, row(seed=1))
    assert [s.seed for s in scores.read_rows(path)] == [0, 1]


def test__read_rows__another_table__says_so(tmp_path: Path) -> None:
    """A wrong file is not taken for an empty one."""
    path = tmp_path / "rows.csv"
    path.write_text("step,loss\n1,2\n")
    with pytest.raises(ValueError, match="does not hold zero-shot scores"):
        scores.read_rows(path)


def test__table__a_seed_missing_in_one_set__left_out() -> None:
    """Only seeds with which every set was fitted are compared."""
    rows = [row("a", 0), row("a", 1), row("b", 1, r2=0.0)]
    sets, seeds, values = scores.table(rows, scores.solved)
    assert (sets, seeds, values.tolist()) == ([("s", "a"), ("s", "b")], [1], [[1.0], [0.0]])
    with pytest.raises(ValueError, match="no seed has scores on every dataset"):
        scores.mean_of([row("a", 0), row("b", 1)], scores.solved)


def test__bootstrap__many_draws__covers_the_mean_of_the_population() -> None:
    """Of 95 % intervals over sets, about 95 % hold the truth."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(100):
        chance = rng.beta(1.0, 1.0, size=(40, 1))  # sets differ, seeds vary around them
        interval = scores.bootstrap((rng.random((40, 5)) < chance).astype(float))
        hits += interval.low <= 0.5 <= interval.high
    assert 88 <= hits <= 100


def test__paired__same_fits__differences_of_what_both_have() -> None:
    """What both solve or miss widens nothing; what only one has is left out."""
    old = [row(f"d{i}", seed, r2=float(i % 2)) for i in range(30) for seed in range(3)]
    same = scores.bootstrap(scores.paired(old, old, scores.solved))
    assert same == scores.Interval(0.0, 0.0, 0.0)
    new = [row(s.name, s.seed, r2=1.0, sha256="e" * 64) for s in old] + [row("extra", 0)]
    gain = scores.bootstrap(scores.paired(new, old, scores.solved))
    assert gain.mean == 0.5
    assert 0.3 < gain.low < 0.5 < gain.high < 0.7
    assert scores.paired([row("other")], old, scores.solved).size == 0


def test__clipped_and_solved__undefined__zero() -> None:
    """A formula that is undefined on held-out rows counts as the mean."""
    assert (scores.clipped(row(r2=-np.inf)), scores.solved(row(r2=-np.inf))) == (0.0, 0.0)
    assert (scores.clipped(row(r2=0.995)), scores.solved(row(r2=0.995))) == (0.995, 1.0)
    assert scores.solved(row(r2=0.99)) == 0.0


def test__groups_of__synthetic__each_once_by_size_and_by_variables() -> None:
    """Other suites do not count here."""
    rows = [
        row(f"f{n}", suite=SYNTHETIC, true_nodes=n, columns=k)
        for n, k in ((2, 1), (6, 2), (10, 3), (11, 5), (30, 9))
    ]
    groups = scores.groups_of([*rows, row()])
    assert {label: len(part) for label, part in groups["nodes"].items()} == {
        "up to 5": 1, "6 to 10": 2, "11 to 15": 1, "over 15": 1,
    }  # fmt: skip
    assert list(groups["variables"]) == ["1", "2", "3", "4 or 5", "over 5"]
