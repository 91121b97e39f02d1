"""Compiled CPU kernel: evaluates, differentiates and fits many prefix programs in float64.

A program is a tree's prefix symbol codes. Node ``i`` has its first argument at ``i + 1`` and its
second at ``second[i]``, so one sweep from right to left gives all values, and one from left to
right the derivative of the root by every node (a node has one parent, so nothing accumulates).
Each node is a NumPy loop over all rows of the table (see ``numpy_loops``).

The fit is variable projection (Golub & Pereyra 1973) with Kaufman's approximation (1975): scale
and offset of ``y ~ a f(x; c) + b`` are eliminated in closed form, and the inner constants ``c``
follow damped Gauss-Newton steps on the projected residual.

All vectors over the rows of the table, inputs and workspace alike, are rows of one array,
``memory``, and go by their row numbers: the code stays small, and a first fit does not have to
wait for the compiler. Importing this module compiles (or loads) the entry point: import it where
it is first needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from equate_srbench.expr import operators
from equate_srbench.expr.operators import ARITY, CONSTANT, VARIABLE
from equate_srbench.refine import derivatives, numpy_loops
from equate_srbench.refine import tolerances as limit
from equate_srbench.refine.compiling import compiled, inner
from equate_srbench.refine.numpy_loops import (
    FIRST,
    FIRST_LITERAL,
    LITERALS,
    OUT,
    REGISTERS,
    RESULT,
    SECOND,
    UP,
    VALUE,
    A,
    B,
    build_loop_table,
)
from equate_srbench.refine.programs import Floats, Ints, Programs

Row = int | np.int64

TABLE = build_loop_table()

_ARITY = np.array(ARITY, dtype=np.int64)
# Rows of ``memory``: these, literals and temporaries (``numpy_loops``), columns of X, then the
# values of the nodes, the derivatives of the nodes and those of the constants. No Python integers:
# numba would compile the functions that take them anew for each value.
_Y, _WEIGHTS, _ROOTS, _F, _RESIDUAL = (np.int64(row) for row in range(FIRST_LITERAL))
_X = REGISTERS
# Rows of ``small``, each with a number per constant; then normal matrix and its factor
_GRADIENT, _SIZE, _STEP, _TRIAL, _START, _CURRENT, _NORMAL = range(7)
# Rows of ``nodes``: second argument, number of constants below, rows of value and derivative in
# ``memory``, the row for a value computed here (``nodes.shape[1]`` below it the derivative's)
_SECOND, _BELOW, _VALUE, _DERIVATIVE, _OWN = range(5)

FIT, EVALUATE, DIFFERENTIATE = range(3)

#: Modules whose values are compiled in as constants.
COMPILED_IN = (operators, derivatives, numpy_loops, limit)


class Memory(NamedTuple):
    """Inputs and workspace of a kernel call, allocated by ``Memory.of``."""

    rows: Floats  # (_X + columns + 2 nodes + constants, rows)
    small: Floats  # (_NORMAL + 2 constants, constants)
    nodes: Ints  # (5, nodes): see _SECOND and the following
    registers: Ints  # rows, then a NumPy loop's addresses (3), length, strides (3)

    @classmethod
    def of(cls, X: Floats, n_nodes: int, k: int) -> Memory:
        """Allocate for a table (rows, columns) and the largest numbers of nodes and constants."""
        n_rows, n_columns = X.shape
        rows = np.zeros((_X + n_columns + 2 * n_nodes + k, n_rows))
        rows[FIRST_LITERAL : FIRST_LITERAL + len(LITERALS)] = np.array(LITERALS)[:, None]
        rows[_X : _X + n_columns] = X.T
        registers = np.arange(REGISTERS + 7, dtype=np.int64)
        registers[REGISTERS + 3 :] = n_rows, 8, 8, 8
        nodes = np.zeros((5, n_nodes), dtype=np.int64)
        nodes[_OWN] = _X + n_columns + np.arange(n_nodes)
        return cls(rows, np.zeros((_NORMAL + 2 * k, k)), nodes, registers)

    def target(self, y: Floats, weights: Floats, roots: Floats) -> None:
        """Set the target: ``y`` weighted, centred (if affine) and scaled; weights of sum 1."""
        self.rows[_Y], self.rows[_WEIGHTS], self.rows[_ROOTS] = y, weights, roots

    def columns(self, k: int) -> Floats:
        """Derivatives by the constants, (constants, rows), of the last program differentiated."""
        first = len(self.rows) - self.small.shape[1]
        return self.rows[first : first + k].copy()

    def places(self, n: int) -> Ints:
        """Second arguments of the last program's nodes, and the rows of their values, (2, n)."""
        return np.ascontiguousarray(self.nodes[[_SECOND, _VALUE], :n])


