"""From rows to tables, pictures and a page."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from equate_srbench.baselines.methods import in_order, spec
from equate_srbench.bench.rows import RowStore, failure_row, make_row
from equate_srbench.bench.task import Task
from equate_srbench.cli.main import app
from equate_srbench.report.comparison.compare_page import read_rows, write_rows
from equate_srbench.report.figures import compare_figures
from equate_srbench.report.tables import compare

QUALITY = {"equate": 1.0, "e2e": 0.995, "itea": 0.95}


def fill(store: RowStore, n_sets: int = 8, skip: str = "") -> None:
    """Rows of three methods on some data sets; itea fails on the first."""
    rng = np.random.default_rng(0)
    for i in range(n_sets):
        for method, quality in QUALITY.items():
            task = Task("strogatz", f"set_{i}", method)
            if f"{method}/{i}" == skip:
                continue
            if method == "itea" and i == 0:
                store.write(failure_row(task, "timeout", "over <b>10</b> s", 10.0))
                continue
            r2 = 1.0 if quality == 1.0 else float(quality - 0.01 * rng.random())
            store.write(
                make_row(
                    task, status="ok", total_seconds=5.0, fit_seconds=4.0, r2_train=r2, r2_test=r2,
                    model="x", complexity=5 + i, solved=None if i == 1 else quality == 1.0,
                    solved_reason="undecided" if i == 1 else "difference",
                    trace=[[0.1, 0.5], [1.0, r2]],
                )
            )  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder of rows."""
    fill(RowStore(tmp_path / "run"))
    return tmp_path / "run"


@pytest.fixture
def block(run: Path) -> compare.Block:
    """The one block of these rows."""
    return compare.blocks(RowStore(run).frame())[0]


def test__summary__failures_count_as_wrong(block):
    """Shares are over all fits, also those without a result; undecided is no verdict."""
    table = compare.summary(block)
    assert list(table.index) == ["equate", "e2e", "itea"]
    assert table.loc["equate", ["r2_99", "r2_999", "exact", "solved"]].tolist() == [1, 1, 1, 1]
    assert table.loc["itea", "failed"] == 1
    assert table.loc["itea", "fits"] == 8
    assert table.loc["itea", "r2_99"] == 0.0
    assert table.loc["equate", "undecided"] == 1
    assert 0.0 < table.loc["e2e", "r2_99"] < 1.0
    assert (
        table.loc["e2e", "r2_99_low"] < table.loc["e2e", "r2_99"] < table.loc["e2e", "r2_99_high"]
    )


def test__summary__more_failures_than_results__median_says_so(tmp_path):
    """A method that mostly fails has no median R2 worth a number."""
    store = RowStore(tmp_path)
    for i in range(3):
        store.write(failure_row(Task("strogatz", f"s{i}", "itea"), "crash", "died", 1.0))
    table = compare.summary(compare.blocks(store.frame())[0])
    assert table.loc["itea", "r2"] == -np.inf
    assert "| - |" in compare.to_markdown(table)


def test__blocks__a_fit_is_missing__its_data_set_is_left_out_for_all(tmp_path):
    """Methods are compared on what all of them were run on."""
    fill(RowStore(tmp_path), skip="e2e/3")
    (block,) = compare.blocks(RowStore(tmp_path).frame())
    assert (block.pairs, block.left_out) == (7, 2)
    assert "set_3" not in set(block.rows["dataset"])


def test__interval__mean_of_many__covers_it():
    """A percentile interval around the mean; none where nothing varies."""
    values = np.random.default_rng(1).random(200)
    low, high = compare.interval(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(4 * values.std() / np.sqrt(200), rel=0.15)
    assert np.isnan(compare.interval(np.ones(5))).all()


def test__undominated__pareto_front():
    """Nobody is better in both."""
    points = pd.DataFrame({"accuracy": [1, 2, 3, 3], "size": [4, 2, 1, 3]}, index=list("abcd"))
    assert compare_figures.undominated(points) == ["c", "b", "a"]


def test__draw__all_figures__same_method_same_colour(block):
    """Every picture is there, and a method looks the same in each."""
    figures = compare_figures.draw(block)
    assert set(figures) == {"triple", "trade_off", "profile", "convergence", "ranks", "data_sets"}
    colour = spec("equate").colour
    for name in ("triple", "profile", "convergence", "data_sets"):
        colours = {line.get_color() for ax in figures[name].axes for line in ax.get_lines()}
        assert colour in colours, name


def test__draw__one_method_one_set__no_test_but_no_error(tmp_path):
    """Few rows give fewer pictures."""
    store = RowStore(tmp_path)
    task = Task("strogatz", "one", "some.module:Class")
    store.write(make_row(task, status="ok", total_seconds=1.0, fit_seconds=1.0, r2_test=0.5))
    (block,) = compare.blocks(store.frame())
    assert "ranks" not in compare_figures.draw(block)
    assert spec("some.module:Class").label == "Class"
    assert in_order({"zzz", "e2e", "equate"}) == ["equate", "e2e", "zzz"]


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
