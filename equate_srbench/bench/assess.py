"""Symbolic solution: whether a formula is the true one up to a constant offset or factor.

The criterion is SRBench's (La Cava et al. 2021, section 4): after simplification, model minus truth
or model over truth is a constant. The procedure is our own and has three outcomes. If neither is
nearly constant numerically on rows of the dataset, the formula is not a solution. Otherwise SymPy
has to find the constant, in a child process with a limit on processor time.

Run as ``python -m equate_srbench.bench.assess`` this module is that child: one request as JSON on
standard input (trees, never text), one answer on standard output.
"""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.tree import Tree
from equate_srbench.runtime.child import last_lines, own_environment

if TYPE_CHECKING:
    import pandas as pd
    import sympy

Array = NDArray[np.float64]

_ROWS = 200
_FAR = 1e-2  # relative scatter above which difference and quotient are not constant
_EQUAL = 1e-6  # scatter below which a failure to simplify proves nothing
_ALIKE = 1e-3  # relative distance below which constants are equal: SRBench keeps 3 digits
_EXACT = 1e-12  # the same for constants of the true formula
_NOTHING = 1e-4  # coefficients below count as 0, as in SRBench
_LARGEST_DENOMINATOR = 12
_POINTS = 5  # points at which two formulas are compared with extended precision
_DIGITS = 30
_SAME = 1e-12
_MEMORY = 4 << 30  # bytes for the child: expansions can explode


@dataclass(frozen=True, slots=True)
class Assessment:
    """Whether a formula is the true one.

    Attributes
    ----------
    solved : bool or None
        None if it could not be decided.
    reason : str
        ``difference constant``, ``quotient constant``, ``numbers differ``, ``no constant``, or
        the reason why it is undecided.
    """

    solved: bool | None
    reason: str


def assess(model: str, truth: str, X: pd.DataFrame, *, seconds: float = 30.0) -> Assessment:
    """Compare a formula with the true one.

    Parameters
    ----------
    model, truth : str
        Formulas in the names of the columns of ``X``.
    X : DataFrame of shape (n_rows, n_features)
        Rows of the dataset; the first 200 are used. Columns that are positive there are taken
        to be positive.
    seconds : float, default=30.0
        Of processor time for SymPy, so that a busy machine decides as much as an idle one. The
        child ends at the latest after four times as long, and 30 s, of wall clock.

    Returns
    -------
    Assessment

    Raises
    ------
    FormulaError
        If the truth cannot be read. A model that cannot be read is undecided.
    """
    names = [str(name) for name in X.columns]
    wanted = parse(truth, names)
    try:
        given = parse(model, names)
    except FormulaError as error:
        return Assessment(None, f"not readable: {error}")
    rows = X.to_numpy(dtype=np.float64)[:_ROWS]
    scatter = _scatter(evaluate(given, rows), evaluate(wanted, rows))
    if not scatter <= _FAR:
        return Assessment(False, "numbers differ")
    answer = _ask(given, wanted, rows, seconds)
    if answer in ("difference constant", "quotient constant"):
        return Assessment(True, answer)
    if answer != "no constant":
        return Assessment(None, answer)
    if scatter < _EQUAL:
        return Assessment(None, "equal in numbers, but not simplified to a constant")
    return Assessment(False, answer)


def _scatter(model: Array, truth: Array) -> float:
    """Relative scatter of difference or quotient, whichever is smaller; NaN or inf if undefined."""
    defined = np.isfinite(truth)
    model, truth = model[defined], truth[defined]
    if not len(model) or not np.isfinite(model).all():
        return float("inf")
    with np.errstate(all="ignore"):
        difference = np.std(model - truth) / max(np.std(truth), np.finfo(float).tiny)
        quotient = (model / truth)[truth != 0.0]
        factor = np.std(quotient) / abs(np.mean(quotient)) if len(quotient) else np.inf
    return float(np.fmin(difference, factor))


