"""A benchmark that is killed again and again loses nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("kill_and_resume.py")


@pytest.mark.parametrize(
    "kills",
    [2, pytest.param(20, marks=[pytest.mark.slow, pytest.mark.timeout(1500)])],
)
def test__bench__killed_at_random_moments__40_rows(kills: int) -> None:
    """Runner, fork server, watcher, fit or everything: 40 unique valid rows, none lost."""
    run = subprocess.run(
        [sys.executable, SCRIPT, "--kills", str(kills)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.match(rf"40 of 40 rows, {kills} kills", run.stdout)
