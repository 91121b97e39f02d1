"""Selection of the torch device."""

from __future__ import annotations

import torch


class DeviceError(ValueError):
    """The requested device is unknown or not available."""


def pick_device(name: str) -> str:
    """Resolve a device name; ``auto`` is CUDA if available, else the CPU.

    Raises
    ------
    DeviceError
        If the requested CUDA device is not available, and for other kinds of device.
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
