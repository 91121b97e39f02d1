"""The model card says what was trained, for how long, and how well it does."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from equate_srbench.backbone import checkpoint, registry
from equate_srbench.pretrain import card, train
from equate_srbench.pretrain.scores import SYNTHETIC, append_row
from tests.pretrain.test_scores import row
from tests.pretrain.test_train import go


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run with checkpoints after 2 and 4 steps."""
    directory = tmp_path_factory.mktemp("run")
    (directory / "kept").mkdir()
    for steps in (2, 4):
        progress = go(directory, steps).progress
        kept = directory / "kept" / f"compact-{progress.examples}.safetensors"
        shutil.copy(directory / train.EXPORT, kept)
    return directory


def score(rows: Path, weights: Path, r2: float) -> None:
    """Rows for a checkpoint: two suites, two seeds, and three synthetic formulas."""
    header = checkpoint.describe(weights)
    own = {"sha256": header["sha256"], "examples": header["card"]["training"]["examples"]}
    for suite in ("feynman", "strogatz"):
        for i in range(4):
            for seed in range(2):
                append_row(rows, row(f"{suite}{i}", seed, r2, suite=suite, **own))
    for n in (3, 8, 20):
        append_row(rows, row(f"f{n}", suite=SYNTHETIC, true_nodes=n, r2=r2, **own))


def test__write_card__run_and_rows__facts_pictures_scores_and_comparison(
    run: Path, tmp_path: Path
) -> None:
    """One command writes card and pictures beside the weights."""
    rows, weights = tmp_path / "rows.csv", tmp_path / "compact.safetensors"
    shutil.copy(run / train.EXPORT, weights)
    old, new = sorted((run / "kept").glob("*.safetensors"))
    assert card.checkpoint.describe(new)["sha256"] == checkpoint.describe(weights)["sha256"]
    score(rows, old, 0.5)
    score(rows, new, 1.0)
    card.main(
        ["--weights", str(weights), "--run", str(run), "--rows", str(rows), "--against", str(old),
         "--checkpoints", str(run / "kept")]
    )  # fmt: skip
    text = (tmp_path / "compact.md").read_text()
    header = checkpoint.describe(weights)
    assert header["sha256"][:16] in text
    assert f"{header['card']['training']['examples']:,} examples" in text
    assert "core-hours" in text
    assert "**on CPU only**" in text
    assert "running average over the last steps" in text
    assert "dropped for this" in text
    assert "| feynman | 4 x 2 | 100.0% [100.0%, 100.0%] | 1.000 [1.000, 1.000] |" in text
    assert "| **together** | 8 x 2 |" in text
    assert "| nodes over 15 | 1 | 100.0%" in text
    assert registry.digest(weights)[:16] in text
    assert "| mean R2, negative as 0 | 8 x 2 | +0.500 [+0.500, +0.500] | better |" in text
    assert text.count("| 8 x 2 | 0.0% [0.0%, 0.0%] |") == 1
    assert "deepened" not in text
    for name in ("compact.svg", "compact-scores.svg"):
        assert f"]({name})" in text
        assert (tmp_path / name).read_text().lstrip().startswith("<?xml")


def test__write_card__no_rows__says_not_scored(run: Path, tmp_path: Path) -> None:
    """Nothing is invented."""
    weights = tmp_path / "compact.safetensors"
    shutil.copy(run / train.EXPORT, weights)
    text = card.write_card(weights).read_text()
    assert "Not scored." in text
    assert "svg" not in text


def test__render__a_deepened_run_on_two_devices__says_when_and_where(run: Path) -> None:
    """What is unusual about a run is in its table of facts."""
    subject = card.Subject.read(run / train.EXPORT, [])
    subject.progress.deepened.append({"examples": 1_436_800, "layers": [2, 6]})
    subject.progress.devices.append("NVIDIA H200")
    text = card.render(subject, n_forbidden=3)
    assert "| deepened | at 1,436,800 examples to 2 + 6 layers |" in text
    assert "on cpu, NVIDIA H200" in text
    assert "CPU only" not in text


def test__main__rows_missing_or_of_others__one_line(run: Path, tmp_path: Path, capsys) -> None:
    """A card without the scores asked for is not written."""
    weights, rows = tmp_path / "compact.safetensors", tmp_path / "rows.csv"
    shutil.copy(run / train.EXPORT, weights)
    for said in ("no scores at", "has no scores of"):
        with pytest.raises(SystemExit):
            card.main(["--weights", str(weights), "--rows", str(rows)])
        assert said in capsys.readouterr().err
        append_row(rows, row())
    assert not (tmp_path / "compact.md").exists()


def test__render__changed_filter_and_held_out__counts_of_each_part() -> None:
    """What was dropped is told for each filter; held-out losses are a table of at most 8 rows."""
    subject = card.Subject.read(checkpoint.SHIPPED["compact"], [])
    p = subject.progress
    before = asdict(p.counts) | {"kept": p.counts.kept - 100, "contaminated": 7}
    p.counts.contaminated = 9
    p.earlier = [{"examples": 1000, "filter": "old", "counts": before, "corpus": {}}]
    log = {"examples": [float(n) for n in range(20)]}
    log |= {f"held_out_{kind}": [float("nan"), *[1.25] * 19] for kind in card.KINDS}
    text = card.render(subject, n_forbidden=182, log=log)
    assert "Examples 0 to 1,000, filter `old`" in text
    assert "**7 were dropped for this**" in text
    assert "**2 were dropped for this**" in text
    assert text.count("| 1.250 | 1.250 | 1.250 | 1.250 |") == 8
    assert "Loss on held-out examples" not in card.render(subject, n_forbidden=182)
