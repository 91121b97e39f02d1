"""Results are whole or absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from equate_srbench.runtime.files import publish


def test__publish__new_folder__holds_the_texts(tmp_path: Path) -> None:
    """A new folder appears with its parents and nothing beside it."""
    folder = tmp_path / "a" / "b"
    publish(folder, {"one.txt": "é\n", "two.txt": "2"})
    assert {p.name for p in folder.iterdir()} == {"one.txt", "two.txt"}
    assert (folder / "one.txt").read_bytes() == "é\n".encode()
    assert [p.name for p in folder.parent.iterdir()] == ["b"]


def test__publish__existing_folder__replaces_only_its_files(tmp_path: Path) -> None:
    """Other files of the user stay."""
    (tmp_path / "mine.txt").write_text("keep")
    (tmp_path / "one.txt").write_text("old")
    publish(tmp_path, {"one.txt": "new"})
    assert (tmp_path / "one.txt").read_text() == "new"
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test__publish__disk_full__leaves_old_files_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the second file cannot be written, the first one is not replaced either."""
    folder = tmp_path / "run"
    publish(folder, {"one.txt": "old", "two.txt": "old"})
    flushed: list[int] = []

    def full(descriptor: int) -> None:
        flushed.append(descriptor)
        if len(flushed) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        publish(folder, {"one.txt": "new", "two.txt": "new"})
    assert {p.read_text() for p in folder.iterdir()} == {"old"}
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test__publish__folder_mode__is_the_users(tmp_path: Path) -> None:
    """The folder can be read by whom the umask allows, like any other folder."""
    publish(tmp_path / "run", {"one.txt": "1"})
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "run").stat().st_mode == (tmp_path / "plain").stat().st_mode
