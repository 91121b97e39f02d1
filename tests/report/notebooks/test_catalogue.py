"""Notebooks as reports: running, refusing, failing, being killed, needing no network."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from typer.testing import CliRunner, Result

from equate_srbench.cli.main import app
from equate_srbench.report.notebooks import catalogue
from equate_srbench.report.notebooks.catalogue import Notebook, ReportError

INJECTIONS: list[str] = json.loads(
    Path(__file__).with_name("injections.json").read_text(encoding="utf-8")
)
PARAMETERS = 'word: str = "none"  # what to show\nnumber: int = 1  # 1 to 10, how often'


def write(path: Path, *cells: str) -> Path:
    """A notebook with a question, parameters, and these code cells."""
    first = nbformat.v4.new_markdown_cell("# A title\n\n**Does it\nwork?**\n\nMore words.")
    parameters = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    rest = [
        nbformat.v4.new_code_cell(source, metadata={"title": f"Cell {i}"})
        for i, source in enumerate(cells)
    ]
    node = nbformat.v4.new_notebook(cells=[first, parameters, *rest])
    node.metadata["kernelspec"] = {"name": "python3", "display_name": "P", "language": "python"}
    path.write_text(nbformat.writes(node), encoding="utf-8")
    return path


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of notebooks instead of ours, and an empty folder to work in."""
    folder, here = tmp_path / "shelf", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    monkeypatch.setattr(catalogue, "folder_of_notebooks", lambda: folder)
    monkeypatch.chdir(here)
    return folder


