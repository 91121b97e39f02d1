"""Draw the figures of the README from real fits: ``python docs/pictures/make.py``."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from equate_srbench import EquateRegressor
from equate_srbench.data import SHIPPED
from equate_srbench.data.reading import load_table
from equate_srbench.report.figures import fit_figures
from equate_srbench.report.figures.colours import COLOURS
from equate_srbench.report.tables.record import FitRecord, RowSubset

HERE = Path(__file__).parent
WIDTH = 720
FRAME = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"
 viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif">
<style>{colours}</style>
<rect width="{width}" height="{height}" rx="10" fill="var(--card)" stroke="var(--grid)"/>
{parts}
</svg>
"""


def fit(name: str) -> FitRecord:
    """Fit a shipped table with the defaults of the package."""
    table = SHIPPED[name]
    problem = load_table(name)
    rows = RowSubset(problem.X, problem.y.to_numpy(np.float64))
    estimator = EquateRegressor(random_state=0).fit(rows.X, rows.y)
    return FitRecord.of(estimator, rows, table=name, target=table.target)


def stack(*figures: tuple[str, float]) -> str:
    """Stack SVG figures vertically, each centred with its share of the width."""
    y, parts = 18.0, []
    for svg, share in figures:
        _, _, w, h = map(float, re.search(r'viewBox="([^"]+)"', svg)[1].split())
        width = share * WIDTH
        height = width * h / w
        place = (
            f'x="{(WIDTH - width) / 2:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
        )
        opening = re.sub(r' (?:width|height)="[^"]+"', "", svg[: svg.index(">")])
        parts.append(opening.replace("<svg", f"<svg {place}", 1) + svg[svg.index(">") :])
        y += height + 14.0
    return FRAME.format(width=WIDTH, height=round(y), colours=COLOURS, parts="\n".join(parts))


def main() -> None:
    """Draw formula, curve and Pareto front for the first command of the README."""
    record = fit("kepler")
    formula = fit_figures.formula(f"\\mathrm{{{record.target}}} = {record.equation.to_latex()}")
    picture = stack(
        (formula, 0.26), (fit_figures.curve(record), 0.95), (fit_figures.front(record), 0.95)
    )
    (HERE / "kepler.svg").write_text(picture, encoding="utf-8", newline="\n")
    print(record.equation, f"in {record.seconds:.1f} s")


if __name__ == "__main__":
    main()
