"""What each mode trains, and nothing else; the joint embeddings and poolings beside each other."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from equate_srbench import EquateRegressor
from equate_srbench.backbone import checkpoint
from equate_srbench.backbone.network import Attention
from equate_srbench.equate.alignment import Alignment, Formulas, align
from equate_srbench.equate.ascent import ascend
from equate_srbench.equate.evaluator import Evaluator, pessimistic
from equate_srbench.equate.finetune import prepare, reinitialised
from equate_srbench.equate.fusion import Shift
from equate_srbench.equate.neural import propose
from equate_srbench.equate.quadruples import collect, draw_subsets, encode_bags
from equate_srbench.equate.settings import EquateSettings, preset
from equate_srbench.problem.archive import Archive
from equate_srbench.runtime.clock import Deadline

MODES = ("frozen", "full", "lora", "random")


def seeded(seed=0):
    """A generator."""
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def examples(backbone, table, quick):
    """Bags and candidates."""
    rng = np.random.default_rng(0)
    bags = encode_bags(backbone, *table, draw_subsets(60, quick, rng))
    archive = Archive(*table, None, deadline=Deadline(60.0))
    found = collect(backbone, bags, archive, quick, rng=rng, generator=seeded(),
                    deadline=Deadline())  # fmt: skip
    return bags, found[:20]


def trained(backbone, examples, settings, seed=0):
    """The outcome of an alignment."""
    return align(backbone, *examples, settings, generator=seeded(seed), deadline=Deadline())


def names_of_changes(own, backbone):
    """Weights that differ; adapted ones count by what the layer uses."""
    state = {name: t for name, t in backbone.named_parameters()}

    def weight(name):
        module, _, leaf = name.rpartition(".")
        return getattr(own.get_submodule(module), leaf)

    return {name for name, t in state.items() if not torch.equal(weight(name), t)}


def hashes(module):
    """All weights, copied."""
    return {name: t.clone() for name, t in module.state_dict().items()}


@pytest.mark.parametrize("mode", MODES)
def test__align__mode__trains_what_it_should(backbone, examples, quick, mode):
    """Last layer, all, or queries and values of the decoder; the shared weights never."""
    before = hashes(backbone)
    aligned = trained(backbone, examples, replace(quick, finetune=mode, lr_decoder=1e-3))
    assert all(torch.equal(t, before[name]) for name, t in backbone.state_dict().items())
    assert not any(p.grad is not None or p.requires_grad for p in backbone.parameters())
    changed = names_of_changes(aligned.backbone, backbone)
    everything = {name for name, _ in backbone.named_parameters()}
    if mode == "full":
        # a key's bias adds the same to all of a query's scores: softmax does not see it
        assert {n for n in everything - changed if "k_lin.bias" not in n} <= set()
        assert not torch.equal(aligned.bags.memory, examples[0].memory)
    elif mode == "lora":
        parts = ("q_lin.weight", "v_lin.weight")
        expected = {n for n in everything if n.startswith("decoder.") and n.endswith(parts)}
        assert changed == expected
    else:
        assert changed
        assert all(name.startswith("decoder.") and ".1." in name for name in changed)
        assert aligned.bags is examples[0]


@pytest.mark.parametrize("mode", MODES)
def test__prepare__mode__shares_what_it_does_not_train(backbone, mode):
    """A fit costs the memory of what it trains."""
    tuned = prepare(backbone, mode, seeded())
    shared = {id(p) for p in backbone.parameters()}
    own = [p for p in tuned.backbone.parameters() if id(p) not in shared]
    assert {id(p) for p in own} == {id(p) for p in (*tuned.weights, *tuned.adapters)}
    assert tuned.encoder == (mode == "full")


def test__restarted__every_weight__is_new(backbone):
    """No trained number is left, nothing is shared, and the global generator is left alone."""
    state = torch.get_rng_state()
    fresh, again = reinitialised(backbone, seeded(7)), reinitialised(backbone, seeded(7))
    assert torch.equal(torch.get_rng_state(), state)
    old = {t.data_ptr() for t in backbone.state_dict().values()}
    for name, tensor in fresh.state_dict().items():
        assert tensor.data_ptr() not in old
        assert torch.equal(tensor, again.state_dict()[name])
        if "norm" not in name and "proj" not in name:
            assert not torch.equal(tensor, backbone.state_dict()[name])
    other = reinitialised(backbone, seeded(1)).decoder.embeddings.weight
    assert not torch.equal(other, fresh.decoder.embeddings.weight)
    assert not any(p.requires_grad for p in fresh.parameters())


def test__propose__random__formulas_come_from_new_weights(backbone, table, quick, monkeypatch):
    """The network that proposes is not the pretrained one, nor are the modules."""
    seen = []

    def caught(network, *_, initial, **__):
        seen.extend((network, initial))
        raise KeyboardInterrupt

    monkeypatch.setattr("equate_srbench.equate.neural.align", caught)
    archive = Archive(*table, None, deadline=Deadline(60.0))
    with pytest.raises(KeyboardInterrupt):
        propose(
            backbone, archive, replace(quick, finetune="random"),
            initial=Alignment(backbone.config), rng=np.random.default_rng(0),
            deadline=archive.deadline,
        )  # fmt: skip
    network, initial = seen
    assert initial is None
    assert {"decoder.embeddings.weight", "encoder.attentions.0.q_lin.weight"} <= names_of_changes(
        network, backbone
    )


# -- joint embeddings and poolings ----------------------------------------------------------------


def slope(evaluator, embedding, mask):
    """Gradient of the ascent's objective at an embedding."""
    point = embedding.clone().requires_grad_()
    value = pessimistic(evaluator(point, mask), 0.5).sum()
    return torch.autograd.grad(value, point)[0]


