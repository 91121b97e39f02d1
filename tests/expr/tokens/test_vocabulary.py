"""Token sequences of formulas in both vocabularies."""

import contextlib
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equate_srbench.expr.errors import FormulaError
from equate_srbench.expr.operators import OPERATORS
from equate_srbench.expr.tokens.e2e_vocabulary import E2EVocabulary, float_tokens
from equate_srbench.expr.tokens.vocabulary import CompactVocabulary
from equate_srbench.expr.tree import Tree

FIXTURE = Path(__file__).parents[4] / "shared" / "fixtures" / "e2e_tiny" / "fixture.json"
COMPACT, OFFICIAL = CompactVocabulary(), E2EVocabulary()


def trees(constants, operators=OPERATORS):
    """Trees over ten columns with up to about twenty nodes."""
    leaves = st.one_of(st.integers(0, 9).map(Tree.variable), constants.map(Tree.constant))

    def wrap(inner):
        return st.one_of(
            *(
                st.tuples(*[inner] * op.arity).map(lambda args, n=op.name: Tree.apply(n, *args))
                for op in operators
            )
        )

    return st.recursive(leaves, wrap, max_leaves=10)


@pytest.fixture(scope="module")
def official():
    """What the original code does with the same numbers and formulas."""
    if not FIXTURE.exists():
        pytest.skip("the shared E2E fixture is not here")
    return json.loads(FIXTURE.read_text())


def prefix_tree(text):
    """The tree of a prefix text in E2E's words."""
    names = {"pow2": "square", "pow3": "cube"}
    named = {"e": math.e, "pi": math.pi, "euler_gamma": 0.5772156649015329}
    words = iter(text.split(","))

    def read():
        word = next(words)
        op = {op.name: op for op in OPERATORS}.get(names.get(word, word))
        if op is not None:
            return Tree.apply(op.name, *[read() for _ in range(op.arity)])
        if word.startswith("x_"):
            return Tree.variable(int(word[2:]))
        return Tree.constant(named[word] if word in named else float(word))

    return read()


# -- compact -----------------------------------------------------------------------------------


def test__compact__words__are_distinct_and_cover_the_table():
    """117 distinct words: start, filler, operators, columns, exact and bucketed constants."""
    assert len(COMPACT) == len(set(COMPACT.words)) == 117
    assert {op.name for op in OPERATORS} <= set(COMPACT.words)
    assert [COMPACT.words[i] for i in COMPACT.columns] == [f"x_{j}" for j in range(10)]


@given(trees(st.sampled_from([*range(-5, 6), 0.5]).map(float)))
def test__compact__exact_constants__round_trip(tree):
    """A formula whose constants have tokens of their own survives unchanged."""
    assert COMPACT.decode(COMPACT.encode(tree)) == tree


@given(trees(st.floats(allow_nan=False, allow_infinity=False)))
def test__compact__any_constants__decode_of_encode_is_stable(tree):
    """The skeleton survives, and encoding again gives the same function of tokens."""
    ids = COMPACT.encode(tree)
    decoded = COMPACT.decode(ids)
    assert decoded.symbols == tree.symbols
    assert COMPACT.decode(COMPACT.encode(decoded)) == decoded
    assert len(ids) == tree.size


@given(st.floats(1e-3, 1e3), st.booleans())
def test__compact__constant_within_the_buckets__is_off_by_a_twelfth_of_a_decade(value, negative):
    """Six buckets per decade: the centre is at most 10**(1/12) away."""
    signed = -value if negative else value
    decoded = COMPACT.decode([COMPACT.constant(signed)]).constants[0]
    assert math.copysign(1, decoded) == math.copysign(1, signed)
    assert abs(math.log10(decoded / signed)) <= 1 / 12 + 1e-9


@pytest.mark.parametrize(("value", "centre"), [(1e9, 1e3), (-1e9, -1e3), (1e-300, 1e-3)])
def test__compact__constant_beyond_the_buckets__takes_the_outermost(value, centre):
    """Refinement finds the value; the token only has to start it."""
    assert COMPACT.decode([COMPACT.constant(value)]).constants[0] == pytest.approx(centre)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test__compact__constant_not_finite__is_refused(value):
    """There is no token for what is not a number."""
    with pytest.raises(FormulaError, match="no token"):
        COMPACT.encode(Tree.constant(value))


