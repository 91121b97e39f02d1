"""The views in a real browser, against a model that only remembers."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="the extra `widgets` is not installed")

from equate_srbench.equation import Equation
from equate_srbench.report.figures.colours import DARK, LIGHT
from equate_widgets import EquationPanel, FrontPanel, LiveFit, TrajectoryPanel
from tests.widgets.made_up import HOSTILE, make_fit

pytestmark = pytest.mark.browser


def views_of(fit, X, y):
    """One of each view, as a reader would find it."""
    live = LiveFit(fit)
    live.state = {**live.state, "running": True, "equation": "x0", "latex": "x_{0}"}
    return [
        FrontPanel(fit, title="t", target="y"),
        EquationPanel(fit, X, y, target="force"),
        TrajectoryPanel(fit, title="t", target="y"),
        live,
    ]


@pytest.mark.parametrize("n", [0, 1, 1000])
def test__front__candidates__all_drawn(open_view, n):
    """None, one, a thousand: a front, a list of it, and a measured first paint."""
    fit = make_fit(n)
    page = open_view(FrontPanel(fit))
    assert page.locator("tbody tr").count() == len(fit.equations_)
    assert page.locator(".chart .dot").count() == len(fit.equations_)
    assert page.locator("tbody math").count() == len(fit.equations_)
    print(f"first paint with {n} candidates: {page.evaluate('equate.painted'):.0f} ms")


def test__front__no_data__says_so(open_view, fit):
    """A view before there is anything to show."""
    panel = FrontPanel(fit)
    panel.data = {}
    assert "no formulas yet" in open_view(panel).inner_text("#view")


def test__front__click__selects_and_describes(open_view, fit):
    """A click on a row of the list selects that formula in the model."""
    page = open_view(FrontPanel(fit))
    page.locator("tbody tr").nth(2).click()
    assert page.evaluate("equate.get('selected')") == fit.equations_["equation"].iloc[2]
    assert page.locator("tr[aria-selected=true]").count() == 1


def test__front__keyboard__walks_along_the_front(open_view, fit):
    """Arrow keys go from formula to formula and stop at the ends."""
    page = open_view(FrontPanel(fit))
    page.locator(".plot").focus()
    for _ in range(2):
        page.keyboard.press("ArrowLeft")
    texts = fit.equations_["equation"].tolist()
    assert page.evaluate("equate.get('selected')") == texts[-3]
    for _ in range(9):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("equate.get('selected')") == texts[-1]


def test__front__hover__shows_the_formula_typeset(open_view, fit):
    """The nearest formula is read below the picture, as mathematics."""
    page = open_view(FrontPanel(fit, selected=""))
    assert page.locator(".card math").count() == 0
    page.locator(".dot").nth(1).hover()
    assert page.locator(".card math").count() == 1
    assert "R²" in page.inner_text(".card")


def test__front__log_loss__switches_the_axis_and_the_trait(open_view, fit):
    """The height becomes the loss, and Python knows."""
    page = open_view(FrontPanel(fit))
    page.get_by_label("log loss").check()
    assert page.evaluate("equate.get('log_loss')") is True
    assert "mean squared error" in page.locator("svg.chart").text_content()


def test__front__python_selects__marked(open_view, fit):
    """Another panel's choice is shown, an unknown one unmarks."""
    page = open_view(FrontPanel(fit))
    page.evaluate("(text) => equate.set('selected', text)", fit.equations_["equation"].iloc[0])
    assert page.locator("tr[aria-selected=true]").inner_text().startswith("1")
    page.evaluate("equate.set('selected', 'unknown')")
    assert page.locator("tr[aria-selected=true]").count() == 0


def test__equation__tree__every_node_with_its_impact(open_view, fit, table):
    """Nodes are buttons; a chosen branch can be pruned, a constant cannot."""
    page = open_view(EquationPanel(fit, *table))
    nodes = page.locator("[data-node]")
    assert nodes.count() == fit.equation_.size
    assert page.get_by_text("prune branch and refit").is_disabled()
    nodes.nth(1).focus()
    page.keyboard.press("Enter")
    page.get_by_text("prune branch and refit").click()
    assert page.evaluate("equate.sent") == [{"do": "prune", "node": 1}]
    assert "R² falls" in page.inner_text(".hint") or "undefined" in page.inner_text(".hint")


