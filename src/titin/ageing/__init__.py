"""What changes with age, with donors as the replicates: pseudobulk, differential expression, composition."""

from titin.ageing.ageing_tables import AgeingTables, ageing_tables, write_ageing_tables
from titin.ageing.analysis import Analysis, Findings, Inputs
from titin.ageing.catalogue import ANALYSES
from titin.ageing.cell_counts import CellCounts, cell_counts
from titin.ageing.comparison import Comparisons
from titin.ageing.composition import Composition, composition, mann_whitney
from titin.ageing.design import NotTestableError
from titin.ageing.differential_expression import DifferentialExpression, differential_expression
from titin.ageing.enrichment import Enrichment, gene_set_tests, over_representation, ranked_enrichment
from titin.ageing.expression_comparisons import ExpressionComparisons, expression_comparisons
from titin.ageing.fibres import Fibres, fibres
from titin.ageing.gene_statistics import GeneStatistics, gene_statistics
from titin.ageing.glmm import PoissonMixedModel, fit_poisson_mixed_model
from titin.ageing.joint_model import JointModel, joint_model
from titin.ageing.kept_tables import read_ageing_tables
from titin.ageing.programmes import Programmes, programmes
from titin.ageing.pseudobulk import Pseudobulk, pseudobulk, write_pseudobulk
from titin.ageing.selection_comparison import SidesPlan, compare_selections, plan_sides
from titin.ageing.senescence import Senescence, senescence
from titin.ageing.stem_cells import StemCells, stem_cells
from titin.ageing.variance_partition import VariancePartition, variance_partition

__all__ = [
    "ANALYSES",
    "AgeingTables",
    "Analysis",
    "CellCounts",
    "Comparisons",
    "Composition",
    "DifferentialExpression",
    "Enrichment",
    "ExpressionComparisons",
    "Fibres",
    "Findings",
    "GeneStatistics",
    "Inputs",
    "JointModel",
    "NotTestableError",
    "PoissonMixedModel",
    "Programmes",
    "Pseudobulk",
    "Senescence",
    "SidesPlan",
    "StemCells",
    "VariancePartition",
    "ageing_tables",
    "cell_counts",
    "compare_selections",
    "composition",
    "differential_expression",
    "expression_comparisons",
    "fibres",
    "fit_poisson_mixed_model",
    "gene_set_tests",
    "gene_statistics",
    "joint_model",
    "mann_whitney",
    "over_representation",
    "plan_sides",
    "programmes",
    "pseudobulk",
    "ranked_enrichment",
    "read_ageing_tables",
    "senescence",
    "stem_cells",
    "variance_partition",
    "write_ageing_tables",
    "write_pseudobulk",
]
