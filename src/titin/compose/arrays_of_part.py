"""What a dataset has kept beside its matrix (obsp, varm, varp, sparse obsm), of some of its cells and genes."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas.kept_arrays import memory_of, read_array
from titin.dataset.manifest import ARRAY_GROUPS, PAIRWISE, RAW, RAW_VARM, group_of
from titin.dataset.store import Store
from titin.errors import TitinError
from titin.resources import Resources, memory_beside_interpreter
from titin.source.obsm import CellArrays

Positions = NDArray[np.int64]

_COPIES = 2  # what is read, and the same in the order of the new dataset


class TakenRows(NamedTuple):
    """Cells or genes that are taken.

    Attributes
    ----------
    order
        Rows of the dataset's files, in the order of its source.
    names
        Of these rows.
    n
        Rows that the files have.
    """

    order: Positions
    names: pd.Index
    n: int


def arrays_of_part(store: Store, taken: Mapping[str, TakenRows], resources: Resources) -> CellArrays:
    """Arrays by their place, each read when asked for: the rows that are taken, of what lies between them the columns.

    Parameters
    ----------
    store
        The dataset.
    taken
        Of ``cells``, ``genes`` and, where it is kept, the genes of ``raw``.
    resources
        One that would not fit the memory is refused when it is asked for.
    """
    return CellArrays({
        place: partial(_read, store, place, taken[ARRAY_GROUPS[group_of(place)]], resources)
        for place in store.manifest.arrays if ARRAY_GROUPS[group_of(place)] in taken
    })  # fmt: skip


def _read(store: Store, place: str, taken: TakenRows, resources: Resources) -> Any:
    entry = store.manifest.arrays[place]
    share = len(taken.order) / max(taken.n, 1)
    if group_of(place) in PAIRWISE:
        share *= 1 if entry["form"] == "sparse" else share  # near cells are often taken together
    needed, spare = int(memory_of(entry) * share * _COPIES), memory_beside_interpreter(resources.memory)
    if needed > spare:
        raise TitinError(
            f"{place} of {store.name} would take {needed / 2**20:,.0f} MiB of memory, and --memory leaves "
            f"{max(spare, 0) / 2**20:,.0f} MiB",
            f"give --memory {-(-(needed + resources.memory - spare) // 2**30)}GiB",
        )
    if group_of(place) == RAW_VARM:
        store, place = store.part(RAW), place.removeprefix(f"{RAW}/")
    return read_array(store, place, taken.order, taken.names)
