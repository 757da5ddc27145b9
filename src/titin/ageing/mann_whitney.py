"""Fractions of cell types in young and old donors by ranks, as the muscle atlas was published."""

from typing import Any

import numpy as np
import pandas as pd

from titin.ageing.comparison import protocols
from titin.ageing.fractions import CellCounts
from titin.ageing.groups import AGE, need
from titin.ageing.moderated import Floats, adjust
from titin.check.design import age_cut
from titin.dataset import layout
from titin.errors import TitinError

COLUMNS = ["cell_type", "protocol", "n_young", "n_old", "fraction_young", "fraction_old", "u", "p_value", "adj_p_value"]
MIN_SAMPLE_CELLS = 1000


def mann_whitney(
    cells: CellCounts, *, min_sample_cells: int = MIN_SAMPLE_CELLS, cut: float | None = None
) -> pd.DataFrame:
    """Compare the fractions of every type between young and old by the Mann–Whitney test, in each protocol.

    The recipe of the muscle atlas: samples of more than ``min_sample_cells`` cells; the fraction of a type in each;
    its mean over the samples of a donor, protocol and chemistry; a two-sided test of these means.

    Parameters
    ----------
    cells
        From `cell_counts`.
    min_sample_cells
        Samples of no more cells are left out.
    cut
        Years from which a donor is old; in the middle of the widest gap between donors' ages where not given.

    Returns
    -------
    DataFrame
        One row a type and protocol: ``cell_type``, ``protocol``, ``n_young``, ``n_old``, mean ``fraction_young`` and
        ``fraction_old``, ``u`` (of the young), ``p_value``, ``adj_p_value`` (Benjamini–Hochberg over the types of a
        protocol). ``attrs``: ``age_cut``, ``skipped`` (protocols, with the reason).

    Raises
    ------
    TitinError
        If donors or ages are missing, or do not part young from old.
    """
    need([str(name) for name in cells.samples], "donor", "donors are what is compared")
    need([str(name) for name in cells.samples], AGE, "the comparison is of ages")
    if cut is None:
        cut = age_cut(cells.samples.dropna(subset=["donor", AGE]).groupby("donor")[AGE].median())
    if cut is None:
        raise TitinError("these ages do not part young from old: there are too few donors, or all of one age",
                         "give the age from which a donor is old")  # fmt: skip
    large = cells.select((cells.samples[layout.N_CELLS] > min_sample_cells).to_numpy())
    parts, skipped = [], []
    for protocol, rows in protocols(cells.samples):
        inside = np.flatnonzero(large.samples.get("protocol", pd.Series(protocol, large.samples.index)) == protocol)
        part = _compare(large.select(inside), cut)
        if isinstance(part, str):
            skipped.append({"protocol": protocol, "reason": part})
        elif len(rows):
            parts.append(part.assign(protocol=protocol))
    table = pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)
    table.attrs = {"method": "Mann-Whitney", "age_cut": cut, "min_sample_cells": min_sample_cells, "skipped": skipped,
                   "adjustment": "Benjamini-Hochberg over the types of one protocol"}  # fmt: skip
    return table


def rank_test(young: Floats, old: Floats) -> tuple[float, float]:
    """Return U of the young and the two-sided p: exact without ties for at most eight on a side, else asymptotic.

    The asymptotic p is corrected for ties and continuity. Where all values are equal it is 1.
    """
    from scipy.stats import mannwhitneyu

    if np.ptp(np.concatenate([young, old])) == 0:
        return len(young) * len(old) / 2, 1.0
    found = mannwhitneyu(young, old, alternative="two-sided", method="auto")
    return float(found.statistic), float(found.pvalue)


def _compare(cells: CellCounts, cut: float) -> pd.DataFrame | str:
    """Test every type in one protocol; the reason where that cannot be done."""
    samples = cells.samples
    known = samples[["donor", AGE]].notna().all(axis=1)
    cells, samples = cells.select(known.to_numpy()), samples[known].reset_index(drop=True)
    fractions = cells.counts.div(samples[layout.N_CELLS], axis=0)
    keys = [samples["donor"], *([samples["chemistry"]] if "chemistry" in samples else [])]
    grouped = fractions.groupby([key.fillna("").to_numpy() for key in keys])
    means = grouped.mean()
    old = (samples[AGE].groupby([key.fillna("").to_numpy() for key in keys]).median() >= cut).to_numpy()
    if not old.any() or old.all():
        return f"{int((~old).sum())} young and {int(old.sum())} old donors with samples large enough"
    rows: list[dict[str, Any]] = []
    for name in means:
        a, b = means[name].to_numpy()[~old], means[name].to_numpy()[old]
        if not (a.any() or b.any()):
            continue
        u, p = rank_test(a, b)
        rows.append({"cell_type": str(name), "n_young": len(a), "n_old": len(b), "fraction_young": a.mean(),
                     "fraction_old": b.mean(), "u": u, "p_value": p})  # fmt: skip
    table = pd.DataFrame(rows)
    return table.assign(adj_p_value=adjust(table["p_value"].to_numpy(float)))
