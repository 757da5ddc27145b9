"""What changes with age, with donors as the replicates: pseudobulk, differential expression, composition."""

from titin.ageing.analysis import Analysis, Findings, Inputs
from titin.ageing.catalogue import ANALYSES
from titin.ageing.comparison import Comparisons
from titin.ageing.composition import CellCounts, Composition, cell_counts, composition, mann_whitney
from titin.ageing.design import NotTestableError
from titin.ageing.differential_expression import DifferentialExpression, differential_expression
from titin.ageing.enrichment import Enrichment, over_representation, ranked_enrichment
from titin.ageing.fibres import Fibres, fibres
from titin.ageing.gene_statistics import GeneStatistics, gene_statistics
from titin.ageing.glmm import PoissonMixedModel, fit_poisson_mixed_model
from titin.ageing.meta_analysis import MetaAnalysis, meta_analysis
from titin.ageing.programmes import Programmes, programmes
from titin.ageing.pseudobulk import Pseudobulk, pseudobulk, write_pseudobulk
from titin.ageing.senescence import Senescence, senescence
from titin.ageing.stem_cells import StemCells, stem_cells
from titin.ageing.variance_partition import VariancePartition, variance_partition

__all__ = [
    "ANALYSES",
    "Analysis",
    "CellCounts",
    "Comparisons",
    "Composition",
    "DifferentialExpression",
    "Enrichment",
    "Fibres",
    "Findings",
    "GeneStatistics",
    "Inputs",
    "MetaAnalysis",
    "NotTestableError",
    "PoissonMixedModel",
    "Programmes",
    "Pseudobulk",
    "Senescence",
    "StemCells",
    "VariancePartition",
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
