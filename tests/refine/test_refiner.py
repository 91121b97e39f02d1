"""Constants of many formulas at once, on the compiled kernel."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.tree import Tree
from equate_srbench.refine import Refiner, evaluate_many, refiner
from equate_srbench.runtime.clock import Deadline

SEEDS = st.integers(0, 2**32 - 1)
X0, X1 = Tree.variable(0), Tree.variable(1)


def c(value):
    """A constant."""
    return Tree.constant(value)


def op(name, *args):
    """An operator applied."""
    return Tree.apply(name, *args)


SINE = op("sin", op("mul", c(2.0), X0))
RECOVERED = {
    "3*sin(2.5*x)+1": (SINE, lambda x: 3 * np.sin(2.5 * x) + 1, (2.5,)),
    "exp": (op("exp", op("mul", c(-0.1), X0)), lambda x: 7 - 2 * np.exp(-0.8 * x), (-0.8,)),
    "power": (op("pow", X0, c(1.0)), lambda x: 0.5 * x**1.5, (1.5,)),
    "pole": (op("inv", op("add", X0, c(1.0))), lambda x: 4 / (x + 0.3) - 2, (0.3,)),
    "log": (op("log", op("add", X0, c(1.0))), lambda x: np.log(x + 2.7), (2.7,)),
    "two": (
        op("mul", op("exp", op("mul", c(-0.2), X0)), op("sin", op("mul", c(2.8), X0))),
        lambda x: 5 * np.exp(-0.5 * x) * np.sin(3.1 * x) - 1,
        (-0.5, 3.1),
    ),
    "square root at 0": (op("sqrt", op("mul", X0, op("add", X0, c(1.0)))),
                         lambda x: np.sqrt(x * (x + 2.0)), (2.0,)),
}  # fmt: skip


@pytest.mark.parametrize("name", RECOVERED)
def test__fit__formula_of_the_right_form__exact_constants(name):
    """Constants, scale and offset of a synthetic target come back to rounding."""
    tree, truth, constants = RECOVERED[name]
    X = np.linspace(0.0, 4.0, 120)[:, None]
    y = truth(X[:, 0])
    fitted = Refiner(X, y).fit([tree], max_steps=40)
    assert fitted.unexplained[0] < 1e-20
    np.testing.assert_allclose(fitted.constants(0), constants, rtol=1e-7)
    np.testing.assert_allclose(evaluate(fitted.tree(0), X), y, rtol=1e-9, atol=1e-9)


def test__fit__without_affine__constants_in_the_tree_only():
    """``affine=False`` leaves scale 1 and offset 0 and adds nothing to the tree."""
    X = np.linspace(0.1, 4.0, 80)[:, None]
    tree = op("add", op("mul", c(1.0), op("exp", op("mul", c(-0.3), X0))), c(0.0))
    fitted = Refiner(X, 2.0 * np.exp(-0.9 * X[:, 0]) + 3.0).fit([tree], affine=False, max_steps=50)
    assert (fitted.scale[0], fitted.offset[0]) == (1.0, 0.0)
    assert fitted.tree(0).symbols == tree.symbols
    np.testing.assert_allclose(fitted.constants(0), (2.0, -0.9, 3.0), rtol=1e-9)


@given(seed=SEEDS)
@settings(max_examples=15)
def test__fit__loss__is_that_of_the_tree_handed_back(random_trees, table, seed):
    """Scale * f + offset, evaluated by NumPy, has the loss reported."""
    X, y = table
    weights = np.random.default_rng(seed).uniform(0.5, 2.0, len(y))
    fitted = Refiner(X, y, weights).fit(random_trees(seed, 20), max_steps=0)
    for i in np.flatnonzero(np.isfinite(fitted.loss)):
        residual = evaluate(fitted.tree(i), X) - y
        assert np.average(residual**2, weights=weights) == pytest.approx(fitted.loss[i], rel=1e-6)
    assert fitted.unexplained[np.isfinite(fitted.loss)].max() <= 1.0 + 1e-12


@given(seed=SEEDS)
@settings(max_examples=15)
def test__fit__batched__bitwise_one_by_one(random_trees, table, seed):
    """A formula's result does not depend on what it is fitted with."""
    trees = random_trees(seed, 25)
    fit = Refiner(*table).fit
    together = fit(trees, starts=2)
    for i, tree in enumerate(trees):
        alone = fit([tree], starts=2)
        assert alone.constants(0) == together.constants(i) or np.isnan(alone.constants(0)).any()
        for name in ("loss", "unexplained", "scale", "offset"):
            assert getattr(alone, name)[0] == getattr(together, name)[i]


