"""The torch path does what the compiled kernel does."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import OPERATORS
from equate_srbench.expr.tree import Tree
from equate_srbench.refine import Refiner, batched, evaluate_many, jacobian
from equate_srbench.refine.programs import Programs
from equate_srbench.runtime.memory import MemoryWarning

SEEDS = st.integers(0, 2**32 - 1)
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.fixture(params=DEVICES)
def device(request):
    """A device that is there."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return request.param


def schedules(trees, X, device="cpu"):
    """Values (n, rows) and derivatives by group of equally many constants."""
    programs = Programs(trees)
    columns = torch.as_tensor(X.T.copy(), device=device)
    for chosen, k in batched._batches(programs, len(X)):
        at = programs.constant_at[chosen][:, None] + np.arange(k)
        schedule = batched.Schedule(programs, chosen, columns)
        values = schedule.values(torch.as_tensor(programs.constants[at], device=device))
        down = schedule.derivatives(values)
        yield chosen, values[schedule.roots].cpu().numpy(), down.cpu().numpy()


def steady(trees, X, values):
    """Trees whose values hardly change when the inputs change in the last digits.

    tan(1e15 x) differs between any two implementations; so does everything built on it.
    """
    with np.errstate(all="ignore"):
        moved = np.abs(evaluate_many(trees, X * (1.0 + 4e-16)) - values).max(axis=1)
        size = np.abs(values - values.mean(axis=1, keepdims=True)).max(axis=1)
    return np.isfinite(values).all(axis=1) & (moved < 1e-11 * size)


@given(seed=SEEDS)
@settings(max_examples=15)
def test__schedule__random_trees__values_of_numpy_and_kernel(random_trees, table, seed):
    """One-by-one NumPy, the kernel and the batch of torch agree to 1e-9."""
    trees, X = random_trees(seed, 40), table[0]
    reference = np.stack([evaluate(tree, X) for tree in trees])
    well = steady(trees, X, reference)
    ours = evaluate_many(trees, X)
    np.testing.assert_allclose(ours[well], reference[well], rtol=1e-9, atol=1e-9)
    for chosen, values, _ in schedules(trees, X):
        keep = well[chosen]
        np.testing.assert_allclose(values[keep], reference[chosen][keep], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.name)
def test__schedule__each_operator__derivatives_of_the_kernel(op, device):
    """The rules are the same, on the domain and at its edges."""
    X = np.random.default_rng(0).uniform(0.05, 0.95, (30, 2))
    arguments = [Tree.apply("mul", Tree.constant(0.9), Tree.variable(j)) for j in range(op.arity)]
    tree = Tree.apply(op.name, *arguments)
    (_, _, down) = next(schedules([tree, tree], X, device))
    np.testing.assert_allclose(down[1].T, jacobian(tree, X), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("max_steps", [0, 1, 4])
def test__fit__random_trees__losses_of_the_kernel(random_trees, table, device, affine, max_steps):
    """The same losses and predictions, to 1e-9 where the formula is steady."""
    X, y = table
    trees = random_trees(5, 300)
    weights = np.linspace(0.5, 1.5, len(y))
    one, other = (
        Refiner(X, y, weights, backend=name, device=where).fit(
            trees, affine=affine, max_steps=max_steps
        )
        for name, where in (("numba", None), ("torch", device))
    )
    np.testing.assert_array_equal(np.isinf(one.loss), np.isinf(other.loss))
    found = [t.with_constants(one.constants(i)) for i, t in enumerate(trees)]
    keep = steady(found, X, evaluate_many(found, X)) & np.isfinite(one.loss)
    assert keep.sum() > 100
    same = np.isclose(other.loss[keep], one.loss[keep], rtol=1e-9, atol=0.0)
    # on the way a few pass constants so large that the last digits decide where they land
    assert same.mean() >= (1.0 if max_steps < 2 else 0.95)
    for i in np.flatnonzero(keep)[same][:50]:
        predicted = (evaluate(fitted.tree(i), X) for fitted in (one, other))
        np.testing.assert_allclose(*predicted, rtol=1e-7, atol=1e-9 * np.abs(y).max())


def test__fit__exact_form__recovered(device):
    """Constants of y = 3 sin(2.5 x) + 1 and of two more, in one batch, with starts."""
    X = np.linspace(0.0, 4.0, 100)[:, None]
    x = Tree.variable(0)
    sine = Tree.apply("sin", Tree.apply("mul", Tree.constant(2.0), x))
    shifted = Tree.apply("sin", Tree.apply("add", sine.args()[0], Tree.constant(0.1)))
    fit = Refiner(X, 3.0 * np.sin(2.5 * X[:, 0]) + 1.0, backend="torch", device=device).fit
    fitted = fit([sine, x, shifted], max_steps=40, starts=2)
    assert fitted.unexplained[0] < 1e-20
    assert fitted.unexplained[2] < 1e-20
    np.testing.assert_allclose(fitted.constants(0), [2.5], rtol=1e-9)
    assert fitted.unexplained[1] > 0.1


def test__batches__memory_limit__splits_and_keeps_all(random_trees, monkeypatch):
    """Every program is in exactly one batch, also when memory is short."""
    programs = Programs(random_trees(2, 200))
    monkeypatch.setattr(batched, "_VALUES_PER_BATCH", 2000)
    batches = batched._batches(programs, 40)
    assert len(batches) > 20
    np.testing.assert_array_equal(np.sort(np.concatenate([b for b, _ in batches])), np.arange(200))
    assert all((programs.counts[b] == k).all() for b, k in batches)


@pytest.mark.parametrize("most", [40, 1, 0])
def test__fit__memory_is_short__same_constants_and_one_warning(
    random_trees, table, monkeypatch, most
):
    """Batches are halved, or go to the CPU where a single formula does not fit (most 0)."""
    X, y = table
    trees = random_trees(5, 120)
    expected = Refiner(X, y, backend="torch").fit(trees, starts=2, max_steps=4)
    begin, seen = batched.Schedule.__init__, []

    def full(self, programs, chosen, columns):
        if len(chosen) > most and not (seen and seen[-1] == 0):
            seen.append(0 if len(chosen) == 1 else len(chosen))  # 0: the CPU is next
            raise torch.OutOfMemoryError("CUDA out of memory.")
        begin(self, programs, chosen, columns)

    monkeypatch.setattr(batched.Schedule, "__init__", full)
    refiner = Refiner(X, y, backend="torch")
    with pytest.warns(MemoryWarning, match="out of memory in refinement") as caught:
        found = refiner.fit(trees, starts=2, max_steps=4)
    assert len(caught) == 1
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-10)
    for i in np.flatnonzero(np.isfinite(expected.loss)):
        np.testing.assert_allclose(found.constants(i), expected.constants(i), rtol=1e-6)


