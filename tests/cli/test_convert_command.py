"""``equate convert``: E2E weights become a backbone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from equate_srbench.backbone import checkpoint

Equate = Callable[..., Result]


FIXTURE = Path(__file__).parents[3] / "shared" / "fixtures" / "e2e_tiny"


@pytest.mark.skipif(not FIXTURE.exists(), reason="the shared E2E fixture is not here")
def test__convert__model_of_the_release__says_what_it_is(equate: Equate, here: Path) -> None:
    """Depths, widths, heads, parameters and hash; the file is a backbone."""
    found = equate("convert", str(FIXTURE / "model1.pt"), "e2e.safetensors")
    assert found.exit_code == 0
    for line in ("2 encoder, 3 decoder", "4 encoder, 4 decoder", "707,404"):
        assert line in found.stdout
    assert checkpoint.describe(here / "e2e.safetensors")["sha256"] in found.stdout


def test__convert__no_weights__one_line(equate: Equate, here: Path) -> None:
    """A text file, and none; nothing is written."""
    (here / "model1.pt").write_text("hello")
    for name in ("model1.pt", "missing.pt"):
        found = equate("convert", name, "out")
        assert found.exit_code == 2
        assert name in found.stderr
        assert "Traceback" not in found.stderr
        assert not (here / "out").exists()
