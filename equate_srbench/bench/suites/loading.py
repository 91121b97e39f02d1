"""Suites of datasets: SRBench's, further public ones, a quick one, and the user's own files.

Formulas and ranges of the generated sets (``definitions/*.json``, whose README names sources and
licences) are facts; their rows are drawn here. The small tables of the first-principles track come
along, the larger tables of PMLB are kept in a local cache folder, in PMLB's layout.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from equate_srbench.bench.suites import frozen, pmlb_cache, strogatz
from equate_srbench.bench.suites.drawing import Range, draw_rows
from equate_srbench.data import SHIPPED
from equate_srbench.data.reading import read_table
from equate_srbench.data.splitting import split_columns
from equate_srbench.data.table import Table
from equate_srbench.expr.text.parser import parse
from equate_srbench.runtime.hints import did_you_mean

#: Name of a suite -> what it is.
SUITES: dict[str, str] = {
    "feynman": "119 equations of the Feynman lectures; rows drawn from formula and ranges",
    "strogatz": "14 derivatives of two-state systems; rows simulated",
    "groundtruth": "SRBench's ground-truth track: 116 Feynman and 14 Strogatz sets",
    "blackbox": "122 regression sets of PMLB, SRBench's black-box track of 2021",
    "srbench2025": "the 12 black-box sets of SRBench 2025",
    "firstprinciples": "13 small sets of measurements, SRBench's first-principles track of 2025",
    "srsd": "SRSD-Feynman: 120 equations of the Feynman lectures, physical ranges",
    "srsd-easy": "the 30 of srsd that its authors call easy",
    "srsd-medium": "the 40 of srsd that its authors call medium",
    "srsd-hard": "the 50 of srsd that its authors call hard",
    "srsd_dummy": "120 equations of SRSD, each with columns that do nothing",
    "fastsrb": "FastSRB: 120 equations; 512 rows to fit and 512 to test, single precision",
    "classic": "116 equations of Nguyen, Livermore, Keijzer, Korns, Vladislavleva, Jin and others",
    "quick": "12 sets that need no network, for a first look",
}
TARGET = "target"
_ROWS = 10_000
_QUICK = (
    "feynman_I_6_2a", "feynman_I_12_11", "feynman_I_27_6", "feynman_I_30_3", "feynman_I_50_26",
    "feynman_II_6_15b", "feynman_II_24_17", "feynman_III_4_33", "strogatz_bacres1",
    "strogatz_barmag2", "strogatz_lv1", "steam",
)  # fmt: skip
_FILES = (".tsv.gz", ".tsv", ".csv", ".csv.gz", ".parquet")


class SuiteError(ValueError):
    """A suite or dataset cannot be loaded; the message is one line for the user."""


@dataclass(frozen=True, slots=True)
class RowProtocol:
    """How a suite's own protocol takes its rows; the defaults are SRBench's.

    Attributes
    ----------
    n_rows : int or None, default=None
        Number of rows drawn; None for as many as asked for.
    train_share : float, default=0.75
        Share of the rows that are fitted to.
    noise_unit : {"rms", "std"}, default="rms"
        What a noise level is a multiple of: root mean square or standard deviation of the target.
    single : bool, default=False
        Rows are stored in single precision.
    """

    n_rows: int | None = None
    train_share: float = 0.75
    noise_unit: Literal["rms", "std"] = "rms"
    single: bool = False


#: Suite -> its own protocol, where it has one. FastSRB: as in the benchmark framework srbf 0.11.
PROTOCOLS: dict[str, RowProtocol] = {
    "fastsrb": RowProtocol(n_rows=1024, train_share=0.5, noise_unit="std", single=True)
}


@dataclass(frozen=True, slots=True)
class Dataset:
    """A table with a target.

    Attributes
    ----------
    name : str
    X : DataFrame of shape (n_rows, n_features), float64
    y : ndarray of shape (n_rows,), float64
    truth : str or None
        The true formula of ``y`` in the names of the columns, if known.
    notes : tuple of str
        Remarks on the rows for readers of the results.
    ranges : tuple of Range
        Of the columns of ``X``, in their order, where rows were drawn; else empty.
    protocol : RowProtocol
    """

    name: str
    X: pd.DataFrame
    y: NDArray[np.float64]
    truth: str | None = None
    notes: tuple[str, ...] = ()
    ranges: tuple[Range, ...] = ()
    protocol: RowProtocol = field(default_factory=RowProtocol)


@dataclass(frozen=True, slots=True)
class Suite:
    """A named collection of datasets.

    Attributes
    ----------
    name : str
    datasets : list of str
    srbench : frozenset of str
        Datasets that belong to SRBench's tracks.
    """

    name: str
    datasets: list[str]
    srbench: frozenset[str]
    _read: Callable[[str, int, int], Dataset]

    def load(self, dataset: str, *, max_rows: int | None = _ROWS, seed: int = 0) -> Dataset:
        """Load a dataset.

        Parameters
        ----------
        dataset : str
            One of ``datasets``.
        max_rows : int or None, default=10000
            Number of generated rows (None: 10000), or maximum number of rows of a file: a seeded
            sample without replacement, in the order of the file.
        seed : int, default=0

        Returns
        -------
        Dataset

        Raises
        ------
        SuiteError, TableError
            If the dataset does not exist, or its file is missing or damaged.
        """
        if dataset not in self.datasets:
            raise SuiteError(
                f"no dataset {dataset!r} in {self.name!r}, which has {len(self.datasets)}"
                f"{did_you_mean(dataset, self.datasets)}"
            )
        rows = self._read(dataset, _ROWS if max_rows is None else max_rows, seed)
        if max_rows is None or len(rows.y) <= max_rows:
            return rows
        kept = np.sort(_generator(dataset, seed).choice(len(rows.y), max_rows, replace=False))
        return replace(rows, X=rows.X.iloc[kept].reset_index(drop=True), y=rows.y[kept])


def load_suite(name_or_path: str) -> Suite:
    """Load a suite by name, a folder of tables, or one table.

    Parameters
    ----------
    name_or_path : str
        A key of ``SUITES``; a folder with tables in PMLB's format (TSV, packed or not, also CSV
        and Parquet; directly inside or as ``NAME/NAME.tsv.gz``), each with a column ``target``;
        or a table, ``FILE`` with a column ``target`` or ``FILE#COLUMN`` to predict another.

    Raises
    ------
    SuiteError
        If there is no such suite, folder or file.
    """
    if name_or_path in SUITES:
        return _suite(name_or_path)
    file, _, column = name_or_path.partition("#")
    if not file:
        raise SuiteError(
            f"the name of the suite is empty: use one of {', '.join(SUITES)}, a folder or a file"
        )
    path = Path(file)
    if path.is_dir():
        return _folder(path)
    if path.is_file():
        return Suite(
            name_or_path, [_stem(path)], frozenset(), lambda *_: _table(path, column or TARGET)
        )
    raise SuiteError(
        f"no suite, folder or file {name_or_path!r}; suites are {', '.join(SUITES)}"
        f"{did_you_mean(name_or_path, SUITES)}"
    )


def _suite(name: str) -> Suite:
    if name in pmlb_cache.known():
        names = list(pmlb_cache.known()[name].sha256)
        return Suite(name, names, frozenset(names), lambda d, *_: _from_pmlb(name, d))
    if name == "srbench2025":
        return Suite(name, list(frozen.BLACKBOX), frozenset(frozen.BLACKBOX), _blackbox_2025)
    if name == "firstprinciples":
        names = list(definitions(name))
        track = frozenset(names) - {"first_principles_supernovae_zg"}
        return Suite(name, names, track, _measured)
    family, _, difficulty = name.partition("-")
    if family in ("srsd", "srsd_dummy", "fastsrb", "classic"):
        facts = definitions(family).items()
        names = [d for d, about in facts if not difficulty or about["difficulty"] == difficulty]
        return Suite(name, names, frozenset(), partial(_drawn, family))
    marked = [d for d, facts in feynman().items() if facts.get("srbench", True)]
    listed = {
        "feynman": list(feynman()),
        "strogatz": list(strogatz.FORMULAS),
        "groundtruth": [*marked, *strogatz.FORMULAS],
        "quick": list(_QUICK),
    }[name]
    in_track = frozenset(listed) & {*marked, *strogatz.FORMULAS}
    return Suite(name, listed, in_track, _generated)


@cache
def definitions(suite: str) -> dict[str, dict[str, Any]]:
    """Facts about the sets of a suite by name, from ``definitions/SUITE.json``.

    Parameters
    ----------
    suite : {"feynman", "srsd", "srsd_dummy", "fastsrb", "classic", "firstprinciples"}

    Returns
    -------
    dict
        For generated sets ``formula`` (as our parser reads it), ``variables`` (name -> range, as
        ``Range.from_json`` takes it, in the order of the columns), ``source``, and for ``srsd`` its
        ``difficulty``; for measured ones ``columns`` (name -> values), ``target``, ``law`` and
        ``source``.
    """
    path = files("equate_srbench.bench.suites") / "definitions" / f"{suite}.json"
    facts: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return facts


def feynman() -> dict[str, dict[str, Any]]:
    """Facts about the Feynman sets by name.

    Returns
    -------
    dict
        ``target`` (name), ``formula`` (as our parser reads it), ``variables`` (name -> [low,
        high], in the order of the columns) and, where it is False, ``srbench``: the three sets
        that SRBench's ground-truth track leaves out.
    """
    return definitions("feynman")


def _generated(name: str, n_rows: int, seed: int) -> Dataset:
    if name in SHIPPED:
        return _table(SHIPPED[name].path, SHIPPED[name].target)
    if name in strogatz.FORMULAS:
        return Dataset(name, *strogatz.rows(name), truth=strogatz.FORMULAS[name])
    return _rows(name, feynman()[name], n_rows, _generator(name, seed), RowProtocol())


def _drawn(suite: str, name: str, n_rows: int, seed: int) -> Dataset:
    protocol = PROTOCOLS.get(suite, RowProtocol())
    rng = _generator(f"{suite}/{name}", seed)  # the suites share names and formulas
    return _rows(name, definitions(suite)[name], n_rows, rng, protocol)


def _rows(
    name: str,
    facts: dict[str, Any],
    n_rows: int,
    rng: np.random.Generator,
    protocol: RowProtocol,
) -> Dataset:
    ranges: Mapping[str, Range] = {v: Range.from_json(r) for v, r in facts["variables"].items()}
    tree, n = parse(facts["formula"], list(ranges)), protocol.n_rows or n_rows
    X, y = draw_rows(tree, ranges, n, rng, single=protocol.single)
    kept = tuple(ranges.values())
    return Dataset(name, X, y, facts["formula"], ranges=kept, protocol=protocol)


def _measured(name: str, n_rows: int, seed: int) -> Dataset:
    return _dataset(name, pd.DataFrame(definitions("firstprinciples")[name]["columns"]), TARGET)


def _blackbox_2025(name: str, n_rows: int, seed: int) -> Dataset:
    try:
        frame, notes = frozen.blackbox(name)
    except (frozen.FrozenError, pmlb_cache.PmlbError) as error:
        raise SuiteError(str(error)) from error
    return _dataset(name, frame, TARGET, notes)


def _generator(name: str, seed: int) -> np.random.Generator:
    """Random generator of a dataset and seed, identical on every machine."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def _from_pmlb(suite: str, name: str) -> Dataset:
    try:
        frame, notes = pmlb_cache.fetch(suite, name)
    except pmlb_cache.PmlbError as error:
        raise SuiteError(str(error)) from error
    return _dataset(name, frame, TARGET, notes)


def _folder(path: Path) -> Suite:
    found: dict[str, Path] = {}
    for file in sorted([*path.iterdir(), *path.glob("*/*")]):
        name = _stem(file)
        nested = file.parent != path
        if not file.name.endswith(_FILES) or (nested and file.parent.name != name):
            continue
        if name in found:
            raise SuiteError(f"two tables named {name!r}: {found[name]} and {file}")
        found[name] = file
    if not found:
        raise SuiteError(f"no table in {os.fspath(path)!r}: files ending in {', '.join(_FILES)}")
    return Suite(str(path), list(found), frozenset(), lambda d, *_: _table(found[d], TARGET))


def _stem(path: Path) -> str:
    return next((path.name[: -len(end)] for end in _FILES if path.name.endswith(end)), path.stem)


def _table(path: Path, target: str) -> Dataset:
    pmlb_cache.refuse_pointer(path)
    return _dataset(_stem(path), read_table(str(path)).frame, target)


def _dataset(name: str, frame: pd.DataFrame, target: str, notes: tuple[str, ...] = ()) -> Dataset:
    problem = split_columns(Table(frame), target)
    return Dataset(name, problem.X, problem.y.to_numpy(), None, (*notes, *problem.notes))
