"""The search steps of all fits of a suite, and what they say about the gradient ascent."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from equate_srbench.equation import Equation
from equate_srbench.report.tables.record import SOURCES

#: Columns that identify a fit, and a gradient ascent: the steps of a fit from one start.
FIT_KEYS = ["dataset", "seed"]
ASCENT_KEYS = [*FIT_KEYS, "start"]


@dataclass(frozen=True)
class SuiteTrajectories:
    """Results and search steps of the fits of a suite.

    Attributes
    ----------
    fits : DataFrame
        One row per fit: dataset, seed, r2_test, r2_fit, complexity, equation, source (which first
        reached the accuracy of the equation), flip_rate, validity_rate, rank_correlation, seconds,
        and provenance.
    steps : DataFrame
        ``trajectory_`` of all fits, with dataset and seed.
    embeddings : ndarray of shape (n_steps, width), float32
        Joint embedding behind each row of ``steps``; NaN where there is none. Width 0 if no
        estimator has any.
    """

    fits: pd.DataFrame
    steps: pd.DataFrame
    embeddings: NDArray[np.float32]

    def fitted(self, number: int = 0) -> SimpleNamespace:
        """One fit with the attributes of a fitted estimator that trajectory panels read."""
        fit = self.fits.iloc[number]
        rows = (self.steps[FIT_KEYS] == fit[FIT_KEYS]).all(axis=1).to_numpy()
        return SimpleNamespace(
            equation_=Equation.from_string(fit["equation"], list(fit["features"])),
            trajectory_=self.steps[rows].drop(columns=FIT_KEYS).reset_index(drop=True),
            embeddings_=self.embeddings[rows],
        )


def per_step(steps: pd.DataFrame) -> pd.DataFrame:
    """Summarise the gradient ascents step by step.

    Parameters
    ----------
    steps : DataFrame
        As in ``SuiteTrajectories.steps``.

    Returns
    -------
    DataFrame
        One row per ascent and gradient step: dataset, seed, start, step; ``r2``, ``score`` and
        ``predicted`` of the best proposal of the step; ``best_r2`` and ``best_score`` so far;
        ``flipped`` (whether a skeleton of the step was new).
    """
    ascent = steps[steps["source"] == "ascent"]
    by_step = ascent.dropna(subset="score").groupby([*ASCENT_KEYS, "step"])
    best = ascent.loc[by_step["score"].idxmax()]
    new = ascent.groupby([*ASCENT_KEYS, "step"])["new_skeleton"].any().rename("flipped")
    table = best[[*ASCENT_KEYS, "step", "r2", "score"]].assign(predicted=best["predicted_score"])
    table = table.merge(new, on=[*ASCENT_KEYS, "step"])
    table = table.sort_values([*ASCENT_KEYS, "step"], ignore_index=True)
    so_far = table.groupby(ASCENT_KEYS)[["r2", "score"]].cummax()
    return table.assign(best_r2=so_far["r2"], best_score=so_far["score"])


def score_changes(table: pd.DataFrame) -> pd.DataFrame:
    """Predicted and true change of the score between step 0 and each later step.

    Parameters
    ----------
    table : DataFrame
        As returned by ``per_step``.

    Returns
    -------
    DataFrame
        Columns of ``per_step`` with ``predicted_change`` and ``true_change``, for steps above 0.
    """
    first = table[table["step"] == 0].set_index(ASCENT_KEYS)[["predicted", "score"]]
    later = table[table["step"] > 0].join(first.add_suffix("_start"), on=ASCENT_KEYS)
    return later.assign(
        predicted_change=later["predicted"] - later["predicted_start"],
        true_change=later["score"] - later["score_start"],
    ).dropna(subset=["predicted_change", "true_change"])


def monotone_share(table: pd.DataFrame) -> float:
    """Share of gradient steps whose best score is at least that of the step before."""
    gain = table.groupby(ASCENT_KEYS)["score"].diff().dropna()
    return float((gain >= -1e-12).mean()) if len(gain) else float("nan")


def improved_share(table: pd.DataFrame) -> float:
    """Share of ascents in which a later step improves on step 0."""
    ends = table.groupby(ASCENT_KEYS)["best_score"].agg(["first", "last"])
    return float((ends["last"] > ends["first"] + 1e-12).mean()) if len(ends) else float("nan")


def source_shares(fits: pd.DataFrame) -> pd.DataFrame:
    """How many fits owe their accuracy to each source: ``source``, ``fits``, ``share``."""
    counts = fits["source"].value_counts()
    names = [s for s in SOURCES if s in counts] + sorted(set(counts.index) - set(SOURCES))
    return pd.DataFrame(
        {"source": names, "fits": [int(counts[s]) for s in names],
         "share": [counts[s] / len(fits) for s in names]}
    )  # fmt: skip


def spearman(table: pd.DataFrame) -> float:
    """Spearman correlation of predicted and true score changes; NaN where undefined."""
    from scipy.stats import spearmanr

    pairs = score_changes(table)[["predicted_change", "true_change"]]
    if len(pairs) < 3 or (pairs.nunique() < 2).any():
        return float("nan")
    return float(spearmanr(*pairs.to_numpy().T).statistic)


def describe(found: SuiteTrajectories, table: pd.DataFrame) -> list[str]:
    """Describe the gradient ascents of a suite in sentences.

    Parameters
    ----------
    found : SuiteTrajectories
    table : DataFrame
        ``per_step`` of its steps.
    """
    n = len(found.fits)
    climbed = len(table[FIT_KEYS].drop_duplicates())
    parts = ", ".join(f"{r['source']} {r['fits']}" for _, r in source_shares(found.fits).iterrows())
    by_source = f"In {n} fits, the source that first reached the final accuracy was: {parts}."
    if not climbed:
        return [by_source, "No fit ran the gradient ascent: its starting points were good enough."]
    ascents, longest = len(table.groupby(ASCENT_KEYS)), int(table["step"].max())
    monotone = monotone_share(table)
    flipped = table.loc[table["step"] > 0, "flipped"].mean()
    return [
        f"{climbed} of {n} fits ran the gradient ascent, from {ascents} starts of up to {longest} "
        "steps.",
        f"Improvement is {'' if monotone > 0.999 else 'not '}monotone: {_percent(monotone)} of the "
        "steps are at least as good as the step before, and "
        f"{_percent(improved_share(table))} of the ascents end better than they began.",
        f"{_percent(flipped)} of the steps decode a skeleton that had not been seen before.",
        "Predicted and true changes of the score have a rank correlation of "
        f"{spearman(table):.2f} (Spearman, {len(score_changes(table))} steps).",
        by_source,
    ]


def _percent(share: float) -> str:
    return "none" if share != share else f"{100 * share:.0f} %"
