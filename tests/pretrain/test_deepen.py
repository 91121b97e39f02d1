"""More layers, the same function."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.backbone.network import Backbone
from equate_srbench.pretrain import deepen, train
from equate_srbench.pretrain.train import TrainingRun
from tests.pretrain.test_train import TINY, go


def outputs(backbone: Backbone) -> torch.Tensor:
    """Logits on some made-up points and tokens."""
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(3, 10, 88, generator=generator)
    mask = torch.ones(3, 10, dtype=torch.bool)
    mask[0, 7:] = False
    tokens = torch.tensor([[0, 4, 25, 26]] * 3)
    with torch.no_grad():
        return backbone(points, mask, tokens)


@pytest.mark.parametrize("layers", [(1, 3), (2, 1), (3, 2)])
def test__deepen_run__more_layers__same_function_and_counters(
    tmp_path: Path, layers: tuple[int, int]
) -> None:
    """The deeper run computes what the old one did, resumes, and learns in its new layers."""
    old = go(tmp_path / "old", 12)
    deepen.main(
        [str(tmp_path / "old"), str(tmp_path / "new"),
         "--encoder-layers", str(layers[0]), "--decoder-layers", str(layers[1])]
    )  # fmt: skip
    new = TrainingRun(tmp_path / "new", device="cpu")
    assert (new.config.backbone.encoder_layers, new.config.backbone.decoder_layers) == layers
    torch.testing.assert_close(outputs(new.backbone), outputs(old.backbone), rtol=0, atol=1e-4)
    torch.testing.assert_close(
        outputs(new.state.averaged()), outputs(new.backbone), rtol=0, atol=1e-6
    )
    expected = replace(
        old.progress, deepened=[{"examples": old.progress.examples, "layers": list(layers)}]
    )
    assert new.progress == expected
    new = go(tmp_path / "new", 14)
    assert new.progress.step == 14
    assert new.progress.examples > old.progress.examples
    top = [f"decoder.ffns.{layers[1] - 1}.lin2.weight", f"encoder.ffns.{layers[0] - 1}.lin2.weight"]
    assert all(new.state.names[name].abs().max() > 0 for name in top)


def test__deepen__fewer_layers_or_another_width__refused() -> None:
    """Nothing is taken away."""
    old = replace(TINY.backbone, decoder_layers=2)
    weights = dict(Backbone(old).named_parameters())
    with pytest.raises(ValueError, match="1 decoder layers: the run has 2"):
        deepen.deepen(weights, old, TINY.backbone)
    wider = BackboneConfig(dim=64, heads=2, decoder_layers=2)
    with pytest.raises(ValueError, match="only the numbers of layers"):
        deepen.deepen(weights, old, wider)


def test__main__no_run_or_a_run_in_the_way__one_line(tmp_path: Path, capsys) -> None:
    """Neither is anything invented nor overwritten."""
    layers = ["--encoder-layers", "1", "--decoder-layers", "2"]
    with pytest.raises(SystemExit):
        deepen.main([str(tmp_path / "none"), str(tmp_path / "to"), *layers])
    assert "holds no run" in capsys.readouterr().err
    go(tmp_path, 1)
    with pytest.raises(SystemExit):
        deepen.main([str(tmp_path), str(tmp_path), *layers])
    assert "choose another directory" in capsys.readouterr().err
    assert train.read_state(tmp_path)[1].deepened == []
