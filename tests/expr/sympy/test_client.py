"""The SymPy process: answers, dies on time, leaves nothing behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import equate_srbench
from equate_srbench.expr.sympy.client import SympyWorker
from equate_srbench.expr.text.parser import parse

TREE = parse("sin(a)**2 + cos(a)**2", ["a"])
SLOW = parse(
    "(a + b + c + 1.5)**9*(a - b + c - 2.5)**9*(a - 3.7*b*c)**8/((a + 1.1*b)**9 - (c - 4.3*a)**8)",
    ["a", "b", "c"],
)
pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")


def alive(pid):
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid, seconds):
    """Whether the process ends within ``seconds``."""
    end = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return not alive(pid)


@pytest.fixture
def worker():
    """A worker that is ready."""
    worker = SympyWorker()
    worker.forms(TREE, 60.0)
    yield worker
    worker.close()


def test__forms__trigonometric_identity__found(worker):
    """SymPy's own forms come back as trees."""
    assert parse("1", []) in worker.forms(TREE, 30.0)


def test__forms__too_slow__killed_and_replaced(worker):
    """At the limit the caller goes on, the old process is gone and a new one answers."""
    pid = worker.pid
    start = time.monotonic()
    worker.forms(SLOW, 0.3)
    assert time.monotonic() - start < 15.0  # it would take minutes
    assert gone(pid, 2.0)
    assert worker.pid not in (None, pid)
    assert parse("1", []) in worker.forms(TREE, 60.0)


def test__forms__worker_died__empty_then_replaced(worker):
    """A crash of the worker costs one answer."""
    os.kill(worker.pid, 9)
    worker.forms(TREE, 5.0)
    assert parse("1", []) in worker.forms(TREE, 60.0)


def test__forms__interrupted__next_answer_is_its_own(worker, monkeypatch):
    """An exception raised while waiting leaves no stale answer behind."""

    class Alarm(Exception):
        pass

    def raised(end):
        raise Alarm

    with monkeypatch.context() as patch:
        patch.setattr(worker, "_next", raised)
        with pytest.raises(Alarm):
            worker.forms(SLOW, 5.0)
    other = parse("a*b/b", ["a", "b"])
    assert parse("1", []) not in worker.forms(other, 60.0)


def test__start__while_starting__no_wait():
    """The first request of a process waits no longer than its limit."""
    worker = SympyWorker()
    worker.start()
    worker.forms(TREE, 0.01)
    assert not worker._ready  # importing SymPy takes longer on any machine
    pid = worker.pid
    worker.close()
    assert gone(pid, 2.0)
    assert worker.pid is None


SCRIPT = """
import os, sys, time
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.sympy.client import shared_worker
worker = shared_worker()
worker.forms(parse("a*b + a", ["a", "b"]), 60.0)
print(worker.pid, flush=True)
if sys.argv[1] == "killed":
    os.kill(os.getpid(), 9)
if sys.argv[1] == "killed busy":
    tree = parse("(a + b + c + 1.5)**30*(a - b)**30/((a + 1.1*b)**19 - c**18)", ["a", "b", "c"])
    import threading
    threading.Thread(target=worker.forms, args=(tree, 60.0), daemon=True).start()
    time.sleep(0.5)
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("end", ["normal", "killed", "killed busy"])
def test__parent_ends__worker_ends(end):
    """However the parent goes, the worker goes too."""
    root = str(Path(equate_srbench.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, end], stdout=subprocess.PIPE, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": root}, check=False,
    )  # fmt: skip
    pid = int(done.stdout)
    assert gone(pid, 5.0)


def test__fork__child_starts_its_own(worker):
    """A forked child neither uses nor kills the parent's worker."""
    pid = worker.pid
    child = os.fork()
    if child == 0:
        worker.close()
        os._exit(0 if worker.pid is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert alive(pid)
    assert parse("1", []) in worker.forms(TREE, 30.0)
