"""Environments of rivals: made whole or not at all."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from equate_srbench.baselines import environments
from equate_srbench.baselines.environments import InstallError
from equate_srbench.baselines.methods import Environment
from equate_srbench.cli import baselines_command as commands


@pytest.fixture
def commands_run(tmp_path, monkeypatch):
    """Nothing is installed for real: what would be run is noted, and a venv is a folder."""
    monkeypatch.setenv("EQUATE_ENVIRONMENTS", str(tmp_path / "environments"))
    run: list[list[str]] = []

    def pretend(command, failure):
        run.append(command)
        if command[1:3] == ["-m", "venv"]:
            (Path(command[3]) / "bin").mkdir()
            (Path(command[3]) / "bin" / "python").touch()
        return "itea==1.1.2\nnumpy==1.26.4\n" if command[-1] == "freeze" else ""

    monkeypatch.setattr(environments, "_run", pretend)
    return run


def left_over() -> list[str]:
    """Whatever stands in the cache folder."""
    folder = environments.cache_folder()
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def test__install__pins__tried_then_moved_into_place(commands_run):
    """The environment has a record of what is in it, and a second call does nothing."""
    said = []
    folder = environments.install("itea", report=said.append)
    package = environments.package("itea")
    assert folder == package.folder
    assert package.is_installed
    assert left_over() == [folder.name]
    record = json.loads((folder / "ready.json").read_text())
    assert record["installed"] == ["itea==1.1.2", "numpy==1.26.4"]
    assert "numpy==1.26.4" in commands_run[1]
    assert commands_run[2][1:] == [str(package.worker), "--check"]
    assert environments.python_of("itea") == folder / "bin" / "python"
    count = len(commands_run)
    environments.install("itea", report=said.append)
    assert len(commands_run) == count
    assert "already" in said[-1]


@pytest.mark.parametrize("step", ["venv", "install", "--check"])
def test__install__a_step_fails__nothing_is_left(commands_run, monkeypatch, step):
    """A half-made environment is never found."""
    pretend = environments._run

    def fail(command, failure):
        if step in command:
            raise InstallError(failure)
        return pretend(command, failure)

    monkeypatch.setattr(environments, "_run", fail)
    with pytest.raises(InstallError):
        environments.install("itea")
    assert left_over() == []
    assert not environments.package("itea").is_installed


def test__install__interrupted_before__made_anew(commands_run):
    """A folder without the mark is not an environment, and is replaced."""
    folder = environments.package("itea").folder
    (folder / "bin").mkdir(parents=True)
    with pytest.raises(environments.EnvironmentMissing, match="baselines install itea"):
        environments.python_of("itea")
    environments.install("itea")
    assert environments.package("itea").is_installed
    assert left_over() == [folder.name]


def test__install__again__replaces_what_is_there(commands_run):
    """On request it is made anew."""
    folder = environments.install("itea")
    (folder / "old").touch()
    environments.install("itea", again=True)
    assert not (folder / "old").exists()
    assert left_over() == [folder.name]


def test__install__somebody_was_faster__theirs_stays(commands_run, monkeypatch):
    """Two installations at once leave one whole environment."""
    package = environments.package("itea")
    pretend = environments._run

    def slow(command, failure):
        if "--check" in command:
            package.folder.mkdir()
            (package.folder / "ready.json").write_text('"theirs"')
        return pretend(command, failure)

    monkeypatch.setattr(environments, "_run", slow)
    environments.install("itea")
    assert json.loads((package.folder / "ready.json").read_text()) == "theirs"
    assert left_over() == [package.folder.name]


def test__install__no_interpreter_fits__error_names_the_option(commands_run, monkeypatch):
    """Old pins have no wheels for a new Python."""
    monkeypatch.setattr(environments.sys, "version_info", (3, 14, 0))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InstallError, match=r"needs Python 3\.11 or 3\.12.*--python PATH"):
        environments.install("itea")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    environments.install("itea")
    assert commands_run[0][0] == "/usr/bin/python3.11"


def test__install__julia_missing__refused(commands_run, monkeypatch):
    """PySR is installed only where there is a Julia."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InstallError, match="needs 'julia'"):
        environments.install("pysr")
    assert commands_run == []


def test__run__command_fails__last_lines_in_the_error():
    """What pip said last is what the user reads."""
    with pytest.raises(InstallError, match=r"pip failed \(exit code 3\): b \| c \| d"):
        environments._run(["sh", "-c", "printf 'a\nb\nc\nd\n' >&2; exit 3"], "pip failed")
    with pytest.raises(InstallError, match=r"no venv: .*no-such-python"):
        environments._run(["/no-such-python"], "no venv")


def test__folder__other_pins__another_environment(monkeypatch):
    """A new release of ours with new pins does not use old environments."""
    one = environments.Package("itea", Environment(("itea==1",)))
    assert one.folder != environments.Package("itea", Environment(("itea==2",))).folder


def test__commands__install_and_list__say_what_is_there(commands_run):
    """The command line makes environments and lists methods."""
    runner = CliRunner()
    before = runner.invoke(commands.app, ["list"])
    assert (
        "itea          ITEA, interaction-transformation evolution, in a separate " in before.output
    )
    assert "environment  (not installed)" in before.output
    done = runner.invoke(commands.app, ["install", "itea"])
    assert done.exit_code == 0, done.output
    assert "itea: ready at" in done.output
    line = next(x for x in runner.invoke(commands.app, ["list"]).output.splitlines() if "itea" in x)
    assert "not installed" not in line


def test__commands__unknown_name__one_line_before_anything_is_installed(commands_run):
    """A typo in the second name stops the first from being installed too."""
    result = CliRunner().invoke(commands.app, ["install", "itea", "opern"])
    assert result.exit_code == 2
    assert "'opern' is no method" in result.output
    assert commands_run == []


@pytest.mark.parametrize("name", ["itea", "operon", "gplearn"])
def test__installed__real_package__fits_a_product(name):
    """The real package, where it is installed, explains x0*x1 and predicts what it says."""
    import numpy as np

    from equate_srbench.baselines import methods

    if not environments.package(name).is_installed:
        pytest.skip(f"run `equate baselines install {name}` for this test")
    X = np.random.default_rng(0).uniform(1.0, 3.0, (60, 2))
    y = X[:, 0] * X[:, 1] + 2.0
    given = {"linear_scaling": True, "function_set": ["add", "mul"]} if name == "gplearn" else {}
    est = methods.make(name, max_time=3, random_state=0, **given).fit(X, y)
    assert est.score(X, y) > 0.99
    assert "x0" in methods.model_string(est)


def test__gplearn__linear_scaling__target_of_any_size():
    """Without it a target a thousand times the columns' size stays out of reach."""
    import numpy as np

    from equate_srbench.baselines import methods

    if not environments.package("gplearn").is_installed:
        pytest.skip("run `equate baselines install gplearn` for this test")
    X = np.random.default_rng(0).uniform(1.0, 3.0, (60, 2))
    settings = {"linear_scaling": True, "function_set": ["add", "mul"]}
    y = 5000.0 * X[:, 0] * X[:, 1] - 70000.0
    est = methods.make("gplearn", max_time=3, random_state=0, **settings).fit(X, y)
    assert est.score(X, y) > 0.99


def test__python__venv_module__is_there():
    """The interpreter that runs the tests can make environments."""
    import sys

    subprocess.run([sys.executable, "-c", "import venv, ensurepip"], check=True)
