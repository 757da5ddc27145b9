"""Gene programmes with age: scores of donors' sums, or of cells averaged, tested with donors as the replicates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pandas as pd

from titin import options
from titin.ageing.analysis import ALPHA, Analysis, Findings, Inputs, hits, main_result, unstack
from titin.ageing.comparison import Comparisons, Contrast, left_out
from titin.ageing.donor_means import MIN_CELLS, compare_donor_means
from titin.ageing.donor_scores import DonorScoreMethod, score_donors, scores_of_cells
from titin.ageing.enrichment import gene_set_tests, over_representation
from titin.ageing.gene_changes import comparisons_of, expression_of
from titin.ageing.pseudobulk import Pseudobulk
from titin.ageing.verdict import say_changes, say_unit
from titin.analysis_options import CONTRAST, FORMULA, LEVEL, SCORE, SEED
from titin.analysis_options import MIN_CELLS as MIN_CELLS_OPTION
from titin.atlas import Atlas
from titin.errors import TitinError, reason_of
from titin.features import GeneSet, GeneSetScores, programme_sets, read_gmt, score_gene_sets, write_gene_set_scores
from titin.features.scores import ScoreMethod
from titin.plot import forest, heat_map
from titin.progress import Progress
from titin.publish import refresh_card
from titin.results import Result
from titin.section import Section
from titin.study.design import AGE

_SETS_SHOWN = 30
CAVEAT = (
    "a score compares donors within one type and protocol; between types it also differs by what the types express "
    "anyway, and sets share genes, so that their tests are not independent"
)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Programmes(Comparisons):
    """Scores of gene sets compared between donors.

    Attributes
    ----------
    table
        One row a set (``feature``), type and protocol; see `compare_donor_means`.
    donors
        One row a donor, protocol, type and set (``feature``): ``mean``, ``n_cells``, ``age``, ``sex``.
    genes
        Genes of each set in the dataset, where the scores say so.
    left_out
        Sets that were not scored, with the reason.
    """

    donors: pd.DataFrame
    genes: dict[str, int]
    left_out: dict[str, str]


def programmes(
    atlas: Atlas,
    sets: Mapping[str, GeneSet | Sequence[str]] | None = None,
    *,
    method: DonorScoreMethod = "pseudobulk",
    scores: GeneSetScores | None = None,
    sums: Pseudobulk | None = None,
    cell_type_level: int | str | None = None,
    contrast: Contrast = AGE,
    formula: str | None = None,
    min_cells: int = MIN_CELLS,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Programmes:
    """Score gene sets and test the scores over donors, in each type and protocol.

    Parameters
    ----------
    atlas
        The dataset.
    sets
        Of symbols, by name; the bundled programmes where not given.
    method, seed
        ``pseudobulk``: scores of the summed counts of a donor's cells (`pseudobulk_scores`), which do not follow depth;
        of a dataset without counts, ``score_genes``. Else of each cell, as for `titin.features.score_gene_sets`,
        averaged over a donor's cells.
    scores
        Scores of cells that are there already; nothing is then scored.
    sums
        Counts by donor and type, where they are there already.
    cell_type_level, contrast, formula, min_cells
        As for `differential_expression`.
    threads, progress
        For the scores.

    Raises
    ------
    TitinError
        If the dataset lacks donors, ages or a column of the formula, or no set has genes enough.
    """
    chosen = programme_sets(atlas.preset) if sets is None else sets
    found = score_donors(
        atlas, chosen, method=method, scores=scores, sums=sums, cell_type_level=cell_type_level, contrast=contrast,
        formula=formula, seed=seed, threads=threads, progress=progress,
    )  # fmt: skip
    tests = compare_donor_means(found.means, contrast=contrast, formula=formula, min_cells=min_cells)
    return Programmes(
        tests.table, tests=tests.tests, skipped=tests.skipped, caveat=CAVEAT, donors=found.means.by_donor(),
        genes=found.genes, left_out=found.left_out, settings={**tests.settings, **found.settings},
        **left_out(found.complete),
    )  # fmt: skip


def _run(
    inputs: Inputs, *, method: DonorScoreMethod = "pseudobulk", gmt: Sequence[Path] = (),
    scores: GeneSetScores | None = None, write: bool = False, no_enrichment: bool = False, **options: Any,
) -> Findings:  # fmt: skip
    sets = {name: own for file in gmt for name, own in read_gmt(file).items()}
    sets = sets or programme_sets(inputs.atlas.preset)
    drawn: dict[str, Any] = {"seed": inputs.seed, "threads": inputs.threads, "progress": inputs.progress}
    results: dict[str, Result] = {"": programmes(inputs.atlas, sets, method=method, scores=scores,
                                                 sums=inputs.sums(**options), **drawn, **options)}  # fmt: skip
    missing: dict[str, str] = {}
    if not no_enrichment:
        try:
            results["enrichment"] = gene_set_tests(comparisons_of(inputs, **options), sets)
            results["overlap"] = over_representation(expression_of(inputs, **options), sets)
        except TitinError as reason:
            missing["enrichment"] = reason_of(reason)
    files = []
    if write:  # of all cells, those that take no part in the comparison among them
        cells: ScoreMethod = "score_genes" if method == "pseudobulk" else method
        every = score_gene_sets(inputs.atlas, sets, method=cells, **drawn) if scores is None else scores
        files = [write_gene_set_scores(inputs.atlas.folder, every, last=refresh_card)]
    return Findings(results, missing, files)


def name_tests(tests: pd.DataFrame, n: int = 20) -> pd.DataFrame:
    """The clearest tests, each with a ``name`` for a forest plot."""
    best = tests.dropna(subset=["p_value"]).sort_values("p_value").head(n)
    parts = [best[column].astype(str) for column in ("feature", "cell_type", "protocol") if column in best]
    return best.assign(name=[" · ".join(named) for named in zip(*parts, strict=True)])


def _show(section: Section, findings: Findings, inputs: Inputs) -> None:  # noqa: ARG001
    """Add gene-set scores over donors, and the enrichment of differential expression."""
    found = main_result(findings, Programmes)
    tests = found.table
    section.say(f"Scores: {found.settings['score']}; donors are compared. Note: {CAVEAT}.")
    section.facts |= {"sets": found.donors["feature"].nunique(), "hits": hits(tests)}
    if len(tests):
        best = name_tests(tests)
        axes = forest(best, label="name", xlabel=f"change of the score{say_unit(found.settings)}")
        section.figure("clearest", axes, f"The clearest programmes; {found.vif()}", best)
        wide = tests.assign(where=tests["cell_type"] + " · " + tests["protocol"])
        kept = wide.groupby("feature")["p_value"].min().sort_values().index[:_SETS_SHOWN]
        wide = wide[wide["feature"].isin(kept)].set_index(["feature", "where"])
        marks = unstack(wide["adj_p_value"], "where") < ALPHA
        label = f"t of the change{say_unit(found.settings)}"
        axes = heat_map(unstack(wide["t"], "where"), centre=0, label=label, marks=marks, missing="not evaluable",
                        x_label="", y_label="")  # fmt: skip
        section.figure("all", axes, "Programmes by type; a dot where adjusted p < 0.05", tests)
    section.table("tests", tests.sort_values("p_value"), "Tests of the programmes")
    if "enrichment" in findings.missing:
        section.say(f"No enrichment of differential expression: {findings.missing['enrichment']}.", kind="soft")
    else:
        enriched = findings.results["enrichment"].table.sort_values("p_value")
        section.table("enrichment", enriched, "Sets that change with age, by the donors' expression (camera, fry)")


def _verdict(findings: Findings) -> str:
    found = main_result(findings, Programmes)
    return say_changes(found.table, found.settings, noun="gene programme", label="feature")


PROGRAMMES = Analysis(
    name="programmes",
    title="Gene programmes",
    summary="Gene programmes with age.",
    help="""Score gene sets in the donors of DATASET, and test the scores for a change with age in every type.

    \b
    titin age programmes dataset
    titin age programmes dataset --gmt hallmark.gmt --method ucell --write

    The sets of --gmt take the place of the bundled ones.
    """,
    needs=("donor", "age"),
    result=Programmes,
    run=_run,
    show=_show,
    headline=True,
    narrowed_by=("cell_type",),
    verdict=_verdict,
    parts=("", "enrichment", "overlap"),
    in_report=scores_of_cells,
    options=(
        LEVEL, CONTRAST, FORMULA, MIN_CELLS_OPTION, SCORE, SEED,
        click.Option(["--gmt"], **options.GMT),
        click.Option(["--write"], is_flag=True,
                     help="Put scores of all cells into the dataset, by score_genes unless told otherwise."),
        click.Option(["--no-enrichment"], is_flag=True, help="Leave out the enrichment of differential expression."),
    ),
    reads_all=True,
)  # fmt: skip
