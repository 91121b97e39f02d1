"""One formula with its names, for people and programs."""

import copy
import json
import pickle
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from sympy.parsing.sympy_parser import parse_expr

from equate_srbench.equation import Equation
from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.tree import Tree

SEEDS = st.integers(0, 2**32 - 1)
AWKWARD = ["lambda", "E", "x 1", "spin", "exp", "2nd"]


@pytest.fixture
def equation():
    """Two sines and a product, with an awkward name."""
    return Equation.from_string("2.5*sin(angle) + `x 1`*angle", ["angle", "x 1"])


def test__str__awkward_names__parses_in_sympy_and_here():
    """The text can be read with the names it shows, and equals predict."""
    tree = parse("a*b + c**2 - d/e + f", "abcdef")
    equation = Equation(tree, AWKWARD)
    assert str(equation) == "lambda_*E + x_1**2 - spin/exp_ + x2nd"
    names = list(equation.text_names)
    assert list(equation.text_names.values()) == AWKWARD
    X = np.random.default_rng(0).uniform(0.5, 2.0, (5, 6))
    symbols = {name: sympy.Symbol(name) for name in names}
    function = sympy.lambdify(list(symbols.values()), parse_expr(str(equation), local_dict=symbols))
    np.testing.assert_allclose(function(*X.T), equation.predict(X), rtol=1e-12)
    assert Equation.from_string(str(equation), AWKWARD) == equation


def test__from_string__backticks__awkward_columns():
    """Awkward names may be quoted; unknown ones are named in the error."""
    assert str(Equation.from_string("`lambda`/`2nd`", AWKWARD)) == "lambda_/x2nd"
    with pytest.raises(FormulaError, match="no column `q r`"):
        Equation.from_string("`q r` + 1", AWKWARD)


def test__from_string__no_names__x_0_and_so_on():
    """Default names number the columns."""
    equation = Equation.from_string("x_2 + 2*x_0")
    assert equation.feature_names == ("x_0", "x_1", "x_2")
    assert equation.predict([[1.0, 9.0, 5.0]]).tolist() == [7.0]


def test__from_string__printed_by_a_fit_without_names__read_back():
    """Fits of arrays number their columns x0, x1; that text needs no names to be read."""
    fitted = Equation(Tree.apply("sub", Tree.variable(2), Tree.variable(0)), ["x0", "x1", "x2"])
    again = Equation.from_string(str(fitted))
    assert again.tree == fitted.tree
    assert str(again) == "x_2 - x_0"
    assert again.predict([[1.0, 9.0, 5.0, 7.0]]).tolist() == [4.0]


@pytest.mark.parametrize("text", ["x0 + x_1", "x_10*x10", "sin(x_0)**2 + x2"])
def test__from_string__both_ways_to_number__error_shows_both(text):
    """One text numbers its columns in one way."""
    with pytest.raises(FormulaError, match=r"called x_\d+ and x\d+: write all of them like"):
        Equation.from_string(text)


def test__from_string__given_names__win_over_numbers():
    """Where names are given, both spellings are names like any other."""
    equation = Equation.from_string("x0 - x_1", ["x_1", "x0"])
    assert equation.predict([[1.0, 5.0]]).tolist() == [4.0]


INTEGERS = pd.DataFrame([[1.0, 9.0, 5.0], [2.0, 9.0, 4.0]])
LEVELS = INTEGERS.set_axis(pd.MultiIndex.from_product([["p"], list("abc")]), axis=1)


