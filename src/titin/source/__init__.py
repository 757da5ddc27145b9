"""What can be read in: AnnData .h5ad and .zarr, 10x Genomics .h5."""

from titin.source._open import open_source
from titin.source.base import Block, Matrix, Source

__all__ = ["Block", "Matrix", "Source", "open_source"]
