"""E2E's weights: what a conversion gives, and which files are no E2E model."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from equate_srbench.backbone import checkpoint
from equate_srbench.backbone.checkpoint import CheckpointError
from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.backbone.convert.e2e_weights import PARTS, convert
from equate_srbench.backbone.network import Backbone
from equate_srbench.expr.tokens.e2e_vocabulary import E2EVocabulary, float_tokens

SIZES = {
    "dim": 8, "encoder_dim": 4, "heads": 4, "encoder_heads": 2, "decoder_layers": 2,
    "encoder_layers": 1, "token_dim": 1, "embedder_layers": 2, "embedder_width": 16,
    "n_positions": 256,
}  # fmt: skip


@pytest.fixture(scope="module")
def backbone():
    """Unequal widths, heads and depths, as no release has them."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Backbone(BackboneConfig.e2e(**SIZES))


@pytest.fixture
def parts(backbone):
    """State dicts as the trainer writes them."""
    state = {k: v.clone() for k, v in backbone.state_dict().items()}
    found = {p: {k.removeprefix(f"{p}."): v for k, v in state.items() if k.startswith(f"{p}.")}
             for p in PARTS}  # fmt: skip
    found["decoder"]["proj.weight"] = found["decoder"]["embeddings.weight"]
    return found


def params(**changes):
    """Hyper-parameters beside them."""
    return {"n_enc_heads": 2, "n_dec_heads": 4} | changes


def save(path, parts, **others):
    """A trainer's checkpoint."""
    torch.save({"epoch": 3, "params": params(), **parts, **others}, path)
    return path


def converted(tmp_path, source):
    """The network that a source becomes, and what was said about it."""
    target = tmp_path / "out.safetensors"
    made = convert(source, target)
    return checkpoint.load(target), made


def assert_same(found, backbone):
    """All weights, bit by bit."""
    state = backbone.state_dict()
    for name, tensor in found.state_dict().items():
        assert torch.equal(tensor, state[name]), name


class Wrapper(nn.Module):
    """Stands for any of the original's classes: the reader looks at no name."""

    def __init__(self, children, **attributes):
        super().__init__()
        for name, child in children.items():
            setattr(self, name, child)
        self.__dict__ |= attributes


def wrapped(backbone, words=None, float_words=None):
    """A whole object as in the release."""
    encoder, decoder = backbone.encoder, backbone.decoder
    for part, heads in ((encoder, 2), (decoder, 4)):
        for attention in part.attentions:
            attention.n_heads = heads
    decoder.proj.weight = decoder.embeddings.weight
    env = SimpleNamespace()
    if words is not None:
        env.equation_id2word = dict(enumerate(words))
    if float_words is not None:
        env.float_id2word = dict(enumerate(float_words))
    children = {"embedder": backbone.embedder, "encoder": encoder, "decoder": decoder}
    return Wrapper(children, env=env, outputs=[torch.zeros(3)], activation=torch.relu)


def copy_of(backbone):
    """A second network with the same weights."""
    other = Backbone(backbone.config)
    other.load_state_dict(backbone.state_dict())
    return other


@pytest.mark.parametrize("name", ["model1.pt", "checkpoint.pth"])
def test__convert__fixture__has_its_sizes_and_weights(official, tmp_path, name):
    """Both formats of the original give the same network; the header says where it is from."""
    found, made = converted(tmp_path, official.folder / name)
    sizes = official.facts["sizes"]
    assert made.n_parameters == official.facts["counts"]["total"]
    assert (made.config.encoder_layers, made.config.decoder_layers) == (sizes["enc"], sizes["dec"])
    assert (made.config.heads, made.heads_known) == (sizes["heads"], True)
    assert_same(found, official.backbone)
    facts = checkpoint.describe(tmp_path / "out.safetensors")
    assert facts["sha256"] == made.sha256
    assert facts["card"]["source_name"] == name


def test__convert__trainer_checkpoint__any_sizes(tmp_path, parts, backbone):
    """Every size comes from the file, and the optimiser beside the weights is not looked at."""
    state = {"exp_avg": torch.zeros(5), "step": 7}
    found, made = converted(tmp_path, save(tmp_path / "x.pth", parts, optimizer=state))
    assert made.config == backbone.config
    assert_same(found, backbone)


def test__convert__pickled_object__any_sizes(tmp_path, backbone):
    """Modules, left-over activations, functions and all."""
    words = E2EVocabulary().words
    torch.save(wrapped(copy_of(backbone), words, float_tokens().words), tmp_path / "x.pt")
    found, made = converted(tmp_path, tmp_path / "x.pt")
    assert made.config == backbone.config
    assert_same(found, backbone)


