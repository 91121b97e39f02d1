"""Whether the right columns of wide tables are found: ``docs/results/wide.md``.

    python studies/wide.py run
    python studies/wide.py run --blackbox FOLDER --core 0
    python studies/wide.py publish

``run`` ranks the columns of 40 drawn sets, 20 with 50 and 20 with 200 columns of which 3 to 6
matter, by the package's choice and by plain correlation (about 3 minutes). With ``--blackbox`` it
also fits every table of the folder (PMLB's layout) with more columns than ``max_features`` on
either's ten best, 5 seconds a fit, 3 seeds, in SRBench's split (about 20 minutes for 30 tables; it
can be stopped and started again, rows that are there are not made again). The page is written from
the rows at the end; ``publish`` only does that, and keeps what stands between the marks in it (the
reading of its figures).
"""

from __future__ import annotations

import argparse
import os
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from readings import kept
from scipy.stats import norm, rankdata, wilcoxon
from sklearn.metrics import r2_score

from equate_srbench import EquateRegressor
from equate_srbench.bench.protocol import split
from equate_srbench.bench.provenance import provenance
from equate_srbench.bench.suites.loading import load_suite
from equate_srbench.bench.task import SEEDS, Task
from equate_srbench.problem.canonical import prepare
from equate_srbench.report.comparison.compare_page import conditions
from equate_srbench.report.tables.compare import interval
from equate_srbench.runtime.files import write_file
from equate_srbench.search.columns import rank_columns

Array = NDArray[np.float64]

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results"
#: Of the generator; other seeds served to develop the choice.
SEED = 20261
N_SETS, WIDTHS, LENGTHS, NOISE = 20, (50, 200), (200, 1000), (0.0, 0.05)
MAX_FEATURES, FIT_SECONDS, N_SEEDS = 10, 5.0, 3
#: Terms of the generator and how many columns each has.
TERMS: dict[str, tuple[int, Callable[..., Array]]] = {
    "line": (1, lambda a: a),
    "square": (1, lambda a: a**2),
    "product": (2, lambda a, b: a * b),
    "ratio": (2, lambda a, b: a / b),
    "sine of a sum": (2, lambda a, b: np.sin(1.5 * a + b)),
    "squared difference": (2, lambda a, b: (a - b) ** 2),
    "product of three": (3, lambda a, b, c: a * b * c),
}


# -- ranking the columns of drawn sets ----------------------------------------------------------


