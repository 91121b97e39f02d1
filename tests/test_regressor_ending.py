"""However a fit ends - Ctrl-C, an alarm, a callback, the clock - the model is usable."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from equate_srbench.formula_regressor import model
from equate_srbench.regressor import EquateRegressor
from equate_srbench.runtime.progress import Progress

if not hasattr(signal, "setitimer"):  # Windows
    pytest.skip("needs POSIX signals", allow_module_level=True)

# Real signals in a process of their own, at moments spread over all phases of a fit.
SCRIPT = """
import json, random, signal, sys, time
import numpy as np
from equate_srbench.formula_regressor import model
from equate_srbench.regressor import EquateRegressor

class Alarm(Exception):
    pass

def alarm(number, frame):
    global rung
    rung = time.monotonic()
    raise Alarm

def interrupt(number, frame):
    global rung
    rung = time.monotonic()
    signal.default_int_handler(number, frame)

kind, moments, longest = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
which = {"SIGINT": interrupt, "SIGALRM": alarm}[kind]
number = getattr(signal, kind)
signal.signal(number, which)
signal.signal(signal.SIGALRM, alarm)
rng = np.random.default_rng(0)
X = rng.uniform(1, 5, (1200, 3))
y = np.exp(np.sin(X[:, 0] * X[:, 1])) / X[:, 2] + 0.3 * rng.normal(size=1200)
random.seed(1)
if kind == "SIGINT":  # the timer's signal arrives as SIGINT
    import os, threading
    def arm(delay):
        timer = threading.Timer(delay, os.kill, (os.getpid(), number))
        timer.daemon = True
        timer.start()
else:
    def arm(delay):
        signal.setitimer(signal.ITIMER_REAL, delay)
EquateRegressor(max_time=1.0, random_state=0).fit(X, y)  # the network is loaded from here on
for i in range(moments):
    est = EquateRegressor(max_time=60, random_state=i)
    passed = False
    arm(0.1 + random.random() * longest)
    try:
        est.fit(X, y)
    except Alarm:
        passed = True
    late = time.monotonic() - rung
    print(json.dumps({
        "passed": passed,
        "late": late,
        "interrupted": est.interrupted_,
        "finite": bool(np.isfinite(est.predict(X)).all()),
        "text": model(est),
        "rows": len(est.equations_),
        "handler": signal.getsignal(number) is which,
    }))
"""


def run_script(kind: str, moments: int, longest: float) -> list[dict]:
    """What the script says about each fit."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:no formula was tried",
         "-W", "ignore:only",
         "-c", SCRIPT, kind, str(moments), str(longest)],
        capture_output=True, text=True, timeout=280, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == moments
    return found


@pytest.mark.parametrize(
    ("moments", "longest"), [(8, 1.0), pytest.param(40, 6.0, marks=pytest.mark.slow)]
)
def test__ctrl_c__at_random_moments__best_so_far_within_two_seconds(moments, longest):
    """The fit returns as if it had ended, says so, and leaves the handlers as they were."""
    for found in run_script("SIGINT", moments, longest):
        assert found["interrupted"]
        assert found["finite"]
        assert found["rows"] >= 1
        assert found["handler"]
        assert found["late"] < 2.0


@pytest.mark.parametrize(
    ("moments", "longest"), [(8, 1.0), pytest.param(40, 6.0, marks=pytest.mark.slow)]
)
def test__alarm__at_random_moments__passes_through_with_a_usable_model(moments, longest):
    """A harness's exception is never swallowed; ``predict`` and ``model`` work afterwards."""
    for found in run_script("SIGALRM", moments, longest):
        assert found["passed"]
        assert not found["interrupted"]
        assert found["finite"]
        assert found["text"]
        assert found["rows"] >= 1
        assert found["late"] < 2.0


def noise(n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    """A table on which a search does not end by itself soon."""
    rng = np.random.default_rng(0)
    X = rng.uniform(1, 5, (n, p))
    return X, np.exp(np.sin(X[:, 0] * 3.0)) / X[:, -1] + 0.3 * rng.normal(size=n)


class Broken(Exception):
    """Raised in the middle of a fit."""


@pytest.mark.parametrize("call", [1, 2, 5])
def test__exception_in_a_callback__passes_through_with_a_usable_model(call):
    """Any exception, at any report."""
    X, y = noise(500, 2)
    calls = []

    def complain(progress: Progress) -> None:
        calls.append(progress)
        if len(calls) == call:
            raise Broken

    est = EquateRegressor(max_time=20, random_state=0, on_progress=complain)
    with pytest.raises(Broken):
        est.fit(X, y)
    assert np.isfinite(est.predict(X)).all()
    assert model(est) == str(est.equation_)
    assert len(calls) == call


def test__on_progress__returns_true__ends_the_fit():
    """Phases, seconds and formulas are told; True ends the fit with the best so far."""
    X, y = noise(1000, 3)
    told = []

    def enough(progress: Progress) -> bool:
        told.append(progress)
        return progress.seconds > 1.0

    started = time.monotonic()
    est = EquateRegressor(max_time=60, random_state=0, on_progress=enough).fit(X, y)
    assert time.monotonic() - started < 4.0
    assert est.interrupted_ is False
    assert np.isfinite(est.predict(X)).all()
    assert told[0].phase == "families"
    assert [p.seconds for p in told] == sorted(p.seconds for p in told)
    assert all(isinstance(p.equation, str) and p.complexity >= 1 for p in told)


@pytest.mark.parametrize(
    ("seconds", "shape"),
    [
        (1.0, (20, 1)),
        (1.0, (1000, 9)),
        (1.0, (20_000, 5)),
        *(
            pytest.param(seconds, shape, marks=pytest.mark.slow)
            for seconds in (5.0, 20.0)
            for shape in ((20, 1), (1000, 9), (20_000, 5))
        ),
    ],
)
@pytest.mark.parametrize("preset", ["default", "paper"])
def test__max_time__any_table__kept(seconds, shape, preset):
    """At most half a second or 5 % over, whatever the size of the table."""
    X, y = noise(*shape)
    took = []
    for _ in range(3):  # a busy machine may stall one fit; what the code does happens every time
        started = time.monotonic()
        est = EquateRegressor(max_time=seconds, preset=preset, random_state=0).fit(X, y)
        took.append(time.monotonic() - started)
        assert np.isfinite(est.predict(X)).all()
        if took[-1] <= seconds + max(0.5, 0.05 * seconds):
            return
    pytest.fail(f"three fits with max_time={seconds} took {took}")
