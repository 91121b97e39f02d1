"""Where fits run: processes of this machine, Dask, SLURM, all as ``concurrent.futures`` executors.

An engine only carries calls; the process of its own that every fit has is ``isolate``'s matter, on
whichever machine the call arrives.
"""

from __future__ import annotations

import math
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TypeVar

from equate_srbench.bench.execution import isolate

T = TypeVar("T")
ENGINES = ("local", "dask", "slurm")
#: Environment variable by which CUDA shows devices to a process.
VISIBLE = "CUDA_VISIBLE_DEVICES"


class EngineError(ValueError):
    """An engine that cannot be had as asked; the message says what to do."""


def make_engine(
    name: str,
    *,
    jobs: int = 1,
    devices: Sequence[str] | None = ("",),
    address: str | None = None,
    folder: str | Path = "slurm",
    seconds_per_fit: float = 140.0,
    memory_limit: int = isolate.MEMORY_LIMIT,
    options: Mapping[str, str] | None = None,
    cluster: str | None = None,
) -> Executor:
    """An executor that runs calls such as ``run.fit_and_keep``.

    Parameters
    ----------
    name : {"local", "dask", "slurm"}
    jobs : int, default=1
        Fits at the same time; for SLURM, elements of the array at the same time.
    devices : sequence of str or None, default=("",)
        What the workers see as ``CUDA_VISIBLE_DEVICES``, in turn: one worker per device; ``""``
        hides the GPUs. None leaves it as it is. SLURM asks for one GPU per job unless hidden.
    address : str, optional
        Of a Dask scheduler, such as ``tcp://10.0.0.1:8786``; without, ``jobs`` worker processes
        are started here and end with the engine.
    folder : str or Path, default="slurm"
        Of SLURM's job files; all nodes must see it.
    seconds_per_fit : float, default=140
        Most seconds of a fit, from which SLURM's time limit is made.
    memory_limit : int, default=10 GiB
        Bytes of memory of a fit, from which SLURM's is made.
    options : mapping of str to str, optional
        Parameters of ``submitit`` for SLURM, such as ``slurm_partition``.
    cluster : str, optional
        For ``slurm``: ``"local"`` is submitit's stand-in on this machine.

    Returns
    -------
    concurrent.futures.Executor
        ``shutdown(wait=False, cancel_futures=True)`` ends what runs, too. Its attribute
        ``keeps_rows`` says whether calls should write their rows themselves, because they outlive
        this process; ``running()`` says how many calls run, where that is known.

    Raises
    ------
    EngineError
        Unknown names, packages that are missing, schedulers that do not answer.
    """
    if jobs < 1:
        raise EngineError(f"{jobs} jobs: give at least 1")
    if name == "local":
        return LocalEngine(jobs, devices)
    if name == "dask":
        return DaskEngine(jobs, devices, address)
    if name == "slurm":
        needs: dict[str, Any] = {"cpus_per_task": 1, "mem_gb": math.ceil(memory_limit / 2**30) + 2}
        if devices is None or any(devices):
            needs["gpus_per_node"] = 1
        needs |= options or {}
        return SlurmEngine(Path(folder), jobs, seconds_per_fit, needs, cluster)
    raise EngineError(f"unknown engine {name!r}: use one of {', '.join(ENGINES)}")


def parse_devices(text: str) -> tuple[str, ...] | None:
    """What ``--device`` says as ``devices`` of ``make_engine``.

    Parameters
    ----------
    text : str
        ``cpu``: no GPU. ``auto``: whatever a method finds. ``cuda``: the first GPU. ``cuda:0,2``:
        these, one worker each.

    Raises
    ------
    EngineError
    """
    kind, colon, numbers = text.partition(":")
    if text in ("cpu", "auto"):
        return ("",) if text == "cpu" else None
    chosen = tuple(number.strip() for number in (numbers if colon else "0").split(","))
    if kind != "cuda" or not all(c.isdigit() for c in chosen) or len(set(chosen)) < len(chosen):
        raise EngineError(f"unknown device {text!r}: use cpu, auto, cuda or such as cuda:0,1")
    return chosen


# -- local -------------------------------------------------------------------------------------

_worker = threading.local()


def worker_env() -> dict[str, str]:
    """Variables for the fits of this worker thread."""
    return dict(getattr(_worker, "env", {}))


