"""Toy submissions on disk and in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from equate_srbench.srbench.plugin import Plugin
from equate_srbench.srbench.submission import Submission
from tests.srbench.toy_plugin import GOOD, write_toy

Make = Callable[..., Submission]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """``make(extra)``: the toy submission, followed by what breaks it."""
    return lambda extra="", source=GOOD: write_toy(tmp_path / "tree", extra, source)


@pytest.fixture
def load(make: Make, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Plugin]]:
    """Import such a plugin into this process."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def forget() -> None:
        for name in [m for m in sys.modules if m == "methods" or m.startswith("methods.")]:
            del sys.modules[name]

    def plugin(extra: str = "", source: str = GOOD) -> Plugin:
        made = make(extra, source)
        return Plugin(made.experiment, made.name)

    forget()
    yield plugin
    forget()
