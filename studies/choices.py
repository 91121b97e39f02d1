"""What helps a training step most for its floating-point operations, by short runs.

    python studies/choices.py run --out runs/choices --core 0
    python studies/choices.py publish --out runs/choices

Small networks are trained from nothing, each with one thing changed, until they have used up the
same number of operations (as ``torch.utils.flop_counter`` counts them: what else the machine does
makes no difference), and are then compared by their loss on tables that none of them saw.
``run`` can be stopped and started again; a run takes 4 to 8 minutes of a core. ``publish`` writes
``docs/results/choices.md``; what stands between the marks there is kept.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from readings import kept
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.backbone.network import Attention, Backbone, Encoder, FeedForward
from equate_srbench.bench.provenance import provenance
from equate_srbench.pretrain.corpus import examples as corpus
from equate_srbench.pretrain.corpus.decontaminate import Filter
from equate_srbench.pretrain.corpus.examples import Batch, CorpusConfig, pool, thinned
from equate_srbench.pretrain.optimise import TrainState, is_bf16_fast
from equate_srbench.runtime.files import write_file

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"
#: A quarter of the compact network, so that minutes show something.
NETWORK = BackboneConfig(
    encoder_dim=128, encoder_heads=4, encoder_layers=2, dim=160, heads=5, decoder_layers=3
)
BATCH_POINTS, LR, WARM_UP, FALL = 3072, 1e-3, 0.05, 0.3  # the last two are shares of a run
#: Operations of a run: about 115,000 examples of the reference.
BUDGET = 2.4e13
SEEDS = (0, 1)
#: Held-out tables by name: points and noise. Two sizes around those of the bags in a fit.
HELD_OUT = {
    "32 points": (32, 0.0),
    "96 points": (96, 0.0),
    "32 points, noise .1": (32, 0.1),
    "96 points, noise .1": (96, 0.1),
}
HELD_OUT_SEED, HELD_OUT_BATCHES = 12345, 24


@dataclass(frozen=True)
class Choice:
    """One thing done otherwise.

    Attributes
    ----------
    label, what : str
    encoder : {"", "induced", "pooled"}
        Attention over points by way of inducing points, or a memory of a few pooled rows.
    drawn : dict
        Constants of ``pretrain.corpus.examples`` that are replaced.
    dropped : float
        Largest share of a batch's points that is left out, drawn anew for every batch.
    auxiliary : float
        Weight of the loss of a head that tells from the mean of the memory which variables,
        operators and constants occur in the formula.
    """

    label: str
    what: str
    encoder: str = ""
    drawn: Mapping[str, Any] = field(default_factory=dict)
    dropped: float = 0.0
    auxiliary: float = 0.0


N_SEEDPOINTS = 16
REFERENCE = Choice("reference", "as the shipped network is trained")
CHOICES = (
    REFERENCE,
    Choice("inducing points", f"both layers of the encoder attend by way of {N_SEEDPOINTS} "
           "learned points (set transformer)", encoder="induced"),
    Choice("pooled memory", f"the decoder sees {N_SEEDPOINTS} learned poolings of the points "
           "instead of the points", encoder="pooled"),
    Choice("fewer points", "bags of 16, 24 or 32 points",
           drawn={"N_POINTS": ((16, 24, 32), (0.3, 0.4, 0.3))}),
    Choice("more points", "bags of 96 or 192 points",
           drawn={"N_POINTS": ((96, 192), (0.7, 0.3))}),
    Choice("points dropped", "up to half of the points of a batch left out", dropped=0.5),
    Choice("no noise", "no noise on the targets", drawn={"NOISE": ((0.0,), (1.0,))}),
    Choice("more noise", "noise on 60 % of the targets instead of 25 %",
           drawn={"NOISE": ((0.0, 0.01, 0.1), (0.4, 0.3, 0.3))}),
    Choice("auxiliary head", "a head that tells which tokens occur, with weight .3",
           auxiliary=0.3),
)  # fmt: skip


# -- networks ---------------------------------------------------------------------------------


class Block(nn.Module):
    """Rows attend to other rows (``MAB`` of Lee et al. 2019, arXiv 1810.00825)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attention, self.ffn = Attention(dim, heads, dim), FeedForward(dim, 4 * dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        """(B, L, d) over (B, S, d) to (B, L, d)."""
        x = self.norm1(x + self.attention(x, self.attention.keys_values(source), None))
        return self.norm2(x + self.ffn(x))


class SetEncoder(nn.Module):
    """An encoder with learned points, for bags without padding.

    Parameters
    ----------
    encoder : Encoder
        Keeps its norm; pooling keeps its layers as well.
    c : BackboneConfig
    kind : {"induced", "pooled"}
    """

    def __init__(self, encoder: Encoder, c: BackboneConfig, kind: str) -> None:
        super().__init__()
        d, heads, n = c.encoder_dim, c.encoder_heads, c.encoder_layers
        self.layer_norm_emb = encoder.layer_norm_emb
        self.encoder = encoder if kind == "pooled" else None
        n_levels = 1 if kind == "pooled" else n
        self.learned = nn.ParameterList(torch.randn(N_SEEDPOINTS, d) for _ in range(n_levels))
        self.inward = nn.ModuleList(Block(d, heads) for _ in range(n_levels))
        self.outward = nn.ModuleList(Block(d, heads) for _ in range(0 if kind == "pooled" else n))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, N, d) to the memory: (B, N, d) if induced, (B, N_SEEDPOINTS, d) if pooled."""
        if self.encoder is not None:
            return self._inward(0, self.encoder(x, mask))
        x = self.layer_norm_emb(x)
        for i, outward in enumerate(self.outward):
            x = outward(x, self._inward(i, x))
        return x

    def _inward(self, i: int, x: Tensor) -> Tensor:
        return self.inward[i](self.learned[i].expand(len(x), -1, -1), x)


class ChoiceState(TrainState):
    """A training state whose loss depends on the choice."""

    def __init__(self, choice: Choice, seed: int) -> None:
        torch.manual_seed(seed)
        net = Backbone(NETWORK)
        if choice.encoder:
            net.encoder = SetEncoder(net.encoder, NETWORK, choice.encoder)
        if choice.auxiliary:
            net.auxiliary = nn.Linear(NETWORK.encoder_dim, NETWORK.n_words)
        self.weight = choice.auxiliary
        super().__init__(net, lr=LR, weight_decay=0.01, clip=1.0, bf16=is_bf16_fast())

    def losses(self, points: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the target tokens, summed, and the weighted loss of the head."""
        net, target = self.work, tokens[:, 1:]
        mask = torch.ones(points.shape[:2], dtype=torch.bool)
        x = net.embedder(points, mask).to(net.encoder.layer_norm_emb.weight.dtype)
        memory = net.encoder(x, mask)
        seen = torch.ones(memory.shape[:2], dtype=torch.bool)
        logits = net.decoder.logits(net.decoder(tokens[:, :-1], memory, seen)).flatten(0, 1)
        pad = net.vocabulary.pad
        loss = F.cross_entropy(logits.float(), target.flatten(), ignore_index=pad, reduction="sum")
        if not self.weight:
            return loss, torch.zeros(())
        occurs = torch.zeros(len(tokens), NETWORK.n_words).scatter_(1, target, 1.0)
        told = net.auxiliary(memory.float().mean(1))
        extra = F.binary_cross_entropy_with_logits(told, occurs, reduction="sum")
        return loss, self.weight * extra

    def loss(self, points: Tensor, tokens: Tensor) -> Tensor:
        """What is trained: the sum of both."""
        return sum(self.losses(points, tokens), torch.zeros(()))


