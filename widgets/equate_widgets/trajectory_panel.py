"""The trajectory of a search, step by step."""

from __future__ import annotations

from typing import Any

import traitlets

from equate_srbench.report.figures import fit_figures
from equate_srbench.report.fit.trajectory_display import payload, steps_table
from equate_widgets.panel_view import PanelView


class TrajectoryPanel(PanelView):
    """Steps of the search: R2 of every proposal, one start step by step, and the embeddings.

    Parameters
    ----------
    est : EquateRegressor
        Fitted.
    title, target : str, default=""

    Attributes
    ----------
    row : int
        Selected row of ``data["steps"]``; -1 if none is selected.
    equation : str
        Text of the selected formula; link it with ``EquationPanel.formula``.
    """

    _module = "trajectory_panel.js"
    data = traitlets.Dict().tag(sync=True)
    row = traitlets.Int(-1).tag(sync=True)
    equation = traitlets.Unicode("").tag(sync=True)

    def __init__(self, est: Any, *, title: str = "", target: str = "", **kwargs: Any) -> None:
        super().__init__(data=payload(est, title, target=target), **kwargs)

    @traitlets.validate("row")
    def _row_exists(self, proposal: Any) -> int:
        n = len(self.data["steps"]["start"])
        if not -1 <= proposal["value"] < n:
            raise traitlets.TraitError(
                f"row {proposal['value']} is out of range: there are rows 0 .. {n - 1}"
            )
        return int(proposal["value"])

    def static_html(self) -> str:
        """Static figure of the proposals."""
        return fit_figures.trajectory(steps_table(self.data))
