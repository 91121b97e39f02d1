"""Converts Meta's E2E weights to a checkpoint of this package.

Two formats are read, both without executing code (see ``torch_archive``): ``model1.pt`` of the
release, a pickled object, and the trainer's checkpoints ``*.pth``, dicts of state dicts. All sizes
are inferred from the file. Kamienny et al. (2022), arXiv 2204.10532.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equate_srbench.backbone import checkpoint, registry
from equate_srbench.backbone.checkpoint import CheckpointError
from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.backbone.convert.pickle_reader import InertObject, TensorRef
from equate_srbench.backbone.convert.torch_archive import TorchFile
from equate_srbench.backbone.network import Backbone
from equate_srbench.expr.tokens.e2e_vocabulary import E2EVocabulary, float_tokens

PARTS = ("embedder", "encoder", "decoder")
#: Settings of the release that a file of weights does not contain.
RELEASE_HEADS, RELEASE_LENGTH = 16, 200

_KINDS = ("_parameters", "_buffers", "_modules")
_MAX_MODULES = 20_000
#: Layers of encoder, decoder or embedder, and characters of a weight's or module's name.
_MAX_LAYERS, _MAX_NAME = 128, 200
_MAX_SIZE = 1 << 15
_TIED = "decoder.proj.weight"
_TABLE = "decoder.embeddings.weight"


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Contents of a source file, before any weight is read.

    Attributes
    ----------
    kind : str
        Description of the format.
    tensors : dict of str to TensorRef
        By official name, such as ``decoder.proj.bias``.
    heads : tuple of 2 int or None
        Of encoder and decoder; None if unknown.
    words, float_words : list of str or None
        Both vocabularies in the order of their embeddings; None if unknown.
    """

    kind: str
    tensors: dict[str, TensorRef]
    heads: tuple[int, int] | None
    words: list[str] | None
    float_words: list[str] | None


@dataclass(frozen=True, slots=True)
class Converted:
    """Result of a conversion.

    Attributes
    ----------
    kind : str
        Description of the source format.
    config : BackboneConfig
    n_parameters : int
    sha256 : str
        Recorded in the header of the written file.
    heads_known : bool
        False if the source has no number of heads and the release's 16 is assumed.
    """

    kind: str
    config: BackboneConfig
    n_parameters: int
    sha256: str
    heads_known: bool


