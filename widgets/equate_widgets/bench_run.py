"""A benchmark beside the kernel: what was asked for, its process, and its run folder.

Whatever is known is in the folder: rows, ``panel.json`` with the settings and the process, and
``bench.log``. So a new kernel finds a run as it is, and a run does not end with its kernel.
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
from equate_srbench.baselines.environments import PACKAGES
from equate_srbench.bench.execution.plan import PAUSE, BenchPlan
from equate_srbench.bench.task import SEEDS, Task
from equate_srbench.runtime.child import own_environment
from equate_srbench.runtime.files import write_file

State = Literal["new", "running", "pausing", "stopping", "ended"]

_FILE = "panel.json"
_LOG = "bench.log"
_MAX_TRAIN = 1000  # rows, as `equate bench` has it
# a kernel may have Ctrl-C ignored at the moment, which a new process would inherit
_COMMAND = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from equate_srbench.cli.main import main; main()"
)


class BenchRunError(ValueError):
    """A run that cannot be had as asked; the message is one line for the user."""


class BenchSettings(BaseModel):
    """What to compare, and on what.

    Attributes
    ----------
    suite : str, default="quick"
        Name of a suite, a folder of tables or a table.
    methods : tuple of str, default=("equate", "e2e")
        Keys of the registry, or ``package.module:Class``.
    n_seeds : int, default=1
        The first of SRBench's ten.
    noise : tuple of float, default=(0.0,)
        Levels of target noise.
    max_time : float, default=5.0
        Seconds for one fit.
    every : int, default=1
        Use every k-th dataset of the suite, beginning with the first.
    engine : {"local", "dask", "slurm"}, default="local"
    jobs : int, default=1
        Fits at the same time; 0: one per processor.
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
            if key in PACKAGES and not PACKAGES[key].is_installed:
                raise ValueError(f"{key} is not installed: run `equate baselines install {key}`")
        return keys

    @classmethod
    def of(cls, **values: object) -> BenchSettings:
        """Settings from what a user gave.

        Raises
        ------
        BenchRunError
            Names the first value that cannot be, and why.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise BenchRunError(_complaint(error)) from None

    @property
    def parallel(self) -> int:
        """Fits at the same time."""
        return self.jobs or joblib.cpu_count()

    def tasks(self) -> list[Task]:
        """The fits, as ``equate bench`` would make them.

        Raises
        ------
        ValueError
            If there is no such suite.
        """
        return BenchPlan(
            self.suite, self.methods, self.n_seeds, self.noise, self.max_time, self.every,
            scale=False, max_train=_MAX_TRAIN,
        ).tasks()  # fmt: skip

    def arguments(self, folder: Path) -> list[str]:
        """For ``equate``: the command that does this and keeps rows that are there."""
        given = {
            "out": folder, "methods": ",".join(self.methods), "seeds": self.n_seeds,
            "noise": ",".join(map(repr, self.noise)), "max-time": self.max_time,
            "every": self.every, "engine": self.engine, "jobs": self.jobs,
            "max-train": _MAX_TRAIN,
        }  # fmt: skip
        options = [f"--{name}={value}" for name, value in given.items()]
        return ["bench", "--resume", *options, "--", self.suite]


class _Note(BaseModel):
    """What ``panel.json`` holds."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    settings: BenchSettings
    pid: int
    started: float  # when the process began: a process number alone may have a new owner


class BenchRun:
    """A run folder and the process that fills it.

    Parameters
    ----------
    folder : str or Path
        Made by ``start``.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._stopping = 0  # the process that was told to stop
        self._children: list[subprocess.Popen[bytes]] = []

    @property
    def settings(self) -> BenchSettings | None:
        """Of the last start, None if there was none.

        Raises
        ------
        BenchRunError
            If the note about it cannot be read.
        """
        note = self._note()
        return None if note is None else note.settings

    @property
    def state(self) -> State:
        """``new`` without rows; ``ended`` with rows, all that were asked for or not."""
        process = self._process()
        if process is None:
            return "ended" if (self.folder / "rows").is_dir() else "new"
        if process.pid == self._stopping:
            return "stopping"
        return "pausing" if (self.folder / PAUSE).exists() else "running"

    def start(self, settings: BenchSettings) -> None:
        """Make what is missing, in a process of its own that outlives this one.

        Raises
        ------
        ValueError
            If it runs already, the folder holds something else, or the suite is unknown.
        OSError
            If the folder cannot be written.
        """
        if self._process() is not None:
            raise BenchRunError(f"{str(self.folder)!r} is being filled: stop that run first")
        self._check_folder()
        settings.tasks()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / PAUSE).unlink(missing_ok=True)
        command = [sys.executable, "-c", _COMMAND, *settings.arguments(self.folder)]
        with open(self.folder / _LOG, "wb") as log:
            child = subprocess.Popen(  # noqa: S603 - our own command; the values are arguments
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,  # an interrupt of the kernel is not meant for the run
                env=own_environment(COLUMNS="200"),
            )  # fmt: skip
        self._children.append(child)
        note = _Note(settings=settings, pid=child.pid, started=_birth(child.pid))
        write_file(self.folder / _FILE, note.model_dump_json(indent=1))

    def pause(self) -> None:
        """Let no more fits begin; those that run come to their end."""
        if self._process() is not None:
            (self.folder / PAUSE).touch()

    def stop(self) -> None:
        """End the fits that run, which a later start makes again; asked twice, by force."""
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
            pass  # it has just ended by itself

    def last_words(self) -> str:
        """The last line that the run has printed, "" if there is none."""
        try:
            with open(self.folder / _LOG, "rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - 4000))
                lines = log.read().decode(errors="replace").split("\n")
        except (FileNotFoundError, NotADirectoryError):
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def version(self) -> tuple[int, int]:
        """Changes whenever a row is written: how many there are, and when the newest came."""
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
                f"{str(self.folder)!r} holds something that is not a run: choose another folder"
            )

    def _note(self) -> _Note | None:
        path = self.folder / _FILE
        try:
            return _Note.model_validate_json(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValidationError as error:
            raise BenchRunError(
                f"{str(path)!r} is damaged ({_complaint(error)}): remove it; the rows are whole"
            ) from None

    def _process(self) -> psutil.Process | None:
        """The process that fills the folder, None once it has ended."""
        self._children = [child for child in self._children if child.poll() is None]
        note = self._note()
        if note is None:
            return None
        try:
            process = psutil.Process(note.pid)
            gone = process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if not gone and abs(process.create_time() - note.started) < 1.0 else None


def _birth(pid: int) -> float:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:  # ended at once, and its log says why
        return 0.0


def _complaint(error: ValidationError) -> str:
    """The first complaint in one line, with the place and the value."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    told = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return told
    return f"{place}: {told}, not {str(first['input'])[:60]!r}" if place else told
