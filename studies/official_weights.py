"""A full-size check of `equate convert` beside the original code.

    python studies/official_weights.py CHECKOUT --python THEIR_PYTHON

``CHECKOUT`` is a working copy of facebookresearch/symbolicregression, ``THEIR_PYTHON`` an
interpreter that can import it (torch, scipy, sympy, numexpr, sympytorch, pandas, scikit-learn). It
builds the release's network with random weights (4 + 16 layers, width 512), saves it as model1.pt
is saved, and computes scores for a few bags. Then the file is converted here, and memory, time and
the largest difference of tokens and scores are printed. Exit code 1 if they are not equal.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from itertools import takewhile
from pathlib import Path

import numpy as np

TOLERANCE = 1e-4
BAGS, ROWS, COLUMNS, LENGTH, GREEDY = 3, 60, 4, 30, 10


def build(checkout: Path, folder: Path, layers: tuple[int, int]) -> None:
    """In the other interpreter: a random network in the original's format, and what it computes."""
    import types

    import torch

    sys.path.insert(0, str(checkout))
    # NumPy has dropped this module, from which the original imports a name it does not use.
    for name in ("numpy.compat", "numpy.compat.py3k"):
        sys.modules.setdefault(name, types.ModuleType(name)).npy_load_module = None
    from parsers import get_parser
    from symbolicregression.envs import build_env
    from symbolicregression.model import build_modules
    from symbolicregression.model.model_wrapper import ModelWrapper
    from symbolicregression.model.transformer import TransformerModel

    torch.manual_seed(0)
    arguments = [
        "--cpu",
        "true",
        "--n_enc_layers",
        str(layers[0]),
        "--n_dec_layers",
        str(layers[1]),
    ]
    params = get_parser().parse_args(arguments)
    params.cpu = True
    env = build_env(params)
    env.rng = np.random.RandomState(0)
    modules = {name: module.eval() for name, module in build_modules(env, params).items()}
    wrapper = ModelWrapper(env=env, **modules).eval()
    TransformerModel.STORE_OUTPUTS = False
    rng = np.random.default_rng(0)
    X = rng.normal(size=(BAGS, ROWS, COLUMNS))
    y = rng.normal(size=(BAGS, ROWS, 1)) * 10.0 ** rng.integers(-3, 9, (BAGS, 1, 1))
    bags = [[[x, t] for x, t in zip(X[i], y[i])] for i in range(BAGS)]  # noqa: B905
    with torch.no_grad():
        tokens, lengths = modules["embedder"].batch(modules["embedder"].encode(bags))
        memory = modules["encoder"](
            "fwd", x=modules["embedder"](bags)[0], lengths=lengths, causal=False
        )
        memory = memory.transpose(0, 1)

        def scores(x: torch.Tensor) -> torch.Tensor:
            hidden = modules["decoder"](
                "fwd", x=x, lengths=torch.full((BAGS,), len(x)), causal=True,
                src_enc=memory, src_len=lengths,
            )  # fmt: skip
            return modules["decoder"].proj(hidden)

        targets = torch.from_numpy(rng.integers(89, 10_292, (LENGTH, BAGS)))
        targets[0] = env.equation_word2id["<EOS>"]
        logits = scores(targets)
        # token by token: the original's own loop stops at an argument that torch 2 refuses
        greedy = targets[:1]
        for _ in range(GREEDY):
            greedy = torch.cat([greedy, scores(greedy)[-1:].argmax(-1)])
    torch.save(wrapper, folder / "model1.pt")
    np.savez(
        folder / "reference.npz", X=X, y=y[..., 0], tokens=tokens.transpose(0, 1).numpy(),
        targets=targets.T.numpy(), logits=logits.transpose(0, 1).numpy(), greedy=greedy.T.numpy(),
    )  # fmt: skip


def check(folder: Path) -> dict[str, object]:
    """Here: convert, load, compute the same, compare."""
    import resource

    import torch

    from equate_srbench.backbone import checkpoint
    from equate_srbench.backbone.convert.e2e_weights import convert
    from equate_srbench.backbone.decoding import generate
    from equate_srbench.backbone.features import point_tokens

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

    with np.load(folder / "reference.npz") as file:
        reference = dict(file)
    before = peak()
    start = time.perf_counter()
    made = convert(folder / "model1.pt", folder / "e2e.safetensors")
    converted = time.perf_counter()
    peak_convert = peak()
    backbone = checkpoint.load(folder / "e2e.safetensors")
    loaded = time.perf_counter()
    pairs = zip(reference["X"], reference["y"], strict=True)
    points = np.stack([point_tokens(X, y) for X, y in pairs])
    tokens_equal = bool((points == reference["tokens"]).all())
    mask = torch.ones(points.shape[:2], dtype=torch.bool)
    with torch.no_grad():
        memory = backbone.encode(torch.from_numpy(points), mask)
        logits = backbone.decode(torch.from_numpy(reference["targets"]), memory, mask).numpy()
    found = generate(backbone, memory, mask, mode="greedy", max_length=GREEDY, grammar=False)
    greedy = [list(bag[0].ids) for bag in found]
    eos = backbone.vocabulary.eos
    expected = [
        list(takewhile(lambda i: i != eos, row[1:])) for row in reference["greedy"].tolist()
    ]
    gap = float(np.abs(logits - reference["logits"]).max())
    return {
        "parameters": made.n_parameters,
        "layers": f"{made.config.encoder_layers} + {made.config.decoder_layers}",
        "size of model1.pt, MB": round((folder / "model1.pt").stat().st_size / 1e6),
        "size of the checkpoint, MB": round((folder / "e2e.safetensors").stat().st_size / 1e6),
        "seconds to convert": round(converted - start, 2),
        "seconds to load": round(loaded - converted, 2),
        "peak memory before, GB": round(before, 2),
        "peak memory of the conversion, GB": round(peak_convert, 2),
        "tokens equal": tokens_equal,
        "largest score": round(float(np.abs(reference["logits"]).max()), 2),
        "largest difference of scores": gap,
        "greedy formulas equal": greedy == expected,
        "equal": tokens_equal and gap <= TOLERANCE and greedy == expected,
    }


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--layers", type=int, nargs=2, default=(4, 16), metavar=("ENC", "DEC"))
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    layers = (args.layers[0], args.layers[1])
    if args.build is not None:
        build(args.checkout, args.build, layers)
        return
    with tempfile.TemporaryDirectory() as name:
        command = [str(args.python), __file__, str(args.checkout), "--build", name]
        subprocess.run([*command, "--layers", *map(str, layers)], check=True)
        found = check(Path(name))
    print(json.dumps(found, indent=2))
    raise SystemExit(not found["equal"])


if __name__ == "__main__":
    main()
