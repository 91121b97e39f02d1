"""Batches in pieces: what runs where, what is warned of, and that nothing else changes."""

import warnings
import weakref

import pytest
import torch
from torch import nn

from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.equate.alignment import Alignment
from equate_srbench.runtime.memory import CPU, Draws, MemoryWarning, OomSafe, placed, with_tensors

GPU = torch.device("cuda")  # a name; nothing is put there


class Device:
    """Work that fits in pieces of ``most`` items, and notes what it was asked for."""

    def __init__(self, most):
        self.most, self.calls = most, []

    def __call__(self, rows, where):
        """The numbers of the rows."""
        n = rows.stop - rows.start
        self.calls.append((n, where.type))
        if where.type == "cuda" and n > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return list(range(rows.start, rows.stop))


def run(oom, work, n, kind="decoding"):
    """All results in one list."""
    return [i for part in oom.run(kind, work, n, GPU) for i in part]


def test__run__all_fits__one_call():
    """No warning, no cut; an empty batch is a call as well, as it is on a CPU."""
    work = Device(8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run(OomSafe(), work, 8) == list(range(8))
        assert run(OomSafe(), work, 0) == []
    assert work.calls == [(8, "cuda"), (0, "cuda")]


@pytest.mark.parametrize("most", [1, 2, 3, 5, 12])
def test__run__too_large__halved_until_it_fits(most):
    """Every item once and in order, on the device, with one warning for all kinds of work."""
    oom, work = OomSafe(), Device(most)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert run(oom, work, 13) == list(range(13))
        assert run(oom, Device(most), 13, "training") == list(range(13))
    assert ["cuda: out of memory in decoding" in str(w.message) for w in caught] == [True]
    assert {where for _, where in work.calls} == {"cuda"}


def test__run__next_batch__starts_with_the_size_that_fitted():
    """What has failed is not tried again; other kinds of work have limits of their own."""
    oom, work, other = OomSafe(), Device(3), Device(13)
    with pytest.warns(MemoryWarning):
        run(oom, work, 13)
    assert [n for n, _ in work.calls] == [13, 6, 3, 3, 3, 3, 1]
    work.calls.clear()
    run(oom, work, 7)
    run(oom, other, 13, "training")
    assert [n for n, _ in work.calls] == [3, 3, 1]
    assert [n for n, _ in other.calls] == [13]


def test__run__one_item_does_not_fit__goes_to_the_cpu():
    """The CPU takes the whole rest at once, and what comes after."""
    oom, work = OomSafe(), Device(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert run(oom, work, 4) == [0, 1, 2, 3]
        assert run(oom, work, 6) == list(range(6))
    assert [w.category for w in caught] == [MemoryWarning]
    assert work.calls == [(4, "cuda"), (2, "cuda"), (1, "cuda"), (4, "cpu"), (6, "cpu")]


def test__run__cpu_is_full_too__passes_through():
    """There is nowhere left to go."""

    def work(rows, where):
        raise torch.OutOfMemoryError("nothing left")

    with pytest.warns(MemoryWarning), pytest.raises(torch.OutOfMemoryError, match="nothing left"):
        OomSafe().run("decoding", work, 3, CPU)


@pytest.mark.parametrize("error", [RuntimeError("CUDA error: device-side assert"), KeyError("x")])
def test__run__other_errors__pass_unchanged(error):
    """Only a full memory is answered; everything else is somebody's mistake."""
    calls = []

    def work(rows, where):
        calls.append(rows)
        raise error

    with pytest.raises(type(error)) as caught:
        OomSafe().run("decoding", work, 3, GPU)
    assert caught.value is error
    assert len(calls) == 1


def test__run__error_is_gone__before_the_next_try():
    """The error's frames hold the tensors that filled the memory."""
    held = []

    def work(rows, where):
        big = torch.zeros(3)
        assert not [ref for ref in held if ref() is not None]
        held.append(weakref.ref(big))
        if rows.stop - rows.start > 1:
            raise torch.OutOfMemoryError
        return 0

    with pytest.warns(MemoryWarning):
        assert OomSafe().run("decoding", work, 4, GPU) == [0] * 4


def test__draws__parts__are_slices_of_the_whole():
    """However the batch is cut, whichever part comes first, and after a try that failed."""

    def numbers(cuts):
        draws = Draws(torch.Generator().manual_seed(3), 6)
        draws.part(slice(0, 6)).uniform(torch.empty(6, 2))  # a try that ran out of memory
        parts = [draws.part(slice(a, b)) for a, b in cuts]
        likes = [torch.empty(b - a, 2) for a, b in cuts]
        first = [p.uniform(x) for p, x in zip(parts, likes, strict=True)]
        second = [p.keep(0.9, x) for p, x in zip(parts, likes, strict=True)]
        return torch.cat(first), torch.cat(second)

    for found, expected in zip(numbers([(0, 2), (2, 3), (3, 6)]), numbers([(0, 6)]), strict=True):
        torch.testing.assert_close(found, expected, atol=0, rtol=0)


def test__keep__many_numbers__mean_one():
    """Dropout leaves the mean as it is, at a share rounded to 1 / 256."""
    draws = Draws(torch.Generator().manual_seed(0), 100)
    kept = draws.part(slice(None)).keep(0.9, torch.empty(100, 3001))
    assert kept.unique().tolist() == pytest.approx([0.0, 256 / 230])
    assert float(kept.mean()) == pytest.approx(1.0, abs=0.003)


def networks():
    """A module with an LSTM, attention and a parameter of its own."""
    sizes = {"dim": 16, "encoder_dim": 16, "heads": 2, "encoder_heads": 2}
    return Alignment(BackboneConfig(**sizes, decoder_layers=1, encoder_layers=1))


def test__placed__already_there__is_the_module_itself():
    """Nothing is copied on the ordinary path."""
    module = networks()
    assert placed(module, CPU) is module


def test__placed__elsewhere__every_tensor_is_there():
    """On a device without numbers, where any tensor left behind is an error."""
    module = networks()
    there = placed(module, torch.device("meta"))
    tensors = [*there.parameters(), *there.buffers(), *there.equation.lstm._flat_weights]
    assert len(tensors) > len(list(module.parameters()))
    assert {t.device.type for t in tensors} == {"meta"}
    embedding, mask = torch.empty(3, 5, 16, device="meta"), torch.ones(3, 5, device="meta") > 0
    assert there.evaluator(embedding, mask).shape == (3, 3)
    assert there.equation.lstm(torch.empty(3, 4, 16, device="meta"))[0].shape == (3, 4, 16)
    assert {p.device.type for p in module.parameters()} == {"cpu"}


def test__with_tensors__gradient__reaches_the_module():
    """A training step on the copy is one: its tensors are made of the module's."""
    module = networks()
    copied = with_tensors(module, lambda tensor: tensor * 1.0)
    rows, mask = torch.randn(3, 5, 16), torch.ones(3, 5, dtype=torch.bool)
    states = torch.randn(3, 4, 16)

    def loss(net):
        joint = net.fusion(rows, mask, net.equation(states, torch.tensor([4, 2, 3])), mask[:, :4])
        return net.evaluator(joint, mask).square().sum()

    parameters = list(module.parameters())
    assert not {id(p) for p in parameters} & {id(p) for p in copied.parameters()}
    for found, expected in zip(
        torch.autograd.grad(loss(copied), parameters),
        torch.autograd.grad(loss(module), parameters),
        strict=True,
    ):
        torch.testing.assert_close(found, expected)


def test__with_tensors__shared_parameter__stays_shared():
    """One tensor in two places is one tensor in the copy."""
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    module[1].weight = module[0].weight
    copied = with_tensors(module, lambda tensor: tensor.detach().clone())
    assert copied[0].weight is copied[1].weight
    assert copied[0].weight is not module[0].weight
