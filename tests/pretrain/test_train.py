"""The trainer: resumable to the bit, and it learns."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from equate_srbench.backbone import checkpoint
from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.backbone.network import Backbone
from equate_srbench.pretrain import optimise, train
from equate_srbench.pretrain.corpus.examples import CorpusConfig
from equate_srbench.pretrain.log import LOG
from equate_srbench.pretrain.state import INDEX, load_state, save_state
from equate_srbench.pretrain.train import TrainConfig, TrainingRun, pretrain

TINY = TrainConfig(
    backbone=BackboneConfig(
        dim=32, encoder_dim=32, heads=2, encoder_heads=2, decoder_layers=1, encoder_layers=1
    ),
    corpus=CorpusConfig(seed=1, batch_points=384, batches=3),
    lr=3e-3,
    warm_up=5,
)


def quiet(_: str) -> None:
    """Take a log line and say nothing."""


def go(directory: Path, max_steps: int, config: TrainConfig = TINY) -> TrainingRun:
    """Train in this process up to a step, learning rate constant."""
    return pretrain(
        5.0, directory, config=config, device="cpu", workers=0, decay=0.0, max_steps=max_steps,
        report=quiet,
    )  # fmt: skip


@pytest.fixture
def float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train in float32 whatever the CPU can do."""
    monkeypatch.setattr(train, "is_bf16_fast", lambda: False)


@pytest.mark.usefixtures("float32")
def test__pretrain__stopped_and_resumed__weights_equal_uninterrupted(tmp_path: Path) -> None:
    """Seven steps are three and then four, exactly."""
    whole = go(tmp_path / "whole", 7)
    go(tmp_path / "parts", 3)
    parts = go(tmp_path / "parts", 7)
    assert parts.progress.step == whole.progress.step == 7
    assert parts.progress.examples == whole.progress.examples
    assert parts.progress.counts == whole.progress.counts
    for (name, a), b in zip(
        whole.backbone.named_parameters(), parts.backbone.parameters(), strict=True
    ):
        assert torch.equal(a, b), name
        assert torch.equal(whole.state.averages[name], parts.state.averages[name]), name
        assert not torch.equal(whole.state.averages[name], a), name


def test__trainee__average__mean_of_the_first_steps_then_exponential(tmp_path: Path) -> None:
    """Early averages are plain means of the weights after each step; later ones forget."""
    state = TrainingRun(tmp_path, TINY, device="cpu").state
    p = state.names["embedder.fc.bias"]
    for step in range(1, 5):
        p.data.fill_(float(step))
        state.average(step)
    torch.testing.assert_close(state.averages["embedder.fc.bias"], torch.full_like(p, 2.5))
    p.data.fill_(0.0)
    for step in range(1000, 1000 + 3 * optimise.AVERAGED_STEPS):
        state.average(step)
    assert 0.1 < float(state.averages["embedder.fc.bias"][0]) < 0.15  # 2.5 * exp(-3)


@pytest.mark.usefixtures("float32")
def test__run__state_without_averages__begin_from_the_weights(tmp_path: Path) -> None:
    """States of earlier versions can be resumed."""
    go(tmp_path, 3)
    header, tensors = load_state(tmp_path)
    save_state(
        tmp_path, {k: v for k, v in tensors.items() if not k.startswith("ema/")}, header, step=3
    )
    run = TrainingRun(tmp_path, device="cpu")
    assert run.progress.step == 3
    for name, p in run.backbone.named_parameters():
        assert torch.equal(run.state.averages[name], p)


@pytest.mark.usefixtures("float32")
def test__run__state_in_shards__half_the_size_and_nearly_the_same(tmp_path: Path) -> None:
    """What is carried between machines has no averages, and second moments only, in short."""
    run = go(tmp_path, 5)
    whole = sum(t.numel() * t.element_size() for t in load_state(tmp_path)[1].values())
    run.shard_mib = 1.0
    run.save()
    tensors = load_state(tmp_path)[1]
    assert sum(t.numel() * t.element_size() for t in tensors.values()) < 0.4 * whole
    again = TrainingRun(tmp_path, device="cpu").state
    for name, p in run.state.names.items():
        a = run.state.optimiser.state[p]["exp_avg_sq"]
        b = again.optimiser.state[again.names[name]]["exp_avg_sq"]
        assert b.dtype == torch.float32
        torch.testing.assert_close(a, b, rtol=0.01, atol=0.0)
        slots = again.optimiser.state[again.names[name]]
        assert not slots["exp_avg"].any()
        assert float(slots["step"]) == 5.0
    assert go(tmp_path, 7).progress.step == 7


