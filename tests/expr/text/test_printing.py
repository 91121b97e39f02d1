"""Tree to text and source code: exact, minimal brackets, the same function everywhere."""

import ctypes
import math
import shutil
import subprocess

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from sympy.parsing.sympy_parser import parse_expr

from equate_srbench.expr.algebra.rewrite import rewrite
from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.text.printing import number_text, to_c, to_numpy, to_text
from equate_srbench.expr.tree import Tree

NAMES = ["x_0", "x_1", "x_2"]
SEEDS = st.integers(0, 2**32 - 1)
A, C = Tree.apply, Tree.constant
X, Y = Tree.variable(0), Tree.variable(1)


@pytest.mark.parametrize(
    "text",
    ["x_0 + x_1*x_2", "(x_0 + x_1)*x_2", "x_0 - (x_1 - x_2)", "x_0 - x_1 - x_2", "x_0/(x_1*x_2)",
     "x_0/x_1/x_2", "-x_0", "-x_0*x_1", "-(x_0 + x_1)", "-x_0**2", "(-x_0)**2", "x_0 - 2*x_1",
     "x_0 - 2.5", "2.5 - x_0", "-2.5 + x_0", "1/x_0", "1/(x_0*x_1)", "1/x_0**2", "x_0**2*x_1",
     "(x_0 + 1)**3", "sin(x_0)**2", "sqrt(x_0)", "sqrt(2.0*x_0)", "exp(-x_0**2)", "2**x_0",
     "x_0**x_1", "x_0**(-2)", "x_0**(x_1 + 1)", "(x_0**x_1)**x_2", "x_0*(-2)", "Abs(x_0)",
     "asin(x_0)", "1e-07*x_0", "1e+22*x_0", "0.1*x_0", "x_0 + (x_1 + x_2)", "x_0/(-2)"],
)  # fmt: skip
def test__to_text__normal_text__comes_back(text):
    """The printer writes what a person would, and the parser's normal form is its own text."""
    assert to_text(parse(text, NAMES), NAMES) == text


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        (A("add", X, C(-2.0)), "x_0 - 2"),
        (A("sub", X, C(-2.0)), "x_0 + 2"),
        (A("add", X, A("mul", C(-2.0), Y)), "x_0 - 2*x_1"),
        (A("sub", X, A("mul", C(-1.0), Y)), "x_0 + x_1"),
        (A("sub", X, A("mul", C(-1.0), A("mul", C(-2.0), Y))), "x_0 - 2*x_1"),
        (A("sub", X, A("div", C(-3.0), Y)), "x_0 + 3/x_1"),
        (A("pow", X, C(2.0)), "x_0**2"),
        (A("pow", C(9.0), A("pow", C(9.0), C(9.0))), "9.0**(9.0**9.0)"),
        (A("mul", C(-1.0), C(-3.0)), "-(-3.0)"),
        (A("square", A("square", X)), "(x_0**2)**2"),
        (C(-0.0), "-0.0"),
    ],
)
def test__to_text__other_trees__short_text(tree, text):
    """Signs merge, and numbers that would fold to huge integers in SymPy carry points."""
    assert to_text(tree, NAMES) == text


@given(seed=SEEDS)
def test__to_text__any_tree__bitwise_the_same_function(seed, random_tree, table):
    """After one print and parse every value is the same double."""
    tree = random_tree(np.random.default_rng(seed))
    try:
        again = parse(to_text(tree, NAMES), NAMES)
    except FormulaError:
        # an exponent made of constants may be beyond the parser's limit, nothing else
        assert not np.isfinite(evaluate(tree, table)).any() or "pow" in repr(tree)
        return
    a, b = evaluate(tree, table), evaluate(again, table)
    # pow(x, 3.0) comes back as cube, which may round otherwise
    np.testing.assert_allclose(b, a, rtol=1e-15 if "pow" in repr(tree) else 0.0, atol=0.0)


@given(seed=SEEDS)
def test__to_text__rewritten_tree__same_tree(seed, random_tree, table, sound_rows):
    """Print and parse give back a tree in normal form symbol by symbol."""
    tree = rewrite(random_tree(np.random.default_rng(seed)))
    if sound_rows(tree, table).any():
        assert parse(to_text(tree, NAMES), NAMES) == tree


