"""Senescence and inflammation with age: scores of gene sets and the detection of single genes, over donors."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from titin.ageing.analysis import Analysis, Findings, Inputs, main_result, unstack
from titin.ageing.comparison import Comparisons, Contrast, left_out
from titin.ageing.donor_means import MIN_CELLS, cells_that_take_part, compare_donor_means, donor_means
from titin.ageing.donor_scores import DonorScoreMethod, score_donors, scores_of_cells
from titin.ageing.programmes import name_tests
from titin.ageing.pseudobulk import Pseudobulk
from titin.ageing.verdict import say_changes
from titin.analysis_options import FORMULA, LEVEL, SCORE, SEED
from titin.analysis_options import MIN_CELLS as MIN_CELLS_OPTION
from titin.atlas import Atlas
from titin.errors import TitinError
from titin.features import GeneSetScores, gene_sets
from titin.plot import forest, heat_map
from titin.progress import Progress
from titin.section import Section
from titin.study.design import AGE

SETS = (
    "SenMayo", "CellAge_induces", "REACTOME_SENESCENCE_ASSOCIATED_SECRETORY_PHENOTYPE_SASP", "inflammatory_cytokines",
    "HALLMARK_INFLAMMATORY_RESPONSE", "HALLMARK_TNFA_SIGNALING_VIA_NFKB", "HALLMARK_P53_PATHWAY",
)  # fmt: skip
GENES = ("CDKN1A", "CDKN2A", "GDF15", "CCL2", "IL6", "CXCL8")
DETECTED = " detected"
CAVEAT = (
    "these sets hold genes that fibroblasts, endothelium and immune cells express at any age: donors are compared "
    "within a type. CDKN2A is hardly seen by droplet methods, so that no cell is called senescent by it"
)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Senescence(Comparisons):
    """Senescence and inflammation compared between donors.

    Attributes
    ----------
    table
        One row a feature, type and protocol; see `compare_donor_means`.
    donors
        One row a donor, protocol, type and ``feature``: a set's name or a gene with the score of the donor's sum
        (``mean``); with scores of cells their mean, and ``GENE detected``, the share of cells in which it was.
    detection
        One row a gene and type: ``n_cells``, ``n_detected``, ``n_donors`` in which it was.
    missing_genes
        Of the single genes, those that the dataset does not have.
    """

    donors: pd.DataFrame
    detection: pd.DataFrame
    missing_genes: list[str]


def senescence(
    atlas: Atlas,
    *,
    scores: GeneSetScores | None = None,
    sums: Pseudobulk | None = None,
    method: DonorScoreMethod = "pseudobulk",
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
        Scores of cells that are there already; those of `SETS` are taken from it, and nothing is scored.
    sums, method, seed
        As for `titin.ageing.programmes`. With ``pseudobulk`` single genes are compared by their level in donors' sums,
        less that of genes of like mean; else by the share of cells in which they were detected, which follows depth.
    cell_type_level, contrast, formula, min_cells
        As for `differential_expression`.
    threads, progress
        For the scores.

    Raises
    ------
    TitinError
        If the dataset lacks donors, ages, or all genes of the sets.
    """
    asked: dict[str, Any] = {"contrast": contrast, "formula": formula}
    complete = cells_that_take_part(atlas, cell_type_levels=[cell_type_level], **asked)
    atlas = atlas.comparable()
    known = atlas.main_names(GENES)
    bundled = gene_sets()
    sets = {name: bundled[name] for name in SETS}
    index = atlas.obs_names[complete.rows]
    seen = pd.DataFrame({f"{gene}{DETECTED}": (atlas[name] > 0).reindex(index).to_numpy(np.float64)
                         for gene, name in known.items()}, index=index)  # fmt: skip
    try:
        found = score_donors(atlas, sets, method=method, scores=scores, sums=sums, single_genes=GENES, seed=seed,
                             cell_type_level=cell_type_level, threads=threads, progress=progress, **asked)  # fmt: skip
    except TitinError as reason:
        if not known:
            raise TitinError("this dataset has none of the genes of senescence or inflammation, by their symbols",
                             "gene symbols as HGNC spells them are needed") from reason  # fmt: skip
        found = score_donors(atlas, {}, scores=GeneSetScores(pd.DataFrame(index=index)), sums=sums,
                             cell_type_level=cell_type_level, **asked)  # fmt: skip
    means = found.means
    if found.cells is not None:
        frame = found.cells.table
        values = frame[[name for name in SETS if name in frame]].astype(np.float64).join(seen)
        if values.empty or not len(values.columns):
            raise TitinError("there are no scores or genes of senescence or inflammation in this dataset",
                             "give scores of its sets, or gene symbols as HGNC spells them")  # fmt: skip
        means = donor_means(atlas, values, cell_type_level=cell_type_level, complete=complete)
    families = {name: "score" if name in SETS else "gene" for name in map(str, means.means)}
    donors = means.by_donor() if "donor" in means.groups else pd.DataFrame()
    tests = compare_donor_means(means, families=families, min_cells=min_cells, **asked)
    detected = donor_means(atlas, seen, cell_type_level=cell_type_level).by_donor() if known else donors
    return Senescence(
        tests.table, tests=tests.tests, skipped=tests.skipped, caveat=CAVEAT, donors=donors,
        detection=_detection(detected, list(known)), missing_genes=[gene for gene in GENES if gene not in known],
        settings={**tests.settings, **found.settings}, **left_out(found.complete),
    )  # fmt: skip


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


def _run(inputs: Inputs, **options: Any) -> Findings:
    return Findings({"": senescence(
        inputs.atlas, sums=inputs.sums(formula=options.get("formula")), seed=inputs.seed, threads=inputs.threads,
        progress=inputs.progress, **options,
    )})  # fmt: skip


def _show(section: Section, findings: Findings, inputs: Inputs) -> None:  # noqa: ARG001
    """Add scores of senescence and inflammation, and the detection of single genes."""
    found = main_result(findings, Senescence)
    section.say(f"Note: {found.caveat}.")
    best = name_tests(found.table)
    if len(best):
        axes, title = forest(best, label="name", xlabel="change a decade"), f"The clearest changes; {found.vif()}"
        section.figure("clearest", axes, title, best)
    seen = found.detection
    if len(seen):
        share = (seen["n_detected"] / seen["n_cells"]).to_numpy() * 100
        wide = unstack(seen.assign(share=share).set_index(["cell_type", "gene"])["share"], "gene")
        axes = heat_map(wide, label="% of cells", x_label="", y_label="cell type")
        section.figure("detection", axes, "Cells in which single genes were detected", seen)
    section.table("tests", found.table.sort_values("p_value"), "Tests")
    if found.missing_genes:
        section.say(f"Not in the dataset: {', '.join(found.missing_genes)}.", kind="soft")


def _verdict(findings: Findings) -> str:
    found = main_result(findings, Senescence)
    return say_changes(found.table, found.settings, noun="measure of senescence", label="feature")


SENESCENCE = Analysis(
    name="senescence",
    title="Senescence and inflammation",
    summary="Senescence and inflammation with age.",
    help="""Compare scores of senescence and inflammation, and the detection of CDKN1A and others, between donors.""",
    needs=("donor", "age"),
    result=Senescence,
    run=_run,
    show=_show,
    narrowed_by=("cell_type",),
    verdict=_verdict,
    in_report=scores_of_cells,
    options=(LEVEL, FORMULA, MIN_CELLS_OPTION, SCORE, SEED),
    reads_all=True,
)
