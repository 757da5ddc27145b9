"""The viewer's rule for the first rows that it shows: which are left out, and which cells are cut."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

LIMIT = 200_000  # bytes of an answer
MIN_ROWS, MAX_ROWS, MIN_CELL = 10, 100, 100


@dataclass(frozen=True)
class FirstRows:
    """What the viewer shows at first: rows, columns of which cells are cut, and bytes of the answer."""

    n_rows: int
    cut: tuple[str, ...]
    n_bytes: int


def first_rows(path: Path, features_bytes: int) -> FirstRows:
    """Apply the rule to the first rows of a file.

    Rows are dropped from the end until the answer fits, but ten are kept; then cells of these are cut to 100 bytes.

    Parameters
    ----------
    features_bytes
        What the description of the columns takes of the answer.
    """
    sizes: list[dict[str, int]] = []
    total = features_bytes
    for batch in pq.ParquetFile(path).iter_batches(batch_size=MIN_ROWS, use_threads=False):
        for row in range(batch.num_rows):
            cells = {name: cell_size(batch.column(i), row) for i, name in enumerate(batch.schema.names)}
            n_bytes = _row_size(cells)
            if len(sizes) >= MIN_ROWS and total + n_bytes > LIMIT:
                return FirstRows(len(sizes), (), total)
            sizes.append(cells)
            total += n_bytes
        if len(sizes) >= MAX_ROWS:
            break
        if total > LIMIT and len(sizes) >= MIN_ROWS:
            return _cut(sizes[:MIN_ROWS], features_bytes)
    if total > LIMIT:
        return _cut(sizes, features_bytes)
    return FirstRows(len(sizes), (), total)


def _cut(rows: list[dict[str, int]], features_bytes: int) -> FirstRows:
    """Cut the largest cells of the last rows first, as far as need be."""
    total = features_bytes + sum(_row_size(cells) for cells in rows)
    cut: dict[str, None] = {}
    for cells in reversed(rows):
        for name, size in sorted(cells.items(), key=lambda item: -item[1]):
            if total <= LIMIT:
                break
            if size > MIN_CELL:
                total -= size - MIN_CELL
                cut[name] = None
    return FirstRows(len(rows), tuple(cut), total)


def _row_size(cells: dict[str, int]) -> int:
    names = sum(len(json.dumps(name, ensure_ascii=False).encode()) + 2 for name in cells)
    return names + sum(cells.values()) + len('{"row_idx":10,"row":{},"truncated_cells":[]},')


def cell_size(column: pa.Array, row: int) -> int:
    """Bytes of one cell as JSON; of a long list of numbers by their digits, without making text of it."""
    value = column[row]
    if value.is_valid and (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        element = column.type.value_type
        if pa.types.is_integer(element) and not value.values.null_count:
            numbers = value.values.to_numpy(zero_copy_only=False)
            digits = np.floor(np.log10(np.maximum(np.abs(numbers.astype(np.float64)), 1))).astype(np.int64) + 1
            return int(digits.sum()) + int((numbers < 0).sum()) + max(1, len(numbers)) + 1
    return len(json.dumps(_plain(value.as_py()), ensure_ascii=False, separators=(",", ":"), default=str).encode())


def _plain(value: Any) -> Any:
    """Floats as the viewer has them: what is not finite is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return [_plain(v) for v in value] if isinstance(value, list) else value
