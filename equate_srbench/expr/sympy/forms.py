"""Worker process that asks SymPy for equal forms of a formula, under a time limit.

Run as ``python -m equate_srbench.expr.sympy.forms``. Requests and answers are JSON lines on
standard input and output: a request is ``[number, seconds, symbols, constants]``, the answers are
``[number, symbols, constants]`` for each form found and ``[number]`` at the end. No text is ever
parsed as a formula here.

SymPy cannot be interrupted from outside in an orderly way, so the parent kills this process. It
also ends by itself: when its input closes (the parent is gone), when the parent's process number
changes, and, should a single big-number operation hold the interpreter, by faulthandler's timer.
"""

from __future__ import annotations

import faulthandler
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import sympy

from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.sympy.bridge import attempted, from_sympy, to_sympy
from equate_srbench.expr.tree import Tree

_GRACE = 1.0  # seconds after the parent's limit before the process ends itself
_IDLE_POLL = 2.0
_LARGEST_DENOMINATOR = 12

_STEPS: tuple[Callable[[Any], Any], ...] = (
    lambda e: e,
    sympy.together,
    sympy.cancel,
    sympy.factor,
    sympy.powsimp,
    sympy.expand,
    lambda e: sympy.factor(sympy.expand(e)),
    lambda e: sympy.logcombine(e, force=False),
    sympy.trigsimp,
    sympy.radsimp,
    lambda e: sympy.simplify(e, ratio=1.0),
)


def forms(tree: Tree) -> Iterator[Tree]:
    """Forms that SymPy considers equal to ``tree``, cheap steps first.

    Constants other than simple fractions become positive symbols: SymPy's algebra on floats is
    inexact and slow.
    """
    used = tree.columns
    symbols = [sympy.Symbol(f"x{j}", real=True) for j in range(max(used, default=-1) + 1)]
    places = {symbol: j for j, symbol in enumerate(symbols)}
    expression = to_sympy(tree, symbols)
    values: dict[Any, float] = {}
    for number in sorted(expression.atoms(sympy.Float), key=lambda f: float(f)):
        values[number] = float(number)
    expression, restore = _named(expression, values)
    seen: set[Any] = set()
    for step in _STEPS:
        form = attempted(step, expression)
        if form is None or form in seen:
            continue
        seen.add(form)
        try:
            yield from_sympy(form.xreplace(restore), places)
        except (FormulaError, TypeError, RecursionError):
            continue


def _named(expression: Any, values: dict[Any, float]) -> tuple[Any, dict[Any, Any]]:
    """Replace simple floats by fractions and the others by positive symbols."""
    replacement: dict[Any, Any] = {}
    restore: dict[Any, Any] = {}
    names: dict[float, Any] = {}
    for number, value in values.items():
        simple = Fraction(value).limit_denominator(_LARGEST_DENOMINATOR)
        if simple and abs(float(simple) - value) <= 1e-15 * abs(value) and abs(simple) < 1000:
            replacement[number] = sympy.Rational(simple.numerator, simple.denominator)
            continue
        size = abs(value)
        if size not in names:
            names[size] = sympy.Symbol(f"c{len(names)}", positive=True)
            restore[names[size]] = sympy.Float(size)
        replacement[number] = names[size] if value > 0 else -names[size]
    return expression.xreplace(replacement), restore


def _listen(requests: queue.SimpleQueue[list[Any]]) -> None:
    for line in sys.stdin:
        requests.put(json.loads(line))
    os._exit(0)  # the parent is gone; SymPy may be busy in the main thread


def main() -> None:
    """Answer requests until the parent process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    parent = os.getppid()
    requests: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    _say([])
    while os.getppid() == parent:
        try:
            number, seconds, symbols, constants = requests.get(timeout=_IDLE_POLL)
        except queue.Empty:
            continue
        faulthandler.dump_traceback_later(seconds + _GRACE, exit=True)
        for form in forms(Tree(symbols, constants)):
            _say([number, form.symbols, form.constants])
        faulthandler.cancel_dump_traceback_later()
        _say([number])


def _say(answer: list[Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
