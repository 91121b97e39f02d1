"""Held-out examples: fixed, of their kind, and scored within a share of the time."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.pretrain import log
from equate_srbench.pretrain.corpus import held_out
from equate_srbench.pretrain.corpus.decontaminate import Filter
from equate_srbench.pretrain.corpus.examples import CorpusConfig
from equate_srbench.pretrain.log import LOG, Examination
from equate_srbench.pretrain.train import TrainingRun
from tests.pretrain.test_train import TINY, go


def test__held_out__kinds__are_what_they_say() -> None:
    """Noise, narrow ranges and decades where the name says so; no noise elsewhere."""
    for kind, law in held_out.KINDS.items():
        made = held_out._examples(kind, 12, Filter.shipped())
        assert len(made) == 12
        for e in made:
            columns = list(e.tree.columns)
            assert law is None or (e.spec.law[columns] == law).all()
        exact = [e for e in made if not e.spec.digits]
        found = [abs(np.corrcoef(evaluate(e.tree, e.X), e.y)[0, 1]) for e in exact]
        assert (min(found) > 1.0 - 1e-6) == (kind != "noisy"), kind


def test__held_out__twice__the_same_and_no_training_example() -> None:
    """Runs can be compared; a noise of one's own is for one table a formula."""
    one, two = held_out.held_out(6), held_out.held_out(6)
    for kind, batch in one.items():
        assert batch.points.shape[:2] == (6, held_out.N_POINTS)
        np.testing.assert_array_equal(batch.points, two[kind].points)
        np.testing.assert_array_equal(batch.tokens, two[kind].tokens)
    with pytest.raises(ValueError, match="needs tables=1"):
        CorpusConfig(noise=0.1, tables=2)


def test__examination__clock__stays_within_its_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing before the drawing is a small share of the time; then as often as it may."""
    now = [0.0]
    monkeypatch.setattr(log.time, "monotonic", lambda: now[0])

    def slow() -> dict[str, object]:
        now[0] += 3.0
        return made

    made = held_out.held_out(2)
    monkeypatch.setattr(log, "held_out", slow)
    state = TrainingRun(tmp_path, TINY, device="cpu").state
    examination = Examination(state, share=0.1)
    assert examination.take(30.0) == {}
    first = examination.take(50.0)
    assert set(first) == set(held_out.KINDS)
    assert all(0.0 < loss < 20.0 for loss in first.values())
    assert examination.take(59.0) == {}  # 3 s are spent, and would be again
    assert examination.take(61.0) == first


def test__pretrain__time_for_it__losses_are_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Columns of the log, also after a log from before had none."""
    go(tmp_path, 1)
    path = tmp_path / LOG
    with path.open(newline="") as file:
        rows = [row[:10] for row in csv.reader(file)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    monkeypatch.setattr(log, "_DRAWING", 0.0)
    go(tmp_path, 2)
    with path.open(newline="") as file:
        old, new = csv.DictReader(file)
    assert old["held_out_clean"] == ""
    assert old["loss"]
    assert all(float(new[f"held_out_{kind}"]) > 0.0 for kind in held_out.KINDS)
