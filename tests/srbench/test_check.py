"""The whole check: plugins run in processes that may hang, crash or ask the network."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import pytest

from equate_srbench.srbench import check as checking
from equate_srbench.srbench.check import FILE_CHECKS, RUN_CHECKS, check
from equate_srbench.srbench.submission import own
from equate_srbench.srbench.trials import TRIALS

if os.name != "posix":  # SRBench needs POSIX signals too
    pytest.skip("needs POSIX", allow_module_level=True)

#: What is fatal in a function of a plugin.
BREAK = """
def {name}(*args, **kwargs):
    {what}
"""


@pytest.mark.timeout(1200)  # more than twenty checks, some of which wait
def test__check__good_plugin__everything_passes(make):
    """A plugin that keeps the contract passes every line."""
    found = list(check(make()))
    assert [f.name for f in found] == [*FILE_CHECKS, *RUN_CHECKS]
    assert [f.detail for f in found if not f.ok] == []


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("import os; os._exit(3)", "exit code 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("raise KeyError('lost')", "KeyError: 'lost'"),
        ("import time; time.sleep(600)", "still running after 2 s"),
    ],
)
def test__check__fatal_plugin__a_finding_and_the_rest_goes_on(make, monkeypatch, what, words):
    """A crash or a hang costs one line; the checks after it run in a new process."""
    monkeypatch.setitem(TRIALS, "complexity", replace(TRIALS["complexity"], limit=2.0))
    made = make(BREAK.format(name="complexity", what=what))
    found = {f.name: f for f in check(made, ["complexity", "four rows"])}
    assert list(found) == ["complexity", "four rows"]
    assert found["complexity"].ok is False
    assert words in found["complexity"].detail
    assert found["four rows"].ok


def test__check__broken_import__said_once_and_the_rest_not_run(make):
    """Without a module there is nothing to run."""
    found = list(check(make("import no_such_module_here\n"), ["import", "interface", "alarm"]))
    assert [f.ok for f in found] == [False, False, False]
    assert "no_such_module_here" in found[0].detail
    assert found[1].detail == found[2].detail == "not run: regressor.py cannot be imported"


@pytest.mark.parametrize(
    ("code", "trial", "words"),
    [
        ("socket.create_connection(('weights.example.org', 443))", "import", "example.org"),
        ("socket.socket().connect(('192.0.2.1', 80))", "import", "192.0.2.1"),
    ],
)
def test__check__import_asks_the_network__found_even_if_caught(make, code, trial, words):
    """Importing must work offline; a plugin that hides the failure is found too."""
    extra = f"import socket\ntry:\n    {code}\nexcept OSError:\n    pass\n"
    found = list(check(make(extra), [trial, "interface"]))
    assert found[0].ok is False
    assert "asks the network" in found[0].detail
    assert words in found[0].detail
    assert found[1].ok


def test__check__slow_import__told(make):
    """Work at import is found by its processor time."""
    extra = "end = time.process_time() + 2.5\nwhile time.process_time() < end:\n    pass\n"
    (found,) = check(make(extra), ["import"])
    assert not found.ok
    assert "processor time" in found.detail


def test__check__pre_train_downloads__told(make):
    """Also ``pre_train`` and ``fit`` find everything on the machine."""
    extra = (
        "import socket\n"
        "def pre_train(est, X, y):\n"
        "    try:\n"
        "        socket.getaddrinfo('weights.example.org', 443)\n"
        "    except OSError:\n"
        "        pass\n"
        "eval_kwargs['pre_train'] = pre_train\n"
    )
    (found,) = check(make(extra), ["four rows"])
    assert not found.ok
    assert "weights.example.org" in found.detail


def test__check__no_regressor__nothing_is_run(make):
    """The file check says what is missing."""
    made = make()
    (made.method / "regressor.py").unlink()
    found = {f.name: f for f in check(made, ["files", "import", "alarm"])}
    assert "regressor.py" in found["files"].detail
    assert found["alarm"].detail == "not run: there is no regressor.py"


def test__check__child_processes_of_a_killed_plugin__gone(make, monkeypatch, tmp_path):
    """What a hanging plugin has started does not outlive it."""
    mark = tmp_path / "pid"
    extra = BREAK.format(
        name="complexity",
        what="import subprocess; p = subprocess.Popen(['sleep', '300']); "
        f"open({str(mark)!r}, 'w').write(str(p.pid)); p.wait()",
    )
    monkeypatch.setitem(TRIALS, "complexity", replace(TRIALS["complexity"], limit=2.0))
    (found,) = check(make(extra), ["complexity"])
    assert "still running" in found.detail
    pid = int(mark.read_text())
    end = time.monotonic() + 30
    while time.monotonic() < end and _is_alive(pid):
        time.sleep(0.05)
    assert not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test__check__our_submission__passes():
    """Every line of our own entry; only the contact address is left to whoever submits it."""
    found = list(checking.check(own()))
    assert [(f.name, f.detail) for f in found if f.ok is False] == []
    assert [f.name for f in found if f.ok is None] == ["metadata"]
