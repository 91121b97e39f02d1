"""The command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from equate_srbench.cli.main import app


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def equate() -> Callable[..., Result]:
    """``equate("fit", "kepler")``: run a command and keep what it printed."""
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])
