"""Bundled gene sets and their scores, highly variable genes, and the choice of the wide panel's genes."""

from titin.features.gene_sets import GeneSet, gene_sets, read_gmt
from titin.features.highly_variable import highly_variable, highly_variable_from_moments
from titin.features.panel import Panel, choose_panel
from titin.features.scores import (
    GeneSetScores,
    programme_sets,
    read_gene_set_scores,
    score_gene_sets,
    write_gene_set_scores,
)

__all__ = [
    "GeneSet",
    "GeneSetScores",
    "Panel",
    "choose_panel",
    "gene_sets",
    "highly_variable",
    "highly_variable_from_moments",
    "programme_sets",
    "read_gene_set_scores",
    "read_gmt",
    "score_gene_sets",
    "write_gene_set_scores",
]
