"""Sweeps over a setting or a noise level: accuracy and formula size at each value."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from equate_srbench.baselines.methods import in_order, spec
from equate_srbench.report.formatting import setting_text
from equate_srbench.report.tables import compare
from equate_srbench.report.tables.compare import Block


def by_setting(rows: pd.DataFrame, setting: str) -> pd.DataFrame:
    """Summarise one method at each value of a setting.

    Parameters
    ----------
    rows : DataFrame
        As returned by ``RowStore.frame``, of one method, suite and noise level.
    setting : str
        Name of a parameter of the method; rows that do not set it are left out.

    Returns
    -------
    DataFrame
        ``value`` and the columns of ``compare.summary``, ordered by value; words after numbers.
    """
    lines = []
    for value, part in rows.groupby(setting_values(rows, setting), sort=True):
        line = compare.summary(compare.blocks(part)[0]).iloc[0]
        lines.append({"value": value, **line})
    return pd.DataFrame(lines)


def setting_values(rows: pd.DataFrame, setting: str) -> pd.Series:
    """Value of a setting in each row, a number or a word."""
    return rows["settings"].map(lambda text: json.loads(text).get(setting)).astype(object)


def describe(table: pd.DataFrame, name: str) -> list[str]:
    """Describe a sweep in sentences: its most accurate and its shortest value."""
    accurate = table.loc[[table["r2_99"].idxmax()]].iloc[0]
    short = table.loc[[table["nodes"].idxmin()]].iloc[0]
    most, least = setting_text(accurate["value"]), setting_text(short["value"])
    sentences = [
        f"The share of data sets with R² > .99 is largest at {name} = {most}: "
        f"{100 * accurate['r2_99']:.1f} % with a median of {accurate['nodes']:.0f} nodes."
    ]
    if short["value"] == accurate["value"]:
        sentences.append("No other value gives shorter formulas.")
    else:
        sentences.append(
            f"The shortest formulas come at {name} = {least}: {short['nodes']:.0f} nodes, "
            f"R² > .99 on {100 * short['r2_99']:.1f} %."
        )
    spread = table["r2_99"].max() - table["r2_99"].min()
    nodes = table["nodes"].max() - table["nodes"].min()
    sentences.append(
        f"Over the whole sweep the share moves by {100 * spread:.1f} points and the median size by "
        f"{nodes:.0f} nodes."
    )
    return sentences


def describe_auto(rows: pd.DataFrame, setting: str, name: str) -> list[str]:
    """Describe the values that ``auto`` chose; empty if no fit used it."""
    rows = rows[setting_values(rows, setting) == "auto"]
    diagnostics = [json.loads(text) or {} for text in rows["diagnostics"]]
    used = [found[setting] for found in diagnostics if setting in found]
    if not used:
        return []
    low, middle, high = np.quantile(used, [0.0, 0.5, 1.0])
    return [f"auto chose {name} from {low:.2g} to {high:.2g}, with a median of {middle:.2g}."]


def noise_levels(blocks: list[Block]) -> pd.DataFrame:
    """Summarise each method at each noise level: ``compare.summary`` with a column ``noise``."""
    parts = [compare.summary(b).reset_index().assign(noise=b.noise) for b in blocks if b.pairs]
    return pd.concat(parts, ignore_index=True)


def describe_noise(table: pd.DataFrame) -> list[str]:
    """Describe for each method the accuracy that is left at the highest noise level."""
    low, high = table["noise"].min(), table["noise"].max()
    sentences = []
    for method in in_order(set(table["method"])):
        part = table[table["method"] == method].set_index("noise")
        first, last = part.loc[low], part.loc[high]
        sentences.append(
            f"{spec(method).label}: R² > .99 on {100 * first['r2_99']:.1f} % of the data sets at "
            f"noise {low:g} and {100 * last['r2_99']:.1f} % at {high:g}; median size "
            f"{first['nodes']:.0f} and {last['nodes']:.0f} nodes."
        )
    return sentences
