"""The Pareto front of a fit, for selecting a formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import traitlets

from equate_srbench.equation import Equation
from equate_srbench.report.figures import fit_figures
from equate_widgets.panel_view import PanelView, numbers

#: Maximum number of candidates drawn; those that would overlap are left out.
MAX_CANDIDATES = 1500


class FrontPanel(PanelView):
    """Accuracy against size: candidates and the Pareto front; click to select a formula.

    Parameters
    ----------
    est : EquateRegressor
        Fitted, or any object with its ``equation_``, ``equations_`` and ``candidates_``.
    title, target : str, default=""
        Heading, and name of the predicted column.

    Attributes
    ----------
    selected : str
        Text of the selected formula; link it with ``EquationPanel.formula``.
    log_loss : bool
        Whether the vertical axis is the loss on a logarithmic scale instead of R2.
    """

    _module = "front_panel.js"
    data = traitlets.Dict().tag(sync=True)
    selected = traitlets.Unicode("").tag(sync=True)
    log_loss = traitlets.Bool(False).tag(sync=True)

    def __init__(self, est: Any, *, title: str = "", target: str = "", **kwargs: Any) -> None:
        self._est = est
        data = front_data(est, title=title, target=target)
        super().__init__(**{"data": data, "selected": str(est.equation_), **kwargs})

    @property
    def equation(self) -> Equation | None:
        """The selected formula, None if nothing is selected."""
        if not self.selected:
            return None
        return Equation.from_string(self.selected, self._est.equation_.feature_names)

    def static_html(self) -> str:
        """Static figure of the front."""
        est = self._est
        chosen = est.equations_[est.equations_["equation"] == self.selected]
        return fit_figures.accuracy_size(est.candidates_, est.equations_, chosen.head(1))


def front_data(est: Any, *, title: str = "", target: str = "") -> dict[str, Any]:
    """Data for ``draw_front.js``: one entry per candidate, and the indices of the front."""
    names = est.equation_.feature_names
    front, answer = est.equations_, str(est.equation_)
    cloud = est.candidates_
    cloud = cloud[np.isfinite(cloud["r2"])]
    wanted = set(front["equation"]) | {answer}
    kept = pd.concat(
        [
            cloud[cloud["equation"].isin(wanted)].sort_values("loss").drop_duplicates("equation"),
            fit_figures.thinned(cloud[~cloud["equation"].isin(wanted)], "complexity"),
        ]
    ).head(MAX_CANDIDATES)
    place = {text: i for i, text in reversed(list(enumerate(kept["equation"])))}
    return {
        "title": title,
        "target": target,
        "total": len(cloud),
        "equation": kept["equation"].tolist(),
        "latex": [Equation.from_string(text, names).to_latex() for text in kept["equation"]],
        "source": kept["source"].tolist(),
        "complexity": kept["complexity"].astype(int).tolist(),
        "r2": numbers(kept["r2"]),
        "loss": numbers(kept["loss"]),
        "front": [place[text] for text in front["equation"] if text in place],
        "chosen": place.get(answer, -1),
    }