def test__convert__words_in_another_order__rows_follow_the_words(tmp_path, backbone):
    """A table is read by its words, and words unknown here are left out."""
    words, floats = E2EVocabulary().words, float_tokens().words
    theirs, their_floats = [*words[::-1], "new_operator"], [*floats[5:], *floats[:5]]
    model = copy_of(backbone)
    place = {word: i for i, word in enumerate(words)}
    order = torch.tensor([place[word] for word in theirs[:-1]] + [0])
    float_order = torch.tensor([floats.index(word) for word in their_floats])
    with torch.no_grad():
        for module, name, rows in (
            (model.decoder.embeddings, "weight", order),
            (model.decoder.proj, "bias", order),
            (model.embedder.embeddings, "weight", float_order),
        ):
            setattr(module, name, nn.Parameter(getattr(module, name)[rows].clone()))
    torch.save(wrapped(model, theirs, their_floats), tmp_path / "x.pt")
    found, _ = converted(tmp_path, tmp_path / "x.pt")
    used = list(place.values())  # of equal words the last is in use
    assert torch.equal(
        found.decoder.embeddings.weight[used], backbone.decoder.embeddings.weight[used]
    )
    assert torch.equal(found.decoder.proj.bias[used], backbone.decoder.proj.bias[used])
    assert torch.equal(found.embedder.embeddings.weight, backbone.embedder.embeddings.weight)


@pytest.mark.parametrize("wrap", ["all", "one"])
def test__convert__distributed_training__prefix_goes(tmp_path, parts, backbone, wrap):
    """`module.` stands in front of every name of a part, or of none."""
    for part in PARTS if wrap == "all" else PARTS[:1]:
        parts[part] = {f"module.{name}": tensor for name, tensor in parts[part].items()}
    found, _ = converted(tmp_path, save(tmp_path / "x.pth", parts))
    assert_same(found, backbone)


def test__convert__half_precision__becomes_float32(tmp_path, parts, backbone):
    """Weights trained in half precision keep their values."""
    table = parts["decoder"]["embeddings.weight"].half()
    parts = {part: {n: t.half() for n, t in parts[part].items()} for part in PARTS}
    parts["decoder"]["embeddings.weight"] = parts["decoder"]["proj.weight"] = table
    found, _ = converted(tmp_path, save(tmp_path / "x.pth", parts))
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor.half().float())


def test__convert__heads_not_said__takes_the_release(tmp_path, parts):
    """Shapes do not show heads; widths that 16 does not divide are refused."""
    with pytest.raises(CheckpointError, match="not a multiple of 16 heads"):
        convert(save(tmp_path / "x.pth", parts, params=None), tmp_path / "out")


def without(part, name):
    """A change that takes a weight away."""
    return lambda parts: parts[part].pop(name)


