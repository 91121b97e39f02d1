"""The 14 Strogatz datasets: seven two-state systems, simulated from published initial states.

Systems and parameters are those of S. Strogatz, "Nonlinear dynamics and chaos"; which of them, the
initial states, the sampling every 0.1 up to 9.9 and the names are those of the ODE-Strogatz
repository of W. La Cava and of PMLB. Each state's derivative is the target of one set.

The published rows came from fixed steps of 0.1 in which the derivative of x is held while y follows
Bogacki and Shampine's third-order rule. The same steps are taken here, so the rows are the
published ones to rounding. (They are off the true trajectories by some per cent of the range, which
does not matter: the target is the formula at the row.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.text.parser import parse
from equate_srbench.expr.tree import Tree

STATES = ("x", "y")
_STEP = 0.1
_SAMPLES = 100


@dataclass(frozen=True, slots=True)
class System:
    """Two coupled ordinary differential equations.

    Attributes
    ----------
    dx, dy : str
        Derivatives in time, in ``x`` and ``y``.
    starts : tuple of (x, y)
        One trajectory of 100 samples each.
    """

    dx: str
    dy: str
    starts: tuple[tuple[float, float], ...]


SYSTEMS: dict[str, System] = {
    "bacres": System(
        "20 - x - x*y/(1 + 0.5*x**2)",
        "10 - x*y/(1 + 0.5*x**2)",
        (
            (9.01502740318998, 12.8015055992981),
            (3.48540194192317, 13.0700662237925),
            (5.81391692721814, 9.936214985790382),
            (5.80195472817425, 9.79266054660331),
        ),
    ),
    "barmag": System(
        "0.5*sin(x - y) - sin(x)",
        "0.5*sin(y - x) - sin(y)",
        (
            (4.26461875246862, 4.76102165511013),
            (4.66923900501058, 2.46443504621593),
            (4.1184890487447, 1.07559768164234),
            (4.43621840643643, 0.200011672644315),
        ),
    ),
    "glider": System(
        "-0.05*x**2 - sin(y)",
        "x - cos(y)/x",
        (
            (5.603272452842469, 1.8551204022395),
            (2.46553213651184, 0.872156816895428),
            (5.35766048171177, -1.32283061311855),
            (4.51350174933492, 0.346591870877256),
        ),
    ),
    "lv": System(
        "3*x - 2*x*y - x**2",
        "2*y - x*y - y**2",
        (
            (1.0, 3.0),
            (4.0, 1.0),
            (8.0, 2.0),
            (3.0, 3.0),
        ),
    ),
    "predprey": System(
        "x*(4 - x - y/(1 + x))",
        "y*(x/(1 + x) - 0.075*y)",
        (
            (4.86070775030401, 11.5069474930959),
            (6.58096270030409, 11.4336027281584),
            (5.75343217591914, 8.77853103772431),
            (5.80475500292961, 11.6491125241285),
        ),
    ),
    "shearflow": System(
        "cos(x)/tan(y)",
        "(cos(y)**2 + 0.1*sin(y)**2)*sin(x)",
        (
            (-1.40163422326322, -1.42574462518204),
            (-2.53129567286853, 1.01617273721913),
            (1.22414434129968, -0.5745989297785539),
            (2.82882856222944, -1.462580773342),
        ),
    ),
    "vdp": System(
        "10*(y - (x**3 - x)/3)",
        "-x/10",
        (
            (0.35730070503580397, 0.21669793236700896),
            (0.677280004283046, 0.7360147137408308),
            (0.0100185705081634, 0.3559143141937729),
            (0.23995458300156305, 0.9276087313632232),
        ),
    ),
}
#: Set -> formula of its target.
FORMULAS: dict[str, str] = {
    f"strogatz_{name}{number}": formula
    for name, system in SYSTEMS.items()
    for number, formula in ((1, system.dx), (2, system.dy))
}


def rows(name: str) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Simulate the rows of a dataset.

    Parameters
    ----------
    name : str
        A key of ``FORMULAS``.

    Returns
    -------
    X : DataFrame of shape (400, 2)
        Columns ``x`` and ``y``, trajectory after trajectory.
    y : ndarray of shape (400,)
        The derivative.
    """
    system = name.removeprefix("strogatz_")[:-1]
    states = _trajectories(system)
    y = evaluate(parse(FORMULAS[name], STATES), states)
    return pd.DataFrame(states, columns=list(STATES)), y


@lru_cache(maxsize=len(SYSTEMS))
def _trajectories(system: str) -> NDArray[np.float64]:
    """States of shape (400, 2)."""
    equations = SYSTEMS[system]
    trees = [parse(text, STATES) for text in (equations.dx, equations.dy)]
    states = np.empty((len(equations.starts), _SAMPLES, 2))
    states[:, 0] = equations.starts
    for k in range(1, _SAMPLES):
        states[:, k] = _next(states[:, k - 1], *trees)
    states.setflags(write=False)  # shared by the two sets of a system
    return states.reshape(-1, 2)


def _next(states: NDArray[np.float64], dx: Tree, dy: Tree) -> NDArray[np.float64]:
    """States after one step, shape (n, 2)."""
    x, y = states.T
    slope_x = evaluate(dx, states)

    def slope_y(share: float, y_there: NDArray[np.float64]) -> NDArray[np.float64]:
        there = np.column_stack([x + share * _STEP * slope_x, y_there])
        return np.asarray(evaluate(dy, there))

    k1 = slope_y(0.0, y)
    k2 = slope_y(0.5, y + 0.5 * _STEP * k1)
    k3 = slope_y(0.75, y + 0.75 * _STEP * k2)
    y_next = y + _STEP * (2.0 * k1 + 3.0 * k2 + 4.0 * k3) / 9.0
    return np.column_stack([x + _STEP * slope_x, y_next])
