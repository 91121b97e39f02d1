"""A table is the same numbers, whichever way it is written; and what was understood is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equate_srbench.data.reading import load_table
from tests.data.dialects import DIALECTS, EXCEL, Dialect, numbers


def check(dialect: Dialect, folder: Path, seed: int) -> None:
    """Write, read, compare."""
    values = numbers(np.random.default_rng(seed), dialect)
    path = folder / f"t{dialect.ending}"
    path.write_bytes(dialect.write(values))
    *inputs, target = dialect.names
    loaded = load_table(str(path), target, options=dialect.options)
    assert list(loaded.X.columns) == inputs
    np.testing.assert_array_equal(loaded.X.to_numpy(), values[:, :2])
    np.testing.assert_array_equal(loaded.y.to_numpy(), values[:, 2])
    for words in dialect.said:
        assert any(words in note for note in loaded.notes), loaded.notes


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", DIALECTS)
def test__load_table__dialect__same_numbers(tmp_path: Path, name: str, seed: int) -> None:
    """Forty dialects and more, each with three tables."""
    check(DIALECTS[name], tmp_path, seed)


def test__load_table__excel__same_numbers(tmp_path: Path) -> None:
    """The extra ``excel``."""
    pytest.importorskip("openpyxl")
    check(EXCEL, tmp_path, 0)


@st.composite
def mixtures(draw: st.DrawFn) -> tuple[bytes, np.ndarray]:
    """A file with several habits at once, and its numbers."""
    sep = draw(st.sampled_from([",", ";", "\t", "|", " ", "   ", ", ", " ; "]))
    dec = draw(st.sampled_from(".,"))
    group = draw(st.sampled_from(["", "", "'", "\u00a0", "," if dec == "." else "."]))
    codec = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]))
    minus = draw(st.sampled_from(["-", "-" if codec == "cp1252" else "\N{MINUS SIGN}"]))
    quote = draw(st.booleans()) or {dec, group} & {sep.strip()} - {""}
    percent, index, units, trailing = (draw(st.booleans()) for _ in range(4))
    before = draw(st.sampled_from(["", "# made by hand\n", "\n\n", "% 1\n# 2\n"]))
    digits = draw(st.sampled_from([2, 4, 5]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.normal(size=(draw(st.integers(2, 12)), 3)) * [2e4, 1.0, 300.0]
    values = np.round(values, digits)

    def cell(value: float, j: int) -> str:
        text = f"{value:,.{digits}f}".replace(",", "\0").replace(".", dec).replace("\0", group)
        text = text.replace("-", minus) + ("%" if percent and j == 1 else "")
        return f'"{text}"' if quote else text

    rows = [[cell(v, j) for j, v in enumerate(row)] for row in values.tolist()]
    rows = [["flow", "temp", "y"], *([["m/s", "°C", "-"]] if units else []), *rows]
    if index:  # a name where spaces separate, none elsewhere
        firsts = ["n" if sep.isspace() and sep != "\t" else "", *(["-"] if units else [])]
        firsts += [str(3 * i) for i in range(len(values))]
        rows = [[first, *row] for first, row in zip(firsts, rows, strict=True)]
    end = sep.strip() if trailing and sep.strip() else ""
    newline = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = (
        before + "\n".join(sep.join(row) + end for row in rows) + draw(st.sampled_from(["", "\n"]))
    )
    return text.replace("\n", newline).encode(codec), values


@settings(max_examples=150)
@given(mixtures())
def test__load_table__mixture_of_habits__same_numbers(
    tmp_path_factory: pytest.TempPathFactory, mixture: tuple[bytes, np.ndarray]
) -> None:
    """Habits do not disturb each other."""
    data, values = mixture
    path = tmp_path_factory.getbasetemp() / "mixture.txt"
    path.write_bytes(data)
    loaded = load_table(str(path), "y", ["flow", "temp"])
    np.testing.assert_array_equal(np.column_stack([loaded.X, loaded.y]), values)
