"""Gene programmes with age: scores of cells averaged over donors, and tested with donors as the replicates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from titin.ageing.comparison import Contrast
from titin.ageing.donor_means import MIN_CELLS, compare_donor_means, donor_means
from titin.ageing.groups import AGE
from titin.atlas import Atlas
from titin.features import GeneSet, programme_sets, score_gene_sets
from titin.features.scores import Method
from titin.progress import Progress

CAVEAT = (
    "a score compares donors within one type and protocol; between types it also differs by what the types express "
    "anyway, and sets share genes, so that their tests are not independent"
)


@dataclass(frozen=True)
class Programmes:
    """Scores, their donor means, and their tests.

    Attributes
    ----------
    scores
        float32, cells × sets; see `titin.features.score_gene_sets`.
    donors
        One row a donor, protocol, type and set (``feature``): ``mean``, ``n_cells``, ``age``, ``sex``.
    tests
        One row a set (``feature``), type and protocol; see `compare_donor_means`.
    """

    scores: pd.DataFrame
    donors: pd.DataFrame
    tests: pd.DataFrame


def programmes(
    atlas: Atlas,
    sets: Mapping[str, GeneSet | Sequence[str]] | None = None,
    *,
    method: Method = "score_genes",
    scores: pd.DataFrame | None = None,
    cell_type_level: int | str | None = None,
    contrast: Contrast = AGE,
    formula: str | None = None,
    min_cells: int = MIN_CELLS,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Programmes:
    """Score gene sets in every cell and test their means over donors, in each type and protocol.

    Parameters
    ----------
    atlas
        The dataset.
    sets
        Of symbols, by name; the bundled programmes where not given.
    method, seed
        As for `titin.features.score_gene_sets`.
    scores
        Scores that are there already, cells × sets; nothing is then scored.
    cell_type_level, contrast, formula, min_cells
        As for `differential_expression`.
    threads, progress
        For the scores.

    Raises
    ------
    TitinError
        If the dataset lacks donors, ages or a column of the formula, or no set has genes enough.
    """
    chosen = programme_sets() if sets is None else sets
    found = scores
    if found is None:
        found = score_gene_sets(atlas, chosen, method=method, seed=seed, threads=threads, progress=progress)
    means = donor_means(atlas, found, cell_type_level=cell_type_level)
    tests = compare_donor_means(means, contrast=contrast, formula=formula, min_cells=min_cells)
    tests.attrs |= {"score": found.attrs.get("method", "as given"), "caveat": CAVEAT,
                    "left_out": found.attrs.get("left_out", {}), "genes": found.attrs.get("genes", {})}  # fmt: skip
    return Programmes(found, means.by_donor(), tests)
