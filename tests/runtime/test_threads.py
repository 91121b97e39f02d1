"""One torch thread inside, the former number outside."""

from __future__ import annotations

import threading

import pytest
import torch

from equate_srbench.runtime.threads import full_precision, one_thread


@pytest.fixture(autouse=True)
def _three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test__one_thread__inside_and_after():
    """Nested, and after an error too."""
    with one_thread(), one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3
    with pytest.raises(KeyError), one_thread():
        raise KeyError
    assert torch.get_num_threads() == 3


def test__one_thread__overlapping_python_threads__last_restores():
    """The first comes, the second comes, the first goes, the second goes."""
    second_is_in, first_is_gone = threading.Event(), threading.Event()
    found = {}

    def first() -> None:
        with one_thread():
            second_is_in.wait(10)
        first_is_gone.set()

    def second() -> None:
        with one_thread():
            second_is_in.set()
            first_is_gone.wait(10)
            found["inside"] = torch.get_num_threads()

    def later() -> None:
        found["later"] = torch.get_num_threads()

    for group in ((first, second), (later,)):
        threads = [threading.Thread(target=target) for target in group]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {"inside": 1, "later": 3}
    assert torch.get_num_threads() == 3


def test__full_precision__inside_and_after__lstm_in_float32_then_as_before():
    """On a GPU the LSTM would compute with ten bits; what the user has set comes back."""
    before = torch.backends.cudnn.rnn.fp32_precision
    with full_precision(), full_precision():
        assert torch.backends.cudnn.rnn.fp32_precision == "ieee"
    assert torch.backends.cudnn.rnn.fp32_precision == before
    assert isinstance(torch.backends.cudnn.allow_tf32, bool)  # torch's older switch still answers
