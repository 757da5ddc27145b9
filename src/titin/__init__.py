"""Turn a single-cell atlas into a dataset that machine learning can use as it is."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["Atlas", "Loader", "TitinError", "__version__", "build", "export", "open", "tokens", "validate"]

if TYPE_CHECKING:
    from titin.atlas import Atlas
    from titin.atlas import open_atlas as open
    from titin.builder import build
    from titin.check import validate
    from titin.errors import TitinError
    from titin.exporter import export
    from titin.load import Loader
    from titin.load.tokens import tokens

_HOME = {
    "Atlas": ("titin.atlas", "Atlas"),
    "Loader": ("titin.load", "Loader"),
    "TitinError": ("titin.errors", "TitinError"),
    "build": ("titin.builder", "build"),
    "export": ("titin.exporter", "export"),
    "open": ("titin.atlas", "open_atlas"),
    "tokens": ("titin.load.tokens", "tokens"),
    "validate": ("titin.check", "validate"),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import titin`` stays quick."""
    if name not in _HOME:
        raise AttributeError(f"module 'titin' has no attribute {name!r}")
    import importlib

    module, attribute = _HOME[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
