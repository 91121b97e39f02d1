"""The process in which a plugin runs: ``python -m equate_srbench.srbench.probe``.

It writes events to its standard output, one JSON line each: a check starts, ``pre_train`` is called
for the next one, a check has ended. An exception that is not a check's own ends the process, as a
crash would: ``check`` treats both alike and starts a new process for the remaining checks.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from equate_srbench.srbench.findings import ContractError
from equate_srbench.srbench.plugin import Plugin
from equate_srbench.srbench.trials import TRIALS

#: Name of the check that is part of loading the plugin.
IMPORT = "import"
#: What SRBench has loaded before it imports a method.
HARNESS = (
    "joblib", "pandas", "sklearn.base", "sklearn.metrics", "sklearn.model_selection",
    "sklearn.preprocessing", "sympy", "yaml",
)  # fmt: skip
#: Seconds of an import that are quick; beyond the second figure it may be waiting for something.
QUICK, WAITING = 2.0, 20.0
HEAVY = ("torch", "tensorflow", "jax", "numba", "julia", "matplotlib")


class _Network:
    """Blocks and records network access through Python's socket module."""

    def __init__(self) -> None:
        self.tried: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "socket.getaddrinfo":
            self._refuse(str(args[0]))
        if event == "socket.connect" and isinstance(args[1], tuple):
            self._refuse(str(args[1][0]))

    def _refuse(self, host: str) -> None:
        self.tried.append(host)
        raise OSError(f"no network: {host} was asked for")


def main(experiment: str, name: str, *trials: str) -> None:
    """Run checks in order and report each on standard output.

    Parameters
    ----------
    experiment : str
        Folder that holds ``methods``.
    name : str
        Of the method.
    *trials : str
        Names from ``TRIALS``, or "import".
    """
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever the plugin prints must not come between the events

    def say(**message: Any) -> None:
        events.write(json.dumps(message) + "\n")
        events.flush()

    for module in HARNESS:
        import_module(module)
    network = _Network()
    say(event="start")
    started, busy = time.monotonic(), time.process_time()
    before = set(sys.modules)
    try:
        plugin = Plugin(Path(experiment), name)
    except ContractError as error:
        say(event="end", ok=False, detail=str(error))
        return
    if IMPORT in trials:
        wall, used = time.monotonic() - started, time.process_time() - busy
        loaded = [m for m in HEAVY if m in sys.modules and m not in before]
        ok, detail = _import_time(wall, used, loaded, network.tried)
        say(event="end", ok=ok, detail=detail)
    warm = False
    for trial in (TRIALS[t] for t in trials if t != IMPORT):
        if trial.fits and not warm:
            say(event="load")
            plugin.warm_up()
            warm = True
        say(event="start")
        try:
            detail, ok = trial.run(plugin), True
        except ContractError as error:
            detail, ok = str(error), False
        if network.tried:
            asked, ok = ", ".join(sorted(set(network.tried))), False
            detail = f"asked the network for {asked}: everything has to be there after install.sh"
            network.tried.clear()
        say(event="end", ok=ok, detail=detail)


def _import_time(wall: float, used: float, loaded: list[str], tried: list[str]) -> tuple[bool, str]:
    if tried:
        hosts = ", ".join(sorted(set(tried)))
        tried.clear()
        return False, f"importing asks the network for {hosts}: download in install.sh only"
    took = f"{used:.2f} s of processor time"
    took += f" ({', '.join(loaded)})" if loaded else ""
    if used > QUICK:
        return False, f"importing takes {took}: load heavy libraries in pre_train or fit"
    if wall > WAITING:
        return False, f"importing takes {wall:.0f} s, most of it waiting: do nothing at import"
    return True, f"offline, {took}"


if __name__ == "__main__":
    main(*sys.argv[1:])
