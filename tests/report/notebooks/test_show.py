"""Display helpers: text from outside stays text."""

import html
import re

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from equate_srbench.report.notebooks import show
from equate_srbench.report.notebooks.show import Column


def cell(text: str) -> str:
    """HTML of a table's only cell."""
    table = show.table(pd.DataFrame({"m": [text]}), {"m": Column("formula", str, "wide")})
    return re.search('<td class="wide">(.*)</td>', table.data["text/html"], re.S)[1]


def test__table__long_formula__breaks_between_its_parts():
    """A browser may go to the next line after an operator or a bracket, never inside a number."""
    assert cell("sin(1.25*x0**2)/x1") == "sin(<wbr>1.25*<wbr>x0**<wbr>2)/<wbr>x1"


@given(st.text())
def test__table__any_text__only_breaks_are_markup(text):
    """Without the breaks a cell is the escaped text."""
    got = cell(text).replace("<wbr>", "")
    assert html.unescape(got) == html.unescape(html.escape(text))
    assert "<" not in got
