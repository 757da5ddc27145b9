"""Reading a dataset."""

from titin.atlas.annotated import AtlasView
from titin.atlas.atlas import Atlas, open_atlas
from titin.atlas.csr import RowBlock
from titin.atlas.expression import Expression
from titin.atlas.selection import MemoryLimitError, SelectionError, UnknownNameError

__all__ = [
    "Atlas",
    "AtlasView",
    "Expression",
    "MemoryLimitError",
    "RowBlock",
    "SelectionError",
    "UnknownNameError",
    "open_atlas",
]
