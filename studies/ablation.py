"""What each part of the method is worth: the studies in ``docs/results/ablation.md``.

    python studies/ablation.py run --out runs/ablation --core 0
    python studies/ablation.py publish --out runs/ablation

``run`` makes the fits of all variants through `equate bench`'s runner and can be stopped and
started again at any time: 20 variants on 21 data sets with 3 seeds, 1 to 2 hours of a free core
(1 second of processor time where the backbone's first formulas are exact, 5 to 12 elsewhere).
Variants of the published part do equal work, whatever the machine is busy with; those with edits,
which always go on until the time is up, have 8 seconds.

``publish`` writes tables, pictures and rows; what stands between the marks of a study in the page
(the reading of its figures) is kept.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from readings import kept
from rich.console import Console

from equate_srbench.bench.execution.engines import make_engine
from equate_srbench.bench.execution.run import run as run_tasks
from equate_srbench.bench.execution.run_view import BenchProgress
from equate_srbench.bench.rows import RowStore
from equate_srbench.bench.suites.loading import load_suite
from equate_srbench.bench.task import SEEDS, Task
from equate_srbench.equate.settings import EquateSettings
from equate_srbench.report.comparison.compare_page import (
    conditions,
    read_rows,
    write_rows,
)
from equate_srbench.report.figures import compare_figures
from equate_srbench.report.figures.rendering import draw_images
from equate_srbench.report.tables import compare
from equate_srbench.runtime.files import publish as publish_files

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"
N_SEEDS = 3
#: Seconds of a fit: those with edits use them up, the others end before.
EDIT_SECONDS, MOST_SECONDS = 8.0, 300.0
#: Suite -> k: every k-th of its datasets is used.
SETS = (("feynman", 9), ("strogatz", 2))
#: What the variants of the published part change in preset ``paper``: the search goes on until the
#: fit is exact, not until R2 > .99, so that there is something to see of it, and all counts are
#: smaller, so that hours are enough.
COMMON: dict[str, Any] = {
    "stop_r2": 1.0 - 1e-9, "n_subsets": 8, "samples": 2, "max_points": 100, "epochs": 4,
    "batch": 16, "max_rows": 64, "starts": 3, "best_samples": 0, "block": 5,
    "ladder": [0.5, 1.0, 2.0],
}  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """One way to fit.

    Attributes
    ----------
    label : str
    method : str
        Key of the registry.
    given : dict
        Parameters of the estimator.
    changes : dict
        Fields of ``EquateSettings``.
    """

    label: str
    method: str = "equate-paper"
    given: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """As a task has them."""
        common = COMMON if self.method == "equate-paper" else {}
        return {**self.given, "settings": {**common, **self.changes}}

    @property
    def seconds(self) -> float:
        """Of wall clock, at most."""
        return MOST_SECONDS if self.method == "equate-paper" else EDIT_SECONDS


@dataclass(frozen=True)
class Study:
    """One question, and the variants that answer it."""

    name: str
    question: str
    expected: str
    variants: tuple[Variant, ...]


BASE = Variant("base")
FRESH = Variant("fresh modules", changes={"amortised": False})
#: Fresh modules hardly move anything after COMMON's four epochs (flip rate .03 on bacres1), so that
#: what needs fresh ones could not be compared. Eight epochs at ten times the rate cost half of
#: sixteen at the usual one and move more (.30 and .17 there). Nothing is held out: with the few
#: formulas of such a run the first epoch often counts as the best by chance, and nothing is learnt.
TRAINED: dict[str, Any] = {"amortised": False, "epochs": 8, "lr": 3e-3, "held_out": 0.0}
LONGER = Variant("fresh, trained longer", changes=TRAINED)

STUDIES = (
    Study(
        "modes",
        "Which weights should be trained?",
        "The publication: the frozen backbone with a trained last layer is best, random weights "
        "fail (negative R²).",
        (
            BASE,
            *(Variant(mode, given={"finetune": mode}) for mode in ("full", "lora", "random")),
        ),
    ),
    Study(
        "steps",
        "Is accuracy monotone in the steps of the search?",
        "The publication tracks 0 to 20 steps. More steps begin with the same ones and the answer "
        "comes from everything seen, so the fit cannot get worse; test rows may.",
        (*(Variant(f"{n} step{'s' * (n != 1)}", changes={"steps": n}) for n in (0, 1, 2, 5, 10)),
         BASE),
    ),
    Study(
        "lambda",
        "What does the weight of simplicity trade?",
        "The publication: larger values give shorter formulas.",
        (Variant("lam 0", given={"lam": 0.0}), BASE,
         Variant("lam .5", given={"lam": 0.5}), Variant("lam 1", given={"lam": 1.0})),
    ),
    Study(
        "joint",
        "What should the ascent move: an embedding of the memory's shape, or one vector?",
        "The publication does not say. One vector shifts all rows of the memory alike, which "
        "attention patterns do not see.",
        (LONGER, Variant("one vector", changes={**TRAINED, "joint": "shift"})),
    ),
    Study(
        "pooling",
        "Must the evaluator read rows by attention?",
        "Derivation: the gradient of a mean is one shift of all rows, so that mean pooling should "
        "hardly move what is decoded (flip rate).",
        (LONGER, Variant("mean pooling", changes={**TRAINED, "pooling": "mean"})),
    ),
    Study(
        "amortised",
        "Are modules pretrained on synthetic data worth it?",
        "Not in the publication.",
        (BASE, FRESH, LONGER),
    ),
    Study(
        "sources",
        "Where do the good formulas come from?",
        "The publication has backbone and ascent; edits are an addition of this package.",
        (
            Variant("backbone", changes={"sources": ["backbone"]}),
            BASE,
            Variant("edits", "equate", changes={"sources": ["edits"]}),
            Variant("backbone, edits", "equate", changes={"sources": ["backbone", "edits"]}),
            Variant("all", "equate"),
        ),
    ),
)  # fmt: skip
VARIANTS = tuple({v.label: v for study in STUDIES for v in study.variants}.values())


def tasks(*, seeds: int = N_SEEDS, sets: int | None = None) -> list[Task]:
    """All fits, data set by data set, so that a stopped run compares all variants."""
    found = [
        (suite, dataset) for suite, every in SETS for dataset in load_suite(suite).datasets[::every]
    ]
    return [
        Task(suite=suite, dataset=dataset, method=variant.method, settings=variant.settings,
             seed=seed, max_time=variant.seconds)
        for seed in SEEDS[:seeds]
        for suite, dataset in found[:sets]
        for variant in VARIANTS
    ]  # fmt: skip


def make_rows(wanted: list[Task], out: Path, core: int | None) -> int:
    """Make the rows that are missing, one fit at a time, one thread each; 130 if interrupted."""
    os.environ["OMP_NUM_THREADS"] = "1"
    if core is not None:
        os.sched_setaffinity(0, {core})
    engine = make_engine("local", jobs=1)
    with BenchProgress(Console(stderr=True, highlight=False)) as progress:
        summary = run_tasks(wanted, RowStore(out), engine, progress=progress)
    if not summary.interrupted:
        engine.shutdown()
    print(f"{summary.done} done, {summary.failed} failed, {summary.kept} were there, "
          f"{summary.missing} to go; {summary.seconds / 3600:.2f} hours")  # fmt: skip
    return 130 if summary.interrupted else 0


def labelled(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows with the variant's label as their method; rows of no variant are left out."""
    names = {(v.method, json.dumps(v.settings, sort_keys=True)): v.label for v in VARIANTS}
    keys = zip(frame["method"], frame["settings"], strict=True)
    frame = frame.assign(method=[names.get(key) for key in keys], suite="ablation")
    return frame[frame["method"].notna()].reset_index(drop=True)


