"""Derivative rules of the operators, for NumPy and torch alike.

``rule(m, up, a, out)`` (or ``up, a, b, out`` for two arguments) multiplies the derivative ``up``
of the whole by that of the operator, given its arguments and its value ``out``. The torch path
runs the rules as they are; the compiled kernel runs what ``numpy_loops`` records of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: By operator name, one rule per argument.
RULES: dict[str, tuple[Callable[..., Any], ...]] = {
    "add": (lambda m, up, a, b, out: up, lambda m, up, a, b, out: up),
    "sub": (lambda m, up, a, b, out: up, lambda m, up, a, b, out: m.negative(up)),
    "mul": (lambda m, up, a, b, out: up * b, lambda m, up, a, b, out: up * a),
    "div": (
        lambda m, up, a, b, out: up / b,
        lambda m, up, a, b, out: m.negative(up * out / b),
    ),
    # the second is NaN at base 0 or below, where the power has no derivative by its exponent
    "pow": (
        lambda m, up, a, b, out: up * b * a ** (b - 1.0),
        lambda m, up, a, b, out: up * out * m.log(a),
    ),
    "abs": (lambda m, up, a, out: up * m.sign(a),),
    "inv": (lambda m, up, a, out: m.negative(up * out * out),),
    "sqrt": (lambda m, up, a, out: up / (out + out),),
    "square": (lambda m, up, a, out: up * (a + a),),
    "cube": (lambda m, up, a, out: up * 3.0 * a * a,),
    "exp": (lambda m, up, a, out: up * out,),
    "log": (lambda m, up, a, out: up / a,),
    "sin": (lambda m, up, a, out: up * m.cos(a),),
    "cos": (lambda m, up, a, out: m.negative(up * m.sin(a)),),
    "tan": (lambda m, up, a, out: up * (1.0 + out * out),),
    # (1 - a)(1 + a) keeps its digits near the ends, 1 - a^2 does not
    "arcsin": (lambda m, up, a, out: up / m.sqrt((1.0 - a) * (1.0 + a)),),
    "arccos": (lambda m, up, a, out: m.negative(up / m.sqrt((1.0 - a) * (1.0 + a))),),
    "arctan": (lambda m, up, a, out: up / (1.0 + a * a),),
    "tanh": (lambda m, up, a, out: up * (1.0 - out * out),),
}