def test__config__of_a_run_from_before_points_were_dropped__keeps_them() -> None:
    """What a checkpoint does not record did not happen in its run."""
    old = asdict(TrainConfig())
    assert TrainConfig.from_dict(old).corpus.dropped == 0.5
    del old["corpus"]["dropped"]
    assert TrainConfig.from_dict(old).corpus.dropped == 0.0


def test__run__size__checked_against_the_state(tmp_path: Path) -> None:
    """A run keeps its size; a new one has 7.1 M parameters, or 25 to 30 M."""
    n = {
        name: sum(p.numel() for p in Backbone(shape).parameters())
        for name, shape in train.SIZES.items()
    }
    assert 7e6 < n["compact"] < 12e6
    assert 25e6 < n["base"] < 30e6
    go(tmp_path, 1)
    with pytest.raises(train.SizeError, match="not size base"):
        TrainingRun(tmp_path, device="cpu", size="base")


def test__pretrain__toy__loss_falls(tmp_path: Path) -> None:
    """Sixty steps on a toy take a quarter off the loss."""
    pretrain(
        5.0, tmp_path, config=TINY, device="cpu", workers=0, max_steps=60,
        every=(0.0, 60.0, 60.0), report=quiet,
    )  # fmt: skip
    with (tmp_path / LOG).open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert len(losses) == 60
    assert np.mean(losses[-15:]) < 0.75 * losses[0]


def test__pretrain__done__leaves_state_log_and_loadable_export(tmp_path: Path) -> None:
    """The export is a checkpoint of the package whose header holds the counters."""
    run = go(tmp_path, 2)
    assert {p.name for p in tmp_path.iterdir()} == {
        INDEX,
        "state-2-0.safetensors",
        LOG,
        train.EXPORT,
    }
    card = checkpoint.describe(tmp_path / train.EXPORT)["card"]
    assert card["training"]["examples"] == run.progress.examples
    assert card["config"]["lr"] == TINY.lr
    assert card["averaged"]
    loaded = dict(checkpoint.load(tmp_path / train.EXPORT).named_parameters())
    for name, average in run.state.averages.items():
        assert torch.allclose(loaded[name], average, atol=1e-3)


def test__pretrain__rate_has_fallen__exports_the_weights_themselves(tmp_path: Path) -> None:
    """An average lags behind weights that have settled."""
    run = pretrain(
        5.0, tmp_path, config=TINY, device="cpu", workers=0, decay=1.0, max_steps=20, report=quiet
    )
    assert not checkpoint.describe(tmp_path / train.EXPORT)["card"]["averaged"]
    loaded = dict(checkpoint.load(tmp_path / train.EXPORT).named_parameters())
    for name, p in run.backbone.named_parameters():
        assert torch.allclose(loaded[name], p, atol=1e-3)


def test__pretrain__sigterm__ends_with_a_state(tmp_path: Path) -> None:
    """A termination signal ends the run after the step at hand, with everything saved."""
    run = pretrain(
        5.0, tmp_path, config=TINY, device="cpu", workers=0, every=(0.0, 60.0, 60.0),
        report=lambda _: os.kill(os.getpid(), signal.SIGTERM),
    )  # fmt: skip
    assert run.progress.step <= 2
    assert train.read_state(tmp_path)[1].step == run.progress.step


def test__pretrain__error__is_raised_and_the_steps_before_it_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ends a run in the middle does not take its steps along."""
    update = TrainingRun.update

    def fail_at_third(run: TrainingRun, *args: object) -> torch.Tensor:
        if run.progress.step == 2:
            raise RuntimeError("a broken batch")
        return update(run, *args)

    monkeypatch.setattr(TrainingRun, "update", fail_at_third)
    with pytest.raises(RuntimeError, match="a broken batch"):
        go(tmp_path, 5)
    assert train.read_state(tmp_path)[1].step == 2


def test__pretrain__diverged__said_and_the_state_before_it_stays(tmp_path: Path) -> None:
    """Weights that are not finite are never written over a state that is good."""
    go(tmp_path, 2)
    before = (tmp_path / INDEX).read_bytes()
    run = TrainingRun(tmp_path, device="cpu")
    with torch.no_grad():
        next(run.backbone.parameters()).fill_(float("nan"))
    with pytest.raises(train.DivergedError, match="restart with a lower one"):
        run.save()
    assert (tmp_path / INDEX).read_bytes() == before
    with pytest.raises(train.DivergedError):
        go(tmp_path / "wild", 5, config=replace(TINY, lr=1e30, warm_up=1))
    assert not (tmp_path / "wild" / INDEX).exists()


def test__pretrain__another_process_in_the_folder__is_refused(tmp_path: Path) -> None:
    """Two trainers would delete each other's shards."""
    run = TrainingRun(tmp_path, TINY, device="cpu")
    with (
        train.locked(run.directory),
        pytest.raises(train.StateError, match="another process is training"),
    ):
        go(tmp_path, 1)
    go(tmp_path, 1)


