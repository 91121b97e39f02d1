"""Tables drawn many at once: what they are for, and that nothing tells them from the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency, ks_2samp

from equate_srbench.backbone.features import point_features as numpy_features
from equate_srbench.backbone.views import View
from equate_srbench.expr.algebra import normal
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.tokens.vocabulary import CompactVocabulary
from equate_srbench.pretrain.corpus import device_tables
from equate_srbench.pretrain.corpus import examples as corpus
from equate_srbench.pretrain.corpus.decontaminate import Filter
from equate_srbench.pretrain.corpus.examples import CorpusConfig, Counts, Example
from equate_srbench.pretrain.corpus.point_features import point_features
from tests.pretrain.test_train import TINY, go

CPU = torch.device("cpu")
CONFIG = CorpusConfig(seed=3, batch_points=1536, batches=4, tables=3)


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    """Five hundred examples of 48 points from the plain generator."""
    r, rng = Random("some"), np.random.default_rng(5)
    return list(corpus.examples_of(CONFIG, r, rng, 48, 500, Filter.shipped(), Counts()))


@pytest.fixture(scope="module")
def tables(examples: list[Example]) -> device_tables.Tables:
    """Draws tables for them."""
    return device_tables.Tables(
        device_tables.pack(examples, 32), CPU, torch.Generator().manual_seed(0)
    )


@pytest.mark.parametrize("kind", ["scale", "standard"])
def test__point_features__odd_columns__equal_numpy(kind: str) -> None:
    """The network cannot tell where its features were computed."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6, 20, 10)) * 10.0 ** rng.integers(-6, 6, (6, 1, 10))
    X[0, :, 2] = 0.0
    present = rng.random((6, 10)) < 0.7
    y = rng.normal(size=(6, 20)) * 10.0 ** rng.integers(-8, 8, (6, 1))
    y[1] = 3.0
    y[2, :5] = 0.0
    view = View.fit(X, kind)
    wanted = numpy_features(view.transform(X), y, view, present=present)
    found = point_features(
        torch.from_numpy(view.transform(X)), torch.from_numpy(y), torch.from_numpy(view.center),
        torch.from_numpy(view.scale), torch.full((6,), kind == "standard"),
        torch.from_numpy(present),
    )  # fmt: skip
    np.testing.assert_allclose(found.numpy(), wanted, rtol=0, atol=1e-5)


def test__usable__all_kinds_of_values__equals_the_corpus_rule() -> None:
    """Constant, undefined, huge, tiny, one outlier among equals, and ordinary."""
    rng = np.random.default_rng(1)
    F = rng.normal(size=(60, 32)) * 10.0 ** rng.integers(-12, 12, (60, 1))
    F[0], F[1, 3], F[2, 4] = 2.0, np.nan, np.inf
    F[3] = 1.0
    F[3, 0] = 50.0
    assert device_tables.usable(torch.from_numpy(F)).tolist() == corpus.usable(F).tolist()


def test__values__drawn_columns__equal_the_reference(
    examples: list[Example], tables: device_tables.Tables
) -> None:
    """One program for hundreds of formulas gives each one's own values, repeated ones too."""
    chosen = np.array([5, 3, 3, *range(100, 200)])
    columns, _ = tables._columns(chosen)
    values = tables._values(chosen, columns).numpy()
    for i, j in enumerate(chosen):
        np.testing.assert_allclose(
            values[i], evaluate(examples[j].tree, columns[i].numpy()), rtol=1e-9, atol=1e-300
        )


def test__columns__drawn__have_the_scales_that_the_formula_was_written_for(
    examples: list[Example], tables: device_tables.Tables
) -> None:
    """The view of a new table is its template's: powers of ten, or mean 0 and deviation 1."""
    chosen = np.arange(len(examples))
    columns, fits = tables._columns(chosen)
    assert fits.float().mean() > 0.9
    for e, Z, ok in zip(examples, columns.numpy(), fits.tolist(), strict=True):
        width = e.X.shape[1]
        assert not Z[:, width:].any()
        view = View.fit(Z[:, :width], e.view.kind)
        if e.view.kind == "standard":
            np.testing.assert_allclose(view.center, 0.0, atol=1e-9)
            np.testing.assert_allclose(view.scale, 1.0, rtol=1e-9)
        else:
            assert ok == bool((view.scale == 1.0).all())


def test__raw__many_tables__follow_the_law_of_their_template(examples: list[Example]) -> None:
    """Kolmogorov-Smirnov: new rows of every family are distributed as the plain generator's."""
    n = 4000
    for seed in range(40):
        X, spec = corpus.table(Random(seed), np.random.default_rng(seed), n, 2)
        e = replace(
            examples[0], X=X, y=X[:, 0], spec=spec, units=np.ones(2),
            view=View("scale", np.zeros(2), np.ones(2)),
        )  # fmt: skip
        drawn = device_tables.Tables(
            device_tables.pack([e], 1), CPU, torch.Generator().manual_seed(seed)
        )
        rows = np.zeros(1, dtype=np.int64)
        new = drawn._raw(rows, {k: v[rows] for k, v in drawn.numbers.items()})[0].numpy()
        for j in range(2):
            assert ks_2samp(X[:, j], new[:, j]).pvalue > 1e-4, (seed, spec.family)


