"""The JavaScript modules of ``static/`` as the one module that anywidget loads, and the CSS.

No bundler: files are joined in the order they need, without their imports from one another.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_IMPORT = re.compile(r"^import (?:\{[^}]*\} from )?[\"']\./([\w.]+)[\"'];\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function|const|class)", re.MULTILINE)


@cache
def module(name: str) -> str:
    """ES module ``static/<name>`` with all that it imports from its neighbours in front of it.

    Parameters
    ----------
    name : str
        File name such as ``front_panel.js``.

    Returns
    -------
    str
        Source that imports nothing; what ``name`` itself exports stays exported.
    """
    parts: dict[str, str] = {}
    _collect(name, parts)
    own = parts.pop(name)
    return "".join(_EXPORT.sub("", part) for part in parts.values()) + own


def _collect(name: str, parts: dict[str, str]) -> None:
    """Source of a module, after those that it needs; each once."""
    text = (files("equate_widgets") / "static" / name).read_text(encoding="utf-8")
    for needed in _IMPORT.findall(text):
        if needed not in parts:
            _collect(needed, parts)
    parts[name] = _IMPORT.sub("", text)


@cache
def css() -> str:
    """The style sheet of all views."""
    return (files("equate_widgets") / "static" / "views.css").read_text(encoding="utf-8")
