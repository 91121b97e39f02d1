"""Each check passes on a good plugin and fails, with the right words, on a broken one."""

from __future__ import annotations

import signal

import pytest

from equate_srbench.srbench import trials
from equate_srbench.srbench.findings import ContractError
from equate_srbench.srbench.trials import TRIALS

BASE = """
class Bad(Toy):
    def __init__(self, max_time=60.0, random_state=None, size=3):
        super().__init__(max_time, random_state, size)
"""
END = "\nest = Bad()\n"

#: What breaks the good plugin, the check that has to notice, and words of what it says.
FLAWS = {
    "wrong names": (
        "def model(est, X=None):\n"
        "    return ' + '.join(f'({c!r})*x_{j}' for j, c in enumerate(map(float, est.coef_[1:])))",
        "string = predict",
        "x_0",
    ),
    "names by position": (
        "def model(est, X=None):\n"
        "    terms = [f'({float(c)!r})*x{j}' for j, c in enumerate(est.coef_[1:])]\n"
        "    return ' + '.join([repr(float(est.coef_[0])), *terms])",
        "strange names",
        "map the names",
    ),
    "rounded string": (
        "precise = model\n"
        "def model(est, X=None):\n"
        "    return f'0.01 + {precise(est, X)}'",
        "string = predict",
        "not what predict() computes",
    ),
    "clipped predictions": (
        BASE + "    def predict(self, X):\n"
        "        return np.clip(super().predict(X), 2.0, 4.0)" + END,
        "string = predict",
        "not what predict() computes",
    ),
    "patched predictions": (
        BASE + "    def predict(self, X):\n"
        "        found = super().predict(X)\n"
        "        found[found > 15.0] = found.mean()\n"
        "        return found" + END,
        "string = predict",
        "not what predict() computes",
    ),
    "NaN": (
        BASE + "    def predict(self, X):\n"
        "        found = super().predict(X)\n"
        "        found[0] = np.nan\n"
        "        return found" + END,
        "string = predict",
        "NaN or infinite",
    ),
    "no formula": ("def model(est, X=None):\n    return 'a +* b'", "sympy", "cannot parse"),
    "not a string": ("def model(est, X=None):\n    return 3.0", "sympy", "not a string"),
    "reserved word": (
        "def model(est, X=None):\n    return 'lambda*2'", "sympy", "cannot parse",
    ),
    "changing string": (
        "calls = []\nsteady = model\n"
        "def model(est, X=None):\n"
        "    calls.append(0)\n"
        "    return f'{steady(est, X)} + {len(calls)}e-12'",
        "repeatable",
        "another string",
    ),
    "missed time limit": (
        BASE + "    def fit(self, X, y):\n"
        "        time.sleep(1.0)\n"
        "        return super().fit(X, y)" + END,
        "time limit",
        "check the clock",
    ),
    "swallowed alarm": (
        BASE + "    def fit(self, X, y):\n"
        "        super().fit(X, y)\n"
        "        while True:\n"
        "            try:\n"
        "                time.sleep(0.01)\n"
        "            except Exception:\n"
        "                pass" + END,
        "alarm",
        "swallowed",
    ),
    "model lost at the alarm": (
        BASE + "    def fit(self, X, y):\n"
        "        super().fit(X, y)\n"
        "        self.coef_ = np.full_like(self.coef_, np.nan)\n"
        "        time.sleep(60)\n" + END,
        "alarm",
        "NaN or infinite",
    ),
    "handler replaced": (
        "import signal\n" + BASE + "    def fit(self, X, y):\n"
        "        signal.signal(signal.SIGALRM, signal.SIG_IGN)\n"
        "        return super().fit(X, y)" + END,
        "harness alarm",
        "replaced the handler",
    ),
    "alarm cancelled": (
        "import signal\n" + BASE + "    def fit(self, X, y):\n"
        "        signal.alarm(3)\n"
        "        super().fit(X, y)\n"
        "        signal.alarm(0)\n"
        "        return self" + END,
        "harness alarm",
        "cancelled or moved",
    ),
    "seed ignored": (
        "import os\n" + BASE + "    def fit(self, X, y):\n"
        "        super().fit(X, y)\n"
        "        self.coef_[0] += os.urandom(1)[0] + os.urandom(1)[0] / 256\n"
        "        return self" + END,
        "same seed",
        "random_state=7 twice",
    ),
    "class instead of object": ("est = Toy", "interface", "est is a class"),
    "no complexity": ("del complexity", "interface", "complexity"),
    "no hyper_params": ("hyper_params = {'size': [3]}", "interface", "list of dicts"),
    "unknown hyper_params": ("hyper_params = [{'depth': [3]}]", "interface", "depth"),
    "module in the parameters": ("est = Toy(size=np.float32(2))", "parameters", "not JSON"),
    "no time limit": (
        BASE + "        del self.max_time\n"
        "    @classmethod\n"
        "    def _get_param_names(cls):\n"
        "        return ['random_state', 'size']" + END,
        "parameters",
        "no max_time",
    ),
    "unknown option": ("eval_kwargs = {'scale': True}", "eval_kwargs", "'scale'"),
    "option of another type": ("eval_kwargs = {'scale_x': 0}", "eval_kwargs", "type bool"),
    "test_params unknown": (
        "eval_kwargs = {'test_params': {'depth': 1}}", "eval_kwargs", "'depth'",
    ),
    "clone drops": (
        "class Bad(Toy):\n"
        "    def __repr__(self):\n"
        "        return f'Bad at {id(self)}'" + END,
        "copies",
        "clone(est)",
    ),
    "long print": (
        "class Bad(Toy):\n"
        "    def __repr__(self):\n"
        "        return 'x' * 20_000" + END,
        "copies",
        "20,000 characters",
    ),
    "complexity is text": ("def complexity(est):\n    return 'small'", "complexity", "'small'"),
    "population too large": (
        "def get_population(est):\n    return [est] * 101", "population", "101 models",
    ),
    "wrong shape": (
        BASE + "    def predict(self, X):\n"
        "        return super().predict(X)[:-1]" + END,
        "four rows",
        "shape",
    ),
}  # fmt: skip