def test__fit__other_error__passes_unchanged(random_trees, table, monkeypatch):
    """Only a full memory is answered."""

    def broken(self, constants):
        raise RuntimeError("CUDA error: misaligned address")

    monkeypatch.setattr(batched.Schedule, "values", broken)
    with pytest.raises(RuntimeError, match="misaligned address"):
        Refiner(*table, backend="torch").fit(random_trees(5, 3))


def test__schedule__on_a_device_without_numbers__every_tensor_is_there(random_trees, table):
    """Shapes are computed as on a GPU: a tensor that stays on the CPU is an error there as well."""
    trees, X = random_trees(4, 60), table[0]
    programs, meta = Programs(trees), torch.device("meta")
    columns = torch.as_tensor(X.T.copy(), device=meta)
    target = batched.Target(*(torch.ones(len(X), dtype=torch.float64),) * 3, 1.0, True).to(meta)
    for chosen, k in batched._batches(programs, len(X)):
        schedule = batched.Schedule(programs, chosen, columns)
        values = schedule.values(torch.empty(len(chosen), k, dtype=torch.float64, device=meta))
        loss, a, _, norm, residual, f = target.project(values[schedule.roots])
        assert loss.device == a.device == meta
        if k:
            matrix, gradient, _ = target.normal_equations(
                schedule.derivatives(values), f, norm, residual
            )
            assert (matrix.shape, gradient.shape) == ((len(chosen), k, k), (len(chosen), k))


@pytest.mark.gpu
def test__fit__gpu_is_full__same_losses_and_one_warning(random_trees):
    """Torch's own allocator refuses what is beyond some MiB."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    X = np.random.default_rng(0).uniform(0.2, 4.0, (20_000, 4))
    y, trees = X[:, 0] * np.exp(-0.5 * X[:, 1]), random_trees(5, 60)
    expected = Refiner(X, y, backend="torch", device="cuda").fit(trees, max_steps=2)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 20 * 2**20) / total)
    try:
        with pytest.warns(MemoryWarning) as caught:
            found = Refiner(X, y, backend="torch", device="cuda").fit(trees, max_steps=2)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert len(caught) == 1
    same = np.isclose(found.loss, expected.loss, rtol=1e-10, equal_nan=True)
    assert same.mean() >= 0.95  # constants so large that the last digits decide differ
