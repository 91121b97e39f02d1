"""Batched decoding of formulas: greedy, sampling or beam search.

Keys and values of the memory are computed once per bag and shared by its samples. Shapes: B bags,
S formulas per bag, V words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from equate_srbench.backbone.decoder_steps import CachedSteps, PlainSteps
from equate_srbench.backbone.grammar import Grammar, column_counts
from equate_srbench.backbone.network import Backbone
from equate_srbench.runtime.clock import Deadline
from equate_srbench.runtime.memory import Draws, OomSafe, RowDraws, placed

_SHRINK = 0.8  # the batch is compacted once at most this fraction of it is unfinished


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A decoded sequence.

    Attributes
    ----------
    ids : tuple of int
        Tokens without start and end.
    log_prob : float
        Log-probability of the sequence at temperature 1, under the grammar if one is used.
    finished : bool
        False if truncated at ``max_length``, which only happens without grammar.
    """

    ids: tuple[int, ...]
    log_prob: float
    finished: bool = True


@torch.inference_mode()
def generate(
    backbone: Backbone,
    memory: Tensor,
    mask: Tensor | None = None,
    *,
    n_columns: int | Sequence[int] = 10,
    mode: Literal["sample", "greedy", "beam"] = "sample",
    n_samples: int = 1,
    temperature: float | Sequence[float] | Tensor = 1.0,
    generator: torch.Generator | None = None,
    max_length: int | None = None,
    grammar: bool = True,
    deadline: Deadline | None = None,
    cached: bool = True,
    oom: OomSafe | None = None,
) -> list[list[Hypothesis]]:
    """Decode formulas from each memory of a batch.

    Parameters
    ----------
    backbone : Backbone
    memory : Tensor of shape (B, N, encoder_dim)
        Output of ``backbone.encode``, or another embedding.
    mask : bool Tensor of shape (B, N), optional
        True where the memory is valid; all by default.
    n_columns : int or sequence of int, default=10
        Columns allowed in a formula, for all bags or for each; only with ``grammar``.
    mode : {"sample", "greedy", "beam"}
    n_samples : int, default=1
        Samples, or beams, per bag; "greedy" always gives one.
    temperature : float, (S,) or (B, S), default=1.0
        Positive sampling temperature.
    generator : torch.Generator, optional
        Required for "sample"; on the memory's device or on the CPU, where it gives the same
        formulas on every device.
    max_length : int, optional
        Largest number of tokens of a formula; default: the configuration's.
    grammar : bool, default=True
        Restrict decoding to complete formulas.
    deadline : Deadline, optional
        Checked before every token; incomplete formulas are omitted.
    cached : bool, default=True
        False disables the key-value cache, for tests and benchmarks.
    oom : OomSafe, optional
        Of the fit; recovers from out-of-memory errors.

    Returns
    -------
    list of list of Hypothesis
        For each bag: samples in order, or beams by log-probability per token, best first.

    Raises
    ------
    ValueError
        For invalid arguments.
    """
    config = backbone.config
    length = config.max_length if max_length is None else max_length
    if not 1 <= length < config.n_positions:
        raise ValueError(f"max_length {length}: the model has {config.n_positions} positions")
    if mode not in ("sample", "greedy", "beam") or n_samples < 1:
        raise ValueError(f"cannot decode {n_samples} formulas in mode {mode!r}")
    if mode == "sample" and generator is None:
        raise ValueError("sampling needs a torch.Generator")
    if mask is None:
        mask = torch.ones(memory.shape[:2], dtype=torch.bool, device=memory.device)
    n_bags, n_formulas = len(memory), 1 if mode == "greedy" else n_samples
    columns = column_counts(backbone.vocabulary, n_columns, n_bags) if grammar else None
    heat = torch.as_tensor(temperature, dtype=torch.float64)
    if mode == "sample" and not bool((heat > 0).all()):
        raise ValueError(f"temperature must be positive, got {temperature}")
    heat = heat.expand(n_bags, n_formulas)[..., None]
    draws = None if generator is None else Draws(generator, n_bags)
    make = CachedSteps if cached else PlainSteps

    def decode(rows: slice, device: torch.device) -> list[list[Hypothesis]]:
        network, shape = placed(backbone, device), (len(memory[rows]), n_formulas)
        steps = make(network.decoder, memory[rows].to(device), mask[rows].to(device), n_formulas)
        rules = None
        if columns is not None:
            rules = Grammar(network.vocabulary, columns[rows], shape, length, device)
        eos = network.vocabulary.eos
        run = _Run(steps, rules, eos, shape, length, device, deadline or Deadline())
        if mode == "beam":
            return _beam(run)
        if mode == "greedy" or draws is None:
            return _sample(run, None, None)
        return _sample(run, heat[rows].to(device), draws.part(rows))

    parts = (oom or OomSafe()).run("decoding", decode, n_bags, memory.device)
    return [bag for bags in parts for bag in bags]


