"""The way back: a dataset as .h5ad, .zarr, 10x Matrix Market or one wide table."""

from titin.exporter.export import FORMATS, export

__all__ = ["FORMATS", "export"]
