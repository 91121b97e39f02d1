"""Parameters of notebooks: what a cell declares, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from equate_srbench.report.notebooks.parameters import (
    Parameter,
    ParameterError,
    parse_declarations,
    parse_pairs,
)

CELL = """\
suite: str = "quick"  # name of a suite
methods: list[str] = ["equate", "e2e"]  # names of methods
seeds: int = 1  # 1 to 10, how many seeds
max_time: float = 5.0  # 0.1 to 86400, seconds for one fit
noise: list[float] = [0.0, 1e-3]  # 0 to 10, levels
features: list[str] = []  # columns; empty: all
engine: str = "local"  # one of local|dask|slurm, where
scale: bool = False  # standardise
"""

#: What papermill would paste into a cell as code, or what nobody means.
INJECTIONS: list[str] = json.loads(
    Path(__file__).with_name("injections.json").read_text(encoding="utf-8")
)


@pytest.fixture
def parameters() -> dict[str, Parameter]:
    """Parameters of every kind."""
    return parse_declarations(CELL)


def test__parse_declarations__every_kind__types_ranges_help(
    parameters: dict[str, Parameter],
) -> None:
    """A comment gives the range or the choice first, then the help."""
    seeds, engine = parameters["seeds"], parameters["engine"]
    assert (seeds.kind, seeds.default, seeds.low, seeds.high) == ("int", 1, 1, 10)
    assert seeds.help == "how many seeds"
    assert engine.choices == ("local", "dask", "slurm")
    assert parameters["noise"].default == [0.0, 0.001]
    assert parameters["suite"].limits == ""
    assert parameters["methods"].default_text == "equate,e2e"


@pytest.mark.parametrize(
    "cell",
    [
        "seeds = 1",
        "import os",
        "seeds: int",
        "seeds: dict = {}",
        "seeds: int = 1.5  # half",
        "seeds: int = 20  # 1 to 10, too many",
        "x.y: int = 1",
    ],
)
def test__parse_declarations__anything_else__refused(cell: str) -> None:
    """A notebook whose cell cannot be checked is wrong, and says so to its author."""
    with pytest.raises(ValueError):
        parse_declarations(cell)


def test__parse_pairs__fitting_texts__typed_values(parameters: dict[str, Parameter]) -> None:
    """Texts become the declared types; lists are split at commas."""
    given = [
        "suite=runs/my tables, 2", "methods=equate, itea", "seeds=3", "max_time=1e2", "noise=0,.1",
        "features=", "engine=slurm", "scale=yes",
    ]  # fmt: skip
    assert parse_pairs(parameters, given) == {
        "suite": "runs/my tables, 2", "methods": ["equate", "itea"], "seeds": 3,
        "max_time": 100.0, "noise": [0.0, 0.1], "features": [], "engine": "slurm", "scale": True,
    }  # fmt: skip


@pytest.mark.parametrize("pair", INJECTIONS)
def test__parse_pairs__injection__refused(parameters: dict[str, Parameter], pair: str) -> None:
    """Nothing but a declared name and a plain value of its type gets through."""
    with pytest.raises(ParameterError):
        parse_pairs(parameters, [pair])


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("seeds=0", "1 to 10"),
        ("seeds=1.5", "an integer"),
        ("max_time=nan", "a number"),
        ("max_time=inf", "a number"),
        ("noise=0,11", "0 to 10"),
        ("methods=,", "empty"),
        ("engine=slrm", "did you mean 'slurm'"),
        ("sedes=1", "did you mean 'seeds'"),
        ("scale=maybe", "yes or no"),
    ],
)
def test__parse_pairs__wrong_value__says_what_is_right(
    parameters: dict[str, Parameter], pair: str, said: str
) -> None:
    """A message names the value, the limit and the way out."""
    with pytest.raises(ParameterError, match=said):
        parse_pairs(parameters, [pair])


def test__parse_pairs__very_long_value__refused(parameters: dict[str, Parameter]) -> None:
    """A value is no file."""
    with pytest.raises(ParameterError, match="at most 1000"):
        parse_pairs(parameters, ["suite=" + "x" * 2000])


def test__parse_pairs__given_twice__refused(parameters: dict[str, Parameter]) -> None:
    """Which one was meant cannot be told."""
    with pytest.raises(ParameterError, match="twice"):
        parse_pairs(parameters, ["seeds=1", "seeds=2"])
