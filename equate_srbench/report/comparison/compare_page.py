"""The report of a benchmark run: an HTML page with its figures, tables and rows."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from equate_srbench.baselines.methods import spec
from equate_srbench.bench.rows import RowStore
from equate_srbench.report.comparison import published_overlay
from equate_srbench.report.figures import compare_figures
from equate_srbench.report.figures.rendering import draw_images
from equate_srbench.report.formatting import significant
from equate_srbench.report.page_templates import render_page
from equate_srbench.report.tables import compare
from equate_srbench.report.tables.compare import Block
from equate_srbench.runtime.files import publish

#: Captions of the figures, in the order of the page.
CAPTIONS = {
    "triple": "Accuracy, size and time. Bars are 95 % bootstrap intervals over the data sets.",
    "trade_off": "Mean ranks. The line joins the methods that no other method beats in both.",
    "profile": "Share of data sets on which a method reaches at least the accuracy on the axis.",
    "convergence": "Share of fits that have found a formula that is accurate on the fit rows, over "
    "time.",
    "ranks": "Mean rank of test R² (left is better). A bar joins methods that do not differ "
    "significantly (Wilcoxon test, Holm's correction).",
    "data_sets": "All data sets, the hardest at the top. Points at ≤ 0 include failed fits.",
}


class NoRowsError(ValueError):
    """The folder has no benchmark rows to report on."""


def write_report(run: Path, folder: Path | None = None) -> Path:
    """Write the report of a benchmark run.

    Parameters
    ----------
    run : Path
        Folder written by ``equate bench``; rows that arrive later go into the next report.
    folder : Path, optional
        Output folder; ``RUN/report`` by default.

    Returns
    -------
    Path
        The page, ``report.html``: self-contained, without scripts or requests.

    Raises
    ------
    NoRowsError
        If ``run`` has no rows.
    """
    frame = read_rows(run)
    folder = run / "report" if folder is None else folder
    blocks = compare.blocks(frame)
    contents: dict[str, str | bytes] = {}
    sections = []
    for block in blocks:
        table = compare.summary(block) if block.pairs else None
        figures = compare_figures.draw(block) if block.pairs else {}
        name = f"{Path(block.suite).name}-{block.noise:g}"
        for kind, figure in figures.items():
            svg, png = draw_images(figure)
            contents |= {f"{name}-{kind}.svg": svg, f"{name}-{kind}.png": png}
        if table is not None:
            contents[f"{name}.md"] = f"**{block.title}**\n\n" + compare.to_markdown(table)
            contents[f"{name}-paired.csv"] = compare.paired(block).to_csv(index=False)
            contents[f"{name}.csv"] = table.to_csv()
        sections.append(
            {
                "block": block,
                "table": None if table is None else table.reset_index().to_dict("records"),
                "pictures": {
                    kind: Markup(contents[f"{name}-{kind}.svg"])  # noqa: S704 - our own SVG
                    for kind in CAPTIONS
                    if kind in figures
                },
                "paired": compare.paired(block).to_dict("records") if block.pairs else [],
                "published": published_overlay.beside(block).to_dict("records"),
                "failures": failures(block),
            }
        )
    page = _page(run, frame, sections, RowStore(run).quarantined())
    rows = io.BytesIO()
    frame.to_parquet(rows, index=False)
    publish(folder, {"rows.parquet": rows.getvalue(), **contents, "report.html": page})
    return folder / "report.html"


def read_rows(run: Path) -> pd.DataFrame:
    """Read all rows of a benchmark run.

    Raises
    ------
    NoRowsError
        If there are none.
    """
    if not (run / "rows").is_dir():
        raise NoRowsError(f"{run} is not a benchmark run: give a folder written by `equate bench`")
    frame = RowStore(run).frame()
    if frame.empty:
        raise NoRowsError(f"{run} has no rows yet: run `equate bench ... --out {run}` first")
    return frame


def write_rows(frame: pd.DataFrame, path: Path) -> None:
    """Write rows as a Parquet file to publish: suites that are folders appear by name only.

    Keys, which contain the folder, and the long traces are left out.
    """
    frame = frame.assign(suite=frame["suite"].map(lambda suite: Path(suite).name))
    frame.drop(columns=["key", "trace"]).to_parquet(path, index=False)


def failures(block: Block) -> list[dict[str, str]]:
    """Fits without a result: data set, method, status and error."""
    rows = block.rows[block.rows["failed"]]
    return [
        {
            "dataset": str(row["dataset"]),
            "method": spec(row["method"]).label,
            "status": str(row["status"]),
            "error": str(row["error"]),
        }
        for _, row in rows.sort_values(["method", "dataset"]).iterrows()
    ]


def conditions(frame: pd.DataFrame) -> dict[str, str]:
    """Conditions under which the rows were made: the distinct values of each, as one line."""
    named = {
        "seeds": "seed", "seconds per fit": "max_time", "most rows to fit": "max_train",
        "scaled": "scale", "version": "package_version", "commit": "commit", "device": "device",
        "threads": "threads", "processor": "cpu", "cores": "cores", "date": "date",
    }  # fmt: skip
    out = {}
    for label, column in named.items():
        if column in frame:
            values = frame[column].dropna().astype(str)
            if column == "date":
                values = values.str[:10]
            out[label] = ", ".join(sorted(set(values))) or "unknown"
    return out


def _page(
    run: Path, frame: pd.DataFrame, sections: list[dict[str, object]], quarantined: dict[str, str]
) -> str:
    return render_page(
        "compare.html.jinja",
        {"percent": lambda v: "-" if v != v else f"{100 * v:.1f}", "number": significant(4)},
        run=run.name,
        n_rows=len(frame),
        sections=sections,
        captions=CAPTIONS,
        conditions=conditions(frame),
        quarantined=quarantined,
        spec=spec,
    )
