"""Quality columns of obs beside what the matrix gives."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from titin.check.registry import Severity

# names that the columns go by, in lower case: upstream's, scanpy's, Seurat's
QUALITY: dict[str, frozenset[str]] = {
    "genes": frozenset({"n_genes", "n_genes_by_counts", "nfeature_rna", "ngene", "ngenes", "genes_detected"}),
    "counts": frozenset({"n_counts", "total_counts", "ncount_rna", "numi", "n_umi", "n_umis", "total_umis"}),
    "percent": frozenset({"percent_mito", "pct_counts_mt", "percent.mt", "percent_mt", "mt_frac", "percent.mito"}),
}
_SLACK = {"genes": 1e-6, "counts": 1e-5, "percent": 1e-4}  # relative: stored as float32, or summed in it


@dataclass(frozen=True)
class Quality:
    """How a column compares.

    Attributes
    ----------
    share
        Of cells that are equal.
    message, hint, row, severity
        What to say where they are not all.
    """

    share: float
    message: str = ""
    hint: str = ""
    row: int | None = None
    severity: Severity | None = None


def compare_quality(stated: NDArray[np.float64], actual: NDArray[np.float64], name: str, measure: str) -> Quality:
    """Compare a column with what the matrix gives.

    A column that differs in most cells was taken from other counts (before genes or cells were removed, say), which is
    noted; one that differs in a few is wrong for these.

    Parameters
    ----------
    stated, actual
        float64 a cell; a share may be stated as 0 … 1 where ``actual`` has 0 … 100.
    name, measure
        Of the column, and a key of `QUALITY`.
    """
    known = np.isfinite(stated) & np.isfinite(actual)
    if not known.any():
        return Quality(0.0, f"no cell has a {name} to compare", severity="note")
    if measure == "percent" and np.median(stated[known]) * 10 < np.median(actual[known]):
        stated = 100 * stated
    differ = known & ~(np.abs(stated - actual) <= _SLACK[measure] * np.maximum(np.abs(actual), 1.0))
    n, total = int(differ.sum()), int(known.sum())
    share = 1 - n / total
    if not n:
        return Quality(1.0)
    row = int(np.flatnonzero(differ)[0])
    first = f"the first has {stated[row]:g}, its values give {actual[row]:g}"
    if 2 * n > total:
        higher = int((stated[known] > actual[known]).sum())
        correlation = _correlation(stated[known], actual[known])
        alike = f"; correlation {correlation:.3f}" if np.isfinite(correlation) else ""
        said = f"{n:,} of {total:,} cells have another {name} than their values give ({higher:,} a higher one"
        said += f"{alike}): it was taken from other counts, as before genes were removed"
        return Quality(share, said, "recompute it before using it beside these counts", None, "note")
    return Quality(share, f"{n:,} of {total:,} cells have another {name} than their values give; {first}",
                   "recompute it in the source", row)  # fmt: skip


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    if len(one) < 2 or one.std() == 0 or other.std() == 0:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])
