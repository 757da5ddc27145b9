"""Chunks of arrays that are not stored, and whether that can be meant so.

What is not stored is read as the fill value, zero, without a word. HDF5's writers store all that they write, so that a
gap is what an interrupted program leaves. Many of zarr's leave out chunks of nothing but zeros, and then a gap may be
right: it is told where it may, and refused where the data would contradict themselves.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.errors import SourceError

_COPY = "Its copying or writing was interrupted: copy it again from where it is whole"
_ANEW = "or, if what is lost is known to be zeros, write it anew with a current anndata"
_TABLES, _NEVER_READ = ("obs", "var"), ("varm", "obsp", "varp")
_MOST_NAMED = 4


@dataclass(frozen=True)
class MissingChunks:
    """An array of which chunks are not stored.

    Attributes
    ----------
    n_missing, n_chunks
        Chunks that are not stored, and of the whole array.
    shape, chunk_shape
        Of the array and of a chunk.
    stored
        Positions in the grid of the chunks that are stored; not known of HDF5.
    is_zero
        Whether what is not stored is read as zero, False or an empty text.
    empty
        Name of a chunk that is stored with no content, as is no chunk that was written to its end.
    lost
        Name of metadata that the source's own summary lists and that are not there.
    """

    n_missing: int
    n_chunks: int
    shape: tuple[int, ...] = ()
    chunk_shape: tuple[int, ...] = ()
    stored: frozenset[tuple[int, ...]] = frozenset()
    is_zero: bool = True
    empty: str = ""
    lost: str = ""

    def rows_without_any(self) -> range:
        """The first rows of which no chunk at all is stored."""
        if not self.shape:  # of HDF5
            return range(0)
        high = self.chunk_shape[0]
        present = {position[0] for position in self.stored}
        for band in range(-(-self.shape[0] // high)):
            if band not in present:
                return range(band * high, min((band + 1) * high, self.shape[0]))
        return range(0)

    def missing_ranges(self) -> Iterator[range]:
        """Entries of each missing chunk of a vector."""
        extent, present = self.chunk_shape[0], {position[0] for position in self.stored}
        for number in range(self.n_chunks):
            if number not in present:
                yield range(number * extent, min((number + 1) * extent, self.shape[0]))


class Gaps:
    """All gaps of a source, judged by what the arrays are for.

    Parameters
    ----------
    path
        The source, for messages.
    found
        Gaps by place.
    shapes
        Shape of every array by place, where the format lets writers leave out chunks of zeros; None where it does not.
    leaves_out_zeros
        Whether the writer of this very source did so; asked once and only if it matters.
    aliased
        Whether elements can be reached by several names, so that a gap belongs to whatever is read.
    """

    def __init__(
        self,
        path: Path,
        found: Mapping[str, MissingChunks],
        shapes: Mapping[str, tuple[int, ...]] | None = None,
        leaves_out_zeros: Callable[[], bool] = lambda: False,
        *,
        aliased: bool = False,
    ) -> None:
        self.path, self._found, self._aliased = path, found, aliased
        self._shapes, self._leaves_out_zeros = shapes, leaves_out_zeros
        self._may_lack = shapes is not None
        self._told: dict[str, MissingChunks] = {}

    def below(self, place: str) -> "Gaps":
        """Those of a group, by their places within it; all where elements can be reached by several names."""

        def within(places: Mapping[str, Any]) -> dict[str, Any]:
            start = f"{place}/"
            return {where.removeprefix(start): of for where, of in places.items()
                    if self._aliased or where.startswith(start)}  # fmt: skip

        shapes = None if self._shapes is None else within(self._shapes)
        return Gaps(self.path, within(self._found), shapes, self._leaves_out_zeros, aliased=self._aliased)

    def check_pointers(self, name: str) -> None:
        """Refuse gaps in the row pointers of a sparse matrix, which have to be read before it can be judged."""
        for place, gap in self._at(f"{name}/indptr"):
            if not self._is_empty(name):
                self._refuse(place, gap)

    def _is_empty(self, name: str) -> bool:
        """Whether a sparse matrix has no entry, so that all its row pointers are zeros."""
        return self._may_lack and not prod((self._shapes or {}).get(f"{name}/data", (1,)))

    def check_matrix(self, name: str, indptr: NDArray[np.int64] | None) -> None:
        """Refuse gaps of a matrix that cannot be zeros; a dense one has no ``indptr``.

        Values of a sparse one cannot, as zeros are what it does not store; but its entries may all be of the first
        gene, where no two of them are in one row. Of a dense one a chunk may be, but not all of a row of chunks.
        """
        for place, gap in self._at(name):
            if indptr is None:
                rows = gap.rows_without_any()
                if rows:
                    self._refuse(place, gap, f"; of cells {rows.start:,} to {rows.stop - 1:,} nothing is stored")
            elif self._is_empty(name):
                continue
            elif not place.endswith("/indices") or not self._may_lack or not _can_be_zeros(gap, indptr):
                self._refuse(place, gap)
            self._tell(place, gap)

    def check_table(self, place: str, index: str, columns: Sequence[str]) -> None:
        """Refuse gaps of a table that cannot be zeros: of its names, of labels, of labelled cells without any code."""
        for name in (index, *columns):
            for where, gap in self._at(f"{place}/{name}"):
                labels = self._n_labels(place, name)
                of_labels = where.endswith(("/categories", "/levels")) or "/__categories/" in where
                is_labels = of_labels and gap.shape != (1,)
                nothing = where.endswith("/codes") and not gap.stored and labels > 1
                if name == index or is_labels or nothing:
                    self._refuse(where, gap, f" for {labels:,} labels" if nothing else "")
                self._tell(where, gap)

    def _n_labels(self, place: str, name: str) -> int:
        shapes = self._shapes or {}
        known = (f"{place}/{name}/categories", f"{place}/{name}/levels", f"{place}/__categories/{name}")
        return max(prod(shapes.get(labels, (0,))) for labels in known)

    def check_array(self, place: str) -> None:
        """Refuse any gap of an element, such as an embedding, whose rows hold numbers of every size."""
        for where, gap in self._at(place):
            self._refuse(where, gap)

    def check_metadata(self) -> None:
        """Refuse lost metadata, but of columns, which are judged where they are read, and of what is never read."""
        for place, gap in sorted(self._found.items()):
            top = place.partition("/")[0]
            if gap.lost and top not in _NEVER_READ and (place == top or top not in _TABLES):
                self._refuse(place, gap)

    def check_rest(self, place: str) -> None:
        """Tell of gaps below an element of which nothing is known; refused where the writer leaves out nothing."""
        for where, gap in self._at(place):
            self._tell(where, gap)

    def notes(self) -> list[str]:
        """Say what may be right and cannot be known; refused if this source's writer does store chunks of zeros.

        Raises
        ------
        SourceError
            If there is a gap, and a chunk of zeros that is stored.
        """
        if not self._told:
            return []
        if not self._leaves_out_zeros():
            place, gap = next(iter(self._told.items()))
            self._refuse(place, gap, "; its writer stores chunks of zeros, as others in it show, so these are lost")
        named = [f"{place} ({gap.n_missing:,} of {gap.n_chunks:,})" for place, gap in sorted(self._told.items())]
        if len(named) > _MOST_NAMED:
            named[_MOST_NAMED:] = ["…"]
        n = sum(gap.n_missing for gap in self._told.values())
        return [
            f"not stored, and so read as zeros: {n:,} chunks of {len(self._told):,} arrays ({', '.join(named)}); "
            "writers of zarr leave out chunks of nothing but zeros, but an interrupted copy looks the same: see that "
            "it has as many files as the original"
        ]

    def _at(self, place: str) -> list[tuple[str, MissingChunks]]:
        """Gaps of an element and of what is below it, in order; a chunk that is none is refused whatever it is of."""
        within = (where for where in self._found if self._aliased or where == place or where.startswith(f"{place}/"))
        found = [(where, self._found[where]) for where in sorted(within)]
        for where, gap in found:
            if gap.empty or gap.lost:
                self._refuse(where, gap)
        return found

    def _tell(self, place: str, gap: MissingChunks) -> None:
        if not self._may_lack or not gap.is_zero:
            self._refuse(place, gap)
        self._told[place] = gap

    def _refuse(self, place: str, gap: MissingChunks, why: str = "") -> None:
        table, _, name = place.partition("/")
        key = name.partition("/")[0]
        way_out = f" Or build with --no-{table} {key!r}." if table in ("obs", "obsm") else ""
        if gap.empty:
            raise SourceError(f"{self.path}: chunk {gap.empty} is an empty file", f"{_COPY}.{way_out}")
        if gap.lost:
            said = f"{gap.lost} is not there, which the store's summary of its metadata lists"
            hint = f"{_COPY}. Or, if it was removed on purpose, make the summary anew with zarr.consolidate_metadata."
            raise SourceError(f"{self.path} is incomplete: {said}", f"{hint}{way_out}")
        said = f"{gap.n_missing:,} of {gap.n_chunks:,} chunks of {place} are not stored{why}"
        if gap.n_chunks == 1:
            said = f"the content of {place} is not stored{why}"
        raise SourceError(f"{self.path}: {said}", f"{_COPY}, {_ANEW}.{way_out}")


def _can_be_zeros(gap: MissingChunks, indptr: NDArray[np.int64]) -> bool:
    """Whether the missing entries of ``indices`` can all be 0: no two are of one row."""
    missing: list[range] = []
    left = len(indptr) - 1
    for entries in gap.missing_ranges():
        left -= len(entries)
        if left < 0:  # more of them than rows
            return False
        missing.append(entries)
    rows = np.searchsorted(indptr, np.concatenate([np.asarray(entries) for entries in missing]), side="right")
    return len(np.unique(rows)) == len(rows)
