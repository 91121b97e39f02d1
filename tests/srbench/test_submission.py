"""Writing the submission: whole or not at all, and nothing else is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from equate_srbench.srbench import submission as submissions
from equate_srbench.srbench.submission import Submission, SubmissionError, export, find, own

FILES = {
    "algorithms/equate/environment.yml",
    "algorithms/equate/install.sh",
    "algorithms/equate/metadata.yml",
    "experiment/methods/equate/__init__.py",
    "experiment/methods/equate/regressor.py",
}


def files(root: Path) -> set[str]:
    """All files in a tree."""
    return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}


@pytest.mark.parametrize("there", [False, True])
def test__export__new_or_empty_folder__exactly_the_two_folders(tmp_path, there):
    """Byte for byte what the project keeps."""
    target = tmp_path / "pull" / "request"
    if there:
        target.mkdir(parents=True)
    written = export(target)
    assert files(target) == FILES
    assert written == find(target) == Submission(target, "equate")
    for name in FILES:
        assert (target / name).read_bytes() == (own().root / name).read_bytes()


def test__export__not_empty__refused_and_untouched(tmp_path):
    """Other people's files are theirs."""
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(SubmissionError, match=r"not empty.*--force"):
        export(tmp_path)
    assert files(tmp_path) == {"thesis.tex"}


def test__export__force__replaces_our_folders_only(tmp_path):
    """A checkout of SRBench keeps its other methods; leftovers in our folders go."""
    other = tmp_path / "algorithms" / "other" / "metadata.yml"
    stale = tmp_path / "experiment" / "methods" / "equate" / "stale.py"
    for path in (other, stale):
        path.parent.mkdir(parents=True)
        path.write_text("x")
    export(tmp_path, force=True)
    export(tmp_path, force=True)
    assert files(tmp_path) == {*FILES, "algorithms/other/metadata.yml"}


def test__export__file__refused(tmp_path):
    """A file is not overwritten."""
    path = tmp_path / "file"
    path.write_text("x")
    with pytest.raises(SubmissionError, match="is a file"):
        export(path, force=True)
    assert path.read_text() == "x"


def test__export__email__in_the_metadata(tmp_path):
    """The address of who opens the pull request."""
    export(tmp_path / "a", email="ada@example.org")
    assert "email: ada@example.org\n" in (tmp_path / "a/algorithms/equate/metadata.yml").read_text()
    for wrong in ("ada", "ada@example", "a@b.c\nname: x", "a: b@c.d", "'@b.c"):
        with pytest.raises(SubmissionError, match="not an email address"):
            export(tmp_path / "b", email=wrong)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("failing", [1, 2, 3, 4])
def test__export__disk_fails_midway__as_it_was(tmp_path, monkeypatch, failing):
    """Both folders are replaced, or none; no temporary folder stays."""
    export(tmp_path)
    for name in FILES:
        (tmp_path / name).write_text("old")
    calls = []
    replace = os.replace

    def fail(source, target):
        calls.append(source)
        if len(calls) == failing:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        export(tmp_path, force=True)
    assert files(tmp_path) == FILES
    assert {(tmp_path / name).read_text() for name in FILES} == {"old"}
    assert sorted(p.name for p in tmp_path.rglob(".*")) == []


def test__find__several_none_or_unknown__says_what_to_do(tmp_path):
    """The message names what is there."""
    with pytest.raises(SubmissionError, match="neither"):
        find(tmp_path)
    for name in ("afp", "bsr"):
        (tmp_path / "algorithms" / name).mkdir(parents=True)
    with pytest.raises(SubmissionError, match=r"2 methods \(afp, bsr\): choose --name"):
        find(tmp_path)
    with pytest.raises(SubmissionError, match="no method 'itea'; it has afp, bsr"):
        find(tmp_path, "itea")
    assert find(tmp_path, "bsr").name == "bsr"


def test__own__neither_installed_nor_checkout__says_so(tmp_path, monkeypatch):
    """A broken installation is named."""
    monkeypatch.setattr(submissions, "_INSTALLED", tmp_path / "a")
    monkeypatch.setattr(submissions, "_CHECKOUT", tmp_path / "b")
    with pytest.raises(SubmissionError, match="wheel"):
        own()
    (tmp_path / "a").mkdir()
    assert own().root == tmp_path / "a"
