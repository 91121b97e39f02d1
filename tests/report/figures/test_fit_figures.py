"""Figures are self-contained SVG in the page's colours."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from equate_srbench.equation import Equation
from equate_srbench.report.figures import fit_figures
from equate_srbench.report.tables.record import FitRecord, RowSubset

MakeRecord = Callable[..., FitRecord]


def read(svg: str) -> ElementTree.Element:
    """The figure as a tree; fails if it is not well-formed."""
    return ElementTree.fromstring(svg)  # noqa: S314 - our own text


DRAW = (
    fit_figures.front,
    fit_figures.search,
    fit_figures.fitted,
    fit_figures.residuals,
    fit_figures.curve,
)


@pytest.mark.parametrize("draw", DRAW)
def test__figure__any__is_svg_without_foreign_colours(
    draw: Callable[[FitRecord], str], make_record: MakeRecord
) -> None:
    """Well-formed, described, and free of placeholder colours and links to elsewhere."""
    svg = draw(make_record())
    assert read(svg).get("role") == "img"
    assert "#0102" not in svg
    assert "var(--ink)" in svg
    assert not re.findall(r'href="(?!#)', svg)


def test__figure__twice__is_the_same_text(make_record: MakeRecord) -> None:
    """Reports can be compared: no dates, no random ids."""
    record = make_record()
    assert fit_figures.front(record) == fit_figures.front(record)


def test__figure__settings_of_the_user__stay(make_record: MakeRecord) -> None:
    """Drawing leaves matplotlib as it was."""
    before = dict(mpl.rcParams)
    fit_figures.fitted(make_record())
    assert dict(mpl.rcParams) == before


def test__figure__hostile_name__is_text(make_record: MakeRecord) -> None:
    """A column's name is neither markup nor a formula."""
    svg = fit_figures.curve(make_record(column="<b>$x$ & y", target="a\nb" + "z" * 99))
    texts = [node.text for node in read(svg).iter() if node.tag.endswith("text")]
    assert "<b>$x$ & y" in texts


def test__figure__very_many_rows_and_candidates__stays_small(make_record: MakeRecord) -> None:
    """A page can be opened whatever the search tried."""
    record = make_record(n=50_000)
    X = pd.DataFrame({"x": np.linspace(0.0, 3.0, 40_000)})
    record = replace(record, train=RowSubset(X, 2.0 * X["x"].to_numpy()))
    for draw in (fit_figures.front, fit_figures.search, fit_figures.fitted):
        assert len(draw(record)) < 500_000


def test__figure__poor_fits__plain_scale(make_record: MakeRecord) -> None:
    """When nothing fits, the axis shows plain R2."""
    record = make_record()
    candidates = record.candidates.assign(r2=record.candidates["r2"].clip(upper=0.4))
    front = record.front.assign(r2=record.front["r2"].clip(upper=0.4))
    svg = fit_figures.front(replace(record, candidates=candidates, front=front))
    assert ">0.8<" in svg
    assert ">0.99<" not in svg


def test__search__no_steps__shows_the_candidates(make_record: MakeRecord) -> None:
    """A fit that ended before its search still has a figure."""
    record = make_record()
    svg = fit_figures.search(replace(record, trajectory=record.trajectory.iloc[:0].astype(object)))
    assert "best so far" in svg


def test__fits__undefined_predictions__are_drawn_without(make_record: MakeRecord) -> None:
    """RowSubset on which the formula is undefined are left out of the figures."""
    record = replace(make_record(), equation=Equation.from_string("log(x - 1)", ["x"]))
    for draw in (fit_figures.fitted, fit_figures.residuals, fit_figures.curve):
        assert "<svg" in draw(record)


def test__curve__two_features__is_refused(make_record: MakeRecord) -> None:
    """A curve of two inputs does not exist."""
    with pytest.raises(ValueError, match="one feature, got 2"):
        fit_figures.curve(make_record(extra=1))


def test__nines__values__one_step_per_nine() -> None:
    """The scale: one more nine is one step up."""
    assert fit_figures.nines([-3.0, 0.0, 0.9, 0.999, 1.0]) == pytest.approx([0, 0, 1, 3, 16])


def test__formula__latex__is_drawn_as_paths() -> None:
    """Formulas need no fonts of the reader."""
    svg = fit_figures.formula(r"\frac{1}{2}\,\sqrt{\mathrm{distance}}")
    assert "<path" in svg
    assert "<text" not in svg


def test__formula__unknown_command__gives_nothing() -> None:
    """What matplotlib cannot typeset is left to the plain text."""
    assert fit_figures.formula(r"\nosuchthing{x}") == ""
