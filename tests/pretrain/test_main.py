"""The command line of the trainer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from equate_srbench.pretrain.__main__ import main
from tests.pretrain.test_train import go


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--minutes"),
        (["--minutes", "0"], "--minutes 0: give more than 0"),
        (["--minutes", "1", "--shard-mib", "-1"], "--shard-mib -1: give more than 0"),
        (["--minutes", "1", "--decay", "-1"], "--decay -1: give 0 or more"),
        (["--minutes", "1", "--dir", "a", "--resume", "b"], "give the directory only once"),
        (["--minutes", "1", "--start", "nowhere.safetensors"], "no checkpoint at"),
        (["--minutes", "1", "--size", "huge"], "invalid choice: 'huge'"),
        (["--minutes", "inf"], "--minutes inf: give a finite number"),
        (["--minutes", "1", "--threads", "-3"], "--threads -3: give more than 0"),
        (
            ["--minutes", "1", "--device", "tpu"],
            "device='tpu': use 'auto', 'cpu' or 'cuda'",
        ),
        (["--minutes", "1", "--dir", ""], "empty path"),
        (["--minutes", "1", "--resume", ""], "empty path"),
        (["--minutes", "1", "--dir", __file__], "is a file: choose a directory"),
        (["--minutes", "1", "--export", "/"], "is a directory, give a file"),
        (["--minutes", "1", "--shard-mib", "0.5"], "the limit of 0.5 MiB per shard"),
    ],
)
def test__main__what_cannot_work__usage_error(
    words: list[str], said: str, tmp_path: Path, capsys, monkeypatch
) -> None:
    """One line that says what to give instead, before anything is trained."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as error:
        main(words)
    assert error.value.code == 2
    assert said in capsys.readouterr().err


def test__main__folder_with_a_run__asks_for_resume(tmp_path: Path, capsys) -> None:
    """An earlier run is not overwritten by accident."""
    go(tmp_path, 1)
    with pytest.raises(SystemExit):
        main(["--minutes", "1", "--dir", str(tmp_path), "--device", "cpu"])
    assert "resume it" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--minutes", "1", "--resume", str(tmp_path), "--device", "cpu", "--size", "base"])
    assert "not size base: omit the size" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("state.json", lambda data: data[: len(data) // 2]),
        ("state.json", lambda _: b"{}"),
        ("state.json", lambda _: b'{"shards": []}'),
        ("state-1-0.safetensors", lambda data: data[:1000]),
        ("state-1-0.safetensors", lambda data: data[:20_000] + b"\x7f" + data[20_001:]),
    ],
)
def test__main__damaged_state__said_and_left_as_it_is(
    name: str, damage: Callable[[bytes], bytes], tmp_path: Path, capsys
) -> None:
    """Cut off or one byte changed: nothing is trained on it, and nothing is written over it."""
    go(tmp_path, 1)
    path = tmp_path / name
    path.write_bytes(damage(path.read_bytes()))
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(SystemExit) as error:
        main(["--minutes", "1", "--resume", str(tmp_path), "--device", "cpu"])
    assert error.value.code == 2
    assert name in capsys.readouterr().err
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


# What a training machine with a fixed set of packages has, beside the standard library.
BARE = """
import sys

for name in ("sklearn", "pandas", "typer", "rich", "pydantic", "pooch", "pyarrow", "matplotlib",
             "joblib", "psutil", "duckdb", "distributed"):
    sys.modules[name] = None  # as if it were not installed
from equate_srbench.pretrain.__main__ import main
main(["--minutes", "0.05", "--device", "cpu", "--resume", sys.argv[1], "--shard-mib", "15"])
"""


def test__main__bare_environment__trains_and_writes_small_shards(tmp_path: Path) -> None:
    """Only torch, numpy, numba and safetensors; the run can be carried in files of 15 MiB."""
    done = subprocess.run(
        [sys.executable, "-c", BARE, str(tmp_path)],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "ex/s" in done.stdout
    shards = list(tmp_path.glob("state-*.safetensors"))
    assert len(shards) > 2
    assert max(f.stat().st_size for f in tmp_path.iterdir()) <= 15 * 2**20
