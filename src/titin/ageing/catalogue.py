"""All analyses, in the order in which the report shows them; a new one is a file of its own and a line here."""

from titin.ageing.analysis import Analysis
from titin.ageing.composition import COMPOSITION
from titin.ageing.fibres import FIBRES
from titin.ageing.gene_changes import GENE_CHANGES
from titin.ageing.programmes import PROGRAMMES
from titin.ageing.senescence import SENESCENCE
from titin.ageing.stem_cells import STEM_CELLS
from titin.ageing.variance_partition import VARIANCE

ANALYSES: tuple[Analysis, ...] = (
    COMPOSITION, FIBRES, GENE_CHANGES, PROGRAMMES, SENESCENCE, STEM_CELLS, VARIANCE
)  # fmt: skip
