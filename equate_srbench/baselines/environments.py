"""Separate environments for packages whose dependencies conflict with ours.

An environment is a venv in the user's cache folder, named after its pinned requirements. It is
built in a temporary folder and moved into place when it works, so it is complete or absent.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pooch

from equate_srbench.baselines.methods import METHODS, Environment, spec
from equate_srbench.runtime.child import foreign_environment, last_lines
from equate_srbench.runtime.files import replace_folders, temporary_sibling, write_file

_WORKERS = Path(__file__).parent / "workers"
_READY = "ready.json"


class EnvironmentMissing(RuntimeError):
    """A method's package is not installed; the message names the command that installs it."""


class InstallError(RuntimeError):
    """An environment could not be installed; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Package:
    """Where the environment of a method is, and what is pinned in it.

    Attributes
    ----------
    name : str
        Method key.
    environment : Environment
    """

    name: str
    environment: Environment

    @property
    def worker(self) -> Path:
        """The script that runs in the environment and serves requests."""
        return _WORKERS / f"serve_{self.name}.py"

    @property
    def folder(self) -> Path:
        """Folder of the environment, whether it exists or not."""
        digest = hashlib.sha256("\n".join(self.environment.pins).encode()).hexdigest()[:10]
        return cache_folder() / f"{self.name}-{digest}"

    @property
    def is_installed(self) -> bool:
        """Whether the environment exists."""
        return (self.folder / _READY).is_file()


def cache_folder() -> Path:
    """Folder of all environments; set by ``EQUATE_ENVIRONMENTS`` if defined."""
    chosen = os.environ.get("EQUATE_ENVIRONMENTS")
    return Path(chosen) if chosen else Path(pooch.os_cache("equate-srbench")) / "environments"


def package(name: str) -> Package:
    """The package of a method; raises ValueError if it needs no separate environment."""
    environment = spec(name).environment
    if environment is None:
        known = ", ".join(key for key, method in METHODS.items() if method.environment)
        reason = "needs no separate environment" if name in METHODS else "is no method"
        raise ValueError(f"{name!r} {reason}: use one of {known}")
    return Package(name, environment)


def is_missing(name: str) -> bool:
    """Whether a method needs a separate environment that is not installed."""
    return spec(name).environment is not None and not package(name).is_installed


def python_of(name: str) -> Path:
    """The Python interpreter of the package's environment.

    Raises
    ------
    EnvironmentMissing
        If the environment, or a program that the package needs, is missing.
    """
    wanted = package(name)
    if wanted.environment.program and shutil.which(wanted.environment.program) is None:
        raise EnvironmentMissing(
            f"method {name!r} needs {wanted.environment.program!r}, which is not on the PATH: "
            f"install it, then run `equate baselines install {name}`"
        )
    if not wanted.is_installed:
        raise EnvironmentMissing(
            f"method {name!r} runs in a separate environment, which is missing at "
            f"{wanted.folder}: run `equate baselines install {name}`"
        )
    return _python_in(wanted.folder)


def install(
    name: str,
    *,
    python: str = "",
    again: bool = False,
    report: Callable[[str], object] = lambda line: None,
) -> Path:
    """Create the environment of a package unless it exists.

    Parameters
    ----------
    name : str
        Method key.
    python : str, optional
        Interpreter to use; by default this one, or a supported version found on the PATH.
    again : bool, default=False
        Recreate it if it exists.
    report : callable, optional
        Called with a line of text per step.

    Returns
    -------
    Path
        The environment's folder.

    Raises
    ------
    InstallError
        If no interpreter is suitable, or a step of the installation fails.
    ValueError
        If the method has no environment.
    """
    wanted = package(name)
    if wanted.is_installed and not again:
        report(f"{name}: already at {wanted.folder}")
        return wanted.folder
    if wanted.environment.program and shutil.which(wanted.environment.program) is None:
        raise InstallError(
            f"{name} needs {wanted.environment.program!r} on the PATH: install it first"
        )
    chosen = python or _fitting_python(wanted)
    wanted.folder.parent.mkdir(parents=True, exist_ok=True)
    build = temporary_sibling(wanted.folder)
    try:
        report(f"{name}: creating an environment with {chosen}")
        _run([chosen, "-m", "venv", str(build)], f"cannot create a venv with {chosen}")
        inside = _python_in(build)
        report(f"{name}: installing {' '.join(wanted.environment.pins)}")
        pip = [str(inside), "-m", "pip", "--disable-pip-version-check", "--no-input"]
        # most modules are never imported: the test below compiles those that are
        install = [*pip, "install", "--quiet", "--no-compile"]
        _run([*install, *wanted.environment.pins], f"pip could not install {name}")
        report(f"{name}: testing it")
        _run([str(inside), str(wanted.worker), "--check"], f"{name} was installed but fails")
        frozen = _run([*pip, "freeze"], "pip freeze fails").splitlines()
        ready = {"pins": wanted.environment.pins, "python": chosen, "installed": frozen}
        write_file(build / _READY, json.dumps(ready, indent=1))
        _move(build, wanted.folder, again)
    finally:
        shutil.rmtree(build, ignore_errors=True)
    report(f"{name}: ready at {wanted.folder}")
    return wanted.folder


def _move(build: Path, place: Path, again: bool) -> None:
    """Move a finished environment into place; of two built at the same time the first stays."""
    if again:
        replace_folders({build: place})
        return
    if place.exists() and not (place / _READY).is_file():
        shutil.rmtree(place)  # a failed installation: an environment in use has the mark
    try:
        build.rename(place)
    except OSError:
        if not (place / _READY).is_file():
            raise


def _python_in(folder: Path) -> Path:
    where = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return folder.joinpath(*where)


def _fitting_python(wanted: Package) -> str:
    """Find a supported interpreter: the running one, else one from the PATH."""
    if f"{sys.version_info[0]}.{sys.version_info[1]}" in wanted.environment.pythons:
        return sys.executable
    for version in wanted.environment.pythons:
        found = shutil.which(f"python{version}")
        if found:
            return found
    raise InstallError(
        f"{wanted.name} needs Python {' or '.join(wanted.environment.pythons)}, this is "
        f"{sys.version_info[0]}.{sys.version_info[1]}: give one with --python PATH"
    )


def _run(command: list[str], failure: str) -> str:
    """Run a command and return its output; an error contains its last lines."""
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments, no shell
            command, capture_output=True, text=True, check=False, env=foreign_environment()
        )
    except OSError as error:
        raise InstallError(f"{failure}: {error}") from None
    if done.returncode:
        said = last_lines(done.stderr or done.stdout)
        raise InstallError(f"{failure} (exit code {done.returncode}): {said}")
    return done.stdout