def test__label__many__distributed_as_the_plain_one(tables: device_tables.Tables) -> None:
    """Scale, sign, offset and noise: quantiles of what comes out are the same."""
    r, rng = Random(0), np.random.default_rng(0)
    f = np.linspace(1.0, 2.0, 24)
    plain = np.array([corpus._label(r, rng, f) for _ in range(6000)])
    new = tables._label(torch.from_numpy(np.tile(f, (6000, 1)))).numpy()

    def roughness(y: np.ndarray) -> np.ndarray:
        return np.abs(np.diff(y, 2)).max(1) / np.abs(y).max(1)

    for statistic in (
        lambda y: y.mean(1), lambda y: np.log(np.abs(y).max(1)), roughness,
        lambda y: y.mean(1) / y.std(1),
    ):  # fmt: skip
        assert ks_2samp(statistic(plain), statistic(new)).pvalue > 1e-3


def statistics(tokens: list[list[int]]) -> dict[str, np.ndarray]:
    """Counts of tokens, lengths, operators and numbers of variables."""
    words = CompactVocabulary(corpus.MAX_COLUMNS).words
    is_variable = [w.startswith("x_") for w in words]
    flat = [i for ids in tokens for i in ids]
    n_variables = [len({i for i in ids if is_variable[i]}) for ids in tokens]
    return {
        "tokens": np.bincount(flat, minlength=len(words)),
        "lengths": np.bincount([len(ids) for ids in tokens], minlength=48),
        "variables": np.bincount(n_variables, minlength=11),
    }


def test__draw_batches__against_another_seed_of_the_plain_corpus__same_statistics() -> None:
    """Chi-square over tokens (operators, constants, columns), lengths and numbers of variables."""
    vocabulary = CompactVocabulary(corpus.MAX_COLUMNS)

    def strip(batch: corpus.Batch) -> list[list[int]]:
        rows = batch.tokens.tolist()
        return [row[1 : row.index(vocabulary.eos, 1)] for row in rows]

    banned, one = Filter.shipped(), replace(CONFIG, tables=2, batches=12)
    new: list[list[int]] = []
    plain: list[list[int]] = []
    for index in range(2):
        made, _ = device_tables.templates(one, index, banned)
        batches = device_tables.draw_batches(one, index, made, CPU)
        new += [ids for batch in batches for ids in strip(batch)]
        other = corpus.pool(replace(one, seed=99), index, banned)[0]
        plain += [ids for batch in other for ids in strip(batch)]
    a, b = statistics(new), statistics(plain)
    for name in a:
        table = np.array([a[name] // one.tables, b[name]])  # each formula counts once
        table = table[:, table.sum(0) >= 20]
        assert chi2_contingency(table).pvalue > 1e-4, name


def test__draw_batches__every_formula__passes_the_filter_and_repeats() -> None:
    """Only formulas of the pool come out; none is banned; twice is the same."""
    banned = Filter.shipped()
    made, counts = device_tables.templates(CONFIG, 1, banned)
    first = device_tables.draw_batches(CONFIG, 1, made, CPU)
    second = device_tables.draw_batches(CONFIG, 1, made, CPU)
    vocabulary = CompactVocabulary(corpus.MAX_COLUMNS)
    assert sum(len(b.tokens) for b in first) == CONFIG.tables * counts.kept
    assert len(first) == CONFIG.tables * CONFIG.batches
    known = {tuple(ids) for ids in made.tokens}
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.points, b.points)
        np.testing.assert_array_equal(a.tokens, b.tokens)
        assert a.points.dtype == np.float16
        assert np.isfinite(a.points).all()
        for row in a.tokens.tolist():
            ids = row[1 : row.index(vocabulary.eos, 1)]
            assert tuple(ids) in known
            assert not banned.matches(normal.from_tree(vocabulary.decode(ids)))
    points = torch.cat([torch.from_numpy(b.points).flatten(1) for b in first])
    assert len(points.unique(dim=0)) > 0.95 * len(points)  # tables differ, few had to be replaced


def test__nearest__missing_places__filled_from_beside() -> None:
    """Ties go to the right."""
    assert device_tables._nearest(6, np.array([0, 2, 3])).tolist() == [1, 1, 1, 4, 4, 5]
    with pytest.raises(RuntimeError, match="none of the formulas"):
        device_tables._nearest(2, np.array([0, 1]))


def test__pretrain__tables_on_the_device__resumes_exactly(tmp_path: Path) -> None:
    """Nothing but seed and pool decides what is seen: seven steps are three and four."""
    config = replace(TINY, corpus=replace(TINY.corpus, tables=2))
    whole = go(tmp_path / "whole", 7, config)
    go(tmp_path / "parts", 3, config)
    parts = go(tmp_path / "parts", 7, config)
    assert whole.progress.examples == parts.progress.examples
    assert whole.progress.loss == pytest.approx(parts.progress.loss, rel=1e-3)
