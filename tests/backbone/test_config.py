"""Sizes of a backbone."""

import pytest

from equate_srbench.backbone.config import BackboneConfig


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"dim": 30, "heads": 4}, "30 is not a multiple of 4"),
        ({"vocabulary": "other"}, "unknown vocabulary"),
        ({"max_length": 64, "n_positions": 64}, "64 positions"),
    ],
)
def test__config__impossible_sizes__are_refused(sizes, message):
    """Before a network is built."""
    with pytest.raises(ValueError, match=message):
        BackboneConfig(**sizes)


def test__config__dictionary__round_trips():
    """What a checkpoint stores gives the same configuration back."""
    for config in (BackboneConfig(), BackboneConfig.e2e(encoder_layers=2)):
        assert BackboneConfig(**config.to_dict()) == config
