"""HTML pages from the templates of this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render_page(template: str, filters: dict[str, Callable[[Any], str]], **values: Any) -> str:
    """Render a template; text values are escaped, undefined names are errors.

    Parameters
    ----------
    template : str
        File name in ``templates/``.
    filters : dict of str to callable
        Formatters that the template uses, by name.
    **values
        What the template shows.
    """
    environment = Environment(
        loader=PackageLoader("equate_srbench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment.get_template(template).render(**values)
