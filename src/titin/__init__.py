"""Turn a single-cell atlas into a dataset that machine learning can use as it is."""

from typing import TYPE_CHECKING

from titin.lazy import lazy_names

__version__ = "0.1.0"

__all__ = [
    "Atlas",
    "Loader",
    "TitinError",
    "__version__",
    "add_embeddings",
    "build",
    "export",
    "open",
    "tokens",
    "validate",
]

if TYPE_CHECKING:
    from titin.atlas import Atlas
    from titin.atlas import open_atlas as open
    from titin.builder import add_embeddings, build
    from titin.check import validate
    from titin.errors import TitinError
    from titin.exporter import export
    from titin.load import Loader
    from titin.load.tokens import tokens

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "titin.atlas": ("Atlas", "open_atlas as open"),
        "titin.builder": ("add_embeddings", "build"),
        "titin.check": ("validate",),
        "titin.errors": ("TitinError",),
        "titin.exporter": ("export",),
        "titin.load": ("Loader",),
        "titin.load.tokens": ("tokens",),
    },
)
