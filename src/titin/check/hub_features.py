"""Arrow schemas and Parquet files as the library `datasets`, and so the Hub, describes them; without the library."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from titin.check.footer import Chunk, Footer, read_footer

_SIMPLE = {
    pa.null(): "null", pa.bool_(): "bool", pa.float16(): "float16", pa.float32(): "float32", pa.float64(): "float64",
    pa.date32(): "date32", pa.date64(): "date64", pa.binary(): "binary", pa.large_binary(): "large_binary",
    pa.string(): "string", pa.large_string(): "large_string", pa.string_view(): "string_view",
    pa.binary_view(): "binary_view",
    **{t: str(t) for t in (pa.int8(), pa.int16(), pa.int32(), pa.int64(),
                           pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())},
}  # fmt: skip


class NoFeatureError(TypeError):
    """An Arrow type that the Hub has no feature for; a config with such a column cannot be opened."""


def dtype_name(arrow: pa.DataType) -> str:
    """Name that `datasets` gives an Arrow type.

    Raises
    ------
    NoFeatureError
        If it has none.

    Examples
    --------
    >>> dtype_name(pa.dictionary(pa.int32(), pa.string())), dtype_name(pa.timestamp("us"))
    ('string', 'timestamp[us]')
    """
    if pa.types.is_dictionary(arrow):
        return dtype_name(arrow.value_type)
    if arrow in _SIMPLE:
        return _SIMPLE[arrow]
    if pa.types.is_timestamp(arrow):
        return f"timestamp[{arrow.unit}, tz={arrow.tz}]" if arrow.tz else f"timestamp[{arrow.unit}]"
    if pa.types.is_duration(arrow) or pa.types.is_time(arrow):
        return str(arrow)
    if pa.types.is_decimal128(arrow) or pa.types.is_decimal256(arrow):
        return f"decimal{arrow.bit_width}({arrow.precision}, {arrow.scale})"
    if pa.types.is_fixed_size_binary(arrow):
        return f"fixed_size_binary[{arrow.byte_width}]"
    raise NoFeatureError(f"type {arrow}")


def feature(arrow: pa.DataType) -> dict[str, Any]:
    """Describe a type as the YAML of a dataset card does: ``{"dtype": "int64"}``, ``{"list": "uint16"}``.

    Raises
    ------
    NoFeatureError
        If the Hub has no feature for it.
    """
    if pa.types.is_list(arrow) or pa.types.is_large_list(arrow) or pa.types.is_fixed_size_list(arrow):
        inner = feature(arrow.value_type)
        element = inner["dtype"] if list(inner) == ["dtype"] else inner.get("struct", inner)
        kind = "large_list" if pa.types.is_large_list(arrow) else "list"
        length = {"length": arrow.list_size} if pa.types.is_fixed_size_list(arrow) else {}
        return {kind: element, **length}
    if pa.types.is_struct(arrow):
        return {"struct": [{"name": field.name, **feature(field.type)} for field in arrow]}
    return {"dtype": dtype_name(arrow)}


def features(schema: pa.Schema) -> list[dict[str, Any]]:
    """Describe every column, in order; see `feature`."""
    return [{"name": field.name, **feature(field.type)} for field in schema]


def json_features(schema: pa.Schema) -> list[dict[str, Any]]:
    """Describe every column as the viewer's answers do, whose size it limits."""

    def described(arrow: pa.DataType) -> dict[str, Any]:
        if pa.types.is_struct(arrow):
            return {field.name: described(field.type) for field in arrow}
        if pa.types.is_list(arrow) or pa.types.is_large_list(arrow) or pa.types.is_fixed_size_list(arrow):
            kind = "LargeList" if pa.types.is_large_list(arrow) else "List"
            return {"feature": described(arrow.value_type), "_type": kind}
        return {"dtype": dtype_name(arrow), "_type": "Value"}

    return [{"feature_idx": i, "name": field.name, "type": described(field.type)} for i, field in enumerate(schema)]


def size_in_arrow(footer: Footer, schema: pa.Schema) -> int:
    """Bytes that `datasets` counts when it has loaded a file: of columns as Arrow arrays, dictionaries spelled out.

    Exact for what the format writes (numbers, text, labels, lists of numbers); from the footer alone.
    """
    leaves: dict[str, list[Chunk]] = {}
    total = 0
    for group in footer.groups:
        leaves.clear()
        for chunk in group.chunks:
            leaves.setdefault(chunk.path[0], []).append(chunk)
        for field in schema:
            total += sum(_column_size(chunk, field, group.n_rows) for chunk in leaves.get(field.name, []))
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


def dataset_info(
    name: str, splits: Mapping[str, Sequence[Path]], schema: pa.Schema | None = None,
    footers: Mapping[Path, Footer] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Describe a config as the YAML of a dataset card does (``dataset_info``), computed from its files.

    Parameters
    ----------
    name
        Of the config.
    splits
        Files of each split.
    schema
        Of the first file; read where not given.
    footers
        Those that have been read already.

    Returns
    -------
    dict
        ``config_name``, ``features``, ``splits`` (``name``, ``num_bytes``, ``num_examples``), ``download_size``,
        ``dataset_size``.

    Raises
    ------
    NoFeatureError
        If the Hub has no feature for a column.
    DatasetError
        If a file is damaged.
    """
    files = [path for paths in splits.values() for path in paths]
    schema = schema or pq.read_schema(files[0])
    known = dict(footers or {})
    described = []
    for split, paths in splits.items():
        ends = [known.get(path) or read_footer(path, pages=False) for path in paths]
        n_bytes = sum(size_in_arrow(end, schema) for end in ends)
        described.append({"name": split, "num_bytes": n_bytes, "num_examples": sum(end.n_rows for end in ends)})
    return {
        "config_name": name, "features": features(schema), "splits": described,
        "download_size": sum(path.stat().st_size for path in files),
        "dataset_size": sum(split["num_bytes"] for split in described),
    }  # fmt: skip
