"""The search as plain data: small enough, whole on disk, a picture without a kernel."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from equate_srbench.report.fit.trajectory_display import (
    MAX_ROWS,
    MIME,
    TrajectoryDisplay,
    payload,
    steps_table,
)
from tests.widgets.made_up import HOSTILE, make_fit


def size(data: dict) -> int:
    """Bytes on the wire."""
    return len(json.dumps(data, ensure_ascii=False, allow_nan=False).encode())


def test__payload__fit__one_value_per_row_in_every_column() -> None:
    """Columns are of equal length, and the formulas are those of the fit."""
    fit = make_fit()
    data = payload(fit, "A title", target="force")
    assert {len(column) for column in data["steps"].values()} == {len(fit.trajectory_)}
    assert data["steps"]["equation"] == fit.trajectory_["equation"].tolist()
    assert (data["title"], data["target"]) == ("A title", "force")
    assert len(data["path"]["x"]) == len(data["path"]["y"]) == len(fit.trajectory_)
    table = steps_table(data)
    np.testing.assert_allclose(table["r2"], fit.trajectory_["r2"], rtol=1e-15)


@pytest.mark.parametrize(
    ("most", "accepted"), [(1_000_000, True), (1_000_000, False), (20_000, False)]
)
def test__payload__long_search__within_the_limit(most: int, accepted: bool) -> None:
    """Whatever the rows are, the text is not longer, and says how many rows there were."""
    fit = make_fit(n_steps=900)
    fit.trajectory_["accepted"] = accepted
    data = payload(fit, max_bytes=most)
    assert size(data) <= most
    assert data["rows_total"] == len(fit.trajectory_) > MAX_ROWS
    assert 2 <= len(data["steps"]["start"]) <= MAX_ROWS


def test__payload__rows_left_out__accepted_ones_stay() -> None:
    """A reader misses none of the steps that counted."""
    fit = make_fit(n_steps=900)
    fit.trajectory_["accepted"] = np.arange(len(fit.trajectory_)) % 100 == 0
    kept = payload(fit)["steps"]["accepted"]
    assert sum(kept) == fit.trajectory_["accepted"].sum()


def test__payload__endless_formulas__cut_with_a_mark() -> None:
    """Texts that alone are too long are shortened; JSON stays valid and within the limit."""
    fit = make_fit(names=["w" * 4000, "b"])
    fit.trajectory_["accepted"] = True
    data = payload(fit, max_bytes=20_000)
    assert size(data) <= 20_000
    assert any(text.endswith("…") for text in data["steps"]["equation"])


def test__save__file__holds_the_payload_and_all_may_read_it(tmp_path: Path) -> None:
    """What is written is what a viewer reads; nothing else is left behind."""
    shown = TrajectoryDisplay(make_fit(), "t")
    path = shown.save(tmp_path / "found.equate.json")
    assert json.loads(path.read_text(encoding="utf-8")) == shown.payload
    assert os.stat(path).st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test__save__disk_fails__old_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails leaves the file that was there, and no pieces."""
    path = tmp_path / "found.equate.json"
    path.write_text("old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        TrajectoryDisplay(make_fit()).save(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test__mime_bundle__without_the_viewer__a_picture_and_words() -> None:
    """A notebook that is opened elsewhere shows the same search as a picture."""
    bundle = TrajectoryDisplay(make_fit(names=HOSTILE), HOSTILE[0])._repr_mimebundle_()
    assert bundle[MIME]["kind"] == "trajectory"
    assert bundle["image/svg+xml"].startswith("<svg")
    assert "<script" not in bundle["image/svg+xml"]
    assert "<img" not in bundle["image/svg+xml"]
    assert "proposals" in bundle["text/plain"]
