"""Decontamination: keeps benchmark formulas out of the corpus.

A later filter has more fingerprints than the one that a run had: ``--missed EARLIER`` estimates, by
drawing, which of the formulas the run may have seen.

The package contains only fingerprints of benchmark skeletons (``forbidden.json``), computed from
tables of formulas with::

    python -m equate_srbench.pretrain.corpus.decontaminate --from feynman.csv strogatz.csv ...
"""

from __future__ import annotations

import argparse
import ast
import csv
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from random import Random

from equate_srbench.expr.algebra import normal
from equate_srbench.expr.text.parser import parse
from equate_srbench.pretrain.corpus import generators

FILE = "forbidden.json"
#: Skeletons of at most this many nodes, such as ``x0*x1``, are too common to exclude.
MAX_COMMON_NODES = 5


@dataclass(frozen=True)
class Filter:
    """Fingerprints of formulas that are excluded from training.

    Attributes
    ----------
    keys : frozenset of str
        ``normal.skeleton_key`` of each formula: modulo outer scale and offset, constants, order
        of arguments and names of columns.
    """

    keys: frozenset[str]

    @property
    def version(self) -> str:
        """Digest of the fingerprints: 16 hexadecimal digits."""
        return sha256(" ".join(sorted(self.keys)).encode()).hexdigest()[:16]

    @classmethod
    def shipped(cls) -> Filter:
        """The fingerprints shipped with the package."""
        text = files("equate_srbench.pretrain.corpus").joinpath(FILE).read_text()
        return cls(frozenset(json.loads(text)["keys"]))

    @classmethod
    def of(cls, expressions: Iterable[normal.Expression]) -> Filter:
        """Fingerprints of ``expressions``, without the small ones."""
        stripped = (normal.strip(e) for e in expressions)
        return cls(frozenset(
            normal.skeleton_key(e)
            for e in stripped
            if e[1] is not None and normal.to_tree(e).size > MAX_COMMON_NODES
        ))  # fmt: skip

    def matches(self, expression: normal.Expression) -> bool:
        """Whether ``expression`` has an excluded skeleton."""
        return normal.skeleton_key(expression) in self.keys


# -- computing the fingerprints ---------------------------------------------------------------


def read_table(path: Path) -> list[normal.Expression]:
    """Read the formulas of a CSV with a column ``formula``, or ``law`` (``target = ...``).

    A column ``variables`` lists the names as JSON strings or objects with a ``name``; without it
    every name in the formula is a variable.
    """
    out = []
    for row in _rows(path):
        listed = json.loads(row.get("variables") or "[]")
        names = [v if isinstance(v, str) else v["name"] for v in listed] or _names(row["formula"])
        out.append(normal.from_tree(parse(row["formula"], names)))
    return out


def _rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table that have a formula, under ``formula``."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if "formula" not in row:
            law = row.get("law", "")
            row["formula"] = law.removeprefix("target =").strip() if "target =" in law[:8] else ""
    return [row for row in rows if row["formula"]]


def estimate_missed(
    new: Iterable[str], n_formulas: int = 20_000, n_examples: int = 3_523_000, seed: int = 0
) -> dict[str, float]:
    """How often a corpus without ``new`` fingerprints held them, by drawing from ``generators``.

    Parameters
    ----------
    new : iterable of str
        Fingerprints that an earlier filter lacked.
    n_formulas : int, default=20000
        Formulas to draw.
    n_examples : int
        Examples of the run, one formula each.
    seed : int, default=0

    Returns
    -------
    dict of str to float
        Expected examples with each fingerprint that was drawn, most first. A fingerprint that was
        not drawn may still have occurred: up to ``3 * n_examples / n_formulas`` times at 95 %.
    """
    r = Random(f"missed/{seed}")  # noqa: S311 - a corpus, not a secret
    wanted = frozenset(new)
    drawn = Counter(normal.skeleton_key(generators.draw(r)[0]) for _ in range(n_formulas))
    return {key: n * n_examples / n_formulas for key, n in drawn.most_common() if key in wanted}


def _names(text: str) -> list[str]:
    nodes = ast.walk(ast.parse(text, mode="eval"))
    return sorted({node.id for node in nodes if isinstance(node, ast.Name)})


def _say_missed(tables: Sequence[Path], before: Path, n_formulas: int, n_examples: int) -> None:
    """Print which formulas of ``tables`` a run with the fingerprints ``before`` may have seen."""
    names: dict[str, list[str]] = {}
    for path in tables:
        for row, expression in zip(_rows(path), read_table(path), strict=True):
            for key in Filter.of([expression]).keys:
                names.setdefault(key, []).append(row.get("name") or row["formula"])
    new = names.keys() - set(json.loads(before.read_text())["keys"])
    found = estimate_missed(new, n_formulas, n_examples)
    print(
        f"{len(new)} new fingerprints, {len(found)} of them among {n_formulas:,} formulas; "
        f"expected in {n_examples:,} examples: {sum(found.values()):,.0f} with one of them. Each "
        f"of the others: at most {3 * n_examples / n_formulas:,.0f} (95 %)."
    )
    for key, n in found.items():
        print(f"{n:8,.0f}  {', '.join(names[key])}")


def main(argv: Sequence[str] | None = None) -> None:
    """Write ``forbidden.json`` from tables of formulas, or say what an earlier one let through."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--from", dest="tables", nargs="+", type=Path, required=True)
    parser.add_argument("--to", type=Path, default=Path(__file__).with_name(FILE))
    parser.add_argument("--missed", type=Path, metavar="EARLIER",
                        help="write nothing: estimate which of the formulas a run with the "
                        "fingerprints of this file may have seen")  # fmt: skip
    parser.add_argument("--formulas", type=int, default=20_000, help="drawn for the estimate")
    parser.add_argument("--examples", type=int, default=3_523_000, help="of the run")
    args = parser.parse_args(argv)
    if args.missed is not None:
        _say_missed(args.tables, args.missed, args.formulas, args.examples)
        return
    expressions = [e for path in args.tables for e in read_table(path)]
    keys = sorted(Filter.of(expressions).keys)
    record = {
        "what": f"fingerprints of benchmark skeletons of more than {MAX_COMMON_NODES} nodes",
        "from": {path.name: len(read_table(path)) for path in args.tables},
        "keys": keys,
    }
    args.to.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{len(expressions)} formulas, {len(keys)} fingerprints -> {args.to}")


if __name__ == "__main__":
    main()
