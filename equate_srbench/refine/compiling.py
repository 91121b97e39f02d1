"""Numba's decorators for compiled code: entry points cached on disk, and what they call."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeVar, cast

from numba import njit, types

Function = TypeVar("Function", bound=Callable[..., object])


class _Njit(Protocol):
    """``numba.njit`` with options: a decorator that keeps the type of the function."""

    def __call__(self, *signature: object, **options: object) -> Callable[[Function], Function]: ...


def compiled(
    *arguments: object, among: tuple[ModuleType, ...] = ()
) -> Callable[[Function], Function]:
    """``njit`` for entry points: cached on disk, or in memory where nothing can be written.

    Parameters
    ----------
    *arguments : numba types
        Of the arguments; nothing is returned.
    among : tuple of modules
        Other modules whose values or functions are compiled in.
    """

    def wrap(function: Function) -> Function:
        compiler = cast("_Njit", njit)
        signature = types.void(*arguments)
        options = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
        try:
            dispatcher = cast("Any", compiler(cache=True, **options)(function))
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            warnings.warn(
                "compiled kernels cannot be cached on disk and are compiled anew in every process "
                "(some seconds): set NUMBA_CACHE_DIR to a writable directory",
                RuntimeWarning,
                stacklevel=2,
            )
            return compiler(signature, **options)(function)
        # numba recompiles when the function's file changes, and knows of no other
        index = dispatcher._cache._cache_file
        index._source_stamp = (index._source_stamp, digest(among))
        dispatcher.compile(signature)
        dispatcher.disable_compile()
        return cast("Function", dispatcher)

    return wrap


def digest(modules: tuple[ModuleType, ...]) -> str:
    """SHA-256 over the sources of modules."""
    found = hashlib.sha256()
    for module in modules:
        found.update(Path(str(module.__file__)).read_bytes())
    return found.hexdigest()


def inner(**options: object) -> Callable[[Function], Function]:
    """``njit`` for functions that entry points call; they are cached as part of them.

    They are compiled when first needed, once for each combination of types. A literal number is a
    type: pass NumPy's numbers instead.
    """
    return cast("_Njit", njit)(
        nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, **options
    )
