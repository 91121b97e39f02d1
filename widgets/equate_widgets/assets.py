"""The JavaScript modules of ``static/`` as the one module that anywidget loads, and the CSS.

No bundler: files are joined in the order they need, without their imports from one another.
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


# `equate.sent` holds what the view asked of Python, which is not there
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
    """A self-contained HTML page that shows a view without a kernel and without a network.

    Parameters
    ----------
    name : str
        Module of the view, such as ``front_panel.js``.
    state : mapping of str to JSON data
        Values of the traits that it reads.
    title : str, default=""
    """
    # text of a script ends at the first `</script`, wherever that stands
    data = json.dumps(state, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    return _PAGE.substitute(title=html.escape(title), css=css(), module=module(name), state=data)
