"""The model card of the compact backbone, written from a run's state, its log and fresh scores.

``python -m equate_srbench.pretrain.card --run DIR --data DIR_OF_SUITES`` writes ``compact.md`` and
``compact.svg`` beside the shipped weights.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path

import numpy as np

from equate_srbench.backbone import checkpoint
from equate_srbench.pretrain import corpus, generators
from equate_srbench.pretrain.decontaminate import FILE, MAX_COMMON_NODES
from equate_srbench.pretrain.scores import Score, read_suite, score, share, zero_shot
from equate_srbench.pretrain.train import LOG, Progress, TrainConfig


def read_log(directory: Path) -> dict[str, list[float]]:
    """Columns of a run's ``log.csv``."""
    with (directory / LOG).open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0]} if rows else {}


def render(
    config: TrainConfig,
    progress: Progress,
    scores: dict[str, Sequence[Score]],
    *,
    sha256: str,
    n_parameters: int,
    n_forbidden: int,
    how_scored: str,
    curve: str | None = None,
) -> str:
    """The card as Markdown.

    Parameters
    ----------
    config, progress
        Of the run that made the weights.
    scores : dict
        Suite to its zero-shot scores.
    sha256 : str
        Of the checkpoint, as its header records it.
    n_parameters : int
    n_forbidden : int
        Fingerprints in the decontamination list.
    how_scored : str
        Bags, samples, and seeds behind ``scores``.
    curve : str, optional
        File name of the loss curve's picture.
    """
    parts = [
        "# compact: what the shipped backbone was trained on",
        _facts(config, progress, sha256, n_parameters),
        f"![loss per token against examples]({curve})" if curve else "",
        "## Corpus",
        _corpus(config),
        "## Decontamination",
        _decontamination(progress, n_forbidden),
        "## Zero-shot scores",
        f"Best of the samples after refining constants, no adaptation and no search; {how_scored}. "
        "R2 on held-out quarters of the rows.",
        _score_table(scores),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(config: TrainConfig, p: Progress, sha256: str, n_parameters: int) -> str:
    b = config.backbone
    facts = {
        "file": f"`compact.safetensors`, half precision, SHA-256 of contents `{sha256[:16]}`...",
        "network": f"{n_parameters / 1e6:.2f} M parameters; encoder {b.encoder_layers} x "
        f"{b.encoder_dim}, decoder {b.decoder_layers} x {b.dim}, {b.n_words} tokens",
        "seen": f"{p.examples:,} examples ({p.tokens:,} target tokens), each once; "
        f"{p.step:,} steps",
        "effort": f"{p.wall_seconds / 3600:.2f} h of wall clock, "
        f"{p.cpu_seconds / 3600:.2f} core-hours (corpus included), on {', '.join(p.devices)}",
        "loss": f"{p.loss:.3f} nats per token at the end (running mean)",
        "optimiser": f"AdamW, peak {config.lr:g}, {config.warm_up} steps of warm-up, constant, "
        f"then a linear fall to zero; gradient norm <= {config.clip:g}",
        "seeds": f"corpus {config.corpus.seed}, weights {config.seed}",
    }
    return "\n".join(["| | |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in facts.items())])


def _corpus(config: TrainConfig) -> str:
    mixture = ", ".join(f"{f.__name__} {w:g}" for f, w in generators.MIXTURE.items())
    noise = ", ".join(f"{level:g} ({w:.0%})" for level, w in zip(*corpus.NOISE, strict=True))
    sizes = corpus.N_POINTS[0]
    return (
        f"Random formulas over 1 to 10 columns, drawn on the fly (`pretrain/generators.py`): "
        f"{mixture}. No data set and no list of formulas went in. The target is the formula "
        f"modulo outer scale and offset, at most {config.corpus.max_tokens} tokens; "
        f"{corpus.STANDARD:.0%} of the examples show standardised columns, the others columns "
        f"divided by powers of ten. Bags of {sizes[0]} to {sizes[-1]} points, label noise "
        f"relative to the root mean square: {noise}."
    )


def _decontamination(p: Progress, n_forbidden: int) -> str:
    n = p.counts
    drawn = n.kept + n.contaminated + n.too_long + n.undefined
    return (
        f"Formulas whose skeleton equals one of the Feynman, Strogatz or first-principles suites "
        f"with more than {MAX_COMMON_NODES} nodes are dropped, whatever their scale, offset, "
        f"constants, signs, order and names of columns ({n_forbidden} fingerprints in `{FILE}`). "
        f"Of {drawn:,} formulas drawn, **{n.contaminated:,} were dropped for this**, "
        f"{n.undefined:,} because they were undefined, constant or dominated by one point "
        f"on their table, {n.too_long:,} for their length or constants."
    )


def _score_table(scores: dict[str, Sequence[Score]]) -> str:
    lines = [
        "| suite | fits | R2 > .99 | R2 > .999 | median R2 | median nodes |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for suite, rows in scores.items():
        r2, nodes = np.median([s.r2 for s in rows]), np.median([s.nodes for s in rows])
        lines.append(
            f"| {suite} | {len(rows)} | {share(rows, 0.99):.1%} | {share(rows, 0.999):.1%} "
            f"| {r2:.3f} | {nodes:.0f} |"
        )
    return "\n".join(lines)


def draw_curve(log: dict[str, list[float]], path: Path) -> None:
    """Loss per token against examples, as a small SVG."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "equate", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(6.0, 2.6), layout="constrained")
        axes = figure.subplots()
        axes.plot(
            log["examples"], log["loss"], color="#c8d4e3", linewidth=0.8, label="mean of 10 s"
        )
        axes.plot(log["examples"], log["loss_smooth"], color="#1f4e79", label="running mean")
        axes.set(xscale="log", xlabel="examples", ylabel="loss per token (nats)")
        axes.set_ylim(top=min(5.0, max(log["loss"])))
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None})


def write_card(
    weights: Path,
    run: Path | None,
    data: Path | None,
    *,
    every: int = 4,
    seeds: Sequence[int] = (0, 1),
    n_bags: int = 2,
    n_samples: int = 64,
) -> Path:
    """Score a checkpoint and write its card.

    Parameters
    ----------
    weights : Path
        Checkpoint; its header says how it was made. The card goes beside it.
    run : Path, optional
        Directory with the run's ``log.csv``, for the curve.
    data : Path, optional
        Folder with ``feynman.csv`` and ``strogatz.csv`` (``scores.read_suite``); no scores
        without it.
    every : int, default=4
        Take every n-th Feynman set.
    seeds : sequence of int, default=(0, 1)
        Seeds of split, bags and samples.
    n_bags, n_samples : int
        Bags per view, and samples per bag.

    Returns
    -------
    Path
        The card.
    """
    header, backbone = checkpoint.describe(weights), checkpoint.load(weights)
    fit = partial(zero_shot, backbone, n_bags=n_bags, n_samples=n_samples)
    scores: dict[str, Sequence[Score]] = {}
    for suite, step in (("feynman", every), ("strogatz", 1)) if data else ():
        label = suite if step == 1 else f"{suite} (every {step}th)"
        scores[label] = score(fit, read_suite(data / f"{suite}.csv", every=step), seeds)
    curve = None
    if run is not None:
        curve = weights.with_suffix(".svg")
        draw_curve(read_log(run), curve)
    card = weights.with_suffix(".md")
    forbidden = json.loads(files("equate_srbench.pretrain").joinpath(FILE).read_text())
    text = render(
        TrainConfig.from_dict(header["card"]["config"]),
        Progress.from_dict(header["card"]["training"]),
        scores,
        sha256=header["sha256"],
        n_parameters=sum(p.numel() for p in backbone.parameters()),
        n_forbidden=len(forbidden["keys"]),
        how_scored=f"{n_bags} bags in each of the 2 views, {n_samples} samples per bag at "
        f"temperature 1, seeds {', '.join(map(str, seeds))}",
        curve=curve.name if curve else None,
    )
    card.write_text(text)
    return card


def main(argv: Sequence[str] | None = None) -> None:
    """Write the model card beside the weights."""
    parser = argparse.ArgumentParser(
        prog="python -m equate_srbench.pretrain.card", description=main.__doc__
    )
    parser.add_argument("--weights", type=Path, default=checkpoint.SHIPPED["compact"])
    parser.add_argument("--run", type=Path, help="the run's directory, for the loss curve")
    parser.add_argument("--data", type=Path, help="folder with feynman.csv and strogatz.csv")
    parser.add_argument("--every", type=int, default=4, help="take every n-th Feynman set")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    args = parser.parse_args(argv)
    print(write_card(args.weights, args.run, args.data, every=args.every, seeds=args.seeds))


if __name__ == "__main__":
    main()
