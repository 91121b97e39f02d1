"""Formulas and tables as in nature: each property at its share, and older corpora as they were."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import asdict, replace
from random import Random

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

from equate_srbench.backbone.views import View
from equate_srbench.expr.algebra import normal
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.tokens.vocabulary import CompactVocabulary
from equate_srbench.expr.tree import Tree
from equate_srbench.pretrain.corpus import column_laws, device_tables, natural
from equate_srbench.pretrain.corpus import examples as corpus
from equate_srbench.pretrain.corpus.column_laws import LAWS, ColumnLaw, Family, own_table
from equate_srbench.pretrain.corpus.decontaminate import Filter
from equate_srbench.pretrain.corpus.examples import BEFORE, CorpusConfig, Counts, Example
from equate_srbench.pretrain.train import TrainConfig

OLD = CorpusConfig(seed=3, batch_points=960, batches=2, **BEFORE)
NEW = CorpusConfig(seed=3, batch_points=960, batches=2)


def about(found: int, n: int, share: float) -> bool:
    """Whether ``found`` of ``n`` is within five standard deviations of ``share``."""
    return abs(found - n * share) <= 5.0 * (n * share * (1.0 - share)) ** 0.5


def powers(node: object) -> list[float]:
    """Exponents in a normal form."""
    if not isinstance(node, tuple):
        return []
    own = [e for _, e in node[1]] if node and node[0] == "p" else []
    return own + [e for part in node for e in powers(part)]


def digest(config: CorpusConfig, index: int) -> str:
    """SHA-256 of a pool."""
    h = hashlib.sha256()
    for batch in corpus.pool(config, index, Filter.shipped())[0]:
        h.update(np.ascontiguousarray(batch.points).tobytes() + batch.tokens.tobytes())
    return h.hexdigest()[:16]


@pytest.fixture(scope="module")
def tables() -> list[column_laws.Spec]:
    """Distributions of 1500 tables of four columns, the last of which is in no formula."""
    r, rng = Random(0), np.random.default_rng(0)
    return [own_table(r, rng, 8, [True, True, True, False])[1] for _ in range(1500)]


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    """Examples of 48 points, all natural."""
    config = replace(NEW, natural_formulas=1.0, natural_tables=1.0)
    r, rng = Random("some"), np.random.default_rng(5)
    return list(corpus.examples_of(config, r, rng, 48, 400, Filter.shipped(), Counts()))


def test__config__from_before__draws_what_it_drew() -> None:
    """A state or checkpoint that does not name the options means a corpus without them."""
    old = asdict(TrainConfig(corpus=OLD))
    for name in ("natural_formulas", "natural_tables"):
        del old["corpus"][name]
    assert TrainConfig.from_dict(old).corpus == OLD
    assert digest(TrainConfig.from_dict(old).corpus, 5) != digest(NEW, 5)


def test__draw__families__at_their_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every family comes as often as its weight says; columns and idle ones too."""
    seen: Counter[str] = Counter()
    monkeypatch.setattr(
        natural, "_FAMILIES",
        [lambda r, c, f=f: seen.update([f.__name__]) or f(r, c) for f in natural.MIXTURE],
    )  # fmt: skip
    r, n = Random(1), 3000
    widths = Counter(natural.draw(r)[1] for _ in range(n))
    total = sum(seen.values())
    assert total < 1.1 * n  # few are constant or undefined
    for family, share in natural.MIXTURE.items():
        assert about(seen[family.__name__], total, share), family.__name__
    assert about(widths[1], n, natural.N_COLUMNS[0] * natural.N_IDLE[0])


@pytest.mark.parametrize("family", list(natural.MIXTURE), ids=lambda f: f.__name__)
def test__families__hundred__fit_into_the_vocabulary(family: object) -> None:
    """Targets are written and read back, most of them within 40 tokens."""
    vocabulary, r, short = CompactVocabulary(10), Random(2), 0
    for i in range(100):
        n = 1 + i % 4
        tree = natural.spelled(normal.to_tree(normal.strip(family(r, list(range(n))))))
        read = vocabulary.decode(vocabulary.encode(tree))
        assert read.skeleton == tree.skeleton or read.size <= tree.size
        short += tree.size <= NEW.max_tokens
    assert short > 85


