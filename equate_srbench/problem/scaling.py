"""Change of coordinates between a bag's view and canonical columns, in normal form.

``View.to_canonical`` inserts a division (and a shift) at every occurrence of a column. Here scales
are carried through the normal form instead: they merge into existing constants, or into the outer
scale and offset, so that ``x_0 * x_1`` stays three nodes whatever the scales.
"""

from __future__ import annotations

from equate_srbench.backbone.views import View
from equate_srbench.expr.algebra import normal
from equate_srbench.expr.tree import Tree

#: Constants of a training target lie in this range (see ``pretrain.corpus.examples``).
SMALLEST, LARGEST = 5e-4, 2e3
_NEAR = 1e-4
_LARGEST_SCALE = 1e4


def to_canonical(tree: Tree, view: View) -> Tree:
    """A formula over view columns as one over canonical columns, modulo outer scale and offset.

    Parameters
    ----------
    tree : Tree
    view : View
        Of one table.

    Returns
    -------
    Tree
        In normal form where there is one; otherwise, and for extreme scales, as
        ``View.to_canonical`` makes it.
    """
    if not _is_moderate(tree, view):
        return view.to_canonical(tree)
    replaced = {
        j: normal.add(
            normal.scaled(normal.variable(j), 1.0 / float(view.scale[j])),
            normal.constant(-float(view.center[j]) / float(view.scale[j])),
        )
        for j in tree.columns
    }
    found = _rewritten(tree, replaced)
    return view.to_canonical(tree) if found is None else found


def to_view(tree: Tree, view: View) -> Tree | None:
    """A formula over canonical columns as a training target over the view's columns.

    Constants next to a whole number or a half become it, and vanishing ones go, because the
    vocabulary has words for those numbers and the corpus was written with them.

    Returns
    -------
    Tree or None
        Modulo outer scale and offset; None if it is constant, or if a constant or a scale is out of
        range.
    """
    if not _is_moderate(tree, view):
        return None
    replaced = {
        j: normal.add(
            normal.scaled(normal.variable(j), float(view.scale[j])),
            normal.constant(float(view.center[j])),
        )
        for j in tree.columns
    }
    found = _rewritten(tree, replaced)
    if found is not None and found.constants:
        found = _rewritten(found.with_constants([_rounded(c) for c in found.constants]), {})
    if found is None or any(not SMALLEST < abs(c) < LARGEST for c in found.constants):
        return None
    return found


def _is_moderate(tree: Tree, view: View) -> bool:
    """Whether scales leave the normal form its accuracy (it drops terms below 1e-12)."""
    return all(1 / _LARGEST_SCALE <= view.scale[j] <= _LARGEST_SCALE for j in tree.columns)


def _rewritten(tree: Tree, replaced: dict[int, normal.Expression]) -> Tree | None:
    """Normal form with columns replaced; None where a constant part is undefined or all is."""
    try:
        expression = normal.strip(normal.substitute(normal.from_tree(tree), replaced))
    except (normal.UndefinedConstantError, OverflowError):
        return None
    return None if expression[1] is None else normal.to_tree(expression)


def _rounded(value: float) -> float:
    if abs(value) < SMALLEST:
        return 0.0
    near = round(2.0 * value) / 2.0
    return near if abs(near - value) <= _NEAR * abs(value) else value
