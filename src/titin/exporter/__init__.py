"""The way back: a dataset as .h5ad, .zarr, 10x Matrix Market or one wide table."""

from typing import TYPE_CHECKING

from titin.lazy import lazy_names

if TYPE_CHECKING:
    from titin.exporter.formats import FORMATS, export

__all__ = ["FORMATS", "export"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "titin.exporter.formats": ("FORMATS", "export"),
    },
)
