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

from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.operators import UNARY
from equate_srbench.expr.tree import Tree

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


# -- random formulas and a table for them ----------------------------------------

_BINARY = ("add", "sub", "mul", "div", "pow")
_SHARES = (0.3, 0.2, 0.28, 0.18, 0.04)
_EXPONENTS = (1.5, -2.0, 4.0, 0.25, 2.3, -0.5)


def _constant(rng: np.random.Generator) -> Tree:
    if rng.random() < 0.3:
        return Tree.constant(float(rng.integers(-5, 10)))
    return Tree.constant(float(rng.normal() * 10.0 ** rng.integers(-2, 3)))


def _grow(rng: np.random.Generator, depth: int, n_columns: int) -> Tree:
    r = rng.random()
    if depth <= 1 or r < 0.15:
        leaf = rng.random() < 0.3
        return _constant(rng) if leaf else Tree.variable(int(rng.integers(n_columns)))
    if rng.random() < 0.38:
        name = UNARY[rng.integers(len(UNARY))].name
        return Tree.apply(name, _grow(rng, depth - 1, n_columns))
    name = str(rng.choice(_BINARY, p=_SHARES))
    left = _grow(rng, depth - 1, n_columns)
    if name == "pow" and rng.random() < 0.7:
        return Tree.apply(name, left, Tree.constant(float(rng.choice(_EXPONENTS))))
    return Tree.apply(name, left, _grow(rng, depth - 1, n_columns))


@pytest.fixture(scope="session")
def random_tree() -> Callable[..., Tree]:
    """``random_tree(rng, depth=5, n_columns=3)``: any operators, whole and other constants."""

    def draw(rng: np.random.Generator, depth: int = 5, n_columns: int = 3) -> Tree:
        return _grow(rng, depth, n_columns)

    return draw


@pytest.fixture(scope="session")
def table() -> np.ndarray:
    """Rows of both signs without exact zeros, where divisions by zero hide nothing."""
    rng = np.random.default_rng(1)
    return np.concatenate([rng.uniform(-3.0, 3.0, (40, 3)), rng.uniform(0.1, 4.0, (40, 3))])


@pytest.fixture(scope="session")
def rounding() -> Callable[[Tree, np.ndarray], np.ndarray]:
    """How far rounding of the inputs alone moves the values of a tree, row by row."""

    def spread(tree: Tree, X: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(0)
        wanted = evaluate(tree, X)
        moved = [evaluate(tree, X * (1.0 + 1e-15 * rng.normal(size=X.shape))) for _ in range(8)]
        with np.errstate(all="ignore"):
            return np.max(np.abs(np.array(moved) - wanted), axis=0)

    return spread


@pytest.fixture(scope="session")
def sound_rows() -> Callable[[Tree, np.ndarray], np.ndarray]:
    """Rows where a tree and all its parts are finite and of ordinary size."""

    def rows(tree: Tree, X: np.ndarray) -> np.ndarray:
        parts = np.array([evaluate(tree.subtree(i), X) for i in range(tree.size)])
        return np.all(np.isfinite(parts) & (np.abs(parts) < 1e4), axis=0)

    return rows