def put(part, name, tensor):
    """A change that sets a weight."""
    return lambda parts: parts[part].update({name: tensor})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("decoder", "proj.bias"), r"proj\.bias is missing"),
        (without("decoder", "embeddings.weight"), r"embeddings\.weight is missing"),
        (without("encoder", "ffns.0.lin2.bias"), "is missing"),
        (put("encoder", "attentions.0.attention_scale", torch.ones(1)), "unknown"),
        (put("encoder", "position_embeddings.weight", torch.ones(2, 4)), "unknown"),
        (put("decoder", "ffns.0.midlin.0.weight", torch.ones(32, 32)), "unknown"),
        (put("decoder", "attentions.999.q_lin.weight", torch.ones(8, 8)), "missing"),
        (put("decoder", "layer_norm1.0.weight", torch.ones(9)), "should be"),
        (put("decoder", "embeddings.weight", torch.ones(8)), "invalid shape"),
        (put("decoder", "embeddings.weight", torch.ones(8, 40_000)), "invalid shape"),
        (put("decoder", "proj.weight", torch.ones(10_292, 8)), "embeddings of the decoder differ"),
        (put("decoder", "proj.bias", torch.full((10_292,), torch.nan)), "not finite"),
        (put("decoder", "proj.bias", torch.ones(10_292, dtype=torch.int32)), "numbers of type"),
        (put("decoder", "proj.bias", "nothing"), "is not a tensor"),
        (put("decoder", "a" * 300, torch.ones(1)), "name of 300 characters"),
        (put("decoder", "\x1b]0;title\x07", torch.ones(1)), "not plain text"),
        (put("decoder", 7, torch.ones(1)), "not plain text"),
        (
            lambda parts: parts["decoder"].update(
                {f"attentions.{i}.q_lin.weight": torch.ones(1) for i in range(3000)}
            ),
            "3000 decoder.attentions, at most 128",
        ),
        (lambda parts: parts.update(decoder=[1]), "not a state dict"),
        (lambda parts: parts.pop("encoder"), "has no encoder"),
        (lambda parts: parts.update(params=params(n_dec_heads=3)), "not a multiple of 3"),
        (lambda parts: parts.update(params=params(n_dec_heads=0)), "not a multiple of 0"),
    ],
)
def test__convert__weights_that_do_not_fit__are_refused(tmp_path, parts, change, message):
    """With the name of the weight, and without an output."""
    change(parts)
    with pytest.raises(CheckpointError, match=message):
        convert(save(tmp_path / "x.pth", parts), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test__convert__weights_that_share_their_numbers__are_refused(tmp_path, parts):
    """One small storage behind every weight would make a large network of a small file."""
    numbers = torch.zeros(max(t.numel() for p in PARTS for t in parts[p].values()))
    for part in PARTS:
        parts[part] = {
            name: numbers[: tensor.numel()].view(tensor.shape)
            for name, tensor in parts[part].items()
        }
    with pytest.raises(CheckpointError, match="share storage"):
        convert(save(tmp_path / "x.pth", parts), tmp_path / "out")


def test__convert__long_name_below_many_modules__is_refused_at_once(tmp_path, backbone):
    """Every path to it would have the name once more: a small file, and memory without end."""
    model, bottom = wrapped(copy_of(backbone)), nn.Module()
    bottom._parameters["a" * 1_000_000] = nn.Parameter(torch.ones(1))
    model._modules["encoder"] = Wrapper({f"m{i}": bottom for i in range(6000)})
    torch.save(model, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="name of 1000000 characters, at most 200"):
        convert(tmp_path / "x.pt", tmp_path / "out")


@pytest.mark.parametrize(
    ("words", "message"),
    [(["x"], "lacks"), ([*E2EVocabulary().words[:-1], 7], "not a vocabulary")],
)
def test__convert__other_vocabulary__is_refused(tmp_path, backbone, words, message):
    """Other operators or columns than E2E's."""
    model = copy_of(backbone)
    if len(words) == 1:
        model.decoder.embeddings.weight = nn.Parameter(torch.ones(1, 8))
        model.decoder.proj.bias = nn.Parameter(torch.ones(1))
    torch.save(wrapped(model, words), tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=message):
        convert(tmp_path / "x.pt", tmp_path / "out")


def test__convert__modules_in_a_circle__are_refused(tmp_path, backbone):
    """A module inside itself, and one that stands in many places."""
    for loop in (True, False):
        model = wrapped(copy_of(backbone))
        bottom = nn.Linear(2, 2)
        for _ in range(12):
            bottom = Wrapper({f"m{i}": bottom for i in range(12)})
        if loop:
            bottom._modules["again"] = bottom
        model._modules["encoder"] = bottom
        torch.save(model, tmp_path / "x.pt")
        with pytest.raises(CheckpointError, match="not a module tree"):
            convert(tmp_path / "x.pt", tmp_path / "out")


@pytest.mark.parametrize("what", [torch.zeros(3), [1, 2], nn.Linear(2, 2), {"model": 1}])
def test__convert__any_other_file__is_refused(tmp_path, what):
    """Tensors, lists, other networks, other dicts."""
    torch.save(what, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=r"neither a model|has no embedder"):
        convert(tmp_path / "x.pt", tmp_path / "out")


def test__convert__over_its_source__is_refused(tmp_path, parts):
    """The weights of hours of download are not overwritten."""
    source = save(tmp_path / "x.pth", parts)
    before = source.read_bytes()
    with pytest.raises(CheckpointError, match="is the source file"):
        convert(source, source)
    assert source.read_bytes() == before


def test__convert__no_folder__is_said_first(tmp_path):
    """Before any work is done."""
    with pytest.raises(FileNotFoundError, match="no directory"):
        convert(tmp_path / "x.pth", tmp_path / "nowhere" / "out")


def test__convert__a_folder_as_file__is_refused_by_name(tmp_path, parts):
    """On either side, before any work is done."""
    with pytest.raises(IsADirectoryError, match="is a directory: give the file"):
        convert(tmp_path, tmp_path / "out")
    with pytest.raises(IsADirectoryError, match="is a directory: give a file"):
        convert(save(tmp_path / "x.pth", parts), tmp_path)


def test__convert__progress__ends_at_the_total(tmp_path, parts):
    """Weights read so far, of all."""
    calls = []
    convert(
        save(tmp_path / "x.pth", parts),
        tmp_path / "out",
        progress=lambda *call: calls.append(call),
    )
    assert calls == sorted(calls)
    assert calls[-1][0] == calls[-1][1] > 0
