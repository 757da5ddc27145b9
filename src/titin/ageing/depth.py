"""Whether the counts that donors' cells have go with what is compared."""

import numpy as np
import pandas as pd

from titin.ageing.comparison import protocols
from titin.ageing.pseudobulk import Pseudobulk
from titin.dataset import layout
from titin.study.design import AGE

COLUMNS = ["protocol", "n_donors", "r", "ci_low", "ci_high"]
_FEWEST = 5  # donors


def depth_with_age(data: Pseudobulk) -> pd.DataFrame:
    """Correlate the counts of a donor's average cell (their logarithm) with age, in every protocol.

    Returns
    -------
    DataFrame
        One row a protocol with five donors or more of different ages: ``protocol``, ``n_donors``, ``r`` (Pearson's)
        with its 95 % interval by Fisher's transformation.
    """
    from scipy import stats

    groups = data.groups
    if "donor" not in groups or AGE not in groups:
        return pd.DataFrame(columns=COLUMNS)
    table = groups.assign(counts=np.asarray(data.counts.sum(axis=1)).ravel()).dropna(subset=["donor", AGE])
    rows = []
    for protocol, places in protocols(table):
        donors = table.iloc[places].groupby("donor").agg({"counts": "sum", layout.N_CELLS: "sum", AGE: "median"})
        donors = donors[donors["counts"] > 0]
        depth, ages = np.log(donors["counts"] / donors[layout.N_CELLS]), donors[AGE]
        if len(donors) < _FEWEST or np.ptp(ages) == 0 or np.ptp(depth) == 0:
            continue
        r = float(np.corrcoef(depth, ages)[0, 1])
        half = stats.norm.ppf(0.975) / np.sqrt(len(donors) - 3)
        low, high = np.tanh(np.arctanh(np.clip(r, -0.999999, 0.999999)) + np.array([-half, half]))
        rows.append({"protocol": protocol, "n_donors": len(donors), "r": r, "ci_low": low, "ci_high": high})
    return pd.DataFrame(rows, columns=COLUMNS)


def depth_warnings(data: Pseudobulk) -> list[str]:
    """Say where depth goes with age beyond chance, as sentences without a full stop."""
    said = []
    for row in depth_with_age(data).to_dict("records"):
        r, low, high = (float(row[name]) for name in ("r", "ci_low", "ci_high"))
        if low <= 0 <= high:
            continue
        said.append(
            f"in {row['protocol']}, cells of {'older' if r > 0 else 'younger'} donors have more counts (the logarithm "
            f"of a donor's counts a cell and age: r = {r:+.2f}, {low:+.2f} to {high:+.2f}, {row['n_donors']} donors). "
            "Scores of single cells and shares of cells in which a gene is detected follow depth; scores of donors' "
            "sums do not"
        )
    return said