@pytest.mark.parametrize("frame", [INTEGERS, LEVELS], ids=["integers", "MultiIndex"])
def test__predict__numbered_columns__labels_that_are_no_strings(frame):
    """A formula whose names only number its columns reads tables by position."""
    tree = Tree.apply("mul", Tree.constant(2.0), Tree.variable(2))
    equation = Equation(tree, ["x0", "x1", "x2"], named=False)
    for one in (equation, equation.with_tree(tree), Equation.from_json(equation.to_json())):
        assert not one.named
        assert one.predict(frame).tolist() == [10.0, 8.0]
        with pytest.raises(ValueError, match="2 columns, the formula expects 3"):
            one.predict(frame.iloc[:, 1:])
    fitted = equation.fit_constants(frame, 3.0 * frame.to_numpy()[:, 2])
    assert fitted.constants == pytest.approx([3.0])
    assert fitted.predict(frame).tolist() == pytest.approx([15.0, 12.0])
    with pytest.raises(ValueError, match="missing from the table: x2"):
        Equation(tree, ["x0", "x1", "x2"]).predict(frame)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test__fit_constants__any_scale__r2(scale):
    """R2 is known even where squares of the target leave the range of float64."""
    X = np.linspace(1.0, 2.0, 30)[:, None]
    start = Equation(Tree.apply("mul", Tree.constant(2.0 * scale), Tree.variable(0)))
    fitted = start.fit_constants(X, scale * (3.0 * X[:, 0] + 1e-3 * X[:, 0] ** 2))
    assert fitted.constants[0] == pytest.approx(3.0 * scale, rel=1e-2, abs=0.0)
    assert 0.999 < fitted.metrics["r2"] < 1.0


def test__without_names__fits_and_derivatives_too():
    """What is made of a formula without names has none either: wider tables are still read."""
    equation = Equation.from_string("2*x_0*x_1")
    X = np.random.default_rng(0).uniform(1.0, 2.0, (20, 3))
    fitted = equation.fit_constants(X, 3.0 * X[:, 0] * X[:, 1])
    slope = equation.derivative("x_1")
    for new in (fitted, slope, pickle.loads(pickle.dumps(slope)), copy.deepcopy(slope)):  # noqa: S301
        assert not new.named
        assert new.predict(X).shape == (20,)
    assert slope.derivative("x_1").predict(X).tolist() == [0.0] * 20
    assert Equation.from_json(slope.to_json()) == slope


def test__predict__frame_in_any_order__by_name(equation):
    """Columns are found by name, others are ignored, even if they are not numbers."""
    frame = pd.DataFrame({"x 1": [1, 2], "note": ["a", "b"], "angle": [0.5, 1.5]})
    wanted = 2.5 * np.sin([0.5, 1.5]) + np.array([0.5, 3.0])
    np.testing.assert_allclose(equation.predict(frame), wanted, rtol=1e-15)


def test__predict__wrong_tables__clear_errors(equation):
    """Missing columns are named, shapes carry both numbers."""
    with pytest.raises(ValueError, match="missing from the table: x 1"):
        equation.predict(pd.DataFrame({"angle": [1.0]}))
    with pytest.raises(ValueError, match="3 columns, the formula expects 2"):
        equation.predict(np.ones((4, 3)))
    with pytest.raises(ValueError, match=r"shape \(4,\)"):
        equation.predict(np.ones(4))


def test__predict__undefined__not_patched():
    """NaN and inf are shown as they are."""
    values = Equation.from_string("log(x_0)/x_0").predict([[-1.0], [0.0], [1.0]])
    np.testing.assert_equal(values, [np.nan, -np.inf, 0.0])


@pytest.mark.parametrize(
    ("tree", "names"),
    [(Tree((1, 64)), None), (Tree.constant(np.nan), None), (Tree.constant(np.inf), ["a"]),
     (Tree.variable(2), ["a", "b"])],
)  # fmt: skip
def test__init__impossible__formula_error(tree, names):
    """Broken trees, constants without a text and unnamed columns are refused."""
    with pytest.raises(FormulaError):
        Equation(tree, names)


def test__sizes_and_columns(equation):
    """Sizes, names and constants can be read."""
    assert equation.size == equation.tree.size == 8
    assert equation.complexity == 8
    assert equation.columns == ("angle", "x 1")
    assert equation.constants == (2.5,)
    assert equation.standard_errors is None


