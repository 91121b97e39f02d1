"""``equate doctor``: what is installed and whether it works, one check per line."""

from __future__ import annotations

import importlib
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import typer

#: What a broken installation raises: missing files, incompatible versions, wrong numbers.
_BROKEN = (
    ImportError, OSError, ValueError, RuntimeError, ArithmeticError, TypeError, LookupError,
    AttributeError,
)  # fmt: skip
_PACKAGES = ("numpy", "scipy", "pandas", "scikit-learn", "sympy", "numba", "torch", "safetensors")


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """The result of one check.

    Attributes
    ----------
    name : str
    ok : bool
    detail : str
        One line of facts, or the error.
    """

    name: str
    ok: bool
    detail: str


def doctor() -> None:
    """Check the installation; exit code 1 if something does not work."""
    healthy = True
    for check in examine():
        typer.echo(f"{'ok  ' if check.ok else 'FAIL'} {check.name:<12s} {check.detail}")
        healthy &= check.ok
    raise typer.Exit(0 if healthy else 1)


def examine() -> Iterator[HealthCheck]:
    """Run all checks, the slow ones last.

    Yields
    ------
    HealthCheck
        A check that raises is reported as failed.
    """
    checks: dict[str, Callable[[], str]] = {
        "package": _package,
        "libraries": _libraries,
        "device": _device,
        "weights": _weights,
        "kernels": _kernels,
        "self-test": _self_test,
    }
    for name, check in checks.items():
        try:
            yield HealthCheck(name, True, check())
        except _BROKEN as error:
            reason = " ".join(str(error).split()) or "no message"
            yield HealthCheck(name, False, f"{type(error).__name__}: {reason}")


def _package() -> str:
    import equate_srbench

    place = Path(equate_srbench.__file__).parent
    python = f"Python {platform.python_version()} ({platform.system()} {platform.machine()})"
    return f"equate-srbench {equate_srbench.__version__} in {place}, {python}"


def _libraries() -> str:
    return ", ".join(f"{name} {version(name)}" for name in _PACKAGES)


def _device() -> str:
    import torch

    threads = f"{os.cpu_count()} processors, torch uses {torch.get_num_threads()} threads"
    if not torch.cuda.is_available():
        return f"cpu ({threads})"
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    return f"cuda ({torch.cuda.get_device_name(0)}, {memory:.0f} GiB), {threads}"


def _weights() -> str:
    from equate_srbench.backbone import checkpoint

    parameters = sum(p.numel() for p in checkpoint.load("compact").parameters())  # checks the hash
    about = checkpoint.describe("compact")
    training = about["card"].get("training", {})
    hours, examples = training.get("wall_seconds", 0) / 3600, training.get("examples", 0)
    trained = f"trained {hours:.1f} h on {examples:,} examples ({', '.join(training['devices'])})"
    return f"compact, {parameters / 1e6:.1f} M parameters, {trained}, sha256 {about['sha256'][:16]}"


def _kernels() -> str:
    fresh = "equate_srbench.refine.kernel" not in sys.modules
    start = time.monotonic()
    kernel = importlib.import_module("equate_srbench.refine.kernel")
    seconds = time.monotonic() - start
    stats = [f.stats for f in vars(kernel).values() if hasattr(f, "stats") and f.stats.cache_path]
    if not stats:
        return (
            f"compiled in {seconds:.1f} s and not cached: set NUMBA_CACHE_DIR to a writable folder"
        )
    compiled = any(sum(s.cache_misses.values()) for s in stats)
    done = f"{'compiled' if compiled else 'loaded'} in {seconds:.1f} s" if fresh else "in memory"
    return f"{done}, cached in {stats[0].cache_path}"


def _self_test() -> str:
    """Find 3*x0/x1**2 from 60 rows in two seconds."""
    import numpy as np

    from equate_srbench import EquateRegressor

    X = np.random.default_rng(0).uniform(1.0, 5.0, (60, 2))
    y = 3.0 * X[:, 0] / X[:, 1] ** 2
    estimator = EquateRegressor(max_time=2, preset="fast", random_state=0).fit(X, y)
    r2 = estimator.score(X, y)
    found = f"{estimator.equation_} in {estimator.fit_time_:.1f} s"
    if r2 < 0.999:
        raise ValueError(f"3*x0/x1**2 was not found: {found}, R2 {r2:.4f}")
    return f"found {found}"
