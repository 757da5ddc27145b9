"""Sources: AnnData .h5ad and .zarr, 10x Genomics .h5."""

from titin.source.base import Matrix, Source
from titin.source.choice import OPTIONS
from titin.source.open import open_source

__all__ = ["OPTIONS", "Matrix", "Source", "open_source"]
