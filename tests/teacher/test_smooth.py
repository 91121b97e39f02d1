"""Smooth teachers: the penalty is exact and works, the grid is the same as its members alone."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from equate_srbench.runtime.clock import Deadline
from equate_srbench.teacher import mlp, training
from equate_srbench.teacher.smooth import (
    SmoothTeacher,
    TeacherDivergedError,
    centre_and_scale,
    train_grid,
)

GRID = (0.0, 1e-3, 1e-2, 1e-1, 1.0)


def quick(**settings: object) -> SmoothTeacher:
    """A teacher that is trained in a moment."""
    return SmoothTeacher(**{"hidden": (16, 16), "max_steps": 75, "random_state": 3, **settings})


def tables() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Five small data sets of different kinds."""
    rng = np.random.default_rng(7)
    X = rng.uniform(-2, 2, (120, 3))
    noise = 0.2 * rng.standard_normal(120)
    return {
        "waves": (X[:, :1], np.sin(3 * X[:, 0]) + noise),
        "product": (X, X[:, 0] * X[:, 1] + noise),
        "steps": (X, np.round(X[:, 0]) + (X[:, 1] > 0) + noise),
        "decay": (X[:, :2] * 1e3, 1e-3 * np.exp(X[:, 0]) + 1e-3 * noise),
        "few rows": (X[:30, :2], X[:30, 0] ** 2 - X[:30, 1] + noise[:30]),
    }


def make_layers(rng: np.random.Generator, n_in: int = 3) -> list[mlp.Layer]:
    """A random network in double precision."""
    sizes = mlp.layer_sizes(n_in, (8, 5))
    weights = torch.as_tensor(mlp.initial_weights(sizes, rng))
    return mlp.unflatten(weights, sizes)


def test__value_and_gradient__random_network__equals_finite_differences(rng):
    """The gradient by hand is the slope of the network's values."""
    layers, x, step = make_layers(rng), torch.as_tensor(rng.standard_normal((20, 3))), 1e-6
    values, gradients = mlp.value_and_gradient(layers, x)
    assert torch.equal(values, mlp.value(layers, x))
    for j in range(3):
        moved = step * torch.eye(3, dtype=x.dtype)[j]
        slope = (mlp.value(layers, x + moved) - mlp.value(layers, x - moved)) / (2 * step)
        torch.testing.assert_close(gradients[:, j], slope, rtol=1e-7, atol=1e-8)


def test__value_and_gradient__random_network__equals_autograd(rng):
    """It is also what differentiating twice would use."""
    layers, x = make_layers(rng), torch.as_tensor(rng.standard_normal((20, 3)))
    x.requires_grad_()
    (wanted,) = torch.autograd.grad(mlp.value(layers, x).sum(), x)
    torch.testing.assert_close(mlp.value_and_gradient(layers, x)[1], wanted)


@pytest.mark.parametrize("widths", [(7,), (6, 5, 4)])
def test__gradient__fitted_teacher__in_the_users_units(rng, widths):
    """Also for columns and targets of very different units, and any number of layers."""
    X = rng.standard_normal((80, 2)) * [1e4, 1e-3]
    teacher = quick(hidden=widths).fit(X, 50.0 * X[:, 0])
    for j, step in enumerate((1e-2, 1e-9)):
        moved = step * np.eye(2)[j]
        slope = (teacher.predict(X + moved) - teacher.predict(X - moved)) / (2 * step)
        np.testing.assert_allclose(teacher.gradient(X)[:, j], slope, rtol=1e-4, atol=1e-6)


def test__penalty__training_and_jittered_points__equals_finite_differences(rng):
    """The Jacobian term of the loss is the mean squared slope at all points of the step."""
    recipe = quick(precision="double")._recipe()
    batch = training.NetworkBatch([training.Member(1.0, 0.0, 5)], 2, recipe)
    x, moved = rng.standard_normal((2, 1, 12, 2))
    points = torch.as_tensor(np.concatenate([x, moved], axis=1)[0])
    layers = mlp.unflatten(batch.weights[0], batch.sizes)
    y = mlp.value(layers, points[:12])  # nothing but the penalty is left of the loss
    loss, _ = batch._loss(batch.weights[0], (), points, y, torch.tensor(1.0), torch.tensor(0.0))
    step, wanted = 1e-5, 0.0
    for j in range(2):
        shift = step * torch.eye(2, dtype=points.dtype)[j]
        rise = mlp.value(layers, points + shift) - mlp.value(layers, points - shift)
        wanted += float(((rise / (2 * step)) ** 2).mean())
    assert float(loss) == pytest.approx(wanted, rel=1e-7)


