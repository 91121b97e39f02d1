"""Constants: values, derivatives and fits of many formulas at once."""

from equate_srbench.refine.refiner import Refined, Refiner, evaluate_many, jacobian, warm_up

__all__ = ["Refined", "Refiner", "evaluate_many", "jacobian", "warm_up"]
