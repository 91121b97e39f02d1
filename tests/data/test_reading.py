"""Tables: shipped ones, files of every kind, and errors that name what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from equate_srbench.data import SHIPPED
from equate_srbench.data.reading import load_table, read_table
from equate_srbench.data.splitting import split_columns
from equate_srbench.data.table import ReadOptions, Table, TableError

FRAME = pd.DataFrame({"a": [1.5, 2.5, 4.0], "b": [True, False, True], "y": [1, 2, 3]})


@pytest.mark.parametrize("name", SHIPPED)
def test__shipped_table__any__has_numbers_and_its_target(name: str) -> None:
    """Every shipped table can be fitted as it is."""
    problem = load_table(name)
    assert np.isfinite(problem.X.to_numpy()).all()
    assert problem.X.shape == (len(problem.y), 1)


def test__kepler__figures__obey_the_third_law() -> None:
    """A slip of the finger in a distance or period would show."""
    frame = read_table("kepler").frame
    assert len(frame) == 6
    np.testing.assert_allclose(frame["period"], frame["distance"] ** 1.5, rtol=5e-4)


def test__hubble__figures__give_the_published_slope() -> None:
    """Least squares on the 24 rows give the figures known for this table."""
    frame = read_table("hubble").frame
    slope, offset = np.polyfit(frame["distance"], frame["velocity"], 1)
    assert len(frame) == 24
    assert (slope, offset) == pytest.approx((454.158, -40.784), abs=1e-3)


def test__steam__figures__match_the_steam_tables() -> None:
    """Saturation pressures at 25 and 100 degrees Celsius."""
    frame = read_table("steam").frame.set_index("temperature")["pressure"]
    assert frame[298.15] == pytest.approx(3.1698, rel=1e-4)
    assert frame[373.15] == pytest.approx(101.42, rel=1e-4)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt", "t.csv.gz", "t.TSV.bz2"])
def test__read_table__text_files__round_trip(tmp_path: Path, name: str) -> None:
    """Comma, tab and guessed separators, packed or not."""
    separator = "\t" if "tsv" in name.lower() else ";" if "txt" in name else ","
    FRAME.to_csv(tmp_path / name, sep=separator, index=False)
    pd.testing.assert_frame_equal(read_table(str(tmp_path / name)).frame, FRAME)


def test__read_table__parquet__round_trip(tmp_path: Path) -> None:
    """Parquet needs nothing that is not installed."""
    FRAME.to_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(read_table(str(tmp_path / "t.parquet")).frame, FRAME)


def test__read_table__byte_order_mark__is_not_part_of_a_name(tmp_path: Path) -> None:
    """Files from spreadsheet programs keep their first column's name."""
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfa,y\n1,2\n")
    assert list(read_table(str(tmp_path / "t.csv")).frame.columns) == ["a", "y"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "cannot read"),
        ("t.csv", b"a,y\n", "no rows"),
        ("t.csv", b"a,y\n1,2,3,4\n1,2,3,4,5\n", "line 2 has 4 comma-separated cells"),
        ("t.csv", b"\xff\xfe\x00\x81", "cannot read"),
        ("t.csv.gz", b"not packed", "cannot read"),
        ("t.parquet", b"PAR1 no", "cannot read"),
        ("t.xlsx", b"PK", "does not begin like a .xlsx file"),
        ("t.csv", b"PK\x03\x04 no", "a damaged archive"),
        ("t.csv", b"\xd0\xcf\x11\xe0", "save the table as .xlsx or .csv"),
        ("t.npz", b"a,y\n1,2\n", "does not begin like a .npz file"),
        ("t.npy", b"\x93NUMPY", "damaged or not of this kind"),
        ("t.feather", b"ARROW1", "damaged or not of this kind"),
    ],
)
def test__read_table__bad_file__one_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    """Damaged and foreign files give one line that names the file."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError, match=message) as error:
        read_table(str(tmp_path / name))
    assert "\n" not in str(error.value)
    assert name in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x,y\n1,3,7\n2,6,7\n", "line 2 has 3 comma-separated cells, the header 2"),
        ("a,y\n1,2\n3,4,5\n", "line 3 has 3 comma-separated cells, the header 2"),
        ("a,b,y\n1,2,3\n4,5\n", "line 3 has 2 comma-separated cells, the header 3"),
        ("a,y\n1,5,2,5\n3,5,4,5\n", "with decimal commas, separate the cells by semicolons"),
        ("a;y\n1,5;2.5\n", "'1,5' .column 'a', line 2. has a decimal comma and '2.5' .*point"),
        ("a;y\n1,234;5\n", "'1,234' .column 'a', line 2. may be 1.234 or 1234.0, .*--decimal"),
        ('a,y\n"1,2\n3,4\n', "quotation mark that line 2 opens is never closed"),
        ("a,y\n1,\x1b[2J\n", "line 2 holds the control character"),
        ("a,y\n\n1,2x\n", "target column 'y' holds '2x' in line 3, not a number"),
        ("a,y\nb,2\n", "no numeric column"),
        ("a,y\n2024-05-01,2\n", "'a' holds dates .'2024-05-01'.*--dates days"),
        ("a,y\n1,5\n,6\n7,8\n", "'a' is empty in line 3: fill it, .*--missing drop"),
        ("a,a,y\n1,2,3\n", "more than one column 'a'"),
        ("a,a ,y\n1,2,3\n", "more than one column 'a'"),
    ],
)
def test__read_table__columns_that_do_not_match__refused(
    tmp_path: Path, text: str, said: str
) -> None:
    """Never another column's numbers under a name."""
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(TableError, match=said):
        load_table(str(tmp_path / "t.csv"), "y")