def _ask(model: Tree, truth: Tree, rows: Array, seconds: float) -> str:
    """The answer of the child process, or the reason why there is none."""
    request = {
        "seconds": seconds,
        "model": [model.symbols, model.constants],
        "truth": [truth.symbols, truth.constants],
        "rows": rows.tolist(),
    }
    try:
        run = subprocess.run(
            [sys.executable, "-m", "equate_srbench.bench.assess"],
            input=json.dumps(request), capture_output=True, text=True, timeout=4.0 * seconds + 30.0,
            env=own_environment(),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"no answer within {4.0 * seconds + 30.0:g} s of wall clock"
    if run.returncode == -signal.SIGXCPU:
        return f"no answer within {seconds:g} s of processor time"
    if run.returncode != 0:
        said = last_lines(run.stderr, 1) or f"exit code {run.returncode}"
        return f"SymPy failed: {said[:200]}"
    return run.stdout.strip()


# -- the child ------------------------------------------------------------------------------


def main() -> None:
    """Answer one request (the child process)."""
    import resource

    import sympy  # noqa: F401 - its import must not count in the limit on processor time

    request = json.loads(sys.stdin.read())
    used = resource.getrusage(resource.RUSAGE_SELF)
    processor = math.ceil(used.ru_utime + used.ru_stime + request["seconds"])
    resource.setrlimit(resource.RLIMIT_CPU, (processor, processor + 1))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    print(compare(Tree(*request["model"]), Tree(*request["truth"]), np.array(request["rows"])))


def compare(model: Tree, truth: Tree, rows: Array) -> str:
    """Return ``difference constant``, ``quotient constant`` or ``no constant``, without time limit.

    Parameters
    ----------
    model, truth : Tree
    rows : ndarray of shape (n_rows, n_columns)
        Of the dataset. Columns that are positive there are taken to be positive.
    """
    import sympy

    from equate_srbench.expr.sympy.bridge import to_sympy

    columns = [
        sympy.Symbol(f"x{j}", positive=True) if p else sympy.Symbol(f"x{j}", real=True)
        for j, p in enumerate(np.all(rows > 0, axis=0).tolist())
    ]
    points = [dict(zip(columns, map(float, row), strict=True)) for row in rows[:_POINTS]]
    given, wanted = to_sympy(model, columns), to_sympy(truth, columns)
    pairs = [_matched(step(given), step(wanted)) for step in (lambda e: e, sympy.expand)]
    pairs = [pair for pair in pairs if _may_agree(pair, points)]
    # all cheap steps before the first expensive one
    for step in _steps():
        for pair in pairs:
            for name, joined in (
                ("difference", pair.model - pair.truth),
                ("quotient", pair.model / pair.truth),
            ):
                if _is_constant(step, joined, columns):
                    return f"{name} constant"
    return "no constant"


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two formulas with exact numbers; ``values`` maps symbols of constants to numbers."""

    model: sympy.Expr
    truth: sympy.Expr
    values: dict[sympy.Symbol, float]


def _may_agree(pair: _Pair, points: list[dict[Any, float]]) -> bool:
    """Whether difference or quotient is equal at all points in 30 digits.

    Matched constants are exactly equal, so a difference is not due to rounding, and SymPy need not
    search for a constant.
    """
    sizes, gaps, ratios = [], [], []
    for point in points:
        known = {**point, **pair.values}
        one, other = (e.evalf(_DIGITS, subs=known) for e in (pair.model, pair.truth))
        if not (one.is_Float and other.is_Float and one.is_finite and other.is_finite):
            return True  # complex or undefined half way: let SymPy try
        sizes.append(abs(other))
        gaps.append(one - other)
        ratios.append(one / other if other else one)
    if all(abs(g - gaps[0]) <= _SAME * max(sizes) for g in gaps):
        return True
    return all(abs(r - ratios[0]) <= _SAME * abs(ratios[0]) for r in ratios)


def _steps() -> Iterator[Callable[[Any], Any]]:
    import sympy

    yield lambda e: e
    yield sympy.expand
    yield lambda e: sympy.cancel(sympy.together(e))
    yield lambda e: sympy.powsimp(sympy.expand(sympy.expand_log(e)))
    yield lambda e: sympy.expand(sympy.expand_trig(e))
    yield sympy.simplify
    yield lambda e: sympy.simplify(e.rewrite(sympy.exp))


def _is_constant(
    step: Callable[[Any], Any], expression: sympy.Expr, columns: list[sympy.Symbol]
) -> bool:
    import sympy

    from equate_srbench.expr.sympy.bridge import attempted

    found = attempted(step, expression)
    if found is None:
        return False
    bad = (sympy.nan, sympy.zoo, sympy.oo, -sympy.oo)
    return not found.free_symbols & set(columns) and not found.has(*bad)


def _matched(model: sympy.Expr, truth: sympy.Expr) -> _Pair:
    """Both formulas with exact numbers; equal constants become the same symbol.

    Algebra with floating-point numbers is slow in SymPy and never gives an exact 0. A number of
    the model that is close to one of the truth becomes that one, one close to a simple fraction
    that fraction, a negligible one 0. Any other is a positive symbol, which stays constant.
    """
    import sympy

    known = [abs(float(n)) for n in truth.atoms(sympy.Number) if n.is_finite and n != 0]
    names: dict[float, sympy.Symbol] = {}

    def exact(size: float, tolerance: float) -> sympy.Expr:
        simple = Fraction(size).limit_denominator(_LARGEST_DENOMINATOR)
        if simple and abs(float(simple) - size) <= tolerance * size:
            return sympy.Rational(simple.numerator, simple.denominator)
        return names.setdefault(size, sympy.Symbol(f"c{len(names)}", positive=True))

    def of_model(size: float) -> sympy.Expr:
        near = [k for k in known if abs(k - size) <= _ALIKE * k]
        if near:
            return exact(min(near, key=lambda k: abs(k - size)), _EXACT)
        return exact(size, _ALIKE) if size >= _NOTHING else sympy.Integer(0)

    def replaced(expression: sympy.Expr, of: Callable[[float], sympy.Expr]) -> sympy.Expr:
        floats = {
            f: of(abs(float(f))) * (1 if f > 0 else -1) for f in expression.atoms(sympy.Float)
        }
        return expression.xreplace(floats)

    one, other = replaced(model, of_model), replaced(truth, lambda size: exact(size, _EXACT))
    return _Pair(one, other, {symbol: size for size, symbol in names.items()})


if __name__ == "__main__":
    main()
