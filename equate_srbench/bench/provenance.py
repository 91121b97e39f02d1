"""Provenance of a row: version, commit, machine, date."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

import equate_srbench

_CHECKOUT = Path(equate_srbench.__file__).parent.parent


class Provenance(BaseModel):
    """Software and hardware that a row was computed with.

    Attributes
    ----------
    package_version : str
    commit : str or None
        Git commit of the checkout, with ``-dirty`` if files differ from it; None for an installed
        package.
    device : str
        ``cpu``, or the name of the GPU.
    threads : int
        Threads that numerical libraries may use.
    cpu : str
        Model of the processor.
    cores : int
        Processors that this process may run on.
    memory_gb : float
        Memory of the machine in units of 2**30 bytes.
    python, system : str
    date : str
        UTC, ISO 8601, whole seconds.
    """

    model_config = ConfigDict(extra="forbid")

    package_version: str
    commit: str | None
    device: str
    threads: int
    cpu: str
    cores: int
    memory_gb: float
    python: str
    system: str
    date: str


def provenance(device: str = "cpu") -> Provenance:
    """Provenance of a row computed now in this process."""
    cores = len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else 0
    cores = cores or os.cpu_count() or 1
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return Provenance(
        package_version=equate_srbench.__version__,
        commit=_commit(),
        device=device,
        threads=int(threads) if threads.isdigit() else cores,
        cpu=_cpu(),
        cores=cores,
        memory_gb=round(psutil.virtual_memory().total / 2**30, 1),
        python=platform.python_version(),
        system=platform.platform(terse=True),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


@lru_cache(maxsize=1)
def _commit() -> str | None:
    if not (_CHECKOUT / ".git").exists():  # installed, perhaps inside somebody else's checkout
        return None
    try:
        run = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],  # noqa: S607
            cwd=_CHECKOUT, capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.strip()


@lru_cache(maxsize=1)
def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
