"""Checks of a plugin that run its code. Each is one function, run by ``probe``."""

from __future__ import annotations

import copy
import inspect
import json
import resource
import signal
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from equate_srbench.srbench.findings import ContractError
from equate_srbench.srbench.plugin import TIME_LIMITS, Plugin, TrialTable, sample

#: Names that mean something else to SymPy, and names of columns in another order.
STRANGE = ("beta", "x2", "x1", "I", "E", "S", "N", "gamma", "x0")
#: Time limit of a fit in seconds, and the tolerance beyond it.
LIMIT, MARGIN = 5.0, 10.0
#: Seconds within which a fit must end after the alarm.
SOON = 15.0
#: Memory of SRBench's jobs in bytes.
MEMORY = 10 * 2**30


@dataclass(frozen=True, slots=True)
class Trial:
    """A check of a running plugin.

    Attributes
    ----------
    name : str
    run : callable
        Plugin -> a line of facts; raises ``ContractError``.
    limit : float
        Seconds after which the process is killed.
    late : str
        What it means if that happens.
    fits : bool
        Whether it fits: then ``pre_train`` has been called before.
    """

    name: str
    run: Callable[[Plugin], str]
    limit: float = 90.0
    late: str = "make it end sooner"
    fits: bool = True


@lru_cache(maxsize=1)
def standard() -> tuple[TrialTable, TrialTable]:
    """Rows to fit and rows to test."""
    table = sample(("a", "b", "c"), 160)
    return TrialTable(table.X[:120], table.y[:120]), TrialTable(table.X[120:], table.y[120:])


# -- without a fit -----------------------------------------------------------------------------


def interface(plugin: Plugin) -> str:
    """``est``, ``model``, and the functions required by the branch of 2025."""
    est, module = plugin.est, plugin.module
    if inspect.isclass(est):
        raise ContractError("est is a class: make it an object")
    for name in ("fit", "predict", "get_params", "set_params"):
        if not callable(getattr(est, name, None)):
            raise ContractError(f"est has no method {name}()")
    for name in ("model", "complexity"):
        if not callable(getattr(module, name, None)):
            raise ContractError(f"regressor.py has no function {name}(est): srbench_2025 needs it")
    grid = getattr(module, "hyper_params", None)
    if not (isinstance(grid, list) and grid and all(isinstance(entry, dict) for entry in grid)):
        raise ContractError("hyper_params must be a list of dicts, e.g. [{'depth': [5]}]")
    known = est.get_params()
    for name, values in ((n, v) for entry in grid for n, v in entry.items()):
        if name not in known or not isinstance(values, list | tuple) or not values:
            raise ContractError(f"hyper_params[{name!r}] must be a parameter with a list of values")
    return f"{type(est).__name__}, model, complexity, {len(grid)} setting(s)"


def parameters(plugin: Plugin) -> str:
    """``set_params(**get_params())`` changes nothing, and the values are JSON."""
    est = plugin.est
    params = est.get_params()
    try:
        json.dumps(params)
    except (TypeError, ValueError) as error:
        raise ContractError(
            f"get_params() is not JSON ({error}): SRBench writes it to its file"
        ) from None
    est.set_params(**params)
    changed = [k for k, v in est.get_params().items() if v != params[k] and v == v]
    if changed:
        raise ContractError(f"set_params(**get_params()) changed {', '.join(changed)}")
    if not hasattr(est, "random_state"):
        raise ContractError("est has no random_state: SRBench sets it for each trial")
    limits = [name for name in TIME_LIMITS if hasattr(est, name)]
    if not limits:
        raise ContractError("est has no max_time, by which SRBench sets the seconds for fit")
    return f"{len(params)} parameters, time limit by {limits[0]}"


