"""The card of the alignment modules."""

from equate_srbench.equate import pretrained
from equate_srbench.pretrain.alignment_card import render

PATH = pretrained.SHIPPED["compact"]


def test__render__header_of_the_shipped_weights__is_the_shipped_card():
    """Everything in the card can be read from the weights' file."""
    header = pretrained.describe(PATH)
    modules = pretrained.load("compact")
    assert modules is not None
    text = render(
        header["card"],
        backbone_sha256=header["backbone"],
        n_parameters=sum(p.numel() for p in modules.parameters()),
        n_threads=1,
    )
    assert text == PATH.with_suffix(".md").read_text(encoding="utf-8")
