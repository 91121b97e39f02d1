"""What all tests share."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: the tests share the processors

import numpy as np
import pytest
from hypothesis import settings

# no deadline: a busy machine is not a bug
settings.register_profile("equate", deadline=None, print_blob=True)
settings.load_profile("equate")


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(20250822)


@pytest.fixture(scope="session", autouse=True)
def _compiled_kernels() -> None:
    """Compile before any test has a time limit: a fresh installation has no kernels yet."""
    from equate_srbench.refine import warm_up

    warm_up()