def publish(out: Path, results: Path = RESULTS) -> None:
    """Tables, pictures and rows into ``docs/results``."""
    frame = labelled(read_rows(out))
    page = results / "ablation.md"
    n_sets, n_seeds = frame["dataset"].nunique(), frame["seed"].nunique()
    lines = [
        "# What each part of the method is worth", "",
        f"Made by `python studies/ablation.py` from `ablation_rows.parquet`: {n_sets} "
        f"ground-truth sets, {n_seeds} seeds, compact backbone. *base* is preset `paper` with "
        "smaller counts (see the script): frozen backbone, 20 steps, lam .1, joint embedding of "
        "the memory's shape, attention pooling, pretrained modules; it ends at an exact fit, not "
        "at R² > .99 as published. The other variants differ from it by what they are called, "
        "and do the same work; those that cannot start from pretrained modules train "
        f"{TRAINED['epochs']} epochs at a rate of {TRAINED['lr']:g} instead of "
        f"{COMMON['epochs']} at {EquateSettings().lr:g} (with no formulas held out to say when to "
        "stop: they are too few), and so does *fresh, trained longer*, the "
        f"one to compare them with. Variants with edits have {EDIT_SECONDS:g} seconds. "
        "Shares in %, with 95 % bootstrap intervals over data sets; test rows take no part in a "
        "fit. Of the ascent: *flip rate*, the share of gradient steps with a formula not seen "
        "before; *valid*, the share of its formulas that are defined on the rows; *rank "
        "correlation* (Spearman) of the evaluator's scores with the true ones over all of them.",
        "",
        "; ".join(f"{name}: {value}" for name, value in conditions(frame).items()) + ".", "",
    ]  # fmt: skip
    files: dict[str, str | bytes] = {}
    for study in STUDIES:
        rows = frame[frame["method"].isin([v.label for v in study.variants])]
        block = compare.blocks(rows)[0] if len(rows) else None
        lines += [f"## {study.question}", "", study.expected, ""]
        if block is None or len(block.methods) < len(study.variants):
            lines += ["Not run yet.", ""]
        else:
            lines += _tables(block, study)
            files[f"{study.name}.svg"] = draw_images(compare_figures.triple(block))[0]
            lines += [f"![Accuracy, size and time](ablation/{study.name}.svg)", ""]
        lines += [*kept(page, study.name), ""]
    publish_files(results / "ablation", files)
    write_rows(frame, results / "ablation_rows.parquet")
    page.write_text("\n".join(lines), encoding="utf-8")


