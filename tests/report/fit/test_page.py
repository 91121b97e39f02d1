"""The page: complete, closed to the outside, and safe with any names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

from equate_srbench.report.fit.page import render
from equate_srbench.report.tables.record import FitRecord

MakeRecord = Callable[..., FitRecord]
HOSTILE = "<img src=x onerror=alert(1)>\"'`&"


class Page(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember a tag."""
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        """Remember text."""
        self.text += data


def test__page__any_record__needs_nothing_from_outside(make_record: MakeRecord) -> None:
    """No script, no link, no request: inline styles and inline SVG only."""
    page = Page(render(make_record()))
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(page.tags)
    links = [v for k, v in page.attributes if k in ("href", "src", "xlink:href", "action")]
    assert all(link.startswith("#") for link in links if link)
    assert not [k for k, _ in page.attributes if k.startswith("on")]
    assert page.tags.count("svg") == 6  # formula, curve, fitted, residuals, front, search


def test__page__hostile_names__are_shown_as_text(make_record: MakeRecord) -> None:
    """Names of columns and tables cannot become markup."""
    record = make_record(column=HOSTILE, target=HOSTILE)
    page = Page(render(replace(record, table=HOSTILE, settings={HOSTILE: HOSTILE})))
    assert "img" not in page.tags
    assert not [k for k, _ in page.attributes if k.startswith("on")]
    assert HOSTILE in page.text


def test__page__chosen_formula__is_there_to_copy(make_record: MakeRecord) -> None:
    """All 17 digits of the chosen formula, and its row in the front marked."""
    record = make_record()
    html = render(record)
    assert f"y = {record.equation}" in Page(html).text
    assert html.count('<tr class="chosen">') == 1


def test__page__ids__are_unique(make_record: MakeRecord) -> None:
    """Figures on one page do not borrow each other's clip paths."""
    ids = re.findall(r'\bid="([^"]+)"', render(make_record()))
    assert len(ids) > 5
    assert len(ids) == len(set(ids))


def test__page__many_features__no_curve(make_record: MakeRecord) -> None:
    """With several inputs there is no curve, and nothing else is missing."""
    page = Page(render(make_record(extra=2, test=False)))
    assert page.tags.count("svg") == 5
    assert "R² test" not in page.text


def test__page__interrupted__says_so(make_record: MakeRecord) -> None:
    """A reader learns that the search was stopped."""
    assert "stopped by the user" in render(replace(make_record(), interrupted=True))
