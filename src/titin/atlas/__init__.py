"""Reading a dataset, and the way back to other formats."""

from titin.atlas._open import open_atlas
from titin.atlas._rows import RowBlock
from titin.atlas._store import RowGroup, Store
from titin.atlas.atlas import Atlas
from titin.atlas.errors import MemoryLimitError, SelectionError, UnknownNameError
from titin.atlas.export import FORMATS, export
from titin.atlas.expression import Expression

__all__ = [
    "FORMATS",
    "Atlas",
    "Expression",
    "MemoryLimitError",
    "RowBlock",
    "RowGroup",
    "SelectionError",
    "Store",
    "UnknownNameError",
    "export",
    "open_atlas",
]
