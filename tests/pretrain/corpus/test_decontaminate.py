"""Benchmark formulas stay out of the corpus, however they are written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from equate_srbench.expr.algebra import normal
from equate_srbench.expr.text.parser import parse
from equate_srbench.pretrain.corpus import decontaminate
from equate_srbench.pretrain.corpus.decontaminate import Filter

NAMES = ["u", "v", "w", "x", "y", "z"]
DATA = Path(__file__).parents[4] / "shared" / "data"


def read(text: str) -> normal.Expression:
    """The normal form of a formula text."""
    return normal.from_tree(parse(text, NAMES))


@pytest.fixture
def banned() -> Filter:
    """A filter of one made-up formula and a small one."""
    return Filter.of([read("u*exp(-v*w)/(x**2 + 3)"), read("u*v/w")])


@pytest.mark.parametrize(
    "text",
    ["u*exp(-v*w)/(x**2 + 3)", "2.5*exp(-0.3*z*x)*y/(7 + u*u) + 11", "x/(exp(u*w)*(y**2 + 1))"],
)
def test__matches__renamed_reordered_other_constants__caught(banned: Filter, text: str) -> None:
    """Renaming, reordering and other constants do not hide a formula."""
    assert banned.matches(read(text))


@pytest.mark.parametrize("text", ["u*exp(-v*w)/(x**3 + 3)", "u*exp(-u*w)/(x**2 + 3)", "u*v/w"])
def test__matches__other_or_small_skeleton__kept(banned: Filter, text: str) -> None:
    """Other formulas, and those of at most five nodes, stay."""
    assert not banned.matches(read(text))


def test__main__table_of_formulas__fingerprints_without_text(tmp_path: Path) -> None:
    """The file made from a table holds hashes only."""
    table, out = tmp_path / "t.csv", tmp_path / "forbidden.json"
    table.write_text('name,formula,variables\nf,p*sin(q*r)/(p + q),"[""p"", ""q"", ""r""]"\n')
    decontaminate.main(["--from", str(table), "--to", str(out)])
    record = json.loads(out.read_text())
    assert record["from"] == {"t.csv": 1}
    assert "sin" not in out.read_text()
    assert Filter(frozenset(record["keys"])).matches(read("w*sin(u*v)/(w + u)*3"))


def test__missed__earlier_filter__expected_examples_of_what_it_lacked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A common formula is found by its name, a rare one gets an upper limit, an old one neither."""
    table, rare, before = (tmp_path / name for name in ("t.csv", "rare.csv", "before.json"))
    table.write_text("name,formula\ncommon,p*q/(r*s**2)\nknown,p*q*(r + s)\n")
    rare.write_text("name,formula\nrare,sin(p*cos(q*tan(r*s + 3)))/(s - log(p))\n")
    known, common = (Filter.of([e]) for e in reversed(decontaminate.read_table(table)))
    before.write_text(json.dumps({"keys": list(known.keys)}))
    decontaminate.main(["--from", str(table), str(rare), "--missed", str(before),
                        "--formulas", "6000", "--examples", "12000"])  # fmt: skip
    head, line = capsys.readouterr().out.splitlines()
    assert head.startswith("2 new fingerprints, 1 of them among 6,000 formulas")
    assert head.endswith("at most 6 (95 %).")
    assert line.endswith("common")
    found = decontaminate.estimate_missed(common.keys, 6000, 12000)
    assert float(line.split()[0]) == sum(found.values()) > 0
    half = decontaminate.estimate_missed(common.keys, 6000, 6000)
    assert {key: 2.0 * n for key, n in half.items()} == found


def test__version__fingerprints__order_does_not_matter() -> None:
    """A run's record names its filter by content."""
    assert Filter(frozenset({"a", "b"})).version == Filter(frozenset({"b", "a"})).version
    assert Filter(frozenset({"a"})).version != Filter(frozenset({"b"})).version


@pytest.mark.parametrize(
    "table",
    ["feynman.csv", "strogatz.csv", "firstprinciples.csv", "suites/srsd.csv", "suites/fastsrb.csv",
     "suites/classic.csv"],
)  # fmt: skip
def test__shipped__benchmark_formulas__all_caught(table: str) -> None:
    """The shipped fingerprints cover every larger formula of the benchmark tables."""
    if not (DATA / table).exists():
        pytest.skip("the benchmark tables are not here")
    shipped = Filter.shipped()
    for expression in decontaminate.read_table(DATA / table):
        stripped = normal.strip(expression)
        small = normal.to_tree(stripped).size <= decontaminate.MAX_COMMON_NODES
        assert small or shipped.matches(expression)
