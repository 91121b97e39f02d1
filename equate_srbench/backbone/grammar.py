"""Grammar constraints: masks of the tokens that may follow, so that formulas are complete."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from equate_srbench.expr.tokens.vocabulary import Vocabulary

_PARTS = 3  # no part of a number is due, its mantissa, its exponent
_MOST_ARGUMENTS = 2


class Grammar:
    """Tracks the open argument slots of partial formulas, for many bags and formulas.

    A formula starts with one open slot; a token fills one and opens as many as it takes
    arguments. A token is allowed while the open slots still fit in the tokens left.

    Parameters
    ----------
    vocabulary : Vocabulary
    n_columns : int or sequence of int
        Number of columns, for all bags or for each.
    shape : (int, int)
        Number of bags, and of formulas per bag.
    max_length : int
        Largest number of tokens of a formula.
    device : torch.device
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        n_columns: int | Sequence[int],
        shape: tuple[int, int],
        max_length: int,
        device: torch.device,
    ) -> None:
        counts = column_counts(vocabulary, n_columns, shape[0])
        self._arity = torch.tensor(vocabulary.arity, device=device)
        self._leads = torch.tensor(vocabulary.leads, device=device)
        self._table = _table(vocabulary, counts).to(device)  # (bags * parts * free, V)
        self._first = torch.arange(shape[0], device=device)[:, None] * (
            len(self._table) // shape[0]
        )
        self._left = max_length
        self.open = torch.ones(shape, dtype=torch.long, device=device)
        self._part = torch.zeros_like(self.open)

    def bias(self) -> Tensor:
        """Additive mask of the logits (bags, formulas, V): 0 where allowed, -inf elsewhere."""
        free = (self._left - self.open).clamp_(0, _MOST_ARGUMENTS)
        row = self._first + self._part * (_MOST_ARGUMENTS + 1) + free
        return self._table[row]

    def opened(self, tokens: Tensor) -> Tensor:
        """Change of the number of open slots by each of ``tokens``."""
        return self._arity[tokens] - 1

    def advance(self, tokens: Tensor) -> Tensor:
        """Append a token to every formula (bags, formulas); True where it is complete."""
        self._left -= 1
        self.open = self.open + self.opened(tokens)
        self._part = self._leads[tokens]
        return self.open == 0

    def select(self, rows: Tensor) -> None:
        """Keep formulas ``rows`` (bags, formulas kept) of each bag."""
        self.open = self.open.gather(1, rows)
        self._part = self._part.gather(1, rows)


def column_counts(vocabulary: Vocabulary, n_columns: int | Sequence[int], n_bags: int) -> list[int]:
    """Number of columns of each bag, validated."""
    counts = torch.as_tensor(n_columns).flatten().tolist()
    counts = counts * n_bags if len(counts) == 1 else counts
    most = len(vocabulary.columns)
    if len(counts) != n_bags or not all(0 <= n <= most for n in counts):
        raise ValueError(f"n_columns {n_columns} for {n_bags} bags of at most {most} columns")
    return counts


def _table(vocabulary: Vocabulary, counts: Sequence[int]) -> Tensor:
    """Additive masks (rows, V): a row per bag, part of a number due, and slots that may open."""
    arity, needs = torch.tensor(vocabulary.arity), torch.tensor(vocabulary.needs)
    allowed = torch.zeros(len(counts), _PARTS, _MOST_ARGUMENTS + 1, len(arity), dtype=torch.bool)
    for part in range(_PARTS):
        for free in range(_MOST_ARGUMENTS + 1):
            allowed[:, part, free] = (arity >= 0) & (arity <= free) & (needs == part)
    for bag, count in enumerate(counts):
        allowed[bag, ..., list(vocabulary.columns)[count:]] = False
    bias = torch.zeros(allowed.shape).masked_fill_(~allowed, float("-inf"))
    return bias.flatten(0, 2)