def test__fit_constants__noise__errors_cover_truth():
    """Constants come with standard errors, loss and R2."""
    rng = np.random.default_rng(0)
    X = rng.uniform(1.0, 3.0, (200, 1))
    y = 2.0 * np.exp(-0.5 * X[:, 0]) + 0.01 * rng.normal(size=200)
    fitted = Equation.from_string("1.5*exp(-0.6*t)", ["t"]).fit_constants(X, y)
    errors = np.array(fitted.standard_errors)
    assert np.all(np.abs(np.array(fitted.constants) - [2.0, -0.5]) < 4.0 * errors)
    assert np.all(errors < 0.05)
    assert fitted.metrics["r2"] > 0.99
    assert fitted.metrics["loss"] == pytest.approx(1e-4, rel=0.3)
    assert fitted.covariance.shape == (2, 2)


def test__fit_constants__undefined_row__names_it():
    """A start outside the domain is an error that says where."""
    equation = Equation.from_string("2*log(t)", ["t"])
    with pytest.raises(ValueError, match=r"not defined on 1 of 3 rows \(first: row 1\)"):
        equation.fit_constants([[1.0], [-1.0], [2.0]], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="y of shape"):
        equation.fit_constants([[1.0]], [1.0, 2.0])


def test__derivative__product_rule(equation):
    """Partial derivatives are equations over the same columns."""
    slope = equation.derivative("angle")
    X = np.random.default_rng(1).normal(size=(20, 2))
    np.testing.assert_allclose(slope.predict(X), 2.5 * np.cos(X[:, 0]) + X[:, 1], rtol=1e-12)
    assert slope.feature_names == equation.feature_names
    with pytest.raises(ValueError, match="no column 'q'; columns are angle, x 1"):
        equation.derivative("q")


def test__to_sympy__names_and_values(equation):
    """Symbols bear the column names and are real."""
    expression = equation.to_sympy()
    assert {symbol.name for symbol in expression.free_symbols} == {"angle", "x 1"}
    assert all(symbol.is_real for symbol in expression.free_symbols)