def test__spectral_penalty__power_iteration__finds_the_largest_singular_value(rng):
    """After some calls the penalty is that of the exact singular values."""
    layers = [(3 * w, b) for w, b in make_layers(rng)]
    directions = tuple(torch.as_tensor(rng.standard_normal(len(b))) for _, b in layers)
    for _ in range(300):
        penalty, directions = mlp.spectral_penalty(layers, directions)
    largest = [torch.linalg.matrix_norm(w, 2) for w, _ in layers]
    wanted = sum(float(torch.relu(s - 1.0) ** 2) for s in largest)
    assert float(penalty) == pytest.approx(wanted, rel=1e-6)


def test__fit__strength_zero__is_the_plain_network(rng):
    """In a grid, where others need the Jacobian, and against a loop without any penalty."""
    X, y = tables()["product"]
    teacher = quick(precision="double", jacobian=0.0, max_steps=50, patience=99)
    alone = clone(teacher).fit(X, y)
    beside = train_grid(teacher, X, y, jacobian=(0.0, 1.0), lipschitz=(0.0, 0.1), seeds=[3])[0]
    np.testing.assert_allclose(beside.predict(X), alone.predict(X), rtol=1e-8)
    np.testing.assert_allclose(plain_network(teacher, X, y), alone.predict(X), rtol=1e-8)


