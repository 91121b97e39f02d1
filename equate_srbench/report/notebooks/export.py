"""An executed notebook as one HTML page that needs neither kernel nor script nor network."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

from nbconvert import HTMLExporter
from nbformat import NotebookNode
from traitlets.config import Config

#: Forms of an output, the first that it has is shown. No scripts, no widgets.
FORMS = ["image/svg+xml", "image/png", "image/jpeg", "text/html", "text/markdown", "text/plain"]


def to_html(node: NotebookNode, title: str) -> str:
    """The page of a notebook.

    Parameters
    ----------
    node : NotebookNode
        Executed. Code is folded away; a widget is shown by its static form.
    title : str
        For the window.

    Returns
    -------
    str
        A complete HTML document; its policy forbids scripts and requests.
    """
    node = deepcopy(node)
    node.metadata["title"] = title
    exporter = HTMLExporter(
        template_name="equate",
        extra_template_basedirs=[str(Path(__file__).parents[1] / "templates" / "nbconvert")],
        config=Config({"NbConvertBase": {"display_data_priority": FORMS}}),
    )
    page, _ = exporter.from_notebook_node(node)
    return str(page)
