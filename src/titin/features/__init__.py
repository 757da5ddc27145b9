"""Bundled gene sets, highly variable genes, and the choice of the wide panel's genes."""

from titin.features.gene_sets import GeneSet, gene_sets, read_gmt
from titin.features.highly_variable import highly_variable_from_moments
from titin.features.panel import choose_panel

__all__ = ["GeneSet", "choose_panel", "gene_sets", "highly_variable_from_moments", "read_gmt"]
