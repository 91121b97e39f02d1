"""A fit that was never made, with names that nobody should give."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from equate_srbench.equate.trajectory import TrajectoryRow, embeddings, to_frame
from equate_srbench.equation import Equation
from equate_srbench.expr.text.html import Front
from equate_srbench.expr.tree import Tree

HOSTILE = [
    "<img src=x onerror=globalThis.hacked=1>",
    "</script><script>globalThis.hacked=1</script>",
    "w" * 500,
    "\u202e\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
    "🧪🔥\u200d",
    "$\\frac{1}{0}$ & `tick` {x} \"q\" 'p'",
]


def make_fit(n_candidates: int = 40, n_steps: int = 6, names: Any = ("mass", "radius")) -> Any:
    """What a fitted estimator shows, made up: fronts of 5, ``n_candidates`` formulas around."""
    rng = np.random.default_rng(1)
    trees = [Equation.from_string(t, ["a", "b"]).tree for t in
             ("2.5", "3*a", "a/b", "a*sin(b) + 0.5", "a*sin(b)/b**2 + 0.01*a")]  # fmt: skip
    exact = [Equation(tree, names) for tree in trees][: max(n_candidates, 1)]
    r2 = [0.0, 0.4, 0.9, 0.99, 0.99999][: len(exact)]
    front = Front(
        {
            "complexity": [equation.complexity for equation in exact],
            "loss": [1.0 - value for value in r2],
            "r2": r2,
            "equation": [str(equation) for equation in exact],
            "object": exact,
        }
    )
    found = [trees[1].with_constants([v]) for v in rng.normal(size=2000)]
    texts = [str(Equation(tree, names)) for tree in found]
    rest = pd.DataFrame(
        {
            "source": rng.choice(["backbone", "ascent", "edit", "shorten"], n_candidates),
            "complexity": rng.integers(1, 40, n_candidates),
            "r2": 1.0 - 10.0 ** -rng.uniform(0, 4, n_candidates),
            "equation": texts[:n_candidates],
        }
    )
    rest["loss"] = 1.0 - rest["r2"]
    own = front.drop(columns="object").assign(source="edit")
    candidates = pd.concat([own, rest]).assign(score=1.0, seconds=1.0)
    rows = [_row(start, step, rung, rng, found) for start in range(3) for step in range(n_steps)
            for rung in ((0.0,) if step == 0 else (0.5, 1.0))]  # fmt: skip
    return SimpleNamespace(
        equation_=exact[-1], equations_=front, candidates_=candidates,
        trajectory_=to_frame(rows, lambda tree: (str(Equation(tree, names)), 3)),
        embeddings_=embeddings(rows), max_time=60,
    )  # fmt: skip


def _row(start: int, step: int, rung: float, rng: Any, found: list[Tree]) -> TrajectoryRow:
    r2 = 1 - 1 / (step + 2) - 0.1 * rng.uniform()
    return TrajectoryRow(
        start, step, rung, r2 + 0.1, r2 + 0.05, r2, found[rng.integers(len(found))], True,
        rung == 1.0, 1.0, "ascent", step * rung,
        rng.normal(size=8).astype(np.float16),
    )  # fmt: skip
