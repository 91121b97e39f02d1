"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass


class ContractError(Exception):
    """A check failed; the message says what is wrong and what to do."""


class Note(Exception):
    """A check found something that only a person can decide; the message says what."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes
    ----------
    name : str
    ok : bool or None
        None for a note: nothing is broken, but a person has to decide something.
    detail : str
        One line of facts, or what is wrong and what to do.
    """

    name: str
    ok: bool | None
    detail: str
