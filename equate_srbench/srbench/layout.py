"""Checks of a submission's files, without executing them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from equate_srbench.runtime.child import last_lines
from equate_srbench.srbench.findings import ContractError, Finding, Note
from equate_srbench.srbench.submission import Submission

#: Maximum size of a submission in bytes: it installs a method and does not contain it.
LARGEST = 200_000
#: Parts of names that SRBench's scripts treat specially.
SPECIAL = ("mrgp", "operon", "dsr", "geneticengine", "e2et", "tpsr", "nesymres", "dso", "bingo")
KEYS = ("authors", "email", "name", "description", "url")
INSTALLERS = ("install.sh", "environment.yml", "requirements.txt")
#: The harness upgrades these after the method's own environment is made.
SHARED = ("numpy", "pandas", "scikit-learn")


def check_files(submission: Submission) -> Iterator[Finding]:
    """Run all checks of files.

    Yields
    ------
    Finding
    """
    checks: dict[str, Callable[[Submission], str]] = {
        "files": _files,
        "name": _name,
        "metadata": _metadata,
        "installation": _installation,
        "no source": _no_source,
    }
    for name, check in checks.items():
        try:
            yield Finding(name, True, check(submission))
        except Note as note:
            yield Finding(name, None, str(note))
        except (ContractError, OSError, UnicodeDecodeError) as error:
            yield Finding(name, False, str(error))


def _files(submission: Submission) -> str:
    name = submission.name
    wanted = [
        submission.algorithm / "metadata.yml",
        submission.method / "regressor.py",
        submission.method / "__init__.py",
    ]
    missing = [str(p.relative_to(submission.root)) for p in wanted if not p.is_file()]
    if missing:
        raise ContractError(f"missing: {', '.join(missing)}")
    if wanted[2].read_text(encoding="utf-8").strip():
        raise ContractError(f"experiment/methods/{name}/__init__.py is not empty: leave it empty")
    return f"algorithms/{name}, experiment/methods/{name}"


def _name(submission: Submission) -> str:
    name = submission.name
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ContractError(f"{name!r} cannot be imported by every script: use a-z, 0-9 and _ only")
    special = [part for part in SPECIAL if part in name]
    if special:
        raise ContractError(f"{name!r} contains {special[0]!r}, which SRBench treats specially")
    return name


def _metadata(submission: Submission) -> str:
    found = _read_yaml(submission.algorithm / "metadata.yml")
    missing = [key for key in KEYS if key not in found]
    if missing:
        raise ContractError(f"metadata.yml lacks {', '.join(missing)}")
    authors = found["authors"]
    if not (isinstance(authors, list) and authors and all(isinstance(a, str) for a in authors)):
        raise ContractError("metadata.yml: authors must be a list of names")
    for key in ("name", "description", "url"):
        if not isinstance(found[key], str) or not found[key].strip():
            raise ContractError(f"metadata.yml: {key} must be text")
    if not re.match(r"https?://\S+$", found["url"]):
        raise ContractError(f"metadata.yml: url {found['url']!r} is not an http address")
    email = found["email"]
    if email is None or email == "":
        raise Note("metadata.yml: email is empty: put the address of who opens the pull request")
    if not isinstance(email, str) or not re.fullmatch(r"\S+@\S+\.\S+", email):
        raise ContractError(f"metadata.yml: email {email!r} is not an address")
    return f"{found['name']}, {len(authors)} author(s)"


def _installation(submission: Submission) -> str:
    folder = submission.algorithm
    there = [name for name in INSTALLERS if (folder / name).is_file()]
    if not there:
        raise ContractError(f"algorithms/{submission.name} needs one of {', '.join(INSTALLERS)}")
    if "install.sh" in there:
        _shell(folder / "install.sh")
    if "environment.yml" in there:
        _environment(folder / "environment.yml")
    return ", ".join(there)


def _shell(path: Path) -> None:
    lines = [line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines()]
    if not any(re.match(r"set\s+-\w*e", line) for line in lines):
        raise ContractError("install.sh has no `set -e`: a failed step would go unnoticed")
    for line in lines:
        if re.search(r"(?<![\w-])(sudo|apt|apt-get)\s", line + " "):
            raise ContractError(
                f"install.sh uses {line!r}: it runs without root permissions; use conda"
            )
    done = subprocess.run(  # noqa: S603 - parses only
        ["bash", "-n", str(path)],  # noqa: S607 - whichever bash there is
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    if done.returncode:
        raise ContractError(f"install.sh: {last_lines(done.stderr, 1)}")


def _environment(path: Path) -> None:
    entries = _read_yaml(path).get("dependencies")
    if not isinstance(entries, list):
        raise ContractError("environment.yml has no list of dependencies")
    conda = [entry for entry in entries if isinstance(entry, str)]
    pip = [p for entry in entries if isinstance(entry, dict) for p in entry.get("pip") or []]
    if not any(re.match(r"python\s*[=<>]", entry) for entry in conda):
        raise ContractError("environment.yml does not pin python: write e.g. python=3.12")
    for entry in [*conda, *map(str, pip)]:
        pinned = re.match(r"([\w-]+)\s*(==?|<)", entry)
        if pinned and pinned[1].lower() in SHARED:
            raise ContractError(
                f"environment.yml pins {entry!r}: the harness installs its own {pinned[1]} "
                "afterwards; give a lower bound only"
            )


def _no_source(submission: Submission) -> str:
    folders = [f for f in (submission.algorithm, submission.method) if f.is_dir()]
    files = [p for f in folders for p in f.rglob("*") if p.is_file() and p.suffix != ".pyc"]
    size = sum(path.stat().st_size for path in files)
    if size > LARGEST:
        largest = max(files, key=lambda path: path.stat().st_size)
        raise ContractError(
            f"{size:,} bytes, the largest is {largest.relative_to(submission.root)}: let "
            "install.sh fetch code and weights"
        )
    return f"{len(files)} files, {size:,} bytes"


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ContractError(
            f"{path.name} is not valid YAML: {' '.join(str(error).split())}"
        ) from None
    if not isinstance(found, dict):
        raise ContractError(f"{path.name} is not a mapping")
    return found
