"""Turn a single-cell atlas into a dataset that machine learning can use as it is."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["TitinError", "__version__", "build", "export"]

if TYPE_CHECKING:
    from titin.atlas import export
    from titin.build import build
    from titin.errors import TitinError

_HOME = {"build": "titin.build", "export": "titin.atlas", "TitinError": "titin.errors"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import titin`` stays quick."""
    if name not in _HOME:
        raise AttributeError(f"module 'titin' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
