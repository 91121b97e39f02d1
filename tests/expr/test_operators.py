"""The operator table: every spelling of an operator is the same function."""

import numpy as np
import pytest
import sympy
import torch

from equate_srbench.expr.operators import ARITY, BY_CODE, BY_NAME, OPERATORS, VARIABLE, arity

CODES = {
    "add": 1, "sub": 2, "mul": 3, "div": 4, "pow": 5, "abs": 6, "inv": 7, "sqrt": 8, "square": 9,
    "cube": 10, "exp": 11, "log": 12, "sin": 13, "cos": 14, "tan": 15, "arcsin": 16, "arccos": 17,
    "arctan": 18, "tanh": 19,
}  # fmt: skip
ARGUMENTS = np.array([0.125, 0.3, 0.55, 0.8, 0.97])  # inside every domain


def test__codes__as_released():
    """Codes are in checkpoints and kernels, so they never change."""
    assert {op.name: op.code for op in OPERATORS} == CODES
    assert len(BY_CODE) == len(BY_NAME) == len(OPERATORS)
    assert max(BY_CODE) < VARIABLE


def test__arity__table_and_function_agree():
    """Leaves take no arguments."""
    assert [arity(code) for code in range(VARIABLE)] == list(ARITY)
    assert arity(VARIABLE + 3) == arity(0) == 0


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.name)
def test__operator__array_numpy_sympy_torch__same_values(op):
    """NumPy, torch, NumPy source and SymPy text agree."""
    args = [ARGUMENTS, ARGUMENTS[::-1].copy()][: op.arity]
    wanted = op.array(np, *args)
    names = ["a", "b"][: op.arity]
    space = {"np": np, **dict(zip(names, args, strict=True))}
    values = eval(op.numpy.format(*names), space)  # noqa: S307 - the table's own text
    np.testing.assert_allclose(values, wanted, rtol=1e-14)
    expression = sympy.sympify(op.sympy.format(*names))
    function = sympy.lambdify(names, expression, "numpy")
    np.testing.assert_allclose(function(*args), wanted, rtol=1e-14)
    tensors = [torch.tensor(arg) for arg in args]
    np.testing.assert_allclose(op.array(torch, *tensors).numpy(), wanted, rtol=1e-14)


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.name)
def test__operator__commutative_flag__true(op):
    """Only operators marked commutative may be swapped, and all that are may."""
    if op.arity == 2:
        a, b = ARGUMENTS, ARGUMENTS[::-1] + 0.3
        same = np.array_equal(op.array(np, a, b), op.array(np, b, a))
        assert same == op.commutative
