"""The black-box sets of SRBench 2025: from frozen arrays in a folder of the user, or from PMLB.

The folder is that of the environment variable ``EQUATE_SUITES``. In it, ``srbench2-blackbox.npz``
holds the arrays of each problem ``i`` (``p{i}__x_support``, ``p{i}__y_support``, and the same with
``validation``) and in ``_meta``, as JSON text, their names and columns: the format of the catalogs
of ``symbolic-data``.
"""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from equate_srbench.bench.suites import pmlb_cache

VARIABLE = "EQUATE_SUITES"
FILE = "srbench2-blackbox.npz"
#: Names, which are PMLB's.
BLACKBOX = (
    "1028_SWD", "1089_USCrime", "1193_BNG_lowbwt", "1199_BNG_echoMonths", "192_vineyard",
    "210_cloud", "522_pm10", "557_analcatdata_apnea1", "579_fri_c0_250_5", "606_fri_c2_1000_10",
    "650_fri_c0_500_50", "678_visualizing_environmental",
)  # fmt: skip


class FrozenError(ValueError):
    """A file of frozen tables cannot be used; the message is one line for the user."""


def blackbox(name: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Load a set of SRBench 2025.

    Parameters
    ----------
    name : str
        One of ``BLACKBOX``.

    Returns
    -------
    frame : DataFrame
        With a column ``target``.
    notes : tuple of str
        Where the rows are not those of PMLB's file.

    Raises
    ------
    FrozenError
        If ``EQUATE_SUITES`` names a folder without the file, or the file is damaged.
    pmlb_cache.PmlbError
        If it is not set, and PMLB's file is neither cached nor downloadable.
    """
    folder = os.environ.get(VARIABLE)
    if folder:
        return read(Path(folder) / FILE, name), (f"{name}: rows of {FILE}, in single precision",)
    try:
        return pmlb_cache.fetch("blackbox", name)
    except pmlb_cache.PmlbError as error:
        raise pmlb_cache.PmlbError(
            f"{error}; or set {VARIABLE} to a folder that has {FILE}"
        ) from error


def read(path: Path, name: str) -> pd.DataFrame:
    """Read one problem of a file of frozen arrays, all of its rows.

    Raises
    ------
    FrozenError
        If there is no such file or problem, or the arrays do not fit together.
    """
    if not path.is_file():
        raise FrozenError(
            f"{VARIABLE} names {path.parent}, which has no {path.name}: put the file there, or "
            f"unset {VARIABLE} to have PMLB's tables"
        )
    try:
        with np.load(path, allow_pickle=False) as arrays:
            problems = json.loads(str(arrays["_meta"]))["problems"]
            place = [str(problem["eq_id"]) for problem in problems].index(name)
            parts = [
                (arrays[f"p{place}__x_{part}"], arrays[f"p{place}__y_{part}"].ravel())
                for part in ("support", "validation")
            ]
            X = np.concatenate([rows for rows, _ in parts]).astype(np.float64)
            frame = pd.DataFrame(X, columns=problems[place]["meta"]["columns"])
            return frame.assign(target=np.concatenate([y for _, y in parts]).astype(np.float64))
    except (OSError, EOFError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        said = " ".join(str(error).split())
        raise FrozenError(f"{path} has no readable {name} ({said}): fetch it again") from error
