"""A benchmark that runs outside the kernel: its settings, its process and its run folder.

All state is in the folder: the rows, ``panel.json`` with the settings and the process id, and
``bench.log``. A run therefore outlives its kernel, and a new kernel finds it again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import joblib
import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from equate_srbench.baselines import methods as registry
from equate_srbench.baselines.environments import is_missing
from equate_srbench.bench.execution.plan import PAUSE, BenchPlan
from equate_srbench.bench.task import SEEDS, Task
from equate_srbench.runtime.child import own_environment
from equate_srbench.runtime.files import write_file

State = Literal["new", "running", "pausing", "stopping", "ended"]

_FILE = "panel.json"
_LOG = "bench.log"
_MAX_TRAIN = 1000  # rows, as `equate bench` has it
# a kernel may be ignoring SIGINT at the moment, which a new process would inherit
_COMMAND = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from equate_srbench.cli.main import main; main()"
)


class BenchRunError(ValueError):
    """A run cannot be made as requested; the message is one line for the user."""


class BenchSettings(BaseModel):
    """Methods to compare, the suite, and the protocol.

    Attributes
    ----------
    suite : str, default="quick"
        Name of a suite, path of a folder of tables or of a table.
    methods : tuple of str, default=("equate", "e2e")
        Keys of the registry, or ``package.module:Class``.
    n_seeds : int, default=1
        How many of SRBench's ten seeds.
    noise : tuple of float, default=(0.0,)
        Noise levels of the training target.
    max_time : float, default=5.0
        Seconds per fit.
    every : int, default=1
        Use every k-th dataset of the suite.
    engine : {"local", "dask", "slurm"}, default="local"
    jobs : int, default=1
        Number of parallel fits; 0: one per processor.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: Annotated[str, Field(min_length=1)] = "quick"
    methods: Annotated[tuple[str, ...], Field(min_length=1)] = ("equate", "e2e")
    n_seeds: Annotated[int, Field(ge=1, le=len(SEEDS))] = 1
    noise: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=1)] = (0.0,)
    max_time: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5.0
    every: Annotated[int, Field(ge=1)] = 1
    engine: Literal["local", "dask", "slurm"] = "local"
    jobs: Annotated[int, Field(ge=0)] = 1

    @field_validator("methods")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        keys = tuple(dict.fromkeys(registry.resolve(name) for name in names))
        for key in keys:
            if is_missing(key):
                raise ValueError(f"{key} is not installed: run `equate baselines install {key}`")
        return keys

    @classmethod
    def from_user(cls, **values: object) -> BenchSettings:
        """Validate settings given by a user.

        Raises
        ------
        BenchRunError
            Names the first invalid value and the reason.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise BenchRunError(_first_error(error)) from None

    @property
    def parallel(self) -> int:
        """Number of parallel fits."""
        return self.jobs or joblib.cpu_count()

    def tasks(self) -> list[Task]:
        """The fits that ``equate bench`` makes with these settings.

        Raises
        ------
        ValueError
            If the suite is unknown.
        """
        return BenchPlan(
            self.suite, self.methods, self.n_seeds, self.noise, self.max_time, self.every,
            scale=False, max_train=_MAX_TRAIN,
        ).tasks()  # fmt: skip

    def arguments(self, folder: Path) -> list[str]:
        """Arguments of ``equate`` for a run with these settings that keeps existing rows."""
        given = {
            "out": folder, "methods": ",".join(self.methods), "seeds": self.n_seeds,
            "noise": ",".join(map(repr, self.noise)), "max-time": self.max_time,
            "every": self.every, "engine": self.engine, "jobs": self.jobs,
            "max-train": _MAX_TRAIN,
        }  # fmt: skip
        options = [f"--{name}={value}" for name, value in given.items()]
        return ["bench", "--resume", *options, "--", self.suite]


class _RunRecord(BaseModel):
    """Contents of ``panel.json``."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    settings: BenchSettings
    pid: int
    started: float  # start time of the process: a process id may be reused