def plain_network(teacher: SmoothTeacher, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Predictions of torch's own modules, trained without penalties on the same batches."""
    recipe, seed = teacher._recipe(), int(np.random.RandomState(3).randint(2**31))
    (x_mean, x_scale), (y_mean, y_scale) = centre_and_scale(X), centre_and_scale(y[:, None])
    x, target = (X - x_mean) / x_scale, ((y[:, None] - y_mean) / y_scale)[:, 0]
    rows = training.TrainingRows(x, target, recipe, seed)
    sizes = mlp.layer_sizes(x.shape[1], recipe.hidden)
    start = mlp.initial_weights(sizes, np.random.default_rng([seed, 1]))
    parts: list[torch.nn.Module] = []
    for weight, bias in mlp.unflatten(torch.as_tensor(start), sizes):
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
        layer.weight.data, layer.bias.data = weight.clone(), bias.clone()
        parts += [layer, torch.nn.SiLU()]
    net = torch.nn.Sequential(*parts[:-1])
    optimiser = torch.optim.Adam(net.parameters(), lr=recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.max_steps)
    best, found = np.inf, np.empty(0)
    for step in range(recipe.max_steps + 1):
        if step % recipe.check_every == 0:
            with torch.no_grad():
                held = net(torch.as_tensor(rows.x_held))[:, 0].numpy()
                error = np.mean((held - rows.y_held) ** 2)
                if error < best:
                    best, found = error, net(torch.as_tensor(x))[:, 0].numpy()
        inputs, targets = map(torch.as_tensor, rows.batch())
        optimiser.zero_grad()
        torch.nn.functional.mse_loss(net(inputs)[:, 0], targets).backward()
        optimiser.step()
        schedule.step()
    return found * y_scale[0] + y_mean[0]


@pytest.mark.parametrize("name", tables())
def test__roughness__stronger_penalty__smaller(name):
    """The mean squared Jacobian falls along the grid, on five kinds of data."""
    X, y = tables()[name]
    # no early stopping: the trained networks are compared, not when each of them was stopped
    template = quick(max_steps=150, patience=99)
    found = [t.roughness(X) for t in train_grid(template, X, y, jacobian=GRID, lipschitz=(0.0,))]
    assert all(a > b for a, b in pairwise(found)), found


def test__lipschitz__stronger_penalty__smaller_singular_values():
    """The spectral penalty does what it says."""
    X, y = tables()["waves"]
    template = quick(max_steps=150, patience=99)
    weak, strong = train_grid(template, X, y, jacobian=(0.0,), lipschitz=(0.0, 1.0))
    largest = [
        max(
            float(torch.linalg.matrix_norm(w, 2))
            for w, _ in mlp.unflatten(torch.as_tensor(t._weights), mlp.layer_sizes(1, (16, 16)))
        )
        for t in (weak, strong)
    ]
    assert largest[1] < largest[0]


def test__train_grid__strengths_and_seeds__equals_one_by_one():
    """A member of a batch is what it would be alone, also when others stop before it."""
    X, y = tables()["product"]
    template = quick(precision="double", max_steps=150, patience=2, learning_rate=0.03)
    grid = train_grid(template, X, y, jacobian=(0.0, 1.0), lipschitz=(0.0, 0.01), seeds=(1, 2))
    assert [(t.jacobian, t.lipschitz, t.random_state) for t in grid[:3]] == [
        (0.0, 0.0, 1), (0.0, 0.0, 2), (0.0, 0.01, 1),
    ]  # fmt: skip
    assert len({len(t.validation_curve_) for t in grid}) > 1  # some stopped before others
    for member in grid:
        alone = clone(member).fit(X, y)
        assert alone.best_step_ == member.best_step_
        np.testing.assert_allclose(alone.predict(X), member.predict(X), rtol=1e-6, atol=1e-9)


def test__train_grid__nothing_to_try__value_error():
    """An empty grid, and strengths out of range, are refused."""
    X, y = tables()["few rows"]
    with pytest.raises(ValueError, match="empty grid"):
        train_grid(quick(), X, y, jacobian=())
    with pytest.raises(ValueError, match="'jacobian' parameter"):
        train_grid(quick(), X, y, jacobian=(-1.0,))


def test__fit__same_seed__same_weights():
    """To the digit, and nobody's random numbers are touched."""
    X, y = tables()["waves"]
    states = global_numbers(), torch.random.get_rng_state()
    one, two = (quick().fit(X, y) for _ in range(2))
    assert np.array_equal(one.predict(X), two.predict(X))
    assert np.array_equal(global_numbers(), states[0])
    assert torch.equal(torch.random.get_rng_state(), states[1])
    assert not np.array_equal(quick(random_state=4).fit(X, y).predict(X), one.predict(X))


def global_numbers() -> np.ndarray:
    """State of NumPy's global generator."""
    return np.random.get_state()[1].copy()  # noqa: NPY002 - it is looked at, not used


def test__pickle__fitted__predicts_the_same():
    """A teacher is plain arrays."""
    X, y = tables()["waves"]
    teacher = quick().fit(X, y)
    data = pickle.dumps(teacher)
    assert len(data) < 100_000
    assert np.array_equal(pickle.loads(data).predict(X), teacher.predict(X))  # noqa: S301 - ours


def test__fit__early_stopping__keeps_the_best_weights():
    """The error of the kept weights is the least that was seen."""
    X, y = tables()["few rows"]
    teacher = quick(jacobian=0.0, max_steps=2000, patience=3, learning_rate=0.05).fit(X, y)
    steps, errors = teacher.validation_curve_.T
    assert steps[-1] < 2000
    assert teacher.best_step_ == steps[errors.argmin()]
    assert teacher.validation_r2_ == pytest.approx(1 - errors.min())


@pytest.mark.parametrize("n_rows", [1, 2, 5])
def test__fit__very_few_rows__no_validation(n_rows):
    """Then all rows are learnt, for all steps."""
    X = np.arange(float(n_rows))[:, None]
    teacher = quick().fit(X, X[:, 0] + 4)
    assert np.isnan(teacher.validation_r2_)
    assert teacher.best_step_ == 75
    assert np.isfinite(teacher.predict(X)).all()


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test__fit__extreme_units__as_at_scale_one(rng, scale):
    """Nothing overflows, and a unit changes nothing but the unit."""
    X = rng.standard_normal((60, 2))
    y = X[:, 0] - X[:, 1]
    wanted = quick(precision="double").fit(X, y).predict(X)
    found = quick(precision="double").fit(X * scale, y * scale).predict(X * scale)
    np.testing.assert_allclose(found / scale, wanted, rtol=1e-5, atol=1e-7)


def test__fit__constant_column_and_target__the_constant(rng):
    """A column that says nothing, and a target that says nothing."""
    X = np.column_stack([rng.standard_normal(40), np.full(40, 0.1)])
    found = quick(max_steps=150).fit(X, np.full(40, 0.3)).predict(X)
    np.testing.assert_allclose(found, 0.3, atol=0.05)


def test__train_grid__time_is_up__usable(rng):
    """A deadline that is over leaves the weights of the start."""
    X, y = tables()["waves"]
    teacher = train_grid(quick(), X, y, jacobian=(0.1,), deadline=Deadline(0.0))[0]
    assert teacher.best_step_ == 0
    assert np.isfinite(teacher.predict(X)).all()


def test__fit__training_diverges__says_what_to_lower(rng):
    """No network of NaN comes out, neither alone nor as a grid of such."""
    X = rng.uniform(-1, 1, (60, 2))
    wild = SmoothTeacher(learning_rate=1e6, max_steps=50, random_state=0)
    with pytest.raises(TeacherDivergedError, match="diverged with learning_rate=1e"):
        wild.fit(X, X[:, 0])
    with pytest.raises(TeacherDivergedError):
        train_grid(wild, X, X[:, 0])


def test__fit__bad_hidden__names_the_value():
    """Widths are whole numbers above 0."""
    X, y = tables()["waves"]
    for hidden in ((), (64, 0), (2.5,)):
        with pytest.raises(ValueError, match="one width above 0"):
            quick(hidden=hidden).fit(X, y)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the checks provoke warnings on purpose
def test__check_estimator__default_constructor__all_passed():
    """No failures and no expected failures."""
    results = check_estimator(SmoothTeacher(), on_fail=None, on_skip=None)
    found = {r["check_name"]: r["status"] for r in results if r["status"] not in ("passed",)}
    assert not {name: status for name, status in found.items() if status != "skipped"}
