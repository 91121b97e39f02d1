"""The neural part where memory is short, and on other devices."""

import copy
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from equate_srbench.backbone import decoding
from equate_srbench.backbone.network import Backbone
from equate_srbench.equate import alignment
from equate_srbench.equate.alignment import Alignment
from equate_srbench.equate.finetune import prepare
from equate_srbench.equate.fusion import EquationEncoder
from equate_srbench.equate.neural import propose
from equate_srbench.equate.proposals import LatentSearch
from equate_srbench.equate.quadruples import collect, draw_subsets, encode_bags
from equate_srbench.equate.settings import EquateSettings
from equate_srbench.problem.archive import Archive
from equate_srbench.regressor import EquateRegressor
from equate_srbench.runtime.clock import Deadline
from equate_srbench.runtime.memory import Draws, MemoryWarning, OomSafe
from equate_srbench.runtime.threads import full_precision
from equate_srbench.search import pipeline


class Memory:
    """An allocator that holds ``most`` items; 0: none fits, until the CPU has to do it."""

    def __init__(self, most):
        self.most, self.largest, self.on_cpu = most, 0, False

    def take(self, n):
        """Memory for ``n`` items, or torch's error."""
        if not self.on_cpu and n > self.most:
            self.on_cpu = self.most == 0 and n == 1  # what comes next is told to go to the CPU
            raise torch.OutOfMemoryError("CUDA out of memory.")
        self.largest = max(self.largest, n)


def limit(monkeypatch, owner, name, memory, batch):
    """Let a method ask ``memory`` first; ``batch`` is the place of the batch in its arguments."""
    method = getattr(owner, name)

    def asking(*args, **options):
        memory.take(len(args[batch]))
        return method(*args, **options)

    monkeypatch.setattr(owner, name, asking)


#: Kinds of work: what allocates first, and which of its arguments is the batch.
ALLOCATORS = {
    "encoding": (Backbone, "encode", 1),
    "decoding": (decoding.CachedSteps, "__init__", 2),
    "training": (alignment, "keep_rows", 0),
    "ascent": (LatentSearch, "_objective", 1),
}


def run(backbone, table, settings, **options):
    """Rows of the neural part, without what differs between runs by nature."""
    archive = Archive(*table, None, deadline=Deadline(600.0))
    result = propose(
        backbone,
        archive,
        settings,
        rng=np.random.default_rng(0),
        deadline=archive.deadline,
        **options,
    )
    return result, archive


def assert_same(one, two):
    """Same formulas from the same places, to rounding."""
    for found, expected in zip(one, two, strict=True):
        skeletons = ([row.tree and row.tree.skeleton for row in r.rows] for r in (found, expected))
        assert next(skeletons) == next(skeletons)
        for name in ("score", "predicted_score", "distance"):
            np.testing.assert_allclose(
                [getattr(row, name) for row in found.rows],
                [getattr(row, name) for row in expected.rows],
                rtol=1e-3,
                atol=1e-4,
            )


@pytest.fixture(scope="module")
def small(quick):
    """Settings with several batches of every kind."""
    return replace(quick, epochs=1, batch=12, samples=30, temperatures=(3.0,))


@pytest.fixture(scope="module")
def undisturbed(backbone, table, small):
    """What comes out where everything fits."""
    return run(backbone, table, small)[0]


@pytest.mark.parametrize("kind", ALLOCATORS)
@pytest.mark.parametrize("most", [3, 1, 0])
def test__propose__memory_is_short__same_formulas_and_one_warning(
    backbone, table, small, undisturbed, monkeypatch, kind, most
):
    """Batches are cut until they fit, or go to the CPU; the random numbers stay what they are."""
    memory = Memory(most)
    limit(monkeypatch, *ALLOCATORS[kind][:2], memory, ALLOCATORS[kind][2])
    with pytest.warns(MemoryWarning, match=f"out of memory in {kind}") as caught:
        result, _ = run(backbone, table, small)
    assert len(caught) == 1
    assert memory.largest <= most or memory.on_cpu
    assert result.n_quadruples > 2 * most
    assert_same([result], [undisturbed])


@pytest.mark.parametrize("mode", ["full", "lora"])
def test__propose__memory_is_short__other_weights_are_trained_alike(
    backbone, table, small, monkeypatch, mode
):
    """Gradients of pieces add up, through the encoder and through adapters too."""
    settings = replace(small, finetune=mode)
    expected, _ = run(backbone, table, settings)
    limit(monkeypatch, alignment, "keep_rows", Memory(3), 0)
    with pytest.warns(MemoryWarning):
        found, _ = run(backbone, table, settings)
    assert_same([found], [expected])


