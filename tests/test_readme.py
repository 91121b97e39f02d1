"""The README tells the truth: every block of code in it runs."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import equate_srbench
from equate_srbench.cli.main import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
COMMANDS = [text.strip() for kind, text in BLOCKS if kind == "bash"]
SCRIPTS = [text for kind, text in BLOCKS if kind == "python"]
MODULES = [
    module.name
    for module in pkgutil.walk_packages(equate_srbench.__path__, "equate_srbench.")
    if not module.name.endswith("__main__")
]


def test__blocks__all__are_of_a_kind_that_is_tested() -> None:
    """No block escapes the tests below."""
    assert {kind for kind, _ in BLOCKS} == {"bash", "python"}
    assert [c.split()[0] for c in COMMANDS] == ["pip", "pip", "pip", "equate", "pip"]


@pytest.mark.parametrize("script", SCRIPTS, ids=range(len(SCRIPTS)))
def test__python_block__runs(script: str, tmp_path: Path) -> None:
    """Each block of Python runs by itself, in an empty folder, without a warning."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout


def test__fit_commands__as_written__find_a_formula(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part of each command after the installation, on a table of the name it uses."""
    monkeypatch.chdir(tmp_path)
    x = pd.Series(range(1, 31), dtype=float)
    pd.DataFrame({"volume": 1 / x, "pressure": 8.314 * x}).to_csv("measurements.csv", index=False)
    for command in (COMMANDS[0].split(" && ")[1], *COMMANDS[3].splitlines()):
        program, *words = shlex.split(command)
        assert program == "equate"
        run = CliRunner().invoke(app, words)
        assert run.exit_code == 0, run.output
    assert (tmp_path / "equate-kepler" / "report.html").exists()
    assert (tmp_path / "equate-measurements" / "report.html").exists()


def test__report_command__as_written__is_accepted() -> None:
    """Its notebook is there, and its parameters pass the check that comes before a kernel."""
    from equate_srbench.report.notebooks import catalogue
    from equate_srbench.report.notebooks.parameters import parse_pairs

    install, report = COMMANDS[1].split(" && ")
    assert install == 'pip install -c constraints.txt ".[all]"'
    program, command, name, *words = shlex.split(report)
    assert (program, command, set(words[::2])) == ("equate", "report", {"-p"})
    values = parse_pairs(catalogue.find(name).parameters, words[1::2])
    assert values["methods"] == ["equate", "e2e", "tfs", "itea"]


def test__test_command__is_this_suite_and_what_ci_runs() -> None:
    """Installing uses the constraints and the extra; CI takes the command from the README."""
    install, test = COMMANDS[2].split(" && ")
    assert install == 'pip install -c constraints.txt ".[test]"'
    assert test.startswith("pytest")
    assert (ROOT / "constraints.txt").exists()
    ci = ROOT / ".ci" / "run"
    assert "README.md" in ci.read_text(encoding="utf-8")
    assert os.access(ci, os.X_OK)


def test__links__to_files__lead_somewhere() -> None:
    """Pictures and pages that the README points to exist."""
    targets = re.findall(r"\]\(([^)]+)\)", README)
    assert targets
    assert not [t for t in targets if "://" not in t and not (ROOT / t).exists()]


@pytest.mark.parametrize("name", MODULES)
def test__docstring_examples__of_each_module__are_true(name: str) -> None:
    """What an example prints is what the docstring says."""
    module = importlib.import_module(name)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    assert doctest.testmod(module, optionflags=flags).failed == 0
