"""Gene programmes with age: scores of cells averaged over donors, and tested with donors as the replicates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pandas as pd

from titin import options
from titin.ageing.analysis import (
    ALPHA,
    CONTRAST,
    FORMULA,
    LEVEL,
    SCORE,
    SEED,
    Analysis,
    Findings,
    Inputs,
    hits,
    main_result,
    unstack,
)
from titin.ageing.analysis import MIN_CELLS as MIN_CELLS_OPTION
from titin.ageing.comparison import Comparisons, Contrast
from titin.ageing.donor_means import MIN_CELLS, compare_donor_means, donor_means
from titin.ageing.enrichment import over_representation, ranked_enrichment
from titin.ageing.gene_changes import expression_of
from titin.atlas import Atlas
from titin.errors import TitinError
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
    method: ScoreMethod = "score_genes",
    scores: GeneSetScores | None = None,
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
        Scores that are there already; nothing is then scored.
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
    found = scores
    if found is None:
        found = score_gene_sets(atlas, chosen, method=method, seed=seed, threads=threads, progress=progress)
    means = donor_means(atlas, found.table, cell_type_level=cell_type_level)
    tests = compare_donor_means(means, contrast=contrast, formula=formula, min_cells=min_cells)
    return Programmes(
        tests.table, tests=tests.tests, skipped=tests.skipped, caveat=CAVEAT, donors=means.by_donor(),
        genes=found.genes, left_out=found.left_out,
        settings={**tests.settings, **score_settings(found)},
    )  # fmt: skip


def score_settings(scores: GeneSetScores) -> dict[str, Any]:
    """What cells were scored with, as a part of the settings of what compares the scores."""
    return {"score": scores.settings.get("method", "as given"),
            **{name: value for name, value in scores.settings.items() if name != "method"}}  # fmt: skip


def _run(
    inputs: Inputs, *, method: ScoreMethod = "score_genes", gmt: Sequence[Path] = (),
    scores: GeneSetScores | None = None, write: bool = False, no_enrichment: bool = False, **options: Any,
) -> Findings:  # fmt: skip
    sets = {name: own for file in gmt for name, own in read_gmt(file).items()}
    sets = sets or programme_sets(inputs.atlas.preset)
    if scores is None:
        scores = score_gene_sets(inputs.atlas, sets, method=method, seed=inputs.seed, threads=inputs.threads,
                                 progress=inputs.progress)  # fmt: skip
    results: dict[str, Result] = {"": programmes(inputs.atlas, scores=scores, **options)}
    missing: dict[str, str] = {}
    if not no_enrichment:
        try:
            genes = expression_of(inputs, **options)
        except TitinError as reason:
            missing["enrichment"] = str(reason.args[0])
        else:
            results["enrichment"] = ranked_enrichment(genes, sets)
            results["overlap"] = over_representation(genes, sets)
    files = [write_gene_set_scores(inputs.atlas.folder, scores, last=refresh_card)] if write else []
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
    section.say(f"Scores of the cells: {found.settings['score']}; donors' means are compared. Note: {CAVEAT}.")
    section.facts |= {"sets": found.donors["feature"].nunique(), "hits": hits(tests)}
    if len(tests):
        best = name_tests(tests)
        axes = forest(best, label="name", xlabel="change of the score a decade")
        section.figure("clearest", axes, "The clearest programmes", best)
        wide = tests.assign(where=tests["cell_type"] + " · " + tests["protocol"])
        kept = wide.groupby("feature")["p_value"].min().sort_values().index[:_SETS_SHOWN]
        wide = wide[wide["feature"].isin(kept)].set_index(["feature", "where"])
        marks = unstack(wide["adj_p_value"], "where") < ALPHA
        axes = heat_map(unstack(wide["t"], "where"), centre=0, label="t of the change a decade", marks=marks,
                        x_label="", y_label="")  # fmt: skip
        section.figure("all", axes, "Programmes by type; a dot where adjusted p < 0.05", tests)
    section.table("tests", tests.sort_values("p_value"), "Tests of the programmes")
    if "enrichment" in findings.missing:
        section.say(f"No enrichment of differential expression: {findings.missing['enrichment']}.", kind="soft")
    else:
        enriched = findings.results["enrichment"].table.sort_values("p_value")
        section.table("enrichment", enriched, "Sets that differential expression favours (ranked test)")


PROGRAMMES = Analysis(
    name="programmes",
    title="Gene programmes",
    summary="Gene programmes with age.",
    help="""Score gene sets in every cell of DATASET, and test donors' means for a change with age in every type.

    \b
    titin age programmes dataset
    titin age programmes dataset --gmt hallmark.gmt --method ucell --write

    The sets of --gmt take the place of the bundled ones.
    """,
    needs=("donor", "age"),
    result=Programmes,
    run=_run,
    show=_show,
    parts=("", "enrichment", "overlap"),
    in_report=lambda inputs: {"scores": inputs.scores()},
    options=(
        LEVEL, CONTRAST, FORMULA, MIN_CELLS_OPTION, SCORE, SEED,
        click.Option(["--gmt"], **options.GMT),
        click.Option(["--write"], is_flag=True, help="Put the scores of all cells into the dataset."),
        click.Option(["--no-enrichment"], is_flag=True, help="Leave out the enrichment of differential expression."),
    ),
)  # fmt: skip