def test__equation__slider__sends_the_constants_once_at_a_time(open_view, fit, table):
    """While Python is busy only the last position is kept."""
    page = open_view(EquationPanel(fit, *table))
    slider = page.locator("input[type=range]").first
    slider.focus()
    page.keyboard.press("ArrowRight")
    first = page.evaluate("equate.get('constants')")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("equate.get('constants')") == first
    assert first[0] > fit.equation_.constants[0]
    page.evaluate("equate.set('live', equate.get('live'))")
    assert page.evaluate("equate.get('constants')")[0] > first[0]


def test__equation__new_formula__its_own_size(open_view, fit, table):
    """Scores may arrive before the formula that they belong to."""
    page = open_view(EquationPanel(fit, *table))
    page.evaluate("equate.set('view', {...equate.get('view'), complexity: 99})")
    assert page.inner_text("[data-fact=size]") == "99"


def test__views__keys__are_not_jupyterlabs(open_view, fit, table):
    """Keys pressed in a view stay in it; those with Ctrl go on to whoever saves or closes."""
    for view in views_of(fit, *table):
        page = open_view(view)
        note = "() => { document.onkeydown = (e) => { (globalThis.keys ??= []).push(e.key); }; }"
        page.evaluate(note)
        page.locator(".equate-view").locator("button, input, [tabindex]").first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Control+s")
        assert page.evaluate("globalThis.keys") == ["Control", "s"]


def test__equation__refit_and_undo__sent(open_view, fit, table):
    """Buttons ask Python."""
    page = open_view(EquationPanel(fit, *table))
    page.get_by_text("refit constants").click()
    page.get_by_text("undo all").click()
    assert page.evaluate("equate.sent") == [{"do": "refit"}, {"do": "reset"}]


def test__equation__copies__hold_all_three_texts(open_view, fit, table):
    """LaTeX, SymPy and Python, word for word."""
    page = open_view(EquationPanel(fit, *table))
    assert page.locator("pre").all_text_contents() == [
        fit.equation_.to_latex(), str(fit.equation_), fit.equation_.to_numpy(),
    ]  # fmt: skip


def test__equation__one_column__curve(open_view):
    """One feature: the formula is drawn through the rows."""
    X = np.linspace(-1, 1, 40)[:, None]
    page = open_view(EquationPanel(Equation.from_string("x_0**2"), X, X[:, 0] ** 2))
    assert page.locator(".chart .curve").count() == 2


def test__trajectory__slider_and_keys__show_steps(open_view, fit):
    """Each step tells its formula, scores, distance and verdict, and the model its row."""
    page = open_view(TrajectoryPanel(fit))
    slider = page.locator("input[type=range]")
    slider.focus()
    page.keyboard.press("Home")
    assert "step 0 of 5" in page.inner_text(".controls")
    page.keyboard.press("ArrowRight")
    assert "step 1 of 5" in page.inner_text(".controls")
    row = page.evaluate("equate.get('row')")
    steps = page.evaluate("equate.get('data')")["steps"]
    assert steps["step"][row] == 1
    assert page.evaluate("equate.get('equation')") == steps["equation"][row]
    facts = page.inner_text(".card")
    assert all(word in facts for word in ("predicted", "moved", "score", "accepted"))
    assert page.locator(".way").get_attribute("d").startswith("M")


def test__trajectory__play__runs_to_the_end(open_view, fit):
    """Play begins anew at the end, and stops there."""
    page = open_view(TrajectoryPanel(fit))
    page.get_by_label("play").click()
    page.wait_for_function("equate.get('row') >= 0")
    page.get_by_label("pause").wait_for()
    page.get_by_label("play").wait_for()
    assert "step 5 of 5" in page.inner_text(".controls")


def test__trajectory__python_sets_row__shown(open_view, fit):
    """The trait moves the view, also to another start."""
    page = open_view(TrajectoryPanel(fit))
    data = page.evaluate("equate.get('data')")["steps"]
    page.evaluate("(row) => equate.set('row', row)", data["start"].index(2))
    assert page.locator("select").input_value() == "start 2"


def test__trajectory__empty__says_so(open_view):
    """A fit that ended before its search."""
    fit = make_fit()
    fit.trajectory_, fit.embeddings_ = fit.trajectory_.iloc[:0], fit.embeddings_[:0]
    assert "no steps" in open_view(TrajectoryPanel(fit)).inner_text("#view")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "version 2"),
        ({"kind": "other"}, "not a trajectory"),
        ({"steps": {"start": [0]}}, "damaged trajectory"),
        ({"path": {"x": [1], "y": [1]}}, "one point per row"),
    ],
)
def test__trajectory__foreign_file__refused_in_words(open_view, fit, change, words):
    """A damaged or newer file is named, not drawn."""
    panel = TrajectoryPanel(fit)
    panel.data = {**panel.data, **change}
    assert words in open_view(panel).inner_text("[role=alert]")