def test__exports__one_function(equation):
    """NumPy source and torch module compute what predict computes."""
    torch = pytest.importorskip("torch")
    X = np.random.default_rng(1).normal(size=(20, 2))
    space: dict = {}
    exec(equation.to_numpy(), space)  # noqa: S102 - our own source
    np.testing.assert_allclose(space["f"](X), equation.predict(X), rtol=1e-14)
    values = equation.to_torch()(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(values, equation.predict(X), rtol=1e-14)
    assert "double f(" in equation.to_c()


def test__rich_display__latex_and_plain_never_html(equation):
    """JupyterLab shows HTML before LaTeX, so there is none."""
    bundle = equation._repr_mimebundle_()
    assert bundle == {"text/plain": str(equation), "text/latex": equation._repr_latex_()}
    assert bundle["text/latex"].startswith("$\\displaystyle ")
    assert not hasattr(equation, "_repr_html_")
    assert repr(equation) == "Equation('2.5*sin(angle) + x_1*angle')"


@given(seed=SEEDS)
def test__json__any_equation__round_trip(seed, random_tree):
    """Everything comes back bitwise, and the text is real JSON."""
    rng = np.random.default_rng(seed)
    tree = random_tree(rng)
    n = len(tree.constants)
    covariance = rng.normal(size=(n, n)) if rng.random() < 0.5 else None
    names = None if rng.random() < 0.3 else ["a", "x 1", "lambda"]
    named = rng.random() < 0.5
    metrics = {"r2": rng.random(), "bad": np.inf}
    equation = Equation(tree, names, named=named, covariance=covariance, metrics=metrics)
    text = equation.to_json()
    again = Equation.from_json(text)
    assert again == equation
    assert hash(again) == hash(equation)
    assert again.feature_names == equation.feature_names
    assert again.named == equation.named == (named and names is not None)
    assert again.metrics["r2"] == equation.metrics["r2"]
    assert np.isnan(again.metrics["bad"])
    np.testing.assert_equal(again.covariance, equation.covariance)
    json.loads(text, parse_constant=pytest.fail)  # NaN and Infinity are not JSON


GOOD = json.loads(Equation.from_string("2*a + b", ["a", "b"]).to_json())
BROKEN = [
    {"version": 2}, {"version": None}, {"format": "other"}, {"prefix": ["add", 0]},
    {"prefix": "add"},
    {"prefix": ["__import__"]}, {"prefix": ["add"] * 600}, {"prefix": [10**12]}, {"prefix": [-1]},
    {"prefix": [True]}, {"constants": []}, {"constants": ["x"]}, {"constants": [None]},
    {"constants": 3}, {"feature_names": ["a"]}, {"feature_names": 5}, {"metrics": [1]},
    {"named": None}, {"named": 0}, {"metrics": {"r2": "q"}},
    {"covariance": [[1.0, 2.0]]}, {"covariance": 7}, {"prefix": [[]]},
]  # fmt: skip


@pytest.mark.parametrize("change", BROKEN, ids=str)
def test__from_json__damaged__formula_error(change):
    """Data of any kind give an equation or a FormulaError."""
    with pytest.raises(FormulaError):
        Equation.from_json(json.dumps(GOOD | change))


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "{", "[" * 100_000, '{"format": "equate-equation"}']
)
def test__from_json__not_an_equation__formula_error(text):
    """So does other JSON and text that is not JSON."""
    with pytest.raises(FormulaError):
        Equation.from_json(text)


def test__from_json__first_release__still_loads():
    """A file of version 1, byte for byte."""
    text = (
        '{"format": "equate-equation", "version": 1, "text": "2*sin(angle) + x_1", "prefix": '
        '["add", "mul", "#", "sin", 0, 1], "constants": [2.0], "feature_names": ["angle", "x 1"], '
        '"covariance": [[0.25]], "metrics": {"r2": 0.5}}'
    )
    equation = Equation.from_json(text)
    assert str(equation) == "2*sin(angle) + x_1"
    assert equation.standard_errors == (0.5,)
    assert equation.to_json() == text


def test__pickle__small_and_equal(equation):
    """An equation is a few hundred bytes and nothing else hangs on it."""
    data = pickle.dumps(equation)
    assert len(data) < 1000
    assert pickle.loads(data) == equation  # noqa: S301 - our own bytes


def test__equality__names_count():
    """The same tree over other columns is another equation."""
    tree = parse("a + 1", ["a"])
    assert Equation(tree, ["a"]) != Equation(tree, ["b"])
    assert Equation(tree, ["a"]) != "a + 1"
    assert len({Equation(tree, ["a"]), Equation(tree, ["a"])}) == 1


def test__import__light():
    """Neither SymPy nor torch is loaded until it is needed."""
    code = (
        "import sys; from equate_srbench.equation import Equation; "
        "e = Equation.from_string('2*x_0'); str(e); e.complexity; e.to_latex(); "
        "print([m for m in ('sympy', 'torch', 'matplotlib', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test__thousand_equations__text_equals_predict(random_tree, table, sound_rows):
    """Printed and read again, every equation predicts the same doubles."""
    rng = np.random.default_rng(21)
    start = time.process_time()
    for _ in range(1000):
        tree = random_tree(rng, depth=4)
        if not sound_rows(tree, table).any():
            continue
        equation = Equation(tree, ["a", "x 1", "lambda"])
        again = Equation.from_string(str(equation), ["a", "x 1", "lambda"])
        a, b = equation.predict(table), again.predict(table)
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=0.0)
    assert time.process_time() - start < 20.0
