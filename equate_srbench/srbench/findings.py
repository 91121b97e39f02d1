"""Results of checks."""

from __future__ import annotations

from dataclasses import dataclass


class ContractError(Exception):
    """A submission violates SRBench's contract; the message says how, and what to do."""


class Note(Exception):
    """A check needs a decision by a person; the message says which."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes
    ----------
    name : str
    ok : bool or None
        None if a person has to decide.
    detail : str
        One line of facts, or what is wrong and what to do.
    """

    name: str
    ok: bool | None
    detail: str
