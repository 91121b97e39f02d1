"""The definitions of suites in the package, from tables of their formulas and ranges.

    python studies/suite_definitions.py FOLDER            # write them
    python studies/suite_definitions.py FOLDER --check    # or only say what differs

``FOLDER`` holds ``srsd.csv``, ``srsd_dummy.csv``, ``fastsrb.csv`` and ``classic.csv`` (columns
``name``, ``formula``, ``variables`` as JSON, ``source``; for ``srsd`` also ``difficulty``) and
``first-principles.npz`` (arrays ``p0__x_support``, ``p0__y_support``, ... and ``_meta``). With
``--tables FOLDER`` the first-principles tables that lie there as ``NAME.tsv.gz`` give all their
digits.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from equate_srbench.bench.suites.drawing import Range

DEFINITIONS = Path(__file__).resolve().parent.parent / "equate_srbench/bench/suites/definitions"
#: Suite -> the table of its formulas.
DRAWN = ("srsd", "srsd_dummy", "fastsrb", "classic")


def of_formulas(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Facts by set: formula, ranges, and where they are from."""
    sets = {}
    for row in table.to_dict("records"):
        facts = {"formula": row["formula"], "source": row["source"]}
        if row.get("difficulty"):
            facts["difficulty"] = row["difficulty"]
        facts["variables"] = {v["name"]: _range(v) for v in json.loads(row["variables"])}
        sets[row["name"]] = facts
    return sets


def _range(variable: dict[str, Any]) -> list[float] | dict[str, Any]:
    """The range as the package reads it; defaults are left out."""
    kept = {"low", "high", "log", "integer", "sign"}
    unknown = set(variable) - kept - {"name", "label"}
    if unknown:
        raise ValueError(f"{variable['name']}: the package knows no {', '.join(sorted(unknown))}")
    facts = {k: v for k, v in variable.items() if k in kept and v is not False and v != "pos"}
    Range.from_json(facts)  # refuses what cannot be drawn
    return [facts["low"], facts["high"]] if set(facts) == {"low", "high"} else facts


def of_tables(path: Path, exact: Path | None) -> dict[str, dict[str, Any]]:
    """First-principles tables by name: columns with their values, and what is known of them."""
    arrays = np.load(path, allow_pickle=False)
    found = {}
    for i, problem in enumerate(json.loads(str(arrays["_meta"]))["problems"]):
        meta = problem["meta"]
        X, y = arrays[f"p{i}__x_support"], arrays[f"p{i}__y_support"].ravel()
        values = [*X.T, y]
        own = None if exact is None else exact / f"{meta['pmlb_dataset']}.tsv.gz"
        if own is not None and own.exists():
            values = _with_digits(values, pd.read_csv(own, sep="\t").to_numpy(float).T)
        columns = dict(zip([*meta["columns"], "target"], map(_numbers, values), strict=True))
        found[meta["pmlb_dataset"]] = {
            "target": meta["target"], "law": _law(meta), "source": meta["law_source"],
            "columns": columns,
        }  # fmt: skip
    return found


def _law(meta: dict[str, Any]) -> str:
    """The accepted law with ``c1, c2, ...`` for its constants, in the names of the columns."""
    law = meta["reference_law"].replace("{", "").replace("}", "")
    for j, name in reversed(list(enumerate(meta["columns"], start=1))):
        law = law.replace(f"v{j}", name)
    return str(law)


def _with_digits(rounded: list[np.ndarray], exact: np.ndarray) -> list[np.ndarray]:
    """``exact`` if single precision makes ``rounded`` of it, in whatever order of the rows."""
    order, other = (np.lexsort(np.float32(v)[::-1]) for v in (rounded, exact))
    same = exact.shape == np.shape(rounded) and np.allclose(
        np.float32(rounded)[:, order], np.float32(exact)[:, other], rtol=2e-7, atol=0
    )
    return list(exact) if same else rounded


def _numbers(values: np.ndarray) -> list[float]:
    """The shortest decimals that give the same numbers in the precision they came with."""
    return [float(np.format_float_positional(v, unique=True)) for v in values]


def text(sets: dict[str, dict[str, Any]]) -> str:
    """JSON with a line for each set."""
    lines = [f"  {json.dumps(name)}: {json.dumps(facts)}" for name, facts in sets.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> int:
    """Write or check; exit code 1 if files differ."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tables", type=Path)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    made = {}
    for suite in DRAWN:
        table = pd.read_csv(
            args.folder / f"{suite}.csv", dtype={"name": str}, keep_default_na=False
        )
        made[suite] = text(of_formulas(table))
    made["firstprinciples"] = text(of_tables(args.folder / "first-principles.npz", args.tables))
    different = []
    for suite, wanted in made.items():
        path = DEFINITIONS / f"{suite}.json"
        if args.check:
            if not path.exists() or path.read_text(encoding="utf-8") != wanted:
                different.append(path.name)
        else:
            path.write_text(wanted, encoding="utf-8")
    print(f"{len(made)} suites, different: {', '.join(different) or 'none'}")
    return bool(different)


if __name__ == "__main__":
    sys.exit(main())
