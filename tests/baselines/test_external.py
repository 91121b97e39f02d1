"""Rivals in a process of their own, with a made-up package in place of a real one."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sympy import Symbol, sympify

from equate_srbench.baselines import environments, external, methods
from equate_srbench.baselines.external import POOL, ExternalRegressor, WorkerError
from equate_srbench.baselines.itea import ITEARegressor
from equate_srbench.baselines.methods import Environment

FAKE = """
import os, sys, time
from line_protocol import BestSoFar, Clock, main

def fit(X, y, settings, seconds, seed, tell):
    does = settings["does"]
    print("noise on the package's standard output", flush=True)
    if does == "fails":
        raise ValueError("no luck today")
    if does == "says nothing":
        return
    if does != "dies at once":
        tell("2.5*x1")
    if does in ("dies", "dies at once"):
        print("out of luck", file=sys.stderr, flush=True)
        os._exit(7)
    if does == "hangs":
        time.sleep(1000)
    if does == "cannot be read":
        tell("x1 ? 3")
        return
    tell(f"x0/x1 + ({float(seed % 7)}) + ({float(len(X))})")

if __name__ == "__main__":
    main(fit)
"""


class FakeRegressor(ExternalRegressor):
    """The regressor of the made-up package."""

    package = "fake"
    _parameter_constraints: dict = {}

    def __init__(self, max_time=5.0, does="works", random_state=0):
        self.max_time = max_time
        self.does = does
        self.random_state = random_state


@pytest.fixture(autouse=True)
def fake(tmp_path, monkeypatch):
    """An environment whose interpreter is ours and whose package is a script."""
    workers = tmp_path / "workers"
    workers.mkdir()
    shutil.copy(environments._WORKERS / "line_protocol.py", workers)
    (workers / "serve_fake.py").write_text(FAKE)
    monkeypatch.setattr(environments, "_WORKERS", workers)
    monkeypatch.setenv("EQUATE_ENVIRONMENTS", str(tmp_path / "environments"))
    fake = replace(methods.METHODS["itea"], key="fake", environment=Environment(("fake==1",)))
    monkeypatch.setitem(methods.METHODS, "fake", fake)
    package = environments.package("fake")
    (package.folder / "bin").mkdir(parents=True)
    python = package.folder / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (package.folder / "ready.json").write_text("{}")
    yield package
    POOL.close()


@pytest.fixture
def table():
    """Thirty rows of two named columns."""
    X = np.random.default_rng(0).uniform(1.0, 2.0, (30, 2))
    return pd.DataFrame(X, columns=["mass", "E"]), X[:, 0] / X[:, 1]


def test__fit__formula__is_the_last_one_in_the_names_of_the_table(table):
    """The answer speaks in the user's columns, predictions follow it."""
    X, y = table
    est = FakeRegressor(random_state=3).fit(X, y)
    shift = float(np.random.RandomState(3).randint(2**31) % 7) + 30.0
    np.testing.assert_allclose(est.predict(X), y + shift, rtol=1e-12)
    wanted = Symbol("mass") / Symbol("E") + shift
    names = {"E": Symbol("E"), "mass": Symbol("mass")}
    assert sympify(est.model_string(X), names) - wanted == 0
    assert str(est.equation_) == est.model_string()
    renamed = X.rename(columns={"mass": "a", "E": "b"})
    assert "a/b" in est.model_string(renamed)


def test__fit__again__same_process_and_pickle_after(table):
    """A process serves many fits; a fitted estimator needs none."""
    X, y = table
    est = FakeRegressor().fit(X, y)
    (first,) = POOL._idle["fake"]
    second = clone(est).fit(X, y)
    assert POOL._idle["fake"] == [first]
    POOL.close()
    copy = pickle.loads(pickle.dumps(second))  # noqa: S301 - our own object
    np.testing.assert_array_equal(copy.predict(X), est.predict(X))


def test__fit__package_fails__error_with_its_message_then_works_again(table):
    """What the package says reaches the user, and the next fit is not concerned."""
    with pytest.raises(WorkerError, match="fake failed: ValueError: no luck today"):
        FakeRegressor(does="fails").fit(*table)
    assert FakeRegressor().fit(*table).equation_.complexity > 3


def test__fit__process_dies_at_once__error_with_its_last_words(table):
    """Exit code and standard error are in the message; then it works again."""
    with pytest.raises(WorkerError, match=r"exit code 7\).*out of luck"):
        FakeRegressor(does="dies at once").fit(*table)
    FakeRegressor().fit(*table)


def test__fit__process_dies_later__best_formula_until_then(table):
    """A crash does not lose the formula that was there."""
    with pytest.warns(UserWarning, match=r"exit code 7.*best formula until then"):
        est = FakeRegressor(does="dies").fit(*table)
    np.testing.assert_allclose(est.predict(table[0]), 2.5 * table[0]["E"])


def test__fit__package_hangs__ended_with_the_best_so_far(table, monkeypatch):
    """The clock of the rival is not trusted."""
    monkeypatch.setattr(ExternalRegressor, "_limit", lambda self: 1.0)
    est = FakeRegressor(does="hangs").warm_up()
    (worker,) = POOL._idle["fake"]
    started = time.monotonic()
    with pytest.warns(UserWarning, match="did not answer in time"):
        est.fit(*table)
    assert time.monotonic() - started < 10
    assert est.fit_time_ >= 1.0
    assert str(est.equation_) == "2.5*E"
    assert not alive(worker.pid)


