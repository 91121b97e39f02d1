"""What a parameter's type and range do not say: whether a suite, a method, a table is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from equate_srbench.report.parameters import ParameterError, Value


def check_values(values: Mapping[str, Value]) -> None:
    """Refuse names of suites, methods and tables that are nowhere to be found.

    Parameters
    ----------
    values : mapping of str to Value
        Given parameters, of the right type.

    Raises
    ------
    ParameterError
    """
    for name, value in values.items():
        if name in _CHECKS:
            try:
                for one in value if isinstance(value, list) else [value]:
                    _CHECKS[name](one)
            except ValueError as error:
                raise ParameterError(f"{name}: {error}") from None


def _suite(name: Any) -> None:
    from equate_srbench.bench.suites import load_suite

    load_suite(name)


def _method(name: Any) -> None:
    from equate_srbench.baselines.registry import resolve

    resolve(name)


def _table(name: Any) -> None:
    from equate_srbench.data.reading import read_table

    read_table(name)


_CHECKS: dict[str, Callable[[Any], None]] = {"suite": _suite, "methods": _method, "table": _table}
