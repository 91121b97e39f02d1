"""What people wrote about figures, kept when the page with the figures is made anew."""

from __future__ import annotations

from pathlib import Path

MARKS = ("<!-- reading: {} -->", "<!-- end -->")


def kept(page: Path, name: str) -> list[str]:
    """Lines of a reading with its marks: what stands between them in the page so far, if anything.

    Parameters
    ----------
    page : Path
        Need not exist.
    name : str
        A page may have several readings.
    """
    first = MARKS[0].format(name)
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    rest = text.partition(first)[2]
    return [first, rest.partition(MARKS[1])[0].strip(), MARKS[1]]