@given(seed=SEEDS)
@settings(max_examples=15)
def test__fit__more_steps__never_a_higher_loss(random_trees, table, seed):
    """The best iterate is kept."""
    fit = Refiner(*table).fit
    trees = random_trees(seed, 20)
    losses = np.stack([fit(trees, max_steps=n).loss for n in (0, 1, 3, 20)])
    assert (losses[1:] <= losses[:-1]).all()


def test__fit__weights__equal_repeated_rows(random_trees, table):
    """Weight 3 is three copies of a row; weight 0 is a row left out, even an undefined one."""
    X, y = table
    counts = np.arange(len(y)) % 4
    X = np.where(counts[:, None] == 0, -5.0, X)
    trees = [t for t in random_trees(1, 60)]
    weighted = Refiner(X, y, 0.25 * counts).fit(trees, max_steps=3)
    repeated = Refiner(np.repeat(X, counts, 0), np.repeat(y, counts)).fit(trees, max_steps=3)
    same = np.isfinite(repeated.loss)
    assert same.sum() > 30
    np.testing.assert_array_equal(np.isfinite(weighted.loss), same)
    np.testing.assert_allclose(weighted.loss[same], repeated.loss[same], rtol=1e-7)


@pytest.mark.parametrize("scale", [1e-150, 1e-30, 1.0, 1e30, 1e150])
def test__fit__huge_and_tiny_targets__same_fit(scale):
    """Scaling y scales the formula and leaves the share explained alone."""
    X = np.linspace(0.1, 4.0, 80)[:, None]
    y = np.exp(-0.7 * X[:, 0]) + 0.01 * np.cos(9.0 * X[:, 0])
    tree = op("exp", op("mul", c(-0.1), X0))
    one, other = (Refiner(X, s * y).fit([tree]) for s in (1.0, scale))
    assert other.unexplained[0] == pytest.approx(one.unexplained[0], rel=1e-6)
    assert other.scale[0] / scale == pytest.approx(one.scale[0], rel=1e-6)
    np.testing.assert_allclose(other.constants(0), one.constants(0), rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-160, 1e160])
def test__fit__huge_and_tiny_columns__fitted(scale):
    """Squares of the values may leave the range of float64."""
    x = np.linspace(1.0, 4.0, 50)
    fitted = Refiner(scale * x[:, None], 2.0 * x + 1.0).fit([X0])
    assert fitted.unexplained[0] < 1e-25
    assert fitted.scale[0] == pytest.approx(2.0 / scale)


def test__fit__undefined_formulas__loss_inf():
    """One row outside the domain is enough; the tree still comes back."""
    X = np.linspace(-1.0, 1.0, 41)[:, None]
    trees = [op("log", X0), op("sqrt", X0), op("inv", X0), op("exp", op("mul", c(1e6), X0)), X0]
    fitted = Refiner(X, X[:, 0] ** 3).fit(trees, max_steps=5)
    np.testing.assert_array_equal(np.isinf(fitted.loss), [True, True, True, True, False])
    assert fitted.tree(0) == trees[0]


