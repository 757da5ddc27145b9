"""The list columns of a matrix file as they are: what is wrong with them is for the checks to say."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.dataset.pages import Lists
from titin.dataset.store import RowGroup, Store


class ListReader:
    """Reads list columns of ``expression`` or ``expression_by_gene``; safe in threads.

    Parameters
    ----------
    store
        The dataset.
    name
        The file's plain name, without shards.
    columns
        Those wanted.
    """

    def __init__(self, store: Store, name: str, columns: Sequence[str]) -> None:
        self.store, self.columns = store, list(columns)
        self.groups = store.row_groups(name)

    def read(self, group: RowGroup) -> list[Lists]:
        """Read each column.

        Raises
        ------
        DatasetError
            If the file is missing, damaged or replaced, or has no such column.
        """
        return self.store.read_lists(group, self.columns)


def words(elements: NDArray[Any]) -> NDArray[Any]:
    """Counts as they are, values as words of the same size: what digests are made of."""
    return elements.view(f"u{elements.itemsize}") if elements.dtype.kind == "f" else elements


def value_words(values: NDArray[Any]) -> NDArray[np.uint64]:
    """Values of any dtype as words of float64, so that equal numbers are equal words."""
    return np.ascontiguousarray(values, np.float64).view(np.uint64)
