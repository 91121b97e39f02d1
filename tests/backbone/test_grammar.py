"""The bookkeeping of open slots."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from equate_srbench.backbone.grammar import Grammar
from equate_srbench.expr.tokens.e2e_vocabulary import E2EVocabulary
from equate_srbench.expr.tokens.vocabulary import CompactVocabulary

VOCABULARY = CompactVocabulary()
CPU = torch.device("cpu")


def allowed(grammar):
    """Ids that the only formula of the grid may take next."""
    return set((grammar.bias()[0, 0] == 0).nonzero()[:, 0].tolist())


@given(st.data(), st.integers(1, 12), st.integers(0, 10))
def test__bias__at_any_moment__allows_what_can_still_be_completed(data, max_length, n_columns):
    """A token is allowed if and only if the slots then open fit in the tokens then left."""
    grammar = Grammar(VOCABULARY, n_columns, (1, 1), max_length, CPU)
    missing = set(list(VOCABULARY.columns)[n_columns:])
    open_slots, left = 1, max_length
    while open_slots:
        expected = {
            i
            for i, arity in enumerate(VOCABULARY.arity)
            if arity >= 0 and i not in missing and open_slots - 1 + arity <= left - 1
        }
        assert allowed(grammar) == expected
        token = data.draw(st.sampled_from(sorted(expected)))
        open_slots, left = open_slots - 1 + VOCABULARY.arity[token], left - 1
        complete = grammar.advance(torch.tensor([[token]]))
        assert bool(complete) == (open_slots == 0)


def test__bias__after_a_sign__allows_mantissas_and_then_exponents():
    """E2E's numbers are three words."""
    vocabulary = E2EVocabulary()
    grammar = Grammar(vocabulary, 1, (1, 1), 3, CPU)
    for word, kind in (("+", "N"), ("N0123", "E")):
        grammar.advance(torch.tensor([[vocabulary.ids[word]]]))
        words = {vocabulary.words[i] for i in allowed(grammar)}
        assert words == {w for w in vocabulary.words[89:] if w[0] == kind}
    assert bool(grammar.advance(torch.tensor([[vocabulary.ids["E-3"]]])))


def test__bias__two_tokens_left__leaves_no_room_for_a_number_of_three():
    """A sign needs two more words."""
    vocabulary = E2EVocabulary()
    words = {vocabulary.words[i] for i in allowed(Grammar(vocabulary, 1, (1, 1), 2, CPU))}
    assert {"x_0", "pi", "sin", "-10"} <= words
    assert not {"+", "-", "add", "x_1", "<EOS>", "N0000", "E0", "rand"} & words


def test__select__reordered__moves_the_slots_along():
    """Formulas keep their own books when a beam search picks among them."""
    grammar = Grammar(VOCABULARY, [2, 3], (2, 2), 8, CPU)
    add, sin = (VOCABULARY.words.index(name) for name in ("add", "sin"))
    grammar.advance(torch.tensor([[add, sin], [sin, add]]))
    grammar.select(torch.tensor([[1, 1], [1, 0]]))
    assert grammar.open.tolist() == [[1, 1], [2, 1]]
