"""The magic ``%equate y ~ df --time 30``: a live fit of a table in the notebook."""

from __future__ import annotations

import argparse
import re
import shlex
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class

from equate_widgets.live_fit import LiveFit

_USAGE = """%equate TARGET ~ TABLE [--time SECONDS] [--preset NAME] [--seed N] [--columns A,B]
TARGET: a column of TABLE (`in backticks` if it is not an identifier), or a variable
TABLE: a variable that holds a DataFrame"""
_NAME = r"[^\W\d]\w*"
_FORMULA = re.compile(rf"\s*(?:`([^`]+)`|({_NAME}))\s*~\s*({_NAME})(?=\s|$)(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class MagicArguments:
    """Parsed arguments of the magic.

    Attributes
    ----------
    target, table : str
        Name of the target (a column or a variable), and of the variable with the table.
    seconds : float or None, default=None
        None: 60, in preset ``fast`` 2.
    preset : {"default", "paper", "fast"}
    seed : int or None
    columns : tuple of str
        Feature columns; empty for all.
    """

    target: str
    table: str
    seconds: float | None = None
    preset: str = "default"
    seed: int | None = None
    columns: tuple[str, ...] = ()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"%equate: {message}\n{_USAGE}")


def parse_line(line: str) -> MagicArguments:
    """Parse a line such as ``y ~ df --time 30``.

    Raises
    ------
    UsageError
        If the line is invalid; the message includes the usage.
    """
    match = _FORMULA.fullmatch(line.strip())
    if match is None:
        raise UsageError(f"%equate: cannot read {line.strip()!r}\n{_USAGE}")
    parser = _Parser(add_help=False, allow_abbrev=False, prog="%equate")
    parser.add_argument("--time", type=_seconds, default=None)
    parser.add_argument("--preset", choices=("default", "paper", "fast"), default="default")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--columns", type=_columns, default=())
    try:
        words = shlex.split(match[4])
    except ValueError as error:  # unbalanced quotation mark
        raise UsageError(f"%equate: {error} in {match[4].strip()!r}\n{_USAGE}") from None
    options = parser.parse_args(words)
    return MagicArguments(
        match[1] or match[2], match[3], options.time, options.preset, options.seed, options.columns
    )


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a time limit: give seconds above 0")
    return value


def _columns(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def resolve_table(arguments: MagicArguments, names: dict[str, Any]) -> tuple[pd.DataFrame, Any]:
    """Look up the feature columns and the target.

    Parameters
    ----------
    arguments : MagicArguments
    names : dict
        Variables of the notebook; nothing is evaluated.

    Raises
    ------
    UsageError
        If a name does not exist or has the wrong type or length.
    """
    table = names.get(arguments.table)
    if not isinstance(table, pd.DataFrame):
        what = "is not defined" if arguments.table not in names else f"is a {type(table).__name__}"
        raise UsageError(f"%equate: {arguments.table} {what}, it must be a DataFrame\n{_USAGE}")
    if arguments.target in table.columns:
        target: Any = table[arguments.target]
    elif arguments.target in names:
        target = np.asarray(names[arguments.target])
        if target.shape != (len(table),):
            raise UsageError(
                f"%equate: {arguments.target} has shape {target.shape}, but {arguments.table} has "
                f"{len(table)} rows"
            )
    else:
        raise UsageError(
            f"%equate: {arguments.target} is neither a column of {arguments.table} "
            f"({', '.join(map(str, table.columns[:20]))}) nor a variable"
        )
    missing = [name for name in arguments.columns if name not in table.columns]
    if missing:
        raise UsageError(f"%equate: {arguments.table} has no column {', '.join(missing)}")
    columns = [c for c in (arguments.columns or table.columns) if c != arguments.target]
    if not columns:
        raise UsageError(
            f"%equate: {arguments.table} has no columns other than the target {arguments.target}"
        )
    return table[columns], target


@magics_class
class EquateMagics(Magics):
    """The magics of ``%load_ext equate_widgets``."""

    @line_cell_magic
    def equate(self, line: str, cell: str | None = None) -> LiveFit:
        """Fit a formula and display the progress live.

        ``%equate TARGET ~ TABLE [--time SECONDS] [--preset NAME] [--seed N] [--columns A,B]``;
        as a cell magic, the first line takes the options and the cell the formula.
        Returns a ``LiveFit``: ``live = %equate y ~ df``, then ``live.result()``.
        """
        from equate_srbench import EquateRegressor

        arguments = parse_line(line if cell is None else f"{' '.join(cell.split())} {line}")
        shell = self.shell
        assert shell is not None  # set by IPython when it registers the magics
        X, y = resolve_table(arguments, shell.user_ns)
        est = EquateRegressor(
            max_time=arguments.seconds, preset=arguments.preset, random_state=arguments.seed
        )
        return LiveFit(est).fit(X, y)
