"""How each method is called and drawn: one colour and marker wherever it appears."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Style:
    """Name, colour and marker of a method."""

    label: str
    colour: str
    marker: str


# Okabe and Ito's colours, which people with colour-blind eyes tell apart
_STYLES = {
    "equate": Style("EQUATE", "#0072B2", "o"),
    "equate-paper": Style("EQUATE paper", "#56B4E9", "s"),
    "equate-fast": Style("EQUATE fast", "#8FBFE0", "P"),
    "e2e": Style("E2E", "#E69F00", "^"),
    "tpsr": Style("TPSR (TFS)", "#D55E00", "v"),
    "distilled": Style("smooth teacher, EQUATE fast", "#66A61E", "p"),
    "itea": Style("ITEA", "#009E73", "D"),
    "operon": Style("Operon", "#CC79A7", "X"),
    "gplearn": Style("gplearn", "#B8A800", "<"),
    "pysr": Style("PySR", "#7A5195", ">"),
    "linear": Style("linear", "#999999", "1"),
    "hgb": Style("boosted trees", "#555555", "2"),
}
_SPARE = ("#332288", "#117733", "#AA4499", "#882255", "#44AA99")


def style(method: str) -> Style:
    """The style of a method; one that is not known here gets a spare colour by its name.

    Parameters
    ----------
    method : str
        Key of the registry, or ``package.module:Class``.
    """
    if method in _STYLES:
        return _STYLES[method]
    label = method.rpartition(":")[2]
    return Style(label, _SPARE[sum(map(ord, method)) % len(_SPARE)], "h")


def in_order(methods: set[str]) -> list[str]:
    """Known methods in the order of the table above, then others by name."""
    known = [name for name in _STYLES if name in methods]
    return [*known, *sorted(methods - set(known))]