def test__propose__enough_memory__nothing_is_said(backbone, table, small):
    """The ordinary path has no warning, and one call per batch."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(backbone, table, small)


def test__propose__other_error_in_a_batch__passes_unchanged(backbone, table, small, monkeypatch):
    """A device that is broken is not a device that is full."""

    def broken(*args):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(Backbone, "encode", broken)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        run(backbone, table, small)


def test__pipeline__weights_do_not_fit__alignment_on_the_cpu(table, monkeypatch):
    """Moments of the optimiser, say: the same results from the CPU, with one warning."""
    settings = EquateSettings(
        n_subsets=2, samples=2, epochs=1, starts=2, steps=1, max_points=32, stop_r2=1.1
    )

    def fit():
        archive = Archive(*table, None, deadline=Deadline(600.0))
        options = pipeline.PipelineOptions(
            backbone="compact",
            settings=settings,
            device="cpu",
            is_paper=True,
            chooses_parsimony=False,
        )
        run = pipeline.FitPipeline(archive, np.random.default_rng(0), options)
        run.run(lambda phase: None)
        return run

    expected = fit()
    memory = Memory(0)
    init = alignment.AdamW.__init__

    def asking(self, *args, **options):
        memory.take(1)
        init(self, *args, **options)

    monkeypatch.setattr(alignment.AdamW, "__init__", asking)
    with pytest.warns(MemoryWarning, match="the alignment") as caught:
        found = fit()
    assert len(caught) == 1
    assert memory.on_cpu
    assert {row.source for row in found.rows} == {"backbone", "ascent"}
    assert_same([found], [expected])
    assert found.choose("best").tree == expected.choose("best").tree


def examples(backbone, archive, settings):
    """Bags and quadruples of a table."""
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    bags = encode_bags(backbone, archive.X, archive.y, draw_subsets(60, settings, rng))
    return bags, collect(
        backbone, bags, archive, settings, rng=rng, generator=generator, deadline=Deadline()
    )


@pytest.mark.parametrize("mode", ["frozen", "full", "lora"])
def test__losses__on_a_device_without_numbers__every_tensor_is_moved(
    backbone, archive, quick, monkeypatch, mode
):
    """Shapes are computed as on a GPU: a tensor that stays on the CPU is an error there as well."""
    settings = replace(quick, finetune=mode)
    bags, quadruples = examples(backbone, archive, settings)
    generator = torch.Generator().manual_seed(0)
    trainer = alignment._Trainer(backbone, bags, quadruples, settings, None, generator, OomSafe())
    part, meta = trainer.train[:6], torch.device("meta")
    # torch's own packing of sequences cannot do without numbers
    monkeypatch.setattr(EquationEncoder, "forward", lambda self, embedded, lengths: embedded)
    draws = Draws(generator, 6)
    losses = trainer._losses(part, slice(0, 6), meta, draws.part(slice(0, 6)), 9)
    assert [loss.device.type for loss in losses] == ["meta", "meta"]
    assert [loss.shape for loss in losses] == [torch.Size([])] * 2


def test__prepare__generator_on_the_cpu__weights_are_drawn_there(backbone):
    """Adapters and random weights are the same numbers on every device."""
    meta = copy.deepcopy(backbone).to("meta")
    for mode in ("frozen", "full", "lora", "random"):
        tuned = prepare(meta, mode, torch.Generator().manual_seed(0))
        devices = {p.device.type for p in [*tuned.weights, *tuned.adapters]}
        assert devices == {"meta"}


# -- with a GPU -----------------------------------------------------------------------------


@pytest.fixture
def cuda(backbone):
    """The small network on a GPU, or a skipped test."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return copy.deepcopy(backbone).cuda()


@pytest.mark.gpu
def test__propose__on_a_gpu__same_formulas(backbone, cuda, table, small, undisturbed):
    """The same random numbers, and sums that differ by rounding."""
    with full_precision():
        result, _ = run(cuda, table, small)
    assert_same([result], [undisturbed])


@pytest.mark.gpu
@pytest.mark.parametrize("preset", ["fast", "default"])
def test__fit__on_a_gpu__exact_formula(cuda, preset):
    """The estimator from end to end."""
    X = np.random.default_rng(0).uniform(1.0, 5.0, (100, 2))
    found = EquateRegressor(preset=preset, device="cuda", random_state=0, max_time=10.0)
    assert str(found.fit(X, X[:, 0] / X[:, 1]).equation_) == "x0/x1"


@pytest.mark.gpu
@torch.no_grad()
def test__scores__on_a_gpu__equal_to_five_digits(backbone, cuda, archive, quick):
    """Memories, joint embeddings and predicted scores of the same formulas."""
    bags, quadruples = examples(backbone, archive, quick)
    modules = Alignment(backbone.config).eval()
    there = copy.deepcopy(modules).cuda()
    bag = [q.bag for q in quadruples]
    found = []
    with full_precision():
        for network, new in ((backbone, modules), (cuda, there)):
            where = next(network.parameters()).device
            memory = network.encode(bags.points.to(where), bags.mask.to(where))[bag]
            mask = bags.mask.to(where)[bag]
            formulas = alignment.Formulas.pack(
                [q.ids for q in quadruples], network.vocabulary, where
            )
            joint = new.embed(network, memory, mask, formulas)
            found.append([x.cpu() for x in (memory, joint, new.evaluator(joint, mask))])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(other, one, atol=1e-5, rtol=1e-5)


@pytest.mark.gpu
def test__propose__gpu_is_full__same_formulas_and_one_warning(
    backbone, cuda, table, small, undisturbed
):
    """Torch's own allocator refuses what is beyond a few MiB."""
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    share = (torch.cuda.memory_reserved() + 4 * 2**20) / total
    torch.cuda.set_per_process_memory_fraction(share)
    try:
        with full_precision(), pytest.warns(MemoryWarning) as caught:
            result, _ = run(cuda, table, small)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert len(caught) == 1
    assert_same([result], [undisturbed])
