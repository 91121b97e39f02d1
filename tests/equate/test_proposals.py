"""Phases 3 and 4 and the whole neural part on small and on shipped weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from equate_srbench.backbone import checkpoint
from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.backbone.network import Backbone
from equate_srbench.equate import pretrained
from equate_srbench.equate.alignment import Alignment
from equate_srbench.equate.neural import NeuralResult, propose
from equate_srbench.equate.settings import preset
from equate_srbench.problem.archive import Archive
from equate_srbench.runtime.clock import Deadline


def search(backbone, archive, settings, seed=0, **options):
    """The neural part on an archive."""
    return propose(
        backbone,
        archive,
        settings,
        rng=np.random.default_rng(seed),
        deadline=archive.deadline,
        **options,
    )


def comparable(result):
    """Rows without what differs between runs by nature."""
    return [replace(row, seconds=0.0) for row in result.rows]


def test__propose__random_network__rows_tell_the_whole_search(backbone, archive, quick):
    """Starts, steps, rungs and samples are all there, with true scores."""
    result = search(backbone, archive, quick)
    ascent = [row for row in result.rows if row.source == "ascent"]
    assert {row.start for row in ascent} == set(range(quick.starts))
    assert {row.step for row in ascent} == set(range(quick.steps + 1))
    assert {row.rung for row in ascent if row.step} == set(quick.ladder)
    per_step = len(quick.ladder) + quick.best_samples
    assert sum(row.step == 1 for row in ascent) == quick.starts * per_step
    assert result.diagnostics.n_proposals == len(ascent)
    assert {row.source for row in result.rows} == {"backbone", "ascent"}


def test__propose__accepted_rows__beat_everything_before_on_their_line(backbone, archive, quick):
    """Acceptance is a matter of the true score alone."""
    result = search(backbone, archive, quick)
    best: dict[int, float] = {}
    for row in result.rows:
        if row.source == "ascent" and row.start in best and row.accepted:
            assert row.score > best[row.start]
        if row.accepted:
            best[row.start] = row.score


def test__propose__more_rounds__start_from_what_was_found(backbone, archive, quick):
    """Later rounds have new starts, numbered on."""
    result = search(backbone, archive, replace(quick, rounds=2))
    starts = {row.start for row in result.rows if row.source == "ascent"}
    assert len(starts) > quick.starts


def test__propose__same_seed__same_rows(backbone, table, quick):
    """Everything random follows from one generator; torch's own is untouched."""
    state = torch.get_rng_state()
    runs = [
        search(backbone, Archive(*table, None, deadline=Deadline()), quick, seed=5)
        for _ in range(2)
    ]
    assert comparable(runs[0]) == comparable(runs[1])
    assert torch.equal(state, torch.get_rng_state())


def test__propose__good_fit_found__stops_before_the_next_phase(backbone, archive, quick):
    """The stop rule looks at the fit rows' R2."""
    result = search(backbone, archive, replace(quick, stop_r2=-1.0))
    assert result.aligned is None
    assert all(row.source == "backbone" for row in result.rows)


def test__propose__time_is_up__ends_at_once(backbone, table, quick):
    """No time: encode, nothing more, and the archive keeps its constant."""
    archive = Archive(*table, None, deadline=Deadline(0.0))
    assert search(backbone, archive, quick).rows == []
    assert archive.best.source == "constant"


def test__propose__callback_stops_the_fit__every_phase_ends(backbone, table, quick):
    """``stop`` of the fit's deadline reaches the phases' own deadlines."""
    for phase in ("propose", "align", "ascend"):
        archive = Archive(*table, None, deadline=Deadline())

        def tick(now, archive=archive, phase=phase):
            if now == phase:
                archive.deadline.stop()

        many = replace(quick, epochs=10**6, steps=10**6, patience=10**6)
        if phase == "ascend":
            many = replace(many, epochs=1)
        result = search(backbone, archive, many, tick=tick)
        assert archive.deadline.over
        assert result.rows


def test__propose__interrupted__rows_so_far_are_kept(backbone, archive, quick):
    """An exception passes through and leaves what was found."""

    def tick(phase):
        if phase == "ascend":
            raise KeyboardInterrupt

    result = NeuralResult()
    with pytest.raises(KeyboardInterrupt):
        search(backbone, archive, quick, tick=tick, result=result)
    assert any(row.source == "ascent" for row in result.rows)


def test__pretrained__round_trip__and_another_backbone(backbone, tmp_path):
    """Modules come back in half precision's accuracy, and only for their own backbone."""
    network, path = tmp_path / "network.safetensors", tmp_path / "alignment.safetensors"
    sha256 = checkpoint.save(network, backbone, {})
    modules = Alignment(backbone.config)
    pretrained.save(path, modules, sha256, {"minutes": 1})
    found = pretrained.load(network, path)
    assert found is not None
    assert pretrained.describe(path)["card"] == {"minutes": 1}
    for old, new in zip(modules.parameters(), found.parameters(), strict=True):
        torch.testing.assert_close(old, new, atol=1e-3, rtol=1e-3)
    pretrained.save(path, modules, "0" * 64, {})
    assert pretrained.load(network, path) is None
    assert pretrained.load(network, tmp_path / "none.safetensors") is None


def test__pretrained__damaged_file__clear_error(backbone, tmp_path):
    """A broken file is named."""
    network, path = tmp_path / "network.safetensors", tmp_path / "alignment.safetensors"
    checkpoint.save(network, backbone, {})
    path.write_bytes(b"\x10" * 100)
    with pytest.raises(checkpoint.CheckpointError, match="alignment"):
        pretrained.load(network, path)


@pytest.fixture(scope="module")
def shipped():
    """The backbone in the package."""
    return checkpoint.load("compact")


def test__propose__shipped_weights__the_search_changes_formulas(shipped):
    """Flip rate above zero: the ascent decodes skeletons that nobody proposed before."""
    X = np.random.default_rng(0).uniform(1.0, 5.0, (120, 4))
    y = np.log(X[:, 0] + X[:, 1] * X[:, 2]) * np.cos(X[:, 3])
    settings = replace(
        preset("fast"), seconds=np.inf, stop_r2=1.1, starts=4, steps=4, max_points=48
    )
    archive = Archive(X, y, None, deadline=Deadline(60.0))
    result = search(shipped, archive, settings, initial=pretrained.load("compact"))
    assert result.diagnostics.flip_rate > 0.0
    assert result.diagnostics.validity_rate > 0.5


def test__pretrained__shipped_modules__belong_to_the_shipped_backbone(shipped):
    """Both files were exported together."""
    assert pretrained.load("compact") is not None


def test__propose__backbone_of_tokens__works_the_same(table, quick):
    """E2E's own kind of network (float tokens in, three tokens per constant out) is adapted too."""
    state = torch.get_rng_state()
    torch.manual_seed(0)
    sizes = {"dim": 16, "encoder_dim": 16, "heads": 2, "encoder_heads": 2, "token_dim": 4}
    config = BackboneConfig.e2e(**sizes, decoder_layers=1, encoder_layers=1)
    network = Backbone(config).eval().requires_grad_(False)
    torch.set_rng_state(state)
    archive = Archive(*table, None, deadline=Deadline(60.0))
    result = search(network, archive, replace(quick, max_length=30, epochs=1, steps=1))
    assert result.n_quadruples > 0
    assert {row.source for row in result.rows} == {"backbone", "ascent"}