def options(plugin: Plugin) -> str:
    """Keys and types of ``eval_kwargs``."""
    kinds = {
        "test_params": dict, "max_train_samples": int, "scale_x": bool, "scale_y": bool,
        "pre_train": types.FunctionType, "use_dataframe": bool,
    }  # fmt: skip
    found = plugin.eval_kwargs
    if not isinstance(found, dict):
        raise ContractError("eval_kwargs is not a dict")
    for key, value in found.items():
        if key not in kinds:
            raise ContractError(f"eval_kwargs has {key!r}; allowed are {', '.join(kinds)}")
        if type(value) is not kinds[key]:
            raise ContractError(
                f"eval_kwargs[{key!r}] is {value!r}, not of type {kinds[key].__name__}"
            )
    unknown = sorted(set(found.get("test_params", {})) - set(plugin.est.get_params()))
    if unknown:
        raise ContractError(f"test_params has {unknown[0]!r}, which is no parameter of est")
    return ", ".join(found) or "none"


def copies(plugin: Plugin) -> str:
    """``clone``, ``deepcopy`` and ``print``."""
    from sklearn.base import clone

    twin = clone(plugin.est)
    if twin is plugin.est or repr(twin) != repr(plugin.est):
        raise ContractError("clone(est) is not an unfitted equal of est")
    copy.deepcopy(plugin.est)
    text = repr(plugin.est)
    if len(text) > 10_000:
        raise ContractError(
            f"print(est) writes {len(text):,} characters: keep models out of parameters"
        )
    return text[:60].replace("\n", " ")


# -- one fit in test mode ----------------------------------------------------------------------


def test_mode(plugin: Plugin) -> str:
    """With ``test_params`` a fit takes seconds although SRBench overwrites ``max_time``."""
    seconds = plugin.fit(standard()[0], max_time=360.0)
    if seconds > 60.0:
        raise ContractError(
            f"{seconds:.0f} s for 120 rows with test_params: let them shrink the work"
        )
    return f"{seconds:.1f} s"


def sympy_reads(plugin: Plugin) -> str:
    """SymPy parses, rounds and simplifies the string as SRBench does."""
    import sympy

    train, _ = standard()
    plugin.fitted(train)
    found = plugin.expression(train.X)
    rounded = found.xreplace({x: sympy.Float(round(x, 3)) for x in found.atoms(sympy.Float)})
    sympy.simplify(rounded)
    return f"{sum(1 for _ in sympy.preorder_traversal(found))} nodes: {str(found)[:60]}"


def string_is_model(plugin: Plugin) -> str:
    """The string computes what ``predict`` does, on fit rows and on others."""
    train, test = standard()
    plugin.fitted(train)
    gaps = [plugin.compare(train.X, "fit rows"), plugin.compare(test.X, "test rows")]
    return f"relative difference {max(gaps):.0e} on 160 rows"


def repeatable(plugin: Plugin) -> str:
    """``model`` and ``predict`` are deterministic and quick: they are called several times."""
    train, _ = standard()
    plugin.fitted(train)
    started = time.process_time()
    texts = {plugin.string(train.X) for _ in range(3)}
    seconds = (time.process_time() - started) / 3
    if len(texts) > 1:
        raise ContractError("model() returns another string each time")
    if seconds > 2.0:
        raise ContractError(
            f"model() takes {seconds:.1f} s, and SRBench calls it several times: cache it"
        )
    first, second = (plugin.predict(train.X, "fit rows") for _ in range(2))
    if not np.array_equal(first, second):
        raise ContractError("predict() gives other values each time")
    return f"model() takes {1e3 * seconds:.0f} ms"


def complexity_of(plugin: Plugin) -> str:
    """``complexity(est)`` is a positive number."""
    train, _ = standard()
    plugin.fitted(train)
    found = plugin.module.complexity(plugin.est)
    if isinstance(found, bool) or not isinstance(found, int | float | np.number) or found < 1:
        raise ContractError(f"complexity(est) is {found!r}: return the number of nodes")
    return str(found)


def population(plugin: Plugin) -> str:
    """The optional functions for several models."""
    train, _ = standard()
    plugin.fitted(train)
    module, told = plugin.module, []
    if hasattr(module, "get_best_solution"):
        _use(plugin, module.get_best_solution(plugin.est), train)
        told.append("get_best_solution")
    if hasattr(module, "get_population"):
        members = module.get_population(plugin.est)
        if not 1 <= len(members) <= 100:
            raise ContractError(f"get_population() gave {len(members)} models, not 1 to 100")
        for member in members:
            _use(plugin, member, train)
        told.append(f"get_population: {len(members)}")
    return ", ".join(told) or "not defined, which is allowed"


