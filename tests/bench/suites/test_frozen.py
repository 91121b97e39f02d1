"""Frozen tables in a folder of the user."""

from __future__ import annotations

import json

import numpy as np
import pytest

from equate_srbench.bench.suites import frozen, pmlb_cache
from equate_srbench.bench.suites.loading import SuiteError, load_suite


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with one of the sets, 5 rows to fit and 3 to validate."""
    problems = [{"eq_id": "192_vineyard", "meta": {"columns": ["a", "b"]}}]
    np.savez(
        tmp_path / frozen.FILE,
        _meta=np.array(json.dumps({"problems": problems})),
        p0__x_support=np.arange(10, dtype=np.float32).reshape(5, 2),
        p0__y_support=np.arange(5, dtype=np.float32)[:, None],
        p0__x_validation=np.full((3, 2), 7, dtype=np.float32),
        p0__y_validation=np.full((3, 1), 8, dtype=np.float32),
    )
    monkeypatch.setenv(frozen.VARIABLE, str(tmp_path))
    return tmp_path


def test__srbench2025__folder_given__all_rows_with_a_note(folder):
    """Rows of both parts, in double precision, and where they come from."""
    data = load_suite("srbench2025").load("192_vineyard")
    assert data.X.to_dict("list") == {
        "a": [0.0, 2.0, 4.0, 6.0, 8.0, 7.0, 7.0, 7.0],
        "b": [1.0, 3.0, 5.0, 7.0, 9.0, 7.0, 7.0, 7.0],
    }
    assert data.y.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 8.0, 8.0, 8.0]
    assert frozen.FILE in data.notes[0]


def test__srbench2025__set_missing_or_file_broken__one_line_says_which(folder):
    """A set that the file lacks, and a file that is none."""
    with pytest.raises(SuiteError, match="no readable 210_cloud"):
        load_suite("srbench2025").load("210_cloud")
    (folder / frozen.FILE).write_bytes(b"PK not a zip")
    with pytest.raises(SuiteError, match="no readable 192_vineyard") as caught:
        load_suite("srbench2025").load("192_vineyard")
    assert "\n" not in str(caught.value)


def test__srbench2025__folder_without_the_file__says_what_to_do(tmp_path, monkeypatch):
    """The message names variable, folder and file."""
    monkeypatch.setenv(frozen.VARIABLE, str(tmp_path))
    with pytest.raises(SuiteError, match="put the file there, or unset EQUATE_SUITES") as caught:
        load_suite("srbench2025").load("210_cloud")
    assert str(tmp_path) in str(caught.value)


def test__srbench2025__no_folder_and_no_network__both_ways_out(tmp_path, monkeypatch):
    """Without the folder PMLB is asked; the message offers its cache and the folder."""

    def unreachable(suite, name):
        raise pmlb_cache.PmlbError("PMLB cannot be reached")

    monkeypatch.delenv(frozen.VARIABLE, raising=False)
    monkeypatch.setattr(pmlb_cache, "fetch", unreachable)
    with pytest.raises(SuiteError, match="cannot be reached; or set EQUATE_SUITES to a folder"):
        load_suite("srbench2025").load("210_cloud")


def test__blackbox_names__are_known_to_pmlb():
    """Every set can be had from PMLB, with its hash."""
    assert set(frozen.BLACKBOX) < set(pmlb_cache.known()["blackbox"].sha256)
