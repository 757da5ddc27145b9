"""Reading a dataset, and the way back to other formats."""

from titin.atlas.export import FORMATS, export

__all__ = ["FORMATS", "export"]
