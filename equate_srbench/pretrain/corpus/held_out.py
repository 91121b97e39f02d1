"""Examples that no training sees, of four kinds, the same for every run.

They are drawn with seeds of their own and do not depend on a run's corpus, so that losses of
different runs can be compared.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np

from equate_srbench.expr.tokens.vocabulary import CompactVocabulary
from equate_srbench.pretrain.corpus.column_laws import ColumnLaw
from equate_srbench.pretrain.corpus.decontaminate import Filter
from equate_srbench.pretrain.corpus.examples import (
    MAX_COLUMNS,
    Batch,
    CorpusConfig,
    Counts,
    Example,
    examples_of,
    features,
    pad_targets,
)

#: Kinds, and the law of the columns in their formulas (None: any): noise of 10 % in one of them.
KINDS: dict[str, ColumnLaw | None] = {
    "clean": None, "noisy": None, "narrow": ColumnLaw.NARROW, "log": ColumnLaw.DECADES,
}  # fmt: skip
NOISE = 0.1
N_EXAMPLES, N_POINTS = 128, 48
_NATURAL = CorpusConfig(natural_formulas=0.4, natural_tables=1.0)


def held_out(n: int = N_EXAMPLES) -> dict[str, Batch]:
    """A batch of ``n`` examples of ``N_POINTS`` rows for each of ``KINDS``."""
    banned = Filter.shipped()
    return {kind: _batch(_examples(kind, n, banned)) for kind in KINDS}


def _examples(kind: str, n: int, banned: Filter) -> list[Example]:
    seed = f"held out/{kind}"
    r, rng = Random(seed), np.random.default_rng(list(seed.encode()))  # noqa: S311
    law = KINDS[kind]
    config = replace(_NATURAL, natural_tables=0.4 if law is None else 1.0, noise=0.0)
    drawn = examples_of(config, r, rng, N_POINTS, 100 * n, banned, Counts())
    found: list[Example] = []
    for e in drawn:
        columns = list(e.tree.columns)
        if law is not None and not (e.spec.law[columns] == law).all():
            continue
        if kind == "noisy":
            rms = np.sqrt((e.y * e.y).mean())
            e = replace(e, y=e.y + NOISE * rms * rng.standard_normal(len(e.y)))
        found.append(e)
        if len(found) == n:
            break
    return found


def _batch(examples: list[Example]) -> Batch:
    vocabulary = CompactVocabulary(MAX_COLUMNS)
    targets = [vocabulary.encode(e.tree) for e in examples]
    return Batch(features(examples), pad_targets(targets, vocabulary.eos, vocabulary.pad))
