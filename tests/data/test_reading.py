"""Tables: shipped ones, files of every kind, and errors that name what is wrong."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equate_srbench.data import SHIPPED
from equate_srbench.data.numerals import number
from equate_srbench.data.reading import load_table, read_table
from equate_srbench.data.splitting import split_columns
from equate_srbench.data.table import LoadedTable, ReadOptions, Table, TableError

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
    with pytest.raises(TableError, match=r"'x' holds '9+' in line 2, not a finite number"):
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
        (FRAME.assign(a=[1j, 2, 3]), "y", None, "complex128, not real"),
        (FRAME.assign(a=pd.date_range("2020", periods=3)), "y", ["a"], "'a' holds dates"),
    ],
)
def test__split_columns__bad_columns__named(
    frame: pd.DataFrame, target: str, features: list[str] | None, message: str
) -> None:
    """Each error names the column, the row and the value."""
    with pytest.raises(TableError, match=message):
        split_columns(Table(frame), target, features)


def read(folder: Path, text: str, target: str = "y", **options: str) -> LoadedTable:
    """Write a text table and load it."""
    (folder / "t.csv").write_text(text, encoding="utf-8")
    return load_table(str(folder / "t.csv"), target, options=ReadOptions(**options))


def test__load_table__rows_without_target_or_feature__left_out_and_said(tmp_path: Path) -> None:
    """A row without a target teaches nothing; one without a feature is dropped on request."""
    loaded = read(tmp_path, "a,b,y\n1,2,3\n4,,6\n7,8,\n9,1,2\n", missing="drop")
    assert loaded.X.to_dict("list") == {"a": [1, 9], "b": [2, 1]}
    assert loaded.notes == (
        "comma-separated, 3 columns, 4 rows, 1 row left out: no y, 1 row left out: no b",
    )


@pytest.mark.parametrize(
    ("column", "options", "expected", "said"),
    [
        ("2024-05-01|2024-05-02|2024-05-04", {"dates": "days"}, [0, 1, 3], "when since 2024-05-01"),
        ("1.5.2024|2.5.2024|1.6.2024", {"dates": "days"}, [0, 1, 31], "when since 2024-05-01"),
        ("05/14/2024|05/13/2024|05/15/2024", {"dates": "days"}, [1, 0, 2], "when since 2024-05-13"),
        ("10:00|10:01:30|09:59", {"dates": "seconds"}, [60, 150, 0], "when since"),
        ("2024-05-01T10:00:00Z|2024-05-01 10:00:01.5Z|2024-05-01T11:00:00+01:00",
         {"dates": "seconds"}, [0, 1.5, 0], "when since"),
    ],
)  # fmt: skip
def test__load_table__dates__elapsed_time(
    tmp_path: Path, column: str, options: dict[str, str], expected: list[float], said: str
) -> None:
    """Dates of several kinds; the unit and the beginning are said."""
    rows = [f"{cell},{i}" for i, cell in enumerate(column.split("|"))]
    loaded = read(tmp_path, "\n".join(["when,y", *rows]), **options)
    assert loaded.X["when"].tolist() == expected
    assert loaded.units == {"when": options["dates"]}
    assert said in loaded.notes[0]


def test__load_table__day_or_month_first__refused(tmp_path: Path) -> None:
    """No row tells: asked, not guessed."""
    with pytest.raises(TableError, match="'when' has dates such as '03/04/2024', and no row tells"):
        read(tmp_path, "when,y\n03/04/2024,1\n04/04/2024,2\n", dates="days")


@pytest.mark.parametrize(
    ("text", "options", "values"),
    [
        ("a;y\n1,234;5\n", {"decimal": "comma"}, [1.234]),
        ("a;y\n1,234;5\n", {"decimal": "point"}, [1234.0]),
        ("a;y\n1,234;5.5\n2,000;7\n", {}, [1234.0, 2000.0]),
        ("a;y\n1.234;5,5\n2.000;7\n", {}, [1234.0, 2000.0]),
        ("a_b_y\n1_2_3\n", {"separator": "comma"}, None),
        ("a b;y\n1;3\n", {"separator": "semicolon"}, [1.0]),
    ],
)
def test__load_table__options__win(
    tmp_path: Path, text: str, options: dict[str, str], values: list[float] | None
) -> None:
    """What the whole file says about commas, and what the user says."""
    if values is None:
        with pytest.raises(TableError, match="no column 'y'"):
            read(tmp_path, text, **options)
    else:
        assert read(tmp_path, text, **options).X.iloc[:, 0].tolist() == values


def test__load_table__thousands_beside_fractions__refused(tmp_path: Path) -> None:
    """``12.345`` in a column with decimal commas is thousands or a slip: asked, not guessed."""
    with pytest.raises(TableError, match=r"'a' holds '12.345' in line 3"):
        read(tmp_path, "a;y\n1,5;1\n12.345;2\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"separator": "x"}, "--separator 'x': use one of comma, semicolon"),
        ({"decimal": ";"}, "--decimal ';': use one of point, comma"),
        ({"dates": "years"}, "--dates 'years': use one of seconds, days"),
        ({"missing": "fill"}, "--missing 'fill': use one of refuse, drop"),
    ],
)
def test__read_options__wrong__refused(options: dict[str, str], said: str) -> None:
    """Before a file is opened."""
    with pytest.raises(TableError, match=said):
        ReadOptions(**options)


def test__load_table__columns_left_out__each_is_named(tmp_path: Path) -> None:
    """An empty column, row numbers, labels; a column without a name is called by its place."""
    loaded = read(tmp_path, ",a,void,who,,y\n3,1,,p,7,2\n5,3,,q,8,4\n")
    assert list(loaded.X.columns) == ["a", "c5"]
    said = " / ".join(loaded.notes)
    for words in ("row numbers", "empty: 'void'", "not numbers: 'who'", "called 'c5'"):
        assert words in said


def test__load_table__unit_as_in_the_file__is_the_column(tmp_path: Path) -> None:
    """``--target "force [N]"`` works as it is written in the file."""
    loaded = read(tmp_path, "a [m],force [N],b[0],b[1]\n1,2,3,4\n", "force [N]")
    assert loaded.y.name == "force"
    assert list(loaded.X.columns) == ["a", "b[0]", "b[1]"]
    assert loaded.units == {"a": "m", "force": "N"}


def test__load_table__standard_input__as_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """``-`` stands for it."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a;y\n1,5;2\n")))
    assert load_table("-", "y").X["a"].tolist() == [1.5]