# "reassoc" lets the sum use vector registers; NaN and inf keep their meaning.
@inner(fastmath={"reassoc", "contract"})
def _dot(memory: Floats, i: Row, j: Row) -> float:
    """Dot product of two rows."""
    total = 0.0
    for r in range(memory.shape[1]):
        total += memory[i, r] * memory[j, r]
    return total


def _loop_call(
    typing_context: Any, loop: Any, data: Any, args: Any, length: Any, strides: Any
) -> tuple[Any, Callable[..., Any]]:
    """Code of a call ``void loop(char **args, npy_intp *n, npy_intp *strides, void *data)``."""
    signature = types.void(types.int64, types.int64, types.int64, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        loop_type = ir.FunctionType(ir.VoidType(), [pointer] * 4)
        function = builder.inttoptr(values[0], loop_type.as_pointer())
        order = values[2], values[3], values[4], values[1]
        builder.call(function, [builder.inttoptr(v, pointer) for v in order])
        return context.get_dummy_value()

    return signature, generate


# addresses of a NumPy loop, its data, its arguments, their length and their strides
_call_loop = cast("Callable[[int, int, int, int, int], None]", intrinsic(_loop_call))


@inner()
def _run(steps: Ints, begin: int, end: int, registers: Ints, memory: Floats) -> None:
    """Run the steps of one operator on the rows its registers name."""
    base, stride = memory.ctypes.data, 8 * memory.shape[1]
    frame = registers.ctypes.data + 8 * REGISTERS
    for s in range(begin, end):
        registers[REGISTERS] = base + stride * registers[steps[s, 3]]
        registers[REGISTERS + 1] = base + stride * registers[steps[s, 4]]
        registers[REGISTERS + steps[s, 2]] = base + stride * registers[steps[s, 5]]
        _call_loop(steps[s, 0], steps[s, 1], frame, frame + 24, frame + 32)


@inner()
def _link(code: Ints, nodes: Ints) -> None:
    """Fill each node's second argument and the number of constants in its subtree."""
    end = nodes[_VALUE]  # free until values are computed
    for i in range(code.shape[0] - 1, -1, -1):
        s = code[i]
        end[i] = i + 1
        nodes[_BELOW, i] = 1 if s == CONSTANT else 0
        for _ in range(_ARITY[s] if s < VARIABLE else 0):
            child = end[i]
            nodes[_SECOND, i] = child
            nodes[_BELOW, i] += nodes[_BELOW, child]
            end[i] = end[child]


@inner()
def _values(
    steps: Ints, spans: Ints, code: Ints, constants: Floats, memory: Floats, nodes: Ints,
    registers: Ints,
) -> None:  # fmt: skip
    """Fill row ``_F`` with the program's values."""
    k = constants.shape[0]
    for i in range(code.shape[0] - 1, -1, -1):
        s = code[i]
        row = nodes[_OWN, i]
        if s >= VARIABLE:
            row = _X + s - VARIABLE
        elif s == CONSTANT:
            k -= 1
            for r in range(memory.shape[1]):
                memory[row, r] = constants[k]
        else:
            registers[A] = nodes[_VALUE, i + 1]
            registers[B] = nodes[_VALUE, nodes[_SECOND, i]]
            registers[RESULT] = row
            _run(steps, spans[s, VALUE], spans[s, FIRST], registers, memory)
        nodes[_VALUE, i] = row
    for r in range(memory.shape[1]):
        memory[_F, r] = memory[nodes[_VALUE, 0], r]


@inner()
def _derivatives(
    steps: Ints, spans: Ints, code: Ints, memory: Floats, nodes: Ints, registers: Ints
) -> None:
    """Fill the constants' columns with derivatives, after ``_values``; return the first row."""
    nodes[_DERIVATIVE, 0] = FIRST_LITERAL  # ones
    column = nodes[_OWN, 0] + 2 * nodes.shape[1]
    for i in range(code.shape[0]):
        s = code[i]
        if nodes[_BELOW, i] == 0:
            continue
        if s == CONSTANT:
            for r in range(memory.shape[1]):
                memory[column, r] = memory[nodes[_DERIVATIVE, i], r]
            column += 1
            continue
        registers[A] = nodes[_VALUE, i + 1]
        registers[B] = nodes[_VALUE, nodes[_SECOND, i]]
        registers[OUT] = nodes[_VALUE, i]
        registers[UP] = nodes[_DERIVATIVE, i]
        for kind in range(FIRST, FIRST + _ARITY[s]):
            child = nodes[_SECOND, i] if kind == SECOND else i + 1
            begin, end = spans[s, kind], spans[s, kind + 1]
            registers[RESULT] = nodes[_OWN, child] + nodes.shape[1]
            nodes[_DERIVATIVE, child] = registers[RESULT] if end > begin else registers[UP]
            if nodes[_BELOW, child] > 0:
                _run(steps, begin, end, registers, memory)


@inner()
def _centre(memory: Floats, row: Row, affine: bool) -> tuple[float, float, float]:
    """Weight (and centre) a row in place; return its mean, squared norm and extracted scale.

    Values whose squares would leave the range of float64 are divided by their largest size.
    """
    mean = _dot(memory, row, _WEIGHTS)
    shift = mean if affine else 0.0
    for r in range(memory.shape[1]):
        memory[row, r] = memory[_ROOTS, r] * (memory[row, r] - shift)
    norm, scale = _dot(memory, row, row), 1.0
    if math.isfinite(mean) and not limit.TINY < norm < limit.HUGE:
        scale = 0.0
        for r in range(memory.shape[1]):
            scale = max(scale, abs(memory[row, r]))
        if scale == 0.0:
            return mean, 0.0, 1.0
        for r in range(memory.shape[1]):
            memory[row, r] /= scale
        norm = _dot(memory, row, row)
    return mean, norm, scale


@inner()
def _project(memory: Floats, unit: float, affine: bool) -> tuple[float, float, float, float]:
    """Residual of the best ``a f + b``; return loss, a, mean of f, and f's (scaled) norm."""
    mean, norm, scale = _centre(memory, _F, affine)
    a = unit * scale
    if affine:
        # what is left of a constant after centring is rounding
        varies = norm * scale * scale > limit.CONSTANT_SPREAD * mean * mean
        a = _dot(memory, _F, _Y) / norm if varies else 0.0
    for r in range(memory.shape[1]):
        memory[_RESIDUAL, r] = memory[_Y, r] - a * memory[_F, r]
    loss = _dot(memory, _RESIDUAL, _RESIDUAL)
    if not (math.isfinite(mean) and math.isfinite(loss)):
        loss = np.inf
    return loss, a / scale, mean, norm


@inner()
def _normal_equations(
    memory: Floats, first: int, k: int, norm_f: float, affine: bool, small: Floats
) -> None:
    """Project columns off scale and offset, normalise them; compute J'J and the gradient.

    A column that is not free gets size inf, which makes its step 0.
    """
    for j in range(k):
        row = first + j
        if not math.isfinite(_dot(memory, row, _WEIGHTS)):
            # a vertical tangent on some rows (sqrt at 0): leave those rows out; where there is no
            # derivative on many (whole exponents of columns of both signs), hold the constant
            missing = 0.0
            for r in range(memory.shape[1]):
                if not math.isfinite(memory[row, r]):
                    memory[row, r] = 0.0
                    missing += memory[_WEIGHTS, r]
            if missing > limit.MISSING:
                for r in range(memory.shape[1]):
                    memory[row, r] = 0.0
        mean, norm, scale = _centre(memory, row, affine)
        left = norm
        if affine:
            share = _dot(memory, row, _F) / norm_f
            for r in range(memory.shape[1]):
                memory[row, r] -= share * memory[_F, r]
            left = _dot(memory, row, row)
            if left * scale * scale <= limit.CONSTANT_SPREAD * mean * mean:
                left = 0.0
        free = math.isfinite(left) and left > limit.DEPENDENT * norm
        small[_SIZE, j] = math.sqrt(left) * scale if free else np.inf
        for r in range(memory.shape[1]):
            memory[row, r] = memory[row, r] / math.sqrt(left) if free else 0.0
        small[_GRADIENT, j] = _dot(memory, row, _RESIDUAL)
        for i in range(j):
            small[_NORMAL + j, i] = _dot(memory, first + i, row)
        small[_NORMAL + j, j] = 1.0


@inner()
def _solve(k: int, damping: float, small: Floats) -> float:
    """Damped step by Cholesky; return its predicted reduction of the loss (0: no step)."""
    factor, step = small[_NORMAL + small.shape[1] :], small[_STEP]
    for j in range(k):
        for i in range(j, k):
            v = small[_NORMAL + i, j]
            for m in range(j):
                v -= factor[i, m] * factor[j, m]
            if i > j:
                factor[i, j] = v / factor[j, j]
            elif v + damping > 0.0:
                factor[j, j] = math.sqrt(v + damping)
            else:
                return 0.0
        step[j] = small[_GRADIENT, j]
        for m in range(j):
            step[j] -= factor[j, m] * step[m]
        step[j] /= factor[j, j]
    gain = 0.0
    for j in range(k - 1, -1, -1):
        for m in range(j + 1, k):
            step[j] -= factor[m, j] * step[m]
        step[j] /= factor[j, j]
        gain += step[j] * small[_GRADIENT, j]
    return gain


@inner()
def _adapt(damping: float, moved: bool, saved: float, gain: float) -> float:
    """Update the damping by how the loss fell compared with the linear model's prediction."""
    if not moved:
        factor = limit.BAD
    elif saved > limit.GOOD_SHARE * gain:
        factor = limit.GOOD
    else:
        factor = 1.0 if saved > limit.POOR_SHARE * gain else limit.POOR
    return max(damping * factor, limit.DAMPING_MIN)


@inner(inline="always")  # one function less to compile: a second of the first start
def _descend(
    steps: Ints, spans: Ints, code: Ints, memory: Floats, small: Floats, nodes: Ints,
    registers: Ints, unit: float, max_steps: int, affine: bool, abandon_above: float,
    damping: float,
) -> tuple[float, float, float, float]:  # fmt: skip
    """Improve ``small[_TRIAL]``; return loss, scale, mean of f, in units of ``_Y``, and damping."""
    k, first = nodes[_BELOW, 0], nodes[_OWN, 0] + 2 * nodes.shape[1]
    trial, current = small[_TRIAL, :k], small[_CURRENT]
    loss, a, mean, norm, gain = np.inf, 0.0, 0.0, 0.0, 0.0
    for turn in range(max_steps + 1):
        _values(steps, spans, code, trial, memory, nodes, registers)
        new = _project(memory, unit, affine)
        moved = turn == 0 or new[0] < loss
        saved = loss - new[0]
        if turn > 0:
            damping = _adapt(damping, moved, saved, gain)
        if moved:
            loss, a, mean, norm = new
            for j in range(k):
                current[j] = trial[j]
        hopeless = a == 0.0 or damping > limit.DAMPING_MAX or (turn == 2 and loss > abandon_above)
        if k == 0 or turn == max_steps or hopeless or not limit.EXACT < loss < np.inf:
            break
        if moved:
            if saved < limit.SMALL_GAIN * loss:
                break
            _derivatives(steps, spans, code, memory, nodes, registers)
            _normal_equations(memory, first, k, norm, affine, small)
        gain = _solve(k, damping, small)
        if not gain > limit.SMALL_GAIN * loss:
            break
        for j in range(k):
            trial[j] = current[j] + small[_STEP, j] / (small[_SIZE, j] * a)
    return loss, a, mean, damping


_INT, _FLOAT = types.int64, types.float64
_INTS, _FLOATS, _MATRIX = types.int64[::1], types.float64[::1], types.float64[:, ::1]
_TABLES = (types.int64[:, ::1],) * 2
_PROGRAMS = (_INTS, _INTS, _FLOATS, _INTS, _INT, _INT)
_MEMORY = (_MATRIX, _MATRIX, types.int64[:, ::1], _INTS)


@compiled(
    *_TABLES, *_PROGRAMS, *_MEMORY, _INT, _FLOAT, types.float64[:, :, ::1], _INT,
    types.boolean, _FLOAT, _MATRIX, among=COMPILED_IN,
)  # fmt: skip
def _run_programs(
    steps: Ints, spans: Ints, codes: Ints, code_at: Ints, constants: Floats, constant_at: Ints,
    begin: int, end: int, memory: Floats, small: Floats, nodes: Ints, registers: Ints, goal: int,
    unit: float, noise: Floats, max_steps: int, affine: bool, abandon_above: float, out: Floats,
) -> None:  # fmt: skip
    """Fit, evaluate or differentiate programs ``begin .. end - 1``.

    ``FIT`` changes ``constants`` in place and fills ``out[i]`` with loss, scale, mean of f and
    damping (from which it starts); ``noise`` (starts - 1, 2, constants) holds factors and shifts
    of the extra starts.
    ``EVALUATE`` fills ``out[i]`` with values, ``DIFFERENTIATE`` leaves them in ``memory``.
    """
    for i in range(begin, end):
        code = codes[code_at[i] : code_at[i + 1]]
        given = constants[constant_at[i] : constant_at[i + 1]]
        k = given.shape[0]
        _link(code, nodes)
        if goal != FIT:
            _values(steps, spans, code, given, memory, nodes, registers)
            for r in range(memory.shape[1]):
                out[i, r] = memory[_F, r]
            if goal == DIFFERENTIATE:
                _derivatives(steps, spans, code, memory, nodes, registers)
            continue
        for j in range(k):
            small[_START, j] = small[_TRIAL, j] = given[j]
        begun = out[i, 3]
        for s in range(1 + noise.shape[0] if k > 0 else 1):
            if s > 0:
                for j in range(k):
                    small[_TRIAL, j] = small[_START, j] * noise[s - 1, 0, j] + noise[s - 1, 1, j]
            loss, a, mean, damping = _descend(
                steps, spans, code, memory, small, nodes, registers, unit, max_steps, affine,
                abandon_above, begun,
            )  # fmt: skip
            if s == 0 or loss < out[i, 0]:
                out[i, 0], out[i, 1], out[i, 2], out[i, 3] = loss, a, mean, damping
                for j in range(k):
                    given[j] = small[_CURRENT, j]


_NO_NOISE = np.empty((0, 2, 0))


def run(
    programs: Programs,
    begin: int,
    end: int,
    memory: Memory,
    goal: int,
    out: Floats,
    *,
    unit: float = 1.0,
    noise: Floats = _NO_NOISE,
    max_steps: int = 0,
    affine: bool = False,
    abandon_above: float = math.inf,
) -> None:
    """Fit, evaluate or differentiate programs ``begin .. end - 1``; see ``_run_programs``."""
    _run_programs(
        TABLE.steps, TABLE.spans, programs.codes, programs.code_at, programs.constants,
        programs.constant_at, begin, end, memory.rows, memory.small, memory.nodes,
        memory.registers, goal, unit, noise, max_steps, affine, abandon_above, out,
    )  # fmt: skip
