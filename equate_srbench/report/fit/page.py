"""One fit as one HTML page: no script, no network, light and dark."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from equate_srbench.report.figures import fit_figures
from equate_srbench.report.figures.colours import COLOURS
from equate_srbench.report.formatting import r2_text, short_formula
from equate_srbench.report.tables.record import FitRecord, by_source, milestones, score

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
        formula=Markup(fit_figures.formula(record.equation.to_latex())),  # noqa: S704 - our own SVG
        pictures={name: Markup(svg) for name, svg in _pictures(record).items()},  # noqa: S704
        scores={name: score(record.equation, rows) for name, rows in record.parts()},
        front=record.ranking().to_dict("records"),
        errors=record.equation.standard_errors,
        sources=by_source(record).to_dict("records"),
        milestones=milestones(record).tail(_MOST_ROWS).to_dict("records"),
    )


def _pictures(record: FitRecord) -> dict[str, str]:
    one_input = {"curve": fit_figures.curve(record)} if len(record.features) == 1 else {}
    return {
        "front": fit_figures.front(record),
        "fitted": fit_figures.fitted(record),
        "residuals": fit_figures.residuals(record),
        "search": fit_figures.search(record),
        **one_input,
    }