def test__fit__constant_formula_or_target__mean():
    """A formula without variation gets scale 0; a constant target is explained by all."""
    X = np.linspace(1.0, 2.0, 30)[:, None]
    flat = Refiner(X, X[:, 0]).fit([op("sub", X0, X0), c(3.0)])
    np.testing.assert_allclose(flat.unexplained, 1.0)
    assert [flat.tree(i).symbols for i in (0, 1)] == [(0,), (0,)]
    constant = Refiner(X, np.full(30, 0.1)).fit([X0, op("sin", X0)])
    np.testing.assert_array_equal(constant.unexplained, 0.0)
    assert constant.tree(0).constants[-1] == pytest.approx(0.1, rel=1e-14)


def test__fit__exact_scale_and_offset__left_out():
    """Scale 1 and offset 0 do not lengthen a formula."""
    X = np.array([[0.0], [1.0], [2.0], [5.0]])
    assert Refiner(X, X[:, 0]).fit([X0]).tree(0) == X0
    assert Refiner(X, X[:, 0]).fit([op("mul", X0, X0)]).tree(0).size > 3


def test__fit__one_row__no_error():
    """One row is its own mean."""
    fitted = Refiner(np.array([[2.0]]), np.array([3.0])).fit([X0, op("mul", c(2.0), X0)])
    assert evaluate(fitted.tree(1), np.array([[2.0]]))[0] == pytest.approx(3.0)


def test__fit__no_trees__empty():
    """An empty batch is a batch."""
    assert len(Refiner(np.ones((3, 1)), np.arange(3.0)).fit([])) == 0


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test__fit__whole_exponent_of_both_signs__held_while_others_move(backend):
    """An exponent without a derivative on half of the rows does not keep others from the law."""
    X = np.linspace(-2.0, 3.0, 120)[:, None]
    tree = op("mul", op("pow", X0, c(4.0)), op("exp", op("mul", c(-0.4), X0)))
    fitted = Refiner(X, X[:, 0] ** 4 * np.exp(-0.7 * X[:, 0]), backend=backend).fit([tree])
    assert fitted.unexplained[0] < 1e-20
    np.testing.assert_allclose(fitted.constants(0), (4.0, -0.7), rtol=1e-7)


def test__fit__more_starts__finds_a_far_frequency():
    """Perturbed constants reach optima that one descent misses, and never lose the first."""
    X = np.linspace(0.0, 6.0, 150)[:, None]
    refiner_ = Refiner(X, np.sin(3.0 * X[:, 0]))
    tree = op("sin", op("mul", c(1.0), X0))
    one, many = refiner_.fit([tree]), refiner_.fit([tree], starts=20)
    assert one.unexplained[0] > 0.1
    assert many.unexplained[0] < 1e-20
    again = refiner_.fit([tree], starts=20, rng=np.random.default_rng(0))
    assert again.constants(0) == many.constants(0)


def test__fit__abandon_above__stops_hopeless_ones_only():
    """A start far from the threshold ends after two steps, one below goes on to the end."""
    X = np.linspace(0.0, 4.0, 100)[:, None]
    y = np.sin(2.5 * X[:, 0])
    good, bad = SINE, op("exp", op("mul", c(0.5), X0))
    refiner_ = Refiner(X, y)
    fitted = refiner_.fit([good, bad], abandon_above=0.3 * float(np.var(y)))
    assert fitted.unexplained[0] < 1e-20
    assert fitted.loss[1] == refiner_.fit([bad], max_steps=2).loss[0]
    assert fitted.loss[1] > refiner_.fit([bad]).loss[0]


