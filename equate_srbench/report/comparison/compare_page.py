"""A benchmark's rows as one folder: page, pictures, tables, and the rows themselves."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from equate_srbench.baselines.methods import spec
from equate_srbench.bench.rows import RowStore
from equate_srbench.report.figures import compare_figures
from equate_srbench.report.tables import compare
from equate_srbench.report.tables.compare import Block
from equate_srbench.runtime.files import publish

#: What each picture shows, in the order of the page.
CAPTIONS = {
    "triple": "Accuracy, size and time. Bars are 95 % bootstrap intervals over the data sets.",
    "trade_off": "Mean ranks. The line joins the methods that no other beats in both.",
    "profile": "How many data sets are solved to which accuracy.",
    "convergence": "How soon the best formula so far fits the rows it was given.",
    "ranks": "Mean rank of test R² (left is better). A bar joins methods that Wilcoxon's test with "
    "Holm's correction cannot tell apart.",
    "data_sets": "Every data set, the hardest at the top. Points at ≤ 0 include fits that failed.",
}


class NoRowsError(ValueError):
    """A folder without rows to report on."""


def write_report(run: Path, folder: Path | None = None) -> Path:
    """Report on the rows of a benchmark.

    Parameters
    ----------
    run : Path
        Folder that ``equate bench`` wrote; rows that arrive later are in the next report.
    folder : Path, optional
        Where the files go; ``RUN/report`` by default.

    Returns
    -------
    Path
        The page, ``report.html``: self-contained, no script, no network.

    Raises
    ------
    NoRowsError
        If ``run`` holds no rows.
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
                "failures": failures(block),
            }
        )
    page = _page(run, frame, sections, RowStore(run).quarantined())
    rows = io.BytesIO()
    frame.to_parquet(rows, index=False)
    publish(folder, {"rows.parquet": rows.getvalue(), **contents, "report.html": page})
    return folder / "report.html"


def read_rows(run: Path) -> pd.DataFrame:
    """All rows of a benchmark; raises ``NoRowsError`` if there are none."""
    if not (run / "rows").is_dir():
        raise NoRowsError(f"{run} holds no benchmark: give a folder written by `equate bench`")
    frame = RowStore(run).frame()
    if frame.empty:
        raise NoRowsError(f"{run} holds no rows yet: run `equate bench ... --out {run}` first")
    return frame


def write_rows(frame: pd.DataFrame, path: Path) -> None:
    """Rows as one Parquet file for others: folders of this machine go by their names.

    Keys, which have the folder in them, and the long traces are left out.
    """
    frame = frame.assign(suite=frame["suite"].map(lambda suite: Path(suite).name))
    frame.drop(columns=["key", "trace"]).to_parquet(path, index=False)


def failures(block: Block) -> list[dict[str, str]]:
    """Fits without a result: data set, method, status and reason."""
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
    """Under which conditions the rows were made: distinct values of each, as one line."""
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


def draw_images(figure: Figure) -> tuple[str, bytes]:
    """The figure as SVG (without a date, so that equal rows give equal files) and PNG."""
    svg, png = io.StringIO(), io.BytesIO()
    with mpl.rc_context({**compare_figures.STYLE, "svg.hashsalt": "equate"}):
        figure.savefig(svg, format="svg", metadata=dict.fromkeys(("Creator", "Date")))
        figure.savefig(png, format="png", dpi=160)
    text = svg.getvalue()
    return text[text.index("<svg") :], png.getvalue()


def _page(
    run: Path, frame: pd.DataFrame, sections: list[dict[str, object]], quarantined: dict[str, str]
) -> str:
    environment = Environment(
        loader=PackageLoader("equate_srbench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda v: "-" if v != v else f"{100 * v:.1f}"
    environment.filters["number"] = lambda v: "-" if v != v else f"{v:.4g}"
    return environment.get_template("compare.html.jinja").render(
        run=run.name,
        n_rows=len(frame),
        sections=sections,
        captions=CAPTIONS,
        conditions=conditions(frame),
        quarantined=quarantined,
        spec=spec,
    )
