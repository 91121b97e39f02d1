"""A table is the same numbers, whichever way it is written; and what was understood is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

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
