"""Choice of the torch device."""

from __future__ import annotations

import torch


class DeviceError(ValueError):
    """The requested device is unknown or not available."""


def pick_device(name: str) -> str:
    """Resolve the name of a torch device.

    Parameters
    ----------
    name : str
        ``auto`` for CUDA if available and the CPU otherwise, ``cpu``, ``cuda`` or ``cuda:N``.

    Returns
    -------
    str

    Raises
    ------
    DeviceError
        If the device is of another kind, or the requested CUDA device is not available.
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
            f"device={name!r}: use 'auto', 'cpu' or 'cuda'; other devices are not supported"
        )
    if kind == "cuda" and not cuda:
        raise DeviceError(f"device={name!r}: no CUDA device is available; use 'auto' or 'cpu'")
    return name
