"""Every mutation there is, of all rooms' lists."""

from importlib import import_module
from importlib.util import find_spec

from mutations import Mutation

_LISTS = (
    "mutations_files",
    "mutations_tables",
    "mutations_matrix",
    "mutations_source",
    "mutations_layers",
    "mutations_arrays",
    "mutations_biology",
    "mutations_viewer",
)


def all_mutations() -> list[Mutation]:
    """Those of every list that is there, in the order of the lists."""
    return [m for name in _LISTS if find_spec(name) for m in import_module(name).MUTATIONS]
