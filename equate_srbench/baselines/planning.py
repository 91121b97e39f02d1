"""Tree search over the tokens of a formula, with the backbone as its guide.

One ``TokenPlan`` searches the formulas of one memory. All plans of a pass emit their tokens in
step, so their rollouts are completed together, in one batch that starts where the emitted tokens
end.
Shapes: B plans, S rollouts of each.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from equate_srbench.backbone.decoder_steps import CachedSteps
from equate_srbench.backbone.grammar import Grammar
from equate_srbench.backbone.network import Backbone
from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.tree import Tree
from equate_srbench.runtime.clock import Deadline

Ids = tuple[int, ...]


@dataclass(slots=True, eq=False)
class Node:
    """A prefix of a formula in the search tree.

    Attributes
    ----------
    prior : float
        Probability of its last token, given the others.
    visits : int
        Rollouts through it, those under way included.
    value : float
        Best (not mean) reward of a formula that starts so; -inf before the first.
    children : list of Node
        In order of probability; those of the tokens not tried yet are missing.
    """

    prior: float = 1.0
    visits: int = 0
    value: float = -math.inf
    children: list[Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Leaf:
    """Where a rollout left the tree: the nodes from the root on, and the prefix to complete."""

    path: list[Node]
    prefix: Ids

    def back_up(self, reward: float) -> None:
        """Every node on the path keeps the best reward below it."""
        for node in self.path:
            node.value = max(node.value, reward)


class TokenPlan:
    """Search tree over tokens for one encoded bag, with everything decoded from it.

    Parameters
    ----------
    explore : float
        Weight of the bonus for seldom tried tokens.
    rule : {"uct", "p-ucb"}
        Bonus ``sqrt(ln N / n)``, or ``P * sqrt(ln N) / n`` with the backbone's probability P.

    Attributes
    ----------
    prefix : tuple of int
        Tokens emitted so far.
    finished : bool
        Whether they are a complete formula.
    completions : dict
        Prefix -> the formula that greedy decoding makes of it. A formula answers for all of its
        prefixes from the first decoded token on: most rollouts need no decoder.
    choices : dict
        Prefix -> its most probable next tokens with their probabilities, best first.
    rewards : dict
        Formula -> its reward.
    """

    def __init__(self, explore: float, rule: str) -> None:
        self.explore, self.rule = explore, rule
        self.prefix: Ids = ()
        self.completions: dict[Ids, Ids] = {}
        self.choices: dict[Ids, list[tuple[int, float]]] = {}
        self.rewards: dict[Ids, float] = {}
        self._root = Node()

    @property
    def finished(self) -> bool:
        """Whether the emitted tokens are a complete formula."""
        return self.completions.get(self.prefix) == self.prefix

    def remember(self, formula: Ids, start: int, choices: list[list[tuple[int, float]]]) -> None:
        """Keep a formula that was decoded greedily after its first ``start`` tokens.

        Parameters
        ----------
        formula : tuple of int
        start : int
        choices : list
            The most probable tokens at place ``start`` and every later one.
        """
        for end in range(start, len(formula) + 1):
            self.completions[formula[:end]] = formula
        for end, tokens in enumerate(choices, start):
            self.choices[formula[:end]] = tokens

    def select(self) -> Leaf:
        """Walk from the root to a prefix with an untried token, and try it.

        A visit is counted at once, so that rollouts under way lead the next ones elsewhere.
        """
        node, leaf = self._root, Leaf([self._root], self.prefix)
        fresh = False
        while not fresh and (tokens := self.choices.get(leaf.prefix)):
            fresh = len(node.children) < len(tokens)
            if fresh:
                at = len(node.children)
                node.children.append(Node(tokens[at][1]))
            else:
                at = self._most_promising(node)
            node = node.children[at]
            leaf.path.append(node)
            leaf.prefix += (tokens[at][0],)
        for node in leaf.path:
            node.visits += 1
        return leaf

    def _most_promising(self, node: Node) -> int:
        log_n = math.log(max(node.visits, 1))

        def promise(at: int) -> float:
            child = node.children[at]
            if self.rule == "uct":
                bonus = math.sqrt(log_n / child.visits)
            else:
                bonus = child.prior * math.sqrt(log_n) / child.visits
            return child.value + self.explore * bonus

        return max(range(len(node.children)), key=promise)

    def known_reward(self, prefix: Ids) -> float | None:
        """Reward of the formula that greedy decoding makes of ``prefix``, if it was seen."""
        formula = self.completions.get(prefix)
        return None if formula is None else self.rewards.get(formula)

    def emit(self) -> bool:
        """Fix the next token, that of the best value, and go on with its part of the tree.

        Returns
        -------
        bool
            False if nothing is known about the next token.
        """
        tokens, children = self.choices.get(self.prefix, []), self._root.children
        if not children:
            return False
        best = max(range(len(children)), key=lambda at: children[at].value)
        self.prefix += (tokens[best][0],)
        self._root = children[best]
        return True


class Trunk:
    """The decoder after the tokens that the plans have emitted; rollouts branch off here.

    Parameters
    ----------
    backbone : Backbone
    memory : Tensor of shape (B, N, encoder_dim)
    mask : bool Tensor of shape (B, N)
    n_columns : int
    max_length : int
        Most tokens of a formula.
    prefixes : sequence of tuple of int
        Emitted tokens of the plans, equally many of each.
    """

    @torch.inference_mode()
    def __init__(
        self,
        backbone: Backbone,
        memory: Tensor,
        mask: Tensor,
        *,
        n_columns: int,
        max_length: int,
        prefixes: Sequence[Ids],
    ) -> None:
        self._vocabulary = vocabulary = backbone.vocabulary
        self._max_length, self._device = max_length, memory.device
        shape = (len(memory), 1)
        self._steps = CachedSteps(backbone.decoder, memory, mask, 1)
        self._rules = Grammar(vocabulary, n_columns, shape, max_length, memory.device)
        self._last = torch.full(shape, vocabulary.eos, device=memory.device)
        for tokens in zip(*prefixes, strict=True):
            self.push(tokens)

    @torch.inference_mode()
    def push(self, tokens: Sequence[int]) -> None:
        """Take the next emitted token of every plan."""
        self._steps.step(self._last)
        self._last = torch.tensor(tokens, device=self._device)[:, None]
        self._rules.advance(self._last)

    @torch.inference_mode()
    def complete(
        self,
        plans: Sequence[TokenPlan],
        prefixes: Sequence[Sequence[Ids]],
        width: int,
        end: Deadline,
    ) -> None:
        """Complete prefixes greedily, all in one batch; the plans remember what comes out.

        Parameters
        ----------
        plans : sequence of TokenPlan
            B of them, in the order of the memories.
        prefixes : sequence of sequence of tuple of int
            Of each plan, up to S, each with the emitted tokens in front.
        width : int
            How many of the most probable tokens are remembered at every place.
        end : Deadline
            Formulas not complete by then are lost.
        """
        emitted, most = len(plans[0].prefix), max(map(len, prefixes))
        rows = [
            [*(_Row(plan, p, emitted) for p in own), *(_Row(plan) for _ in range(most - len(own)))]
            for plan, own in zip(plans, prefixes, strict=True)
        ]
        branch, rules = copy.copy(self._steps), copy.copy(self._rules)
        kept = [[0] * most] * len(plans)  # every rollout branches off the only row
        tokens = self._last
        for _ in range(emitted, self._max_length):
            if kept:
                at = torch.tensor(kept, device=self._device)
                tokens = tokens.gather(1, at)
                branch.select(at)  # copies what it keeps: the trunk stays as it is
                rules.select(at)
            if end.over:
                return
            scores = branch.step(tokens).float().nan_to_num_(nan=0.0) + rules.bias()
            best = scores.softmax(-1).topk(width)
            tokens = self._take(rows, best.indices.tolist(), best.values.tolist())
            _close(rows, rules.advance(tokens).tolist())
            left = max(sum(row.open for row in own) for own in rows)
            if not left:
                return
            kept = []
            if left < len(rows[0]):
                kept = [sorted(range(len(own)), key=lambda i: not own[i].open)[:left]
                        for own in rows]  # fmt: skip
                rows = [[own[i] for i in k] for own, k in zip(rows, kept, strict=True)]

    def tree(self, formula: Ids) -> Tree | None:
        """The formula over its view's columns; None if it is none."""
        try:
            return self._vocabulary.decode(formula)
        except FormulaError:
            return None

    def _take(
        self, rows: list[list[_Row]], ids: list[list[list[int]]], likely: list[list[list[float]]]
    ) -> Tensor:
        """The next token of every row, (B, S), given the most probable ones."""
        taken = [
            [row.take(list(zip(i, p, strict=True))) for row, i, p in zip(*bag, strict=True)]
            for bag in zip(rows, ids, likely, strict=True)
        ]
        return torch.tensor(taken, device=self._device)


class _Row:
    """One rollout in a batch: forced tokens first, then the most probable ones.

    Without a prefix it only fills the batch.
    """

    def __init__(self, plan: TokenPlan, prefix: Ids | None = None, emitted: int = 0) -> None:
        self.open = prefix is not None
        self._plan, self._prefix = plan, prefix or ()
        self._ids = list(self._prefix[:emitted])
        self._choices: list[list[tuple[int, float]]] = []

    def take(self, choices: list[tuple[int, float]]) -> int:
        """The next token: the forced one, or the most probable."""
        at = len(self._ids)
        if at < len(self._prefix):
            self._ids.append(self._prefix[at])
        else:
            self._choices.append([(token, p) for token, p in choices if p > 0.0])
            self._ids.append(choices[0][0])
        return self._ids[-1]

    def close(self) -> None:
        """The formula is complete: hand it over."""
        self._plan.remember(tuple(self._ids), len(self._prefix), self._choices)
        self.open = False


def _close(rows: list[list[_Row]], complete: list[list[bool]]) -> None:
    for own, done in zip(rows, complete, strict=True):
        for row, is_complete in zip(own, done, strict=True):
            if is_complete and row.open:
                row.close()
