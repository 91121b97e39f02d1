"""Equations as JSON: versioned, exact, and validated in full when read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.operators import BY_CODE, BY_NAME, CONSTANT, VARIABLE
from equate_srbench.expr.text.parser import MAX_NODES
from equate_srbench.expr.tree import Tree

_FORMAT = "equate-equation"
_VERSION = 1


def dump(
    tree: Tree,
    *,
    text: str,
    feature_names: Sequence[str] | None,
    named: bool = True,
    covariance: NDArray[np.float64] | None,
    metrics: Mapping[str, float],
) -> str:
    """JSON text of one equation; ``text`` is for human readers and ignored by ``load``."""
    data = {
        "format": _FORMAT,
        "version": _VERSION,
        "text": text,
        "prefix": [_word(symbol) for symbol in tree.symbols],
        "constants": list(tree.constants),
        "feature_names": None if feature_names is None else list(feature_names),
        "covariance": None if covariance is None else [_nulls(row) for row in covariance],
        "metrics": dict(zip(metrics, _nulls(metrics.values()), strict=True)),
    }
    if feature_names is not None and not named:  # names are labels unless the file denies it
        data["named"] = False
    return json.dumps(data)


def load(text: str) -> tuple[Tree, list[str] | None, dict[str, Any]]:
    """Read the text that ``dump`` wrote.

    Returns
    -------
    tree : Tree
    feature_names : list of str or None
    arguments : dict
        Further keyword arguments of ``Equation``.

    Raises
    ------
    FormulaError
        If the text is anything else, or of a version newer than this package.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormulaError(f"not JSON: {error}") from None
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        raise FormulaError("not an equation written by Equation.to_json")
    if data.get("version") != _VERSION:
        raise FormulaError(
            f"version {data.get('version')} of the equation format, this package reads "
            f"{_VERSION}: update equate-srbench"
        )
    try:
        names, named = data["feature_names"], data.get("named", True)
        if not isinstance(named, bool):
            raise TypeError(f"named is {named!r}, expected true or false")
        return (
            _tree(data["prefix"], data["constants"]),
            None if names is None else [str(name) for name in names],
            {
                "named": named,
                "covariance": _numbers(data["covariance"]),
                "metrics": {k: float(_nan(v)) for k, v in data["metrics"].items()},
            },
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FormulaError(f"damaged equation: {error}") from None


def _word(symbol: int) -> str | int:
    """JSON value of a symbol: a column's number, ``#`` for a constant, an operator's name."""
    if symbol >= VARIABLE:
        return symbol - VARIABLE
    return "#" if symbol == CONSTANT else BY_CODE[symbol].name


def _tree(prefix: Any, constants: Any) -> Tree:
    if not isinstance(prefix, list) or len(prefix) > MAX_NODES:
        raise FormulaError(f"a formula has at most {MAX_NODES} nodes")
    symbols = []
    for word in prefix:
        if isinstance(word, int) and not isinstance(word, bool) and 0 <= word < 1_000_000:
            symbols.append(VARIABLE + word)
        elif word == "#":
            symbols.append(CONSTANT)
        elif isinstance(word, str) and word in BY_NAME:
            symbols.append(BY_NAME[word].code)
        else:
            raise FormulaError(f"unknown symbol {word!r}")
    return Tree(symbols, [float(value) for value in constants])


def _nulls(values: Any) -> list[float | None]:
    """Numbers for JSON, with null for NaN and infinities."""
    return [float(value) if np.isfinite(value) else None for value in values]


def _nan(value: Any) -> Any:
    return np.nan if value is None else value


def _numbers(rows: Any) -> list[list[float]] | None:
    return None if rows is None else [[float(_nan(value)) for value in row] for row in rows]
