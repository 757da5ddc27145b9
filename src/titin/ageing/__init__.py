"""What changes with age, with donors as the replicates: pseudobulk, differential expression, composition."""

from titin.ageing.composition import CellCounts, cell_counts, composition, mann_whitney
from titin.ageing.design import NotTestableError
from titin.ageing.differential_expression import differential_expression
from titin.ageing.enrichment import over_representation, ranked_enrichment
from titin.ageing.fibres import fibres
from titin.ageing.gene_statistics import gene_statistics
from titin.ageing.glmm import PoissonMixedModel, fit_poisson_mixed_model
from titin.ageing.meta_analysis import meta_analysis
from titin.ageing.programmes import programmes, senescence
from titin.ageing.pseudobulk import Pseudobulk, pseudobulk, write_pseudobulk
from titin.ageing.stem_cells import stem_cells
from titin.ageing.variance_partition import variance_partition

__all__ = [
    "CellCounts",
    "NotTestableError",
    "PoissonMixedModel",
    "Pseudobulk",
    "cell_counts",
    "composition",
    "differential_expression",
    "fibres",
    "fit_poisson_mixed_model",
    "gene_statistics",
    "mann_whitney",
    "meta_analysis",
    "over_representation",
    "programmes",
    "pseudobulk",
    "ranked_enrichment",
    "senescence",
    "stem_cells",
    "variance_partition",
    "write_pseudobulk",
]
