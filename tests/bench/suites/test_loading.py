"""Suites: names, rows, files, and what is said when they cannot be had."""

from __future__ import annotations

import gzip
import importlib.util
import socket
from pathlib import Path

import numpy as np
import pandas as pd
import pooch
import pytest

from equate_srbench.bench.suites import loading, pmlb_cache
from equate_srbench.bench.suites.loading import SUITES, SuiteError, load_suite
from equate_srbench.data.reading import TableError
from equate_srbench.expr.evaluate import evaluate
from equate_srbench.expr.text.parser import parse

SHARED = Path(__file__).parents[4] / "shared" / "data"


@pytest.fixture(scope="module")
def shared():
    """The loader beside the shared datasets."""
    if not (SHARED / "load.py").exists():
        pytest.skip("no ../shared/data beside the checkout")
    spec = importlib.util.spec_from_file_location("shared_load", SHARED / "load.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def shared_suites():
    """The loader beside the shared tables of further suites."""
    if not (SHARED / "suites" / "load.py").exists():
        pytest.skip("no ../shared/data/suites beside the checkout")
    spec = importlib.util.spec_from_file_location("suites_load", SHARED / "suites" / "load.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache folder, and no network."""

    def no_network(*args, **kwargs):
        raise OSError("the network is off in this test")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setenv(pmlb_cache.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def r2(y, p) -> float:
    """One minus residual over total squares."""
    return 1.0 - float(np.sum((y - p) ** 2) / np.sum((y - y.mean()) ** 2))


@pytest.mark.parametrize(
    ("name", "size", "in_track"),
    [
        ("feynman", 119, 116),
        ("strogatz", 14, 14),
        ("groundtruth", 130, 130),
        ("blackbox", 122, 122),
        ("firstprinciples", 13, 12),
        ("srbench2025", 12, 12),
        ("srsd", 120, 0),
        ("srsd-easy", 30, 0),
        ("srsd-medium", 40, 0),
        ("srsd-hard", 50, 0),
        ("srsd_dummy", 120, 0),
        ("fastsrb", 120, 0),
        ("classic", 116, 0),
        ("quick", 12, 11),
    ],
)
def test__load_suite__each_name__has_its_sets(name, size, in_track):
    """Counts are those of their authors; names are unique."""
    suite = load_suite(name)
    assert name in SUITES
    assert len(set(suite.datasets)) == len(suite.datasets) == size
    assert len(suite.srbench) == in_track


def test__load_suite__feynman__the_track_leaves_out_three():
    """The three sets that need an arcus function are not in SRBench's track."""
    suite = load_suite("feynman")
    out = {"feynman_I_26_2", "feynman_I_30_5", "feynman_test_10"}
    assert set(suite.datasets) - suite.srbench == out


@pytest.mark.parametrize("name", ["feynman", "strogatz", "quick", "srsd", "srsd_dummy", "classic"])
def test__load__every_generated_set__finite_and_as_its_formula(name):
    """Rows are finite for several seeds, and the truth as text gives the target exactly."""
    suite = load_suite(name)
    for dataset in suite.datasets:
        for seed in (0, 23654):
            data = suite.load(dataset, max_rows=300, seed=seed)
            assert np.isfinite(data.X.to_numpy()).all()
            assert np.isfinite(data.y).all()
            if data.truth is not None:
                tree = parse(data.truth, list(data.X.columns))
                assert np.array_equal(evaluate(tree, data.X.to_numpy()), data.y), dataset


def test__load__feynman__seeded_and_independent():
    """The same seed gives the same rows; another seed or another set gives others."""
    suite = load_suite("feynman")
    first, again = (suite.load("feynman_I_12_2", max_rows=50, seed=1) for _ in range(2))
    pd.testing.assert_frame_equal(first.X, again.X)
    assert not suite.load("feynman_I_12_2", max_rows=50, seed=2).X.equals(first.X)
    assert not np.isin(suite.load("feynman_I_12_4", max_rows=50, seed=1).X, first.X).any()


def test__load__names_that_sympy_owns__are_columns():
    """I, gamma, beta and the like are variables of their sets."""
    suite = load_suite("feynman")
    owned = {"I", "E", "N", "S", "gamma", "beta", "LC"}
    found = set()
    for dataset in suite.datasets:
        found |= owned & set(suite.load(dataset, max_rows=5).X.columns)
    assert {"I", "gamma", "beta"} <= found


def test__feynman__against_shared__same_facts_and_r2_of_one(shared):
    """Names, order, ranges and formulas agree with the shared table; its rows are ours."""
    suite = load_suite("feynman")
    assert set(suite.datasets) == set(shared.names("feynman"))
    for dataset in suite.datasets:
        theirs = {v["name"]: [v["low"], v["high"]] for v in shared.variables(dataset)}
        facts = loading.feynman()[dataset]
        assert list(theirs.items()) == list(facts["variables"].items()), dataset
        X, y = shared.load(dataset, n=200, seed=3)
        ours = suite.load(dataset, max_rows=200, seed=3)
        pd.testing.assert_frame_equal(ours.X, X)
        tree = parse(ours.truth, list(X.columns))
        assert r2(y, evaluate(tree, X.to_numpy())) == pytest.approx(1.0, abs=1e-12), dataset


def test__strogatz__against_shared__the_published_rows(shared):
    """The simulation gives the published rows: 400, same ranges, formula R2 = 1."""
    suite = load_suite("strogatz")
    assert set(suite.datasets) == set(shared.names("strogatz"))
    for dataset in suite.datasets:
        table = pd.read_csv(SHARED / "strogatz" / f"{dataset}.tsv.gz", sep="\t")
        X, y = table[["x", "y"]], table["target"].to_numpy()
        ours = suite.load(dataset)
        assert ours.X.shape == (400, 2)
        np.testing.assert_allclose(ours.X, X, rtol=1e-7, atol=1e-7, err_msg=dataset)
        tree = parse(ours.truth, list(X.columns))
        assert r2(y, evaluate(tree, X.to_numpy())) == pytest.approx(1.0, abs=1e-9)


def test__load__more_rows_than_asked__seeded_sample_in_order():
    """A set with rows of its own is cut to a sample without repetition."""
    suite = load_suite("strogatz")
    whole = suite.load("strogatz_lv1", max_rows=None)
    some = suite.load("strogatz_lv1", max_rows=100, seed=5)
    assert len(whole.y) == 400
    assert len(some.y) == 100
    merged = some.X.merge(whole.X.reset_index(), on=["x", "y"])
    assert merged["index"].is_monotonic_increasing


def test__load_suite__misspelt__suggestion():
    """A near name is suggested, for suites and for datasets."""
    with pytest.raises(SuiteError, match="did you mean 'feynman'"):
        load_suite("feynmann")
    with pytest.raises(SuiteError, match="did you mean 'strogatz_glider1'"):
        load_suite("strogatz").load("strogatz_glidr1")


@pytest.mark.parametrize("name", ["srsd", "srsd_dummy", "fastsrb", "classic"])
def test__definitions__against_shared__same_laws_and_the_same_draws(name, shared_suites):
    """Formulas, ranges and the rows drawn from them agree with the shared tables."""
    facts = loading.definitions(name)
    assert [f"{name}/{dataset}" for dataset in facts] == shared_suites.names(name)
    for dataset, own in facts.items():
        assert own["formula"] == shared_suites.formula(f"{name}/{dataset}")
        X, y = shared_suites.load(f"{name}/{dataset}", n=100, seed=3)
        data = loading._drawn(name, dataset, 100, 3)
        if data.protocol.n_rows is None:
            assert np.array_equal(data.X, X), dataset
            # exp(1e-13) - 1: three digits are left, in any order of the factors
            rtol = 0.1 if dataset.endswith(("I.41.16", "i.41.16")) else 1e-9
            np.testing.assert_allclose(data.y, y, rtol=rtol, atol=1e-12 * np.abs(y).max())
        theirs = {v["name"]: v for v in shared_suites.variables(f"{name}/{dataset}")}
        for column, one in zip(data.X, data.ranges, strict=True):
            assert (one.low, one.high) == (theirs[column]["low"], theirs[column]["high"])


def test__firstprinciples__against_shared__the_same_measurements(shared_suites, shared):
    """All 13 tables, offline, to the precision in which they are shared."""
    suite = load_suite("firstprinciples")
    for short in shared_suites.names("first-principles"):
        name = f"first_principles_{short.partition('/')[2]}"
        X, y = shared_suites.load(short, n=None)
        data = suite.load(name)
        mine = np.sort(np.column_stack([data.X, data.y]).astype(np.float32), axis=0)
        theirs = np.sort(np.column_stack([X, y]).astype(np.float32), axis=0)
        np.testing.assert_allclose(mine, theirs, rtol=2e-7, err_msg=name)
    assert set(shared.names("firstprinciples")) < set(suite.datasets)


def test__load__fastsrb__its_own_protocol():
    """1024 rows in single precision; the law holds on them to that precision."""
    data = load_suite("fastsrb").load("I.12.1", seed=4)
    assert data.X.shape[0] == len(data.y) == 1024
    for values in (data.X.to_numpy(), data.y):
        assert np.array_equal(values.astype(np.float32).astype(float), values)
    exact = evaluate(parse(data.truth, list(data.X.columns)), data.X.to_numpy())
    error = np.abs(exact / data.y - 1.0)
    assert 0.0 < error.max() < 1e-6


def test__load__srsd_dummy__columns_that_do_nothing():
    """Some columns are not in the formula, and still drawn."""
    data = load_suite("srsd_dummy").load("II.38.3", max_rows=50)
    used = {list(data.X.columns)[j] for j in parse(data.truth, list(data.X.columns)).columns}
    assert set(data.X.columns) - used == {"x1", "x3", "x6"}
    assert (data.X.nunique() == 50).all()


# -- PMLB -------------------------------------------------------------------------------------


def test__pmlb__cache_of_the_shared_loader__read_with_its_hash(shared, cache):
    """A cached file that is PMLB's own is read without a note, any other one with a note."""
    shared.write_pmlb_cache(str(cache), ["192_vineyard", "519_vinnie"], n=None)
    suite = load_suite("blackbox")
    data = suite.load("192_vineyard")
    assert data.X.shape == (52, 2)
    assert data.notes == ()
    assert data.truth is None
    assert "not the file of PMLB" in suite.load("519_vinnie").notes[0]


def test__pmlb__offline_and_not_cached__one_clear_message(cache):
    """The message names the set, the folder and the way out."""
    with pytest.raises(SuiteError, match="cannot be reached") as caught:
        load_suite("blackbox").load("1027_ESL")
    message = str(caught.value)
    assert str(cache) in message
    assert pmlb_cache.VARIABLE in message
    assert "\n" not in message


def test__pmlb__git_lfs_pointer__named_as_such(cache):
    """A pointer file is not mistaken for a broken table."""
    file = cache / "1027_ESL" / "1027_ESL.tsv.gz"
    file.parent.mkdir(parents=True)
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    with pytest.raises(SuiteError, match=r"Git-LFS pointer.*git lfs pull"):
        load_suite("blackbox").load("1027_ESL")


def test__pmlb__truncated_file__says_delete_it(cache):
    """A file cut in the middle is reported with its path."""
    file = cache / "1027_ESL" / "1027_ESL.tsv.gz"
    file.parent.mkdir(parents=True)
    text = pd.DataFrame({"a": np.arange(5000.0), "target": np.arange(5000.0)}).to_csv(sep="\t")
    file.write_bytes(gzip.compress(text.encode())[:3000])
    with pytest.raises(SuiteError, match=r"is broken.*delete it"):
        load_suite("blackbox").load("1027_ESL")


def test__pmlb__download_with_another_hash__refused(cache, monkeypatch):
    """What the network gives is kept only if it is the right file."""

    def wrong(address, known_hash, name, folder, progressbar):
        raise ValueError("SHA256 hash of downloaded file does not match")

    monkeypatch.setattr(pooch, "retrieve", wrong)
    with pytest.raises(SuiteError, match="not have the expected SHA-256"):
        load_suite("blackbox").load("1027_ESL")
    assert not list(cache.glob("**/*.gz"))


# -- one's own files ----------------------------------------------------------------------------


def test__folder__pmlb_files__each_is_a_data_set(tmp_path):
    """Tables lie in the folder, packed or not, or in folders of their own name."""
    table = pd.DataFrame({"a": [1.0, 2.0], "target": [3.0, 4.0]})
    table.to_csv(tmp_path / "plain.tsv", sep="\t", index=False)
    table.to_csv(tmp_path / "packed.tsv.gz", sep="\t", index=False)
    (tmp_path / "nested").mkdir()
    table.to_csv(tmp_path / "nested" / "nested.tsv.gz", sep="\t", index=False)
    table.to_csv(tmp_path / "nested" / "other.tsv", sep="\t", index=False)
    (tmp_path / "notes.txt").write_text("not a table of the suite")
    suite = load_suite(str(tmp_path))
    assert sorted(suite.datasets) == ["nested", "packed", "plain"]
    for dataset in suite.datasets:
        data = suite.load(dataset)
        assert list(data.X.columns) == ["a"]
        assert data.y.tolist() == [3.0, 4.0]


def test__folder__empty_or_ambiguous__clear_error(tmp_path):
    """No table, and two tables of one name."""
    with pytest.raises(SuiteError, match="no table in"):
        load_suite(str(tmp_path))
    for end in ("a.tsv", "a.csv"):
        (tmp_path / end).write_text("x\ttarget\n1\t2\n")
    with pytest.raises(SuiteError, match="two tables named 'a'"):
        load_suite(str(tmp_path))


def test__file__own_csv__target_by_name_or_after_a_hash(tmp_path):
    """``FILE#COLUMN`` says what to predict; without it there must be a column ``target``."""
    file = tmp_path / "houses.csv"
    file.write_text("rooms,price,town\n3,100,A\n4,150,B\n")
    data = load_suite(f"{file}#price").load("houses")
    assert data.y.tolist() == [100.0, 150.0]
    assert "town" in data.notes[0]
    with pytest.raises(TableError, match="no column 'target'"):
        load_suite(str(file)).load("houses")
