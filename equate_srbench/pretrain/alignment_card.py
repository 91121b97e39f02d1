"""The model card beside the alignment modules' weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def render(
    card: Mapping[str, Any], *, backbone_sha256: str, n_parameters: int, n_threads: int
) -> str:
    """The card as Markdown.

    Parameters
    ----------
    card : mapping
        As in the file's header: ``config`` (``AlignmentConfig``), ``training``
        (``AlignmentProgress``) and ``held_out`` (``AlignmentRun.evaluate``).
    backbone_sha256 : str
    n_parameters : int
    n_threads : int
        Of torch during the training.
    """
    c, p, scores = card["config"], card["training"], card["held_out"]
    device = "one CPU thread" if n_threads == 1 else "several CPU threads"
    return f"""# Alignment modules for the compact backbone

Formula encoder (bi-directional LSTM), fusion (gated cross-attention) and evaluator (attention
pools, three heads): {n_parameters:,} parameters, trained with the
backbone frozen on synthetic tables; a fit starts from them and trains them further.

| fact | value |
| --- | --- |
| backbone (SHA-256) | `{backbone_sha256}` |
| trained for | {p["seconds"] / 60.0:.0f} minutes of wall clock on {device} of a shared machine |
| steps, formulas | {p["step"]:,} steps, {p["formulas"]:,} formulas, {c["tables"]} tables a step |
| states of the backbone read one after another | {p["backbones"]} |
| corpus | the backbone's generators and decontamination, seed {c["seed"]} |
| formulas of a table | the true one, {len(c["samples"])} samples, {c["edits"]} edits, \
1 wrong constant |
| held-out tables, reconstruction loss per token | {scores["reconstruction"]:.3f} |
| held-out tables, score loss (Huber) | {scores["score"]:.4f} |
| held-out tables, rank correlation of scores | {scores["rank_correlation"]:.2f} |

Made by `python -m equate_srbench.pretrain.alignment_trainer`.
"""
