"""One token at a time, against the whole sequence at once."""

import pytest
import torch

from equate_srbench.backbone.decoder_steps import CachedSteps, PlainSteps


@torch.inference_mode()
@pytest.mark.parametrize("make", [CachedSteps, PlainSteps])
def test__step__any_tokens__equals_teacher_forcing(tiny, make):
    """Scores of every prefix, for two bags of three formulas, one of them with missing points."""
    memory = torch.randn(2, 5, 24)
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    tokens = torch.randint(0, 117, (2, 3, 20))
    steps = make(tiny.decoder, memory, mask, 3)
    found = torch.stack([steps.step(tokens[:, :, t]) for t in range(20)], 2)
    rows = (tokens.flatten(0, 1), memory.repeat_interleave(3, 0), mask.repeat_interleave(3, 0))
    expected = tiny.decode(*rows).view(2, 3, 20, -1)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test__select__other_order_and_fewer__equals_plain(tiny):
    """What is kept of each formula follows it."""
    memory, mask = torch.randn(2, 5, 24), torch.ones(2, 5, dtype=torch.bool)
    runs = [make(tiny.decoder, memory, mask, 4) for make in (CachedSteps, PlainSteps)]
    for rows in ([[3, 2, 1, 0]] * 2, [[0, 0, 3], [1, 2, 2]], [[2, 1], [0, 0]]):
        tokens = torch.randint(0, 117, (2, 4 if len(rows[0]) == 4 else len(rows[0]) + 1))
        first, second = (run.step(tokens) for run in runs)
        torch.testing.assert_close(first, second, atol=1e-4, rtol=1e-4)
        for run in runs:
            run.select(torch.tensor(rows))
    tokens = torch.randint(0, 117, (2, 2))
    first, second = (run.step(tokens) for run in runs)
    torch.testing.assert_close(first, second, atol=1e-4, rtol=1e-4)