def test__load_table__sheets__asked_for_or_named(tmp_path: Path) -> None:
    """Several sheets with rows need ``--sheet``; titles, empty rows and text numbers are read."""
    pytest.importorskip("openpyxl")
    path = tmp_path / "b.xlsx"
    with pd.ExcelWriter(path) as book:
        FRAME.to_excel(book, sheet_name="one", index=False)
        rows = [["Run 7", None, None], [None] * 3, ["a", "b [m]", "y"], ["s", None, "W"],
                ["1,5", 2.5, 3], [None] * 3, ["2,5", 4, 5]]  # fmt: skip
        pd.DataFrame(rows).to_excel(book, sheet_name="two", index=False, header=False, startrow=2)
        pd.DataFrame().to_excel(book, sheet_name="none")
    with pytest.raises(TableError, match=r"2 sheets have rows .'one', 'two'.: choose one with"):
        load_table(str(path), "y")
    with pytest.raises(TableError, match="no sheet 'three' among 'one', 'two', 'none'"):
        load_table(str(path), "y", options=ReadOptions(sheet="three"))
    loaded = load_table(str(path), "y", options=ReadOptions(sheet="two"))
    assert loaded.X.to_dict("list") == {"a": [1.5, 2.5], "b": [2.5, 4.0]}
    assert loaded.units == {"a": "s", "b": "m", "y": "W"}