def _tables(block: compare.Block, study: Study) -> list[str]:
    """Accuracy, the search, and every variant against the first in the study's order."""
    order = [v.label for v in study.variants]
    lines = [compare.to_markdown(compare.summary(block).loc[order]), "",
             "| variant | flip rate | valid | rank correlation | mean R², clipped at 0 |",
             "| --- | --- | --- | --- | --- |"]  # fmt: skip
    for label in order:
        rows = block.rows[block.rows["method"] == label]
        said = [json.loads(text) or {} for text in rows["diagnostics"]]
        told = pd.DataFrame(said, index=rows.index)
        cells = [
            mean(told[name], rows["dataset"]) if name in told else "-"
            for name in ("flip_rate", "validity_rate", "rank_correlation")
        ]
        clipped = rows["accuracy"].clip(lower=0.0)
        lines.append(f"| {label} | {' | '.join([*cells, mean(clipped, rows['dataset'])])} |")
    pairs = compare.paired(block)
    against = [f"{p.b} {p.wins}/{p.ties}/{p.losses} (p {p.p_holm:.2g})" for p in pairs.itertuples()]
    best = pairs["a"][0] if len(pairs) else order[0]
    return [*lines, "", f"{best} better/equal/worse, set by set (Wilcoxon, Holm): "
            f"{', '.join(against)}.", ""]  # fmt: skip


def mean(values: pd.Series, dataset: pd.Series, digits: int = 2) -> str:
    """Mean over data sets with its 95 % interval."""
    per_set = values.astype(float).groupby(dataset).mean().dropna().to_numpy()
    if not len(per_set):
        return "-"
    low, high = compare.interval(per_set)
    ends = "" if np.isnan(low) else f" ({low:.{digits}f} to {high:.{digits}f})"
    return f"{per_set.mean():.{digits}f}{ends}"


def command_line(about: str | None, name: str) -> argparse.ArgumentParser:
    """The command line of a study, whose rows lie in ``runs/NAME`` unless told otherwise."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("run", "publish"))
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / name)
    parser.add_argument("--core", type=int, help="pin to this core")
    parser.add_argument("--seeds", type=int, default=N_SEEDS)
    parser.add_argument("--sets", type=int, help="only the first sets, for a trial")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where to publish")
    return parser


def main() -> None:
    """Make the fits, or publish them."""
    args = command_line(__doc__, "ablation").parse_args()
    if args.action == "run":
        wanted = tasks(seeds=args.seeds, sets=args.sets)
        raise SystemExit(make_rows(wanted, args.out, args.core))
    publish(args.out, args.results)


if __name__ == "__main__":
    main()
