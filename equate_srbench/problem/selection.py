"""Model selection by description length on the fit rows."""

from __future__ import annotations

import math

from equate_srbench.expr.algebra.complexity import complexity
from equate_srbench.expr.operators import BY_NAME, CONSTANT
from equate_srbench.expr.tree import Tree
from equate_srbench.problem.floor import EXACT

#: Nats for one node. Twenty operators and columns to choose from would cost three, but SymPy's
#: count has more nodes than a formula has choices (``x - y`` is five). On validation rows of
#: fourteen PMLB tables that are not in our comparison, one was better than two or three.
NODE_COST = 1.0
#: Rows at which a node costs twice as much: with few rows, one of the thousands of formulas that
#: were tried fits their noise by luck.
FEW_ROWS = 20.0
#: A formula with a pole among the rows, or with absurd constants, is the answer only if its loss is
#: this many times smaller than that of any other, and these nats more.
WORSE, WORSE_NATS = 10.0, 50.0
#: Sizes of constants, and of fitted exponents, that no law has in moderate units.
LARGEST, LARGEST_EXPONENT = 1e30, 20.0
#: Nats more for an exponent that is no multiple of 1/2: laws seldom have one.
REAL_EXPONENT = 3.0
#: Nats per fitted constant of a formula with at least as many constants as rows.
OVERPARAMETERISED_NATS = 1e6

_POW = BY_NAME["pow"].code


def description_length(
    tree: Tree, loss: float, variance: float, n_rows: float, *, floor: float = EXACT
) -> float:
    """Description length in nats: of the formula plus of its residuals.

    Gaussian residuals of unknown width cost ``n/2 log(loss)``; a node (of
    ``expr.algebra.complexity``, the size that users see) costs ``NODE_COST * (1 + FEW_ROWS / n)``;
    a constant costs ``log(n)/2`` (the precision that ``n`` rows support; Rissanen 1978), a small
    multiple of 1/2 less, an exponent that is none ``REAL_EXPONENT`` more. Below a relative error of
    ``floor`` formulas fit alike. On few rows the residuals of fitted constants are too small;
    ``k (k + 1) / (n - k - 1)`` corrects that for ``k`` of them (Hurvich & Tsai 1989), and a formula
    with as many constants as rows says nothing.

    Parameters
    ----------
    tree : Tree
    loss : float
        Mean squared residual on the fit rows.
    variance : float
        Mean squared residual of the best constant.
    n_rows : float
        Number of fit rows (sum of sample weights).
    floor : float, default=1e-20
        Share of the variance that counts as no error; see ``Archive.least_error``.
    """
    return formula_length(tree, n_rows) + residual_length(loss / variance, n_rows, floor=floor)


def residual_length(error: float, n_rows: float, *, floor: float = EXACT) -> float:
    """Nats of the residuals, up to a constant of the table; ``error`` is 1 - R2."""
    return 0.5 * n_rows * math.log(max(error, floor))


def formula_length(tree: Tree, n_rows: float) -> float:
    """Nats of the formula; see ``description_length``."""
    precision = 0.5 * math.log(max(n_rows, 2.0))
    plain = [c for c in tree.constants if _is_plain(c)]
    k = len(tree.constants) - len(plain)
    constants = k * precision + sum(min(1.0 + math.log1p(abs(c)), precision) for c in plain)
    return (
        NODE_COST * (1.0 + FEW_ROWS / max(n_rows, 1.0)) * complexity(tree)
        + constants
        + _few_rows(k + 1, n_rows)
        + REAL_EXPONENT * sum(not _is_plain(e) for e in _exponents(tree))
        + (worse(n_rows) if is_absurd(tree) else 0.0)
    )


def worse(n_rows: float) -> float:
    """Nats for what makes a formula no answer where another one is near."""
    return WORSE_NATS + 0.5 * n_rows * math.log(WORSE)


def is_absurd(tree: Tree) -> bool:
    """Whether a constant is of a size, or a fitted exponent of one, that no law has."""
    if any(c != 0.0 and not 1.0 / LARGEST < abs(c) < LARGEST for c in tree.constants):
        return True
    return any(abs(exponent) > LARGEST_EXPONENT for exponent in _exponents(tree))


def _is_plain(c: float) -> bool:
    """Whether a number is a multiple of 1/2 of moderate size."""
    return abs(c) < 1e6 and 2.0 * c == round(2.0 * c)


def _exponents(tree: Tree) -> list[float]:
    """The numbers that something is raised to."""
    found = (
        tree.subtree(tree.children(at)[1])
        for at, symbol in enumerate(tree.symbols)
        if symbol == _POW
    )
    return [e.constants[0] for e in found if e.symbols == (CONSTANT,)]


def price_of_node(tree: Tree, loss: float, variance: float, n_rows: float) -> float:
    """Gain in R2 that pays for one more node, at equal description length.

    A node costs what the formula's nodes cost on average, constants included. It is worth little
    where formulas fit well or rows are many, and much where noise is what is left.

    Parameters
    ----------
    tree, loss, variance, n_rows
        As in ``description_length``.
    """
    nats = description_length(tree, variance, variance, n_rows) / complexity(tree)
    # the residuals cost n/2 log(e), which is n/(2e) nats for a change of e = 1 - R2
    return 2.0 * max(loss / variance, EXACT) / n_rows * nats


def _few_rows(k: int, n_rows: float) -> float:
    """Small-sample correction for ``k`` fitted numbers, the residual variance included."""
    spare = n_rows - k - 1.0
    return k * (k + 1.0) / spare if spare > 0.0 else OVERPARAMETERISED_NATS * k