def test__run__log_without_a_line__goes_on(tmp_path: Path) -> None:
    """A kill between opening and writing leaves an empty file."""
    go(tmp_path, 1)
    (tmp_path / LOG).write_text("")
    assert go(tmp_path, 2).progress.step == 2
    assert len((tmp_path / LOG).read_text().splitlines()) == 2


def test__pretrain__decay__learning_rate_falls_to_zero(tmp_path: Path) -> None:
    """With everything decay, the rate falls in a line over the steps of the call."""
    config = replace(TINY, warm_up=1)
    pretrain(
        5.0, tmp_path, config=config, device="cpu", workers=0, decay=1.0, max_steps=4,
        every=(0.0, 60.0, 60.0), report=quiet,
    )  # fmt: skip
    with (tmp_path / LOG).open() as file:
        rates = [float(row["lr"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(rates, np.array([1.0, 0.75, 0.5, 0.25]) * TINY.lr)


def test__run__resume_refused__error_names_the_state(tmp_path: Path) -> None:
    """A new run does not overwrite an old one."""
    go(tmp_path, 1)
    with pytest.raises(FileExistsError, match=re.escape(str(tmp_path))):
        TrainingRun(tmp_path, TINY, resume=False)


@pytest.mark.usefixtures("float32")
def test__run__corpus_changed__goes_on_at_the_next_pool_and_keeps_what_was(tmp_path: Path) -> None:
    """The record says how many examples came from which corpus and filter."""
    first = go(tmp_path, 4)
    assert (first.progress.pool, first.progress.batch) == (1, 1)
    same = TrainingRun(tmp_path, device="cpu", corpus={"tables": 1})
    assert (same.progress.pool, same.progress.batch, same.progress.earlier) == (1, 1, [])
    run = pretrain(
        5.0, tmp_path, device="cpu", workers=0, decay=0.0, max_steps=5, report=quiet,
        corpus={"tables": 2, "batch_points": 192},
    )  # fmt: skip
    assert run.config.corpus == replace(TINY.corpus, tables=2, batch_points=192)
    assert (run.progress.pool, run.progress.batch) == (2, 1)
    (before,) = run.progress.earlier
    assert before["examples"] == first.progress.examples
    assert before["counts"] == asdict(first.progress.counts)
    assert CorpusConfig(**before["corpus"]) == TINY.corpus
    again = TrainingRun(tmp_path, device="cpu")
    assert (again.config, again.progress.earlier) == (run.config, [before])


@pytest.mark.usefixtures("float32")
def test__run__other_filter__is_noted(tmp_path: Path) -> None:
    """Runs from before the record began with the first filter."""
    first = go(tmp_path, 2)
    header, tensors = load_state(tmp_path)
    header["progress"]["filter"] = "another"
    save_state(tmp_path, tensors, header, step=2)
    run = TrainingRun(tmp_path, device="cpu")
    assert [e["filter"] for e in run.progress.earlier] == ["another"]
    assert run.progress.filter == first.progress.filter


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # in torch's own compiler
def test__trainee__autocast_or_compiled__loss_near_float32(tmp_path: Path) -> None:
    """Other ways to compute a step compute the same step; a compiled network can be averaged."""
    run = TrainingRun(tmp_path, TINY, device="cpu")
    rng = np.random.default_rng(0)
    points = torch.from_numpy(rng.normal(size=(4, 12, 88)).astype(np.float32))
    tokens = torch.tensor([[0, 4, 25, 26, 0], [0, 25, 0, 1, 1]] * 2)
    found = []
    for autocast in (False, True):
        state = optimise.TrainState(
            run.backbone, lr=1e-3, weight_decay=0.0, clip=1.0, bf16=autocast, autocast=autocast
        )
        assert state.work is run.backbone
        found.append(state.loss(points, tokens).item())
    assert found[1] == pytest.approx(found[0], rel=0.02)
    assert found[1] != found[0]
    state.compile()
    assert isinstance(state.averaged(), Backbone)


def test__trainee__bf16_copy__loss_near_float32(tmp_path: Path) -> None:
    """The half-precision work copy computes the same loss to its precision."""
    run = TrainingRun(tmp_path, TINY, device="cpu")
    rng = np.random.default_rng(0)
    points = torch.from_numpy(rng.normal(size=(4, 12, 88)).astype(np.float32))
    tokens = torch.tensor([[0, 4, 25, 26, 0], [0, 25, 0, 1, 1]] * 2)
    losses = []
    for bf16 in (False, True):
        state = optimise.TrainState(run.backbone, lr=1e-3, weight_decay=0.0, clip=1.0, bf16=bf16)
        losses.append(state.loss(points, tokens).detach().item())
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


@pytest.mark.usefixtures("float32")
def test__run__start_from_an_export__goes_on_from_its_weights_and_counters(tmp_path: Path) -> None:
    """Where only the checkpoint is left, examples seen and the corpus go on; Adam begins anew."""
    first = go(tmp_path / "first", 4)
    export = tmp_path / "first" / train.EXPORT
    run = TrainingRun(tmp_path / "second", device="cpu", start=export)
    assert run.progress.examples == first.progress.examples
    assert run.progress.began == run.progress.step == 4
    assert run.progress.pool == first.progress.pool + 1
    assert run.config == first.config
    for name, p in run.backbone.named_parameters():  # the file is in half precision
        torch.testing.assert_close(first.state.averages[name], p, rtol=1e-3, atol=1e-3)


def test__run__start_where_a_state_is__is_refused(tmp_path: Path) -> None:
    """A start never overwrites a run."""
    go(tmp_path, 2)
    with pytest.raises(FileExistsError, match="resume it"):
        TrainingRun(tmp_path, device="cpu", start=tmp_path / train.EXPORT)


TOGETHER = """
import sys
import time
from pathlib import Path
from equate_srbench.pretrain import train
from tests.pretrain.test_train import TINY, quiet
train.is_bf16_fast = lambda: False
train.pretrain(5.0, Path(sys.argv[1]), config=TINY, device="cpu", workers=0, decay=0.5,
               max_steps=5, report=quiet)
"""


@pytest.mark.slow
@pytest.mark.usefixtures("float32")
def test__pretrain__two_processes__equal_one_with_the_doubled_batch(tmp_path: Path) -> None:
    """Processes that talk through Gloo add up gradients, counters and clocks."""
    script = tmp_path / "together.py"
    script.write_text(TOGETHER)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone",
         str(script), str(tmp_path / "two")],
        capture_output=True, text=True, timeout=240, check=False, cwd=root,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    alone = pretrain(
        5.0, tmp_path / "one", config=TINY, device="cpu", workers=0, accumulate=2, decay=0.5,
        max_steps=5, report=quiet,
    )  # fmt: skip
    _, progress, state = train.read_state(tmp_path / "two")
    for name in ("step", "examples", "tokens", "pool", "batch", "counts"):
        assert getattr(progress, name) == getattr(alone.progress, name), name
    for name, p in alone.backbone.named_parameters():
        torch.testing.assert_close(state[f"weight/{name}"], p.detach(), rtol=1e-4, atol=1e-5)
        average = alone.state.averages[name]
        torch.testing.assert_close(state[f"ema/{name}"], average, rtol=1e-4, atol=1e-5)


UNTIL_DONE = """
import sys
import time
from pathlib import Path
from equate_srbench.pretrain import train
from tests.pretrain.test_train import TINY, quiet
train.is_bf16_fast = lambda: False
train.pretrain(5.0, Path(sys.argv[1]), config=TINY, device="cpu", workers=0, decay=0.0,
               max_steps=150, every=(0.0, 0.2, 60.0), report=quiet)
"""


def losses(directory: Path) -> dict[int, float]:
    """Loss of each step in a run's log."""
    with (directory / LOG).open() as file:
        rows = list(csv.DictReader(file))
    found = {int(row["step"]): float(row["loss"]) for row in rows}
    assert len(found) == len(rows), "a step is logged twice"
    return found


@pytest.mark.slow
def test__pretrain__killed_at_five_random_moments__same_curve_as_unbroken(tmp_path: Path) -> None:
    """Whatever a kill takes, the resumed run does it again, to the digit."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}

    def start(name: str) -> subprocess.Popen:
        command = [sys.executable, "-c", UNTIL_DONE, str(tmp_path / name)]
        return subprocess.Popen(command, cwd=root, env=environment)

    assert start("whole").wait(240) == 0
    moments = np.random.default_rng(0)
    for _ in range(5):
        process = start("killed")
        log = tmp_path / "killed" / LOG
        before = log.read_text() if log.exists() else ""
        while not log.exists() or log.read_text() == before:  # it trains
            time.sleep(0.05)
            assert process.poll() is None
        time.sleep(moments.uniform(0.0, 1.0))
        process.kill()
        process.wait()
    assert start("killed").wait(240) == 0
    whole, killed = losses(tmp_path / "whole"), losses(tmp_path / "killed")
    assert set(killed) == set(whole) == set(range(1, 151))
    np.testing.assert_allclose([killed[i] for i in whole], list(whole.values()), rtol=1e-5)
