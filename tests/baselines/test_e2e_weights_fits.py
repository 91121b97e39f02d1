"""Fits with converted weights of E2E: random ones here, so they are poor, but all is in place."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

from equate_srbench import EquateRegressor, model
from equate_srbench.backbone import checkpoint
from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.backbone.convert.e2e_weights import convert
from equate_srbench.backbone.network import Backbone
from equate_srbench.backbone.views import View
from equate_srbench.baselines import methods
from equate_srbench.baselines.e2e import E2ERegressor
from equate_srbench.baselines.tpsr import TPSRRegressor
from equate_srbench.equate.neural import propose
from equate_srbench.equate.quadruples import encode_bags
from equate_srbench.equate.settings import EquateSettings
from equate_srbench.equation import Equation
from equate_srbench.problem.archive import Archive
from equate_srbench.runtime.clock import Deadline

FIXTURE = Path(__file__).parents[3] / "shared" / "fixtures" / "e2e_tiny"
SIZES = {
    "dim": 16, "encoder_dim": 8, "heads": 4, "encoder_heads": 2, "decoder_layers": 2,
    "encoder_layers": 1, "token_dim": 2, "max_length": 40, "n_positions": 64,
}  # fmt: skip


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A tiny network of E2E's kind on disk, which likes variables and short formulas."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = Backbone(BackboneConfig.e2e(**SIZES))
    words = backbone.vocabulary
    torch.nn.init.normal_(
        backbone.decoder.embeddings.weight, std=0.05, generator=torch.Generator().manual_seed(1)
    )
    liked = [*words.columns, *(words.ids[name] for name in ("mul", "add", "div", "sin", "+"))]
    bias = torch.zeros(len(words))
    bias[liked] = 6.0
    backbone.decoder.proj.bias.data = bias
    path = tmp_path_factory.mktemp("e2e") / "tiny.safetensors"
    checkpoint.save(path, backbone, {}, dtype=torch.float32)
    return path


@pytest.fixture(scope="module")
def table():
    """230 rows of a noisy quotient with a shift, as a frame: one full bag and a small one."""
    rng = np.random.default_rng(0)
    X = rng.uniform(1.0, 5.0, (230, 3))
    frame = pd.DataFrame(X, columns=["mass", "x 1", "lambda"])
    return frame, 100.0 * X[:, 0] / X[:, 1] + 7.0 + rng.normal(size=230)


ESTIMATORS = {
    "equate": lambda path: EquateRegressor(5, preset="paper", backbone=path, random_state=0),
    "edits": lambda path: EquateRegressor(
        4, backbone=path, random_state=0, settings={"sources": ("backbone", "ascent", "edits")}
    ),
    "e2e": lambda path: E2ERegressor(20, path, n_samples=3, temperature=1.0, random_state=0),
    "tpsr": lambda path: TPSRRegressor(20, 40, backbone=path, patience=1, random_state=0),
}


def assert_string_is_the_model(est, X):
    """The printed formula, read back, predicts what the estimator predicts."""
    names = [str(name) for name in X.columns]
    text = str(est.equation_)
    predicted = est.predict(X)
    assert np.isfinite(predicted).all()
    again = Equation.from_string(text, est.equation_.feature_names).predict(X.to_numpy())
    np.testing.assert_allclose(again, predicted, rtol=1e-9)
    assert model(est, X.set_axis([f"c{i}" for i in range(len(names))], axis=1))


@pytest.mark.parametrize("name", ESTIMATORS)
def test__fit__weights_of_e2e__strings_are_predictions(network, table, name):
    """Path in, formula out, in the user's units and names."""
    est = ESTIMATORS[name](network)
    with np.errstate(all="ignore"):
        est.fit(*table)
    assert_string_is_the_model(est, table[0])
    assert "backbone" in set(est.candidates_["source"])
    assert clone(est).get_params()["backbone"] == network
    again = pickle.loads(pickle.dumps(est))  # noqa: S301 - our own
    assert np.array_equal(again.predict(table[0]), est.predict(table[0]))


@pytest.mark.skipif(not FIXTURE.exists(), reason="the shared E2E fixture is not here")
@pytest.mark.parametrize("name", ["equate", "e2e", "tpsr"])
def test__fit__converted_model_of_the_release__runs(tmp_path, table, name):
    """From model1.pt to a formula."""
    path = tmp_path / "e2e.safetensors"
    convert(FIXTURE / "model1.pt", path)
    est = ESTIMATORS[name](str(path)).set_params(max_time=3)
    est.fit(*table)
    assert_string_is_the_model(est, table[0])


def test__encode_bags__tokens__one_view_of_all_rows(network, table):
    """E2E standardises by all fit rows, and bags differ in rows only."""
    X, y = table[0].to_numpy(), table[1]
    subsets = [np.arange(200), np.arange(200, 230)]
    bags = encode_bags(checkpoint.load(network), X, y, subsets)
    whole = View.fit(X, "standard")
    assert len(bags) == 2
    for view in bags.views:
        np.testing.assert_array_equal(view.center, whole.center)
        np.testing.assert_array_equal(view.scale, whole.scale)


def test__propose__weights_of_e2e__every_phase_runs(network, table):
    """Quadruples, alignment and ascent in E2E's vocabulary."""
    X, y = table[0].to_numpy()[:60], table[1][:60]
    archive = Archive(X, y, None, deadline=Deadline(120.0))
    settings = EquateSettings(
        n_subsets=2, samples=6, temperatures=(1.0,), epochs=1, starts=2, steps=2,
        ladder=(0.5, 2.0), max_length=8, stop_r2=1.1, max_rows=30,
    )  # fmt: skip
    result = propose(
        checkpoint.load(network), archive, settings,
        rng=np.random.default_rng(0), deadline=archive.deadline,
    )  # fmt: skip
    assert result.aligned is not None
    assert {row.step for row in result.rows if row.source == "ascent"} == {0, 1, 2}


def test__backbone__names_and_paths__work_alike(network, table):
    """Names of shipped checkpoints, strings and paths; registry settings too."""
    few = table[0].iloc[:40], table[1][:40]
    by_path = E2ERegressor(backbone=network, n_bags=1, random_state=0).fit(*few)
    by_text = methods.make("e2e", backbone=str(network), n_bags=1, random_state=0).fit(*few)
    assert str(by_path.equation_) == str(by_text.equation_)
    assert copy.deepcopy(by_path).backbone == network


def test__backbone__file_not_converted__says_how(tmp_path, table):
    """Whoever gives model1.pt itself is told what to do."""
    path = tmp_path / "model1.pt"
    torch.save({"a": torch.zeros(2)}, path)
    with pytest.raises(checkpoint.CheckpointError, match="equate convert"):
        EquateRegressor(backbone=path).fit(*table)
