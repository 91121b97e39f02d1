"""Trains many small networks at once, as one batch of weight vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from equate_srbench.runtime.clock import Deadline
from equate_srbench.teacher import mlp

#: Tables with fewer rows have no validation rows, and train for all steps.
MIN_SPLIT_ROWS = 10
#: Rows per forward pass where no gradient is needed.
_CHUNK = 4096
_BETAS, _EPS = (0.9, 0.999), 1e-8

Array = NDArray[np.float64]
#: In the precision of the training.
Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyperparameters shared by the networks of a batch; see ``SmoothTeacher``."""

    hidden: tuple[int, ...]
    jitter: float
    learning_rate: float
    batch_size: int
    max_steps: int
    check_every: int
    patience: int
    validation_fraction: float
    dtype: torch.dtype
    device: str


@dataclass(frozen=True, slots=True)
class Member:
    """One network: penalty strengths, and the seed of weights, split, batches and jitter."""

    jacobian: float
    lipschitz: float
    seed: int


@dataclass(frozen=True, slots=True)
class Trained:
    """One trained network.

    Attributes
    ----------
    weights : ndarray of shape (n_weights,)
        Those with the least validation error.
    curve : ndarray of shape (n_checks, 2)
        Step and validation error (mean squared, standardised); NaN without validation rows.
    best_step : int
    """

    weights: Floats
    curve: Array
    best_step: int


class TrainingRows:
    """Rows of one network: a validation split, and endless batches of the other rows."""

    def __init__(self, x: Floats, y: Floats, recipe: Recipe, seed: int) -> None:
        split, self._order, self._noise = np.random.default_rng(seed).spawn(3)
        n_held = math.ceil(recipe.validation_fraction * len(y)) if len(y) >= MIN_SPLIT_ROWS else 0
        order = split.permutation(len(y))
        held, kept = order[:n_held], order[n_held:]
        self.x, self.y, self.x_held, self.y_held = x[kept], y[kept], x[held], y[held]
        self._size = min(recipe.batch_size, len(kept))
        self._jitter = recipe.jitter
        self._waiting = np.empty(0, dtype=np.intp)

    def batch(self) -> tuple[Floats, Floats]:
        """Rows of the next step; each epoch is shuffled, and its incomplete last batch dropped."""
        if len(self._waiting) < self._size:
            self._waiting = self._order.permutation(len(self.y))
        rows, self._waiting = np.split(self._waiting, [self._size])
        return self.x[rows], self.y[rows]

    def jittered(self, x: Floats) -> Floats:
        """The rows with Gaussian noise added."""
        noise = self._noise.standard_normal(x.shape, dtype=x.dtype)
        return x + np.float32(self._jitter) * noise


