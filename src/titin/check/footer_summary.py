"""What is to be known of a Parquet file's footer, found row group by row group: they are not kept."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.check.footer import Chunk, Group, Pages, read_footer


@dataclass
class FooterSummary:
    """What the viewer's rules ask of a file.

    Attributes
    ----------
    n_rows, metadata
        As `titin.check.footer.Footer` has them.
    encoded
        Uncompressed, encoded bytes of all row groups.
    arrow_bytes
        See `size_in_arrow`.
    n_chunks, bare
        Column chunks; how many of them have no offset index, and the first of these.
    window
        See `largest_window`.
    largest_group
        Most compressed bytes of a row group.
    """

    n_rows: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)
    encoded: int = 0
    arrow_bytes: int = 0
    n_chunks: int = 0
    bare: tuple[int, str] = (0, "")
    window: tuple[int, int] = (0, 0)
    largest_group: int = 0

    def add(self, group: Group, schema: pa.Schema) -> None:
        """Take the next row group."""
        bare = [chunk for chunk in group.chunks if chunk.pages is None]
        self.encoded += group.encoded
        self.arrow_bytes += size_in_arrow([group], schema)
        self.n_chunks += len(group.chunks)
        if bare:
            self.bare = self.bare[0] + len(bare), self.bare[1] or ".".join(bare[0].path)
        n_bytes, row = largest_window([group])
        if n_bytes > self.window[0]:
            self.window = n_bytes, self.n_rows + row
        self.largest_group = max(self.largest_group, sum(chunk.compressed for chunk in group.chunks))
        self.n_rows += group.n_rows


def summarise_footer(path: Path, schema: pa.Schema, *, pages: bool = True) -> FooterSummary:
    """Read the footer of a Parquet file; raises as `read_footer`.

    Parameters
    ----------
    schema
        By which the size in Arrow is counted.
    pages
        Whether offset indexes are read, without which every chunk is bare.
    """
    found = FooterSummary()
    footer = read_footer(path, pages=pages, take=lambda group: found.add(group, schema))
    found.n_rows, found.metadata = footer.n_rows, footer.metadata
    return found


def have_varying_pages(path: Path) -> bool:
    """Whether in a row group half of the columns or more have pages of varying size, as chunking by content makes."""
    found = list[bool]()
    read_footer(path, take=lambda group: found.append(True) if not found and pages_differ(group.chunks) else None)
    return bool(found)


def largest_window(groups: Iterable[Group], n_rows: int = 100) -> tuple[int, int]:
    """Most bytes that any ``n_rows`` consecutive rows of a row group take, over all columns, and where they begin.

    Data pages that overlap the rows, and the dictionaries before them; a column without an offset index is read whole.

    Returns
    -------
    bytes, row
        The row is counted from the file's first.
    """
    worst, where, first = 0, 0, 0
    for group in groups:
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


def size_in_arrow(groups: Iterable[Group], schema: pa.Schema) -> int:
    """Bytes that `datasets` counts when it has loaded a file: of columns as Arrow arrays, dictionaries spelled out.

    Exact for what the format writes (numbers, text, labels, lists of numbers); from the footer's row groups alone.
    """
    leaves: dict[str, list[Chunk]] = {}
    total = 0
    for group in groups:
        leaves.clear()
        for chunk in group.chunks:
            leaves.setdefault(chunk.path[0], []).append(chunk)
        for column in schema:
            total += sum(_column_size(chunk, column, group.n_rows) for chunk in leaves.get(column.name, []))
    return total


def _column_size(chunk: Chunk, field: pa.Field, n_rows: int) -> int:
    """Bytes of one column of one row group; numbers and labels that may be missing have a bitmap, others if need be."""
    arrow = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
        return _list_size(chunk, field, n_rows)
    sparing = pa.types.is_string(field.type) or pa.types.is_boolean(field.type)
    bitmap = _bits(n_rows) if (chunk.n_missing if sparing else field.nullable) else 0
    if pa.types.is_boolean(arrow):
        return _bits(n_rows) + bitmap
    if chunk.text_bytes is not None:
        return chunk.text_bytes + 4 * n_rows + bitmap
    return n_rows * _width(arrow) // 8 + bitmap


def _list_size(chunk: Chunk, field: pa.Field, n_rows: int) -> int:
    """Offsets and elements; how many of them there are is told by the definition levels."""
    levels = chunk.levels or (0,) * field.nullable + (0, chunk.n_values)
    missing = levels[0] if field.nullable else 0
    elements = levels[field.nullable + 1 :]
    gaps = _bits(sum(elements)) if len(elements) > 1 and elements[0] else 0
    offsets = (8 if pa.types.is_large_list(field.type) else 4) * n_rows
    content = sum(elements) * _width(field.type.value_type) // 8 + (chunk.text_bytes or 0)
    return content + gaps + offsets + (_bits(n_rows) if missing else 0)


def _bits(n: int) -> int:
    return -(-n // 8)


def _width(arrow: pa.DataType) -> int:
    try:
        return int(arrow.bit_width)
    except ValueError:
        return 32  # text within a list: its offsets; the text itself is counted apart
