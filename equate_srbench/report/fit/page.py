"""The report of a fit as a self-contained HTML page: no scripts, no requests, light and dark."""

from __future__ import annotations

from markupsafe import Markup

from equate_srbench.report.figures import fit_figures
from equate_srbench.report.figures.colours import COLOURS
from equate_srbench.report.formatting import r2_text, short_formula
from equate_srbench.report.page_templates import render_page
from equate_srbench.report.tables.record import FitRecord, by_source, milestones, score

_MAX_MILESTONES = 40  # the output folder holds all candidates


def render(record: FitRecord) -> str:
    """Render the report page of a fit.

    Parameters
    ----------
    record : FitRecord

    Returns
    -------
    str
        A complete HTML document. Text from the table (names, formulas) is escaped.
    """
    return render_page(
        "fit.html.jinja",
        {"r2": r2_text, "short": short_formula, "number": "{:.4g}".format},
        record=record,
        colours=COLOURS,
        formula=Markup(fit_figures.formula(record.equation.to_latex())),  # noqa: S704 - our own SVG
        pictures={name: Markup(svg) for name, svg in _pictures(record).items()},  # noqa: S704
        scores={name: score(record.equation, rows) for name, rows in record.parts()},
        front=record.ranking().to_dict("records"),
        errors=record.equation.standard_errors,
        sources=by_source(record).to_dict("records"),
        milestones=milestones(record).tail(_MAX_MILESTONES).to_dict("records"),
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