def draw(index: int, n_columns: int, n_rows: int, noise: float) -> tuple[Array, Array, list[str]]:
    """A set of the generator.

    Three to six columns matter, in a sum of terms of at least two kinds of effect, at least one
    of them an interaction. Columns are normal or uniform with mean 0, or uniform on [1, 5] (those
    in ratios, and some others); a third of the columns that do not matter are correlated, by .4
    to .9, with one that does or with each other.

    Returns
    -------
    X : ndarray of shape (n_rows, n_columns)
    y : ndarray of shape (n_rows,)
    role : list of str
        The term that each column is in; empty for columns that do not matter.
    """
    plan = np.random.default_rng([SEED, index, n_columns])
    left = int(plan.integers(3, 7))
    kinds: list[str] = []
    while left:
        fits = [k for k, (size, _) in TERMS.items() if size <= left and (kinds or size > 1)]
        kinds.append(str(plan.choice(fits)))
        left -= TERMS[kinds[-1]][0]
    place = plan.permutation(n_columns)
    n_true = sum(TERMS[k][0] for k in kinds)
    rng = np.random.default_rng([SEED, index, n_columns, n_rows])
    Z = rng.normal(size=(n_rows, n_columns))
    for j in place[n_true : n_true + (n_columns - n_true) // 3]:
        leader = plan.choice(place[:n_true] if plan.random() < 0.5 else place[n_true:])
        r = plan.uniform(0.4, 0.9)
        if leader != j:
            Z[:, j] = r * Z[:, leader] + np.sqrt(1.0 - r**2) * Z[:, j]
    shape = plan.choice(["normal", "uniform", "positive"], n_columns, p=[0.35, 0.35, 0.3])
    role = [""] * n_columns
    y, at = np.zeros(n_rows), 0
    for kind in kinds:
        size, function = TERMS[kind]
        columns = place[at : at + size]
        at += size
        for j in columns:
            role[j] = kind
            if kind == "ratio":
                shape[j] = "positive"
            elif shape[j] == "positive":
                shape[j] = "normal"
        term = function(*(_column(Z[:, j], shape[j]) for j in columns))
        y += plan.uniform(0.5, 2.0) * term / term.std()
    X = np.column_stack([_column(z, s) for z, s in zip(Z.T, shape, strict=True)])
    return X, y + noise * y.std() * rng.normal(size=n_rows), role


def _column(z: Array, shape: str) -> Array:
    """A normal column in another shape, with mean 0 and variance 1 or positive."""
    if shape == "normal":
        return z
    share = np.asarray(norm.cdf(z))
    return 1.0 + 4.0 * share if shape == "positive" else np.sqrt(12.0) * (share - 0.5)


def by_correlation(X: Array, y: Array, counts: Array | None = None) -> list[int]:
    """The ranking to compare with: the largest of three absolute correlations with ``y``.

    Of values, of ranks, and of squared deviations from the mean, so that monotone and even
    dependences count.
    """

    def correlations(A: Array, b: Array) -> Array:
        A, b = A - np.average(A, axis=0, weights=counts), b - np.average(b, weights=counts)
        w = np.ones(len(b)) if counts is None else counts
        scale = np.sqrt((w @ A**2) * (w @ b**2))
        return np.abs((w * b) @ A) / np.where(scale > 0.0, scale, np.inf)

    even = (X - np.average(X, axis=0, weights=counts)) ** 2
    strength = np.maximum.reduce([
        correlations(X, y), correlations(rankdata(X, axis=0), rankdata(y)), correlations(even, y)
    ])  # fmt: skip
    return [int(j) for j in np.argsort(-strength, kind="stable")]


def by_bags(X: Array, y: Array, counts: Array | None = None) -> list[int]:
    """The package's choice."""
    return rank_columns(X, y, counts, rng=np.random.default_rng(SEED))


RANKINGS = {"correlation": by_correlation, "bags": by_bags}


def rank_all() -> pd.DataFrame:
    """One row per set, ranking, and column that matters."""
    by_bags(*draw(0, 50, 200, 0.0)[:2])  # libraries are loaded and caches warm
    rows = []
    for p in WIDTHS:
        for n in LENGTHS:
            for noise in NOISE:
                for index in range(N_SETS):
                    X, y, role = draw(index, p, n, noise)
                    rows += _ranked(X, y, role, dict(columns=p, rows=n, noise=noise, set=index))
    return pd.DataFrame(rows).assign(**_conditions())


def _ranked(X: Array, y: Array, role: list[str], case: dict[str, float]) -> list[dict[str, object]]:
    problem = prepare(X, y, None)
    rows: list[dict[str, object]] = []
    for name, ranking in RANKINGS.items():
        start = time.process_time()
        order = ranking(problem.X, problem.y)
        seconds = time.process_time() - start
        tracemalloc.start()
        ranking(problem.X, problem.y)
        megabytes = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        rows += [
            {**case, "ranking": name, "column": j, "term": kind, "rank": order.index(j) + 1,
             "seconds": seconds, "megabytes": megabytes}
            for j, kind in enumerate(role) if kind
        ]  # fmt: skip
    return rows


# -- fits of real tables ------------------------------------------------------------------------


def fit_all(folder: str, out: Path) -> None:
    """Add the rows that are missing: test R2 of a fit on either choice of columns."""
    rows = pd.read_csv(out).to_dict("records") if out.exists() else []
    done = {(r["dataset"], r["seed"], r["ranking"]) for r in rows}
    suite = load_suite(folder)
    wide = [d for d in suite.datasets if suite.load(d, max_rows=20).X.shape[1] > MAX_FEATURES]
    for seed in SEEDS[:N_SEEDS]:
        for dataset in wide:
            for ranking in RANKINGS:
                if (dataset, seed, ranking) not in done:
                    rows.append(_fitted(folder, dataset, seed, ranking))
                    table = pd.DataFrame(rows).to_csv(index=False, float_format="%.10g")
                    write_file(out, table)
                    print(*list(rows[-1].values())[:6], flush=True)


def _fitted(folder: str, dataset: str, seed: int, ranking: str) -> dict[str, object]:
    task = Task(suite=folder, dataset=dataset, method="equate", seed=seed, max_time=FIT_SECONDS)
    rows = split(task, load_suite(folder).load(dataset, max_rows=task.max_rows, seed=seed))
    X, X_test, n_columns = rows.X_train, rows.X_test, rows.X_train.shape[1]
    if ranking == "correlation":  # a table of ten columns: the package has nothing to choose
        problem = prepare(X.to_numpy(float), rows.y_train, None)
        ten = sorted(by_correlation(problem.X, problem.y, problem.weights)[:MAX_FEATURES])
        X, X_test = X.iloc[:, ten], X_test.iloc[:, ten]
    est = EquateRegressor(max_time=FIT_SECONDS, random_state=seed, max_features=MAX_FEATURES)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "[0-9]+ columns, max_features")
        est.fit(X, rows.y_train)
    seconds = time.perf_counter() - start
    values = est.predict(X_test)
    r2 = r2_score(rows.y_test, values) if np.isfinite(values).all() else float("nan")
    return {"dataset": dataset, "columns": n_columns, "seed": seed, "ranking": ranking,
            "r2_test": r2, "fit_seconds": seconds, "equation": str(est.equation_),
            "max_time": FIT_SECONDS, **_conditions()}  # fmt: skip


