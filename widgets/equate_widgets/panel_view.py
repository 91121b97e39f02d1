"""Base class of the panels: JavaScript module, style sheet, and a static form without a kernel."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import anywidget
import numpy as np

from equate_srbench.report.figures.colours import LIGHT
from equate_widgets.assets import css, module, page


class PanelView(anywidget.AnyWidget):
    """A widget with a JavaScript module of ``static/`` and the common style sheet.

    Subclasses name the module in ``_module`` and return the content of exported pages in
    ``static_html``.
    """

    _module: str
    _css = css()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "_module" in cls.__dict__:
            cls._esm = module(cls._module)
        super().__init_subclass__(**kwargs)

    def static_html(self) -> str:
        """Static HTML of the current state, without scripts."""
        raise NotImplementedError

    def to_html(self, title: str = "") -> str:
        """Self-contained HTML page of the current state, without kernel or requests.

        Controls that need Python (sliders, pruning, stopping) have no effect there.
        """
        common = anywidget.AnyWidget.class_trait_names(sync=True)
        names = set(self.trait_names(sync=True)) - set(common)
        state = {name: getattr(self, name) for name in sorted(names) if not name.startswith("_")}
        return page(self._module, state, title)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget, and its static form for pages without a kernel."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:  # widgets cannot be displayed here
            return None
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/html": framed(self.static_html())}, metadata


def framed(content: str) -> str:
    """Wrap HTML in the light colours of the figures: a static form cannot follow the theme."""
    style = f"{LIGHT} background: var(--card); color: var(--ink); padding: 8px; max-width: 950px"
    return f'<div style="{style}">{content}</div>'


def numbers(values: Iterable[float]) -> list[float | None]:
    """Convert to JSON numbers; NaN and infinities become None."""
    return [float(v) if math.isfinite(v) else None for v in np.asarray(list(values), dtype=float)]


def number(value: float) -> float | None:
    """Convert to a JSON number; NaN and infinities become None."""
    return float(value) if math.isfinite(value) else None
