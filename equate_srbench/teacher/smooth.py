"""``SmoothTeacher``: an MLP with a gradient penalty, and grids of them."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from itertools import product
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, _fit_context, clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from equate_srbench.runtime.clock import Deadline
from equate_srbench.runtime.device import pick_device
from equate_srbench.runtime.threads import one_thread
from equate_srbench.teacher import mlp
from equate_srbench.teacher.training import Member, Recipe, Trained, train

Array = NDArray[np.float64]

#: Default grid of penalty strengths, from the ablation in the publication.
JACOBIAN = (0.0, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
LIPSCHITZ = (0.0, 1e-3, 1e-2)
#: Steps between two evaluations of the validation rows.
CHECK_EVERY = 25
#: Rows predicted at once.
_CHUNK = 8192


class TeacherDivergedError(ValueError):
    """Training left no teacher with finite weights."""


class SmoothTeacher(RegressorMixin, BaseEstimator):
    """An MLP with a Jacobian penalty, as a teacher for symbolic regression.

    An ordinary network is accurate but irregular between the rows, and a formula fitted to it
    reproduces that. This one is regularised to be smooth: the loss is

    ``mean (f - y)^2 + jacobian * mean |df/dx|^2 + lipschitz * sum max(0, sigma - 1)^2``

    in standardised units. The second mean is over the rows of a batch and as many jittered ones,
    with the exact gradient; the last sum is over the layers' largest singular values.

    Parameters
    ----------
    hidden : tuple of int, default=(64, 64)
        Widths of the hidden layers (SiLU).
    jacobian : float, default=0.01
        Strength of the penalty on the squared norm of the gradient.
    lipschitz : float, default=0.0
        Strength of the penalty on singular values above 1.
    jitter : float, default=0.1
        Standard deviation of the jitter, in standard deviations of the columns.
    learning_rate : float, default=0.01
        Of Adam; cosine-annealed to 0.
    batch_size : int, default=32
    max_steps : int, default=400
    patience : int, default=8
        Evaluations of the validation rows, one every 25 steps, without improvement before
        training stops.
    validation_fraction : float, default=0.2
        Fraction of the rows held out for early stopping, which keeps the best weights. With 0,
        and for tables of fewer than 10 rows, there are none and training takes all steps.
    precision : {"single", "double"}, default="single"
        Of the training; ``double`` takes about twice as long.
    device : str, default="cpu"
        ``auto`` is CUDA if available, else the CPU. Networks of this size gain little from a GPU
        unless many are trained at once.
    random_state : int, RandomState instance or None, default=None
        Seeds initial weights, validation split, batches and jitter.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only when ``X`` has column names that are all strings.
    validation_curve_ : ndarray of shape (n_checks, 2)
        Step, and mean squared error on the validation rows in standardised units.
    best_step_ : int
        Step of the best weights, which are kept.
    validation_r2_ : float
        One minus the error at that step, the validation R2; NaN without validation rows.

    References
    ----------
    Dhar, Fong, Motani (2025), arXiv 2507.22767. The exact form of the penalties, the architecture
    and the training are this package's.

    Examples
    --------
    >>> import numpy as np
    >>> from equate_srbench import SmoothTeacher
    >>> X = np.random.default_rng(0).uniform(-2, 2, (200, 1))
    >>> y = np.sin(2 * X[:, 0])
    >>> bool(SmoothTeacher(random_state=0).fit(X, y).score(X, y) > 0.9)
    True
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012 - scikit-learn's protocol
        "hidden": ["array-like"],
        "jacobian": [Interval(numbers.Real, 0, None, closed="left")],
        "lipschitz": [Interval(numbers.Real, 0, None, closed="left")],
        "jitter": [Interval(numbers.Real, 0, None, closed="left")],
        "learning_rate": [Interval(numbers.Real, 0, None, closed="neither")],
        "batch_size": [Interval(numbers.Integral, 1, None, closed="left")],
        "max_steps": [Interval(numbers.Integral, 1, None, closed="left")],
        "patience": [Interval(numbers.Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(numbers.Real, 0, 1, closed="left")],
        "precision": [StrOptions({"single", "double"})],
        "device": [str],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        hidden: Sequence[int] = (64, 64),
        jacobian: float = 0.01,
        *,
        lipschitz: float = 0.0,
        jitter: float = 0.1,
        learning_rate: float = 0.01,
        batch_size: int = 32,
        max_steps: int = 400,
        patience: int = 8,
        validation_fraction: float = 0.2,
        precision: str = "single",
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.hidden = hidden
        self.jacobian = jacobian
        self.lipschitz = lipschitz
        self.jitter = jitter
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_steps = max_steps
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.precision = precision
        self.device = device
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For parameters out of range, for tables that scikit-learn refuses, and
            (``TeacherDivergedError``) if the training diverges.
        """
        fit_together([self], X, y)
        return self

    def predict(self, X: ArrayLike) -> Array:
        """Predict with the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        predicted: Array = self._evaluate(X)[0] * self._y_scale + self._y_mean
        return predicted

    def gradient(self, X: ArrayLike) -> Array:
        """Exact gradient of ``predict`` with respect to the columns, in their units.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        gradient: Array = self._evaluate(X)[1] * (self._y_scale / self._x_scale)
        return gradient

    def roughness(self, X: ArrayLike) -> float:
        """Mean squared gradient norm in standardised units, which ``jacobian`` penalises.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        """
        return float((self._evaluate(X)[1] ** 2).sum(axis=1).mean())

    def _evaluate(self, X: ArrayLike) -> tuple[Array, Array]:
        """Standardised values and gradients, in double precision."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        sizes = mlp.layer_sizes(self.n_features_in_, self._widths())
        layers = mlp.unflatten(torch.as_tensor(self._weights, dtype=torch.float64), sizes)
        x = torch.as_tensor((X - self._x_mean) / self._x_scale)
        with torch.no_grad(), one_thread():
            parts = [mlp.value_and_gradient(layers, part) for part in torch.split(x, _CHUNK)]
        values, gradients = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
        return values, gradients

    def _widths(self) -> tuple[int, ...]:
        widths = tuple(self.hidden)
        if not widths or any(not isinstance(w, numbers.Integral) or w < 1 for w in widths):
            raise ValueError(
                f"hidden={self.hidden!r}: give one width above 0 per hidden layer, such as (64, 64)"
            )
        return tuple(int(w) for w in widths)

    def _recipe(self) -> Recipe:
        return Recipe(
            hidden=self._widths(),
            jitter=float(self.jitter),
            learning_rate=float(self.learning_rate),
            batch_size=int(self.batch_size),
            max_steps=int(self.max_steps),
            check_every=CHECK_EVERY,
            patience=int(self.patience),
            validation_fraction=float(self.validation_fraction),
            dtype=torch.float32 if self.precision == "single" else torch.float64,
            device=pick_device(self.device),
        )

    @property
    def diverged(self) -> bool:
        """Whether the weights are not finite."""
        return not np.isfinite(self._weights).all()

    def _take(self, trained: Trained) -> None:
        self._weights = trained.weights
        self.validation_curve_ = trained.curve
        self.best_step_ = trained.best_step
        at = trained.curve[:, 0] == trained.best_step
        self.validation_r2_ = float(1.0 - trained.curve[at, 1][0])


def fit_together(
    teachers: Sequence[SmoothTeacher],
    X: ArrayLike,
    y: ArrayLike,
    *,
    deadline: Deadline | None = None,
) -> None:
    """Fit several teachers on the same rows, as one batch.

    Parameters
    ----------
    teachers : sequence of SmoothTeacher
        They may differ in ``jacobian``, ``lipschitz`` and ``random_state``; all other parameters
        are taken from the first.
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    deadline : Deadline, optional
        Stops the training early, with the best weights so far.

    Raises
    ------
    TeacherDivergedError
        If no teacher has finite weights. If only some have, the others predict NaN.
    """
    for teacher in teachers:
        checked = validate_data(teacher, X, y, dtype=np.float64, y_numeric=True)
    rows, target = checked
    recipe = teachers[0]._recipe()
    x_mean, x_scale = centre_and_scale(rows)
    y_mean, y_scale = centre_and_scale(target[:, None])
    kind = np.float32 if recipe.dtype == torch.float32 else np.float64
    members = [
        Member(
            float(teacher.jacobian),
            float(teacher.lipschitz),
            int(check_random_state(teacher.random_state).randint(2**31)),
        )
        for teacher in teachers
    ]
    with one_thread():
        found = train(
            ((rows - x_mean) / x_scale).astype(kind),
            ((target - y_mean[0]) / y_scale[0]).astype(kind),
            members,
            recipe,
            deadline,
        )
    for teacher, trained in zip(teachers, found, strict=True):
        teacher._x_mean, teacher._x_scale = x_mean, x_scale
        teacher._y_mean, teacher._y_scale = float(y_mean[0]), float(y_scale[0])
        teacher._take(trained)
    if all(teacher.diverged for teacher in teachers):
        raise TeacherDivergedError(
            f"the training of the teacher diverged with learning_rate={recipe.learning_rate:g} and "
            f"jacobian={members[0].jacobian:g}: use a lower learning rate (default 0.01) or weaker "
            "penalties (1 is strong)"
        )


def train_grid(
    teacher: SmoothTeacher,
    X: ArrayLike,
    y: ArrayLike,
    *,
    jacobian: Sequence[float] = JACOBIAN,
    lipschitz: Sequence[float] = LIPSCHITZ,
    seeds: Sequence[int | None] | None = None,
    deadline: Deadline | None = None,
) -> list[SmoothTeacher]:
    """Train teachers for all combinations of strengths and seeds, as one batch.

    Each is the same as if fitted alone, up to rounding; the grid of 18 takes a few times as long as
    one teacher.

    Parameters
    ----------
    teacher : SmoothTeacher
        Template of all other parameters; not modified.
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    jacobian, lipschitz : sequence of float
        Strengths.
    seeds : sequence of int, optional
        Default: drawn from the ``random_state`` of ``teacher``.
    deadline : Deadline, optional
        Stops the training early, with the best weights so far.

    Returns
    -------
    list of SmoothTeacher
        Fitted, by ``jacobian``, then ``lipschitz``, then seed.
    """
    if seeds is None:
        seeds = [int(check_random_state(teacher.random_state).randint(2**31))]
    members = [
        clone(teacher).set_params(jacobian=j, lipschitz=bound, random_state=seed)
        for j, bound, seed in product(jacobian, lipschitz, seeds)
    ]
    if not members:
        raise ValueError("an empty grid: give at least one value of jacobian, lipschitz and seeds")
    for member in members:
        member._validate_params()
    fit_together(members, X, y, deadline=deadline)
    return members


def centre_and_scale(columns: Array) -> tuple[Array, Array]:
    """Mean and standard deviation (1 if constant) of every column, without overflow."""
    top = np.abs(columns).max(axis=0)
    top[top == 0.0] = 1.0
    unit = columns / top
    spread = unit.std(axis=0)
    # the mean of equal numbers is off by rounding, and so is their spread
    spread[spread <= 1e-14] = 1.0
    return unit.mean(axis=0) * top, spread * top