def test__to_text__thousand_formulas__sympy_computes_the_same(random_tree, table, sound_rows):
    """SymPy reads the text as the same function, to the rounding errors of double precision.

    That is 1e-12 wherever the formula itself does not amplify errors (an exponential of a large
    part does, whoever computes it): each part's own rounding, carried to the result.
    """
    rng = np.random.default_rng(7)
    symbols = sympy.symbols(NAMES)
    local = dict(zip(NAMES, symbols, strict=True))
    done = strict = 0
    while done < 1000:
        tree = random_tree(rng, depth=int(rng.integers(2, 6)))
        rows = sound_rows(tree, table)
        if not rows.any():
            continue
        done += 1
        text = to_text(tree, NAMES)
        point = table[rows][0]
        expression = parse_expr(text, local_dict=local)
        # enough digits that a difference is the text's and not SymPy's own rounding
        exact = {s: sympy.Float(v, 40) for s, v in zip(symbols, point, strict=True)}
        value = complex(expression.evalf(30, subs=exact))
        wanted = evaluate(tree, point[None])[0]
        gap = abs(value - wanted)
        assert gap <= max(4.0 * _rounding(tree, point), 1e-300), text
        strict += gap <= 1e-12 * abs(wanted)
    assert strict >= 980


def _rounding(tree: Tree, point: np.ndarray) -> float:
    """Sum over the parts of half a unit in their last place, carried to the value of ``tree``."""
    value = evaluate(tree, point[None])[0]
    total = 0.0
    for i in range(tree.size):
        part = evaluate(tree.subtree(i), point[None])[0]
        step = 1e-6 * abs(part)
        if step > 0.0 and np.isfinite(step):
            moved = [
                evaluate(tree.replace(i, Tree.constant(part + s)), point[None])[0]
                for s in (-step, step)
            ]
            # undefined on both sides: any rounding may leave the domain
            slope = max((abs(m - value) for m in moved if np.isfinite(m)), default=np.inf) / step
            total += slope * np.finfo(float).eps * abs(part)
    return total


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test__number_text__not_finite__error(value):
    """There is no text that every reader knows."""
    with pytest.raises(FormulaError, match="finite"):
        number_text(value)


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test__number_text__any_double__reads_back_bitwise(value):
    """Seventeen digits or fewer, whichever gives back the same bits, sign of zero included."""
    assert float(number_text(value)).hex() == value.hex()


def test__to_text__column_without_name__error():
    """A missing name is an error and not an index error."""
    with pytest.raises(FormulaError, match="column 1"):
        to_text(Y, ["a"])


def test__to_numpy__random_formulas__same_values(random_tree, table, sound_rows):
    """The source defines a function of the table."""
    rng = np.random.default_rng(3)
    for _ in range(200):
        tree = random_tree(rng)
        rows = sound_rows(tree, table)
        if not rows.any():  # 1.0 / 0.0 is an error in Python
            continue
        space: dict = {}
        exec(to_numpy(tree, ["a", "x 1", "np"]), space)  # noqa: S102 - our own source
        with np.errstate(all="ignore"):
            values = space["f"](table)
        assert values.shape == (len(table),)
        np.testing.assert_allclose(values[rows], evaluate(tree, table)[rows], rtol=1e-6, atol=1e-9)


def test__to_numpy__names__kept_where_possible():
    """Columns are named in the source, apart from names that the source itself uses."""
    source = to_numpy(parse("a*b + c", ["a", "b", "c"]), ["mass", "np", "x 1"])
    assert "mass = X[:, 0]" in source
    assert "np_ = X[:, 1]" in source
    assert "return mass * np_ + x_1" in source


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test__to_c__compiled__same_values(tmp_path, random_tree, table, sound_rows):
    """The C source compiles without warnings and computes the same."""
    rng = np.random.default_rng(4)
    trees = [random_tree(rng) for _ in range(40)]
    trees = [tree for tree in trees if sound_rows(tree, table).any()]
    source = "\n".join(
        to_c(tree, ["a", "b */ 1", "c"]).replace("double f(", f"double f{i}(")
        for i, tree in enumerate(trees)
    )
    (tmp_path / "f.c").write_text(source)
    command = ["cc", "-std=c99", "-Wall", "-Werror", "-Wno-unused", "-shared", "-fPIC", "-o"]
    subprocess.run([*command, tmp_path / "f.so", tmp_path / "f.c", "-lm"], check=True)
    library = ctypes.CDLL(str(tmp_path / "f.so"))
    for i, tree in enumerate(trees):
        function = getattr(library, f"f{i}")
        function.restype = ctypes.c_double
        rows = table[sound_rows(tree, table)][:3]
        values = [function((ctypes.c_double * 3)(*row)) for row in rows]
        np.testing.assert_allclose(values, evaluate(tree, rows), rtol=1e-6, atol=1e-9)
