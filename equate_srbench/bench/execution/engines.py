"""Engines that run fits: local processes, Dask or SLURM, each a ``concurrent.futures`` executor.

An engine only transports calls; ``isolate`` starts the process of every fit on the machine where
the call arrives.
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
    """An engine is not available as requested; the message says what to do."""


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
    """Create an executor for calls such as ``run.fit_and_keep``.

    Parameters
    ----------
    name : {"local", "dask", "slurm"}
    jobs : int, default=1
        Fits at the same time; for SLURM, elements of the array at the same time.
    devices : sequence of str or None, default=("",)
        Values of ``CUDA_VISIBLE_DEVICES``, assigned to the workers in turn; ``""`` hides the GPUs.
        None leaves the variable unchanged. SLURM requests one GPU per job unless GPUs are hidden.
    address : str, optional
        Address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``; by default ``jobs`` workers
        are started on this machine and end with the engine.
    folder : str or Path, default="slurm"
        Folder of SLURM's job files, visible to all nodes.
    seconds_per_fit : float, default=140
        Time limit of a fit in seconds, from which SLURM's time limit is computed.
    memory_limit : int, default=10 GiB
        Memory limit of a fit in bytes, from which SLURM's is computed.
    options : mapping of str to str, optional
        Parameters of ``submitit`` for SLURM, such as ``slurm_partition``.
    cluster : {"local"}, optional
        For SLURM: submitit's stand-in on this machine.

    Returns
    -------
    concurrent.futures.Executor
        ``shutdown(wait=False, cancel_futures=True)`` also ends running calls. The attribute
        ``keeps_rows`` tells whether calls should write their rows themselves because they outlive
        this process; ``running()``, where available, counts the running calls.

    Raises
    ------
    EngineError
        If the name is unknown, a package is missing, or the scheduler does not answer.
    """
    if jobs < 1:
        raise EngineError(f"{jobs} jobs: give at least 1")
    if name == "local":
        return LocalEngine(jobs, devices)
    if name == "dask":
        return DaskEngine(jobs, devices, address)
    if name == "slurm":
        gpus = {"gpus_per_node": 1} if devices is None or any(devices) else {}
        memory = {"mem_gb": math.ceil(memory_limit / 2**30) + 2}
        needs = {"cpus_per_task": 1, **memory, **gpus, **(options or {})}
        return SlurmEngine(Path(folder), jobs, seconds_per_fit, needs, cluster)
    raise EngineError(f"unknown engine {name!r}: use one of {', '.join(ENGINES)}")


def parse_devices(text: str) -> tuple[str, ...] | None:
    """Translate ``--device`` to the ``devices`` of ``make_engine``.

    Parameters
    ----------
    text : str
        ``cpu``: no GPU. ``auto``: as the method decides. ``cuda``: the first GPU. ``cuda:0,2``:
        these GPUs, one worker each.

    Raises
    ------
    EngineError
    """
    kind, colon, numbers = text.partition(":")
    if text in ("cpu", "auto"):
        return ("",) if text == "cpu" else None
    chosen = tuple(number.strip() for number in (numbers if colon else "0").split(","))
    if kind != "cuda" or not all(c.isdigit() for c in chosen) or len(set(chosen)) < len(chosen):
        raise EngineError(f"unknown device {text!r}: use cpu, auto, cuda, or e.g. cuda:0,1")
    return chosen


# -- local -------------------------------------------------------------------------------------

_worker = threading.local()


def worker_env() -> dict[str, str]:
    """Environment variables for the fits of this worker thread."""
    return dict(getattr(_worker, "env", {}))


class LocalEngine(ThreadPoolExecutor):
    """Threads that each wait for the process of a fit.

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
        """Shut the engine down; with ``cancel_futures`` also end the running fits."""
        super().shutdown(wait=False, cancel_futures=cancel_futures)
        if cancel_futures:
            isolate.stop()
        super().shutdown(wait=wait)


# -- Dask --------------------------------------------------------------------------------------


class DaskEngine(Executor):
    """Dask workers; a call whose worker dies is retried on another one.

    Parameters
    ----------
    jobs : int
        Number of workers to start if there is no ``address``, each with one thread.
    devices : sequence of str or None
        Devices of those workers; workers of an existing scheduler keep their own.
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
                "`dask scheduler`, or omit the address to start local workers"
            ) from None
        # calls are not pure (wall clock), and a lost worker is not a failure of the fit
        self._executor = self._client.get_executor(pure=False, retries=2)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Send a call to the scheduler."""
        future: Future[Any] = self._executor.submit(fn, *args, **kwargs)
        return future

    def running(self) -> int:
        """Number of worker threads as last reported."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        return sum(worker["nthreads"] for worker in workers.values())

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Close the client and the workers that were started by this engine."""
        self._executor.shutdown(wait=wait and not cancel_futures)
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def _dask_cluster(jobs: int, devices: Sequence[str] | None) -> Any:
    """A local scheduler and workers, each a process with one thread and its own device."""
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

_MAX_ARRAY_SIZE = 1000  # SLURM's default MaxArraySize is 1001


@dataclass(frozen=True, slots=True)
class _Call:
    """A call and the future for its result."""

    future: Future[Any]
    fn: Callable[..., Any]
    args: tuple[Any, ...]


class SlurmEngine(Executor):
    """Calls in SLURM job arrays; a job runs several fits because starting a job costs seconds.

    Jobs continue when this process ends and write their rows themselves. A later run submits the
    fits that are still missing.

    Parameters
    ----------
    folder : Path
    jobs : int
        Number of array elements that run at the same time.
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
            raise EngineError(
                "engine slurm: sbatch was not found; run this on a node that can submit jobs"
            )
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
        """Queue a call for the next array; positional arguments only."""
        if kwargs:
            raise TypeError("a call on SLURM takes positional arguments only")
        call = _Call(Future(), fn, args)
        self._waiting.put(call)
        return call.future

    def running(self) -> int:
        """Number of jobs in SLURM's state RUNNING."""
        return sum(job.state == "RUNNING" for job in list(self._submitted))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut the engine down; with ``cancel_futures`` also cancel its jobs."""
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
        """Submit calls; if SLURM rejects them, each future gets the reason as its exception."""
        try:
            self._send(calls)
        except (RuntimeError, OSError) as error:  # submitit's own errors are RuntimeErrors
            said = " ".join(str(error).split())
            refusal = EngineError(f"SLURM rejects the jobs: {said}; see --slurm")
            for call in calls:
                if not call.future.done():
                    call.future.set_exception(refusal)

    def _send(self, calls: list[_Call]) -> None:
        """Submit calls as job arrays with at most 20 calls per job."""
        per_job = max(1, min(20, math.ceil(len(calls) / self._jobs)))
        shares = list(_batched(calls, per_job))
        minutes = math.ceil(per_job * self._seconds / 60) + 5
        self._executor.update_parameters(timeout_min=minutes)
        for array in _batched(shares, _MAX_ARRAY_SIZE):
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
    """Batches of at most ``size`` items."""
    for i in range(0, len(items), size):
        yield list(items[i : i + size])


def run_calls(
    calls: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]],
) -> list[tuple[Any, Exception | None]]:
    """Run the calls of a job one after the other.

    Returns
    -------
    list of (value, exception)
        One of the two is None.
    """
    out: list[tuple[Any, Exception | None]] = []
    for fn, args in calls:
        try:
            out.append((fn(*args), None))
        except Exception as error:  # the outcome of the call, raised again by its future
            out.append((None, error))
    return out