def convert(
    source: str | Path,
    target: str | Path,
    *,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Converted:
    """Convert ``source`` to a checkpoint of this package, in float32.

    Parameters
    ----------
    source : path-like
        ``model1.pt`` of the release or a checkpoint of its trainer, of any depth and width.
    target : path-like
        Written atomically; ``checkpoint.load`` reads it.
    progress : callable, optional
        ``progress(done, total)`` is called with the number of weights read so far.

    Returns
    -------
    Converted

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If ``source`` or the directory of ``target`` is missing, or either is a directory.
    CheckpointError
        If ``source`` is damaged, malicious, or of another architecture or vocabulary.
    """
    source, target = Path(source), Path(target)
    if source.is_dir():
        raise IsADirectoryError(f"{source} is a directory: give the file in it, such as model1.pt")
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a directory: give a file name")
    if target.exists() and target.samefile(source):
        raise CheckpointError(f"{target}: is the source file; choose another name")
    if not target.resolve().parent.is_dir():
        raise FileNotFoundError(f"there is no directory {target.resolve().parent}")
    with TorchFile(source) as file:
        found = look(file)
        config = configure(source, found)
        state = _read(file, found, config, progress)
    with torch.device("meta"), checkpoint.SkipInit():
        backbone = Backbone(config)
    backbone.load_state_dict(state, assign=True)
    n_parameters = sum(p.numel() for p in backbone.parameters())
    card = {
        "model": "E2E (Kamienny et al. 2022), converted",
        "source_kind": found.kind,
        "source_name": source.name,
        "source_sha256": registry.digest(source),
        "parameters": n_parameters,
    }
    sha256 = checkpoint.save(target, backbone, card, dtype=torch.float32)
    return Converted(found.kind, config, n_parameters, sha256, found.heads is not None)


def look(file: TorchFile) -> Found:
    """Inspect an open file: weights, heads and vocabularies.

    Raises
    ------
    CheckpointError
        If it contains no E2E model.
    """
    root = file.root
    if isinstance(root, InertObject) and isinstance(root.get("_modules"), dict):
        return _look_model(file, root, root.get("_modules"))
    if isinstance(root, dict):
        return _look_checkpoint(file, root)
    raise CheckpointError(f"{file.path}: contains neither a model nor a dict of state dicts")


def _look_model(file: TorchFile, root: InertObject, modules: dict[Any, Any]) -> Found:
    _check_parts(file, modules)
    tensors = {
        f"{part}.{name}": ref
        for part in PARTS
        for name, ref in _plain(file.path, _walk(file, modules[part])).items()
    }
    env = root.get("env")
    return Found(
        "a pickled model (as model1.pt)",
        tensors,
        _pair(_heads(modules["encoder"]), _heads(modules["decoder"])),
        _words(file, env, "equation_id2word"),
        _words(file, env, "float_id2word"),
    )


def _look_checkpoint(file: TorchFile, root: dict[Any, Any]) -> Found:
    _check_parts(file, root)
    tensors = {}
    for part in PARTS:
        if not isinstance(root[part], dict):
            raise CheckpointError(f"{file.path}: {part!r} is not a state dict")
        for name, ref in _plain(file.path, root[part]).items():
            if not isinstance(ref, TensorRef):
                raise CheckpointError(f"{file.path}: {part}.{name} is not a tensor")
            tensors[f"{part}.{name}"] = ref
    params = root.get("params")
    params = params if isinstance(params, dict) else {}
    heads = _pair(params.get("n_enc_heads"), params.get("n_dec_heads"))
    return Found("a checkpoint of the trainer", tensors, heads, None, None)


def _pair(encoder: Any, decoder: Any) -> tuple[int, int] | None:
    """Numbers of heads, if both are known."""
    return (encoder, decoder) if type(encoder) is int and type(decoder) is int else None


def configure(path: Path, found: Found) -> BackboneConfig:
    """Infer the configuration from the shapes of the weights.

    Raises
    ------
    CheckpointError
        If weights are missing or unknown, or their shapes are inconsistent.
    """
    shapes = {name: ref.shape for name, ref in found.tensors.items()}

    def size(name: str, axis: int) -> int:
        shape = shapes.get(name)
        if shape is None:
            raise CheckpointError(f"{path}: {name} is missing")
        if len(shape) != 2 or not all(1 <= n <= _MAX_SIZE for n in shape):
            raise CheckpointError(f"{path}: {name} has an invalid shape {shape}")
        return shape[axis]

    token_dim = size("embedder.embeddings.weight", 1)
    dim, encoder_dim = size(_TABLE, 1), size("embedder.fc.weight", 0)
    positions = size("decoder.position_embeddings.weight", 0)
    heads = found.heads or (RELEASE_HEADS, RELEASE_HEADS)
    try:
        config = BackboneConfig.e2e(
            dim=dim,
            encoder_dim=encoder_dim,
            encoder_heads=heads[0],
            heads=heads[1],
            encoder_layers=_count(path, shapes, "encoder.attentions"),
            decoder_layers=_count(path, shapes, "decoder.attentions"),
            embedder_layers=_count(path, shapes, "embedder.hidden_layers"),
            embedder_width=size("embedder.hidden_layers.0.weight", 0),
            token_dim=token_dim,
            ffn_factor=max(size("decoder.ffns.0.lin1.weight", 0) // dim, 1),
            n_positions=positions,
            max_length=min(RELEASE_LENGTH, positions - 1),
        )
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    _check_shapes(path, config, shapes, found)
    return config


def _check_shapes(
    path: Path, config: BackboneConfig, shapes: Mapping[str, tuple[int, ...]], found: Found
) -> None:
    """Compare names and shapes with the network, up to vocabulary sizes and the tied weight."""
    with torch.device("meta"), checkpoint.SkipInit():
        expected = {k: tuple(t.shape) for k, t in Backbone(config).state_dict().items()}
    expected[_TIED] = expected[_TABLE]
    odd = sorted(set(expected) ^ set(shapes))
    if odd:
        what = "is missing" if odd[0] in expected else "is unknown (another architecture?)"
        raise CheckpointError(f"{path}: {odd[0][:80]} {what}; {len(odd)} such weights")
    n_words = config.n_words if found.words is None else len(found.words)
    n_floats = config.n_float_words if found.float_words is None else len(found.float_words)
    for name in (_TABLE, _TIED):
        expected[name] = (n_words, config.dim)
    expected["decoder.proj.bias"] = (n_words,)
    expected["embedder.embeddings.weight"] = (n_floats, config.token_dim)
    for name, shape in expected.items():
        if shapes[name] != shape:
            raise CheckpointError(f"{path}: {name} is {shapes[name]}, should be {shape}")


def _read(
    file: TorchFile, found: Found, config: BackboneConfig, progress: Callable[[int, int], object]
) -> dict[str, Tensor]:
    """Read all weights in float32, with embeddings in the order of this package's vocabulary."""
    sizes = {name: math.prod(ref.shape) for name, ref in found.tensors.items() if name != _TIED}
    # a malicious file could reference one storage thousands of times; only the tied weight may
    stored = {found.tensors[name].storage for name in sizes}
    if sum(sizes.values()) > sum(storage.numel for storage in stored):
        raise CheckpointError(f"{file.path}: weights share storage")
    rows = _rows(file.path, found.words, E2EVocabulary().words)
    float_rows = _rows(file.path, found.float_words, float_tokens().words)
    order = {_TABLE: rows, "decoder.proj.bias": rows, "embedder.embeddings.weight": float_rows}
    state: dict[str, Tensor] = {}
    done = 0
    for name in sizes:
        tensor = file.read(found.tensors[name]).float()
        if not bool(tensor.isfinite().all()):
            raise CheckpointError(f"{file.path}: {name} has values that are not finite")
        state[name] = tensor if order.get(name) is None else tensor[order[name]]
        done += sizes[name]
        progress(done, sum(sizes.values()))
    tied, table = found.tensors[_TIED], found.tensors[_TABLE]
    if tied != table and not torch.equal(file.read(tied), file.read(table)):
        raise CheckpointError(f"{file.path}: input and output embeddings of the decoder differ")
    return state


def _rows(path: Path, theirs: Sequence[str] | None, ours: Sequence[str]) -> list[int] | None:
    """Row of their embedding for each of our words; None if the order is the same."""
    if theirs is None or list(theirs) == list(ours):
        return None
    place = {word: i for i, word in enumerate(theirs)}  # the last of duplicates is in use
    missing = [word for word in ours if word not in place]
    if missing:
        raise CheckpointError(f"{path}: its vocabulary lacks {len(missing)} words: {missing[:5]}")
    return [place[word] for word in ours]


def _check_parts(file: TorchFile, parts: Mapping[Any, Any]) -> None:
    missing = [part for part in PARTS if part not in parts]
    if missing:
        raise CheckpointError(f"{file.path}: has no {', '.join(missing)}: not an E2E model")


def _walk(file: TorchFile, module: Any) -> dict[str, TensorRef]:
    """Parameters and buffers below a module, by name; bounded, since a file may be cyclic."""
    found: dict[str, TensorRef] = {}
    waiting: list[tuple[str, Any]] = [("", module)]
    seen = 0
    while waiting:
        prefix, thing = waiting.pop()
        tables = [thing.get(kind) for kind in _KINDS] if isinstance(thing, InertObject) else []
        inside = [table for table in tables if isinstance(table, dict)]
        seen += 1 + sum(map(len, inside))
        if len(inside) < len(_KINDS) or seen > _MAX_MODULES:
            raise CheckpointError(f"{file.path}: {prefix[:80] or 'its part'} is not a module tree")
        *tensors, modules = inside
        waiting += [
            (f"{prefix}{_name(file.path, n)}."[:_MAX_NAME], module)
            for n, module in modules.items()
            if module is not None
        ]
        for table in tensors:
            for n, ref in table.items():
                if isinstance(ref, TensorRef):
                    found[prefix + _name(file.path, n)] = ref
    return found


def _name(path: Path, name: Any) -> str:
    """Check the name of a weight or module: printable, and not too long."""
    if not isinstance(name, str) or not name.isprintable():
        raise CheckpointError(f"{path}: the name of a weight is not plain text")
    if len(name) > _MAX_NAME:
        raise CheckpointError(
            f"{path}: a weight has a name of {len(name)} characters, "
            f"at most {_MAX_NAME} can be read"
        )
    return name


def _plain(path: Path, state: Mapping[Any, Any]) -> dict[str, Any]:
    """Strip the prefix of distributed training from all names."""
    names = {name: _name(path, name) for name in state}
    if names and all(name.startswith("module.") for name in names.values()):
        names = {name: text.removeprefix("module.") for name, text in names.items()}
    return {text: state[name] for name, text in names.items()}


def _heads(part: Any) -> Any:
    """Number of heads of encoder or decoder, from its first attention; None if unknown."""
    for step in ("module", "attentions", "0"):
        inside = part.get("_modules") if isinstance(part, InertObject) else None
        if isinstance(inside, dict) and (step in inside or step != "module"):
            part = inside.get(step)  # "module" only if wrapped by distributed training
    return part.get("n_heads") if isinstance(part, InertObject) else None


def _words(file: TorchFile, env: Any, name: str) -> list[str] | None:
    """A vocabulary as a list; None if the file has none."""
    table = env.get(name) if isinstance(env, InertObject) else None
    if table is None:
        return None
    if not isinstance(table, dict):
        raise CheckpointError(f"{file.path}: {name} is not a vocabulary")
    words = [word for i in range(len(table)) if isinstance(word := table.get(i), str)]
    if len(words) < len(table):
        raise CheckpointError(f"{file.path}: {name} is not a vocabulary")
    return words


def _count(path: Path, names: Mapping[str, Any], layers: str) -> int:
    """Number of distinct indices after ``layers`` in the names; at least 1."""
    pattern = re.compile(re.escape(layers) + r"\.(\d+)\.")
    count = max(len({m[1] for name in names if (m := pattern.match(name))}), 1)
    if count > _MAX_LAYERS:  # before building such a network
        raise CheckpointError(f"{path}: {count} {layers}, at most {_MAX_LAYERS} can be read")
    return count
