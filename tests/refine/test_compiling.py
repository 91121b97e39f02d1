"""Compiled entry points are cached on disk, and compiled anew when what they contain changes."""

import numpy as np
import pytest
from numba import types

from equate_srbench.refine import compiling, kernel


def test__compiled__no_writable_directory__warns_and_works(monkeypatch):
    """Without a place for compiled code the kernel is built in memory, with a warning."""

    def njit(*args, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function 'f': no locator available for file")
        return lambda function: function

    monkeypatch.setattr(compiling, "njit", njit)
    with pytest.warns(RuntimeWarning, match="NUMBA_CACHE_DIR"):
        assert compiling.compiled(types.int64)(abs) is abs


def test__digest__module_with_compiled_in_constants_changes__kernel_is_compiled_anew(
    tmp_path, monkeypatch
):
    """The index of numba's cache names the contents of all modules that are compiled in."""
    before = compiling.digest(kernel.COMPILED_IN)
    assert kernel._run_programs._cache._cache_file._source_stamp[1] == before
    changed = tmp_path / "tolerances.py"
    changed.write_text("DAMPING = 2.0")
    monkeypatch.setattr(kernel.limit, "__file__", str(changed))
    assert compiling.digest(kernel.COMPILED_IN) != before


def test__compiled__called__changes_arrays_in_place():
    """An entry point returns nothing: results go into its arguments."""
    values = np.arange(3.0)

    @compiling.compiled(types.float64[::1])
    def double(values):
        for i in range(values.shape[0]):
            values[i] *= 2.0

    double(values)
    np.testing.assert_array_equal(values, [0.0, 2.0, 4.0])
