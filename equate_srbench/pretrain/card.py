"""The model card of a backbone, from its header, the log of the run and zero-shot scores.

``python -m equate_srbench.pretrain.card --weights FILE --run DIR --rows CSV`` writes ``FILE.md``
and its pictures beside the weights. ``equate_srbench.bench.zeroshot`` makes the rows.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from equate_srbench.backbone import checkpoint, registry
from equate_srbench.pretrain.card_figures import draw_loss, draw_scores
from equate_srbench.pretrain.corpus import examples as corpus
from equate_srbench.pretrain.corpus import generators, natural
from equate_srbench.pretrain.corpus.decontaminate import FILE, MAX_COMMON_NODES, Filter
from equate_srbench.pretrain.corpus.examples import Counts
from equate_srbench.pretrain.corpus.held_out import KINDS, N_EXAMPLES
from equate_srbench.pretrain.log import LOG, TrainingProgress
from equate_srbench.pretrain.scores import (
    SYNTHETIC,
    Interval,
    Score,
    bootstrap,
    clipped,
    groups_of,
    mean_of,
    paired,
    read_rows,
    solved,
    table,
)
from equate_srbench.pretrain.train import SIZES, TrainConfig

#: Comparisons over more seeds are also reported for this many: the others may be added later.
FIRST_SEEDS = 5
HOW_SCORED = (
    "`E2ERegressor` with 2 bags, 32 samples per bag and view at temperature 1 (128 samples) beside "
    "the greedy formulas, all refined; no adaptation, no search, no edits. R2 on held-out quarters "
    "of at most 1000 rows; in brackets 95 % bootstrap intervals (sets drawn anew, and the seeds "
    "of split, bags and samples within each set)."
)


@dataclass(frozen=True)
class Subject:
    """A checkpoint and its scores.

    Attributes
    ----------
    path : Path
    sha256 : str
    n_parameters : int
    config : TrainConfig
    progress : TrainingProgress
    averaged : bool
        Whether the weights are a running average (``train.write_export``).
    scores : list of Score
    """

    path: Path
    sha256: str
    n_parameters: int
    config: TrainConfig
    progress: TrainingProgress
    averaged: bool
    scores: list[Score]

    @classmethod
    def read(cls, path: Path, scores: Iterable[Score]) -> Subject:
        """Read a checkpoint, and select its scores from ``scores``."""
        header = checkpoint.describe(path)
        card: dict[str, Any] = header["card"]
        if not {"config", "training"} <= card.keys():
            raise checkpoint.CheckpointError(f"{path} has no record of its training")
        return cls(
            path,
            header["sha256"],
            sum(p.numel() for p in checkpoint.load(path).parameters()),
            TrainConfig.from_dict(card["config"]),
            TrainingProgress.from_dict(card["training"]),
            card.get("averaged", False),
            [s for s in scores if s.sha256 == header["sha256"]],
        )

    @property
    def on_suites(self) -> list[Score]:
        """Scores on the benchmark suites."""
        return [s for s in self.scores if s.suite != SYNTHETIC]


def read_log(directory: Path) -> dict[str, list[float]]:
    """Read the columns of a run's ``log.csv``; NaN where a line has nothing."""
    with (directory / LOG).open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name] or "nan") for row in rows] for name in rows[0]} if rows else {}


# -- the text ---------------------------------------------------------------------------------


