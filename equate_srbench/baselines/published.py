"""Published results as data; machines, budgets and versions differ from ours."""

from __future__ import annotations

from importlib.resources import files

import pandas as pd

#: Label of these results in plots.
LABEL = "published, other machine"


def published(
    track: str | None = None, data_group: str | None = None, edition: int | None = None
) -> pd.DataFrame:
    """Load SRBench's published results, one per row.

    Parameters
    ----------
    track : {"black-box", "ground-truth"}, optional
    data_group : {"all", "tuned", "off-the-shelf", "Feynman", "Strogatz"}, optional
    edition : {2021, 2025}, optional
        By default all rows.

    Returns
    -------
    DataFrame
        edition, track, data_group, target_noise, algorithm, metric, value, n_datasets, precision
        (``exact``, or of a figure that was read off a plot), protocol, source, label. ``value``
        is missing where nothing was published.
    """
    table = _read("published.csv")
    wanted = {"track": track, "data_group": data_group, "edition": edition}
    for column, value in wanted.items():
        if value is not None:
            if value not in set(table[column]):
                known = ", ".join(map(str, sorted(set(table[column]))))
                raise ValueError(f"{column}={value!r}: no published results, use one of {known}")
            table = table[table[column] == value]
    return table.reset_index(drop=True).assign(label=LABEL)


def published_on(suite: str, target_noise: float) -> pd.DataFrame:
    """Load what was published about a suite outside SRBench's tables, one result per row.

    Parameters
    ----------
    suite : str
        Name of one of our suites.
    target_noise : float
        Relative to what the suite's own protocol takes it of.

    Returns
    -------
    DataFrame
        suite, dataset (empty for a share of all sets), target_noise, algorithm, metric, value, low
        and high (bounds of a 95 % interval), nodes, n_datasets, budget, machine, checked (``yes``
        if the figure was read in the source, ``no`` if it was noted from it earlier), source and
        label; no rows if nothing is known. Metrics: ``single_precision`` (share of sets whose error
        on held-out rows is below single precision), ``rediscovered`` and ``exact_form`` (share of
        laws found, by the judgement of the source), ``r2_test``.
    """
    table = _read("published_suites.csv")
    table = table[(table["suite"] == suite) & (table["target_noise"] == target_noise)]
    return table.reset_index(drop=True).assign(label=LABEL)


def _read(name: str) -> pd.DataFrame:
    with files("equate_srbench.baselines").joinpath(name).open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype={"dataset": str})
