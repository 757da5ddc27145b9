"""What the page's search for a gene looks in: the clearest comparisons of each gene, small enough for a page."""

from typing import Any

import numpy as np
import pandas as pd

from titin.ageing.verdict import clearest_first
from titin.report.data import ReportData
from titin.visible import visible

_PER_GENE = 4  # comparisons
_ROWS = 24_000  # in all: some 600 kB


def searched_genes(data: ReportData, rows: int = _ROWS) -> dict[str, Any] | None:
    """What the search looks in, JSON-safe; None where no effect of a gene was tested.

    Parameters
    ----------
    data
        With the findings on expression.
    rows
        Most comparisons in all; genes without any among the clearest are left out, and counted.

    Returns
    -------
    dict or None
        ``places``: the types and protocols compared; ``genes``: by name a list of ``[place, log2 fold change, low,
        high, adjusted p]``, the clearest first, p adjusted over all comparisons; ``omitted``: genes left out.
    """
    found = data.result("expression")
    if found is None or "log2_fold_change" not in found.table:
        return None
    return document_of_genes(found.table, rows)


def document_of_genes(table: pd.DataFrame, rows: int = _ROWS) -> dict[str, Any]:
    """What `searched_genes` gives, of a table of differential expression."""
    tested = clearest_first(table)
    best = tested[tested.groupby("gene", observed=True).cumcount() < _PER_GENE].head(rows)
    protocol = best["protocol"].astype(str)
    where = best["cell_type"].astype(str).str.cat(np.where(protocol == "all", "", " in " + protocol))
    codes, places = pd.factorize(where)
    numbers = best[["log2_fold_change", "ci_low", "ci_high"]].round(2).to_numpy(float).tolist()
    genes: dict[str, list[Any]] = {}
    shown = zip(best["gene"].map(visible), codes.tolist(), numbers, best["over_all"], strict=True)
    for gene, place, effect, p in shown:
        genes.setdefault(gene, []).append([place, *effect, float(f"{p:.2g}")])
    omitted = int(tested["gene"].nunique() - best["gene"].nunique())
    return {"places": [visible(place) for place in places], "genes": genes, "omitted": omitted}
