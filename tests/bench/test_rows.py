"""Rows survive full disks, corrupt files and many writers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from equate_srbench.bench.rows import RowStore, failure_row, make_row
from equate_srbench.bench.task import Task

ROOT = Path(__file__).parents[2]


def task(number: int = 0) -> Task:
    """One of many tasks."""
    return Task("quick", "strogatz_lv1", "linear", seed=number)


def good(number: int = 0, **values) -> dict:
    """A finished row."""
    values = {"r2_test": 0.5, "model": "x", **values}
    return make_row(task(number), status="ok", total_seconds=1.0, **values)


@pytest.fixture
def store(tmp_path) -> RowStore:
    """An empty store."""
    return RowStore(tmp_path / "run")


def test__write__then_read__the_same_row(store):
    """A row comes back as it was written, and leaves nothing else in the folder."""
    row = good()
    assert store.write(row)
    assert store.read(row["key"]) == row
    assert store.keys() == store.keys("ok") == [row["key"]]
    assert [p.name for p in store.rows.iterdir()] == [f"{row['key']}.json"]


def test__write__scores_that_are_not_finite__become_null(store):
    """JSON has no NaN: a score that is not finite is missing."""
    store.write(good(r2_test=float("nan"), r2_train=float("-inf")))
    text = store.path(task().key).read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert store.read(task().key)["r2_test"] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "fine"}, "status"),
        ({"r2_test": "high"}, "r2_test"),
        ({"total_seconds": -1.0}, "total_seconds.*greater than or equal to 0.*-1.0"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test__write__invalid_row__error_names_field_and_value(store, change, message):
    """Nothing invalid gets into the store."""
    with pytest.raises(ValueError, match=message):
        store.write({**good(), **change})
    assert store.keys() == []


def test__read__missing__key_error(store):
    """An unknown key is a KeyError."""
    with pytest.raises(KeyError):
        store.read("nothing")


def test__failure_row__any_message__one_line(store):
    """A failure has a status, a one-line message and no scores."""
    row = failure_row(task(), "crash", "exit code -11\n  somewhere", 2.5)
    assert store.write(row)
    assert row["error"] == "exit code -11 somewhere"
    assert row["acc99"] is False
    assert store.keys(["crash", "killed"]) == [row["key"]]
    with pytest.raises(ValueError, match="'ok'"):
        failure_row(task(), "ok", "", 0.0)
    with pytest.raises(ValueError, match="unknown status 'failed'"):
        store.keys("failed")


def test__write__failure_after_success__success_stays(store):
    """A late failure does not erase a finished row; a success replaces a failure."""
    store.write(failure_row(task(), "timeout", "slow", 1.0))
    assert store.write(good())
    assert not store.write(failure_row(task(), "killed", "late", 1.0))
    assert store.keys("ok") == [task().key]


def test__frame__rows_of_all_kinds__typed_table(store):
    """Missing values keep whole numbers whole and truth values three-valued."""
    store.write(good(0, solved=True, complexity=7, trace=[(0.1, 0.5)]))
    store.write(good(1, solved=None))
    store.write(failure_row(task(2), "error", "no", 1.0))
    frame = store.frame().set_index("seed")
    assert frame.loc[0, "complexity"] == 7
    assert frame["solved"].isna().tolist() == [False, True, True]
    assert frame["acc99"].dtype == bool
    assert json.loads(frame.loc[0, "trace"]) == [[0.1, 0.5]]
    assert (frame["package_version"] != "").all()


def test__read__row_of_an_earlier_version__no_verdict_on_recovery(store):
    """Rows that were written before recovery was judged stay readable."""
    row = good()
    old = {k: v for k, v in row.items() if k not in ("recovered", "short")}
    store.path(row["key"]).write_text(json.dumps(old))
    assert store.read(row["key"])["recovered"] is None
    assert store.frame()["short"].isna().all()
    assert store.quarantined() == {}


def test__to_parquet__rows__read_by_duckdb_and_pandas(store):
    """The collated file has a line per row, also without any row."""
    duckdb = pytest.importorskip("duckdb")
    assert len(store.frame()) == 0
    for i in range(3):
        store.write(good(i))
    path = store.to_parquet()
    query = f"select count(*), avg(r2_test) from '{path}' where status = 'ok'"  # noqa: S608
    assert duckdb.sql(query).fetchall() == [(3, 0.5)]


def test__corrupt_rows__truncated_flipped_foreign_copied__quarantined_with_reasons(store):
    """Whatever is no valid row is set aside with a reason, and counts as missing."""
    for i in range(20):
        store.write(good(i))
    paths = [store.path(task(i).key) for i in range(20)]
    whole = paths[0].read_bytes()
    paths[0].write_bytes(whole[: len(whole) // 2])
    paths[1].write_bytes(bytes(b ^ 0x80 if i == 40 else b for i, b in enumerate(whole)))
    paths[2].write_text(json.dumps({"schema": "of somebody else"}))
    paths[3].write_bytes(paths[4].read_bytes())
    paths[5].write_bytes(b"")
    newer = {**json.loads(paths[6].read_text()), "version": 99}
    paths[6].write_text(json.dumps(newer))
    broken = {task(i).key for i in (0, 1, 2, 3, 5, 6)}
    assert set(store.keys()) == {task(i).key for i in range(20)} - broken
    reasons = store.quarantined()
    assert len(reasons) == 6
    assert {name.rsplit(".", 2)[0] for name in reasons} == broken
    text = "\n".join(reasons.values())
    assert "holds the row of" in text
    assert "version: Input should be 1, got 99" in text
    assert len(store.keys()) == 14  # once is enough
    assert len(store.quarantined()) == 6
    store.write(good(0))
    assert task(0).key in store.keys("ok")


def test__set_aside__writer_was_faster__good_row_stays(store):
    """A row that became whole between reading and setting aside is put back."""
    store.write(good())
    store._set_aside(store.path(task().key), "it was broken a moment ago")
    assert store.keys("ok") == [task().key]
    assert store.quarantined() == {}


LIMITED = """
import json, resource, signal, sys
from equate_srbench.bench.rows import RowStore
store = RowStore({folder!r})
rows = json.load(sys.stdin)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for limit in (0, 1, 4096, 20_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    for row in rows:
        try:
            store.write(row)
        except OSError as error:
            print(error)
store.write(rows[0])
"""


def test__write__disk_full_at_any_byte__old_rows_whole_and_file_named(store):
    """A write that runs out of space fails loudly and changes nothing."""
    store.write(good(0))
    rows = [good(0, model="long " * 4000), good(1, model="long " * 4000)]
    run = subprocess.run(
        [sys.executable, "-c", LIMITED.format(folder=str(store.folder))],
        input=json.dumps(rows), capture_output=True, text=True, timeout=200, cwd=ROOT,
    )  # fmt: skip
    assert run.returncode != 0
    messages = run.stdout.splitlines()
    assert len(messages) == 8
    for number, message in enumerate(messages):
        assert f"{task(number % 2).key}.json" in message
        assert "free some space" in message
    assert "OSError" in run.stderr
    assert store.read(task(0).key)["model"] == "x"
    assert len(list(store.rows.iterdir())) == 1
    assert store.quarantined() == {}


WRITER = """
import json, sys
from equate_srbench.bench.rows import RowStore
store = RowStore({folder!r})
for i, row in enumerate(json.load(sys.stdin)):
    store.write(row)
    if i % 20 == 0:
        store.keys()
"""


def test__write__eight_processes__no_row_lost(store):
    """Eight writers of own and common rows, reading meanwhile: all rows are there and valid."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER.format(folder=str(store.folder))],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )
        for _ in range(8)
    ]  # fmt: skip
    own = [good(i) for i in range(400)]
    for w, child in enumerate(children):
        common = [good(10_000 + i, model=f"from writer {w}") for i in range(20)]
        child.stdin.write(json.dumps(own[50 * w : 50 * w + 50] + common))
        child.stdin.close()
    for child in children:
        assert child.wait(timeout=250) == 0, child.stderr.read()
        child.stderr.close()
    frame = store.frame()
    assert sorted(frame["seed"]) == [*range(400), *range(10_000, 10_020)]
    assert store.quarantined() == {}
    assert len(list(store.rows.iterdir())) == 420