class BenchRun:
    """A run folder and the process that fills it.

    Parameters
    ----------
    folder : str or Path
        Made by ``start``.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._stopping = 0  # id of the process that was asked to stop
        self._children: list[subprocess.Popen[bytes]] = []

    @property
    def settings(self) -> BenchSettings | None:
        """Settings of the last start, None if there was none.

        Raises
        ------
        BenchRunError
            If ``panel.json`` is damaged.
        """
        record = self._record()
        return None if record is None else record.settings

    @property
    def state(self) -> State:
        """State of the run: ``new`` has no rows, ``ended`` has some, complete or not."""
        process = self._process()
        if process is None:
            return "ended" if (self.folder / "rows").is_dir() else "new"
        if process.pid == self._stopping:
            return "stopping"
        return "pausing" if (self.folder / PAUSE).exists() else "running"

    def start(self, settings: BenchSettings) -> None:
        """Run the missing fits in a separate process that outlives this one.

        Raises
        ------
        ValueError
            If a run is active, the folder contains something else, or the suite is unknown.
        OSError
            If the folder cannot be written.
        """
        if self._process() is not None:
            raise BenchRunError(f"a run is active in {str(self.folder)!r}: stop it first")
        self._check_folder()
        settings.tasks()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / PAUSE).unlink(missing_ok=True)
        command = [sys.executable, "-c", _COMMAND, *settings.arguments(self.folder)]
        with open(self.folder / _LOG, "wb") as log:
            child = subprocess.Popen(  # noqa: S603 - our own command; the values are arguments
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,  # an interrupt of the kernel must not reach the run
                env=own_environment(COLUMNS="200"),
            )  # fmt: skip
        self._children.append(child)
        record = _RunRecord(settings=settings, pid=child.pid, started=_start_time(child.pid))
        write_file(self.folder / _FILE, record.model_dump_json(indent=1))

    def pause(self) -> None:
        """Start no more fits; those that are running are completed."""
        if self._process() is not None:
            (self.folder / PAUSE).touch()

    def stop(self) -> None:
        """Interrupt the running fits, which a later start repeats; the second call kills them."""
        process = self._process()
        if process is None:
            return
        try:
            if self._stopping == process.pid:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                self._stopping = process.pid
                process.send_signal(signal.SIGINT)
        except (ProcessLookupError, psutil.NoSuchProcess):
            pass  # it has just exited by itself

    def last_output(self) -> str:
        """Last line of the output of the run, "" if there is none."""
        try:
            with open(self.folder / _LOG, "rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - 4000))
                lines = log.read().decode(errors="replace").split("\n")
        except (FileNotFoundError, NotADirectoryError):
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def version(self) -> tuple[int, int]:
        """Number of rows and time of the newest one; changes whenever a row is written."""
        try:
            with os.scandir(self.folder / "rows") as found:
                times = [f.stat().st_mtime_ns for f in found if f.name.endswith(".json")]
        except (FileNotFoundError, NotADirectoryError):
            return 0, 0
        return len(times), max(times, default=0)

    def _check_folder(self) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise BenchRunError(f"{str(self.folder)!r} is a file: choose a folder")
        ours = (self.folder / "rows").is_dir() or (self.folder / _FILE).exists()
        if not ours and self.folder.is_dir() and any(self.folder.iterdir()):
            raise BenchRunError(
                f"{str(self.folder)!r} contains something that is not a run: choose another folder"
            )

    def _record(self) -> _RunRecord | None:
        path = self.folder / _FILE
        try:
            return _RunRecord.model_validate_json(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValidationError as error:
            raise BenchRunError(
                f"{str(path)!r} is damaged ({_first_error(error)}): remove it; the rows are intact"
            ) from None

    def _process(self) -> psutil.Process | None:
        """The process of the active run, None if there is none."""
        self._children = [child for child in self._children if child.poll() is None]
        record = self._record()
        if record is None:
            return None
        try:
            process = psutil.Process(record.pid)
            gone = process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if not gone and abs(process.create_time() - record.started) < 1.0 else None


def _start_time(pid: int) -> float:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:  # exited at once; the log says why
        return 0.0


def _first_error(error: ValidationError) -> str:
    """The first validation error in one line, with the field and the value."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return message
    return f"{field}: {message}, not {str(first['input'])[:60]!r}" if field else message
