"""Scores of gene sets by donor, of sums or of cells, and whether the depth of the cells goes with age."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from titin.ageing.analysis import Inputs
from titin.ageing.comparison import Contrast, extra_columns
from titin.ageing.depth import depth_warnings
from titin.ageing.donor_means import DonorMeans, cells_that_take_part, donor_means
from titin.ageing.pseudobulk import Pseudobulk, pseudobulk
from titin.ageing.pseudobulk_scores import METHOD, pseudobulk_scores
from titin.atlas import Atlas
from titin.features import GeneSet, GeneSetScores, score_gene_sets
from titin.features.scores import ScoreMethod
from titin.progress import Progress
from titin.study.design import AGE
from titin.study.gaps import Complete

DonorScoreMethod = Literal["pseudobulk", "score_genes", "ucell", "ulm"]


@dataclass(frozen=True)
class DonorScores:
    """Scores of donors, and how they were made.

    Attributes
    ----------
    means
        Of every donor, type and protocol.
    complete
        Who took part.
    genes, left_out
        Genes of each set in the dataset; sets that were not scored, with the reason.
    settings
        ``score`` and what it was used with, and ``depth_warnings``.
    cells
        Scores of cells, where these were averaged.
    """

    means: DonorMeans
    complete: Complete
    genes: dict[str, int]
    left_out: dict[str, str]
    settings: dict[str, Any]
    cells: GeneSetScores | None = None


def score_donors(
    atlas: Atlas, sets: Mapping[str, GeneSet | Sequence[str]], *, method: DonorScoreMethod = "pseudobulk",
    scores: GeneSetScores | None = None, sums: Pseudobulk | None = None, single_genes: Sequence[str] = (),
    cell_type_level: int | str | None = None, contrast: Contrast = AGE, formula: str | None = None, seed: int = 0,
    threads: int | None = None, progress: Progress | None = None,
) -> DonorScores:  # fmt: skip
    """Score gene sets by donor; see `titin.ageing.programmes` for the arguments.

    Raises
    ------
    TitinError
        If no set has genes enough, or the dataset lacks donors or a level.
    """
    counted = atlas.manifest.value_kind.has_counts
    if counted and sums is None:
        sums = pseudobulk(atlas, extra=extra_columns(contrast, formula, None), threads=threads, progress=progress)
    if scores is None and method == "pseudobulk" and sums is not None:
        found = pseudobulk_scores(sums, sets, single_genes=single_genes, cell_type_level=cell_type_level,
                                  contrast=contrast, formula=formula)  # fmt: skip
        warned = depth_warnings(sums.select(found.complete.rows))
        return DonorScores(found.means, found.complete, found.genes, found.left_out,
                           {"score": METHOD, "depth_warnings": warned})  # fmt: skip
    complete = cells_that_take_part(atlas, contrast=contrast, formula=formula, cell_type_levels=[cell_type_level])
    if scores is None:
        of_cells: ScoreMethod = "score_genes" if method == "pseudobulk" else method
        scores = score_gene_sets(atlas, sets, method=of_cells, cells=complete.chosen, seed=seed, threads=threads,
                                 progress=progress)  # fmt: skip
    means = donor_means(atlas, scores.table, cell_type_level=cell_type_level, complete=complete)
    warned = ["the dataset has no counts, so that it cannot be told whether depth goes with age, which scores of cells "
              "follow"] if sums is None else depth_warnings(sums)  # fmt: skip
    return DonorScores(means, complete, scores.genes, scores.left_out,
                       {**score_settings(scores), "depth_warnings": warned}, scores)  # fmt: skip


def score_settings(scores: GeneSetScores) -> dict[str, Any]:
    """What cells were scored with, as a part of the settings of what compares the scores."""
    return {"score": scores.settings.get("method", "as given"),
            **{name: value for name, value in scores.settings.items() if name != "method"}}  # fmt: skip


def scores_of_cells(inputs: Inputs) -> dict[str, Any]:
    """What the report asks for: scores of cells where the dataset has no counts to sum, made once."""
    return {} if inputs.atlas.manifest.value_kind.has_counts else {"scores": inputs.scores()}
