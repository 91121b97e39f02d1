"""Decontamination: keeps benchmark formulas out of the corpus.

The package contains only fingerprints of benchmark skeletons (``forbidden.json``), computed from
tables of formulas with::

    python -m equate_srbench.pretrain.corpus.decontaminate --from feynman.csv strogatz.csv ...
"""

from __future__ import annotations

import argparse
import ast
import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from equate_srbench.expr.algebra import normal
from equate_srbench.expr.text.parser import parse

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
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    out = []
    for row in rows:
        text = row.get("formula") or row.get("law", "")
        if "formula" not in row:
            text = text.removeprefix("target =").strip() if text.startswith("target =") else ""
        if text:
            listed = json.loads(row.get("variables") or "[]")
            names = [v if isinstance(v, str) else v["name"] for v in listed] or _names(text)
            out.append(normal.from_tree(parse(text, names)))
    return out


def _names(text: str) -> list[str]:
    nodes = ast.walk(ast.parse(text, mode="eval"))
    return sorted({node.id for node in nodes if isinstance(node, ast.Name)})


def main(argv: Sequence[str] | None = None) -> None:
    """Write ``forbidden.json`` from tables of formulas."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--from", dest="tables", nargs="+", type=Path, required=True)
    parser.add_argument("--to", type=Path, default=Path(__file__).with_name(FILE))
    args = parser.parse_args(argv)
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