@pytest.mark.parametrize("flaw", FLAWS)
def test__trial__broken_plugin__says_what_is_wrong(flaw, load, monkeypatch):
    """The check for it fails and names the reason."""
    monkeypatch.setattr(trials, "LIMIT", 0.1)
    monkeypatch.setattr(trials, "MARGIN", 0.5)
    monkeypatch.setattr(trials, "SOON", 1.0)
    extra, trial, words = FLAWS[flaw]
    plugin = load(extra)
    before = signal.getsignal(signal.SIGALRM)
    try:
        with pytest.raises(ContractError) as found:
            TRIALS[trial].run(plugin)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert words in str(found.value)


@pytest.mark.parametrize("missing", ["est", "model"])
def test__plugin__without_a_contract_name__says_which(missing, load):
    """Nothing can be checked without the two."""
    with pytest.raises(ContractError, match=f"defines no '{missing}'"):
        load(f"del {missing}")


def test__plugin__model_without_X__gets_none(load):
    """The parameter ``X`` is optional, as in SRBench."""
    plugin = load("def model(est):\n    return repr(float(est.coef_[0]))")
    assert plugin.module.model.__code__.co_argcount == 1
    train, _ = trials.standard()
    plugin.fit(train)
    assert float(plugin.string(train.X))


def test__trials__optional_functions__are_used(load):
    """Populations of a good plugin are counted."""
    plugin = load(
        "def get_population(est):\n    return [est, est]\n"
        "def get_best_solution(est):\n    return est\n"
    )
    assert TRIALS["population"].run(plugin) == "get_best_solution, get_population: 2"
