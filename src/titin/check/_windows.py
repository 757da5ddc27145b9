"""How many bytes the Hub's viewer must fetch for a page of rows."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from titin.check.footer import Chunk, Footer, Group, Pages


def largest_window(footer: Footer, n_rows: int = 100) -> tuple[int, int]:
    """Most bytes that any ``n_rows`` consecutive rows of a row group take, over all columns, and where they begin.

    Data pages that overlap the rows, and the dictionaries before them; a column without an offset index is read whole.

    Returns
    -------
    bytes, row
        The row is counted from the file's first.
    """
    worst, where, first = 0, 0, 0
    for group in footer.groups:
        n_bytes, start = _of_group(group, n_rows)
        if n_bytes > worst:
            worst, where = n_bytes, first + start
        first += group.n_rows
    return worst, where


def _of_group(group: Group, n_rows: int) -> tuple[int, int]:
    indexed = [chunk.pages for chunk in group.chunks if chunk.pages is not None and len(chunk.pages.first_row)]
    whole = sum(chunk.compressed for chunk in group.chunks if chunk.pages is None)
    if not indexed:
        return whole, 0
    if all(len(pages.first_row) == 1 for pages in indexed):
        return whole + sum(int(pages.n_bytes[0]) + pages.dictionary_bytes for pages in indexed), 0
    starts = _candidates(indexed, group.n_rows, n_rows)
    total = np.full(len(starts), whole, np.int64)
    for pages in indexed:
        sums = np.concatenate([[0], np.cumsum(pages.n_bytes)])
        first = np.searchsorted(pages.first_row, starts, side="right") - 1
        last = np.searchsorted(pages.first_row, np.minimum(starts + n_rows, group.n_rows), side="left")
        total += sums[last] - sums[first] + pages.dictionary_bytes
    worst = int(np.argmax(total))
    return int(total[worst]), int(starts[worst])


def _candidates(indexed: Sequence[Pages], group_rows: int, n_rows: int) -> NDArray[np.int64]:
    """Rows at which a window reaches a new page: the sum changes nowhere else."""
    reached = [pages.first_row - n_rows + 1 for pages in indexed if len(pages.first_row) > 1]
    return np.unique(np.clip(np.concatenate([np.zeros(1, np.int64), *reached]), 0, max(0, group_rows - n_rows)))


def pages_differ(chunks: Sequence[Chunk]) -> bool:
    """Whether at least half of the columns have pages of varying size, as content-defined chunking gives them."""
    varying = 0
    for chunk in chunks:
        if chunk.pages is not None and len(chunk.pages.n_bytes) > 1:
            sizes = chunk.pages.n_bytes
            varying += bool(sizes.std() > 0.05 * sizes.mean())
    return 2 * varying >= len(chunks)
