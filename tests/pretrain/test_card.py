"""The model card says what was trained, for how long, and how well it does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from equate_srbench.backbone import checkpoint
from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.expr.tree import Tree
from equate_srbench.pretrain import card, scores, train
from equate_srbench.pretrain.corpus import CorpusConfig
from equate_srbench.pretrain.train import TrainConfig, pretrain

CONFIG = TrainConfig(
    backbone=BackboneConfig(
        dim=32, encoder_dim=32, heads=2, encoder_heads=2, decoder_layers=1, encoder_layers=1
    ),
    corpus=CorpusConfig(batch_points=384, batches=2),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run of two steps."""
    directory = tmp_path_factory.mktemp("run")
    pretrain(
        5.0, directory, config=CONFIG, device="cpu", workers=0, max_steps=2, report=lambda _: None
    )
    return directory


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with one made-up set per suite."""
    (tmp_path / "feynman.csv").write_text(
        'name,formula,variables\nf,2*p + 1,"[{""name"": ""p"", ""low"": 1, ""high"": 2}]"\n'
    )
    (tmp_path / "strogatz.csv").write_text('name,formula,variables\ns,x - y,"[""x"", ""y""]"\n')
    (tmp_path / "strogatz").mkdir()
    rows = "\n".join(f"{i}\t{i % 7}\t{i - i % 7}" for i in range(60))
    (tmp_path / "strogatz" / "s.tsv.gz").write_bytes(_gzip(f"x\ty\ttarget\n{rows}\n"))
    return tmp_path


def _gzip(text: str) -> bytes:
    import gzip

    return gzip.compress(text.encode())


def test__write_card__run_and_suites__facts_curve_and_scores(run: Path, data: Path) -> None:
    """One command writes card and curve beside the weights."""
    path = card.write_card(
        run / train.EXPORT, run, data, every=1, seeds=(0,), n_bags=1, n_samples=4
    )
    text = path.read_text()
    header = checkpoint.describe(run / train.EXPORT)
    assert header["sha256"][:16] in text
    assert f"{header['card']['training']['examples']:,} examples" in text
    assert "core-hours" in text
    assert "dropped for this" in text
    assert "| feynman | 1 |" in text
    assert "| strogatz | 1 |" in text
    assert f"({path.with_suffix('.svg').name})" in text
    assert path.with_suffix(".svg").read_text().lstrip().startswith("<?xml")


def test__score__callable__judged_on_held_out_rows() -> None:
    """Any fit can be scored: exact, useless and undefined answers."""
    rng = np.random.default_rng(0)
    X = rng.uniform(1.0, 2.0, (100, 1))
    tables = [scores.Table("line", X, X[:, 0])]
    minus = Tree.apply("sub", Tree.constant(0.0), Tree.variable(0))
    answers = [Tree.variable(0), Tree.constant(1.5), Tree.apply("log", minus)]
    r2 = [scores.score(lambda X, y, seed, t=t: t, tables)[0].r2 for t in answers]
    assert r2[0] == 1.0
    assert r2[1] < 0.1
    assert r2[2] == -np.inf
    assert scores.share(scores.score(lambda X, y, seed: answers[0], tables, (0, 1, 2))) == 1.0


def test__zero_shot__same_seed__same_tree(run: Path) -> None:
    """Scores can be repeated."""
    backbone = checkpoint.load(run / train.EXPORT)
    rng = np.random.default_rng(0)
    X = rng.uniform(1.0, 5.0, (80, 2))
    y = X[:, 0] * X[:, 1]
    first, second = (scores.zero_shot(backbone, X, y, 3, n_samples=8) for _ in range(2))
    assert first == second
