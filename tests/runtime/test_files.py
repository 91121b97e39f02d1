"""Results are whole or absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from equate_srbench.runtime.files import publish, replace_folders, replacing, write_file


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


def test__write_file__replaces_and_follows_the_umask(tmp_path: Path) -> None:
    """Text is UTF-8, and the file may be read by whom the umask allows."""
    path = tmp_path / "one.txt"
    path.write_text("old")
    write_file(path, "é\n")
    assert path.read_bytes() == "é\n".encode()
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert {p.name for p in tmp_path.iterdir()} == {"one.txt", "plain"}


def test__write_file__disk_full__old_file_whole_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the file and its kind stays that of the cause."""
    path = tmp_path / "one.txt"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"cannot write \(No space left.*one\.txt") as caught:
        write_file(path, "new")
    assert caught.value.errno == 28
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["one.txt"]


def test__replacing__block_raises__old_file_whole(tmp_path: Path) -> None:
    """Whatever ends the block, the file is as it was and nothing is beside it."""
    path = tmp_path / "one.txt"
    path.write_text("old")

    def write_half() -> None:
        with replacing(path) as partial:
            partial.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["one.txt"]


@pytest.mark.parametrize("failing", [1, 2, 3])
def test__replace_folders__a_move_fails__all_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    """Two folders are replaced, or none."""
    built = {tmp_path / f"new{i}": tmp_path / f"place{i}" for i in (1, 2)}
    for folder, text in [*((new, "new") for new in built), (tmp_path / "place1", "old")]:
        folder.mkdir()
        (folder / "file").write_text(text)
    replace, calls = os.replace, []

    def fail(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) == failing:
            raise OSError(28, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="No space left"):
            replace_folders(built)
    assert {p.name for p in tmp_path.iterdir()} == {"new1", "new2", "place1"}
    assert (tmp_path / "place1" / "file").read_text() == "old"
    replace_folders(built)
    assert {p.name for p in tmp_path.iterdir()} == {"place1", "place2"}
    assert (tmp_path / "place1" / "file").read_text() == "new"
