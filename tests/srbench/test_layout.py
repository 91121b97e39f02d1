"""Checks of files: each flaw has its line."""

from __future__ import annotations

import pytest

from equate_srbench.srbench.layout import check_files
from equate_srbench.srbench.submission import Submission, own

ENVIRONMENT = "dependencies:\n  - python=3.12\n"


def findings(submission: Submission) -> dict[str, tuple[bool | None, str]]:
    """Finding by name."""
    return {f.name: (f.ok, f.detail) for f in check_files(submission)}


def test__check_files__our_submission__passes_but_for_the_address():
    """The address is a note: it belongs to whoever opens the pull request."""
    found = findings(own())
    assert [name for name, (ok, _) in found.items() if ok is False] == []
    assert found["metadata"][0] is None
    assert "email" in found["metadata"][1]


@pytest.mark.parametrize(
    ("file", "text", "check", "words"),
    [
        ("metadata.yml", "", "metadata", "not a mapping"),
        ("metadata.yml", "name: Toy\n", "metadata", "lacks authors, email, description, url"),
        ("metadata.yml", "a: [1\n", "metadata", "not valid YAML"),
        ("metadata.yml", "- a\n", "metadata", "not a mapping"),
        ("metadata.yml", "authors: me\nemail: a@b.c\nname: T\ndescription: d\nurl: u\n",
         "metadata", "list of names"),
        ("metadata.yml", "authors: [me]\nemail: a@b.c\nname: T\ndescription: d\nurl: u\n",
         "metadata", "not an http address"),
        ("metadata.yml", "authors: [me]\nemail: a\nname: T\ndescription: d\nurl: http://u.org\n",
         "metadata", "'a' is not an address"),
        ("metadata.yml", "authors: [me]\nemail: a@b.c\nname: 3\ndescription: d\nurl: http://u\n",
         "metadata", "name must be text"),
        ("install.sh", "pip install toy\n", "installation", "set -e"),
        ("install.sh", "# set -e\npip install toy\n", "installation", "set -e"),
        ("install.sh", "set -e\nsudo make\n", "installation", "sudo make"),
        ("install.sh", "set -e\napt-get install toy\n", "installation", "use conda"),
        ("install.sh", "set -e\nif true; then\n", "installation", "install.sh"),
        ("environment.yml", "dependencies:\n  - numba\n", "installation", "pin python"),
        ("environment.yml", "name: toy\n", "installation", "no list of dependencies"),
        ("environment.yml", ENVIRONMENT + "  - numpy=1.26\n", "installation", "numpy=1.26"),
        ("environment.yml", ENVIRONMENT + "  - pip:\n    - pandas<3\n", "installation", "pandas<3"),
        ("weights.bin", "x" * 300_000, "no source", "weights.bin"),
    ],
)  # fmt: skip
def test__check_files__flaw__its_line_fails(make, file, text, check, words):
    """The line of the flaw, and no other."""
    made = make()
    (made.algorithm / file).write_text(text)
    found = findings(made)
    assert [name for name, (ok, _) in found.items() if ok is False] == [check]
    assert words in found[check][1]


@pytest.mark.parametrize("entry", ["numpy>=1.26", "numpy", "pandas >= 2"])
def test__check_files__lower_bounds__pass(make, entry):
    """What the harness installs afterwards may have a lower bound."""
    made = make()
    (made.algorithm / "environment.yml").write_text(f"{ENVIRONMENT}  - {entry}\n")
    assert findings(made)["installation"] == (True, "install.sh, environment.yml")


def test__check_files__nothing_installs__told(make):
    """One of three files has to install the method."""
    made = make()
    (made.algorithm / "install.sh").unlink()
    assert "needs one of" in findings(made)["installation"][1]


def test__check_files__files_missing_or_not_empty__told(make):
    """SRBench imports ``methods.NAME.regressor`` from a package with an empty ``__init__``."""
    made = make()
    (made.method / "__init__.py").write_text("x = 1\n")
    assert "leave it empty" in findings(made)["files"][1]
    (made.method / "__init__.py").unlink()
    (made.method / "regressor.py").unlink()
    detail = findings(made)["files"][1]
    assert "experiment/methods/toy/regressor.py, experiment/methods/toy/__init__.py" in detail


@pytest.mark.parametrize("name", ["My-Method", "2nd", "operon_new", "udsr"])
def test__check_files__name__that_scripts_misread(make, name):
    """Some parts of names switch special treatment on."""
    made = make()
    for folder in (made.algorithm, made.method):
        folder.rename(folder.with_name(name))
    ok, detail = findings(Submission(made.root, name))["name"]
    assert ok is False
    assert repr(name) in detail