def test__families__what_they_are_for__is_there() -> None:
    """Degrees up to six, real exponents, logarithms, powers of columns, products of functions."""
    r = Random(3)

    def many(family: object, n_columns: int) -> list[tuple[object, ...]]:
        return [family(r, list(range(n_columns)))[1] for _ in range(300)]

    degrees = Counter(
        max(powers(("x", e)), default=1.0) for e in [natural.polynomial(r, [0]) for _ in range(600)]
    )
    assert set(degrees) == {2.0, 3.0, 4.0, 5.0, 6.0}
    for degree, share in zip(*natural._DEGREES, strict=True):
        assert about(degrees[float(degree)], 600, share)
    assert all(any(2 * e % 1 for e in powers(node)) for node in many(natural.real_powers, 2))
    assert all("'log'" in repr(node) for node in many(natural.log_ratio, 2))
    raised = sum("'exp'" in repr(node) and "'log'" in repr(node) for node in
                 many(natural.column_powers, 2))  # fmt: skip
    assert about(raised, 300, 0.8)
    assert all(-1.0 in powers(node) for node in many(natural.polynomial_ratio, 2))


def test__spelled__sixth_power__same_values_and_a_token_for_each() -> None:
    """Square of cube: defined for negative numbers after the way through the vocabulary."""
    x = normal.variable(0)
    expression = normal.add(normal.power(x, 6.0), normal.power(normal.add(x, (2.0, None)), -6.0))
    tree = normal.to_tree(expression)
    spelled = natural.spelled(tree)
    X = np.linspace(-1.5, 1.5, 9)[:, None]
    np.testing.assert_allclose(evaluate(spelled, X), evaluate(tree, X))
    vocabulary = CompactVocabulary(10)
    assert vocabulary.decode(vocabulary.encode(spelled)) == spelled
    assert vocabulary.decode(vocabulary.encode(tree)) != tree
    assert natural.spelled(Tree.variable(0)) == Tree.variable(0)


def test__own_table__laws__at_their_shares(tables: list[column_laws.Spec]) -> None:
    """Per column of a formula; a column that is in none is constant with its own share."""
    laws = Counter(int(law) for spec in tables for law in spec.law[:1])
    for law, share in LAWS.items():
        assert about(laws[law], len(tables), share), law.name
    idle = Counter(int(spec.law[3]) for spec in tables)
    assert about(idle[ColumnLaw.CONSTANT], len(tables), column_laws.IDLE_CONSTANT)
    assert not any((spec.law[:3] == ColumnLaw.CONSTANT).any() for spec in tables)
    same = sum(len(set(spec.law[:3])) == 1 for spec in tables)
    chance = sum(share**3 for share in LAWS.values())
    assert about(same, len(tables), 0.5 + 0.5 * chance)


def test__own_table__decades_signs_and_rounding__at_their_shares(
    tables: list[column_laws.Spec],
) -> None:
    """One column a table, so that draws are independent."""
    wide = [(s.b[0], s.sign[0], s.c[0]) for s in tables if s.law[0] == ColumnLaw.DECADES]
    for place, law in ((0, column_laws.DECADES), (1, column_laws.SIGNS)):
        found = Counter(row[place] for row in wide)
        for value, share in zip(*law, strict=True):
            assert about(found[value], len(wide), share), value
    assert about(sum(c > 0 for *_, c in wide), len(wide), column_laws.ROUNDED)
    digits = sum(s.digits > 0 for s in tables)
    assert about(digits, len(tables), column_laws.ROUNDED_TARGET)


def test__own_table__values__obey_their_laws() -> None:
    """Integers, constants, narrow ranges, one sign, decades, digits."""
    r, rng = Random(4), np.random.default_rng(4)
    seen = set()
    for _ in range(200):
        X, spec = own_table(r, rng, 400, [True, False])
        for x, law, a, b, c in zip(X.T, spec.law, spec.a, spec.b, spec.c, strict=True):
            seen.add(ColumnLaw(int(law)))
            if law == ColumnLaw.INTEGERS:
                assert (x == np.round(x)).all()
            if law == ColumnLaw.CONSTANT:
                assert len(set(x)) == 1
            if law == ColumnLaw.NARROW:
                assert np.ptp(x) <= 1.1 * np.abs(x).min()
            if law == ColumnLaw.ONE_SIGN:
                assert (np.sign(x) == np.sign(x[0])).all()
            if law == ColumnLaw.DECADES:
                logs = np.log10(np.abs(x))
                assert 0.9 * b < np.ptp(logs) < 1.0 * b + 0.1
                assert logs.min() > a - 0.1
                if c:
                    assert all(float(f"{v:.{int(c) - 1}e}") == pytest.approx(v) for v in x[:20])
        positive, _ = own_table(r, rng, 40, [True] * 3, positive=True)
        assert (positive >= 0).all()
    assert seen == set(ColumnLaw)


