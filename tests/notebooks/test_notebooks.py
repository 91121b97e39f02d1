"""Our notebooks: paired, stripped, declared, and running on smoke parameters."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jupytext
import nbformat
import pytest

from equate_srbench.report.notebooks import catalogue
from equate_srbench.report.notebooks.parameters import parse_pairs

SMOKE: dict[str, list[str]] = json.loads(
    Path(__file__).with_name("smoke.json").read_text(encoding="utf-8")
)
NAMES = list(catalogue.notebooks())
#: The rest takes minutes together; this one needs no benchmark.
QUICK = "01_fit_your_data"


def test__notebooks__each__has_smoke_parameters() -> None:
    """A new notebook is run by these tests, or fails here."""
    assert list(SMOKE) == NAMES
    assert len(NAMES) == 8


@pytest.mark.parametrize("name", NAMES)
def test__notebook__pair__same_cells(name: str) -> None:
    """The script and the notebook are in step."""
    node = catalogue.find(name)._node
    script = jupytext.read(catalogue.find(name).path.with_suffix(".py"))
    assert [(c.cell_type, c.source) for c in script.cells] == [
        (c.cell_type, c.source) for c in node.cells
    ]
    assert [c.metadata for c in script.cells] == [c.metadata for c in node.cells]


@pytest.mark.parametrize("name", NAMES)
def test__notebook__file__no_outputs(name: str) -> None:
    """Notebooks are kept without what a run left, and nbformat finds them valid."""
    node = catalogue.find(name)._node
    nbformat.validate(node)
    assert node.metadata.kernelspec.language == "python"
    for cell in node.cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None


@pytest.mark.parametrize("name", NAMES)
def test__notebook__cells__question_types_and_titles(name: str) -> None:
    """The question is in the first cell, each parameter says what it is, each cell what it does."""
    notebook = catalogue.find(name)
    assert notebook.question.endswith("?")
    assert all(parameter.help for parameter in notebook.parameters.values())
    assert all(notebook.titles)


@pytest.mark.parametrize(
    "name", [n if n == QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NAMES]
)
def test__notebook__smoke_parameters__whole_report(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    assert_self_contained: Callable[[str], None],
) -> None:
    """Every cell runs, and the page needs nothing from outside."""
    monkeypatch.chdir(tmp_path)
    notebook = catalogue.find(name)
    page = catalogue.run(notebook, parse_pairs(notebook.parameters, SMOKE[name]), tmp_path / "out")
    text = page.read_text(encoding="utf-8")
    assert_self_contained(text)
    assert notebook.title in text
    assert "<svg" in text
    assert 'class="answer"' in text
    assert "<dt>commit</dt>" in text or name == QUICK
