"""``equate srbench`` on the command line."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from equate_srbench.cli.main import app
from tests.srbench.toy_plugin import write_toy

runner = CliRunner()


def test__check__good_plugin__one_line_each_and_exit_code_0(tmp_path):
    """Word, name, fact; then the counts."""
    made = write_toy(tmp_path)
    done = runner.invoke(
        app, ["srbench", "check", str(made.root), "--only", "files", "--only", "interface"]
    )
    lines = done.output.splitlines()
    assert done.exit_code == 0
    assert lines[0] == "pass files             algorithms/toy, experiment/methods/toy"
    assert lines[1].startswith("pass interface         Toy, model, complexity")
    assert lines[2].startswith("2 passed, 0 failed in ")


def test__check__broken_plugin__exit_code_1_and_plain_text(tmp_path):
    """Text of a plugin cannot write to the terminal what it likes."""
    made = write_toy(tmp_path, "def model(est, X=None):\n    return '\\x1b[2J\\nx +'\n")
    done = runner.invoke(app, ["srbench", "check", str(made.root), "--only", "sympy"])
    assert done.exit_code == 1
    assert "FAIL sympy" in done.output
    assert "\x1b" not in done.output
    assert len(done.output.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "/no/such/folder"], "neither algorithms/NAME nor"),
        (["check", "--only", "everything"], "no check 'everything'"),
        (["export", "/dev/null"], "is a file"),
    ],
)
def test__commands__wrong_arguments__one_line_and_exit_code_2(arguments, words):
    """What a user can mend is one line."""
    done = runner.invoke(app, ["srbench", *arguments])
    assert done.exit_code == 2
    assert words in done.output
    assert len(done.output.strip().splitlines()) == 1


def test__export__new_folder__names_the_files_and_what_is_left_to_do(tmp_path):
    """The address is asked for unless it is given."""
    done = runner.invoke(app, ["srbench", "export", str(tmp_path / "a")])
    assert done.exit_code == 0
    assert "no email yet" in done.output
    assert str(tmp_path / "a/experiment/methods/equate/regressor.py") in done.output
    done = runner.invoke(
        app, ["srbench", "export", str(tmp_path / "b"), "--email", "a@example.org"]
    )
    assert "no email yet" not in done.output
    assert runner.invoke(app, ["srbench", "export", str(tmp_path / "b")]).exit_code == 2


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test__check__four_flaws_at_once__four_lines_fail(tmp_path):
    """Wrong names, string unlike predict, missed time limit, swallowed alarm."""
    made = write_toy(
        tmp_path,
        "class Bad(Toy):\n"
        "    def __init__(self, max_time=60.0, random_state=None, size=3):\n"
        "        super().__init__(max_time, random_state, size)\n"
        "    def fit(self, X, y):\n"
        "        super().fit(X, y)\n"
        "        if len(X) == 1000:\n"
        "            end = time.monotonic() + 3600\n"
        "            while time.monotonic() < end:\n"
        "                try:\n"
        "                    time.sleep(0.1)\n"
        "                except Exception:\n"
        "                    pass\n"
        "        return self\n"
        "est = Bad()\n"
        "def model(est, X=None):\n"
        "    text = ' + '.join(f'({c:.2f})*{n}' for c, n in zip(est.coef_[1:], X.columns))\n"
        "    return text.replace('x0', 'x_0')\n",
    )
    names = ["strange names", "string = predict", "time limit", "alarm", "arrays", "copies"]
    only = [word for name in names for word in ("--only", name)]
    done = runner.invoke(app, ["srbench", "check", str(made.root), *only])
    assert done.exit_code == 1
    failed = {line[5:23].strip() for line in done.output.splitlines() if line.startswith("FAIL")}
    assert failed == {"strange names", "string = predict", "time limit", "alarm"}
