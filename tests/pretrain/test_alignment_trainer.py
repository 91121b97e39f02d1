"""Training of the alignment modules: steps, resuming, export."""

import pytest
import torch

from equate_srbench.backbone import checkpoint
from equate_srbench.equate import pretrained
from equate_srbench.pretrain import alignment_trainer
from equate_srbench.pretrain.alignment_sampler import AlignmentConfig
from equate_srbench.pretrain.alignment_trainer import AlignmentRun, train

CONFIG = AlignmentConfig(tables=3, block=2, part=8, points=(24,), warm_up=2, lr=3e-3)


def test__run__steps__change_the_modules_and_nothing_else(backbone, network, tmp_path):
    """The backbone stays frozen."""
    run = AlignmentRun(tmp_path, network, CONFIG)
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
    first = AlignmentRun(tmp_path / "run", network, CONFIG)
    scores = train(0.01, tmp_path / "run", **options)
    second = AlignmentRun(tmp_path / "run", network, CONFIG)
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
    first = AlignmentRun(tmp_path / "run", network, CONFIG)
    first.step(1.0)
    first.save()
    newer = tmp_path / "newer.safetensors"
    checkpoint.save(newer, backbone, {"newer": True})
    second = AlignmentRun(tmp_path / "run", newer, CONFIG)
    assert second.progress.backbones == 2
    assert second.optimiser.steps == 0
    for a, b in zip(first.parameters, second.parameters, strict=True):
        assert torch.equal(a, b)


def test__main__no_minutes__usage(capsys):
    """The command line asks for what it needs."""
    with pytest.raises(SystemExit):
        alignment_trainer.main([])
    assert "--minutes" in capsys.readouterr().err
