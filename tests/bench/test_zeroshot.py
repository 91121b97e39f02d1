"""Scoring checkpoints: datasets, fits, and rows that are made once."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

from equate_srbench.backbone import checkpoint
from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.backbone.network import Backbone
from equate_srbench.bench import zeroshot
from equate_srbench.pretrain.scores import SYNTHETIC, read_rows


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder with two small untrained checkpoints, the later one first by name."""
    folder = tmp_path / "weights"
    folder.mkdir()
    shape = BackboneConfig(
        dim=32, encoder_dim=32, heads=2, encoder_heads=2, decoder_layers=1, encoder_layers=1
    )
    for name, examples in (("a", 20), ("b", 10)):
        card = {"training": {"examples": examples}}
        checkpoint.save(folder / f"{name}.safetensors", Backbone(shape), card)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with one made-up set per suite."""
    (tmp_path / "feynman.csv").write_text(
        'name,formula,variables\nf,2*p + 1,"[{""name"": ""p"", ""low"": 1, ""high"": 2}]"\n'
    )
    (tmp_path / "strogatz.csv").write_text('name,formula,variables\ns,x - y,"[""x"", ""y""]"\n')
    (tmp_path / "strogatz").mkdir()
    rows = "\n".join(f"{i}\t{i % 7}\t{i - i % 7}" for i in range(60))
    (tmp_path / "strogatz" / "s.tsv.gz").write_bytes(
        gzip.compress(f"x\ty\ttarget\n{rows}\n".encode())
    )
    return tmp_path


def test__main__folder_of_checkpoints__rows_are_made_once(
    weights: Path, data: Path, capsys, monkeypatch
) -> None:
    """A second call finds everything there; what is missing is made then."""
    rows = data / "rows.csv"
    words = [str(weights), "--data", str(data), "--rows", str(rows), "--seeds", "0",
             "--synthetic", "1"]  # fmt: skip
    zeroshot.main([*words, "--jobs", "2"])
    found = read_rows(rows)
    assert len(found) == 2 * (2 + 1)
    assert {s.examples for s in found} == {10, 20}
    assert {(s.suite, s.name) for s in found if s.suite != SYNTHETIC} == {
        ("feynman", "f"), ("strogatz", "s"),
    }  # fmt: skip
    assert "b.safetensors suites: 2 fits" in capsys.readouterr().out
    text = rows.read_text().splitlines(keepends=True)
    rows.write_text("".join(text[:-1]))
    calls = []
    monkeypatch.setattr(zeroshot, "fit", lambda job: calls.append(job) or found[-1])
    zeroshot.main(words)
    assert len(calls) == 1
    assert calls[0].key == found[-1].key


def test__fit__same_job__same_row(weights: Path, data: Path) -> None:
    """Scores can be repeated, on any row but the clock's."""
    table = zeroshot.read_suite(data / "strogatz.csv")[0]
    (job,) = zeroshot.jobs_of(weights / "a.safetensors", [table], [3])
    first, second = zeroshot.fit(job), zeroshot.fit(job)
    assert (first.r2, first.nodes, first.key) == (second.r2, second.nodes, job.key)
    assert (first.columns, first.true_nodes) == (2, 0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test__fit__answer_undefined_on_held_out_rows__minus_infinity(
    weights: Path, data: Path, monkeypatch
) -> None:
    """The mean of undefined squares is no score."""
    (job,) = zeroshot.jobs_of(
        weights / "a.safetensors", zeroshot.read_suite(data / "strogatz.csv"), [0]
    )

    class Undefined:
        equation_ = None

        def __init__(self, **_: object) -> None:
            pass

        def fit(self, X: np.ndarray, y: np.ndarray) -> Undefined:
            self.equation_ = self
            self.size = 1
            return self

        def predict(self, X: np.ndarray) -> np.ndarray:
            return np.full(len(X), np.nan)

    monkeypatch.setattr(zeroshot, "E2ERegressor", Undefined)
    assert zeroshot.fit(job).r2 == -np.inf


def test__draw_synthetic__twice__same_tables_whose_formula_is_known() -> None:
    """Formulas are judged by size and by their own variables."""
    first, second = zeroshot.draw_synthetic(5), zeroshot.draw_synthetic(5)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.y, b.y)
        assert np.isfinite(a.y).all()
        assert 1 <= a.columns <= a.X.shape[1]
        assert a.true_nodes >= 2


def test__main__nothing_to_score__one_line(data: Path, tmp_path: Path, capsys) -> None:
    """No checkpoint, no data, or a rows file that is another table."""
    shutil.rmtree(tmp_path / "weights", ignore_errors=True)
    (tmp_path / "empty").mkdir()
    tail = ["--data", str(data), "--rows", str(tmp_path / "rows.csv")]
    for words, said in (
        ([str(tmp_path / "empty"), *tail], "no checkpoint at"),
        (["compact", "--data", str(tmp_path / "empty"), *tail[2:]], "strogatz.csv"),
        ([str(tmp_path), *tail, "--jobs", "0"], "--jobs and --every must be at least 1"),
    ):
        with pytest.raises(SystemExit):
            zeroshot.main(words)
        assert said in capsys.readouterr().err
