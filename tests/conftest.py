"""What all tests share."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: the tests share the processors

import numpy as np
import pytest
from hypothesis import settings

# no deadline: a busy machine is not a bug
settings.register_profile("equate", deadline=None, print_blob=True)
settings.load_profile("equate")


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(20250822)


@pytest.fixture(scope="session", autouse=True)
def _compiled_kernels() -> None:
    """Compile before any test has a time limit: a fresh installation has no kernels yet."""
    from equate_srbench.refine import warm_up

    warm_up()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Debian's Chromium, or a skipped test."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium: apt-get install chromium, or set CHROMIUM to its path")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--no-first-run"]  # fmt: skip
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=flags)
        yield browser
        browser.close()


class Addresses(HTMLParser):
    """Collects whatever a page would load or run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note addresses and handlers."""
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "data", "poster", "action") or name.startswith("on"):
                self.loaded.append(f"{tag} {name}={(value or '')[:60]}")
            elif name.endswith("href") and not (value or "").startswith("#"):
                self.loaded.append(f"{tag} {name}={value}")


@pytest.fixture
def assert_self_contained() -> Callable[[str], None]:
    """Fails on a page with scripts, or with addresses but of images in the page itself."""
    return _assert_self_contained


def _assert_self_contained(page: str) -> None:
    found = Addresses(page)
    inside = ("img src=data:image/", "image xlink:href=data:image/")
    assert not [a for a in found.loaded if not a.startswith(inside)]
    assert not found.tags & {"script", "iframe", "link", "object", "embed", "base"}
    outside = set(re.findall(r"url\(\s*['\"]?(?!#)[^)]*\)|@import[^;]*", page))
    assert not outside
    assert "Content-Security-Policy" in page
