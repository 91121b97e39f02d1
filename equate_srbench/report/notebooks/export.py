"""Export of an executed notebook as a self-contained HTML page without scripts or requests."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

from nbconvert import HTMLExporter
from nbformat import NotebookNode
from traitlets.config import Config

#: MIME types of outputs in order of preference; no scripts, no widgets.
MIME_TYPES = [
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "text/html",
    "text/markdown",
    "text/plain",
]


def to_html(node: NotebookNode, title: str) -> str:
    """Export a notebook as an HTML page.

    Parameters
    ----------
    node : NotebookNode
        Executed. Code is collapsed; widgets appear in their static form.
    title : str
        Title of the page.

    Returns
    -------
    str
        A complete HTML document whose content security policy forbids scripts and requests.
    """
    node = deepcopy(node)
    node.metadata["title"] = title
    exporter = HTMLExporter(
        template_name="equate",
        extra_template_basedirs=[str(Path(__file__).parents[1] / "templates" / "nbconvert")],
        config=Config({"NbConvertBase": {"display_data_priority": MIME_TYPES}}),
    )
    page, _ = exporter.from_notebook_node(node)
    return str(page)
