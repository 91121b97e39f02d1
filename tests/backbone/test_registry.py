"""Named backbones: fetched from a folder or a server, checked, and never half there."""

from __future__ import annotations

import functools
import gc
import json
import threading
import warnings
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from equate_srbench.backbone import checkpoint, registry
from equate_srbench.backbone.config import BackboneConfig
from equate_srbench.backbone.network import Backbone
from equate_srbench.backbone.registry import Model, ModelError


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the file of a backbone named "small"; the cache is an empty folder."""
    folder = tmp_path / "my models"
    folder.mkdir()
    shape = BackboneConfig(
        dim=32, encoder_dim=32, heads=2, encoder_heads=2, decoder_layers=1, encoder_layers=1
    )
    file = folder / "small 1.safetensors"
    checkpoint.save(file, Backbone(shape), {})
    models = {
        "small": Model("small", "for tests", file.name, 1, file.stat().st_size,
                       registry.digest(file)),
        "planned": Model("planned", "for tests", "planned.safetensors", 2),
        "compact": registry.known()["compact"],
    }  # fmt: skip
    monkeypatch.setattr(registry, "known", lambda: models)
    monkeypatch.setenv(registry.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(registry.URL_VARIABLE, raising=False)
    return folder


class Quiet(SimpleHTTPRequestHandler):
    """A file server that logs nothing."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(source: Path) -> Iterator[str]:
    """The address of a server of the folder."""
    handler = functools.partial(Quiet, directory=str(source))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()
    with warnings.catch_warnings():  # pooch leaves a refused connection to the garbage collector
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(params=["folder", "file address", "server"])
def base(request: pytest.FixtureRequest, source: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, with ``EQUATE_MODELS_URL`` naming it in one of three ways."""
    if request.param == "server":
        value = request.getfixturevalue("server") + "/"
    else:
        value = str(source) if request.param == "folder" else source.as_uri()
    monkeypatch.setenv(registry.URL_VARIABLE, value)
    return source


def kept() -> list[str]:
    """Names of the files in the cache."""
    return sorted(p.name for p in registry.folder().iterdir()) if registry.folder().exists() else []


def test__fetch__folder_or_server__file_that_loads_by_name(base: Path) -> None:
    """Fetched once, found by its name afterwards, also without its source."""
    with pytest.raises(ModelError, match="fetch it with `equate models fetch small`"):
        checkpoint.load("small")
    path = registry.fetch("small")
    assert kept() == ["small 1.safetensors"]
    assert registry.verify("small") == registry.find("small") == path
    assert checkpoint.load("small").config.dim == 32
    (base / "small 1.safetensors").unlink()
    assert registry.fetch("small") == path


@pytest.mark.parametrize("harm", ["flipped byte", "truncated", "another file", "missing"])
def test__fetch__not_the_right_file__refused_and_nothing_kept(base: Path, harm: str) -> None:
    """A wrong file is never in the cache, not for a moment under its own name."""
    file = base / "small 1.safetensors"
    data = bytearray(file.read_bytes())
    if harm == "flipped byte":
        data[len(data) // 2] ^= 1
    elif harm == "truncated":
        del data[-1000:]
    elif harm == "another file":
        data = bytearray(b"<html>not found</html>")
    file.unlink()
    if harm != "missing":
        file.write_bytes(data)
    with pytest.raises(ModelError) as error:
        registry.fetch("small")
    said = ("set EQUATE_MODELS_URL", "is missing there") if harm == "missing" else ("nothing was",)
    assert any(words in str(error.value) for words in said)
    assert kept() == []


def test__fetch__damaged_in_the_cache__fetched_again(base: Path) -> None:
    """A flipped byte is found by ``verify`` and by loading, and mended by ``fetch``."""
    path = registry.fetch("small")
    whole = path.read_bytes()
    for damaged, said in (
        (whole[:-9], f"has {len(whole) - 9:,} bytes instead of"),
        (whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:], "damaged .SHA-256 differs"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match=said):
            registry.verify("small")
        with pytest.raises(checkpoint.CheckpointError):
            checkpoint.load("small")
        assert registry.fetch("small").read_bytes() == whole


def test__fetch__offline_or_no_address__says_what_to_set(
    source: Path, server: str, monkeypatch
) -> None:
    """Nobody answers: the message names the variable and the file."""
    with pytest.raises(ModelError, match="no URL is known for small: set EQUATE_MODELS_URL"):
        registry.fetch("small")
    monkeypatch.setenv(registry.URL_VARIABLE, "http://127.0.0.1:9/nobody")
    with pytest.raises(ModelError, match=r"cannot be fetched .* set EQUATE_MODELS_URL"):
        registry.fetch("small")
    monkeypatch.setenv(registry.URL_VARIABLE, "ftp://somewhere/models")
    with pytest.raises(ModelError, match="cannot fetch from 'ftp://somewhere/models'"):
        registry.fetch("small")
    assert kept() == []


@pytest.mark.usefixtures("source")
def test__fetch__not_built_unknown_or_shipped__said_or_found() -> None:
    """There is no file to invent an address for; what comes with the package is there."""
    with pytest.raises(ModelError, match="planned has not been built yet"):
        registry.fetch("planned")
    with pytest.raises(ModelError, match="planned has not been built yet"):
        checkpoint.load("planned")
    with pytest.raises(ModelError, match="unknown backbone 'huge': use one of small, planned"):
        registry.fetch("huge")
    assert registry.fetch("compact") == checkpoint.SHIPPED["compact"]
    assert kept() == []


def test__index__shipped_files__are_what_it_says() -> None:
    """New weights need a new record: ``registry.record``."""
    for name in checkpoint.SHIPPED:
        path = registry.verify(name)
        n = sum(p.numel() for p in checkpoint.load(name).parameters())
        assert registry.known()[name].parameters == n
        assert path == checkpoint.SHIPPED[name]
    assert not registry.known()["base"].is_built


def test__record__new_file__size_and_hash_in_the_list(source: Path, tmp_path: Path) -> None:
    """Other entries, and what is said about this one, stay."""
    index = tmp_path / "models.json"
    before = json.loads(registry.INDEX.read_text())
    index.write_text(json.dumps(before))
    file = source / "small 1.safetensors"
    registry.record("base", file, 7, index)
    after = json.loads(index.read_text())
    assert after["compact"] == before["compact"]
    assert after["base"]["about"] == before["base"]["about"]
    assert after["base"]["sha256"] == registry.digest(file)
    assert (after["base"]["bytes"], after["base"]["parameters"]) == (file.stat().st_size, 7)


def test__folder__no_variable__in_the_users_cache(monkeypatch) -> None:
    """Without a choice the cache of the platform is taken."""
    monkeypatch.delenv(registry.CACHE_VARIABLE, raising=False)
    assert registry.folder().name == "models"
    assert "equate-srbench" in registry.folder().parts
