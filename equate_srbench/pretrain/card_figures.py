"""Figures of the model card, as reproducible SVGs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from equate_srbench.pretrain.scores import Interval

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

_DARK, _LIGHT = "#1f4e79", "#c8d4e3"


@contextmanager
def _axes(path: Path) -> Iterator[Axes]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "equate", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(6.0, 2.6), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        yield axes
        figure.savefig(path, format="svg", metadata={"Date": None})


def draw_loss(log: Mapping[str, Sequence[float]], path: Path, deepened: Sequence[int] = ()) -> None:
    """Loss per token against examples, from the columns of ``log.csv``.

    ``deepened`` are the numbers of examples at which layers were added.
    """
    with _axes(path) as axes:
        examples = log["examples"]
        axes.plot(examples, log["loss"], color=_LIGHT, linewidth=0.8, label="mean of 10 s")
        axes.plot(examples, log["loss_smooth"], color=_DARK, label="running mean")
        for i, n in enumerate(deepened):
            label = "deepened" if i == 0 else None
            axes.axvline(n, color="#b5651d", linestyle=":", linewidth=1.2, label=label)
        axes.set(xscale="log", xlabel="examples", ylabel="loss per token (nats)")
        axes.set_ylim(top=min(5.0, max(log["loss"])))
        axes.legend(frameon=False)


def draw_scores(examples: Sequence[int], shares: Sequence[Interval], path: Path) -> None:
    """Fraction of fits with R2 > .99 against training examples, with 95 % intervals."""
    with _axes(path) as axes:
        means = [100 * s.mean for s in shares]
        below = [100 * (s.mean - s.low) for s in shares]
        above = [100 * (s.high - s.mean) for s in shares]
        millions = [n / 1e6 for n in examples]
        axes.errorbar(
            millions, means, yerr=[below, above], color=_DARK, ecolor="#8aa4c0", marker="o",
            markersize=4, capsize=3, linewidth=1.2,
        )  # fmt: skip
        axes.set(xlabel="million examples seen", ylabel="fits with R2 > .99 (%)")
        axes.set_xlim(left=0.0)
