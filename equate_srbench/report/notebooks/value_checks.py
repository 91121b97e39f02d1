"""Checks of parameter values beyond type and range: whether the named things exist."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from equate_srbench.report.notebooks.parameters import ParameterError, Value
from equate_srbench.runtime.terminal import check_folder


def check_values(values: Mapping[str, Value], defaults: Mapping[str, Value]) -> None:
    """Check that suites, methods, tables and folders exist and that no value is repeated.

    Parameters
    ----------
    values : mapping of str to Value
        Parameters that were given, of the right type.
    defaults : mapping of str to Value
        Values of the other parameters.

    Raises
    ------
    ParameterError
        If a value names something that does not exist, or a list repeats a value.
    """
    for name, value in values.items():
        if name in _CHECKS:
            try:
                given: list[Any] = list(value) if isinstance(value, list) else [value]
                for one in given:
                    _CHECKS[name](one)
                    if given.count(one) > 1:
                        raise ParameterError(f"{one!r} is given twice")
            except (ValueError, NotADirectoryError) as error:
                raise ParameterError(f"{name}: {error}") from None
    if {"table", "target", "features"} & values.keys():
        every: dict[str, Any] = {**defaults, **values}
        _columns(every["table"], every["target"], every["features"])


def _suite(name: Any) -> None:
    from equate_srbench.bench.suites.loading import load_suite

    load_suite(name)


def _method(name: Any) -> None:
    from equate_srbench.baselines.methods import resolve

    resolve(name)


def _columns(table: str, target: str, features: list[str]) -> None:
    from equate_srbench.data.reading import load_table

    load_table(table, target, features)


def _folder(path: Any) -> None:
    if not path:
        raise ParameterError("the name of the folder is empty")
    check_folder(Path(path))


def _submission(path: Any) -> None:
    from equate_srbench.srbench.submission import find

    if path:
        find(Path(path))


def _contract(name: Any) -> None:
    from equate_srbench.srbench.check import refuse_unknown

    refuse_unknown([name])


def _lam(text: Any) -> None:
    from equate_srbench.equate.settings import parse_lam

    parse_lam(text)


_CHECKS: dict[str, Callable[[Any], None]] = {
    "suite": _suite,
    "methods": _method,
    "method": _method,
    "student": _method,
    "run": _folder,
    "submission": _submission,
    "checks": _contract,
    "lambdas": _lam,
}
