"""Arrow columns compared row by row."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def first_difference(one: pa.ChunkedArray, other: pa.ChunkedArray) -> tuple[int, int]:
    """How many rows differ and the first of them; missing equals missing, labels equal their text.

    Returns
    -------
    n, row
        ``(0, -1)`` where none differs.

    Raises
    ------
    ValueError
        If the columns are not equally long.
    """
    if len(one) != len(other):
        raise ValueError(f"{len(one):,} and {len(other):,} rows")
    one, other = _plain(one), _plain(other)
    if one.equals(other):
        return 0, -1
    same = pc.fill_null(pc.equal(one, other), False)
    same = pc.or_(same, pc.and_(pc.is_null(one), pc.is_null(other)))
    if pa.types.is_floating(one.type) and pa.types.is_floating(other.type):
        both_nan = pc.and_(pc.is_nan(one), pc.is_nan(other))
        same = pc.or_(same, pc.fill_null(both_nan, False))
    differ = np.flatnonzero(~same.to_numpy())
    return (len(differ), int(differ[0])) if len(differ) else (0, -1)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def value(column: pa.ChunkedArray, row: int) -> str:
    """One entry, for messages."""
    return repr(column[row].as_py())
