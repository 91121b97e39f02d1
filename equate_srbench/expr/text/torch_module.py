"""A formula as a torch module whose constants can be trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from equate_srbench.expr.operators import BY_CODE, CONSTANT, VARIABLE
from equate_srbench.expr.tree import Tree


class FormulaModule(nn.Module):
    """``forward(X)`` with X of shape (..., n_columns) gives values of shape (...).

    Parameters
    ----------
    tree : Tree

    Attributes
    ----------
    constants : Parameter of shape (n_constants,), float64
        The formula's constants in prefix order.
    """

    def __init__(self, tree: Tree) -> None:
        super().__init__()
        self.symbols = tree.symbols
        self.constants = nn.Parameter(torch.tensor(tree.constants, dtype=torch.float64))

    def forward(self, X: Tensor) -> Tensor:
        """Values of the formula on rows ``X``; NaN or inf where it is not defined."""
        stack: list[Tensor] = []
        place = len(self.constants)
        for symbol in reversed(self.symbols):
            if symbol == CONSTANT:
                place -= 1
                stack.append(self.constants[place])
            elif symbol >= VARIABLE:
                stack.append(X[..., symbol - VARIABLE])
            else:
                op = BY_CODE[symbol]
                stack.append(op.array(torch, *(stack.pop() for _ in range(op.arity))))
        return stack[0].expand(X.shape[:-1])

    def tree(self) -> Tree:
        """The formula with the present values of its constants."""
        return Tree(self.symbols, self.constants.detach().tolist())