@dataclass(slots=True)
class _Run:
    """State shared by sampling and beam search."""

    steps: CachedSteps | PlainSteps
    rules: Grammar | None
    eos: int
    shape: tuple[int, int]
    length: int
    device: torch.device
    deadline: Deadline

    def next_scores(self, tokens: Tensor) -> Tensor:
        """Logits (B, S, V) of what follows ``tokens`` (B, S), -inf where not allowed."""
        # NaN in the memory must not produce malformed formulas.
        scores = self.steps.step(tokens).float().nan_to_num_(nan=0.0)
        return scores if self.rules is None else scores + self.rules.bias()

    def advance(self, tokens: Tensor) -> Tensor:
        """Append ``tokens`` (B, S); True where a formula ends."""
        return tokens == self.eos if self.rules is None else self.rules.advance(tokens)

    def ends(self, parents: Tensor, tokens: Tensor) -> Tensor:
        """Whether formulas ``parents`` (B, n) of each bag would end with ``tokens`` (B, n)."""
        if self.rules is None:
            return tokens == self.eos
        return self.rules.open.gather(1, parents) + self.rules.opened(tokens) == 0

    def select(self, rows: Tensor) -> None:
        """Keep formulas ``rows`` (B, S') of each bag."""
        self.steps.select(rows)
        if self.rules is not None:
            self.rules.select(rows)


def _sample(run: _Run, heat: Tensor | None, draws: RowDraws | None) -> list[list[Hypothesis]]:
    """Ancestral sampling at temperatures ``heat`` (B, S, 1), or greedy decoding without."""
    ids = torch.full((*run.shape, run.length), run.eos, device=run.device)
    log_prob = torch.zeros(run.shape, device=run.device)
    sizes = torch.full(run.shape, -1, device=run.device)
    # `rows` maps the formulas still in the batch to their positions in the result.
    rows = torch.arange(run.shape[1], device=run.device).expand(run.shape)
    active = torch.ones(run.shape, dtype=torch.bool, device=run.device)
    tokens = torch.full(run.shape, run.eos, device=run.device)
    left_out = False
    for t in range(run.length):
        left_out = run.deadline.over
        if left_out or not rows.shape[1]:
            break
        scores = run.next_scores(tokens)
        if heat is None or draws is None:
            tokens = scores.argmax(-1)
        else:
            # Drawn for all formulas, so that a sample does not depend on when others end.
            draw = draws.uniform(heat[..., 0])
            tokens = _draw(scores / heat.gather(1, rows[..., None]), draw.gather(1, rows))
        gain = scores.log_softmax(-1).gather(-1, tokens[..., None])[..., 0]
        log_prob.scatter_add_(1, rows, gain.masked_fill(~active, 0.0))
        ids[:, :, t].scatter_(1, rows, tokens)
        ended = run.advance(tokens) & active
        size = t if run.rules is None else t + 1
        sizes.scatter_(1, rows, sizes.gather(1, rows).masked_fill(ended, size))
        active = active & ~ended
        most = int(active.sum(1).max())
        if most <= _SHRINK * rows.shape[1]:
            kept = active.long().argsort(dim=1, descending=True, stable=True)[:, :most]
            tokens, rows, active = (a.gather(1, kept) for a in (tokens, rows, active))
            run.select(kept)
    return _collect(ids, log_prob, sizes, keep_cut=not left_out)


