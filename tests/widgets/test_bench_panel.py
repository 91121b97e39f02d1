"""The benchmark panel without a browser: settings, process, snapshots, HTML."""

from __future__ import annotations

import importlib.util
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ipywidgets", reason="needs the extra widgets")

from equate_srbench.bench.rows import RowStore, failure_row
from equate_srbench.bench.task import Task
from equate_widgets import bench_view
from equate_widgets.bench_panel import BenchmarkPanel
from equate_widgets.bench_run import BenchRun, BenchRunError, BenchSettings
from equate_widgets.bench_snapshot import RunSnapshot, SnapshotReader, take_snapshot

LABEXTENSION = Path(__file__).resolve().parents[2] / "widgets" / "labextension"
HOSTILE = "<img src=x onerror=alert(1)>"
PATIENT = '''
import time
from sklearn.linear_model import LinearRegression

class Patient(LinearRegression):
    """Waits until it may end."""

    def fit(self, X, y):
        time.sleep(600)
'''


@pytest.fixture
def table(tmp_path: Path) -> str:
    """A suite with one small table."""
    path = tmp_path / "line.csv"
    path.write_text("x,target\n" + "".join(f"{i},{2 * i}\n" for i in range(40)))
    return str(path)


@pytest.fixture
def panel() -> Iterator[Callable[..., BenchmarkPanel]]:
    """``panel(folder, **settings)``, closed with its run at the end of the test."""
    made: list[BenchmarkPanel] = []

    def make(*args: Any, **settings: Any) -> BenchmarkPanel:
        made.append(BenchmarkPanel(*args, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()
        while one.run.state not in ("new", "ended"):
            one.run.stop()
            time.sleep(0.1)


def until(condition: Callable[[], Any], seconds: float = 240.0) -> None:
    """Wait for it, or fail."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(0.05)


def keep(folder: Path, settings: BenchSettings, **values: Any) -> None:
    """Write a row of every task."""
    for task in settings.tasks():
        row = failure_row(task, "error", f"{HOSTILE} went wrong", 2.0)
        if values:
            row |= {"status": "ok", "error": None, "fit_seconds": 2.0, **values}
        RowStore(folder).write(row)


# -- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"methods": ()}, "methods"),
        ({"methods": ("equat",)}, "did you mean 'equate'"),
        ({"n_seeds": 11}, "n_seeds.*10.*'11'"),
        ({"noise": (-0.1,)}, "noise.0.*'-0.1'"),
        ({"noise": ("much",)}, "noise.0.*'much'"),
        ({"max_time": 0}, "max_time.*'0'"),
        ({"max_time": float("inf")}, "max_time"),
        ({"engine": "cloud"}, "engine.*'local'.*'cloud'"),
        ({"jobs": -1}, "jobs"),
        ({"sweet": 1}, "sweet"),
    ],
)
def test__settings__bad_value__named_in_one_line(values: dict[str, Any], said: str) -> None:
    """Each is refused with the value and the limit."""
    with pytest.raises(BenchRunError, match=said) as refused:
        BenchSettings.from_user(**values)
    assert "\n" not in str(refused.value)


def test__settings__rival_not_installed__command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A benchmark does not fail fit by fit for something that is known before."""
    monkeypatch.setenv("EQUATE_ENVIRONMENTS", str(tmp_path))
    with pytest.raises(BenchRunError, match="equate baselines install itea"):
        BenchSettings.from_user(methods=("itea",))


def test__settings__arguments__make_the_same_tasks(table: str, tmp_path: Path) -> None:
    """The command makes the rows that the panel counts."""
    from typer.testing import CliRunner

    from equate_srbench.cli.main import app

    settings = BenchSettings(suite=table, methods=("linear",), noise=(0.0, 0.01), max_time=1.0)
    run = CliRunner().invoke(app, settings.arguments(tmp_path / "run"))
    assert run.exit_code == 0, run.output
    assert RowStore(tmp_path / "run").keys() == sorted(t.key for t in settings.tasks())


# -- run ---------------------------------------------------------------------------------------


def test__run__folders_that_are_none__refused(tmp_path: Path) -> None:
    """Nothing is written into a folder of something else, nor over a file."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BenchRunError, match="not a run"):
        BenchRun(tmp_path).start(BenchSettings())
    with pytest.raises(BenchRunError, match="is a file"):
        BenchRun(tmp_path / "notes.txt").start(BenchSettings())
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test__run__unknown_suite__refused_before_anything_is_made(tmp_path: Path) -> None:
    """The message is the suite's own."""
    with pytest.raises(ValueError, match="no suite, folder or file 'quik'"):
        BenchRun(tmp_path / "run").start(BenchSettings(suite="quik"))
    assert not (tmp_path / "run").exists()


def test__run__damaged_note__says_what_to_remove(tmp_path: Path) -> None:
    """Rows are whole, and nothing starts beside a run that may be there."""
    (tmp_path / "panel.json").write_text('{"version": 1')
    with pytest.raises(BenchRunError, match=r"panel\.json.*damaged.*remove it"):
        BenchRun(tmp_path).start(BenchSettings())


def test__run__process_number_of_another__not_running(tmp_path: Path) -> None:
    """A number that was given to somebody else since is not our run."""
    note = '{"version": 1, "settings": {}, "pid": %d, "started": 1.0}'
    (tmp_path / "panel.json").write_text(note % os.getpid())
    assert BenchRun(tmp_path).state == "new"


# -- snapshot ----------------------------------------------------------------------------------


def test__snapshot__no_folder__counts_what_is_asked(tmp_path: Path, table: str) -> None:
    """Before the start there is an estimate."""
    seen = take_snapshot(tmp_path / "none", BenchSettings(suite=table, methods=("linear", "hgb")))
    assert (seen.requested, seen.done, seen.tables) == (2, 0, [])


def test__snapshot__rows__tables_picture_and_newest(tmp_path: Path, table: str) -> None:
    """Only rows of the settings are counted, all are shown."""
    ours = BenchSettings(suite=table, methods=("linear", "hgb"))
    keep(tmp_path, ours, r2_test=0.995, acc99=True, complexity=7, model="2*x")
    keep(tmp_path, BenchSettings(suite=table, methods=("equate",)))
    more = BenchSettings(suite=table, methods=("linear", "hgb"), n_seeds=2)
    seen = take_snapshot(tmp_path, more)
    assert (seen.requested, seen.done, seen.failed, seen.seconds_left) == (4, 2, 0, 4.0)
    assert [(row.label, row.failed, row.r2_99) for row in seen.tables[0].rows] == [
        ("boosted trees", 0, 1.0), ("linear", 0, 1.0), ("EQUATE", 1, 0.0)
    ]  # fmt: skip
    assert len(seen.recent) == 3
    assert "<svg" in seen.figure


def test__snapshot_reader__errors_and_death__told(tmp_path: Path) -> None:
    """A suite that is not there is a problem in words; a reader that died is replaced."""
    reader = SnapshotReader()
    try:
        told = reader.read(tmp_path, BenchSettings(suite="quik"))
        assert "no suite, folder or file 'quik'" in told.problem
        os.kill(reader._child.pid, signal.SIGKILL)
        assert "has died" in reader.read(tmp_path, None).problem
        assert reader.read(tmp_path, None) == RunSnapshot()
    finally:
        reader.close()


def test__view__hostile_names__are_text(tmp_path: Path) -> None:
    """Suites, data sets, methods, formulas and messages never become markup."""
    settings = BenchSettings(suite="quick", methods=("linear",), every=12)
    keep(tmp_path, settings)
    task = Task(HOSTILE, HOSTILE, f"{HOSTILE}:{HOSTILE}")
    RowStore(tmp_path).write(failure_row(task, "error", HOSTILE, 1.0))
    shown = bench_view.results(take_snapshot(tmp_path, settings)) + bench_view.status(
        *[HOSTILE] * 3
    )
    assert "<img src=x" not in shown
    assert shown.count("&lt;img src=x") >= 6


# -- panel -------------------------------------------------------------------------------------


def test__panel__pause_stop_resume__rows_decide(
    panel: Callable[..., BenchmarkPanel], tmp_path: Path, table: str, monkeypatch: Any
) -> None:
    """The buttons follow the run; a second panel on the folder shows the same."""
    (tmp_path / "patient.py").write_text(PATIENT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    wanted = {"suite": table, "methods": ("linear", "patient:Patient"), "max_time": 1.0}
    one = panel(tmp_path / "run", **wanted)
    until(lambda: one.snapshot.requested == 2)
    assert (one._start.description, one._pause.disabled, one._stop.disabled) == (
        "Start", True, True
    )  # fmt: skip
    one.start()
    until(lambda: one.snapshot.done == 1)
    assert one.state == "running"
    two = panel(tmp_path / "run")
    until(lambda: two.state == "running" and two.snapshot.done == 1)
    assert two._form.suite.disabled
    two.pause()
    until(lambda: one.state == "pausing")
    two.stop()
    until(lambda: one.state == two.state == "ended" and not one._start.disabled)
    assert one._start.description == "Resume"
    assert "1 of 2 fits done" in one._status.value
    one._form.other.value = ""
    until(lambda: one._start.disabled)
    assert "1 of 1 fits done" in one._status.value


def test__panel__nothing_new__nothing_sent(
    panel: Callable[..., BenchmarkPanel], tmp_path: Path, table: str, monkeypatch: Any
) -> None:
    """A panel that nobody uses does not keep the page busy."""
    monkeypatch.setenv("EQUATE_ENVIRONMENTS", str(tmp_path))  # with rivals that are not installed
    one = panel(tmp_path / "run", suite=table, methods=("linear",))
    until(lambda: one.snapshot.requested == 1 and "1 fits" in one._status.value)
    changes: list[Any] = []
    for widget in [one._status, one._results, one._bar, one._start, *one._form._all()]:
        widget.observe(changes.append)
    for _ in range(3):
        one._update((one.run.folder, one.run.version(), one._form.settings()))
    assert changes == []


def test__panel__mistakes__are_text(panel: Callable[..., BenchmarkPanel], tmp_path: Path) -> None:
    """A wrong suite, folder or number never raises in a button."""
    (tmp_path / "notes.txt").write_text("mine")
    one = panel(tmp_path / "run", methods=("linear",))
    one._form.suite.value = HOSTILE
    until(lambda: "no suite, folder or file" in one._status.value)
    assert "<img" not in one._status.value
    one._form.suite.value = "quick"
    one._form.noise.value = "some"
    until(lambda: "noise.0" in one._status.value)
    one._form.noise.value = "0"
    one._folder.value = str(tmp_path)
    until(lambda: one.run.folder == tmp_path and one.snapshot.requested == 12)
    one.start()
    until(lambda: "not a run" in one._status.value)


def test__panel__repr__has_html_for_readers_without_a_kernel(
    panel: Callable[..., BenchmarkPanel], tmp_path: Path, table: str
) -> None:
    """An executed notebook shows the tables where there are no widgets."""
    settings = {"suite": table, "methods": ("linear",)}
    keep(tmp_path, BenchSettings(**settings), r2_test=1.0, acc99=True, complexity=3, model="2*x")
    one = panel(tmp_path, **settings)
    until(lambda: one.snapshot.tables)
    data = one._repr_mimebundle_()
    assert "2*x" in data["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in data


# -- extension ---------------------------------------------------------------------------------


def test__labextension__committed_build__matches_its_sources() -> None:
    """Whoever changes the viewer builds it again: python widgets/labextension/build.py."""
    spec = importlib.util.spec_from_file_location("build_labextension", LABEXTENSION / "build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    assert {"draw_trajectory.js", "views.css"} <= {path.name for path in build.sources()}
    assert build.up_to_date()