def test__examples__natural__reach_spans_and_explain_their_tables(examples: list[Example]) -> None:
    """Some targets span decades; the formula gives the target up to scale, offset and noise."""
    assert {e.spec.family for e in examples} == {Family.OWN}
    spans = [np.log10(np.abs(f).max() / np.abs(f).min()) for f in
             (evaluate(e.tree, e.X) for e in examples) if np.abs(f).min() > 0]  # fmt: skip
    assert 0.15 < np.mean(np.array(spans) > 3.0) < 0.75
    correlations = [abs(np.corrcoef(evaluate(e.tree, e.X), e.y)[0, 1]) for e in examples]
    assert np.median(correlations) > 1.0 - 1e-4
    assert all(e.tree.size <= NEW.max_tokens for e in examples)
    known = {j for e in examples for j in np.flatnonzero(np.ptp(e.X, axis=0) == 0)}
    assert known  # constant columns
    assert all(np.ptp(e.X[:, list(e.tree.columns)], axis=0).all() for e in examples)


def test__pool__shares__formulas_and_tables() -> None:
    """The options are the shares of what is drawn."""
    r, rng = Random(5), np.random.default_rng(5)
    made = list(corpus.examples_of(NEW, r, rng, 24, 1500, Filter(frozenset()), Counts()))
    own = np.mean([e.spec.family == Family.OWN for e in made])
    assert abs(own - NEW.natural_tables) < 0.08  # more or fewer are usable
    none = replace(NEW, natural_tables=0.0, natural_formulas=1.0)
    made = list(corpus.examples_of(none, r, rng, 24, 50, Filter(frozenset()), Counts()))
    assert Family.OWN not in {e.spec.family for e in made}


def test__usable__targets_over_decades__only_where_they_may() -> None:
    """Both versions of the rule agree; one sign, no single outlier, varying logarithms."""
    rng = np.random.default_rng(0)
    F = 10.0 ** rng.uniform(-14.0, 14.0, (6, 64))
    F[1] = -F[1]
    F[2, 5] *= -1.0
    F[3] = 1.0
    F[3, 0] = 1e20
    F[4, 3] = np.nan
    F[5, 3] = 0.0
    allowed = np.ones(6, dtype=bool)
    wanted = [True, True, False, False, False, False]
    assert corpus.usable(F, allowed).tolist() == wanted
    assert device_tables.usable(torch.from_numpy(F), allowed).tolist() == wanted
    assert not corpus.usable(F, ~allowed).any()
    assert not corpus.usable(F).any()


def test__raw__own_tables__follow_their_law() -> None:
    """Kolmogorov-Smirnov: rows drawn many at once are distributed as those drawn alone."""
    n = 3000
    for seed in range(30):
        X, spec = own_table(Random(seed), np.random.default_rng(seed), n, [True, True, False])
        e = Example(
            Tree.variable(0), X, X[:, 0], View("scale", np.zeros(3), np.ones(3)), np.ones(3), spec
        )
        drawn = device_tables.Tables(
            device_tables.pack([e], 1), torch.device("cpu"), torch.Generator().manual_seed(seed)
        )
        rows = np.zeros(1, dtype=np.int64)
        new = drawn._raw(rows, {k: v[rows] for k, v in drawn.numbers.items()})[0].numpy()
        for j in range(3):
            assert ks_2samp(X[:, j], new[:, j]).pvalue > 1e-4, (seed, spec.law[j])


def test__rounded__both__equal() -> None:
    """Significant digits, zero and negative numbers included."""
    x = np.array([[0.0, 1.2345, -98765.0, 3e-7, 1e20]])
    for digits in (0.0, 2.0, 3.0):
        ours = column_laws.rounded(x, digits)
        theirs = device_tables._rounded(torch.from_numpy(x), torch.tensor([[digits]]))
        np.testing.assert_allclose(theirs.numpy(), ours, rtol=1e-12)
    np.testing.assert_allclose(column_laws.rounded(x, 2.0), [[0.0, 1.2, -99000.0, 3e-7, 1e20]])


def test__draw_batches__natural__finite_and_new_tables(examples: list[Example]) -> None:
    """Many at once, natural examples are as sound as alone."""
    made = device_tables.pack(examples, 50)
    config = replace(NEW, tables=2)
    batches = device_tables.draw_batches(config, 0, made, torch.device("cpu"))
    assert sum(len(b.tokens) for b in batches) == 2 * len(examples)
    assert all(np.isfinite(b.points).all() for b in batches)
