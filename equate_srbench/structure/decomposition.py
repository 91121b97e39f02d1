"""``Decomposition``: into which parts a law falls apart, and what a surrogate says about each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equate_srbench.structure.gaussian_process import Group
from equate_srbench.structure.surrogate import LOG, Link

Array = NDArray[np.float64]
Groups = tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """What a surrogate says about one part of a law.

    Attributes
    ----------
    columns : tuple of int
    values : callable
        Rows (n, n_columns) -> values (n,): a factor up to scale, a summand up to an offset.
    """

    columns: Group
    values: Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class Decomposition:
    """A law falls apart.

    Attributes
    ----------
    kind : {"sum", "product"}
    link : Link
        In which it does.
    parts : tuple of Part
    gain : float
        Log evidence ratio against the law that does not fall apart, in nats.
    error : float
        Mean squared leave-one-out error of the parts together, as a share of the variance in the
        link.
    """

    kind: str
    link: Link
    parts: tuple[Part, ...]
    gain: float
    error: float

    @property
    def is_additive(self) -> bool:
        """Whether the law is a sum on the link's scale: a product is one in the logarithm."""
        return self.kind == "sum" or self.link is LOG

    @property
    def groups(self) -> Groups:
        """Columns of the parts."""
        return tuple(part.columns for part in self.parts)
