"""Phase 2: fit the joint embedding of data and formulas to the quadruples."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from equate_srbench.backbone import checkpoint
from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.backbone.network import Backbone
from equate_srbench.equate.adamw import AdamW
from equate_srbench.equate.evaluator import Evaluator
from equate_srbench.equate.finetune import prepare
from equate_srbench.equate.fusion import EquationEncoder, Fusion, Shift
from equate_srbench.equate.quadruples import Bags, Quadruple, encode
from equate_srbench.equate.settings import EquateSettings
from equate_srbench.equate.trajectory import rank_correlation
from equate_srbench.expr.tokens.vocabulary import Vocabulary
from equate_srbench.runtime.clock import Deadline
from equate_srbench.runtime.memory import Draws, OomSafe, RowDraws, placed

_ENCODE_BATCH = 8  # bags per encoder call


@dataclass(frozen=True, slots=True, eq=False)
class Formulas:
    """Padded token sequences of a batch of formulas.

    Attributes
    ----------
    tokens : int64 Tensor of shape (batch, longest + 2)
        End token, formula, end token; filled with the pad token.
    lengths : int64 Tensor of shape (batch,), on the CPU
        Without start and end tokens.
    """

    tokens: Tensor
    lengths: Tensor

    @classmethod
    def pack(
        cls, ids: Sequence[Sequence[int]], vocabulary: Vocabulary, device: torch.device
    ) -> Formulas:
        """Pad formulas of different lengths."""
        longest = max(map(len, ids))
        tokens = torch.full((len(ids), longest + 2), vocabulary.pad)
        tokens[:, 0] = vocabulary.eos
        for row, formula in zip(tokens, ids, strict=True):
            row[1 : len(formula) + 1] = torch.tensor(formula)
            row[len(formula) + 1] = vocabulary.eos
        return cls(tokens.to(device), torch.tensor([len(f) for f in ids]))

    @property
    def body(self) -> Tensor:
        """The formulas without start and end tokens, (batch, longest)."""
        return self.tokens[:, 1:-1]


class Alignment(nn.Module):
    """The modules trained per dataset: equation encoder, fusion and evaluator.

    Parameters
    ----------
    config : BackboneConfig
        Determines the widths.
    generator : torch.Generator, optional
        Of the initial weights; seed 0 by default. The global generator is not used.
    gate : float, default=0.1
        Initial gate of the fusion; with 0 the decoder sees the unchanged memory.
    joint, pooling : str
        As in ``EquateSettings``.
    """

    def __init__(
        self,
        config: BackboneConfig,
        generator: torch.Generator | None = None,
        *,
        gate: float = 0.1,
        joint: str = "memory",
        pooling: str = "attention",
    ) -> None:
        super().__init__()
        width = config.encoder_dim
        with checkpoint.SkipInit():
            self.equation = EquationEncoder(config.dim)
            self.fusion: Fusion | Shift = (
                Shift(width, config.dim)
                if joint == "shift"
                else Fusion(width, config.dim, heads=config.encoder_heads)
            )
            self.evaluator = Evaluator(width, pooling=pooling)
        generator = generator or torch.Generator().manual_seed(0)
        for module in self.modules():
            norm = isinstance(module, nn.LayerNorm)
            for p in module.parameters(recurse=False):
                if p.dim() > 1:
                    nn.init.kaiming_uniform_(p, a=math.sqrt(5), generator=generator)
                else:
                    nn.init.constant_(p, 1.0 if norm and p is module.weight else 0.0)
        nn.init.constant_(self.fusion.gate, gate)

    def embed(
        self,
        backbone: Backbone,
        memory: Tensor,
        mask: Tensor,
        formulas: Formulas,
        draws: RowDraws | None = None,
    ) -> Tensor:
        """Joint embeddings of bags and formulas.

        Parameters
        ----------
        backbone : Backbone
            Provides the token embeddings.
        memory : Tensor of shape (batch, rows, width)
        mask : bool Tensor of shape (batch, rows)
        formulas : Formulas
        draws : RowDraws, optional
            Random numbers of the dropout; no dropout without.

        Returns
        -------
        Tensor of shape (batch, rows, width)
            One row for joint "shift". ``fusion.embedding_mask(mask)`` is its mask, and
            ``fusion.decodable`` gives the decoder's input.
        """
        embedded = F.embedding(formulas.body, backbone.decoder.embeddings.weight.detach())
        states = self.equation(embedded, formulas.lengths)
        valid = torch.arange(states.shape[1]) < formulas.lengths[:, None]
        joint: Tensor = self.fusion(memory, mask, states, valid.to(mask.device), draws)
        return joint


def keep_rows(memory: Tensor, mask: Tensor, count: int, draws: RowDraws) -> tuple[Tensor, Tensor]:
    """Row dropout: at most ``count`` random valid rows of each memory, (batch, count, width).

    The rows are removed before fusion and decoder, so all layers miss the same ones. The decoder
    then has to rely on the formula's part of the embedding.
    """
    if count >= memory.shape[1]:
        return memory, mask
    draw = draws.uniform(mask.float())
    rows = draw.masked_fill(~mask, -1.0).topk(count, dim=1).indices
    kept = memory.gather(1, rows[..., None].expand(-1, -1, memory.shape[2]))
    return kept, mask.gather(1, rows)


def reconstruction_loss(
    backbone: Backbone, embedding: Tensor, mask: Tensor, formulas: Formulas, weights: Tensor
) -> Tensor:
    """Weighted mean of the per-token cross-entropy of decoding each formula."""
    logits = backbone.decode(formulas.tokens[:, :-1], embedding, mask)
    targets = formulas.tokens[:, 1:]
    pad = backbone.vocabulary.pad
    loss = F.cross_entropy(
        logits.float().transpose(1, 2), targets, ignore_index=pad, reduction="none"
    )
    per_formula = loss.sum(1) / (targets != pad).sum(1)
    return (weights * per_formula).sum() / weights.sum()


def score_loss(predicted: Tensor, scores: Tensor, spread: float) -> Tensor:
    """Huber loss (delta 0.1) of standardised scores, mean over heads and batch.

    Parameters
    ----------
    predicted : Tensor of shape (heads, batch)
    scores : Tensor of shape (batch,)
    spread : float
        Standard deviation of the dataset's scores.
    """
    target = (scores / spread).expand_as(predicted)
    return F.huber_loss(predicted / spread, target, delta=0.1)


def reconstruction_weights(scores: Tensor, sharpness: float, floor: float) -> Tensor:
    """``softmax(score / sharpness)`` rescaled to maximum 1, clipped from below at ``floor``."""
    return torch.exp((scores - scores.max()) / sharpness).clamp_min(floor)


@dataclass(slots=True, eq=False)
class Aligned:
    """Result of the alignment.

    Attributes
    ----------
    backbone : Backbone
        With this fit's trained weights.
    modules : Alignment
    bags : Bags
        Encoded by this backbone.
    losses : list of tuple of float
        Held-out (reconstruction, score) loss before training and after each epoch.
    rank_correlation : float
        Spearman correlation of predicted and true score on the held-out quadruples.
    """

    backbone: Backbone
    modules: Alignment
    bags: Bags
    losses: list[tuple[float, float]]
    rank_correlation: float


def align(
    backbone: Backbone,
    bags: Bags,
    quadruples: Sequence[Quadruple],
    settings: EquateSettings,
    *,
    initial: Alignment | None = None,
    generator: torch.Generator,
    deadline: Deadline,
    tick: Callable[[], object] = lambda: None,
    oom: OomSafe | None = None,
) -> Aligned:
    """Train the new modules and the fit's own backbone weights on the quadruples.

    Parameters
    ----------
    backbone : Backbone
        Shared; never changed.
    bags : Bags
    quadruples : sequence of Quadruple
        At least one.
    settings : EquateSettings
    initial : Alignment, optional
        Pretrained modules to start from; random ones by default.
    generator : torch.Generator
        On the CPU; used for initial weights, order, row dropout and dropout.
    deadline : Deadline
        Stops training between steps; the best state so far is used.
    tick : callable, optional
        Called after every step.
    oom : OomSafe, optional
        Of the fit.
    """
    trainer = _Trainer(backbone, bags, quadruples, settings, initial, generator, oom or OomSafe())
    return trainer.run(deadline, tick)


class _Trainer:
    """Training loop of one alignment: examples, split, weights, optimiser."""

    def __init__(
        self,
        backbone: Backbone,
        bags: Bags,
        quadruples: Sequence[Quadruple],
        settings: EquateSettings,
        initial: Alignment | None,
        generator: torch.Generator,
        oom: OomSafe,
    ) -> None:
        self.settings, self.generator, self.bags, self.oom = settings, generator, bags, oom
        self.device = device = bags.memory.device
        self.tuned = prepare(backbone, settings.finetune, generator, rank=settings.rank)
        self.backbone = self.tuned.backbone
        seed = int(torch.randint(2**62, (1,), generator=generator))
        self.modules = (
            Alignment(
                backbone.config,
                torch.Generator().manual_seed(seed),
                joint=settings.joint,
                pooling=settings.pooling,
            )
            if initial is None
            else copy.deepcopy(initial)
        ).to(device)
        self.ids = [q.ids for q in quadruples]
        self.bag = torch.tensor([q.bag for q in quadruples])
        self.scores = torch.tensor([q.score for q in quadruples])
        self.weights = reconstruction_weights(self.scores, settings.sharpness, settings.floor)
        self.spread = max(float(self.scores.std(correction=0)), 1e-3)
        new = [*self.modules.parameters(), *self.tuned.adapters]
        self.trained = [*new, *self.tuned.weights]
        self.optimiser = AdamW(
            [(new, settings.lr), (self.tuned.weights, settings.lr_decoder)],
            weight_decay=settings.weight_decay,
            clip=settings.clip,
        )
        order = self._shuffled(torch.arange(len(quadruples)))
        n_held = round(settings.held_out * len(quadruples))
        self.held, self.train = order[:n_held], order[n_held:]

    def run(self, deadline: Deadline, tick: Callable[[], object]) -> Aligned:
        """Train until patience, epoch limit or deadline; restores the best held-out state."""
        self._centre()
        losses = [self._held_loss()]
        best, best_epoch, state = sum(losses[0]), 0, self._state()
        for epoch in range(1, self.settings.epochs + 1):
            if not self._epoch(deadline, tick):
                break
            losses.append(self._held_loss())
            # without held-out quadruples the last state is used
            if sum(losses[-1]) < best or not len(self.held):
                best, best_epoch, state = sum(losses[-1]), epoch, self._state()
            elif epoch - best_epoch >= self.settings.patience:
                break
        with torch.no_grad():
            for parameter, value in zip(self.trained, state, strict=True):
                parameter.copy_(value)
        rho = rank_correlation(self._predict(self.held), self.scores[self.held].numpy())
        return Aligned(self.backbone, self.modules, self._own_bags(), losses, rho)

    @torch.no_grad()
    def _own_bags(self) -> Bags:
        """The bags encoded by the trained encoder."""
        if not self.tuned.encoder:
            return self.bags
        parts = zip(
            torch.split(self.bags.points, _ENCODE_BATCH),
            torch.split(self.bags.mask, _ENCODE_BATCH),
            strict=True,
        )
        memories = [encode(self.backbone, *part, self.oom) for part in parts]
        return replace(self.bags, memory=torch.cat(memories))

    def _memory(
        self, part: Tensor, backbone: Backbone, where: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Memories and masks of the bags of quadruples ``part``."""
        bag = self.bag[part].to(self.device)
        mask = self.bags.mask[bag].to(where)
        if not self.tuned.encoder:
            return self.bags.memory[bag].to(where), mask
        each, place = torch.unique(bag, return_inverse=True)
        points, valid = self.bags.points[each].to(where), self.bags.mask[each].to(where)
        return backbone.encode(points, valid)[place.to(where)], mask

    def _state(self) -> list[Tensor]:
        return [p.detach().clone() for p in self.trained]

    def _shuffled(self, rows: Tensor) -> Tensor:
        draw = torch.rand(len(rows), generator=self.generator)
        return rows[draw.argsort()]

    def _epoch(self, deadline: Deadline, tick: Callable[[], object]) -> bool:
        """One epoch; False if the deadline interrupted it (its steps are kept)."""
        longest = 0.0
        for part in self._batches():
            before = deadline.elapsed()
            if deadline.left() <= longest:  # no time for another step
                return False
            self._step(part)
            tick()
            longest = max(longest, deadline.elapsed() - before)
        return True

    def _batches(self) -> list[Tensor]:
        """Training quadruples in random batches of similar length, for little padding."""
        rows = self._shuffled(self.train)
        lengths = torch.tensor([len(self.ids[i]) for i in rows.tolist()])
        rows = rows[lengths.argsort(stable=True)]
        parts = torch.split(rows, self.settings.batch)
        return [parts[i] for i in self._shuffled(torch.arange(len(parts)))]

    def _step(self, part: Tensor) -> None:
        low, high = self.settings.row_keep
        share = low + (high - low) * float(torch.rand((), generator=self.generator))
        count = math.ceil(share * min(self.bags.memory.shape[1], self.settings.max_rows))
        draws = Draws(self.generator, len(part))

        def gradients(rows: slice, where: torch.device) -> tuple[Tensor, ...]:
            reconstruction, score = self._losses(part, rows, where, draws.part(rows), count)
            loss = reconstruction + self.settings.evaluator_weight * score
            # not `backward`: frozen tensors are shared by all fits of the process
            return torch.autograd.grad(loss, self.trained)

        first, *others = self.oom.run("training", gradients, len(part), self.device)
        for other in others:
            first = tuple(a + b for a, b in zip(first, other, strict=True))
        self.optimiser.step(first)

    def _losses(
        self, part: Tensor, rows: slice, where: torch.device, draws: RowDraws | None, count: int
    ) -> tuple[Tensor, Tensor]:
        """Contribution of ``rows`` of the batch ``part`` to its losses.

        At most ``count`` rows of memory are used: random ones with ``draws``, else the first.
        """
        some = part[rows]
        backbone, modules = placed(self.backbone, where), placed(self.modules, where)
        memory, mask = self._memory(some, backbone, where)
        if draws is None:
            memory, mask = memory[:, :count], mask[:, :count]
        else:
            memory, mask = keep_rows(memory, mask, count, draws)
        formulas = self._formulas(some, where)
        embedding = modules.embed(backbone, memory, mask, formulas, draws)
        read, valid = modules.fusion.decodable(embedding, memory, mask)
        predicted = modules.evaluator(embedding, modules.fusion.embedding_mask(mask))
        weights, scores = self.weights[some], self.scores[some]
        reconstruction = reconstruction_loss(backbone, read, valid, formulas, weights.to(where))
        score = score_loss(predicted, scores.to(where), self.spread)
        share = float(weights.sum() / self.weights[part].sum())
        return share * reconstruction, len(some) / len(part) * score

    def _formulas(self, part: Tensor, where: torch.device) -> Formulas:
        ids = [self.ids[i] for i in part.tolist()]
        return Formulas.pack(ids, self.backbone.vocabulary, where)

    @torch.no_grad()
    def _held_loss(self) -> tuple[float, float]:
        if not len(self.held):
            return math.nan, math.nan

        def losses(rows: slice, where: torch.device) -> tuple[float, float]:
            found = self._losses(self.held, rows, where, None, self.settings.max_rows)
            return float(found[0]), float(found[1])

        parts = self.oom.run("training", losses, len(self.held), self.device)
        reconstruction, score = (sum(column) for column in zip(*parts, strict=True))
        return reconstruction, score

    @torch.no_grad()
    def _predict(self, part: Tensor) -> NDArray[np.float32]:
        """Mean prediction over the heads for quadruples ``part``."""
        if not len(part):
            return np.zeros(0, dtype=np.float32)

        def predict(rows: slice, where: torch.device) -> Tensor:
            backbone, modules = placed(self.backbone, where), placed(self.modules, where)
            memory, mask = self._memory(part[rows], backbone, where)
            memory, mask = memory[:, : self.settings.max_rows], mask[:, : self.settings.max_rows]
            embedding = modules.embed(backbone, memory, mask, self._formulas(part[rows], where))
            valid = modules.fusion.embedding_mask(mask)
            predicted: Tensor = modules.evaluator(embedding, valid).mean(0)
            return predicted.cpu()

        parts = self.oom.run("training", predict, len(part), self.device)
        predicted: NDArray[np.float32] = torch.cat(parts).numpy()
        return predicted

    def _centre(self) -> None:
        """Shift the heads' biases so that initial predictions match the dataset's mean score."""
        part = self.train[: self.settings.batch]
        gap = float(self.scores[part].mean()) - float(self._predict(part).mean())
        self.modules.evaluator.shift(gap)