def test__trajectory__5000_steps__at_most_a_megabyte_and_drawn(open_view):
    """A long search is thinned in Python and still drawn."""
    panel = TrajectoryPanel(make_fit(n_steps=900))
    text = json.dumps(panel.data, ensure_ascii=False)
    assert len(text.encode()) <= 1_000_000
    assert panel.data["rows_total"] > 5000
    page = open_view(panel)
    moved = page.evaluate(
        "() => { const s = document.querySelector('input'); const t = performance.now();"
        "for (let k = 0; k < 20; k++) { s.value = k; s.dispatchEvent(new Event('input')); }"
        "return (performance.now() - t) / 20; }"
    )
    painted = page.evaluate("equate.painted")
    print(f"{len(text)} bytes, first paint {painted:.0f} ms, {moved:.1f} ms per step")


def test__live__stop__sent_and_hidden_at_the_end(open_view, fit, table):
    """The button asks Python; a finished fit has none."""
    view = views_of(fit, *table)[3]
    page = open_view(view)
    page.get_by_text("stop, keep the best").click()
    assert page.evaluate("equate.sent") == [{"do": "stop"}]
    page.evaluate("equate.set('state', {...equate.get('state'), running: false, ending: 'done'})")
    assert page.get_by_text("stop, keep the best").is_hidden()
    assert "done" in page.inner_text("#view")


@pytest.mark.parametrize("i", range(4))
def test__views__hostile_names__are_text(open_view, i):
    """No name is ever read as markup, in no view; long ones do not widen the page."""
    fit = make_fit(30, names=HOSTILE)
    X = np.random.default_rng(0).uniform(1, 3, (50, len(HOSTILE)))
    view = views_of(fit, X, X[:, 0])[i]
    if i == 3:
        view.state = {**view.state, "equation": HOSTILE[0], "error": HOSTILE[1]}
    else:
        named = {"title": HOSTILE[0], "target": HOSTILE[1]}
        data = "view" if i == 1 else "data"
        setattr(view, data, {**getattr(view, data), **named})
    page = open_view(view)
    assert page.evaluate("globalThis.hacked") is None
    assert page.locator("#view img, #view script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1000


@pytest.mark.parametrize("i", range(4))
def test__views__dark_theme__other_colours(open_view, fit, table, i):
    """The system's dark scheme, and JupyterLab's own, which wins."""
    view = views_of(fit, *table)[i]
    page = open_view(view, "dark")
    look = "getComputedStyle(document.querySelector('#view')).backgroundColor"
    assert page.evaluate(look) == "rgb(20, 23, 28)"
    page.evaluate("document.body.dataset.jpThemeLight = 'true'")
    assert page.evaluate(look) == "rgb(251, 250, 247)"


def test__css__source_colours__are_the_reports(fit):
    """One colour per source everywhere."""
    from equate_widgets.assets import css

    names = "accent train test backbone ascent edit shorten constant family"
    for name in names.split():
        light, dark = (re.search(rf"--{name}: (#\w+);", text)[1] for text in (LIGHT, DARK))
        assert f"--{name}: light-dark({light}, {dark});" in css()


def test__typeset__every_operator_and_awkward_names__understood(open_view):
    """All that our printer can print becomes MathML; nothing falls back to code."""
    names = ["theta", "x_1", "a b", "100%", "R&D", "~x^2", "{y}", "it's"]
    text = (
        "abs(theta) + sqrt(x_1) - exp(theta)*log(`a b`)/sin(`100%`) + cos(`R&D`)**3 "
        "+ tan(`{y}`) + arcsin(x_1) + arccos(x_1) + arctan(x_1) + tanh(`it's`) - 1.5e-7*(`~x^2`)"
    )
    equation = Equation.from_string(text, names)
    X = np.random.default_rng(0).uniform(0.1, 0.9, (20, 8))
    page = open_view(EquationPanel(equation, X, X[:, 0]))
    assert page.locator(".card .formula math").count() == 1
    shown = page.locator(".card .formula").inner_text()
    assert all(name in shown for name in ("a b", "100%", "R&D", "{y}"))
