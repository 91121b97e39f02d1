"""From the rows of a run to a page with figures and tables."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from equate_srbench.bench.rows import RowStore, failure_row
from equate_srbench.bench.task import Task
from equate_srbench.cli.main import app
from equate_srbench.report.comparison.compare_page import read_rows, write_rows


class Links(HTMLParser):
    """Addresses that a page would fetch."""

    def __init__(self):
        super().__init__()
        self.found, self.scripts = [], 0

    def handle_starttag(self, tag, attrs):
        """Note what a browser would fetch or run."""
        self.scripts += tag == "script"
        addresses = [v for k, v in attrs if k in ("src", "href", "xlink:href")]
        self.found += [address for address in addresses if address[:1] != "#"]


def test__report__without_the_extra_for_notebooks__works(run: Path) -> None:
    """The report on a run needs the extra `bench` only."""
    code = (
        "import sys;"
        "missing = 'nbformat nbclient nbconvert papermill jupytext ipykernel IPython'.split();"
        "sys.modules.update(dict.fromkeys(missing));"
        "from equate_srbench.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "report", str(run)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (run / "report" / "report.html").exists()


def test__write_rows__folder_of_tables__its_name_only(tmp_path):
    """Where the tables lie on a machine is nobody else's business; all else is kept."""
    store = RowStore(tmp_path / "run")
    folder = str(tmp_path / "tables")
    store.write(failure_row(Task(folder, "a", "e2e"), "killed", "", 1.0))
    write_rows(read_rows(tmp_path / "run"), tmp_path / "rows.parquet")
    (row,) = pd.read_parquet(tmp_path / "rows.parquet").to_dict("records")
    assert (row["suite"], row["dataset"], row["method"]) == ("tables", "a", "e2e")
    assert not [value for value in row.values() if tmp_path.name in str(value)]


def test__report__folder_of_rows__page_pictures_tables(run):
    """One command: a self-contained page, every picture twice, tables, and the rows."""
    done = CliRunner().invoke(app, ["report", str(run)])
    assert done.exit_code == 0, done.output
    assert "EQUATE" in done.stdout
    folder = run / "report"
    names = {path.name for path in folder.iterdir()}
    assert {"report.html", "rows.parquet", "strogatz-0.md", "strogatz-0.csv"} <= names
    assert {"strogatz-0-triple.svg", "strogatz-0-triple.png"} <= names
    assert len(pd.read_parquet(folder / "rows.parquet")) == 24
    page = (folder / "report.html").read_text()
    links = Links()
    links.feed(page)
    assert (links.found, links.scripts) == ([], 0)
    assert "over &lt;b&gt;10&lt;/b&gt; s" in page
    assert "NaN" not in page


@pytest.mark.parametrize("content", [None, "rows"])
def test__report__nothing_to_report__one_line_and_code_2(tmp_path, content):
    """A folder without rows is a slip that can be mended."""
    if content:
        (tmp_path / content).mkdir()
    done = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert done.exit_code == 2
    assert "equate bench" in done.stderr
    assert done.stderr.count("\n") == 1