@pytest.fixture
def embedding():
    """Two bags of 7 and 5 valid rows."""
    rows = torch.randn(2, 7, 16, generator=seeded())
    return rows, torch.arange(7) < torch.tensor([[7], [5]])


def evaluator(pooling):
    """With drawn weights."""
    found = Evaluator(16, hidden=(16, 8), pooling=pooling)
    for parameter in found.parameters():
        parameter.data.normal_(0.0, 0.5, generator=seeded(2))
    return found


def test__evaluator__mean_pooling__gradient_is_one_shift(embedding):
    """All valid rows would move alike: what attention patterns cannot see."""
    rows, mask = embedding
    found = slope(evaluator("mean"), rows, mask)
    for bag, valid in zip(found, mask, strict=True):
        assert bag[valid].abs().max() > 0
        torch.testing.assert_close(bag[valid], bag[:1].expand(int(valid.sum()), -1))
        assert not bag[~valid].any()


def test__evaluator__attention_pooling__gradient_differs_between_rows(embedding):
    """Which is why it pools so."""
    rows, mask = embedding
    found = slope(evaluator("attention"), rows, mask)
    spread = (found[0] - found[0].mean(0)).norm() / found[0].norm()
    assert spread > 0.5


def test__attention__memory_shifted_as_a_whole__output_moves_by_a_constant():
    """The derivation: the same bias for every query, whatever it asks."""
    attention = Attention(16, 4, 16)
    for parameter in attention.parameters():
        parameter.data.normal_(0.0, 0.5, generator=seeded(3))
    queries, memory = torch.randn(1, 5, 16, generator=seeded(4)), torch.randn(1, 9, 16)
    shift = torch.randn(16, generator=seeded(5))
    with torch.no_grad():
        plain = attention(queries, attention.keys_values(memory), None)
        moved = attention(queries, attention.keys_values(memory + shift), None)
    torch.testing.assert_close(moved - plain, (moved - plain)[:, :1].expand(-1, 5, -1),
                               atol=1e-4, rtol=1e-4)  # fmt: skip


def test__shift__decodable__adds_soft_rows_to_a_shifted_memory(backbone, examples):
    """One vector per bag and formula is what moves."""
    bags, quadruples = examples
    modules = Alignment(backbone.config, joint="shift")
    assert isinstance(modules.fusion, Shift)
    formulas = Formulas.pack([q.ids for q in quadruples[:2]], backbone.vocabulary, "cpu")
    memory, mask = bags.memory[:2], bags.mask[:2]
    with torch.no_grad():
        z = modules.embed(backbone, memory, mask, formulas)
        read, valid = modules.fusion.decodable(z, memory, mask)
    n_rows = memory.shape[1]
    assert z.shape == (2, 1, 24)
    assert read.shape == (2, n_rows + 8, 24)
    assert valid[:, n_rows:].all()
    assert torch.equal(valid[:, :n_rows], mask)
    moved = (read[:, :n_rows] - memory)[0][mask[0]]
    torch.testing.assert_close(moved, moved[:1].expand_as(moved))
    assert not torch.allclose(z[0], z[1])


CHANGES = [
    *({"finetune": mode} for mode in MODES),
    {"joint": "shift"},
    {"pooling": "mean"},
    {"joint": "shift", "pooling": "mean", "finetune": "full"},
    {"amortised": False},
    {"steps": 0},
]


