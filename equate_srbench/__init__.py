"""A table of numbers in, a short formula out: the EQUATE method on a pretrained backbone.

Names are loaded on first use, so that ``import equate_srbench`` (and with it ``equate --help``)
waits for neither torch nor SymPy.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

if _TYPE_CHECKING:
    from equate_srbench.baselines.e2e import E2ERegressor
    from equate_srbench.baselines.itea import ITEARegressor
    from equate_srbench.baselines.tpsr import TPSRRegressor
    from equate_srbench.distilled import DistilledRegressor
    from equate_srbench.equation import Equation
    from equate_srbench.formula_regressor import model
    from equate_srbench.regressor import EquateRegressor
    from equate_srbench.teacher.smooth import SmoothTeacher

__version__: str
__all__ = [
    "DistilledRegressor",
    "E2ERegressor",
    "EquateRegressor",
    "Equation",
    "ITEARegressor",
    "SmoothTeacher",
    "TPSRRegressor",
    "model",
]

_HOME = {
    "DistilledRegressor": "equate_srbench.distilled",
    "E2ERegressor": "equate_srbench.baselines.e2e",
    "EquateRegressor": "equate_srbench.regressor",
    "Equation": "equate_srbench.equation",
    "ITEARegressor": "equate_srbench.baselines.itea",
    "SmoothTeacher": "equate_srbench.teacher.smooth",
    "TPSRRegressor": "equate_srbench.baselines.tpsr",
    "model": "equate_srbench.formula_regressor",
}


def __getattr__(name: str) -> _Any:
    """Load a public name from its module, or the version, on first use."""
    if name == "__version__":
        value: _Any = _import_module("importlib.metadata").version("equate-srbench")
    elif name in _HOME:
        value = getattr(_import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Public names, loaded or not."""
    return [*__all__, "__version__"]
