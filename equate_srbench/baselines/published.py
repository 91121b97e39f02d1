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
    text = files("equate_srbench.baselines").joinpath("published.csv")
    with text.open(encoding="utf-8") as file:
        table = pd.read_csv(file)
    wanted = {"track": track, "data_group": data_group, "edition": edition}
    for column, value in wanted.items():
        if value is not None:
            if value not in set(table[column]):
                known = ", ".join(map(str, sorted(set(table[column]))))
                raise ValueError(f"{column}={value!r}: no published results, use one of {known}")
            table = table[table[column] == value]
    return table.reset_index(drop=True).assign(label=LABEL)
