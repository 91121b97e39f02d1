"""Regressors whose package is installed in a separate environment and runs in a worker process."""

from __future__ import annotations

import atexit
import json
import os
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.utils import check_random_state

from equate_srbench.baselines import environments
from equate_srbench.equation import Equation
from equate_srbench.expr.errors import FormulaError
from equate_srbench.formula_regressor import FormulaRegressor
from equate_srbench.problem.domain import Domain
from equate_srbench.runtime.child import Child, foreign_environment, thread_limits

_SECONDS_TO_START = 600.0  # time limit for imports, generous for a busy machine


class WorkerError(RuntimeError):
    """An external method failed, died or did not answer in time."""


class ExternalWorker:
    """A worker process in a package's environment; serves one request at a time.

    Parameters
    ----------
    name : str
        Method key of the package.

    Raises
    ------
    EnvironmentMissing
        If the environment is not here.
    """

    def __init__(self, name: str) -> None:
        python = environments.python_of(name)
        self.name = name
        self._child = Child(
            [str(python), str(environments.package(name).worker), str(os.getpid())],
            env=foreign_environment(**thread_limits()),
            new_session=False,  # an isolated fit is killed together with what it has started
        )
        self._ready = False

    @property
    def pid(self) -> int:
        """Process number."""
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Whether the process runs and was started by this process, not before a fork."""
        return self._child.is_running

    def await_start(self) -> None:
        """Wait until the package is imported.

        Raises
        ------
        WorkerError
            If it dies or takes too long.
        """
        if not self._ready:
            self._next(time.monotonic() + _SECONDS_TO_START)
            self._ready = True

    def ask(
        self, request: dict[str, Any], seconds: float, on_formula: Callable[[str], object]
    ) -> float:
        """Send a request and wait for its end.

        Parameters
        ----------
        request : dict
            JSON-able.
        seconds : float
            After so long the process is killed.
        on_formula : callable
            Called with each better formula.

        Returns
        -------
        float
            Seconds that the fit took in the worker.

        Raises
        ------
        WorkerError
            If it fails, dies or takes too long; formulas reported before are valid.
        """
        end = time.monotonic() + seconds
        self.await_start()
        try:
            self._child.send(json.dumps(request, default=_plain))
        except BrokenPipeError:
            raise self._death() from None
        while True:
            answer = self._next(end)
            if "formula" in answer:
                on_formula(answer["formula"])
            elif "done" in answer:
                return float(answer["done"])
            else:
                raise WorkerError(f"{self.name} failed: {answer.get('error')}")

    def close(self) -> None:
        """Kill the process, whatever it does."""
        self._child.close()

    def _next(self, end: float) -> dict[str, Any]:
        try:
            line = self._child.receive(end - time.monotonic())
        except TimeoutError:
            raise WorkerError(f"{self.name} did not answer in time and was killed") from None
        if line is None:
            raise self._death()
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            raise WorkerError(f"{self.name} sent a line that is not JSON: {line[:80]!r}") from None
        return answer

    def _death(self) -> WorkerError:
        code = self._child.wait()
        return WorkerError(f"{self.name} died (exit code {code}): {self._child.last_words()}")


def _plain(value: Any) -> Any:
    """Convert NumPy scalars for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} cannot be sent to a worker process: use plain numbers and text")


class _Pool:
    """Pool of idle workers by method; a fit takes one and returns it unless it failed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[str, list[ExternalWorker]] = {}
        atexit.register(self.close)

    def take(self, name: str) -> ExternalWorker:
        """An idle worker, or a new one if there is none."""
        with self._lock:
            idle = self._idle.get(name, [])
            while idle:
                worker = idle.pop()
                if worker.is_running:
                    return worker
                worker.close()
        return ExternalWorker(name)

    def give(self, worker: ExternalWorker) -> None:
        """Return a worker to the pool."""
        with self._lock:
            self._idle.setdefault(worker.name, []).append(worker)

    def close(self) -> None:
        """End all idle workers."""
        with self._lock:
            for idle in self._idle.values():
                while idle:
                    idle.pop().close()


POOL = _Pool()


class ExternalRegressor(FormulaRegressor):
    """Base of regressors whose package is installed in a separate environment.

    A subclass names its ``package``; its parameters other than ``max_time`` and ``random_state``
    are sent to the worker script of that name.
    """

    package: ClassVar[str]

    max_time: float
    random_state: int | np.random.RandomState | None

    def warm_up(self) -> Self:
        """Start the worker process and wait for its imports, so that ``fit`` need not.

        Raises
        ------
        EnvironmentMissing
            If it is not installed; the message has the command that does it.
        WorkerError
            If it does not start.
        """
        worker = POOL.take(self.package)
        try:
            worker.await_start()
        except BaseException:
            worker.close()
            raise
        POOL.give(worker)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit with the external package.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Returns
        -------
        self

        Raises
        ------
        EnvironmentMissing
            If the package is not installed.
        WorkerError
            If the package fails before it found a formula. Otherwise the best formula so far is
            used, with a warning.
        """
        rows, y = self._validated(X, y, y_numeric=True)
        target = np.asarray(y, dtype=np.float64)
        seed = int(check_random_state(self.random_state).randint(2**31))
        self.warm_up()
        self.__dict__.pop("equation_", None)
        self._domain = Domain.of(rows, target)
        started = time.monotonic()
        try:
            self._ask(rows, target, seed)
        except WorkerError as error:
            if not hasattr(self, "equation_"):
                raise
            warnings.warn(f"{error}; using its best formula until then", UserWarning, stacklevel=2)
        finally:  # an alarm or Ctrl-C passes through; equation_ is the best so far
            self.fit_time_ = time.monotonic() - started
        return self

    def _ask(self, X: NDArray[Any], y: NDArray[Any], seed: int) -> None:
        own = ("max_time", "random_state")
        settings = {k: v for k, v in self.get_params().items() if k not in own}
        worker = POOL.take(self.package)
        try:
            with tempfile.TemporaryDirectory(prefix="equate-") as folder:
                np.save(Path(folder, "X.npy"), X, allow_pickle=False)
                np.save(Path(folder, "y.npy"), y, allow_pickle=False)
                request = {
                    "folder": folder,
                    "settings": settings,
                    "seconds": self.max_time,
                    "seed": seed,
                }
                worker.ask(request, self._limit(), self._take)
            if not hasattr(self, "equation_"):
                raise WorkerError(f"{self.package} found no formula in {self.max_time:g} s")
        except BaseException:
            worker.close()
            raise
        POOL.give(worker)

    def _limit(self) -> float:
        """Seconds after which the process is killed: packages check the time only now and then."""
        return self.max_time + max(10.0, 0.5 * self.max_time)

    def _take(self, formula: str) -> None:
        """Use the formula from now on if it can be parsed."""
        plain = [f"x{j}" for j in range(self.n_features_in_)]
        try:
            tree = Equation.from_string(formula, plain).tree
            self.equation_ = Equation(tree, self._names(), named=hasattr(self, "feature_names_in_"))
        except FormulaError as error:  # too deep, say: keep the last one that was read
            warnings.warn(
                f"a formula of {self.package} cannot be read: {error}", UserWarning, stacklevel=2
            )