def test__fit__alarm__passes_through_and_the_process_is_gone(table):
    """A harness's alarm is not swallowed, and what was found until then is in place."""

    class Alarm(Exception):
        pass

    def ring(*_):
        raise Alarm

    est = FakeRegressor(does="hangs").warm_up()
    (worker,) = POOL._idle["fake"]
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    try:
        with pytest.raises(Alarm):
            est.fit(*table)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert str(est.equation_) == "2.5*E"
    assert not alive(worker.pid)


def test__fit__no_formula__error(table):
    """An empty answer is no answer."""
    with pytest.raises(WorkerError, match="found no formula in 5 s"):
        FakeRegressor(does="says nothing").fit(*table)


def test__fit__formula_that_cannot_be_read__the_one_before_stays(table):
    """Text from outside is parsed, never run; what is no formula is passed over."""
    with pytest.warns(UserWarning, match="cannot be read"):
        est = FakeRegressor(does="cannot be read").fit(*table)
    assert str(est.equation_) == "2.5*E"


def test__fit__failed_refit__no_old_answer(table):
    """A failed fit does not pass for the one before."""
    est = FakeRegressor().fit(*table)
    with pytest.raises(WorkerError):
        est.set_params(does="fails").fit(*table)
    assert not hasattr(est, "equation_")


def test__fit__setting_that_is_no_plain_value__clear_error(table):
    """NumPy's numbers are sent, objects are refused."""
    FakeRegressor(does=np.str_("works"), max_time=np.float64(5.0)).fit(*table)
    with pytest.raises(TypeError, match="cannot be sent"):
        FakeRegressor(does=object()).fit(*table)


@pytest.mark.parametrize("missing", ["itea", "operon", "gplearn"])
def test__warm_up__no_environment__command_that_makes_it(missing):
    """The error has the way out."""
    from equate_srbench.baselines import methods

    with pytest.raises(
        environments.EnvironmentMissing, match=f"`equate baselines install {missing}`"
    ):
        methods.make(missing, max_time=1)


def test__warm_up__no_julia__says_so(monkeypatch):
    """PySR without Julia is refused before anything is started."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    from equate_srbench.baselines import methods

    with pytest.raises(environments.EnvironmentMissing, match="needs 'julia'"):
        methods.make("pysr")


def test__worker__package_that_cannot_be_imported__last_words(fake, table):
    """A broken environment says what is broken."""
    fake.worker.write_text("import no_such_package_at_all")
    with pytest.raises(WorkerError, match=r"died.*No module named 'no_such_package_at_all'"):
        FakeRegressor().fit(*table)


def test__worker__parent_killed__ends_too(tmp_path):
    """No orphan outlives a killed run, even in the middle of a fit."""
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, sys, json, subprocess, time\n"
        "worker = subprocess.Popen([sys.executable, sys.argv[1], str(os.getpid())],\n"
        "    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)\n"
        "worker.stdout.readline()\n"
        "request = json.loads(sys.argv[2])\n"
        "worker.stdin.write(json.dumps(request) + '\\n'); worker.stdin.flush()\n"
        "worker.stdout.readline()\n"
        "print(worker.pid, flush=True)\n"
        "time.sleep(1000)\n"
    )
    np.save(tmp_path / "X.npy", np.ones((2, 2)))
    np.save(tmp_path / "y.npy", np.ones(2))
    request = {
        "folder": str(tmp_path), "settings": {"does": "hangs"}, "seconds": 1000, "seed": 0,
    }  # fmt: skip
    worker = str(environments.package("fake").worker)
    with subprocess.Popen(
        [sys.executable, str(script), worker, json.dumps(request)],
        stdout=subprocess.PIPE, text=True,
    ) as parent:  # fmt: skip
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    end = time.monotonic() + 20
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.1)
    assert not alive(pid)


def test__pool__worker_killed_while_idle__next_fit_starts_another(table):
    """A process that died between two fits is replaced."""
    est = FakeRegressor().fit(*table)
    (worker,) = POOL._idle["fake"]
    os.kill(worker.pid, signal.SIGKILL)
    worker._child.wait()
    est.fit(*table)
    assert POOL._idle["fake"][0] is not worker


def test__plain__worker_scripts__import_nothing_of_ours():
    """The scripts run where our package is not."""
    folder = Path(external.__file__).parent / "workers"
    scripts = sorted(folder.glob("*.py"))
    assert {p.stem for p in scripts} == {"line_protocol"} | {
        f"serve_{key}" for key, s in methods.METHODS.items() if s.environment and key != "fake"
    }
    for script in scripts:
        assert "equate_srbench" not in script.read_text()


def test__itea__defaults__parameters_are_checked(table):
    """Parameters are refused before anything is started."""
    with pytest.raises(ValueError, match="popsize"):
        ITEARegressor(popsize=0).fit(*table)


def alive(pid: int) -> bool:
    """Whether a process runs (one that ended but was not waited for does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
