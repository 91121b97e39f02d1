"""One table of methods: how each is made, named, drawn, installed and isolated.

A new method is one ``MethodSpec`` here, and its class. Nothing heavy is imported before ``make``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import pandas as pd

from equate_srbench.runtime.hints import did_you_mean


@dataclass(frozen=True, slots=True)
class Environment:
    """Separate environment of a method whose dependencies conflict with ours.

    Attributes
    ----------
    pins : tuple of str
        Requirements for pip.
    pythons : tuple of str
        Python versions for which the pinned requirements have wheels.
    program : str
        Program that must be on the PATH; "" for none.
    """

    pins: tuple[str, ...]
    pythons: tuple[str, ...] = ("3.11", "3.12", "3.13")
    program: str = ""


@dataclass(frozen=True, slots=True)
class MethodSpec:
    """Everything about a method that is not in its class.

    Attributes
    ----------
    key : str
        Its name in rows, options and files.
    about : str
        What it is, in one line.
    home : str
        ``package.module:Class`` of the estimator.
    label, colour, marker : str
        How it is called and drawn, wherever it appears.
    defaults : mapping
        Parameters that differ from the estimator's own defaults.
    aliases : tuple of str
        Other names that users may give.
    most_seconds : float
        Longest ``max_time`` that it is given.
    environment : Environment or None
        Where it is installed and isolated, if not with this package; ``workers/serve_KEY.py``
        runs there.
    """

    key: str
    about: str
    home: str
    label: str
    colour: str
    marker: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    most_seconds: float = float("inf")
    environment: Environment | None = None


_EQUATE = "equate_srbench.regressor:EquateRegressor"
_BASELINES = "equate_srbench.baselines"

#: All methods by key, in the order of tables and legends. The colours are Okabe and Ito's and
#: further ones that stay apart for colour-blind readers.
METHODS: dict[str, MethodSpec] = {
    spec.key: spec
    for spec in (
        MethodSpec(
            "equate", "EQUATE, preset default: backbone, gradient ascent, edits", _EQUATE,
            "EQUATE", "#0072B2", "o", aliases=("equate-default",),
        ),
        MethodSpec(
            "equate-paper", "EQUATE, preset paper: backbone and gradient ascent only", _EQUATE,
            "EQUATE paper", "#56B4E9", "s", {"preset": "paper"},
        ),
        MethodSpec(
            "equate-fast", "EQUATE, preset fast: at most 2 seconds", _EQUATE,
            "EQUATE fast", "#8FBFE0", "P", {"preset": "fast"}, most_seconds=2.0,
        ),
        MethodSpec(
            "e2e", "the backbone alone: bags, samples, refinement of the best",
            f"{_BASELINES}.e2e:E2ERegressor", "E2E", "#E69F00", "^",
        ),
        MethodSpec(
            "tpsr", "the backbone with planning: tree search over tokens (TPSR)",
            f"{_BASELINES}.tpsr:TPSRRegressor", "TPSR (TFS)", "#D55E00", "v", aliases=("tfs",),
        ),
        MethodSpec(
            "distilled",
            "a formula that imitates a smooth network: EQUATE fast, or student=METHOD",
            "equate_srbench.distilled:DistilledRegressor",
            "smooth teacher, EQUATE fast", "#66A61E", "p", {"student": "equate-fast"},
        ),
        MethodSpec(
            "itea", "ITEA, interaction-transformation evolution, in a separate environment",
            f"{_BASELINES}.itea:ITEARegressor", "ITEA", "#009E73", "D",
            environment=Environment(
                # its code needs scikit-learn before 1.6 and NumPy before 2
                ("itea==1.1.2", "numpy==1.26.4", "scikit-learn==1.3.2", "pandas==2.2.3",
                 "scipy==1.11.4", "jax==0.4.30", "jaxlib==0.4.30", "sympy==1.14.0"),
                pythons=("3.11", "3.12"),
            ),
        ),
        MethodSpec(
            "operon", "Operon, genetic programming in C++, in a separate environment",
            f"{_BASELINES}.operon:OperonRegressor", "Operon", "#CC79A7", "X",
            aliases=("pyoperon",),
            environment=Environment(
                ("pyoperon==0.6.2", "numpy==2.4.6", "scikit-learn==1.9.1", "sympy==1.14.0")
            ),
        ),
        MethodSpec(
            "gplearn", "gplearn, genetic programming in NumPy, in a separate environment",
            f"{_BASELINES}.gplearn:GplearnRegressor", "gplearn", "#B8A800", "<",
            environment=Environment(("gplearn==0.4.3", "numpy==2.4.6", "scikit-learn==1.9.1")),
        ),
        MethodSpec(
            "pysr", "PySR, genetic programming in Julia, in a separate environment; needs Julia",
            f"{_BASELINES}.pysr:PySRRegressor", "PySR", "#7A5195", ">",
            environment=Environment(("pysr==1.5.9",), program="julia"),
        ),
        MethodSpec(
            "linear", "least squares, for reference",
            "sklearn.linear_model:LinearRegression", "linear", "#999999", "1",
        ),
        MethodSpec(
            "hgb", "histogram gradient boosting, for reference (no formula)",
            "sklearn.ensemble:HistGradientBoostingRegressor", "boosted trees", "#555555", "2",
            aliases=("hist-gradient-boosting",),
        ),
    )
}  # fmt: skip

_ALIASES = {alias: spec.key for spec in METHODS.values() for alias in spec.aliases}
_SPARE_COLOURS = ("#332288", "#117733", "#AA4499", "#882255", "#44AA99")


def spec(method: str) -> MethodSpec:
    """The spec of a method.

    Parameters
    ----------
    method : str
        Key of the table, or ``package.module:Class``, which gets a colour by its name.
    """
    if method in METHODS:
        return METHODS[method]
    label = method.rpartition(":")[2]
    colour = _SPARE_COLOURS[sum(map(ord, method)) % len(_SPARE_COLOURS)]
    return MethodSpec(method, "", method, label, colour, "h")


def in_order(methods: set[str]) -> list[str]:
    """Known methods in the order of the table, then others by name."""
    known = [name for name in METHODS if name in methods]
    return [*known, *sorted(methods - set(known))]


def resolve(name: str) -> str:
    """The key of a method.

    Parameters
    ----------
    name : str
        A key, an alias, in any case, or ``package.module:Class``, which stays as it is.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If there is no such method.
    """
    if ":" in name:
        return name
    key = name.strip().lower()
    key = _ALIASES.get(key, key)
    if key not in METHODS:
        known = ", ".join(METHODS)
        raise ValueError(
            f"unknown method {name!r}: use one of {known}, or package.module:Class"
            f"{did_you_mean(key, [*METHODS, *_ALIASES])}"
        )
    return key


def make(
    name: str,
    *,
    max_time: float | None = None,
    random_state: int | None = None,
    **settings: Any,
) -> Any:
    """Create an unfitted estimator with its dependencies loaded, so that ``fit`` only fits.

    Parameters
    ----------
    name : str
        As ``resolve`` takes it.
    max_time : float, optional
        Seconds for ``fit``; the estimator's own default without. An estimator that knows no
        ``max_time`` or ``random_state`` goes without.
    random_state : int, optional
    **settings
        Parameters of the estimator. One named ``student`` is a method in its turn: its name, or a
        dict of ``method`` and parameters.

    Returns
    -------
    estimator
        With ``fit`` and ``predict``. One with a ``warm_up`` method has had it called: a package
        in a separate environment is loaded by then.

    Raises
    ------
    ValueError
        For unknown methods, classes and settings.
    EnvironmentMissing
        If the method's package is not installed; the message has the command that does it.
    """
    method = spec(resolve(name))
    estimator = _load(method.home)()
    known = estimator.get_params()
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ValueError(
            f"method {name!r} has no setting {unknown[0]!r}: it has {', '.join(sorted(known))}"
        )
    seconds = None if max_time is None else min(max_time, method.most_seconds)
    given = {"max_time": seconds, "random_state": random_state}
    common = {k: v for k, v in given.items() if v is not None and k in known}
    chosen = {**method.defaults, **common, **settings}
    if "student" in chosen:
        student = chosen["student"]
        named = {"method": student} if isinstance(student, str) else dict(student)
        chosen["student"] = make(named.pop("method"), **named)
    estimator.set_params(**chosen)
    if hasattr(estimator, "warm_up"):
        estimator.warm_up()
    return estimator


def model_string(estimator: Any, X: pd.DataFrame | None = None) -> str | None:
    """The fitted formula as SymPy reads it; None for an estimator without one.

    Parameters
    ----------
    estimator
        Fitted, from ``make`` or like it: the formula is its ``equation_``, or what its own
        ``model_string(X)`` says.
    X : DataFrame, optional
        The formula is in the names of its columns; default: the names seen in ``fit``.
    """
    own = getattr(estimator, "model_string", None)
    if callable(own):
        return str(own(X))
    if not hasattr(estimator, "equation_"):
        return None
    from equate_srbench.formula_regressor import model

    return model(estimator, X)


def _load(home: str) -> Any:
    module, _, name = home.partition(":")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there, something that it imports is not
        raise ValueError(f"method {home!r}: there is no module {module!r}") from None
    except AttributeError:
        raise ValueError(f"method {home!r}: module {module!r} has no {name!r}") from None
