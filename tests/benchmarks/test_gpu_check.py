"""``benchmarks/gpu_check.py``: what it computes, and what it says where there is no GPU."""

import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def check():
    """The script as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import gpu_check

        yield gpu_check
    for name in ("gpu_check", "decode", "refine"):
        sys.modules.pop(name, None)


def fit(check, losses, **changes):
    """A fit that found formulas with these losses."""
    phases = dict.fromkeys(check.PHASES, 0.5)
    given = {"dataset": "a", "seconds": 2.5, "phases": phases, "memory": 10.0, "r2": 1.0}
    return check.Fit(**{**given, "losses": losses, **changes})


def test__sets__ten__half_of_each_suite(check):
    """Five Feynman sets and five Strogatz sets, the same for every seed but for the rows."""
    found = check.sets(10, 0)
    assert [name.partition("_")[0] for name, *_ in found] == ["feynman"] * 5 + ["strogatz"] * 5
    assert all(len(y) <= check.ROWS for *_, y in found)
    assert [name for name, *_ in found] == [name for name, *_ in check.sets(10, 1)]


def test__shared_candidates__two_fits__formulas_and_losses(check):
    """Two of three formulas were found by both, one of them with the same loss."""
    one = fit(check, {"x0 + #": 0.5, "sin(x1)": 0.25})
    other = fit(check, {"x0 + #": 0.5 + 1e-12, "sin(x1)": 0.26, "cos(x1)": 0.1})
    assert check.shared_candidates([one], [other]) == (2 / 3, 1 / 2)


def test__agreement__undefined_formulas__are_equal_if_both_are(check):
    """Inf equals inf, and is far from any number."""
    one, other = np.array([0.5, np.inf, 0.1]), np.array([0.5, np.inf, np.inf])
    assert check.agreement(one, other) == (2 / 3, 0.0)


@pytest.mark.parametrize("text", ["1.5*x0 + 2e-05", "1.5000000001*x0 + 3e-05"])
def test__number__equations__differ_by_constants_only(check, text):
    """Names keep their digits."""
    assert check._NUMBER.sub("#", text) == "#*x0 + #"


def test__network_gaps__cpu__float32_is_close_to_float64(check):
    """The part of the comparison that needs no GPU: what rounding alone makes."""
    gaps = check.network_gaps("cpu", 0, check.sets(1, 0))
    assert len(gaps) == 2
    assert 0.0 < max(gaps.values()) < 1e-3


def test__refine_speed__both_paths__same_losses(check):
    """Kernel and torch path fit the same formulas."""
    (_, ours), (_, theirs) = (
        check.refine_speed(60, backend, "cpu", 0) for backend in ("numba", "torch")
    )
    assert check.agreement(ours, theirs)[0] > 0.9


def options(tmp_path, **changes):
    """Arguments of a small run."""
    given = {"device": "cpu", "sets": 2, "seconds": 1.0, "jobs": [1], "trees": [50], "seed": 0,
             "minutes": 5.0, "commit": "abc", "out": tmp_path / "gpu.md"}  # fmt: skip
    return Namespace(**{**given, **changes})


def test__page__without_a_gpu__names_what_is_missing(check, tmp_path, monkeypatch, capsys):
    """Every part says its own; the file is whole and nothing else is left."""
    monkeypatch.setattr(check, "fits", lambda *args: [fit(check, {"x0": 0.1})] * 2)
    monkeypatch.setattr(check, "side_by_side", lambda n, *args: [(0.0, 60.0, 100.0)] * n)
    monkeypatch.setattr(check, "refine_on_cores", lambda n, seed: 1000.0)
    monkeypatch.setattr(check, "network_gaps", lambda *args: {"score": 1e-7})
    check.Page(options(tmp_path)).run()
    text = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    owed = text.partition("## Still owed")[2]
    for what in ("fixed fits", "default fits", "processes on one GPU", "network scores",
                 "candidates", "formulas a second"):  # fmt: skip
        assert what in owed
    assert "| cpu | 2.50 | 5.0 | 20 | 20 | 20 | 20 | 20 | 10 | 2 of 2 |" in text
    assert [path.name for path in tmp_path.iterdir()] == ["gpu.md"]
    assert "## Still owed" in capsys.readouterr().out


def test__page__no_time_left__parts_are_named(check, tmp_path):
    """A run that is too slow says which figures it could not make."""
    check.Page(options(tmp_path, minutes=0.0)).run()
    text = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert "Refinement, formulas a second (the run's 0 minutes were over)" in text


def test__main__cuda_without_a_device__says_so(check, monkeypatch, capsys):
    """No figures rather than a CPU's under a GPU's name."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", "--device", "cuda"])
    with pytest.raises(SystemExit):
        check.main()
    assert "no CUDA device here: use --device cpu" in capsys.readouterr().err
