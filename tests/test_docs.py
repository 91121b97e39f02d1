"""Pages name files and modules that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "equate_srbench"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
#: A file of the project, by its path from the checkout or from the package.
_FILE = re.compile(r"(?<![\w./-])([\w-]+)/((?:[\w-]+/)*[a-z_0-9]+\.py)\b")
#: A dotted name in backticks, perhaps with a class or a function at its end.
_DOTTED = re.compile(r"`(?:equate_srbench\.)?([a-z_]+(?:\.\w+)+)[^`\s]*`")
_FILE_TYPES = ("html", "csv", "json", "md", "py", "log")


def is_there(dotted: str) -> bool:
    """Whether a name is a module or a folder of the package, or stands in one."""
    path, parts = PACKAGE, dotted.split(".")
    while parts and (path / parts[0]).is_dir():
        path /= parts.pop(0)
    if parts and (path / f"{parts[0]}.py").is_file():
        path /= f"{parts.pop(0)}.py"
    text = path if path.is_file() else path / "__init__.py"
    return not parts or parts[0] in text.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test__page__files_and_modules_it_names__exist(page: Path) -> None:
    """Whoever looks where a page points finds something."""
    if not page.is_file():
        pytest.skip("an installed package has no docs beside it")
    text = page.read_text(encoding="utf-8")
    homes = {folder: root for root in (PACKAGE, ROOT) for folder in root.iterdir()}
    roots = {folder.name: root for folder, root in homes.items() if folder.is_dir()}
    missing = [
        f"{folder}/{name}"
        for folder, name in _FILE.findall(text)
        if folder in roots and not (roots[folder] / folder / name).exists()
    ]
    missing += [
        name
        for name in _DOTTED.findall(text)
        if (PACKAGE / name.partition(".")[0]).is_dir()
        and not name.endswith(_FILE_TYPES)
        and not is_there(name)
    ]
    assert not missing


def test__is_there__names__module_folder_and_content() -> None:
    """What the check believes, and what not."""
    assert is_there("expr.text")
    assert is_there("problem.domain.Domain.predict")
    assert is_there("refine.Refiner")
    assert not is_there("expr.complexity")
    assert not is_there("problem.domain.Donjon")
