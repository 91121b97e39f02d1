"""JavaScript modules and style sheet of the panels, and self-contained pages of them.

Anywidget loads a single module: files of ``static/`` are concatenated in dependency order, without
their imports from one another, instead of using a bundler.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

_IMPORT = re.compile(r"^import (?:\{[^}]*\} from )?[\"']\./([\w.]+)[\"'];\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function|const|class)", re.MULTILINE)


@cache
def module(name: str) -> str:
    """Source of the ES module ``static/<name>``, preceded by the modules that it imports.

    Parameters
    ----------
    name : str
        File name such as ``front_panel.js``.

    Returns
    -------
    str
        Source without imports; only the exports of ``name`` itself remain.
    """
    parts: dict[str, str] = {}
    _collect(name, parts)
    own = parts.pop(name)
    return "".join(_EXPORT.sub("", part) for part in parts.values()) + own


def _collect(name: str, parts: dict[str, str]) -> None:
    """Add the source of a module to ``parts`` after those that it imports, each once."""
    text = (files("equate_widgets") / "static" / name).read_text(encoding="utf-8")
    for needed in _IMPORT.findall(text):
        if needed not in parts:
            _collect(needed, parts)
    parts[name] = _IMPORT.sub("", text)


@cache
def css() -> str:
    """Style sheet of all panels."""
    return (files("equate_widgets") / "static" / "views.css").read_text(encoding="utf-8")


# `equate.sent` records the messages of the view to Python, which is absent
_PAGE = Template("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
body { margin: 0; background: light-dark(#fbfaf7, #14171c); color-scheme: light dark; }
$css
</style>
<div id="view"></div>
<script type="module">
$module
const state = $state;
const handlers = {};
const equate = {
  sent: [],
  get: (name) => state[name],
  set: (name, value) => {
    state[name] = value;
    for (const handler of handlers[`change:$${name}`] ?? []) handler();
  },
  save_changes: () => {},
  send: (message) => equate.sent.push(message),
  on: (name, handler) => (handlers[name] ??= []).push(handler),
  off: (name, handler) => (handlers[name] = (handlers[name] ?? []).filter((h) => h !== handler)),
};
globalThis.equate = equate;
const began = performance.now();
render({ model: equate, el: document.getElementById("view") });
equate.painted = performance.now() - began;
</script>
</html>
""")


def page(name: str, state: Mapping[str, Any], title: str = "") -> str:
    """Self-contained HTML page that shows a panel without kernel or requests.

    Parameters
    ----------
    name : str
        Module of the panel, such as ``front_panel.js``.
    state : mapping of str to JSON data
        Values of its synchronised traits.
    title : str, default=""
    """
    # a script ends at the first `</script`, even inside a string
    data = json.dumps(state, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    return _PAGE.substitute(title=html.escape(title), css=css(), module=module(name), state=data)
