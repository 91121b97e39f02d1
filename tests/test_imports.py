"""The house stands: imports are lazy, and none climbs a floor."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import equate_srbench

ROOT = Path(equate_srbench.__file__).parent
HEAVY = ("torch", "sympy", "IPython", "numba", "matplotlib", "sklearn", "pandas")

#: Floor of each part, from the ground; a part may import what lies below it, and itself.
FLOORS = {
    "clock": 0,
    "threads": 0,
    "terminal": 0,
    "live": 0,
    "hints": 0,
    "room": 0,
    "data": 1,
    "expr": 1,
    "refine": 2,
    "domain": 2,
    "backbone": 2,
    "equate": 3,
    "progress": 4,
    "teacher": 4,  # labels for `regressor`'s search
    "pretrain": 4,  # teaches the modules of `equate` on synthetic data
    "regressor": 5,
    "distilled": 6,
    "baselines": 6,
    "bench": 7,
    "srbench": 8,
    "report": 9,
    "doctor": 10,
    "cli": 11,
}


def imported_parts(path: Path) -> set[str]:
    """Parts of the package that a module loads, also inside functions; types do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import in line {node.lineno}"
            module = node.module or ""
            names.update(f"{module}.{alias.name}" for alias in node.names)
    paths = [name.split(".") for name in names]
    return {p[1] for p in paths if p[0] == "equate_srbench" and len(p) > 1} & FLOORS.keys()


def part_of(path: Path) -> str:
    """The part that a module belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


#: What an installed package carries along: notebooks stand above the house, the entry beside it.
CARRIED = {"notebook_files", "_submission"}
MODULES = [
    path
    for path in sorted(ROOT.rglob("*.py"))
    if path != ROOT / "__init__.py" and not CARRIED & set(path.relative_to(ROOT).parts)
]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test__imports__each_module__never_climb(path: Path) -> None:
    """A module imports only its own part and parts below."""
    part = part_of(path)
    climbing = {
        other for other in imported_parts(path) if other != part and FLOORS[other] >= FLOORS[part]
    }
    assert not climbing, f"{part} (floor {FLOORS[part]}) imports {sorted(climbing)}"


def test__import__package__loads_nothing_heavy() -> None:
    """``import equate_srbench`` and the command line's help wait for no heavy library."""
    code = "import sys, equate_srbench, equate_srbench.cli.main; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(run.stdout.split()) & set(HEAVY)
    assert not loaded


def test__public_names__each__loads_and_is_listed() -> None:
    """Every public name exists, has a docstring and is listed by ``dir``."""
    assert sorted(equate_srbench.__all__) == equate_srbench.__all__
    for name in equate_srbench.__all__:
        assert getattr(equate_srbench, name).__doc__
        assert name in dir(equate_srbench)


def test__public_names__unknown__attribute_error() -> None:
    """An unknown name is an ordinary AttributeError, so that ``hasattr`` works."""
    assert not hasattr(equate_srbench, "NoSuchThing")


def test__version__installed__is_the_metadata() -> None:
    """The version is read from the installed package, not written twice."""
    assert equate_srbench.__version__.count(".") == 2
