"""One fit as one HTML page: no script, no network, light and dark."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from equate_srbench.report import figures
from equate_srbench.report.record import FitRecord, by_source, milestones, score
from equate_srbench.report.words import r2_text, short_formula

#: CSS variables that the figures and the page are drawn with, light and dark.
COLOURS = """\
:root {
  --paper: #fbfaf7; --card: #ffffff; --ink: #1c2430; --muted: #667085; --grid: #e6e4de;
  --accent: #c2410c; --train: #2f6fdb; --test: #b4369b;
  --backbone: #2f6fdb; --ascent: #d97706; --edit: #0f8a6d; --shorten: #8b4fd6;
  --constant: #8a8f98;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171c; --card: #1c2027; --ink: #e8eaee; --muted: #98a2b3; --grid: #2d333d;
    --accent: #fb8c4e; --train: #74a7ff; --test: #ef86d9;
    --backbone: #74a7ff; --ascent: #f5b254; --edit: #46cfa8; --shorten: #bd96f5;
    --constant: #8a919d;
  }
}
"""
_MOST_ROWS = 40  # of a table on the page; the files hold all of them


def render(record: FitRecord) -> str:
    """The report page of one fit.

    Parameters
    ----------
    record : FitRecord

    Returns
    -------
    str
        A complete HTML document. Text from the table (names, formulas) is escaped.
    """
    environment = Environment(
        loader=PackageLoader("equate_srbench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["r2"] = r2_text
    environment.filters["short"] = short_formula
    environment.filters["number"] = lambda value: f"{value:.4g}"
    return environment.get_template("fit.html.jinja").render(
        record=record,
        colours=COLOURS,
        formula=Markup(figures.formula(record.equation.to_latex())),  # noqa: S704 - our own SVG
        pictures={name: Markup(svg) for name, svg in _pictures(record).items()},  # noqa: S704
        scores={name: score(record.equation, rows) for name, rows in record.parts()},
        front=record.ranking().to_dict("records"),
        errors=record.equation.standard_errors,
        sources=by_source(record).to_dict("records"),
        milestones=milestones(record).tail(_MOST_ROWS).to_dict("records"),
    )


def _pictures(record: FitRecord) -> dict[str, str]:
    one_input = {"curve": figures.curve(record)} if len(record.features) == 1 else {}
    return {
        "front": figures.front(record),
        "fitted": figures.fitted(record),
        "residuals": figures.residuals(record),
        "search": figures.search(record),
        **one_input,
    }
