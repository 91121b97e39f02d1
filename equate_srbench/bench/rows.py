"""Rows of a benchmark: one JSON file per fit, whole or absent, valid or set aside with a reason."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args
from uuid import uuid4

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from equate_srbench.bench.provenance import Provenance, provenance

if TYPE_CHECKING:
    import pandas as pd

    from equate_srbench.bench.protocol import Task

SCHEMA = 1
Status = Literal["ok", "timeout", "killed", "crash", "error"]
STATUSES: tuple[str, ...] = get_args(Status)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


#: JSON has no NaN and no infinity: a score that is not finite is no score.
Score = Annotated[float | None, BeforeValidator(_finite)]
Seconds = Annotated[float, Field(ge=0)]


class Row(BaseModel):
    """The result of one fit.

    Attributes
    ----------
    version : int
        Of this schema.
    key : str
        ``Task.key``; also the name of the file.
    suite, dataset, method, settings, seed, noise, max_time, scale, max_train, max_rows :
        The task.
    status : {"ok", "timeout", "killed", "crash", "error"}
    error : str or None
        What went wrong, in one line; None if and only if the status is ``ok``.
    n_train, n_test, n_features : int or None
        Shape of the split.
    rows_sha256 : str or None
        Of the numbers of the data set (before the split): equal rows have equal hashes.
    notes : list of str
        What a reader should know about the rows.
    fit_seconds, total_seconds : float or None, float
        Wall clock of ``fit``, and of the whole task.
    r2_train, r2_test : float or None
        R2 against the target given to ``fit`` (with its noise), and on the clean test rows.
    acc99, acc999 : bool
        Whether the test R2 is above .99 and above .999.
    model : str or None
        The formula as SymPy reads it, None for a method without formulas.
    complexity, complexity_simplified : int or None
        Nodes as SRBench counts them, of the formula as it is and after simplification.
    solved : bool or None
        Symbolic solution; None if there is nothing to compare, or it could not be decided.
    solved_reason : str or None
        How that was decided, None if there was nothing to compare.
    trace : list of [seconds, R2 on the fit rows] or None
        Best so far each time it improved, where the method tells.
    teacher : dict or None
        What a method with a smooth teacher says about it: the strengths, or whether it was used;
        the student's fidelity and the teacher's own test R2 where there are such.
    diagnostics : dict of str to float, or None
        What the method says about its search in single numbers, such as the flip rate of the
        gradient ascent; None where it says nothing.
    provenance : Provenance
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    version: Literal[1] = SCHEMA
    key: str
    suite: str
    dataset: str
    method: str
    settings: dict[str, JsonValue]
    seed: int
    noise: float
    max_time: float
    scale: bool
    max_train: int | None
    max_rows: int | None
    status: Status
    error: str | None = None
    n_train: int | None = None
    n_test: int | None = None
    n_features: int | None = None
    rows_sha256: str | None = None
    notes: list[str] = []
    fit_seconds: Seconds | None = None
    total_seconds: Seconds
    r2_train: Score = None
    r2_test: Score = None
    acc99: bool = False
    acc999: bool = False
    model: str | None = None
    complexity: int | None = None
    complexity_simplified: int | None = None
    solved: bool | None = None
    solved_reason: str | None = None
    trace: list[tuple[float, float]] | None = None
    teacher: dict[str, JsonValue] | None = None
    diagnostics: dict[str, Score] | None = None
    provenance: Provenance


def make_row(task: Task, *, status: str, total_seconds: float, **values: Any) -> dict[str, Any]:
    """A valid row of ``task`` as plain data; ``values`` are fields of ``Row``."""
    row = Row.model_validate(
        {
            "key": task.key,
            **task.to_dict(),
            "status": status,
            "total_seconds": total_seconds,
            "provenance": provenance(values.pop("device", "cpu")),
            **values,
        }
    )
    return row.model_dump(mode="json")


def failure_row(task: Task, status: str, message: str, seconds: float) -> dict[str, Any]:
    """The row of a fit that gave no result.

    Parameters
    ----------
    task : Task
    status : {"timeout", "killed", "crash", "error"}
    message : str
        What happened; kept as one line of at most 2000 characters.
    seconds : float
        Wall clock until then.
    """
    if status == "ok":
        raise ValueError("a failure cannot have the status 'ok'")
    line = " ".join(message.split())[:2000] or status
    return make_row(task, status=status, total_seconds=seconds, error=line)


