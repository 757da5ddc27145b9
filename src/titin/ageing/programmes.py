"""Gene programmes with age: scores of cells averaged over donors, and tested with donors as the replicates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from titin.ageing.comparison import Contrast
from titin.ageing.donor_means import MIN_CELLS, compare_donor_means, donor_means
from titin.atlas import Atlas
from titin.errors import TitinError
from titin.features import GeneSet, gene_sets, programme_sets, score_gene_sets
from titin.features.scores import Method
from titin.progress import Progress
from titin.study.groups import AGE

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


SETS = (
    "SenMayo", "CellAge_induces", "REACTOME_SENESCENCE_ASSOCIATED_SECRETORY_PHENOTYPE_SASP", "inflammatory_cytokines",
    "HALLMARK_INFLAMMATORY_RESPONSE", "HALLMARK_TNFA_SIGNALING_VIA_NFKB", "HALLMARK_P53_PATHWAY",
)  # fmt: skip
GENES = ("CDKN1A", "CDKN2A", "GDF15", "CCL2", "IL6", "CXCL8")
DETECTED = " detected"
SENESCENCE_CAVEAT = (
    "these sets hold genes that fibroblasts, endothelium and immune cells express at any age: donors are compared "
    "within a type. CDKN2A is hardly seen by droplet methods, so that no cell is called senescent by it"
)


@dataclass(frozen=True)
class Senescence:
    """Donor means and tests.

    Attributes
    ----------
    donors
        One row a donor, protocol, type and ``feature``: a set's name, or ``GENE detected``; ``mean`` over the donor's
        cells of the score, or the share of cells in which the gene was detected.
    tests
        One row a feature, type and protocol; see `compare_donor_means`.
    detection
        One row a gene and type: ``n_cells``, ``n_detected``, ``n_donors`` in which it was.
    """

    donors: pd.DataFrame
    tests: pd.DataFrame
    detection: pd.DataFrame


def senescence(
    atlas: Atlas,
    *,
    scores: pd.DataFrame | None = None,
    method: Method = "score_genes",
    cell_type_level: int | str | None = None,
    contrast: Contrast = AGE,
    formula: str | None = None,
    min_cells: int = MIN_CELLS,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Senescence:
    """Compare senescence and inflammation between donors, in each type and protocol.

    Parameters
    ----------
    atlas
        The dataset.
    scores
        Scores that are there already, cells × sets; those of `SETS` are taken from it, and nothing is scored.
    method, seed
        As for `titin.features.score_gene_sets`.
    cell_type_level, contrast, formula, min_cells
        As for `differential_expression`.
    threads, progress
        For the scores.

    Raises
    ------
    TitinError
        If the dataset lacks donors, ages, or all genes of the sets.
    """
    known = [gene for gene in GENES if gene in atlas]
    if scores is None:
        bundled = gene_sets()
        try:
            scores = score_gene_sets(atlas, {name: bundled[name] for name in SETS}, method=method, seed=seed,
                                     threads=threads, progress=progress)  # fmt: skip
        except TitinError as reason:
            if not known:
                raise TitinError("this dataset has none of the genes of senescence or inflammation, by their symbols",
                                 "gene symbols as HGNC spells them are needed") from reason  # fmt: skip
            scores = pd.DataFrame(index=atlas.obs_names)
    values: dict[str, Any] = {name: scores[name].to_numpy(np.float64) for name in SETS if name in scores}
    found = {gene: (atlas[gene] > 0).reindex(scores.index).to_numpy() for gene in known}
    values |= {f"{gene}{DETECTED}": where.astype(np.float64) for gene, where in found.items()}
    if not values:
        raise TitinError("there are no scores or genes of senescence or inflammation in this dataset",
                         "give scores of its sets, or gene symbols as HGNC spells them")  # fmt: skip
    means = donor_means(atlas, pd.DataFrame(values, index=scores.index), cell_type_level=cell_type_level)
    families = {name: "detection" if name.endswith(DETECTED) else "score" for name in values}
    donors = means.by_donor() if "donor" in means.groups else pd.DataFrame()
    tests = compare_donor_means(means, contrast=contrast, formula=formula, min_cells=min_cells, families=families)
    tests.attrs |= {"caveat": SENESCENCE_CAVEAT, "score": scores.attrs.get("method", "as given"),
                    "missing_genes": [gene for gene in GENES if gene not in known]}  # fmt: skip
    return Senescence(donors, tests, _detection(donors, known))


def _detection(donors: pd.DataFrame, genes: list[str]) -> pd.DataFrame:
    rows = []
    for gene in genes:
        own = donors[donors["feature"] == f"{gene}{DETECTED}"]
        own = own.assign(n_detected=(own["mean"] * own["n_cells"]).round().astype(int))
        for name, part in own.groupby("cell_type"):
            rows.append({
                "gene": gene, "cell_type": name, "n_cells": int(part["n_cells"].sum()),
                "n_detected": int(part["n_detected"].sum()),
                "n_donors": int(part.loc[part["n_detected"] > 0, "donor"].nunique()),
            })  # fmt: skip
    return pd.DataFrame(rows, columns=["gene", "cell_type", "n_cells", "n_detected", "n_donors"])
