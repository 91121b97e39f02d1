"""``equate doctor``: a broken installation is a line, not a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Equate = Callable[..., Result]


def test__doctor__healthy__code_0(equate: Equate) -> None:
    """Every check passes here, and says what it found."""
    run = equate("doctor")
    assert run.exit_code == 0, run.stdout
    lines = run.stdout.splitlines()
    assert [line.split()[1] for line in lines] == [
        "package", "libraries", "device", "weights", "kernels", "self-test",
    ]  # fmt: skip
    assert "sha256" in lines[3]


def test__doctor__broken_weights__code_1(
    equate: Equate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged checkpoint is a finding, not a traceback."""
    from equate_srbench.backbone import checkpoint

    bad = tmp_path / "compact.safetensors"
    bad.write_bytes(checkpoint.SHIPPED["compact"].read_bytes()[:-1000])
    monkeypatch.setitem(checkpoint.SHIPPED, "compact", bad)
    run = equate("doctor")
    assert run.exit_code == 1
    assert "FAIL weights      CheckpointError" in run.stdout