class LocalEngine(ThreadPoolExecutor):
    """Threads that wait for processes.

    Parameters
    ----------
    jobs : int
    devices : sequence of str or None
        See ``make_engine``.
    """

    keeps_rows = False

    def __init__(self, jobs: int, devices: Sequence[str] | None = ("",)) -> None:
        free: queue.SimpleQueue[str] = queue.SimpleQueue()
        for device in islice(cycle(devices), jobs) if devices is not None else ():
            free.put(device)

        def take_device() -> None:
            _worker.env = {VISIBLE: free.get_nowait()} if devices is not None else {}

        super().__init__(jobs, thread_name_prefix="fit", initializer=take_device)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the engine; with ``cancel_futures`` the fits that run are ended too."""
        super().shutdown(wait=False, cancel_futures=cancel_futures)
        if cancel_futures:
            isolate.stop()
        super().shutdown(wait=wait)


# -- Dask --------------------------------------------------------------------------------------


class DaskEngine(Executor):
    """Workers of a Dask scheduler; a call whose worker dies goes to another one.

    Parameters
    ----------
    jobs : int
        Workers to start where there is no ``address``, each with one thread.
    devices : sequence of str or None
        For those workers; a scheduler's own workers see what they were started with.
    address : str or None
    """

    keeps_rows = False

    def __init__(
        self, jobs: int, devices: Sequence[str] | None = ("",), address: str | None = None
    ) -> None:
        try:
            import distributed
        except ImportError:
            raise EngineError(
                "engine dask: install it with pip install 'equate-srbench[dask]'"
            ) from None
        self._cluster = None if address else _dask_cluster(jobs, devices)
        try:
            self._client = distributed.Client(
                address or self._cluster, set_as_default=False, timeout=10
            )
        except (OSError, ValueError) as error:
            raise EngineError(
                f"engine dask: no scheduler answers at {address!r} ({error}); start one with "
                "`dask scheduler`, or leave the address out to have workers started here"
            ) from None
        # fits have random seeds of their own and are never pure; a lost worker is no failure
        self._executor = self._client.get_executor(pure=False, retries=2)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Send a call to the scheduler."""
        future: Future[Any] = self._executor.submit(fn, *args, **kwargs)
        return future

    def running(self) -> int:
        """Threads of the workers, as last heard of."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        return sum(worker["nthreads"] for worker in workers.values())

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the client, and the workers that were started here."""
        self._executor.shutdown(wait=wait and not cancel_futures)
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def _dask_cluster(jobs: int, devices: Sequence[str] | None) -> Any:
    """A scheduler and workers here, each a process with one thread and a device of its own."""
    from distributed import Nanny, Scheduler, SpecCluster

    seen = islice(cycle([None] if devices is None else devices), jobs)
    envs = [{} if device is None else {VISIBLE: device} for device in seen]
    workers = {
        i: {"cls": Nanny, "options": {"nthreads": 1, "env": env, "dashboard_address": None}}
        for i, env in enumerate(envs)
    }
    quiet = {"host": "127.0.0.1", "dashboard": False, "dashboard_address": "127.0.0.1:0"}
    scheduler = {"cls": Scheduler, "options": quiet}
    return SpecCluster(workers, scheduler, silence_logs=40)


# -- SLURM -------------------------------------------------------------------------------------

_MOST_IN_ARRAY = 1000  # SLURM's default MaxArraySize is 1001


@dataclass(frozen=True, slots=True)
class _Call:
    """A call and where its result goes."""

    future: Future[Any]
    fn: Callable[..., Any]
    args: tuple[Any, ...]


