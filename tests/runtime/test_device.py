"""Devices by name."""

from __future__ import annotations

import pytest

from equate_srbench.runtime.device import pick_device


@pytest.mark.parametrize("name", ["mps", "tpu", "meta"])
def test__pick_device__neither_cpu_nor_cuda__is_refused_with_the_choices(name: str) -> None:
    """Torch knows more devices than the search runs on."""
    with pytest.raises(ValueError, match=rf"device='{name}': use 'auto', 'cpu' or 'cuda'"):
        pick_device(name)