class RowStore:
    """A folder of rows that any number of processes may write and read at once, without locks.

    Each row is a file ``rows/KEY.json`` that appears in one step, so a reader never meets half of
    it, and two writers of one key leave one whole row. A file that is no valid row is moved to
    ``quarantine/`` with the reason beside it as soon as it is read; its key then counts as
    missing.

    Parameters
    ----------
    folder : str or Path
        Made if missing.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.rows = self.folder / "rows"
        self.quarantine = self.folder / "quarantine"
        self.rows.mkdir(parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """Where the row of ``key`` is or would be."""
        return self.rows / f"{key}.json"

    def write(self, row: Mapping[str, Any]) -> bool:
        """Validate a row and write it in one step.

        Returns
        -------
        bool
            False if it was left out, because it is a failure and a finished row is there.

        Raises
        ------
        ValueError
            If the row does not fit the schema.
        OSError
            If it cannot be written (disk full); the message names the file, and all rows that
            were there are still whole.
        """
        try:
            valid = Row.model_validate(row)
        except ValidationError as error:
            raise ValueError(f"not a row: {_reason(error)}") from None
        if valid.status != "ok" and self._status(valid.key) == "ok":
            return False
        text = json.dumps(valid.model_dump(mode="json"), allow_nan=False)
        write_whole(self.path(valid.key), text.encode())
        return True

    def read(self, key: str) -> dict[str, Any]:
        """The row of ``key``.

        Raises
        ------
        KeyError
            If there is none, or only a corrupt one, which is then in quarantine.
        """
        row = self._load(self.path(key))
        if row is None:
            raise KeyError(key)
        return row

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """All valid rows in the order of their keys."""
        for path in sorted(self.rows.glob("*.json")):
            row = self._load(path)
            if row is not None:
                yield row

    def keys(self, status: str | Collection[str] | None = None) -> list[str]:
        """Keys of the valid rows, all or those with one of the given statuses, sorted."""
        wanted = STATUSES if status is None else [status] if isinstance(status, str) else status
        unknown = sorted(set(wanted) - set(STATUSES))
        if unknown:
            raise ValueError(f"unknown status {unknown[0]!r}: use {', '.join(STATUSES)}")
        return [row["key"] for row in self if row["status"] in wanted]

    def quarantined(self) -> dict[str, str]:
        """File name in ``quarantine/`` -> why it is there."""
        reasons = sorted(self.quarantine.glob("*.reason.txt"))
        return {p.name.removesuffix(".reason.txt"): p.read_text().strip() for p in reasons}

    def frame(self) -> pd.DataFrame:
        """All rows as a table, one column per field.

        Returns
        -------
        DataFrame
            ``settings``, ``notes``, ``trace``, ``teacher`` and ``diagnostics`` as JSON text,
            provenance in columns of its own. Whole numbers and truth values that may be missing
            have pandas' nullable types.
        """
        import pandas as pd  # not needed by the many processes that only write

        rows = []
        for row in self:
            for name in ("settings", "notes", "trace", "teacher", "diagnostics"):
                row[name] = json.dumps(row[name], sort_keys=True)
            rows.append({**row, **row.pop("provenance")})
        fields = [name for name in Row.model_fields if name != "provenance"]
        frame = pd.DataFrame(rows, columns=[*fields, *Provenance.model_fields])
        return frame.astype(_DTYPES)

    def to_parquet(self, path: str | Path | None = None) -> Path:
        """Write ``frame()`` as one Parquet file, in one step; default ``FOLDER/rows.parquet``."""
        target = self.folder / "rows.parquet" if path is None else Path(path)
        write_whole(target, self.frame().to_parquet(index=False))
        return target

    def _status(self, key: str) -> str | None:
        try:
            return str(self.read(key)["status"])
        except KeyError:
            return None

    def _load(self, path: Path) -> dict[str, Any] | None:
        try:
            return _parse(path)
        except FileNotFoundError:
            return None
        except ValueError as error:
            self._set_aside(path, str(error))
            return None

    def _set_aside(self, path: Path, reason: str) -> None:
        self.quarantine.mkdir(exist_ok=True)
        aside = self.quarantine / f"{path.stem}.{time.time_ns()}.json"
        try:
            os.replace(path, aside)
        except FileNotFoundError:
            return  # another reader was faster
        with suppress(ValueError):
            _parse(aside, key=path.stem)
            os.replace(aside, path)  # a writer had replaced the file since it was read
            return
        aside.with_name(f"{aside.name}.reason.txt").write_text(f"{reason}\n", encoding="utf-8")


_DTYPES = {
    **dict.fromkeys(("acc99", "acc999", "scale"), bool),
    "solved": "boolean",
    **dict.fromkeys(("r2_train", "r2_test", "fit_seconds", "total_seconds", "noise"), float),
    **dict.fromkeys(
        ("max_train", "max_rows", "n_train", "n_test", "n_features"), "Int64"
    ),
    **dict.fromkeys(("complexity", "complexity_simplified"), "Int64"),
}  # fmt: skip


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is either complete or as it was before.

    Raises
    ------
    OSError
        If it cannot be written; the message names the file.
    """
    temporary = path.with_name(f".{path.name[:100]}.{uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(
            error.errno,
            f"cannot write ({error.strerror}); what was there before is whole, so free some space "
            "and run again",
            str(path),
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _parse(path: Path, key: str | None = None) -> dict[str, Any]:
    """The valid row in a file; ValueError with the reason otherwise."""
    try:
        row = Row.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ValueError(_reason(error)) from None
    wanted = key or path.stem
    if row.key != wanted:
        raise ValueError(f"the file of {wanted} holds the row of {row.key}")
    return row.model_dump(mode="json")


def _reason(error: ValidationError) -> str:
    """The first complaint in one line, with the place and the value."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or "row"
    value = repr(first["input"])
    shown = value if len(value) <= 80 else f"{value[:77]}..."
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{place}: {first['msg']}, got {shown}{more}"