def test__read_table__trailing_commas__are_no_column(tmp_path: Path) -> None:
    """Some programs end every row with a comma."""
    (tmp_path / "t.csv").write_text("x,y\n1,2,\n3,4,\n")
    assert read_table(str(tmp_path / "t.csv")).frame.to_dict("list") == {"x": [1, 3], "y": [2, 4]}


def test__split_columns__number_of_400_digits__named(tmp_path: Path) -> None:
    """Not a traceback."""
    (tmp_path / "t.csv").write_text(f"x,y\n{'9' * 400},2\n3,4\n")
    with pytest.raises(TableError, match="'x' holds '9+' in line 2, not a finite number"):
        split_columns(read_table(str(tmp_path / "t.csv")), "y")


def test__split_columns__feature_twice__refused() -> None:
    """A slip in a list of names."""
    with pytest.raises(TableError, match="'a' is given more than once"):
        split_columns(Table(FRAME), "y", ["a", "a"])


def test__read_table__misspelt_name__suggests() -> None:
    """A name close to a shipped one is suggested."""
    with pytest.raises(TableError, match="did you mean 'kepler'"):
        read_table("keplar")


def test__read_table__folder__is_refused(tmp_path: Path) -> None:
    """A folder is no table."""
    with pytest.raises(TableError, match="is a folder"):
        read_table(str(tmp_path))


def test__split_columns__bool_and_labels__numbers_and_a_note() -> None:
    """Truth counts as 0 and 1; a column of names is left out and named."""
    problem = split_columns(Table(FRAME.assign(name=["p", "q", "r"])), "y")
    assert list(problem.X.columns) == ["a", "b"]
    assert problem.X["b"].tolist() == [1.0, 0.0, 1.0]
    assert problem.notes == (
        "left out, not numbers: 'name' (encode categories as columns of 0 and 1)",
    )


@pytest.mark.parametrize(
    ("frame", "target", "features", "message"),
    [
        (FRAME, "Y", None, "no column 'Y'.*'a', 'b', 'y'"),
        (FRAME, "y", ["a", "bb"], "no column 'bb'"),
        (FRAME, "y", ["y"], "both target and feature"),
        (FRAME[["y"]], "y", None, "no numeric column"),
        (FRAME.assign(y=[None, None, None]), "y", None, "target column 'y' is empty"),
        (FRAME.assign(a=[1, "n/a", "?"]), "y", None, r"'a' is empty in row 2 \(2 such rows\)"),
        (FRAME.assign(a=[1, np.inf, 2]), "y", None, "'a' holds 'inf' in row 2"),
        (FRAME.assign(a=["p", "q", "r"]), "y", ["a"], "'a' holds 'p' in row 1"),
        (FRAME.assign(a=[1j, 2, 3]), "y", None, "complex128, not real numbers"),
        (FRAME.assign(a=pd.date_range("2020", periods=3)), "y", ["a"], "'a' holds dates"),
    ],
)
def test__split_columns__bad_columns__named(
    frame: pd.DataFrame, target: str, features: list[str] | None, message: str
) -> None:
    """Each error names the column, the row and the value."""
    with pytest.raises(TableError, match=message):
        split_columns(Table(frame), target, features)