class SlurmEngine(Executor):
    """Calls in job arrays; a job makes several fits, as starting one costs seconds.

    Jobs go on when this process ends, and write their rows themselves. A later run submits what is
    missing then.

    Parameters
    ----------
    folder : Path
    jobs : int
        Elements of an array that run at the same time.
    seconds_per_fit : float
    options : dict
        Parameters of ``submitit.AutoExecutor``.
    cluster : str or None
        None needs SLURM's ``sbatch``; ``"local"`` runs the jobs on this machine.
    """

    keeps_rows = True
    poll_seconds = 0.5

    def __init__(
        self,
        folder: Path,
        jobs: int,
        seconds_per_fit: float,
        options: dict[str, Any],
        cluster: str | None = None,
    ) -> None:
        try:
            import submitit
        except ImportError:
            raise EngineError(
                "engine slurm: install submitit with pip install 'equate-srbench[slurm]'"
            ) from None
        self._jobs, self._seconds = jobs, seconds_per_fit
        if cluster is None and shutil.which("sbatch") is None:
            raise EngineError("engine slurm: no sbatch here; run this on a node that submits jobs")
        self._executor = submitit.AutoExecutor(folder=folder / "%j", cluster=cluster or "slurm")
        common = {"name": "equate-bench", "slurm_array_parallelism": jobs}
        try:
            self._executor.update_parameters(**common, **options)
        except (NameError, TypeError, ValueError) as error:
            raise EngineError(f"engine slurm: {error}") from None
        self._waiting: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._submitted: dict[Any, list[_Call]] = {}
        self._ended = threading.Event()
        self._drained = threading.Event()
        self._thread = threading.Thread(target=self._drive, name="slurm", daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Take a call for the next array; positional arguments only."""
        if kwargs:
            raise TypeError("a call on SLURM takes positional arguments only")
        call = _Call(Future(), fn, args)
        self._waiting.put(call)
        return call.future

    def running(self) -> int:
        """Jobs that SLURM says are running."""
        return sum(job.state == "RUNNING" for job in list(self._submitted))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the engine; with ``cancel_futures`` its jobs are cancelled."""
        self._drained.set()
        if cancel_futures:
            self._ended.set()
        if wait:
            self._thread.join()

    def _drive(self) -> None:
        while not self._ended.is_set():
            time.sleep(self.poll_seconds)
            calls = [self._waiting.get() for _ in range(self._waiting.qsize())]
            if calls:
                self._send_or_fail(calls)
            self._collect()
            if self._drained.is_set() and not self._submitted and self._waiting.empty():
                return
        for job, calls in self._submitted.items():
            job.cancel(check=False)
            for call in calls:
                call.future.cancel()
        while not self._waiting.empty():
            self._waiting.get().future.cancel()

    def _send_or_fail(self, calls: list[_Call]) -> None:
        """Send calls; if SLURM does not take them, each of them says why."""
        try:
            self._send(calls)
        except (RuntimeError, OSError) as error:  # submitit's own errors are RuntimeErrors
            said = " ".join(str(error).split())
            refusal = EngineError(f"SLURM does not take the jobs: {said}; see --slurm")
            for call in calls:
                if not call.future.done():
                    call.future.set_exception(refusal)

    def _send(self, calls: list[_Call]) -> None:
        """Calls of one moment as arrays: as many jobs as may run at once, or more and shorter."""
        per_job = max(1, min(20, math.ceil(len(calls) / self._jobs)))
        shares = list(_batched(calls, per_job))
        minutes = math.ceil(per_job * self._seconds / 60) + 5
        self._executor.update_parameters(timeout_min=minutes)
        for array in _batched(shares, _MOST_IN_ARRAY):
            work = [[(call.fn, call.args) for call in share] for share in array]
            jobs = self._executor.map_array(run_calls, work)
            self._submitted.update(zip(jobs, array, strict=True))

    def _collect(self) -> None:
        for job in [job for job in self._submitted if job.done()]:
            calls = self._submitted.pop(job)
            error = job.exception()
            results = [(None, error)] * len(calls) if error is not None else job.result()
            for call, (value, problem) in zip(calls, results, strict=True):
                if not call.future.set_running_or_notify_cancel():
                    continue
                if problem is None:
                    call.future.set_result(value)
                else:
                    call.future.set_exception(problem)


def _batched(items: Sequence[T], size: int) -> Iterator[list[T]]:
    """Pieces of at most ``size`` items."""
    for i in range(0, len(items), size):
        yield list(items[i : i + size])


def run_calls(
    calls: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]],
) -> list[tuple[Any, Exception | None]]:
    """What a job does: its calls one after the other.

    Returns
    -------
    list of (value, exception)
        One of the two is None.
    """
    out: list[tuple[Any, Exception | None]] = []
    for fn, args in calls:
        try:
            out.append((fn(*args), None))
        except Exception as error:  # the call's outcome, raised again where it is waited for
            out.append((None, error))
    return out
