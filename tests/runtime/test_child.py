"""Child processes: what they see, say and leave behind."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from equate_srbench.runtime.child import (
    PACKAGE_ROOT,
    Child,
    foreign_environment,
    last_lines,
    own_environment,
    thread_limits,
)

Start = Callable[..., Child]


@pytest.fixture
def start() -> Iterator[Start]:
    """``start(code)``: a child that runs Python code and is closed after the test."""
    children: list[Child] = []

    def make(code: str, **options: object) -> Child:
        children.append(Child([sys.executable, "-c", code], env=own_environment(), **options))
        return children[-1]

    yield make
    for child in children:
        child.close()


def gone(pid: int, seconds: float = 10.0) -> bool:
    """Whether a process ends within ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test__own_environment__from_another_folder__package_importable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our package, further folders and the user's path, in this order."""
    monkeypatch.setenv("PYTHONPATH", "/users/own")
    found = own_environment(tmp_path, COLUMNS="200")
    assert found["PYTHONPATH"].split(os.pathsep) == [str(PACKAGE_ROOT), str(tmp_path), "/users/own"]
    assert found["COLUMNS"] == "200"
    assert (PACKAGE_ROOT / "equate_srbench" / "__init__.py").is_file()
    monkeypatch.delenv("PYTHONPATH")
    assert own_environment()["PYTHONPATH"] == str(PACKAGE_ROOT)


def test__foreign_environment__our_packages__not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another interpreter is not led to our packages; the rest is passed on."""
    ours = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "MPLBACKEND", "PYTHONDONTWRITEBYTECODE")
    for name in (*ours, "OTHER"):
        monkeypatch.setenv(name, "x")
    found = foreign_environment(**thread_limits("2"))
    assert not set(ours) & set(found)
    assert (found["OTHER"], found["OMP_NUM_THREADS"]) == ("x", "2")


def test__child__lines__in_order_then_none(start: Start) -> None:
    """A line cut off by the end is dropped, and the end stays the end."""
    child = start("import os; print(input() * 2, flush=True); os.write(1, b'cut'); os._exit(3)")
    child.send("ab")
    assert child.receive(60.0) == "abab\n"
    assert child.receive(60.0) is None
    assert child.receive(0.0) is None
    assert child.wait() == 3
    assert not child.is_running


def test__receive__silent_child__timeout(start: Start) -> None:
    """The child's clock is not trusted."""
    child = start("import time; time.sleep(600)")
    with pytest.raises(TimeoutError):
        child.receive(0.1)
    assert child.wait(0.0) is None
    child.close()
    assert gone(child.pid)


def test__last_words__standard_error__last_lines(start: Start) -> None:
    """What a dead child wrote last is kept for the error message."""
    child = start("import sys; print('a\\n b \\nc\\nd', file=sys.stderr)")
    assert child.receive(60.0) is None
    assert child.wait() == 0
    assert child.last_words() == "b | c | d"
    assert child.last_words(1) == "d"


def test__close__grandchild_in_the_group__gone(start: Start) -> None:
    """What the child has started in its session goes with it."""
    code = "import subprocess as s; print(s.Popen(['sleep', '600']).pid, flush=True); input()"
    child = start(code)
    pid = int(child.receive(60.0) or 0)
    child.close()
    assert gone(pid)


def test__close__grandchild_that_holds_the_output__no_wait(start: Start) -> None:
    """A process in a session of its own that holds the pipe open does not block us."""
    code = (
        "import subprocess as s\n"
        "p = s.Popen(['sleep', '30'], start_new_session=True)\n"
        "print(p.pid, flush=True); input()"
    )
    child = start(code)
    pid = int(child.receive(60.0) or 0)
    begun = time.monotonic()
    child.close()
    assert time.monotonic() - begun < 10.0
    psutil.Process(pid).kill()


def test__child__no_such_program__os_error() -> None:
    """The caller learns it at once."""
    with pytest.raises(FileNotFoundError):
        Child(["/no/such/interpreter"], env={})


def test__last_lines__empty_text__empty() -> None:
    """A child may die without a word."""
    assert last_lines("\n") == ""
    assert last_lines("a\nb\n", 1) == "b"