def _conditions() -> dict[str, object]:
    made = provenance()
    return {name: getattr(made, name) for name in ("commit", "cpu", "cores", "threads", "date")}


# -- the page -----------------------------------------------------------------------------------


def page(ranks: pd.DataFrame, fits: pd.DataFrame | None) -> str:
    """What the rows say, as Markdown."""
    lines = [
        "# Choosing columns of wide tables", "",
        "Made by `python studies/wide.py`. *bags* is the choice of `EquateRegressor` for tables "
        f"with more columns than `max_features` ({MAX_FEATURES}); *correlation* ranks columns by "
        "the largest of three absolute correlations with the target (values, ranks, squared "
        "deviations), one by one. Intervals are 95 % bootstrap intervals over sets.", "",
        "## Columns that matter, found", "",
        f"{len(WIDTHS) * N_SETS} drawn sets (seed {SEED}): {N_SETS} with {WIDTHS[0]} and {N_SETS} "
        f"with {WIDTHS[1]} columns of which 3 to 6 matter, in sums of "
        f"{', '.join(TERMS)}; see `draw` in the script. *first k*: share of the k columns that "
        "matter among the first k ranked, which is precision and recall at once; *in ten*: share "
        "among the ten that go on to the search; *all*: share of sets with all of them there. "
        "Seconds of processor time and the largest traced memory, means. All but the ratios and "
        "sines are sums of products, which is what the choice looks for: on other forms, with "
        "fewer rows or more noise, it finds fewer.", "",
        "; ".join(f"{k}: {v}" for k, v in conditions(ranks).items()) + ".", "",
        "| columns | rows | noise | ranking | first k | in ten | all | s | MB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    sets = per_set(ranks)
    for case, group in sets.groupby(["columns", "rows", "noise", "ranking"], sort=False):
        lines.append(_line(case, group))
    for ranking, group in sets.groupby("ranking", sort=False):
        over_cases = group.groupby(["columns", "set"]).mean(numeric_only=True)
        lines.append(_line(("all", "all", "all", ranking), over_cases))
    within = ranks.assign(ten=ranks["rank"] <= MAX_FEATURES)
    by_term = within.pivot_table(index="term", columns="ranking", values="ten")
    lines += ["", "By the term that a column is in, share among the ten:", "",
              f"| term | {' | '.join(RANKINGS)} |", "| --- | --- | --- |"]  # fmt: skip
    for term in (t for t in TERMS if t in by_term.index):
        shares = [f"{100 * by_term.loc[term, ranking]:.0f} %" for ranking in RANKINGS]
        lines.append(f"| {term} | {' | '.join(shares)} |")
    lines.append("")
    return "\n".join(lines + ([] if fits is None else _of_fits(fits)))


def _line(case: tuple[object, ...], sets: pd.DataFrame) -> str:
    """One line of the first table."""
    cells = [*map(str, case), _share(sets["first"]), _share(sets["ten"]),
             f"{100 * sets['all'].mean():.0f} %", f"{sets['seconds'].mean():.2f}",
             f"{sets['megabytes'].mean():.0f}"]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def per_set(ranks: pd.DataFrame) -> pd.DataFrame:
    """One row per set and ranking: shares of the columns that matter."""
    case = ["columns", "rows", "noise", "ranking", "set"]
    k = ranks.groupby(case)["rank"].transform("size")
    marked = ranks.assign(first=ranks["rank"] <= k, ten=ranks["rank"] <= MAX_FEATURES)
    found = marked.groupby(case, sort=False)[["first", "ten", "seconds", "megabytes"]].mean()
    return found.assign(all=found["ten"] == 1.0).reset_index()


def _share(values: pd.Series) -> str:
    low, high = interval(values.to_numpy(float))
    ends = "" if np.isnan(low) else f" ({100 * low:.0f} to {100 * high:.0f})"
    return f"{100 * values.mean():.0f} %{ends}"


def _of_fits(fits: pd.DataFrame) -> list[str]:
    """Test R2 on real tables, set by set, and the difference."""
    clipped = fits.assign(r2=fits["r2_test"].fillna(0.0).clip(lower=0.0))
    table = clipped.pivot_table(index=["dataset", "columns"], columns="ranking", values="r2")
    table = table[list(RANKINGS)].dropna()
    gain = (table["bags"] - table["correlation"]).to_numpy()
    low, high = interval(gain)
    better, worse = int((gain > 0.005).sum()), int((gain < -0.005).sum())
    p = wilcoxon(gain).pvalue if len(gain) > 1 and np.ptp(gain) > 0.0 else float("nan")
    return [
        "## Fits of black-box tables", "",
        f"All {len(table)} tables with more than {MAX_FEATURES} columns, `EquateRegressor("
        f"max_time={FIT_SECONDS:g})`, SRBench's split. R² on test rows, mean over seeds, negative "
        "ones counting 0. Choosing takes its time out of the fit's; the fit on the ten columns of "
        "most correlation has all of it.", "",
        "; ".join(f"{k}: {v}" for k, v in conditions(fits).items()) + ".", "",
        f"Mean difference {gain.mean():+.3f} ({low:+.3f} to {high:+.3f}); bags better by more "
        f"than .005 on {better} tables, worse on {worse} (Wilcoxon p {p:.2g}). Median seconds: "
        + ", ".join(f"{r} {s:.1f}" for r, s in
                    fits.groupby("ranking", sort=False)["fit_seconds"].median().items()) + ".", "",
        "| table | columns | correlation | bags |", "| --- | --- | --- | --- |",
        *(f"| {name} | {p} | {row.correlation:.3f} | {row.bags:.3f} |"
          for (name, p), row in table.iterrows()), "",
    ]  # fmt: skip


def publish(results: Path) -> None:
    """Write the page from the rows."""
    fits, file = results / "wide_fits.csv", results / "wide.md"
    text = page(pd.read_csv(results / "wide_ranks.csv", keep_default_na=False),
                pd.read_csv(fits) if fits.exists() else None)  # fmt: skip
    text += "\n".join(["", *kept(file, "wide"), ""])
    write_file(file, text)
    print(text)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("run", "publish"))
    parser.add_argument("--blackbox", help="also fit the wide tables of this folder")
    parser.add_argument("--only-blackbox", action="store_true", help="keep the ranks as they are")
    parser.add_argument("--core", type=int, help="pin to this core")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where to publish")
    args = parser.parse_args()
    if args.core is not None:
        os.sched_setaffinity(0, {args.core})
    if args.action == "run":
        if not args.only_blackbox:
            table = rank_all().to_csv(index=False, float_format="%.6g")
            write_file(args.results / "wide_ranks.csv", table)
        if args.blackbox:
            fit_all(args.blackbox, args.results / "wide_fits.csv")
    publish(args.results)


if __name__ == "__main__":
    main()
