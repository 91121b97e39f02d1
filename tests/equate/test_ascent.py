"""Gradient ascent on embeddings."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from equate_srbench.equate.ascent import ascend
from equate_srbench.equate.evaluator import Evaluator, pessimistic

LADDER = (0.25, 1.0, 4.0)


def hill(target):
    """An objective whose only maximum is ``target`` on the valid rows."""
    return lambda e, mask: -(((e - target) * mask[..., None]) ** 2).sum((1, 2))


@pytest.fixture
def start():
    """Two bags of five rows, the last row of the second one invalid."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.ones(2, 5, dtype=torch.bool)
    mask[1, 4] = False
    return torch.randn(2, 5, 8, generator=generator) * mask[..., None], mask


def climb(objective, start, **changes):
    """All steps of one ascent."""
    options = {"steps": 6, "step_size": 0.05, "trust": 0.5, "ladder": LADDER, **changes}
    return list(ascend(objective, *start, **options))


def test__ascend__first_step__is_the_start(start):
    """Step 0 proposes the untouched embeddings."""
    first = climb(hill(torch.ones(8)), start)[0]
    assert first.index == 0
    assert first.rungs == (0.0,)
    assert torch.equal(first.embeddings[:, 0], start[0])


def test__ascend__concave_objective__predicted_score_rises(start):
    """The rung of multiple 1 climbs in every step."""
    steps = climb(hill(torch.ones(8)), start)
    values = torch.stack([s.predicted[:, s.rungs.index(1.0)] for s in steps[1:]])
    assert (values.diff(dim=0) > 0).all()
    assert (values[0] > steps[0].predicted[:, 0]).all()


def test__ascend__evaluator_with_attention_pools__predicted_score_rises(start):
    """A random evaluator's own prediction goes up along its gradient."""
    evaluator = Evaluator(8, hidden=(16, 8))
    with torch.no_grad():
        evaluator.queries.normal_(generator=torch.Generator().manual_seed(1))
    steps = climb(lambda e, m: pessimistic(evaluator(e, m), 0.5), start, step_size=0.01)
    assert (steps[-1].predicted[:, 1] > steps[0].predicted[:, 0]).all()


@given(st.floats(0.01, 1.0), st.floats(0.05, 1.0))
def test__ascend__any_step_and_trust__no_proposal_leaves_the_ball(step_size, trust):
    """Every rung stays within the trust region of its start."""
    generator = torch.Generator().manual_seed(0)
    origin = torch.randn(2, 5, 8, generator=generator)
    mask = torch.ones(2, 5, dtype=torch.bool)
    objective = hill(10.0 * torch.ones(8))
    for step in climb(objective, (origin, mask), step_size=step_size, trust=trust):
        distance = (step.embeddings - origin[:, None]).flatten(2).norm(dim=2)
        assert (distance <= trust * origin.flatten(1).norm(dim=1)[:, None] * (1 + 1e-5)).all()


def test__ascend__invalid_rows__never_move(start):
    """Padding is not part of an embedding."""
    for step in climb(hill(torch.ones(8)), start):
        assert (step.embeddings[1, :, 4] == 0.0).all()


def test__ascend__scaled_objective__same_embeddings(start):
    """Unit-normalised gradients do not depend on the evaluator's scale."""
    plain = climb(hill(torch.ones(8)), start)[-1].embeddings
    objective = hill(torch.ones(8))
    scaled = climb(lambda e, m: 1000.0 * objective(e, m), start)[-1].embeddings
    np.testing.assert_allclose(plain, scaled, rtol=1e-5, atol=1e-6)


def test__ascend__flat_objective__stays_without_nan(start):
    """A zero gradient has no direction: nothing moves."""
    last = climb(lambda e, m: 0.0 * e.sum((1, 2)), start)[-1]
    torch.testing.assert_close(last.embeddings, start[0][:, None].expand_as(last.embeddings))


def test__evaluator__gradient__differs_between_rows(start):
    """Attention pools do not shift all rows alike, which a decoder could not see."""
    evaluator = Evaluator(8, hidden=(16, 8))
    with torch.no_grad():
        evaluator.queries.normal_(generator=torch.Generator().manual_seed(1))
    embedding = start[0].clone().requires_grad_()
    (slope,) = torch.autograd.grad(evaluator(embedding, start[1]).sum(), embedding)
    assert (slope[0] - slope[0, :1]).norm() > 0.1 * slope[0].norm()


def test__evaluator__padding__has_no_influence(start):
    """What stands in invalid rows does not change the prediction."""
    evaluator = Evaluator(8, hidden=(16, 8))
    with torch.no_grad():
        evaluator.queries.zero_()
        changed = start[0].clone()
        changed[1, 4] = 100.0
        torch.testing.assert_close(evaluator(changed, start[1]), evaluator(*start))
