"""Methods by name: ours, the rivals, and any scikit-learn regressor as ``package.module:Class``.

Nothing heavy is imported before ``make``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pandas as pd

from equate_srbench.runtime.hints import did_you_mean

#: Key -> what it is, in one line.
METHODS: dict[str, str] = {
    "equate": "EQUATE, preset default: backbone, gradient ascent, edits",
    "equate-paper": "EQUATE, preset paper: backbone and gradient ascent only",
    "equate-fast": "EQUATE, preset fast: at most 2 seconds",
    "e2e": "the backbone alone: bags, samples, refinement of the best",
    "tpsr": "the backbone with planning: tree search over tokens (TPSR)",
    "distilled": "a formula that imitates a smooth network: EQUATE fast, or student=METHOD",
    "itea": "ITEA from PyPI, in an environment of its own",
    "operon": "Operon (pyoperon), in an environment of its own",
    "gplearn": "gplearn, in an environment of its own",
    "pysr": "PySR, in an environment of its own; needs Julia",
    "linear": "least squares, for reference",
    "hgb": "histogram gradient boosting, for reference (no formula)",
}

#: Other names of the same methods.
ALIASES: dict[str, str] = {
    "equate-default": "equate",
    "tfs": "tpsr",
    "pyoperon": "operon",
    "hist-gradient-boosting": "hgb",
}

#: Key -> class and what is set in it.
_HOME: dict[str, tuple[str, dict[str, Any]]] = {
    "equate": ("equate_srbench.regressor:EquateRegressor", {}),
    "equate-paper": ("equate_srbench.regressor:EquateRegressor", {"preset": "paper"}),
    "equate-fast": ("equate_srbench.regressor:EquateRegressor", {"preset": "fast"}),
    "e2e": ("equate_srbench.baselines.e2e:E2ERegressor", {}),
    "tpsr": ("equate_srbench.baselines.tpsr:TPSRRegressor", {}),
    "distilled": ("equate_srbench.distilled:DistilledRegressor", {"student": "equate-fast"}),
    "itea": ("equate_srbench.baselines.itea:ITEARegressor", {}),
    "operon": ("equate_srbench.baselines.operon:OperonRegressor", {}),
    "gplearn": ("equate_srbench.baselines.gplearn:GplearnRegressor", {}),
    "pysr": ("equate_srbench.baselines.pysr:PySRRegressor", {}),
    "linear": ("sklearn.linear_model:LinearRegression", {}),
    "hgb": ("sklearn.ensemble:HistGradientBoostingRegressor", {}),
}


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
    key = ALIASES.get(key, key)
    if key not in METHODS:
        known = ", ".join(METHODS)
        raise ValueError(
            f"unknown method {name!r}: use one of {known}, or package.module:Class"
            f"{did_you_mean(key, [*METHODS, *ALIASES])}"
        )
    return key


def make(
    name: str,
    *,
    max_time: float | None = None,
    random_state: int | None = None,
    **settings: Any,
) -> Any:
    """An unfitted estimator, ready so that its ``fit`` pays for nothing but fitting.

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
        in an environment of its own is loaded by then.

    Raises
    ------
    ValueError
        For unknown methods, classes and settings.
    EnvironmentMissing
        If the method's package is not installed; the message has the command that does it.
    """
    key = resolve(name)
    home, preset = _HOME.get(key, (key, {}))
    estimator = _load(home)()
    known = estimator.get_params()
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ValueError(
            f"method {name!r} has no setting {unknown[0]!r}: it has {', '.join(sorted(known))}"
        )
    given = {"max_time": max_time, "random_state": random_state}
    common = {k: v for k, v in given.items() if v is not None and k in known}
    chosen = {**preset, **common, **settings}
    if "student" in chosen:
        student = chosen["student"]
        named = {"method": student} if isinstance(student, str) else dict(student)
        chosen["student"] = make(named.pop("method"), **named)
    estimator.set_params(**chosen)
    if hasattr(estimator, "warm_up"):
        estimator.warm_up()
    return estimator


def model_string(estimator: Any, X: pd.DataFrame | None = None) -> str | None:
    """The fitted formula as SymPy reads it, None where there is no formula.

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