def render(
    subject: Subject,
    *,
    n_forbidden: int,
    loss_picture: str | None = None,
    log: Mapping[str, Sequence[float]] | None = None,
    against: Subject | None = None,
    on_the_way: Sequence[Subject] = (),
    score_picture: str | None = None,
) -> str:
    """The card as Markdown.

    Parameters
    ----------
    subject : Subject
    n_forbidden : int
        Number of fingerprints in the decontamination list.
    loss_picture, score_picture : str, optional
        File names.
    log : mapping of str to sequence of float, optional
        Columns of the run's log, for the held-out losses.
    against : Subject, optional
        The previous checkpoint.
    on_the_way : sequence of Subject
        Scored checkpoints of the run up to this one.
    """
    parts = [
        f"# {subject.path.stem}: what this backbone was trained on, and how well it does",
        _facts(subject),
        f"![loss per token against examples]({loss_picture})" if loss_picture else "",
        _held_out(log or {}),
        "## Corpus",
        _corpus(subject.config),
        "## Decontamination",
        _decontamination(subject.progress, n_forbidden),
        "## Zero-shot scores",
        _scores(subject),
    ]
    if against is not None:
        parts += ["## Against the checkpoint before", _comparison(subject, against)]
    if len(on_the_way) > 1:
        parts += [
            "## Scores against examples seen",
            f"![score against examples seen]({score_picture})" if score_picture else "",
            _on_the_way(on_the_way),
        ]
    parts += ["## Licence, and how to reproduce", _reproduce(subject)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(s: Subject) -> str:
    b, p, c = s.config.backbone, s.progress, s.config
    only = p.devices == ["cpu"]
    times = "each once" if c.corpus.tables == 1 else f"{c.corpus.tables} for each formula"
    facts = {
        "file": f"`{s.path.name}`, half precision; SHA-256 `{registry.digest(s.path)[:16]}`..., of "
        f"contents `{s.sha256[:16]}`...",
        "network": f"{s.n_parameters / 1e6:.2f} M parameters; encoder {b.encoder_layers} x "
        f"{b.encoder_dim}, decoder {b.decoder_layers} x {b.dim}, {b.n_words} tokens",
        "seen": f"{p.examples:,} examples ({p.tokens:,} target tokens), {times}; {p.step:,} steps",
        "effort": f"{p.wall_seconds / 3600:.2f} h of wall clock, "
        f"{p.cpu_seconds / 3600:.2f} core-hours (corpus included), "
        + ("**on CPU only**" if only else f"on {', '.join(p.devices)}"),
        "loss": f"{p.loss:.3f} nats per token at the end (running mean)",
        "weights": "running average over the last steps, at a high rate still"
        if s.averaged
        else "as the optimiser left them",
        "optimiser": f"AdamW, peak {c.lr:g}, {c.warm_up} steps of warm-up, constant, "
        f"then a linear fall to zero; gradient norm <= {c.clip:g}",
        "seeds": f"corpus {c.corpus.seed}, weights {c.seed}",
    }
    if p.deepened:
        facts["deepened"] = "; ".join(
            f"at {d['examples']:,} examples to {d['layers'][0]} + {d['layers'][1]} layers"
            for d in p.deepened
        )
    return "\n".join(["| | |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in facts.items())])


def _corpus(config: TrainConfig) -> str:
    mixture = ", ".join(f"{f.__name__} {w:g}" for f, w in generators.MIXTURE.items())
    noise = ", ".join(f"{level:g} ({w:.0%})" for level, w in zip(*corpus.NOISE, strict=True))
    if config.corpus.natural_formulas:
        others = ", ".join(f"{f.__name__} {w:g}" for f, w in natural.MIXTURE.items())
        mixture += f"; {config.corpus.natural_formulas:.0%} of them as in nature: {others}"
    if config.corpus.natural_tables:
        noise += (
            f". {config.corpus.natural_tables:.0%} of the tables have columns with laws of their "
            "own (`column_laws.own_table`): decades, narrow ranges, integers, one sign, rounded"
        )
    sizes, dropped = corpus.N_POINTS[0], config.corpus.dropped
    thinned = f", of which each batch leaves out up to {dropped:.0%}" if dropped else ""
    return (
        "Random formulas over 1 to 10 columns, drawn on the fly (`pretrain/corpus/generators.py`): "
        f"{mixture}. No data set and no list of formulas went in. The target is the formula "
        f"modulo outer scale and offset, at most {config.corpus.max_tokens} tokens; "
        f"{corpus.STANDARD:.0%} of the examples show standardised columns, the others columns "
        f"divided by powers of ten. Bags of {sizes[0]} to {sizes[-1]} points{thinned}; label noise "
        f"relative to the root mean square: {noise}."
    )


def _held_out(log: Mapping[str, Sequence[float]]) -> str:
    """Table of the held-out losses, at most eight rows; empty if the log has none."""
    if not all(f"held_out_{kind}" in log for kind in KINDS):
        return ""
    columns = [log["examples"], *(log[f"held_out_{kind}"] for kind in KINDS)]
    rows = [row for row in zip(*columns, strict=True) if not any(math.isnan(v) for v in row)]
    if not rows:
        return ""
    shown = sorted({round(i) for i in np.linspace(0, len(rows) - 1, min(8, len(rows)))})
    lines = [
        "## Loss on held-out examples",
        "",
        f"Nats per token on {N_EXAMPLES} examples of each kind that no training sees "
        "(`pretrain/corpus/held_out.py`), weights as they were at that step:",
        "",
        f"| examples seen | {' | '.join(KINDS)} |",
        "| --- " * (1 + len(KINDS)) + "|",
        *(f"| {rows[i][0]:,.0f} | {' | '.join(f'{v:.3f}' for v in rows[i][1:])} |" for i in shown),
    ]
    return "\n".join(lines)


def _decontamination(p: TrainingProgress, n_forbidden: int) -> str:
    parts = [
        f"Formulas whose skeleton equals one of the benchmark suites "
        f"({', '.join(_forbidden()['from'])}) with more than {MAX_COMMON_NODES} nodes are dropped, "
        "whatever their scale, offset, constants, signs, order and names of columns "
        f"({n_forbidden} fingerprints in `{FILE}`)."
    ]
    before, begin = Counts(), 0
    for e in [*p.earlier, {"counts": asdict(p.counts), "filter": p.filter, "examples": p.examples}]:
        n = Counts(**{k: v - getattr(before, k) for k, v in e["counts"].items()})
        drawn = n.kept + n.contaminated + n.too_long + n.undefined
        when = f"Examples {begin:,} to {e['examples']:,}, filter `{e['filter'][:8]}`: of"
        parts.append(
            f"{when if p.earlier else 'Of'} {drawn:,} formulas drawn, **{n.contaminated:,} were "
            f"dropped for this**, {n.undefined:,} because they were undefined, constant or "
            f"dominated by one point on their table, {n.too_long:,} for their length or constants."
        )
        before, begin = Counts(**e["counts"]), e["examples"]
    if p.filter != Filter.shipped().version:
        parts.append(
            f"The run's filter (`{p.filter[:8]}`) is not the present one "
            f"(`{Filter.shipped().version[:8]}`): `python -m "
            "equate_srbench.pretrain.corpus.decontaminate --missed EARLIER` estimates what it let "
            "through."
        )
    return "\n\n".join(parts)


def _share(i: Interval) -> str:
    return f"{i.mean:.1%} [{i.low:.1%}, {i.high:.1%}]"


def _number(i: Interval, sign: str = "") -> str:
    return f"{i.mean:{sign}.3f} [{i.low:{sign}.3f}, {i.high:{sign}.3f}]"


def _scores(s: Subject) -> str:
    if not s.on_suites:
        return "Not scored."
    lines = [
        "| suite | sets x seeds | R2 > .99 | mean R2, negative as 0 | median nodes | median s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    suites = sorted({row.suite for row in s.on_suites})
    parts = {name: [row for row in s.on_suites if row.suite == name] for name in suites}
    for name, rows in (parts | {"**together**": s.on_suites}).items():
        sets, seeds, _ = table(rows, solved)
        nodes, seconds = np.median([(row.nodes, row.seconds) for row in rows], axis=0)
        lines.append(
            f"| {name} | {len(sets)} x {len(seeds)} | {_share(mean_of(rows, solved))} "
            f"| {_number(mean_of(rows, clipped))} | {nodes:.0f} | {seconds:.1f} |"
        )
    groups = groups_of(s.scores)
    if groups["nodes"]:
        lines += [
            "",
            "Formulas drawn from the corpus's generators with a seed of their own, on tables of "
            "their own and without noise (a skeleton may have occurred in training):",
            "",
            "| true formula | formulas | R2 > .99 |",
            "| --- | --- | --- |",
        ]
        for what, part in groups.items():
            for label, rows in part.items():
                share = _share(mean_of(rows, solved))
                lines.append(f"| {what} {label} | {len({r.name for r in rows})} | {share} |")
    return f"{HOW_SCORED}\n\n" + "\n".join(lines)


def _comparison(new: Subject, old: Subject) -> str:
    seeds = sorted({row.seed for row in new.on_suites} & {row.seed for row in old.on_suites})
    lines = [
        f"Differences to the checkpoint before (SHA-256 of contents `{old.sha256[:16]}`..., "
        f"{old.progress.examples:,} examples, {old.n_parameters / 1e6:.2f} M parameters), paired "
        "by set and seed:",
        "",
        "| measure | sets x seeds | difference | |",
        "| --- | --- | --- | --- |",
    ]
    for n in sorted({min(FIRST_SEEDS, len(seeds)), len(seeds)}):
        a, b = ([row for row in s.on_suites if row.seed in seeds[:n]] for s in (new, old))
        for what, score in {"R2 > .99, share": solved, "mean R2, negative as 0": clipped}.items():
            values = paired(a, b, score)
            i = bootstrap(values)
            verdict = "better" if i.low > 0 else "worse" if i.high < 0 else "within the interval"
            size = " x ".join(map(str, values.shape))
            lines.append(f"| {what} | {size} | {_number(i, '+')} | {verdict} |")
    return "\n".join(lines)


def _on_the_way(subjects: Sequence[Subject]) -> str:
    lines = [
        "The rows before the last are states on the way, at a high learning rate: lower than what "
        "as many examples with a fall of the rate at their end would give.",
        "",
        "| examples seen | sets x seeds | R2 > .99 | mean R2, negative as 0 |",
        "| --- | --- | --- | --- |",
    ]
    for s in subjects:
        sets, seeds, _ = table(s.on_suites, solved)
        lines.append(
            f"| {s.progress.examples:,} | {len(sets)} x {len(seeds)} "
            f"| {_share(mean_of(s.on_suites, solved))} | {_number(mean_of(s.on_suites, clipped))} |"
        )
    return "\n".join(lines)


def _reproduce(s: Subject) -> str:
    p, c = s.progress, s.config
    size = next((name for name, shape in SIZES.items() if shape == c.backbone), None)
    option = f" --size {size}" if size else ""
    deepened = (
        "; on the way `python -m equate_srbench.pretrain.deepen` gave it its upper layers"
        if p.deepened
        else ""
    )
    return (
        "BSD-3-Clause, as the package. "
        f"`equate pretrain{option} --minutes {math.ceil(p.wall_seconds / 60)} --dir DIR`, in as "
        f"many calls as one likes (`--resume`, `--decay 0` in all but the last){deepened}. Which "
        "examples are seen depends on the seed alone; how many, on the machine. Scores and this "
        "card: `python -m equate_srbench.bench.zeroshot`, `python -m equate_srbench.pretrain.card`."
    )


# -- writing it -------------------------------------------------------------------------------


def write_card(
    weights: Path,
    *,
    run: Path | None = None,
    rows: Path | None = None,
    against: Path | None = None,
    checkpoints: Path | None = None,
) -> Path:
    """Write the card of a checkpoint and its figures beside it.

    Parameters
    ----------
    weights : Path
        Checkpoint; its header records the training.
    run : Path, optional
        Run directory with ``log.csv``, for the loss curve.
    rows : Path, optional
        Scores (``equate_srbench.bench.zeroshot``).
    against : Path, optional
        Scored checkpoint to compare with.
    checkpoints : Path, optional
        Directory with earlier checkpoints of the run, for the score curve; those without scores
        are skipped.

    Returns
    -------
    Path
        The card.

    Raises
    ------
    FileNotFoundError
        If ``rows`` does not exist.
    ValueError
        If either checkpoint has no complete scores in ``rows``.
    """
    if rows is not None and not rows.is_file():
        raise FileNotFoundError(f"no scores at {rows}: run equate_srbench.bench.zeroshot first")
    scores = read_rows(rows) if rows else []
    subject = Subject.read(weights, scores)
    other = Subject.read(against, scores) if against else None
    for s in (subject, other):
        if s is not None and rows is not None and not s.on_suites:
            raise ValueError(f"{rows} has no scores of {s.path}")
    found = [subject]
    for path in sorted(checkpoints.glob("*.safetensors")) if checkpoints else ():
        earlier = Subject.read(path, scores)
        if earlier.on_suites and earlier.sha256 not in {s.sha256 for s in found}:
            found.append(earlier)
    found.sort(key=lambda s: s.progress.examples)
    loss_picture = score_picture = None
    log: dict[str, list[float]] = {}
    if run is not None:
        loss_picture = weights.with_suffix(".svg")
        deepened = [d["examples"] for d in subject.progress.deepened]
        log = read_log(run)
        draw_loss(log, loss_picture, deepened)
    if len(found) > 1:
        score_picture = weights.with_name(f"{weights.stem}-scores.svg")
        examples = [s.progress.examples for s in found]
        draw_scores(examples, [mean_of(s.on_suites, solved) for s in found], score_picture)
    card = weights.with_suffix(".md")
    card.write_text(
        render(
            subject,
            n_forbidden=_n_forbidden(),
            loss_picture=loss_picture.name if loss_picture else None,
            log=log,
            against=other,
            on_the_way=found,
            score_picture=score_picture.name if score_picture else None,
        )
    )
    return card


def text_of(weights: Path) -> str:
    """The card of a checkpoint as Markdown, from its header only."""
    return render(Subject.read(weights, []), n_forbidden=_n_forbidden())


def _n_forbidden() -> int:
    return len(_forbidden()["keys"])


def _forbidden() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        files("equate_srbench.pretrain.corpus").joinpath(FILE).read_text()
    )
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Write the model card beside the weights."""
    parser = argparse.ArgumentParser(
        prog="python -m equate_srbench.pretrain.card", description=main.__doc__
    )
    add = parser.add_argument
    add("--weights", type=Path, default=checkpoint.SHIPPED["compact"])
    add("--run", type=Path, help="run directory, for the loss curve")
    add("--rows", type=Path, help="scores from equate_srbench.bench.zeroshot")
    add("--against", type=Path, metavar="OLD", help="compare with this checkpoint's scores")
    add("--checkpoints", type=Path, help="directory with earlier checkpoints of the run")
    add("--record", metavar="NAME", help="also record size and SHA-256 in models.json")
    args = parser.parse_args(argv)
    try:
        if args.record:
            n = sum(p.numel() for p in checkpoint.load(args.weights).parameters())
            registry.record(args.record, args.weights, n)
        card = write_card(
            args.weights, run=args.run, rows=args.rows, against=args.against,
            checkpoints=args.checkpoints,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(card)


if __name__ == "__main__":
    main()
