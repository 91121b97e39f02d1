"""Results of a benchmark: one JSON file per fit, written atomically and validated when read."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from equate_srbench.bench.provenance import Provenance, provenance
from equate_srbench.bench.task import Task
from equate_srbench.runtime.files import write_file

if TYPE_CHECKING:
    import pandas as pd

SCHEMA: Literal[1] = 1
Status = Literal["ok", "timeout", "killed", "crash", "error"]
STATUSES: tuple[str, ...] = get_args(Status)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


#: JSON has neither NaN nor infinity: a score that is not finite is stored as None.
Score = Annotated[float | None, BeforeValidator(_finite)]
Seconds = Annotated[float, Field(ge=0)]


class Row(BaseModel):
    """The result of one fit.

    Attributes
    ----------
    version : int
        Version of this schema.
    key : str
        ``Task.key``; also the stem of the file name.
    suite, dataset, method, settings, seed, noise, max_time, scale, max_train, max_rows :
        Fields of the task.
    status : {"ok", "timeout", "killed", "crash", "error"}
    error : str or None
        Reason of the failure in one line; None if and only if the status is ``ok``.
    n_train, n_test, n_features : int or None
        Shape of the split.
    rows_sha256 : str or None
        Hash of the values of the dataset before the split.
    notes : list of str
        Remarks on the data and the predictions.
    fit_seconds, total_seconds : float or None, float
        Wall clock of ``fit`` and of the whole task.
    r2_train, r2_test : float or None
        R2 on the training rows with the noisy target given to ``fit``, and on the clean test rows.
    acc99, acc999 : bool
        Whether the test R2 is above .99 and above .999.
    model : str or None
        The formula as SymPy reads it; None for a method without formulas.
    complexity, complexity_simplified : int or None
        Number of nodes as SRBench counts them, before and after simplification.
    solved : bool or None
        Whether the formula is the true one; None if there is none, or it could not be decided.
    solved_reason : str or None
        Reason of that decision; None if there is no true formula.
    recovered : bool or None
        Whether the formula agrees with the law on ranges half as wide again (``recovery``), under
        noise with its constants refitted to noise-free rows; None if there is no law, or in a row
        made before this was judged.
    short : bool or None
        Whether it is recovered with at most 1.5 times the law's nodes or 6 more.
    trace : list of [seconds, training R2] or None
        Improvements of the best formula during the fit, where the method records them.
    teacher : dict or None
        Diagnostics of a smooth teacher: regularisation strengths or whether it was used, and where
        available the student's fidelity and the teacher's own test R2.
    diagnostics : dict of str to float, or None
        Scalar diagnostics of the method's search, such as the flip rate of the gradient ascent.
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
    recovered: bool | None = None
    short: bool | None = None
    trace: list[tuple[float, float]] | None = None
    teacher: dict[str, JsonValue] | None = None
    diagnostics: dict[str, Score] | None = None
    provenance: Provenance


def make_row(task: Task, *, status: str, total_seconds: float, **values: Any) -> dict[str, Any]:
    """A validated row of ``task`` as plain data; ``values`` are fields of ``Row``."""
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
    """The row of a fit without a result.

    Parameters
    ----------
    task : Task
    status : {"timeout", "killed", "crash", "error"}
    message : str
        Reason; stored as one line of at most 2000 characters.
    seconds : float
        Wall clock until the failure.
    """
    if status == "ok":
        raise ValueError("a failure cannot have the status 'ok'")
    line = " ".join(message.split())[:2000] or status
    return make_row(task, status=status, total_seconds=seconds, error=line)