def test__fit__long_table__pieces_equal_the_whole(monkeypatch):
    """A formula fitted some steps per call goes on where it stopped."""
    X = np.linspace(0.0, 3.0, 300)[:, None]
    y = 5 * np.exp(-0.5 * X[:, 0]) * np.sin(3.1 * X[:, 0]) + 0.1 * np.cos(9.0 * X[:, 0])
    tree = RECOVERED["two"][0]
    whole = Refiner(X, y).fit([tree])
    monkeypatch.setattr(refiner, "_SECONDS_PER_CALL", 1e-9)
    pieces = Refiner(X, y).fit([tree])
    assert pieces.loss[0] == pytest.approx(whole.loss[0], rel=1e-10)


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test__fit__deadline_over__rest_stays_inf(table, random_trees, backend):
    """No time, no result; the batch comes back all the same."""
    fitted = Refiner(*table, backend=backend).fit(random_trees(0, 10), deadline=Deadline(0.0))
    assert np.isinf(fitted.loss).all()
    assert fitted.tree(3) == random_trees(0, 10)[3]


def test__fit__deadline__honoured_within_one_call(table, random_trees):
    """A batch of minutes ends soon after a deadline of a fifth of a second."""
    trees = random_trees(0, 500) * 40
    start = time.monotonic()
    fitted = Refiner(*table).fit(trees, starts=40, max_steps=100, deadline=Deadline(0.2))
    assert time.monotonic() - start < 30.0
    assert np.isfinite(fitted.loss).any()
    assert np.isinf(fitted.loss[-500:]).all()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
def test__fit__alarm__gets_through(table, random_trees):
    """An exception raised by a signal handler ends a long fit between two kernel calls."""

    class AlarmError(Exception):
        pass

    def ring(*_):
        raise AlarmError

    trees = random_trees(0, 500) * 40
    before = signal.signal(signal.SIGALRM, ring)
    start = time.monotonic()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(AlarmError):
            Refiner(*table).fit(trees, starts=40, max_steps=100)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - start < 30.0  # it would take minutes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((3, 1)), np.ones(4)), "inconsistent shapes"),
        ((np.ones((3, 1)), np.ones(3), np.ones(2)), "inconsistent shapes"),
        ((np.full((3, 1), np.nan), np.ones(3)), "must be finite"),
        ((np.ones((3, 1)), np.ones(3), np.zeros(3)), "must not be negative, and one must"),
    ],
)
def test__refiner__bad_arguments__say_why(arguments, message):
    """Errors carry the values and what is allowed."""
    with pytest.raises(ValueError, match=message):
        Refiner(*arguments)


def test__refiner__unknown_backend__says_which_there_are():
    """A typo is answered with the choices."""
    with pytest.raises(ValueError, match="expected 'auto', 'numba' or 'torch'"):
        Refiner(np.ones((3, 1)), np.ones(3), backend="fortran")


@pytest.mark.parametrize("weights", [None, np.array([1.0, 0.0, 2.0, 1.0])])
def test__refiner__unchecked_input__same_fit(rng, weights):
    """Validated arrays are used as they are, without rows of weight 0."""
    X, y = rng.uniform(1.0, 2.0, (4, 1)), rng.uniform(1.0, 2.0, 4)
    trees = [Tree.variable(0)]
    checked = Refiner(X, y, weights).fit(trees)
    unchecked = Refiner(X, y, weights, check_input=False).fit(trees)
    assert (checked.loss, checked.scale) == (unchecked.loss, unchecked.scale)


def test__import__refine__loads_neither_numba_nor_torch():
    """The compiler is loaded by the first fit, not by the import."""
    code = (
        "import sys, equate_srbench.refine;"
        "sys.exit(any(name in sys.modules for name in ('numba', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test__evaluate_many__values__enter_the_fit_unchanged(table):
    """Scale * value + offset of the fitted constants is the prediction."""
    X, y = table
    fitted = Refiner(X, y).fit([SINE])
    inner = evaluate_many([SINE.with_constants(fitted.constants(0))], X)[0]
    predicted = fitted.scale[0] * inner + fitted.offset[0]
    np.testing.assert_allclose(predicted, evaluate(fitted.tree(0), X), rtol=1e-14, atol=1e-14)
