"""Amortised alignment: lessons, resuming, export."""

from itertools import islice

import pytest
import torch

from equate_srbench.backbone import checkpoint
from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.backbone.network import Backbone
from equate_srbench.equate import pretrained
from equate_srbench.expr.algebra import normal
from equate_srbench.pretrain import alignment_training
from equate_srbench.pretrain.alignment_training import AlignmentConfig, Run, Teacher, train
from equate_srbench.pretrain.corpus.decontaminate import Filter

CONFIG = AlignmentConfig(tables=3, block=2, part=8, points=(24,), warm_up=2, lr=3e-3)


@pytest.fixture(scope="module")
def backbone():
    """Small random weights."""
    state = torch.get_rng_state()
    torch.manual_seed(0)
    sizes = {"dim": 32, "encoder_dim": 24, "heads": 4, "encoder_heads": 2, "max_length": 40}
    network = Backbone(BackboneConfig(**sizes, decoder_layers=1, encoder_layers=1)).eval()
    torch.nn.init.normal_(network.decoder.embeddings.weight, std=0.1)
    torch.set_rng_state(state)
    return network.requires_grad_(False)


@pytest.fixture(scope="module")
def network(backbone, tmp_path_factory):
    """The same on disk."""
    path = tmp_path_factory.mktemp("network") / "tiny.safetensors"
    checkpoint.save(path, backbone, {})
    return path


def lessons(backbone, n, stream=1):
    """The first lessons of a stream."""
    return list(islice(Teacher(backbone, backbone, CONFIG, stream).lessons(), n))


def test__lessons__formulas__are_distinct_scored_and_sorted_by_length(backbone):
    """Every table comes with good and bad formulas; parts hold similar lengths."""
    vocabulary = backbone.vocabulary
    for lesson in lessons(backbone, 3):
        seen = set()
        lengths = []
        for part in lesson.parts:
            ids = [
                tuple(row[:n].tolist())
                for row, n in zip(part.formulas.body, part.formulas.lengths, strict=True)
            ]
            rows = list(zip(part.table.tolist(), ids, strict=True))
            assert not seen & set(rows)
            seen |= set(rows)
            lengths += part.formulas.lengths.tolist()
            assert all(vocabulary.decode(i).is_valid() for i in ids)
            assert ((part.scores >= -1.0) & (part.scores <= 1.1)).all()
        assert lengths == sorted(lengths)
        assert len(lesson) == len(lengths) == len(seen)
        assert {table for table, _ in seen} == {0, 1, 2}


def test__lessons__no_benchmark_formula_is_taught(backbone):
    """Edits of training formulas pass the same filter as the corpus."""
    banned = Filter.shipped()
    for lesson in lessons(backbone, 2):
        for part in lesson.parts:
            for row, n in zip(part.formulas.body, part.formulas.lengths, strict=True):
                tree = backbone.vocabulary.decode(row[:n].tolist())
                assert not banned.matches(normal.from_tree(tree))


def test__lessons__same_stream__same_formulas(backbone):
    """Lessons follow from seed and stream, and streams differ."""
    first, again, other = (lessons(backbone, 1, s)[0] for s in (1, 1, 2))
    tokens = [x.parts[0].formulas.tokens for x in (first, again, other)]
    assert torch.equal(tokens[0], tokens[1])
    assert tokens[0].shape != tokens[2].shape or not torch.equal(tokens[0], tokens[2])


def test__run__steps__change_the_modules_and_nothing_else(backbone, network, tmp_path):
    """The backbone stays frozen."""
    run = Run(tmp_path, network, CONFIG)
    before = [t.clone() for t in run.parameters]
    for _ in range(3):
        run.step(1.0)
    assert all(not torch.equal(a, b) for a, b in zip(before, run.parameters, strict=True))
    for (name, t), own in zip(
        backbone.state_dict().items(), run.backbone.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(t, own, atol=1e-3, rtol=1e-3, msg=name)
    assert run.progress.step == 3
    assert run.progress.formulas > 9


def test__train__twice__goes_on_where_it_stopped(network, tmp_path):
    """Weights, optimiser and counters are taken up again; the export fits its backbone."""
    export = tmp_path / "alignment.safetensors"
    lines: list[str] = []
    options = {"backbone": network, "config": CONFIG, "export": export, "report": lines.append}
    train(0.01, tmp_path / "run", **options)
    first = Run(tmp_path / "run", network, CONFIG)
    scores = train(0.01, tmp_path / "run", **options)
    second = Run(tmp_path / "run", network, CONFIG)
    assert second.progress.step > first.progress.step > 0
    assert second.optimiser.steps == second.progress.step
    assert second.progress.backbones == 1
    assert scores.keys() == {"reconstruction", "score", "rank_correlation", "gate"}
    found = pretrained.load(network, export)
    assert found is not None
    assert second.sha256 in export.with_suffix(".md").read_text()
    assert pretrained.describe(export)["card"]["training"]["step"] == second.progress.step


def test__run__another_backbone__keeps_weights_and_says_so(backbone, network, tmp_path):
    """A newer state of the backbone starts from the modules of the older one."""
    first = Run(tmp_path / "run", network, CONFIG)
    first.step(1.0)
    first.save()
    newer = tmp_path / "newer.safetensors"
    checkpoint.save(newer, backbone, {"newer": True})
    second = Run(tmp_path / "run", newer, CONFIG)
    assert second.progress.backbones == 2
    assert second.optimiser.steps == 0
    for a, b in zip(first.parameters, second.parameters, strict=True):
        assert torch.equal(a, b)


def test__main__no_minutes__usage(capsys):
    """The command line asks for what it needs."""
    with pytest.raises(SystemExit):
        alignment_training.main([])
    assert "--minutes" in capsys.readouterr().err