def described(backbone, table, settings):
    """Formulas and scores of a neural part."""
    archive = Archive(*table, None, deadline=Deadline(120.0))
    result = propose(
        backbone, archive, settings,
        rng=np.random.default_rng(0), deadline=archive.deadline,
    )  # fmt: skip
    rows = [row for row in result.rows if row.source == "ascent"]
    return [(r.start, r.step, r.rung, r.tree, r.predicted_score) for r in rows], result


@pytest.mark.parametrize("changes", CHANGES, ids=lambda c: "-".join(map(str, c.values())))
def test__propose__any_variant__runs_and_is_deterministic(backbone, table, quick, changes):
    """Same seed, same proposals and predictions."""
    settings = replace(quick, **changes)
    one, result = described(backbone, table, settings)
    two, _ = described(backbone, table, settings)
    assert result.aligned is not None
    assert {row[1] for row in one} == set(range(settings.steps + 1))
    assert one == two


def test__ascend__mean_pooling__moves_all_rows_alike(embedding):
    """What follows for the search: one direction for all rows."""
    rows, mask = embedding
    model = evaluator("mean")
    objective = lambda e, m: pessimistic(model(e, m), 0.5)  # noqa: E731
    *_, last = ascend(objective, rows, mask, steps=3, step_size=0.05, trust=0.5, ladder=(1.0,))
    moved = (last.embeddings[0, 0] - rows[0])[mask[0]]
    torch.testing.assert_close(moved, moved[:1].expand_as(moved), atol=1e-5, rtol=1e-4)


# -- settings and estimator -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stesp": 3}, "did you mean 'steps'"),
        ({"joint": "both"}, "use one of"),
        ({"pooling": 3}, "expected a word such as"),
        ({"sources": ["edits", "luck"]}, "'luck'"),
        ({"steps": 2.5}, "expected a whole number of at least 0, such as"),
        ({"steps": -1}, "expected a whole number"),
        ({"amortised": 1}, "expected True or False"),
        ({"step_size": -0.1}, "expected a number of at least 0"),
        ({3: 4}, "has no 3"),
    ],
)
def test__settings__wrong_change__is_said(changes, message):
    """Field, value, and what it should be."""
    with pytest.raises(ValueError, match=message):
        preset("paper").changed(changes)


def test__settings__changes__from_json():
    """Lists stand for tuples, whole numbers for floats."""
    found = preset("default").changed({"sources": ["edits"], "seconds": 3, "ladder": [1.0]})
    assert (found.sources, found.seconds, found.ladder) == (("edits",), 3, (1.0,))


def test__settings__pretrained_modules__only_where_they_fit():
    """They were trained for the usual joint embedding, pooling and backbone."""
    usual = EquateSettings()
    assert usual.uses_pretrained
    for change in CHANGES[3:8]:
        assert not replace(usual, **change).uses_pretrained
    assert replace(usual, finetune="lora").uses_pretrained


@pytest.fixture(scope="module")
def path(backbone, tmp_path_factory):
    """The small network on disk."""
    target = tmp_path_factory.mktemp("network") / "tiny.safetensors"
    checkpoint.save(target, backbone, {})
    return target


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["backbone"], {"backbone"}),
        (["backbone", "ascent"], {"backbone", "ascent"}),
        (["edits"], {"edit"}),
    ],
)
def test__fit__sources__nothing_else_is_tried(path, table, sources, expected):
    """Each source can be left out."""
    small = {"n_subsets": 2, "epochs": 1, "starts": 2, "steps": 2, "stop_r2": 1.1}
    est = EquateRegressor(
        1 if "edits" in sources else 120, preset="paper", backbone=path, random_state=0,
        settings={"sources": sources, **small},
    ).fit(*table)  # fmt: skip
    tried = {source for source, count in est.diagnostics_["tried"].items() if count}
    assert tried - {"shorten"} == expected


def test__fit__finetune__reaches_the_alignment(path, table):
    """By the parameter; a second way to say it is refused, and so is an unknown mode."""
    est = EquateRegressor(5, preset="fast", backbone=path, finetune="lora", random_state=0)
    assert est.fit(*table).predict(table[0]).shape == (60,)
    with pytest.raises(ValueError, match="finetune"):
        est.set_params(settings={"finetune": "full"}).fit(*table)
    with pytest.raises(ValueError, match="frozen"):
        est.set_params(finetune="some", settings=None).fit(*table)
