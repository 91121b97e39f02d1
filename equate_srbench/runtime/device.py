"""Where networks run; needs torch only."""

from __future__ import annotations

import torch


class DeviceError(ValueError):
    """A device that is unknown or not here."""


def pick_device(name: str) -> str:
    """``auto`` is CUDA where there is one; a CUDA device that is named has to be here.

    Raises
    ------
    DeviceError
        For any other device, and for a CUDA device that is not here.
    """
    cuda = torch.cuda.is_available()
    if name == "auto":
        return "cuda" if cuda else "cpu"
    try:
        kind = torch.device(name).type
    except RuntimeError:
        kind = "unknown"
    if kind not in ("cpu", "cuda"):
        raise DeviceError(
            f"device={name!r}: fits run on 'cpu' and 'cuda' only, as does training; 'auto' chooses"
        )
    if kind == "cuda" and not cuda:
        raise DeviceError(f"device={name!r}: no CUDA device is available here; use 'auto' or 'cpu'")
    return name