def test__load_table__pickled_arrays__never_loaded(tmp_path: Path) -> None:
    """A NumPy file may hold Python objects, which could run anything."""
    np.savez(tmp_path / "t.npz", a=np.array([{"x": 1}], dtype=object), y=np.ones(1))
    with pytest.raises(TableError, match="Python objects, which are never loaded"):
        load_table(str(tmp_path / "t.npz"), "y")


def test__load_table__arrays__matrices_become_columns(tmp_path: Path) -> None:
    """``X`` of two columns gives ``X0`` and ``X1``; what has another length is named."""
    np.savez(tmp_path / "t.npz", X=np.arange(6.0).reshape(3, 2), y=np.ones(3), seed=np.array(7))
    loaded = load_table(str(tmp_path / "t.npz"), "y")
    assert list(loaded.X.columns) == ["X0", "X1"]
    assert "left out, of another length: 'seed of shape ()'" in loaded.notes


def test__load_table__parquet__index_is_a_column_or_refused(tmp_path: Path) -> None:
    """A named index is kept, dates are asked for, row numbers are said."""
    days = pd.date_range("2024-05-01", periods=3, name="when")
    FRAME.set_index(days).to_parquet(tmp_path / "t.parquet")
    path = str(tmp_path / "t.parquet")
    with pytest.raises(TableError, match="'when' holds dates"):
        load_table(path, "y")
    assert load_table(path, "y", options=ReadOptions(dates="days")).X["when"].tolist() == [0, 1, 2]
    FRAME.set_index(days.rename(None)).to_parquet(path)
    with pytest.raises(TableError, match=r"its index of datetime64.* has no name"):
        load_table(path, "y")
    FRAME.iloc[[0, 2, 1]].to_parquet(path)
    assert "left out: row numbers in an index without a name" in load_table(path, "y").notes


NUMERALS = st.builds(
    lambda value, digits: (round(value, digits), digits),
    st.floats(-1e12, 1e12), st.integers(0, 6),
)  # fmt: skip


@given(NUMERALS, st.sampled_from(["", "'", " ", "\u202f"]), st.sampled_from([".", ","]))
def test__number__as_written__round_trip(numeral: tuple[float, int], group: str, sign: str) -> None:
    """With either decimal sign and every separator of thousands."""
    value, digits = numeral
    text = f"{value:,.{digits}f}".replace(",", group).replace(".", sign)
    assert number(text, sign) == float(f"{value:.{digits}f}")


@given(st.text("0123456789.,'eED+- %", max_size=12))
def test__number__any_text__a_finite_number_or_none(text: str) -> None:
    """And never another one than Python reads, where Python reads one."""
    value = number(text)
    assert value is None or np.isfinite(value)
    try:
        plain = float(text)
    except ValueError:
        return
    if np.isfinite(plain) and text == text.strip():
        assert value == plain


def test__load_table__types_that_are_no_numbers__named(tmp_path: Path) -> None:
    """Lists and bytes are labels, decimals and words for numbers are numbers."""
    frame = pd.DataFrame(
        {
            "list": [[1], [2, 3], None],
            "bytes": [b"p", b"q", b"r"],
            "exact": [Decimal("1.50"), Decimal("2.25"), Decimal("3")],
            "word": ["1,5", "2,5", "3,5"],
            "y": [1, 2, 3],
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    loaded = load_table(str(tmp_path / "t.parquet"), "y")
    assert loaded.X.to_dict("list") == {"exact": [1.5, 2.25, 3.0], "word": [1.5, 2.5, 3.5]}
    assert any("'list', 'bytes'" in note for note in loaded.notes)
    with pytest.raises(TableError, match=r"'list' holds '\[1\]' in row 1"):
        load_table(str(tmp_path / "t.parquet"), "y", ["list"])
