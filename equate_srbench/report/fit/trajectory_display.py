"""The trajectory of a search as JSON for viewers without a kernel, and as a static figure."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from equate_srbench.equation import Equation
from equate_srbench.report.figures import fit_figures
from equate_srbench.report.tables.record import Array
from equate_srbench.runtime.files import write_file

MIME = "application/vnd.equate.trajectory+json"
#: Version of the payload; viewers reject others.
VERSION = 1
#: Maximum rows and bytes of a payload, beyond which a viewer is neither clearer nor smooth.
MAX_ROWS = 5000
MAX_BYTES = 1_000_000

_EXACT = ("r2",)  # the figure shows its nines
_ROUNDED = ("rung", "distance", "predicted_score", "score")
_INTEGER = ("start", "step", "complexity")


def payload(
    est: Any, title: str = "", *, target: str = "", max_bytes: int = MAX_BYTES
) -> dict[str, Any]:
    """Rows of ``est.trajectory_`` as JSON-compatible data.

    Parameters
    ----------
    est : EquateRegressor
        Fitted, or any object with its ``trajectory_``, ``embeddings_`` and ``equation_``.
    title, target : str, default=""
        Heading, and name of the predicted column.
    max_bytes : int, default=1_000_000
        Maximum size of the JSON text. If necessary, rows that were not accepted are subsampled
        evenly, then formulas are not typeset, then their text is truncated.

    Returns
    -------
    dict
        ``version``, ``kind``, ``title``, ``target``, ``features``, ``rows_total``; ``steps``:
        one list per column, of equal lengths; ``path``: ``x`` and ``y`` of the embeddings in
        two dimensions (null in rows without one), or None if there are none.
    """
    table = est.trajectory_
    names = est.equation_.feature_names
    kept = _subsample(table, MAX_ROWS)
    data = _payload(table.iloc[kept], names, title, target, len(table), _path(est, kept))
    share = max_bytes / max(_size(data), 1)
    if share < 1.0:
        kept = _subsample(table, int(0.9 * share * len(kept)))
        data = _payload(table.iloc[kept], names, title, target, len(table), _path(est, kept))
    if _size(data) > max_bytes:
        data["steps"]["latex"] = [""] * len(kept)
    if _size(data) > max_bytes:
        budget = max_bytes - _size(data | {"steps": data["steps"] | {"equation": [""] * len(kept)}})
        longest = max(int(budget / max(len(kept), 1) / 6), 0)  # a character takes up to 6 bytes
        data["steps"]["equation"] = [
            text if len(text) <= longest else text[:longest] + "…"
            for text in data["steps"]["equation"]
        ]
    return data


class TrajectoryDisplay:
    """Displays a trajectory: interactive where the viewer is installed, a static figure elsewhere.

    Parameters
    ----------
    est : EquateRegressor
        Fitted.
    title, target : str, default=""
    """

    def __init__(self, est: Any, title: str = "", *, target: str = "") -> None:
        self.payload = payload(est, title, target=target)

    def save(self, path: str | Path) -> Path:
        """Write the payload atomically to a file, ``*.equate.json`` for JupyterLab's viewer.

        Raises
        ------
        OSError
            If writing fails; an existing file is then unchanged.
        """
        path = Path(path)
        text = json.dumps(self.payload, ensure_ascii=False, allow_nan=False)
        write_file(path, text)
        return path

    def to_svg(self) -> str:
        """The static figure as an SVG document with its own light background."""
        return fit_figures.standalone(fit_figures.trajectory(steps_table(self.payload)))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {MIME: self.payload, "image/svg+xml": self.to_svg(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        n, total = len(self.payload["steps"]["start"]), self.payload["rows_total"]
        return f"TrajectoryDisplay({total} proposals{f', {n} of them kept' if n < total else ''})"


def steps_table(data: dict[str, Any]) -> pd.DataFrame:
    """The steps of a payload as a table; null becomes NaN."""
    table = pd.DataFrame(data["steps"])
    return table.astype(dict.fromkeys((*_EXACT, *_ROUNDED), np.float64))


# -- parts -------------------------------------------------------------------------------------


def _payload(
    rows: pd.DataFrame,
    names: Sequence[str],
    title: str,
    target: str,
    total: int,
    path: dict[str, list[float | None]] | None,
) -> dict[str, Any]:
    steps: dict[str, list[Any]] = {name: rows[name].astype(int).tolist() for name in _INTEGER}
    steps |= {name: [_json_number(value, 6) for value in rows[name]] for name in _ROUNDED}
    steps |= {name: [_json_number(value, 17) for value in rows[name]] for name in _EXACT}
    steps["accepted"] = rows["accepted"].astype(bool).tolist()
    steps |= {name: rows[name].astype(str).tolist() for name in ("source", "equation")}
    latex = {text: _latex(text, names) for text in dict.fromkeys(steps["equation"])}
    steps["latex"] = [latex[text] for text in steps["equation"]]
    return {
        "version": VERSION,
        "kind": "trajectory",
        "title": title,
        "target": target,
        "features": list(map(str, names)),
        "rows_total": total,
        "steps": steps,
        "path": path,
    }


def _latex(text: str, names: Sequence[str]) -> str:
    return Equation.from_string(text, names).to_latex() if text else ""


def _json_number(value: Any, digits: int) -> float | None:
    """Round to significant digits; None for NaN and infinities, which JSON lacks."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def _size(data: dict[str, Any]) -> int:
    return len(json.dumps(data, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _subsample(table: pd.DataFrame, most: int) -> list[int]:
    """Indices of at most ``most`` rows, evenly spaced; accepted ones come first."""
    accepted = table["accepted"].to_numpy(dtype=bool)
    first = _evenly(np.flatnonzero(accepted), MAX_ROWS)
    kept: list[int] = sorted(first + _evenly(np.flatnonzero(~accepted), most - len(first)))
    return kept


def _evenly(indices: NDArray[np.intp], most: int) -> list[int]:
    """At most ``most`` of the indices, evenly spaced, including the first and the last."""
    chosen = np.linspace(0, len(indices) - 1, min(max(most, 0), len(indices))).astype(int)
    out: list[int] = indices[chosen].tolist()
    return out


def _path(est: Any, kept: Sequence[int]) -> dict[str, list[float | None]] | None:
    """First two principal components of all embeddings, at the rows that are kept."""
    known = np.isfinite(est.embeddings_).all(axis=1) & bool(est.embeddings_.shape[1])
    if known.sum() < 3:
        return None
    points = np.full((len(known), 2), np.nan)
    points[known] = principal(np.asarray(est.embeddings_[known], dtype=np.float64))
    x, y = ([_json_number(value, 5) for value in points[kept, axis]] for axis in (0, 1))
    return {"x": x, "y": y}


def principal(points: Array) -> Array:
    """First two principal components (n_points, 2); the largest entry of each is positive."""
    centred = points - points.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    out: Array = np.zeros((len(points), 2))
    n = min(2, len(axes))
    out[:, :n] = centred @ axes[:n].T
    signs = np.sign(out[np.abs(out).argmax(axis=0), [0, 1]])
    return out * np.where(signs == 0, 1.0, signs)
