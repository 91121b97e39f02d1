"""``equate models``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from equate_srbench.backbone import checkpoint, registry
from equate_srbench.cli.main import app
from tests.pretrain.test_train import go


def run(*words: str) -> tuple[int, str]:
    """Exit code and everything printed."""
    result = CliRunner().invoke(app, ["models", *words])
    return result.exit_code, result.output


def test__list__each__size_and_state() -> None:
    """What ships, and what has not been built, is said in plain words."""
    code, text = run("list")
    assert code == 0
    compact, base = text.splitlines()
    assert compact.startswith("compact")
    assert "with the package" in compact
    assert base.startswith("base")
    assert "27.1 M" in base
    assert "not built yet" in base


@pytest.mark.parametrize("command", ["path", "fetch"])
def test__path_and_fetch__shipped__its_file(command: str) -> None:
    """Nothing is fetched that is there."""
    assert run(command, "compact") == (0, f"{checkpoint.SHIPPED['compact']}\n")


def test__verify__all__ok_and_a_changed_file__exit_2(tmp_path: Path, monkeypatch) -> None:
    """One line, and what to do."""
    code, text = run("verify")
    assert (code, text.split()[:2]) == (0, ["ok", "compact"])
    shutil.copy(checkpoint.SHIPPED["compact"], tmp_path)
    with (tmp_path / "compact.safetensors").open("ab") as file:
        file.write(b"x")
    monkeypatch.setattr(registry, "WEIGHTS", tmp_path)
    code, text = run("verify", "compact")
    assert code == 2
    assert "reinstall the package" in text


@pytest.mark.parametrize("command", ["fetch", "path", "card", "verify"])
def test__each__not_built__one_line_and_exit_2(command: str) -> None:
    """No address is invented."""
    code, text = run(command, "base")
    assert code == 2
    assert text.startswith("equate: base has not been built yet")
    assert len(text.splitlines()) == 1


def test__card__shipped_or_a_file__markdown(tmp_path: Path) -> None:
    """The written card, or one from the file's own header."""
    code, text = run("card")
    assert code == 0
    assert text.startswith("# compact")
    go(tmp_path, 2)
    code, text = run("card", str(tmp_path / "compact.safetensors"))
    assert code == 0
    assert "Not scored." in text
    assert "2 steps" in text
    code, text = run("card", str(tmp_path / "none.safetensors"))
    assert code == 2
    assert "no checkpoint at" in text
