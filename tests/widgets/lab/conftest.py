"""A real JupyterLab with the extension, and Debian's Chromium to use it."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api", reason="needs playwright")
pytest.importorskip("jupyterlab", reason="needs JupyterLab")

ROOT = Path(__file__).resolve().parents[3]
PREBUILT = ROOT / "widgets" / "labextension" / "prebuilt"
SECONDS = 240.0  # most seconds to wait for anything: a busy machine is not a bug
_DEAD = re.compile(r"^(?!https?://127\.0\.0\.1[:/]|data:|blob:)")


@dataclass(frozen=True)
class Lab:
    """A server and the folder that it shows."""

    url: str
    token: str
    folder: Path

    def get(self, path: str) -> Any:
        """What the server's API says."""
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{self.url}/api/{path}", headers={"Authorization": f"token {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)

    def notebook(self, name: str, *cells: str, outputs: dict[int, list[Any]] | None = None) -> None:
        """Write a notebook with code cells, some with outputs."""
        made = [
            {
                "id": f"cell{i}", "cell_type": "code", "execution_count": None, "metadata": {},
                "source": source, "outputs": (outputs or {}).get(i, []),
            }
            for i, source in enumerate(cells)
        ]  # fmt: skip
        spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        book = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": spec}, "cells": made}
        (self.folder / name).write_text(json.dumps(book), encoding="utf-8")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab with folders of its own; its kernels end with it."""
    home = tmp_path_factory.mktemp("jupyter")
    folder = tmp_path_factory.mktemp("work")
    shutil.copytree(PREBUILT, home / "data" / "labextensions" / "equate-srbench")
    names = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
    env = {**os.environ, **{f"JUPYTER_{n}": str(home / n.split("_")[0].lower()) for n in names}}
    for name in ("SETTINGS", "WORKSPACES"):
        env[f"JUPYTERLAB_{name}_DIR"] = str(home / name.lower())
    env |= {"IPYTHONDIR": str(home / "ipython"), "PYTHONPATH": _path(), "OMP_NUM_THREADS": "1"}
    env["JUPYTER_PREFER_ENV_PATH"] = "0"  # this build before an installed one
    news = home / "settings" / "@jupyterlab" / "apputils-extension"
    news.mkdir(parents=True)
    (news / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    token = secrets.token_hex(16)
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
        "--ServerApp.port=0", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}",
        "--LabApp.news_url=None", "--ServerApp.shutdown_no_activity_timeout=1800",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    log = home / "log.txt"
    with open(log, "wb") as out:
        server = subprocess.Popen(
            command, env=env, stdout=out, stderr=out, cwd=home, start_new_session=True
        )
    try:
        yield Lab(_address(server, home / "runtime", log), token, folder)
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _path() -> str:
    """The package and the widgets of this checkout before those installed."""
    before = os.environ.get("PYTHONPATH")
    return os.pathsep.join(filter(None, [str(ROOT), str(ROOT / "widgets"), before]))


def _address(server: subprocess.Popen[bytes], runtime: Path, log: Path) -> str:
    """The address that a server writes down once it listens."""
    end = time.monotonic() + SECONDS
    note = runtime / f"jpserver-{server.pid}.json"
    while not note.is_file() or not note.read_text():
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)
    return f"http://127.0.0.1:{json.loads(note.read_text())['port']}"


@pytest.fixture
def outside(chromium: Any) -> list[str]:
    """Addresses outside this machine that the page has asked for; there should be none."""
    return []


@pytest.fixture
def page(chromium: Any, outside: list[str]) -> Iterator[Any]:
    """A page of its own that reaches this machine only, and fails the test if it tried more."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(1000 * SECONDS)

    def refuse(route: Any) -> None:
        outside.append(route.request.url)
        route.abort()

    context.route(_DEAD, refuse)
    page = context.new_page()
    yield page
    context.close()
    assert not outside


@pytest.fixture
def open_lab(lab: Lab, page: Any) -> Callable[[str], None]:
    """``open_lab(path)``: show a file of the folder, or the Launcher for ``""``."""

    def show(path: str) -> None:
        tree = f"/tree/{path}" if path else ""
        page.goto(f"{lab.url}/lab{tree}?token={lab.token}&reset")
        page.wait_for_function("window.jupyterapp?.shell?.currentWidget")

    return show


@pytest.fixture
def run_all(page: Any) -> Callable[[], None]:
    """Run all cells of the notebook that is shown."""

    def run() -> None:
        page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
        page.evaluate(
            "async () => { const panel = window.jupyterapp.shell.currentWidget;"
            " await panel.sessionContext.ready;"
            " await window.jupyterapp.commands.execute('notebook:run-all-cells'); }"
        )

    return run


@pytest.fixture
def shot(page: Any, tmp_path: Path) -> Callable[[str], None]:
    """``shot(name)``: a picture of the page, in the folder ``EQUATE_SCREENSHOTS`` if it is set."""
    folder = Path(os.environ.get("EQUATE_SCREENSHOTS", tmp_path))

    def take(name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=folder / f"{name}.png")

    return take
