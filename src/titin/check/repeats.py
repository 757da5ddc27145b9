"""Names of cells that are missing or name several cells, found by hashes: names themselves would take most memory."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from titin.check.comparison import decoded
from titin.check.kernels import hash_texts
from titin.dataset.repeated_hashes import RepeatedHashes
from titin.dataset.store import Store


@dataclass(frozen=True)
class Repeats:
    """Names of a table that are not there, or not once.

    Attributes
    ----------
    n_missing
        Rows without a name.
    rows
        Of all names that occur more than once, and of what is missing if that is so more than once; int64, ascending.
    names
        Of these rows.
    """

    n_missing: int
    rows: NDArray[np.int64]
    names: pa.Array

    @property
    def again(self) -> int | None:
        """Place among `rows` of the first that has the name of one before it; None where there is none."""
        seen = set[str | None]()
        for place, name in enumerate(self.names.to_pylist()):
            if name in seen:
                return place
            seen.add(name)
        return None


class NameHashes:
    """Hashes of the names of a table, which are given range by range.

    Parameters
    ----------
    n_rows
        Of the table.
    """

    def __init__(self, n_rows: int) -> None:
        self._hashes = RepeatedHashes(n_rows, np.uint64)
        self._n_missing = 0

    def add(self, names: pa.Array) -> None:
        """Take the next names, which are text."""
        self._hashes.add(_hashes_of(names.drop_null()))
        self._n_missing += names.null_count

    def repeats(self, again: Iterator[pa.Array]) -> Repeats:
        """Find the names that are there several times; nothing can be added after that.

        Parameters
        ----------
        again
            All names once more, read only if some may be.
        """
        rows, names = [np.empty(0, np.int64)], [pa.array([], pa.string())]
        if len(self._hashes.several) or self._n_missing > 1:
            first = 0
            for part in again:
                missing = np.asarray(part.is_null().to_numpy(zero_copy_only=False), bool)
                maybe = missing | self._hashes.among(_hashes_of(part.fill_null("")))
                rows.append(first + np.flatnonzero(maybe))
                names.append(part.filter(pa.array(maybe)))
                first += len(part)
        return _certain(self._n_missing, np.concatenate(rows), pa.concat_arrays(names))


def _hashes_of(names: pa.Array) -> NDArray[np.uint64]:
    """Hashes of names, of which none is missing."""
    hashes = np.empty(len(names), np.uint64)
    hash_texts(*text_buffers(names), hashes)
    return hashes


def _certain(n_missing: int, rows: NDArray[np.int64], names: pa.Array) -> Repeats:
    """Without those that share a hash and no name."""
    counts = pc.value_counts(names)
    several = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    kept = pc.is_in(names, value_set=several)
    return Repeats(n_missing, rows[np.asarray(kept.to_numpy(zero_copy_only=False), bool)], names.filter(kept))


def text_buffers(texts: pa.Array) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Where each text begins and ends, and the bytes of all of them."""
    _, offsets, data = texts.buffers()
    if not len(texts) or offsets is None:
        return np.zeros(1, np.int32), np.zeros(0, np.uint8)
    bounds = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return bounds, np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)


def name_ranges(store: Store, file: str, column: str) -> Iterator[pa.Array]:
    """Names of a table's rows, a range of rows after another."""
    for part in store.ranges(file, [column]):
        names = decoded(part.column(0))
        if pa.types.is_large_string(names.type) or pa.types.is_string_view(names.type):
            names = names.cast(pa.string())
        yield names.combine_chunks()


def find_repeats(store: Store, file: str, column: str) -> Repeats:
    """Look through all names of a table.

    Raises
    ------
    DatasetError
        If the file is missing, damaged or replaced, or the names are no text.
    """
    hashes = NameHashes(store.n_rows(file))
    for names in name_ranges(store, file, column):
        if names.type != pa.string():
            raise store.damaged(file, ValueError(f"{names.type} where {pa.string()} belongs"))
        hashes.add(names)
    return hashes.repeats(name_ranges(store, file, column))