def test__compact__column_beyond_the_last__is_refused():
    """A table of 3 columns has no x_3."""
    with pytest.raises(FormulaError, match="column 3"):
        CompactVocabulary(3).encode(Tree.variable(3))


@given(st.lists(st.integers(-3, 120), max_size=12))
def test__compact__decode_of_anything__is_a_valid_tree_or_an_error(ids):
    """No sequence of numbers gives a broken tree."""
    with contextlib.suppress(FormulaError):
        assert COMPACT.decode(ids).is_valid()


# -- E2E ---------------------------------------------------------------------------------------


def test__e2e__word_lists__equal_the_release(official):
    """Both vocabularies entry by entry, with the ids of start and filler."""
    assert float_tokens().words == official["float_words"]
    assert OFFICIAL.words == official["equation_words"]
    assert (OFFICIAL.eos, OFFICIAL.pad) == (74, 82)
    assert float_tokens().pad == official["special_ids"]["float_pad"]


def test__e2e__numbers__equal_the_release(official):
    """Every number of the fixture: words out, value back."""
    for case in official["floats"]:
        assert list(float_tokens().split(float(case["value"]))) == case["tokens"]
        assert float_tokens().join(case["tokens"]) == float(case["decoded"])


def test__e2e__formulas__equal_the_release(official):
    """Every formula of the fixture: tokens out (constants always as floats), tree back."""
    for case in official["expressions"] + official["targets"]:
        tree = prefix_tree(case["prefix"])
        ids = [OFFICIAL.ids[word] for word in case["tokens"]]
        decoded = OFFICIAL.decode(ids)
        assert decoded.symbols == tree.symbols
        assert decoded.constants == pytest.approx(tree.constants, rel=5e-4)
        if len(case["tokens"]) == tree.size + 2 * len(tree.constants):
            assert OFFICIAL.encode(tree) == ids


@given(
    trees(
        st.floats(-1e103, 1e103, allow_subnormal=False).filter(lambda v: v == 0 or abs(v) > 1e-96),
        [op for op in OPERATORS if op.name != "tanh"],
    )
)
def test__e2e__any_formula__comes_back_to_four_digits(tree):
    """Encoding rounds constants to four digits and changes nothing else."""
    decoded = OFFICIAL.decode(OFFICIAL.encode(tree))
    assert decoded.symbols == tree.symbols
    assert decoded.constants == pytest.approx(tree.constants, rel=5.001e-4, abs=0)
    assert OFFICIAL.decode(OFFICIAL.encode(decoded)) == decoded


@pytest.mark.parametrize("value", [1e200, -1e200, math.inf])
def test__e2e__number_too_large__is_cut(value):
    """The release has no word beyond E100 and fails there; here the largest number stands in."""
    assert abs(float_tokens().join(float_tokens().split(value))) == 9.999e103


def test__e2e__what_has_no_word__is_refused():
    """tanh, NaN and an eleventh column are not in the release."""
    for tree in (
        Tree.apply("tanh", Tree.variable(0)),
        Tree.constant(math.nan),
        Tree.variable(10),
    ):
        with pytest.raises(FormulaError):
            OFFICIAL.encode(tree)


@given(st.lists(st.integers(-2, 10_300), max_size=8))
def test__e2e__decode_of_anything__is_a_valid_tree_or_an_error(ids):
    """No sequence of numbers gives a broken tree."""
    with contextlib.suppress(FormulaError):
        assert OFFICIAL.decode(ids).is_valid()


@pytest.mark.parametrize(
    "words", [["+"], ["+", "N1000"], ["+", "E1", "N1000"], ["N1000"], ["rand"], ["<EOS>"], []]
)
def test__e2e__incomplete_numbers_and_dead_words__are_refused(words):
    """A number is sign, mantissa and exponent, in this order."""
    with pytest.raises(FormulaError):
        OFFICIAL.decode([OFFICIAL.ids[word] for word in words])
