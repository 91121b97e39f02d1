"""Notebook parameters: declared in the ``parameters`` cell, validated before a kernel starts.

Papermill inserts the names of parameters into a cell as code. To rule out code injection, only
names that the notebook declares and values of the plain types below are accepted.
"""

from __future__ import annotations

import ast
import io
import keyword
import re
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from equate_srbench.runtime.hints import did_you_mean

#: Value of a parameter.
Value = bool | int | float | str | list[int] | list[float] | list[str]

_KINDS: dict[str, TypeAdapter[Any]] = {
    "bool": TypeAdapter(bool),
    "int": TypeAdapter(int),
    "float": TypeAdapter(Annotated[float, Field(allow_inf_nan=False)]),
    "str": TypeAdapter(str),
}
_DESCRIPTIONS = {
    "bool": "yes or no",
    "int": "an integer",
    "float": "a number",
    "str": "text",
}
_NUMBER = r"-?\d[\d.]*(?:e[+-]?\d+)?"
_RANGE = re.compile(rf"(?P<low>{_NUMBER}) to (?P<high>{_NUMBER})(?:, |$)")
_CHOICES = re.compile(r"one of (?P<choices>[^,]+)(?:, |$)")
_MAX_LENGTH = 1000  # characters of a value, so that error messages stay readable


class ParameterError(ValueError):
    """A parameter is invalid; the message is one line for the user."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A declared parameter.

    Attributes
    ----------
    name : str
    kind : str
        ``bool``, ``int``, ``float``, ``str``, or ``list[...]`` of one of them.
    default : Value
    help : str
        Short description.
    low, high : float or None
        Limits of a number, or of each number of a list; both or neither.
    choices : tuple of str
        Allowed values; empty: any.
    """

    name: str
    kind: str
    default: Value
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def item(self) -> str:
        """The plain type, for a list that of its values."""
        return self.kind.removeprefix("list[").removesuffix("]")

    @property
    def is_list(self) -> bool:
        """Whether the parameter takes a comma-separated list."""
        return self.kind != self.item

    @property
    def limits(self) -> str:
        """Description of the allowed values; empty if there is no restriction."""
        if self.choices:
            return ", ".join(self.choices)
        return "" if self.low is None else f"{self.low:g} to {self.high:g}"

    @property
    def default_text(self) -> str:
        """The default as typed on the command line."""
        if isinstance(self.default, list):
            return ",".join(map(str, self.default))
        return str(self.default).lower() if isinstance(self.default, bool) else str(self.default)

    def parse(self, text: str) -> Value:
        """Convert a text to the type of the parameter.

        Raises
        ------
        ParameterError
            If it has another type, is out of range, or contains control characters.
        """
        if len(text) > _MAX_LENGTH:
            raise ParameterError(
                f"{self.name}: {len(text)} characters, give at most {_MAX_LENGTH}; the default is "
                f"{self.default_text!r}"
            )
        if not text.isprintable():
            raise ParameterError(
                f"{self.name}={text!r}: line breaks and control characters are not allowed"
            )
        if not self.is_list:
            value: Value = self._one(text.strip())
            return value
        values = [self._one(word.strip()) for word in text.split(",") if word.strip()]
        if not values and self.default:
            raise ParameterError(
                f"{self.name} is empty: give comma-separated values, such as {self.default_text}"
            )
        return values

    def _one(self, text: str) -> Any:
        try:
            value = _KINDS[self.item].validate_python(text)
        except ValidationError:
            hint = f" ({self.limits})" if self.limits else ""
            raise ParameterError(
                f"{self.name}={text!r}: give {_DESCRIPTIONS[self.item]}{hint}, such as "
                f"{self.default_text or 'its default'}"
            ) from None
        if self.choices and value not in self.choices:
            raise ParameterError(
                f"{self.name}={text!r}: use one of {self.limits}{did_you_mean(text, self.choices)}"
            )
        if self.low is not None and self.high is not None and not self.low <= value <= self.high:
            raise ParameterError(f"{self.name}={text}: give a value from {self.limits}")
        return value


def parse_declarations(source: str) -> dict[str, Parameter]:
    """Parse the parameters that a cell declares, without executing it.

    Parameters
    ----------
    source : str
        Lines such as ``seeds: int = 1  # 1 to 10, how many seeds``. A comment starts with an
        optional range (``LOW to HIGH``) or choice (``one of a|b|c``); the rest is help.

    Returns
    -------
    dict of str to Parameter
        Parameters by name, in the order of the cell.

    Raises
    ------
    ValueError
        If the cell contains anything but annotated names with literal defaults: an error in the
        notebook, not of its user.
    """
    comments = _comments(source)
    found: dict[str, Parameter] = {}
    for node in ast.parse(source).body:
        if not (
            isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value
        ):
            raise ValueError(f"line {node.lineno}: write NAME: TYPE = DEFAULT  # help")
        name, kind = node.target.id, ast.unparse(node.annotation)
        if kind.removeprefix("list[").removesuffix("]") not in _KINDS:
            raise ValueError(f"{name}: {kind}: use {', '.join(_KINDS)} or a list of one of them")
        comment = comments.get(node.end_lineno or node.lineno, "")
        found[name] = _parameter(name, kind, ast.literal_eval(node.value), comment)
    return found


def parse_pairs(parameters: Mapping[str, Parameter], pairs: Iterable[str]) -> dict[str, Value]:
    """Parse ``NAME=VALUE`` pairs into values of declared parameters.

    Parameters
    ----------
    parameters : mapping of str to Parameter
        Parameters that the notebook declares.
    pairs : iterable of str

    Returns
    -------
    dict of str to Value
        Only the parameters that were given.

    Raises
    ------
    ParameterError
        If a pair is not ``NAME=VALUE`` with a declared name and a valid value, or a name is
        repeated.
    """
    values: dict[str, Value] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise ParameterError(f"-p {pair!r}: give NAME=VALUE, such as seeds=2")
        dunder = name.startswith("__") and name.endswith("__")
        if not (name.isascii() and name.isidentifier()) or keyword.iskeyword(name) or dunder:
            raise ParameterError(f"-p {pair!r}: {name!r} is not a valid parameter name")
        if name not in parameters:
            known = ", ".join(parameters) + did_you_mean(name, parameters)
            raise ParameterError(f"no parameter {name!r}: use one of {known}")
        if name in values:
            raise ParameterError(f"{name} is given twice: give it once")
        values[name] = parameters[name].parse(text)
    return values


def _comments(source: str) -> dict[int, str]:
    """Trailing comment of each line, by line number."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}


def _parameter(name: str, kind: str, default: Any, comment: str) -> Parameter:
    span, pick = _RANGE.match(comment), _CHOICES.match(comment)
    prefix = span or pick
    text = comment[prefix.end() :] if prefix else comment
    parameter = Parameter(
        name, kind, default, text.strip(),
        float(span["low"]) if span else None, float(span["high"]) if span else None,
        tuple(pick["choices"].strip().split("|")) if pick else (),
    )  # fmt: skip
    if parameter.parse(parameter.default_text) != default:
        raise ValueError(f"{name}: the default {default!r} is not of type {kind}")
    return parameter
