"""``benchmarks/gpu.sh`` and ``gpu_train.py``: what they would run, and what they choose."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from equate_srbench.pretrain.state import INDEX
from equate_srbench.pretrain.train import TrainConfig, TrainingRun
from tests.pretrain.test_train import TINY

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(scope="module")
def gpu_train():
    """The script as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import gpu_train

        yield gpu_train
    for name in ("gpu_train", "training"):
        sys.modules.pop(name, None)


def commands(tmp_path, *words):
    """Limit in seconds and words of each command that ``gpu.sh`` would run."""
    environment = {**os.environ, "DRY_RUN": "1", "OUT": str(tmp_path), "PYTHON": sys.executable}
    for name in ("SECONDS_TRAIN", "SECONDS_PART"):
        environment.pop(name, None)
    done = subprocess.run(
        ["bash", str(BENCHMARKS / "gpu.sh"), *words],
        check=True, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    found = [shlex.split(line) for line in re.findall(r"^\+ timeout (.*)$", done.stdout, re.M)]
    return [(int(limit), line) for limit, *line in found]


def test__train__dry_run__ends_in_time_and_knows_its_state(tmp_path):
    """One command, below 560 s with the grace of the kill; options go through."""
    ((limit, line),) = commands(tmp_path, "train", "some/state", "--size", "base")
    assert limit + 5 <= 560
    assert float(line[line.index("--seconds") + 1]) < limit
    assert line[line.index("--state") + 1] == "some/state"
    assert line[line.index("--out") + 1] == str(tmp_path)
    assert line[-2:] == ["--size", "base"]
    assert (tmp_path / "train.txt").read_text().startswith("+ timeout")


def test__check__dry_run__three_parts_within_its_time(tmp_path):
    """Each part has a limit of its own, so that none keeps the others from reporting."""
    found = commands(tmp_path, "check")
    assert sum(limit + 5 for limit, _ in found) <= 200
    scripts = [" ".join(line) for _, line in found]
    assert len(scripts) == 3
    for script, wanted in zip(scripts, ("training.py", "pytest", "gpu_check.py"), strict=True):
        assert wanted in script
    assert {word for word in found[1][1] if word.startswith("tests/")} >= {
        "tests/backbone/test_network.py", "tests/equate/test_neural.py",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("script", ["gpu_train.py", "gpu_check.py", "training.py"])
def test__commands__options__are_known_to_their_scripts(tmp_path, script):
    """A command that ends with a usage message would waste the machine."""
    lines = [line for _, line in [*commands(tmp_path, "train"), *commands(tmp_path, "check")]]
    (line,) = [line for line in lines if f"benchmarks/{script}" in line]
    done = subprocess.run(
        [sys.executable, BENCHMARKS / script, "--help"],
        check=True, capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    options = [word for word in line if word.startswith("--")]
    assert options
    assert all(option in done.stdout for option in options)


def test__gpu__no_command__usage():
    """Exit code 2 and the two commands."""
    done = subprocess.run(
        ["bash", str(BENCHMARKS / "gpu.sh")], check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "gpu.sh train" in done.stderr
    assert "gpu.sh check" in done.stderr


def test__choose__timings__smallest_that_is_about_as_fast(gpu_train):
    """Steps are worth more than the last tenth; what failed is left out."""
    way = gpu_train.Timing
    timings = [way(10, rate=50.0), way(20, rate=95.0), way(40, rate=100.0), way(80, error="no")]
    assert gpu_train.choose(timings) == timings[1]
    faster = way(20, autocast=True, rate=120.0)
    assert gpu_train.choose([*timings, faster]) == faster
    assert gpu_train.choose([*timings, way(20, autocast=True, rate=99.0)]) == timings[1]
    enough = way(10, rate=gpu_train.ENOUGH)
    assert gpu_train.choose([enough, way(20, rate=9 * gpu_train.ENOUGH)]) == enough
    assert gpu_train.choose([way(10, error="out of memory")]) == way(10)
    assert gpu_train.choose([]).points == 0


def test__timed__variant_that_fails__is_named_and_left_out(gpu_train, monkeypatch):
    """Whatever goes wrong in a variant, the training does not see it."""

    def fail(*_):
        raise RuntimeError("no memory for this")

    monkeypatch.setattr(gpu_train, "rate", fail)
    found = gpu_train.timed("compact", "cpu", gpu_train.Timing(64))
    assert found.rate == 0.0
    assert "no memory for this" in str(found)


def test__stopwatch__process_that_hangs__is_killed_at_its_limit(gpu_train, monkeypatch, tmp_path):
    """The timings until then count."""
    script = tmp_path / "hangs.py"
    line = json.dumps({"points": 5, "rate": 7.0})
    script.write_text(f"import time\nprint('{line}', flush=True)\ntime.sleep(600)\n")
    monkeypatch.setattr(gpu_train, "__file__", str(script))
    watch = gpu_train.Stopwatch("compact", "cpu", 2.0)
    try:
        assert watch.group() == [gpu_train.Timing(5, rate=7.0)]
    finally:
        watch.close()
    assert watch._process.returncode < 0


def test__brought__state_elsewhere__copied_and_a_damaged_one_refused(gpu_train, tmp_path, capsys):
    """A broken state costs the way since the checkpoint, not the minutes of the machine."""
    there, out, other = (tmp_path / name for name in ("there", "out", "other"))
    out.mkdir()
    other.mkdir()
    assert not gpu_train.brought(there, out)
    TrainingRun(there, TINY, device="cpu").save()
    assert gpu_train.brought(there, out)
    assert TrainingRun(out, TrainConfig(), device="cpu").config == TINY
    (there / INDEX).write_text("{")
    assert not gpu_train.brought(there, other)
    assert "damaged" in capsys.readouterr().out
    assert gpu_train.brought(None, out)
