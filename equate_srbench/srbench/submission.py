"""Layout of a submission, and export of ours for a pull request."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from equate_srbench.runtime.files import replace_folders, temporary_sibling

#: Our own method's name in SRBench.
OURS = "equate"
_CHECKOUT = Path(__file__).parents[2] / "srbench_config"
_INSTALLED = Path(__file__).parent / "_submission"  # put there when the wheel is built
_NO_COPY = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


class SubmissionError(ValueError):
    """A folder has no submission, or none can be written to it; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Submission:
    """The two folders of a method in SRBench's layout.

    Attributes
    ----------
    root : Path
        Holds ``algorithms`` and ``experiment/methods``.
    name : str
        Of the method.
    """

    root: Path
    name: str

    @property
    def algorithm(self) -> Path:
        """Folder of the installation files."""
        return self.root / "algorithms" / self.name

    @property
    def experiment(self) -> Path:
        """Folder from which ``methods.NAME.regressor`` is imported."""
        return self.root / "experiment"

    @property
    def method(self) -> Path:
        """Folder of ``regressor.py``."""
        return self.experiment / "methods" / self.name


def own() -> Submission:
    """The submission of this package."""
    root = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
    if not root.is_dir():
        raise SubmissionError(
            f"the submission's files are not at {_INSTALLED}: install equate-srbench from its "
            "wheel, or from a checkout that has srbench_config/"
        )
    return Submission(root, OURS)


def find(root: Path, name: str = "") -> Submission:
    """Find the submission in a folder.

    Parameters
    ----------
    root : Path
        A tree with ``algorithms/NAME`` or ``experiment/methods/NAME``, such as an exported
        submission or a checkout of SRBench.
    name : str, optional
        Needed where there are several methods.

    Raises
    ------
    SubmissionError
        If there is none, or several and no name.
    """
    folders = (root / "algorithms", root / "experiment" / "methods")
    names = sorted({p.name for f in folders if f.is_dir() for p in f.iterdir() if p.is_dir()})
    names = [found for found in names if not found.startswith(("_", "."))]
    if not names:
        raise SubmissionError(
            f"{str(root)!r} has neither algorithms/NAME nor experiment/methods/NAME: give the "
            "folder that holds `algorithms` and `experiment`"
        )
    if not name and len(names) > 1:
        some = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        raise SubmissionError(f"{str(root)!r} has {len(names)} methods ({some}): choose --name")
    if name and name not in names:
        raise SubmissionError(f"{str(root)!r} has no method {name!r}; it has {', '.join(names)}")
    return Submission(root, name or names[0])


def export(folder: Path, *, force: bool = False, email: str = "") -> Submission:
    """Write the two folders of a pull request.

    Either both are written completely or neither; nothing else in ``folder`` is changed.

    Parameters
    ----------
    folder : Path
        New or empty; with ``force`` any, such as a checkout of SRBench: then only
        ``algorithms/equate`` and ``experiment/methods/equate`` are replaced.
    force : bool, default=False
    email : str, optional
        Contact address for ``metadata.yml``.

    Raises
    ------
    SubmissionError
        If ``folder`` is a file, or not empty without ``force``, or ``email`` is no address.
    """
    if folder.exists() and not folder.is_dir():
        raise SubmissionError(f"{str(folder)!r} is a file: choose a folder")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise SubmissionError(
            f"{str(folder)!r} is not empty: choose a new folder, or --force to replace only "
            f"algorithms/{OURS} and experiment/methods/{OURS} in it"
        )
    if email and not re.fullmatch(r"[^\s@:#'\"]+@[^\s@:#'\"]+\.[^\s@:#'\"]+", email):
        raise SubmissionError(f"{email!r} is not an email address: give one like name@example.org")
    source, target = own(), Submission(folder, OURS)
    for path in (target.algorithm, target.method):
        path.parent.mkdir(parents=True, exist_ok=True)
    built: dict[Path, Path] = {}
    try:
        for old, new in ((source.algorithm, target.algorithm), (source.method, target.method)):
            folder = temporary_sibling(new) / "new"
            built[folder] = new
            shutil.copytree(old, folder, ignore=_NO_COPY)
        if email:
            _set_email(next(iter(built)) / "metadata.yml", email)
        replace_folders(built)
    finally:
        for folder in built:
            shutil.rmtree(folder.parent, ignore_errors=True)
    return target


def _set_email(path: Path, email: str) -> None:
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"(?m)^email:.*$", f"email: {email}", text), encoding="utf-8")
