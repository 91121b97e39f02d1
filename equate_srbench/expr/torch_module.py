"""A formula as a torch module with trainable constants."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from equate_srbench.expr.evaluate import run_prefix
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
        """Evaluate the formula on rows ``X``; NaN or inf where it is not defined."""
        constants = [self.constants[i] for i in range(len(self.constants))]
        value: Tensor = run_prefix(self.symbols, constants, lambda j: X[..., j], torch)
        return value.expand(X.shape[:-1])

    def tree(self) -> Tree:
        """The formula with the current values of its constants."""
        return Tree(self.symbols, self.constants.detach().tolist())