def _draw(scores: Tensor, draw: Tensor) -> Tensor:
    """Sample tokens (B, S) from logits (B, S, V) with uniform numbers ``draw`` (B, S)."""
    below = scores.softmax(-1).cumsum(-1)
    below = below / below[..., -1:]
    return torch.searchsorted(below, draw[..., None], right=True)[..., 0]


def _collect(
    ids: Tensor, log_prob: Tensor, sizes: Tensor, keep_cut: bool
) -> list[list[Hypothesis]]:
    """Hypotheses of all bags; truncated ones, which have no size, only with ``keep_cut``."""
    bags = zip(ids.tolist(), log_prob.tolist(), sizes.tolist(), strict=True)
    return [
        [
            Hypothesis(tuple(row if size < 0 else row[:size]), gain, size >= 0)
            for row, gain, size in zip(*bag, strict=True)
            if size >= 0 or keep_cut
        ]
        for bag in bags
    ]


def _beam(run: _Run) -> list[list[Hypothesis]]:
    """Beam search as in E2E: twice as many candidates, length-normalised score, early stopping."""
    bags = [_Beams(run.shape[1], run.eos) for _ in range(run.shape[0])]
    totals = torch.full(run.shape, float("-inf"), device=run.device)
    totals[:, 0] = 0.0  # all beams are equal at first: use only one
    tokens = torch.full(run.shape, run.eos, device=run.device)
    # Without grammar a formula is truncated after `length` tokens, scored with the next one.
    for t in range(run.length if run.rules else run.length + 1):
        if run.deadline.over or all(bag.done for bag in bags):
            break
        scores = run.next_scores(tokens).log_softmax(-1) + totals[..., None]
        values, flat = scores.flatten(1).topk(min(2 * run.shape[1], scores[0].numel()))
        parents, words = flat // scores.shape[-1], flat % scores.shape[-1]
        columns = (values, parents, words, run.ends(parents, words))
        candidates = zip(*(column.tolist() for column in columns), strict=True)
        chosen = [
            bag.extend(list(zip(*candidate, strict=True)), cut=t == run.length)
            for bag, candidate in zip(bags, candidates, strict=True)
        ]
        totals = totals.new_tensor([[beam[0] for beam in bag] for bag in chosen])
        run.select(tokens.new_tensor([[beam[1] for beam in bag] for bag in chosen]))
        tokens = tokens.new_tensor([[beam[2] for beam in bag] for bag in chosen])
        run.advance(tokens)
    return [bag.found for bag in bags]


class _Beams:
    """Beams of one bag: unfinished sequences, and the best finished ones in order."""

    def __init__(self, n_beams: int, eos: int) -> None:
        self._n_beams, self._eos = n_beams, eos
        self._texts: list[tuple[int, ...]] = [()] * n_beams
        self.found: list[Hypothesis] = []

    @property
    def done(self) -> bool:
        """Whether enough formulas are finished (early stopping)."""
        return len(self.found) == self._n_beams

    def extend(
        self, candidates: list[tuple[float, int, int, bool]], *, cut: bool
    ) -> list[tuple[float, int, int]]:
        """Extend the beams by candidates (log-probability, beam, word, ends there), best first.

        Returns log-probability, parent and last word of every remaining beam.
        """
        beams: list[tuple[float, int, int]] = []
        texts: list[tuple[int, ...]] = []
        for total, parent, word, ends in [] if self.done else candidates:
            if total == float("-inf") or len(beams) == self._n_beams:
                break
            text = self._texts[parent]
            if not (cut or word == self._eos):
                text = (*text, word)
            if ends or cut:
                self._add(Hypothesis(text, total, ends))
            else:
                beams.append((total, parent, word))
                texts.append(text)
        missing = self._n_beams - len(beams)
        self._texts = texts + [()] * missing
        return beams + [(float("-inf"), 0, self._eos)] * missing

    def _add(self, new: Hypothesis) -> None:
        self.found.append(new)
        self.found.sort(key=lambda h: h.log_prob / (len(h.ids) + 1), reverse=True)
        del self.found[self._n_beams :]