def _use(plugin: Plugin, member: Any, table: TrialTable) -> None:
    plugin.module.model(member, table.X)
    plugin.module.complexity(member)
    member.predict(table.X.to_numpy())


# -- other tables ------------------------------------------------------------------------------


def strange_names(plugin: Plugin) -> str:
    """Columns named like SymPy's own objects, or ``x2`` before ``x1``."""
    table = sample(STRANGE, 120, noise=0.0)
    plugin.fit(table)
    plugin.compare(table.X, "columns " + ", ".join(STRANGE))
    return ", ".join(STRANGE)


def arrays(plugin: Plugin) -> str:
    """``fit`` and ``predict`` with arrays; ``model`` still gets a frame."""
    table = sample(("u", "v", "w"), 100, noise=0.0)
    plugin.fit(table, array=True)
    plugin.predict(table.X.to_numpy(), "array")
    plugin.expression(table.X)
    return "fit and predict, names from model(est, X)"


def four_rows(plugin: Plugin) -> str:
    """The smallest table of SRBench has four rows to fit."""
    return _whole(plugin, sample(("a", "b"), 4), "4 rows")


def constant_columns(plugin: Plugin) -> str:
    """Constant columns, then also a constant target."""
    table = sample(("a", "b", "c"), 60)
    _whole(plugin, TrialTable(table.X.assign(b=1.0, c=0.0), table.y), "two constant columns")
    return _whole(
        plugin, TrialTable(table.X, np.full(60, 2.5)), "constant columns, constant target"
    )


def one_column(plugin: Plugin) -> str:
    """A single column."""
    return _whole(plugin, sample(("a",), 60), "1 column")


def thirty_columns(plugin: Plugin) -> str:
    """More columns than most pretrained networks support."""
    return _whole(plugin, sample([f"c{j}" for j in range(30)], 120), "30 columns")


def whole_numbers(plugin: Plugin) -> str:
    """Integer columns and target."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.integers(1, 9, (80, 2)), columns=["a", "b"])
    return _whole(plugin, TrialTable(X, (X.a * X.b + 3).to_numpy()), "integers")


def large_units(plugin: Plugin) -> str:
    """Values of 1e27, as in the first-principles track."""
    return _whole(plugin, sample(("a", "b"), 60, unit=1e27), "values of 1e27")


def _whole(plugin: Plugin, table: TrialTable, what: str) -> str:
    seconds = plugin.fit(table)
    plugin.compare(table.X, what)
    return f"{what}: fit in {seconds:.1f} s"


# -- seeds, time, signals ----------------------------------------------------------------------


def same_seed(plugin: Plugin) -> str:
    """The same ``random_state`` gives the same model."""
    table = sample(("a", "b"), 40, noise=0.0)
    texts = []
    for _ in range(2):
        plugin.fit(table, max_time=60.0, test=False, seed=7)
        texts.append(plugin.string(table.X))
    if texts[0] != texts[1]:
        raise ContractError(f"random_state=7 twice gave {texts[0][:60]!r} and {texts[1][:60]!r}")
    return texts[0][:60]


def _hard() -> TrialTable:
    """A table on which a search takes long."""
    names = ("a", "b", "c", "d", "e")
    table = sample(names, 1000, noise=0.5)
    return TrialTable(table.X, table.y + np.exp(np.sin(3.0 * table.X["d"] * table.X["e"])))


def time_limit(plugin: Plugin) -> str:
    """``fit`` respects ``max_time`` with the parameters of a real run."""
    seconds = plugin.fit(_hard(), max_time=LIMIT, test=False)
    if seconds > LIMIT + MARGIN:
        raise ContractError(
            f"max_time={LIMIT:g}, but fit took {seconds:.1f} s: check the clock in loops"
        )
    return f"{seconds:.1f} s with max_time={LIMIT:g}"


class TimeOutException(Exception):
    """An ordinary exception, like the one that SRBench's alarm raises."""


