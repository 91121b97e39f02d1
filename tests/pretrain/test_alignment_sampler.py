"""Training batches of the alignment modules: formulas, scores, seeds."""

from itertools import islice

import torch

from equate_srbench.expr.algebra import normal
from equate_srbench.pretrain.alignment_sampler import AlignmentConfig, TaskSampler
from equate_srbench.pretrain.corpus.decontaminate import Filter

CONFIG = AlignmentConfig(tables=3, block=2, part=8, points=(24,))


def sample(backbone, n, stream=1):
    """The first batches of a stream."""
    return list(islice(TaskSampler(backbone, backbone, CONFIG, stream).batches(), n))


def test__batches__formulas__are_distinct_scored_and_sorted_by_length(backbone):
    """Every table comes with good and bad formulas; parts hold similar lengths."""
    vocabulary = backbone.vocabulary
    for batch in sample(backbone, 3):
        seen = set()
        lengths = []
        for part in batch.parts:
            ids = [
                tuple(row[:n].tolist())
                for row, n in zip(part.formulas.body, part.formulas.lengths, strict=True)
            ]
            rows = list(zip(part.table.tolist(), ids, strict=True))
            assert not seen & set(rows)
            seen |= set(rows)
            lengths += part.formulas.lengths.tolist()
            assert all(vocabulary.decode(i).is_valid() for i in ids)
            assert ((part.scores >= -1.0) & (part.scores <= 1.1)).all()
        assert lengths == sorted(lengths)
        assert len(batch) == len(lengths) == len(seen)
        assert {table for table, _ in seen} == {0, 1, 2}


def test__batches__no_benchmark_formula_is_taught(backbone):
    """Edits of training formulas pass the same filter as the corpus."""
    banned = Filter.shipped()
    for batch in sample(backbone, 2):
        for part in batch.parts:
            for row, n in zip(part.formulas.body, part.formulas.lengths, strict=True):
                tree = backbone.vocabulary.decode(row[:n].tolist())
                assert not banned.matches(normal.from_tree(tree))


def test__batches__same_stream__same_formulas(backbone):
    """Batches follow from seed and stream, and streams differ."""
    first, again, other = (sample(backbone, 1, s)[0] for s in (1, 1, 2))
    tokens = [x.parts[0].formulas.tokens for x in (first, again, other)]
    assert torch.equal(tokens[0], tokens[1])
    assert tokens[0].shape != tokens[2].shape or not torch.equal(tokens[0], tokens[2])
