"""How the symbolic assessment judges what is known to be right or wrong.

    python studies/assess.py
    python studies/assess.py --oracle ../shared/anchors/srbench_assess_oracle.csv

Over the 130 ground-truth sets: the truth itself, the truth rewritten by SymPy, and 200 formulas
that are wrong by construction, a fifth of them so little that their R2 is above .9999. With
``--oracle`` (columns ``dataset`` and ``solved_with_column_names``) the verdicts on the truth are
compared with those of SRBench's own grader.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import sympy

from equate_srbench.bench.assess import Assessment, assess
from equate_srbench.bench.suites.loading import Dataset, load_suite
from equate_srbench.expr.sympy.bridge import from_sympy, to_sympy
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.text.printing import to_text

_ROWS = 200
_WRONG = ("affine", "term", "factor", "power", "slight")
_PER_KIND = 40


def wrong(kind: str, data: Dataset, column: str) -> str:
    """A formula that is neither the truth plus a constant nor the truth times one."""
    size = float(np.std(data.y))
    return {
        "affine": f"1.3*({data.truth}) + {0.7 * size!r}",
        "term": f"({data.truth}) + {0.3 * size!r}*sin({column} + 1)",
        "factor": f"({data.truth})*(1 + 0.1*{column}**2)",
        "power": f"Abs({data.truth})**1.1",
        "slight": f"({data.truth}) + {0.01 * size!r}*sin({column} + 1)",
    }[kind]


def rewritten(data: Dataset) -> str:
    """The truth in another form: expanded, or brought over one denominator and factored."""
    names = [str(c) for c in data.X.columns]
    symbols = [sympy.Symbol(f"x{j}", positive=bool((data.X[c] > 0).all()) or None)
               for j, c in enumerate(names)]  # fmt: skip
    truth = to_sympy(parse(str(data.truth), names), symbols)
    form = sympy.expand(truth)
    if form == truth:
        form = sympy.together(truth)
    return to_text(from_sympy(form, {s: j for j, s in enumerate(symbols)}), names)


def questions(sets: list[Dataset]) -> Iterator[tuple[str, Dataset, str]]:
    """Kind, data set and formula, the right ones first."""
    for data in sets:
        yield "truth", data, str(data.truth)
    for data in sets:
        yield "rewritten", data, rewritten(data)
    rng = np.random.default_rng(8)
    for kind in _WRONG:
        for i in rng.choice(len(sets), _PER_KIND, replace=False):
            column = str(rng.choice(sets[i].X.columns))
            yield kind, sets[i], wrong(kind, sets[i], column)


def verdicts(seconds: float) -> pd.DataFrame:
    """One line per question: ``kind``, ``dataset``, ``solved``, ``reason``, ``seconds``."""
    suite = load_suite("groundtruth")
    sets = [suite.load(name, max_rows=_ROWS, seed=8) for name in suite.datasets]
    lines = []
    for kind, data, model in questions(sets):
        start = time.perf_counter()
        found: Assessment = assess(model, str(data.truth), data.X, seconds=seconds)
        lines.append((kind, data.name, found.solved, found.reason, time.perf_counter() - start))
        if found.solved != (kind in ("truth", "rewritten")):
            print(f"  {kind:9} {data.name}: {found.solved}, {found.reason}", file=sys.stderr)
    return pd.DataFrame(lines, columns=["kind", "dataset", "solved", "reason", "seconds"])


def count(found: list[bool | None], expected: list[bool]) -> str:
    """Agreed, disagreed and undecided in words."""
    pairs = zip(found, expected, strict=True)
    kinds = Counter("undecided" if f is None else "agreed" if f == e else "disagreed"
                    for f, e in pairs)  # fmt: skip
    return ", ".join(f"{kinds[k]} {k}" for k in ("agreed", "disagreed", "undecided"))


def report(table: pd.DataFrame, oracle: Path | None) -> str:
    """The counts as text."""
    lines = []
    for kind, group in table.groupby("kind", sort=False):
        right = kind in ("truth", "rewritten")
        what = f"{kind} ({len(group)}, {'right' if right else 'wrong'})"
        counts = count(list(group.solved), [right] * len(group))
        lines.append(f"{what:24} {counts}; median {group.seconds.median():.1f} s")
    others = table[~table.kind.isin(["truth", "rewritten"])]
    lines.append(
        f"all {len(others)} wrong ones    {count(list(others.solved), [False] * len(others))}"
    )
    if oracle is not None:
        theirs = pd.read_csv(oracle).set_index("dataset")["solved_with_column_names"] == 1
        truth = table[table.kind == "truth"].set_index("dataset")
        expected = [bool(theirs[name]) for name in truth.index]
        lines.append(f"truth, SRBench's grader  {count(list(truth.solved), expected)}")
        missed = [n for n, e in zip(truth.index, expected, strict=True) if not e]
        lines.append(f"  its grader does not accept the exact truth of {', '.join(missed)}")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--oracle", type=Path, help="verdicts of SRBench's grader, CSV")
    parser.add_argument("--seconds", type=float, default=30.0, help="processor time per question")
    args = parser.parse_args()
    print(report(verdicts(args.seconds), args.oracle))


if __name__ == "__main__":
    main()