@pytest.fixture
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that starts is a failure of the test."""

    def start(*_: object, **__: object) -> None:
        raise AssertionError("a kernel was started")

    for name in ("KernelManager", "AsyncKernelManager"):
        monkeypatch.setattr(f"jupyter_client.manager.{name}.start_kernel", start)


def equate(*words: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, list(words))


SHOWS = """\
from IPython.display import display
from matplotlib.figure import Figure
from equate_srbench.report.notebooks import show
fig = Figure(); fig.add_subplot().plot([1, 2])
display(show.figure(fig, "A line <b>"))
display(show.text(word * number, "<script>alert(1)</script>", kind="answer"))
show.copyable("done")"""


def test__run__given_values__notebook_and_page(
    shelf: Path, assert_self_contained: Callable[[str], None]
) -> None:
    """The executed notebook has the values, the page is self-contained, and text stays text."""
    write(shelf / "01_shows.ipynb", SHOWS)
    hostile = '<img src=x onerror="alert(1)"> {0} \\ " \' é ש 🙂'
    run = equate("report", "01_shows", "-p", f"word={hostile}", "-p", "number=2", "--out", "r {x}")
    assert run.exit_code == 0, run.output
    folder = Path("r {x}")
    assert {p.name for p in folder.iterdir()} == {"01_shows.ipynb", "01_shows.html"}
    assert not [p for p in Path().iterdir() if p.name.endswith(".tmp")]
    node = nbformat.read(folder / "01_shows.ipynb", as_version=4)
    nbformat.validate(node)
    injected = next(c for c in node.cells if "injected-parameters" in c.metadata.tags)
    assert "number = 2" in injected.source
    page = (folder / "01_shows.html").read_text(encoding="utf-8")
    assert_self_contained(page)
    assert page.count("&lt;img src=x onerror=") >= 2
    assert "<img src=x" not in page
    assert 'aria-label="A line &lt;b&gt;"' in page
    assert str(shelf) not in (folder / "01_shows.ipynb").read_text(encoding="utf-8")


def test__list__our_notebooks__questions_and_ranges() -> None:
    """The list says what each notebook answers, and what its parameters may be."""
    run = equate("report", "--list")
    assert run.exit_code == 0, run.output
    for name, notebook in catalogue.notebooks().items():
        assert name in run.stdout
        assert notebook.question in run.stdout
    assert "-p seeds=1  int (1 to 10): how many seeds" in run.stdout


@pytest.mark.usefixtures("no_kernel")
@pytest.mark.parametrize("pair", INJECTIONS)
def test__report__injection__refused_before_a_kernel_starts(shelf: Path, pair: str) -> None:
    """Names that papermill would paste as code, and values of other types, end with code 2."""
    write(shelf / "01_shows.ipynb", SHOWS)
    pair = pair.replace("seeds", "number").replace("suite", "word").replace("max_time", "number")
    run = equate("report", "01_shows", "-p", pair)
    assert run.exit_code == 2, run.output
    assert not list(Path().iterdir())


@pytest.mark.usefixtures("no_kernel")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["03_compare", "-p", "methods=equate,e3e"], "did you mean 'e2e'"),
        (["03_compare", "-p", "suite=no/such"], "no suite, folder or file"),
        (["03_compare", "-p", "suite="], "the name of the suite is empty"),
        (["03_compare", "-p", "run="], "the name of the folder is empty"),
        (["03_compare", "--out", f"{__file__}/x"], "would be below it"),
        (["01_fit_your_data", "-p", "table=no.csv"], "no.csv"),
        (["01_fit_your_data", "-p", "target=perid"], "did you mean 'period'?"),
        (["01_fit_your_data", "-p", "features=distance,distance"], "more than once"),
        (["03_compare", "-p", "methods=equate,equate"], "'equate' is given twice"),
        (["08", "-p", "student=nosuch"], "unknown method 'nosuch'"),
        (["07", "-p", "checks=nosuch"], "no check 'nosuch'"),
        (["07", "-p", "submission=/nope"], "'/nope' has neither"),
        (["02", "-p", f"run={__file__}"], "is a file: choose another"),
        (["no_such"], "no notebook 'no_such'"),
        (["3_compare"], "did you mean '03_compare'"),
        ([], "no report is given"),
    ],
)
def test__report__nothing_to_report_on__one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    """What cannot be found is said in a line, before anything is started."""
    monkeypatch.chdir(tmp_path)
    run = equate("report", *words)
    assert run.exit_code == 2
    assert said in run.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("no_kernel")
def test__report__folder_called_like_a_notebook__the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of one's own wins, and it is said that there is a notebook too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "03_compare").mkdir()
    run = equate("report", "03_compare")
    assert run.exit_code == 2
    assert "is both a folder and a notebook" in run.stderr
    assert "is not a benchmark run" in run.stderr


def test__run__cell_fails__partial_notebook_and_code_1(shelf: Path) -> None:
    """The reason is said, the notebook so far is kept, and the report before it stays."""
    write(shelf / "01_fails.ipynb", "print('so far')", "raise ValueError('of the day')", "1")
    folder = Path("out")
    folder.mkdir()
    (folder / "01_fails.html").write_text("old", encoding="utf-8")
    run = equate("report", "fails", "--out", "out")
    assert run.exit_code == 1
    assert "ValueError: of the day" in run.stderr
    assert {p.name for p in folder.iterdir()} == {"01_fails.html", "01_fails.partial.ipynb"}
    assert (folder / "01_fails.html").read_text(encoding="utf-8") == "old"
    partial = nbformat.read(folder / "01_fails.partial.ipynb", as_version=4)
    said = json.dumps(partial.cells)
    assert "so far" in said
    assert "of the day" in said


def test__run__python_is_killed__said_and_partial_notebook(shelf: Path) -> None:
    """As when memory runs out: one line, code 1, what was done so far, and no traceback."""
    die = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    write(shelf / "01_dies.ipynb", "print('so far')", die)
    run = equate("report", "dies", "--out", "out")
    assert run.exit_code == 1
    assert "the kernel died" in run.stderr
    assert "Traceback" not in run.stderr
    assert {p.name for p in Path("out").iterdir()} == {"01_dies.partial.ipynb"}
    assert "so far" in Path("out/01_dies.partial.ipynb").read_text(encoding="utf-8")


def test__run__after_a_failure__partial_is_gone(shelf: Path) -> None:
    """A report that succeeds takes away what an earlier one left."""
    path = write(shelf / "01_x.ipynb", "1 / 0")
    with pytest.raises(ReportError, match="ZeroDivisionError"):
        catalogue.run(Notebook("01_x", path), {}, Path("out"))
    write(path, "1")
    page = catalogue.run(Notebook("01_x", path), {}, Path("out"))
    assert {p.name for p in page.parent.iterdir()} == {"01_x.ipynb", "01_x.html"}


@pytest.fixture
def slow_report(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A report at work in a process of its own, in a folder that has an old one."""
    shelf, out = tmp_path / "shelf", tmp_path / "out"
    shelf.mkdir()
    out.mkdir()
    for name in ("01_slow.ipynb", "01_slow.html"):
        (out / name).write_text("old", encoding="utf-8")
    begun = f"import pathlib, time; pathlib.Path({str(tmp_path / 'begun')!r}).touch()"
    write(shelf / "01_slow.ipynb", begun, "time.sleep(600)")
    code = (
        "from pathlib import Path; from equate_srbench.report.notebooks import catalogue;"
        f"catalogue.folder_of_notebooks = lambda: Path({str(shelf)!r});"
        "from equate_srbench.cli.main import main; main()"
    )
    command = [sys.executable, "-c", code, "report", "01_slow", "--out", str(out)]
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, start_new_session=True,
        # a test run in the background of a shell hands on that Ctrl-C is to be ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (tmp_path / "begun").exists() and process.poll() is None:
        assert time.monotonic() < deadline, "the notebook did not begin"
        time.sleep(0.05)
    yield process, out
    if process.poll() is None:
        process.kill()
    process.communicate()


def kernels_of(folder: Path) -> list[int]:
    """Kernels that work in a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            if b"ipykernel_launcher" in command and Path(os.readlink(entry / "cwd")) == folder:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="kernels are looked for in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test__report__ended_at_work__old_report_is_whole(
    slow_report: tuple[subprocess.Popen[bytes], Path], number: signal.Signals
) -> None:
    """Whatever ends it: the old files are as they were, and no kernel goes on."""
    process, out = slow_report
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode != 0
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert b"stopped" in said
    assert {p.name: p.read_text(encoding="utf-8") for p in out.iterdir()} == {
        "01_slow.ipynb": "old",
        "01_slow.html": "old",
    }
    deadline = time.monotonic() + 120
    while kernels_of(out.parent):
        assert time.monotonic() < deadline, "a kernel is left"
        time.sleep(0.1)