# -- runs -------------------------------------------------------------------------------------


@contextmanager
def drawing(constants: Mapping[str, Any]) -> Iterator[None]:
    """The corpus with other constants."""
    before = {name: getattr(corpus, name) for name in constants}
    try:
        for name, value in constants.items():
            setattr(corpus, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(corpus, name, value)


def tensors(batch: Batch) -> tuple[Tensor, Tensor]:
    """Points and tokens as the network takes them."""
    points = torch.as_tensor(batch.points).float()
    return points, torch.from_numpy(batch.tokens.astype(np.int64))


def batches(seed: int, dropped: float) -> Iterator[tuple[Tensor, Tensor]]:
    """Training batches without end."""
    config = CorpusConfig(seed=seed, batch_points=BATCH_POINTS, dropped=dropped)
    for index in count():
        for i, batch in enumerate(pool(config, index, Filter.shipped())[0]):
            yield tensors(thinned(config, index, i, batch))


def held_out() -> dict[str, list[tuple[Tensor, Tensor]]]:
    """The tables that choices are compared on."""
    found = {}
    for name, (n_points, noise) in HELD_OUT.items():
        with drawing({"N_POINTS": ((n_points,), (1.0,)), "NOISE": ((noise,), (1.0,))}):
            config = CorpusConfig(
                HELD_OUT_SEED, batch_points=96 * n_points, batches=HELD_OUT_BATCHES
            )
            found[name] = [tensors(batch) for batch in pool(config, 0, Filter.shipped())[0]]
    return found


def train(choice: Choice, seed: int, budget: float) -> tuple[ChoiceState, dict[str, int]]:
    """A network that has used up the operations, and what it took."""
    state, pad = ChoiceState(choice, seed), NETWORK.make_vocabulary().pad
    cost: dict[tuple[int, ...], int] = {}  # operations by shape of the batch
    used, steps, examples = 0.0, 0, 0
    with drawing(choice.drawn):
        for points, tokens in batches(seed, choice.dropped):
            shape = (*points.shape, tokens.shape[1])
            counter = FlopCounterMode(display=False)
            if shape not in cost:
                with counter:
                    _backward(state, points, tokens, pad)
                cost[shape] = counter.get_total_flops()
            else:
                _backward(state, points, tokens, pad)
            share = used / budget
            state.step(min(1.0, (share + 1e-3) / WARM_UP, (1.0 - share) / FALL))
            used, steps, examples = used + cost[shape], steps + 1, examples + len(points)
            if used >= budget:
                break
    return state, {"examples": examples, "steps": steps}


def _backward(state: ChoiceState, points: Tensor, tokens: Tensor, pad: int) -> None:
    (state.loss(points, tokens) / (tokens[:, 1:] != pad).sum()).backward()


@torch.no_grad()
def evaluate(
    state: ChoiceState, tables: Mapping[str, Sequence[tuple[Tensor, Tensor]]]
) -> dict[str, float]:
    """Loss in nats per token by name of the held-out tables."""
    pad, out = NETWORK.make_vocabulary().pad, {}
    for name, made in tables.items():
        total = sum(float(state.losses(*batch)[0]) for batch in made)
        out[name] = total / sum(int((tokens[:, 1:] != pad).sum()) for _, tokens in made)
    return out


def read(out: Path) -> list[dict[str, Any]]:
    """Rows made so far, in the order of the choices."""
    files = [out / _file(choice, seed) for choice in CHOICES for seed in SEEDS]
    return [json.loads(file.read_text("utf-8")) for file in files if file.exists()]


def _file(choice: Choice, seed: int) -> str:
    return f"{choice.label.replace(' ', '_')}-{seed}.json"


def run(out: Path, labels: Sequence[str], budget: float) -> None:
    """Make the rows that are missing, one after the other."""
    tables = held_out()
    out.mkdir(parents=True, exist_ok=True)
    wanted = [(c, seed) for seed in SEEDS for c in CHOICES if not labels or c.label in labels]
    for choice, seed in wanted:
        path = out / _file(choice, seed)
        if path.exists():
            continue
        start = time.monotonic()
        state, took = train(choice, seed, budget)
        losses = {name: round(loss, 5) for name, loss in evaluate(state, tables).items()}
        made = provenance()
        row = {"choice": choice.label, "seed": seed, "flops": budget, **took, **losses,
               "commit": made.commit, "cpu": made.cpu, "date": made.date}  # fmt: skip
        write_file(path, json.dumps(row))
        print(
            f"{choice.label}, seed {seed}: {time.monotonic() - start:.0f} s, {losses}", flush=True
        )


# -- page -------------------------------------------------------------------------------------


def publish(out: Path, results: Path = RESULTS) -> None:
    """Write the page and its rows."""
    rows, page, names = read(out), results / "choices.md", list(HELD_OUT)
    losses = {(r["choice"], r["seed"]): np.array([r[name] for name in names]) for r in rows}
    lines = [
        "# What helps training, by short runs", "",
        "Made by `python studies/choices.py` from `choices_rows.csv`. Networks of "
        f"{sum(p.numel() for p in Backbone(NETWORK).parameters()) / 1e6:.1f} M parameters, "
        f"trained from nothing for {rows[0]['flops']:.2g} floating-point operations of forward "
        "and backward passes, then compared by their loss (nats per token, lower is better) on "
        "formulas drawn with another seed. Each line changes one thing; differences to the "
        "reference are those of the mean over the four columns, one for each seed, which draws "
        "weights and corpus.", "",
        f"commit: {_all(rows, 'commit')}; seeds: {_all(rows, 'seed')}; threads: 1; "
        f"processor: {_all(rows, 'cpu')}; date: {max(r['date'] for r in rows)[:10]}.", "",
        f"| run | what is different | examples | {' | '.join(names)} | difference |",
        "| --- |" + " --- |" * (len(names) + 3),
    ]  # fmt: skip
    for choice in CHOICES:
        own = [r for r in rows if r["choice"] == choice.label]
        if not own:
            continue
        examples = np.mean([r["examples"] for r in own])
        mean = np.mean([losses[choice.label, r["seed"]] for r in own], axis=0)
        gaps = [
            (losses[choice.label, r["seed"]] - losses[REFERENCE.label, r["seed"]]).mean()
            for r in own
            if choice is not REFERENCE and (REFERENCE.label, r["seed"]) in losses
        ]
        lines.append(
            f"| {choice.label} | {choice.what} | {examples / 1e3:.0f} k | "
            f"{' | '.join(f'{loss:.3f}' for loss in mean)} | "
            f"{', '.join(f'{gap:+.3f}' for gap in gaps)} |"
        )
    lines += ["", *kept(page, "choices"), ""]
    with (results / "choices_rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    page.write_text("\n".join(lines), encoding="utf-8")


def _all(rows: list[dict[str, Any]], name: str) -> str:
    return ", ".join(sorted({str(row[name]) for row in rows}))


def main() -> None:
    """Make the runs, or publish them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("run", "publish"))
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "choices")
    parser.add_argument("--core", type=int, help="pin to this core")
    parser.add_argument("--only", nargs="*", default=[], help="labels of choices")
    parser.add_argument("--budget", type=float, default=BUDGET, help="operations of a run")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where to publish")
    args = parser.parse_args()
    if args.action == "publish":
        publish(args.out, args.results)
        return
    torch.set_num_threads(1)
    if args.core is not None:
        os.sched_setaffinity(0, {args.core})
    run(args.out, args.only, args.budget)


if __name__ == "__main__":
    main()