class StillRunningError(BaseException):
    """Ends a fit that has swallowed the alarm."""


def alarm(plugin: Plugin) -> str:
    """SRBench's alarm ends ``fit`` soon, and the model is usable afterwards."""
    table, told = _hard(), []
    for moment in (0.3, 1.5, 4.0):
        rung: list[float] = []

        def ring(number: int, frame: Any, rung: list[float] = rung) -> None:
            rung.append(time.monotonic())
            raise TimeOutException if len(rung) == 1 else StillRunningError

        def start(moment: float = moment) -> None:
            signal.setitimer(signal.ITIMER_REAL, moment, SOON)

        signal.signal(signal.SIGALRM, ring)
        try:
            plugin.fit(table, max_time=3600.0, test=False, at_start=start)
        except TimeOutException:
            pass
        except StillRunningError:
            raise ContractError(
                f"the alarm was swallowed: fit went on for {SOON:g} s after it; let the exception "
                "through (no `except Exception` in loops)"
            ) from None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
        late = time.monotonic() - rung[0] if rung else 0.0
        if late > SOON:
            raise ContractError(f"fit went on for {late:.0f} s after the alarm")
        plugin.compare(table.X, f"after an alarm at {moment:g} s")
        told.append(f"{late:.1f} s" if rung else "before")
        if not rung:
            break
    return f"fit ended {', '.join(told)} after alarms at 0.3, 1.5, 4 s; the model is usable"


def harness_alarm(plugin: Plugin) -> str:
    """``fit`` does not change the harness's alarm and handler."""

    def ring(number: int, frame: Any) -> None:
        raise TimeOutException

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(1000)
    started = time.monotonic()
    try:
        plugin.fit(sample(("a", "b"), 60))
        now = signal.getsignal(signal.SIGALRM)
    finally:
        left = signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    if now is not ring:
        raise ContractError("fit replaced the handler of SIGALRM: then SRBench cannot end it")
    if abs(1000 - (time.monotonic() - started) - left) > 5.0:
        raise ContractError(
            "fit cancelled or moved SRBench's alarm: use a clock of its own, no SIGALRM"
        )
    return "handler and alarm as before"


def memory(plugin: Plugin) -> str:
    """All checks before this one stayed within the memory of SRBench's jobs."""
    plugin.fitted(standard()[0])
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
    if used > MEMORY:
        raise ContractError(f"{used / 2**30:.1f} GiB in use: SRBench's jobs have 10")
    return f"{used / 2**30:.2f} GiB at most"


#: All trials, in the order in which they run.
TRIALS: dict[str, Trial] = {
    trial.name: trial
    for trial in (
        Trial("interface", interface, fits=False),
        Trial("parameters", parameters, fits=False),
        Trial("eval_kwargs", options, fits=False),
        Trial("copies", copies, fits=False),
        Trial("test mode", test_mode, 90.0, "let test_params shrink the work: no max_time there"),
        Trial("sympy", sympy_reads, 90.0, "SymPy takes too long: write a shorter formula"),
        Trial("string = predict", string_is_model),
        Trial("repeatable", repeatable),
        Trial("complexity", complexity_of),
        Trial("population", population),
        Trial("strange names", strange_names),
        Trial("arrays", arrays),
        Trial("four rows", four_rows),
        Trial("constant columns", constant_columns),
        Trial("one column", one_column),
        Trial("thirty columns", thirty_columns),
        Trial("whole numbers", whole_numbers),
        Trial("large units", large_units),
        Trial("same seed", same_seed, 180.0),
        Trial("time limit", time_limit, 60.0, "max_time=5 was not kept: check the clock in loops"),
        Trial("alarm", alarm, 150.0, "the alarm was swallowed: no `except Exception` in loops"),
        Trial("harness alarm", harness_alarm),
        Trial("memory", memory),
    )
}
