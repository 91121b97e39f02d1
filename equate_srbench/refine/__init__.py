"""Constants of formulas: batched evaluation, derivatives and least-squares fits."""

from equate_srbench.refine.refiner import Refined, Refiner, evaluate_many, jacobian, warm_up

__all__ = ["Refined", "Refiner", "evaluate_many", "jacobian", "warm_up"]