class RowStore:
    """A folder of rows that several processes can read and write at the same time without locks.

    Each row is a file ``rows/KEY.json`` that is written atomically: a reader never meets a partial
    row, and of two writers of one key the later wins. A file that is not a valid row is moved to
    ``quarantine/`` with the reason beside it when it is read; its key then counts as missing.

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
        """Path of the row of ``key``, whether it exists or not."""
        return self.rows / f"{key}.json"

    def write(self, row: Mapping[str, Any]) -> bool:
        """Validate a row and write it atomically.

        Returns
        -------
        bool
            False if it was not written, because it is a failure and a row with a result exists.

        Raises
        ------
        ValueError
            If the row does not fit the schema.
        OSError
            If it cannot be written (disk full); the message names the file, and existing rows
            stay intact.
        """
        try:
            valid = Row.model_validate(row)
        except ValidationError as error:
            raise ValueError(f"not a row: {_reason(error)}") from None
        if valid.status != "ok" and self._status(valid.key) == "ok":
            return False
        text = json.dumps(valid.model_dump(mode="json"), allow_nan=False)
        write_file(self.path(valid.key), text)
        return True

    def read(self, key: str) -> dict[str, Any]:
        """The row of ``key``.

        Raises
        ------
        KeyError
            If there is none, or only a corrupt one, which is moved to quarantine.
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
        """Sorted keys of the valid rows, optionally only of those with the given statuses."""
        wanted = STATUSES if status is None else [status] if isinstance(status, str) else status
        unknown = sorted(set(wanted) - set(STATUSES))
        if unknown:
            raise ValueError(f"unknown status {unknown[0]!r}: use {', '.join(STATUSES)}")
        return [row["key"] for row in self if row["status"] in wanted]

    def quarantined(self) -> dict[str, str]:
        """File names in ``quarantine/`` with the reasons."""
        reasons = sorted(self.quarantine.glob("*.reason.txt"))
        return {p.name.removesuffix(".reason.txt"): p.read_text().strip() for p in reasons}

    def frame(self) -> pd.DataFrame:
        """All rows as a table with one column per field.

        Returns
        -------
        DataFrame
            ``settings``, ``notes``, ``trace``, ``teacher`` and ``diagnostics`` as JSON text,
            provenance in columns of its own. Whole numbers and truth values that may be missing
            have pandas' nullable types.
        """
        import pandas as pd  # not needed by processes that only write

        rows = []
        for row in self:
            for name in ("settings", "notes", "trace", "teacher", "diagnostics"):
                row[name] = json.dumps(row[name], sort_keys=True)
            rows.append({**row, **row.pop("provenance")})
        fields = [name for name in Row.model_fields if name != "provenance"]
        frame = pd.DataFrame(rows, columns=[*fields, *Provenance.model_fields])
        return frame.astype(_DTYPES)

    def to_parquet(self, path: str | Path | None = None) -> Path:
        """Write ``frame()`` to a Parquet file atomically; default ``FOLDER/rows.parquet``."""
        target = self.folder / "rows.parquet" if path is None else Path(path)
        write_file(target, self.frame().to_parquet(index=False))
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
    **dict.fromkeys(("solved", "recovered", "short"), "boolean"),
    **dict.fromkeys(("r2_train", "r2_test", "fit_seconds", "total_seconds", "noise"), float),
    **dict.fromkeys(
        ("max_train", "max_rows", "n_train", "n_test", "n_features"), "Int64"
    ),
    **dict.fromkeys(("complexity", "complexity_simplified"), "Int64"),
}  # fmt: skip


def _parse(path: Path, key: str | None = None) -> dict[str, Any]:
    """The row in a file; raises ValueError if it is not valid."""
    try:
        row = Row.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ValueError(_reason(error)) from None
    wanted = key or path.stem
    if row.key != wanted:
        raise ValueError(f"the file of {wanted} holds the row of {row.key}")
    return row.model_dump(mode="json")


def _reason(error: ValidationError) -> str:
    """The first validation error in one line, with the field and the value."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or "row"
    value = repr(first["input"])
    shown = value if len(value) <= 80 else f"{value[:77]}..."
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{place}: {first['msg']}, got {shown}{more}"