class NetworkBatch:
    """Weights and optimiser state of the networks still in training.

    Every tensor has one slice per network, so a network is removed by indexing.
    """

    def __init__(self, members: Sequence[Member], n_in: int, recipe: Recipe) -> None:
        self.recipe = recipe
        self.sizes = mlp.layer_sizes(n_in, recipe.hidden)
        weights, directions = [], []
        for member in members:
            rng = np.random.default_rng([member.seed, 1])
            weights.append(mlp.initial_weights(self.sizes, rng))
            directions.append([_unit(rng.standard_normal(out)) for out, _ in self.sizes])
        self.members = list(range(len(members)))
        self.weights = self.tensor(np.stack(weights))  # (n_members, n_weights)
        self.first, self.second = torch.zeros_like(self.weights), torch.zeros_like(self.weights)
        self.jacobian = self.tensor([m.jacobian for m in members])
        self.lipschitz = self.tensor([m.lipschitz for m in members])
        self.directions = tuple(self.tensor(np.stack(d)) for d in zip(*directions, strict=True))
        self._update_flags()

    def _update_flags(self) -> None:
        """Whether any network has a Jacobian penalty, or a Lipschitz penalty."""
        self.smooth = bool((self.jacobian > 0).any())
        self.bounded = bool((self.lipschitz > 0).any())

    def tensor(self, values: ArrayLike) -> Tensor:
        """A tensor of the batch's dtype on its device."""
        array = torch.as_tensor(np.asarray(values), dtype=self.recipe.dtype)
        return array.to(self.recipe.device)

    def keep(self, some: list[int]) -> None:
        """Keep only these networks, by position in the batch."""
        self.members = [self.members[i] for i in some]
        for name in ("weights", "first", "second", "jacobian", "lipschitz"):
            setattr(self, name, getattr(self, name)[some])
        self.directions = tuple(d[some] for d in self.directions)
        self._update_flags()

    def step(self, x: Floats, y: Floats, moved: Floats | None, number: int) -> None:
        """One Adam step for every network.

        Parameters
        ----------
        x : ndarray of shape (n_members, n_rows, n_in)
        y : ndarray of shape (n_members, n_rows)
        moved : ndarray of the shape of x or None
            Additional points of the Jacobian penalty; None without that penalty.
        number : int
            Of the step, from 1.
        """
        points = x if moved is None else np.concatenate([x, moved], axis=1)
        weights = self.weights.requires_grad_()
        losses, self.directions = torch.func.vmap(self._loss)(
            weights, self.directions, self.tensor(points), self.tensor(y),
            self.jacobian, self.lipschitz,
        )  # fmt: skip
        (gradient,) = torch.autograd.grad(losses.sum(), weights)  # networks are independent
        self.weights = weights.detach()
        self._adam(gradient, number)

    def _loss(
        self,
        weights: Tensor,
        directions: tuple[Tensor, ...],
        points: Tensor,
        y: Tensor,
        jacobian: Tensor,
        lipschitz: Tensor,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Loss of one network; the first ``len(y)`` points are labelled."""
        layers = mlp.unflatten(weights, self.sizes)
        if self.smooth:
            values, gradients = mlp.value_and_gradient(layers, points)
            total = jacobian * (gradients**2).sum(dim=1).mean()
        else:
            values, total = mlp.value(layers, points), torch.zeros_like(jacobian)
        total = total + ((values[: len(y)] - y) ** 2).mean()
        if self.bounded:
            penalty, directions = mlp.spectral_penalty(layers, directions)
            total = total + lipschitz * penalty
        return total, directions

    def _adam(self, gradient: Tensor, number: int) -> None:
        """Adam (Kingma and Ba 2015) with a cosine-annealed learning rate."""
        b1, b2 = _BETAS
        share = (number - 1) / self.recipe.max_steps
        rate = self.recipe.learning_rate * 0.5 * (1.0 + math.cos(math.pi * share))
        self.first.lerp_(gradient, 1.0 - b1)
        self.second.mul_(b2).addcmul_(gradient, gradient, value=1.0 - b2)
        unbiased = (1.0 - b2**number) ** 0.5
        root = self.second.sqrt().add_(_EPS * unbiased)
        self.weights.addcdiv_(self.first, root, value=-rate * unbiased / (1.0 - b1**number))

    @torch.no_grad()
    def errors(self, x: Tensor, y: Tensor) -> Array:
        """Mean squared error of every network: x (n_members, n_rows, n_in) -> (n_members,)."""

        def squares(weights: Tensor, x: Tensor, y: Tensor) -> Tensor:
            return ((mlp.value(mlp.unflatten(weights, self.sizes), x) - y) ** 2).sum()

        total = torch.zeros(len(x), dtype=x.dtype, device=x.device)
        for start in range(0, x.shape[1], _CHUNK):
            part = slice(start, start + _CHUNK)
            total += torch.func.vmap(squares)(self.weights, x[:, part], y[:, part])
        errors: Array = (total / x.shape[1]).cpu().numpy().astype(np.float64)
        return errors


class EarlyStopping:
    """Best weights of every network by validation error, with a patience."""

    def __init__(self, n_members: int, patience: int) -> None:
        self.patience = patience
        self.error = np.full(n_members, np.inf)
        self.step = np.zeros(n_members, dtype=int)
        self.waited = np.zeros(n_members, dtype=int)
        self.weights: list[Floats | None] = [None] * n_members
        self.curves: list[list[tuple[int, float]]] = [[] for _ in range(n_members)]

    def update(self, batch: NetworkBatch, errors: Array, step: int) -> list[int]:
        """Record improvements; returns the positions in the batch that continue."""
        going = []
        for place, (member, error) in enumerate(zip(batch.members, errors, strict=True)):
            self.curves[member].append((step, float(error)))
            # without validation rows the error is NaN, and the last weights are kept
            if error < self.error[member] or math.isnan(error) or not step:
                self.error[member], self.step[member] = error, step
                self.weights[member] = batch.weights[place].detach().cpu().numpy().copy()
                self.waited[member] = 0
            else:
                self.waited[member] += 1
            if self.waited[member] < self.patience:
                going.append(place)
        return going

    def trained(self) -> list[Trained]:
        """Results in the order of the networks."""
        return [
            Trained(weights, np.array(curve), int(step))
            for weights, curve, step in zip(self.weights, self.curves, self.step, strict=True)
            if weights is not None
        ]


def train(
    x: Floats,
    y: Floats,
    members: Sequence[Member],
    recipe: Recipe,
    deadline: Deadline | None = None,
) -> list[Trained]:
    """Train all networks at once, each with its own early stopping.

    Initial weights, split, batches and jitter of a network depend on its own seed only, so the
    result is the same as if it were trained alone, up to rounding.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_in), float32 or float64
    y : ndarray of shape (n_rows,)
        Both standardised.
    members : sequence of Member
    recipe : Recipe
    deadline : Deadline, optional
        Stops the training early, with the best weights so far.

    Returns
    -------
    list of Trained
        In the order of ``members``.
    """
    deadline = deadline or Deadline()
    rows = {m.seed: TrainingRows(x, y, recipe, m.seed) for m in members}
    batch, best = (
        NetworkBatch(members, x.shape[1], recipe),
        EarlyStopping(len(members), recipe.patience),
    )
    held = _Held(batch, members, rows)
    for step in range(recipe.max_steps + 1):
        last = step == recipe.max_steps or deadline.over
        if last or step % recipe.check_every == 0:
            going = best.update(batch, held.errors(batch), step)
            if last or not going:
                break
            if len(going) < len(batch.members):
                batch.keep(going)
        seeds = [members[i].seed for i in batch.members]
        drawn = {seed: rows[seed].batch() for seed in dict.fromkeys(seeds)}
        moved = None
        if batch.smooth:
            near = {seed: rows[seed].jittered(part[0]) for seed, part in drawn.items()}
            moved = np.stack([near[seed] for seed in seeds])
        inputs, targets = (np.stack([drawn[seed][k] for seed in seeds]) for k in (0, 1))
        batch.step(inputs, targets, moved, step + 1)
    return best.trained()


class _Held:
    """Validation rows of every network."""

    def __init__(
        self, batch: NetworkBatch, members: Sequence[Member], rows: dict[int, TrainingRows]
    ) -> None:
        self.x = batch.tensor(np.stack([rows[m.seed].x_held for m in members]))
        self.y = batch.tensor(np.stack([rows[m.seed].y_held for m in members]))

    def errors(self, batch: NetworkBatch) -> Array:
        """Mean squared errors of the networks in the batch; NaN without validation rows."""
        if not self.x.shape[1]:
            return np.full(len(batch.members), np.nan)
        return batch.errors(self.x[batch.members], self.y[batch.members])


def _unit(vector: Array) -> Array:
    unit: Array = vector / np.linalg.norm(vector)
    return unit
