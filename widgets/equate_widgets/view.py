"""What all views share: their module, their style, and a still picture where no widget can be."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import anywidget
import numpy as np

from equate_srbench.report.figures.colours import LIGHT
from equate_widgets import assets


class View(anywidget.AnyWidget):
    """A widget with one module of ``static/`` and the common style.

    Subclasses name their module in ``_module`` and say in ``still`` what an exported page shows.
    """

    _module: str
    _css = assets.css()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "_module" in cls.__dict__:
            cls._esm = assets.module(cls._module)
        super().__init_subclass__(**kwargs)

    def still(self) -> str:
        """HTML without scripts that shows the view as it is now."""
        raise NotImplementedError

    def to_html(self, title: str = "") -> str:
        """A self-contained page of the view as it is now: no kernel, no network.

        What needs Python (sliders, pruning, stopping) does nothing there.
        """
        common = anywidget.AnyWidget.class_trait_names(sync=True)
        names = set(self.trait_names(sync=True)) - set(common)
        state = {name: getattr(self, name) for name in sorted(names) if not name.startswith("_")}
        return assets.page(self._module, state, title)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget, and the still picture for pages without a kernel."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:  # no widget can be displayed here
            return None
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/html": framed(self.still())}, metadata


def framed(content: str) -> str:
    """HTML in the colours of the figures, light everywhere, since a picture cannot know better."""
    style = f"{LIGHT} background: var(--card); color: var(--ink); padding: 8px; max-width: 950px"
    return f'<div style="{style}">{content}</div>'


def numbers(values: Iterable[float]) -> list[float | None]:
    """For JSON, which knows no NaN and no infinity."""
    return [float(v) if math.isfinite(v) else None for v in np.asarray(list(values), dtype=float)]


def number(value: float) -> float | None:
    """One of them."""
    return float(value) if math.isfinite(value) else None
