"""Data frames of cells and genes (obs, var) as Arrow tables, losslessly.

Other readers see ordinary columns: text, numbers, booleans, timestamps, dictionary-encoded labels. What Arrow and
Parquet do not say about a pandas column (its dtype, its categories, its missing marker) goes into a JSON-safe record
a column, for the manifest; with the records :func:`decode_table` gives the frame back.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Sequence
from itertools import count
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionArray, ExtensionDtype
from pandas.api.types import pandas_dtype
from pyarrow.pandas_compat import get_logical_type

from titin.errors import DatasetError, SourceError
from titin.shelf import WORTH_A_FILE, Shelf, let_go_of_pages

Record: TypeAlias = dict[str, Any]
Values: TypeAlias = NDArray[Any] | ExtensionArray

# Parquet repeats a dictionary in every row group: one of 180,000 barcodes costs far more than plain text.
DICTIONARY_LEVELS = 4_096
LONGEST_NAME = 500
# Names that pandas and the Hub's viewer claim for themselves.
RESERVED = ("__index_level_0__", "__hf_index_id", "__hf_fts_score")

_AT_ONCE = 1 << 20  # codes
_PANDAS_DTYPE = b"pandas_dtype"
_NULLABLE = (
    *(type(pandas_dtype(f"{sign}Int{bits}")) for sign in ("", "U") for bits in (8, 16, 32, 64)),
    *(pd.Float32Dtype, pd.Float64Dtype, pd.BooleanDtype),
)
_MARKERS: dict[str, Any] = {"None": None, "nan": np.nan, "NA": pd.NA}
NON_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_NO_TIME = np.iinfo(np.int64).min


class UnsupportedError(TypeError):
    """Values of a kind that no column holds; the message shows one of them."""


def encode_table(
    frame: pd.DataFrame, *, index_name: str, reserved: Collection[str] = (), shelf: Shelf | None = None
) -> tuple[pa.Table, list[Record]]:
    """Turn obs or var into an Arrow table that any reader understands.

    Parameters
    ----------
    frame
        Its index holds the names: text, none missing. Its columns' names are text, numbers, booleans or None.
    index_name
        The first column of the table, which takes the index.
    reserved
        Names that no column may have, as the file has such columns already.
    shelf
        Where columns are put away, one after another; in memory where not given.

    Returns
    -------
    pyarrow.Table
        One row a name. NaN is null. A column whose name is empty, long, no text, or taken (to DuckDB, ``Age`` is
        ``age``) is stored as ``source_<name>``. Field metadata tells :func:`pandas_metadata` of nullable dtypes.
    list of dict
        JSON-safe, one record a stored column, the index's first; for :func:`decode_table`.

    Raises
    ------
    SourceError
        If a column holds what no dataset can hold (objects that are not text, periods, …), or a name is missing.
    """
    if frame.index.nlevels > 1 or frame.columns.nlevels > 1:
        raise SourceError("an index of several levels names the rows or columns", "Join its levels to one text.")
    if isinstance(frame.index.dtype, pd.ArrowDtype) and pa.types.is_string(frame.index.dtype.pyarrow_dtype):
        index, record = arrow_names(frame.index), {"kind": "object"}  # what it is to Python
    else:
        index, record = _encode_column(frame.index, f"the index ({index_name})")
        index = index.dictionary_decode() if pa.types.is_dictionary(index.type) else index
    if not pa.types.is_string(index.type) or index.null_count:
        found = "a missing name" if index.null_count else f"{frame.index.dtype}, not text"
        raise SourceError(f"the index ({index_name}) holds {found}", "Give each row a name that is text.")
    labels = {"dtype": str(frame.columns.dtype), "name": _json_name(frame.columns.name)}
    records = [{"name": _json_name(frame.index.name), "column": index_name, **record, "labels": labels}]
    table, shelf, waiting = pa.table({index_name: index}), shelf or Shelf(), list[tuple[pa.Field, pa.Array]]()
    names = [_json_name(name) for name in frame.columns]
    for position, column in enumerate(_stored_names(names, [index_name, *reserved, *RESERVED])):
        series = frame.iloc[:, position]
        array, record = _encode_column(series, f"column {names[position]!r}", shelf)
        records.append({"name": names[position], "column": column, **record})
        field = pa.field(column, array.type, metadata=_field_metadata(series.dtype))
        if pa.types.is_dictionary(array.type):  # they lie there already
            table, waiting = _beside(table, waiting, shelf).append_column(field, array), []
        else:
            waiting.append((field, array))
        del array
        if sum(array.nbytes for _, array in waiting) >= WORTH_A_FILE:
            table, waiting = _beside(table, waiting, shelf), []
            let_go_of_pages()
    return _beside(table, waiting, shelf), records


def _beside(table: pa.Table, columns: list[tuple[pa.Field, pa.Array]], shelf: Shelf) -> pa.Table:
    """A table with further columns, which are put away."""
    if columns:
        fields, arrays = zip(*columns, strict=True)
        for field, column in zip(fields, shelf.columns(arrays), strict=True):
            table = table.append_column(field, column)
    return table


def arrow_names(index: pd.Index) -> pa.ChunkedArray:
    """Names that are Arrow's to pandas, as Arrow has them, without a copy."""
    found: pa.ChunkedArray = index.array.__arrow_array__()
    return found


def decode_table(table: pa.Table, records: Sequence[Record]) -> pd.DataFrame:
    """Turn a stored table back into the frame that :func:`encode_table` was given.

    Exact, but for this: where one object column marks what is missing in several ways (None, NaN, ``pd.NA``), the most
    frequent of them stands for all; and a time zone is pandas' own object for its name.

    Parameters
    ----------
    table
        All rows, in any order, from memory or from a file; columns without a record are passed over.
    records
        From :func:`encode_table`.

    Returns
    -------
    pandas.DataFrame
        Its rows in the order of the table.

    Raises
    ------
    DatasetError
        If the table lacks a column.
    """
    missing = [record["column"] for record in records if record["column"] not in table.column_names]
    if missing:
        raise DatasetError(f"the table lacks the columns {', '.join(missing)}", "Build the dataset again.")
    names, *columns = (decode_values(table.column(record["column"]), record) for record in records)
    index = pd.Index(names, dtype=names.dtype, name=records[0]["name"])
    series = [pd.Series(values, index=index, dtype=values.dtype) for values in columns]
    frame = pd.DataFrame(dict(enumerate(series)), index=index)
    frame.columns = column_names(records)
    return frame


def column_names(records: Sequence[Record]) -> pd.Index:
    """Names of the columns of a table, of the type and under the name that they had."""
    labels = records[0]["labels"]
    names: pd.Index = pd.Index([one["name"] for one in records[1:]], dtype=labels["dtype"], name=labels["name"])
    return names


def pandas_metadata(schema: pa.Schema, index: str) -> dict[bytes, bytes]:
    """Return the schema metadata by which pandas takes a column as the index; the same bytes under any pandas.

    Parameters
    ----------
    schema
        Of the file; fields from :func:`encode_table` come back in their nullable dtypes.
    index
        Name of the column.
    """
    label = {"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object"}
    document = {
        "index_columns": [index],
        "column_indexes": [{**label, "metadata": {"encoding": "UTF-8"}}],
        "columns": [_pandas_column(field) for field in schema],
        "creator": {"library": "titin", "version": "1"},
        "pandas_version": "2.2.0",
    }
    return {b"pandas": json.dumps(document).encode()}


def with_pandas_index(schema: pa.Schema, index: str) -> pa.Schema:
    """Return the schema with :func:`pandas_metadata` beside the metadata it has."""
    return schema.with_metadata({**(schema.metadata or {}), **pandas_metadata(schema, index)})


class Kind(NamedTuple):
    """How one family of dtypes is stored: which dtypes, to Arrow, the Arrow type to decode from, and back."""

    claims: Callable[[Any], bool]
    encode: Callable[[Any, Shelf], tuple[pa.Array, Record]]
    arrow: Callable[[Record], pa.DataType]
    decode: Callable[[pa.ChunkedArray, Record], Values]


def encode_values(values: Values, shelf: Shelf | None = None) -> tuple[pa.Array, Record]:
    """Turn a one-dimensional NumPy or pandas array into Arrow and the JSON-safe rest; labels come to lie on a shelf.

    Raises
    ------
    UnsupportedError
        If no column holds such values.
    """
    for name, kind in KINDS.items():
        if kind.claims(values.dtype):
            try:
                array, record = kind.encode(values, shelf or Shelf())
            except (TypeError, ValueError, OverflowError, NotImplementedError) as error:
                raise UnsupportedError(str(error)) from error
            return array, {"kind": name, **record}
    example = f", for example {values[0]!r} ({type(values[0]).__name__})" if len(values) else ""
    raise UnsupportedError(f"values of dtype {values.dtype}{example}")


def decode_values(column: pa.ChunkedArray | pa.Array, record: Record) -> Values:
    """Turn a whole column, its rows in any order, back into a writable array as :func:`encode_values` was given.

    Raises
    ------
    ValueError
        If the column holds text where the record has none, or none where it has; others as Arrow says.
    """
    column = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    kind = KINDS[record["kind"]]
    if record["kind"] == "category":
        return kind.decode(column, record)
    stored = kind.arrow(record)
    if _is_text(column.type) != _is_text(stored):  # which Arrow would read as the other: 1 as "1"
        raise ValueError(f"{column.type} where {stored} belongs")
    return kind.decode(column.cast(stored), record)


def _is_text(dtype: pa.DataType) -> bool:
    dtype = dtype.value_type if pa.types.is_dictionary(dtype) else dtype
    return bool(pa.types.is_string(dtype) or pa.types.is_large_string(dtype) or pa.types.is_string_view(dtype))


def values_of(labelled: pd.Series | pd.Index) -> Values:
    """Return the array behind a series or an index: pandas' own where it has one, else NumPy's."""
    values: Values = labelled.array if isinstance(labelled.dtype, ExtensionDtype) else labelled.to_numpy()
    return values


def to_json(values: pa.Array) -> list[Any]:
    """Return Arrow values as a list for strict JSON: times as ticks, NaN and infinities as text."""
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    items: list[Any] = values.to_pylist()
    return [NON_FINITE.get(str(item), item) for item in items] if pa.types.is_floating(values.type) else items


def from_json(items: list[Any], arrow: pa.DataType) -> pa.Array:
    """Return the Arrow values that :func:`to_json` was given."""
    if pa.types.is_floating(arrow):
        items = [float(item) if isinstance(item, str) else item for item in items]
    return pa.array(items, pa.int64() if pa.types.is_timestamp(arrow) else arrow).cast(arrow)


def _encode_column(labelled: pd.Series | pd.Index, where: str, shelf: Shelf | None = None) -> tuple[pa.Array, Record]:
    try:
        return encode_values(values_of(labelled), shelf)
    except UnsupportedError as error:
        hint = "Text, numbers, booleans, labels and times can be stored; convert the rest, for example by .astype(str)."
        raise SourceError(f"{where} holds {error}", hint) from error


def _json_name(name: Hashable) -> str | int | float | bool | None:
    plain = name.item() if isinstance(name, np.generic) else name
    if plain is None or isinstance(plain, str | int) or (isinstance(plain, float) and np.isfinite(plain)):
        return plain
    raise SourceError(f"{name!r} ({type(name).__name__}) is no name of a column", "Rename it: names are text.")


def _stored_names(names: Sequence[Any], taken: Collection[str]) -> list[str]:
    """Keep every name that can be kept, then invent the others, each unlike all of them even without case."""
    used = {name.casefold() for name in taken}
    stored = dict[int, str]()
    for position, name in enumerate(names):
        if isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and name.casefold() not in used:
            stored[position] = name
            used.add(name.casefold())
    for position, name in enumerate(names):
        if position not in stored:
            base = f"source_{name}"[: LONGEST_NAME - 20] if name != "" else "source_unnamed"
            candidates = (f"{base}_{number}" if number > 1 else base for number in count(1))
            stored[position] = next(candidate for candidate in candidates if candidate.casefold() not in used)
            used.add(stored[position].casefold())
    return [stored[position] for position in range(len(names))]


def _field_metadata(dtype: Any) -> dict[bytes, str] | None:
    """Note the dtype to ask pandas for, where the Arrow type alone would not do."""
    nullable = isinstance(dtype, _NULLABLE) or (isinstance(dtype, pd.StringDtype) and dtype.na_value is pd.NA)
    return {_PANDAS_DTYPE: str(dtype)} if nullable else None


def _pandas_column(field: pa.Field) -> Record:
    labels = pa.types.is_dictionary(field.type)
    stored = field.type.index_type if labels else field.type
    asked = (field.metadata or {}).get(_PANDAS_DTYPE, b"").decode()
    return {
        "name": field.name,
        "field_name": field.name,
        "pandas_type": "categorical" if labels else get_logical_type(stored),
        "numpy_type": asked or str(pandas_dtype(stored.to_pandas_dtype())),
        "metadata": {"num_categories": None, "ordered": field.type.ordered} if labels else None,
    }


def _encode_number(values: NDArray[Any], _shelf: Shelf) -> tuple[pa.Array, Record]:
    record = {"dtype": str(values.dtype)}
    return pa.array(values.astype(_arrow_number(record).to_pandas_dtype(), copy=False), from_pandas=True), record


def _arrow_number(record: Record) -> pa.DataType:
    dtype = np.dtype(record["dtype"])
    return pa.float32() if dtype == np.float16 else pa.from_numpy_dtype(dtype.newbyteorder("="))


def _decode_number(column: pa.ChunkedArray, record: Record) -> Values:
    return column.to_numpy().astype(record["dtype"])  # type: ignore[no-any-return]


def _encode_extension(values: Any, _shelf: Shelf) -> tuple[pa.Array, Record]:
    dtype, record = values.dtype, {"dtype": str(values.dtype)}
    if isinstance(dtype, pd.StringDtype):
        record = {"dtype": "string", "storage": dtype.storage, "missing": "NA" if dtype.na_value is pd.NA else "nan"}
    return _whole(pa.array(values)).cast(_arrow_extension(record)), record


def _arrow_extension(record: Record) -> pa.DataType:
    return pa.type_for_alias(record["dtype"].lower().replace("boolean", "bool"))


def _decode_extension(column: pa.ChunkedArray, record: Record) -> Values:
    if "storage" in record:
        # pandas before 2.3 knows text with NA only, and takes no second argument
        text: Any = pd.StringDtype(record["storage"], **({} if record["missing"] == "NA" else {"na_value": np.nan}))
        return text.__from_arrow__(column)  # type: ignore[no-any-return]
    # by hand, as pandas 3 would take NaN for missing
    known = column.fill_null(False if record["dtype"] == "boolean" else 0).to_numpy().copy()
    cls: Any = pandas_dtype(record["dtype"]).construct_array_type()  # type: ignore[union-attr]
    return cls(known, column.is_null().to_numpy().copy())  # type: ignore[no-any-return]


def _encode_objects(values: NDArray[np.object_], _shelf: Shelf) -> tuple[pa.Array, Record]:
    missing = np.fromiter((not isinstance(value, str) for value in values), bool, len(values))
    markers = Counter[str]()
    for value in values[missing]:
        if not (value is None or value is pd.NA or (isinstance(value, float | np.floating) and np.isnan(value))):
            beside = "" if missing.all() else " among text"
            raise UnsupportedError(f"{value!r} ({type(value).__name__}){beside}")
        markers["NA" if value is pd.NA else str(value)] += 1
    record = {"missing": markers.most_common(1)[0][0]} if markers else {}
    return pa.array(values, pa.string(), mask=missing), record


def _decode_objects(column: pa.ChunkedArray, record: Record) -> Values:
    objects = np.empty(len(column), dtype=object)
    objects[:] = column.to_pylist()
    if column.null_count:
        objects[column.is_null().to_numpy()] = _MARKERS[record["missing"]]
    return objects


def _encode_time(values: Any, _shelf: Shelf) -> tuple[pa.Array, Record]:
    record = {"dtype": str(pandas_dtype(str(values.dtype)))}
    if values.dtype.kind == "M":
        return _whole(pa.array(pd.Series(values))), record
    # as integers: few readers, and not the Hub's viewer, know durations
    return pa.array(values.view(np.int64), mask=np.isnat(values)), record


def _arrow_time(record: Record) -> pa.DataType:
    dtype: Any = pandas_dtype(record["dtype"])
    if isinstance(dtype, pd.DatetimeTZDtype):
        return pa.timestamp(dtype.unit, "UTC")
    return pa.timestamp(np.datetime_data(dtype)[0]) if dtype.kind == "M" else pa.int64()


def _decode_time(column: pa.ChunkedArray, record: Record) -> Values:
    dtype: Any = pandas_dtype(record["dtype"])
    ticks = column.cast(pa.int64()).fill_null(_NO_TIME).to_numpy().copy()
    if not isinstance(dtype, pd.DatetimeTZDtype):
        return ticks.view(dtype)  # type: ignore[no-any-return]
    return pd.DatetimeIndex(ticks.view(f"M8[{dtype.unit}]")).tz_localize("UTC").tz_convert(dtype.tz).array


def _encode_category(values: Any, shelf: Shelf) -> tuple[pa.Array, Record]:
    levels, of = encode_values(values_of(values.categories))
    ordered, unused = bool(values.ordered), ~_used(values.codes, len(levels))
    record: Record = {"ordered": ordered, "of": of, "categories": "sorted"}
    if not levels.equals(_sorted(levels)):
        record["categories"] = to_json(levels)
    elif unused.any():
        record["unused"] = to_json(levels.filter(pa.array(unused)))
    (codes,), missing = shelf.empty(len(values), np.int32), np.zeros(len(values), bool)
    for start in range(0, len(values), _AT_ONCE):
        own = slice(start, start + _AT_ONCE)
        codes[own] = values.codes[own]
        missing[own] = codes[own] < 0
        let_go_of_pages()
    array = pa.DictionaryArray.from_arrays(pa.array(codes, mask=missing), levels, ordered=ordered)
    keep = pa.types.is_string(levels.type) and len(levels) <= DICTIONARY_LEVELS
    return array if keep else array.dictionary_decode(), record


def _decode_category(column: pa.ChunkedArray, record: Record) -> Values:
    array = _whole(column)
    array = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    stored, rederived = array.dictionary.cast(_arrow_category(record)), record["categories"] == "sorted"
    levels = from_json(record.get("unused", []) if rederived else record["categories"], stored.type)
    if rederived:
        levels = _sorted(pa.concat_arrays([stored.take(pc.unique(array.indices).drop_null()), levels]))
    codes = pc.index_in(stored, value_set=levels).take(array.indices).fill_null(-1).to_numpy(zero_copy_only=False)
    categories = decode_values(levels, record["of"])
    dtype = pd.CategoricalDtype(pd.Index(categories, dtype=categories.dtype), ordered=record["ordered"])
    return pd.Categorical.from_codes(codes, dtype=dtype)


def _used(codes: NDArray[Any], n: int) -> NDArray[np.bool_]:
    """Which of ``n`` categories there are; looked at in ranges, as NumPy makes numbers of eight bytes of codes."""
    used = np.zeros(n + 1, bool)  # the last for those that are missing
    for start in range(0, len(codes), _AT_ONCE):
        used[codes[start : start + _AT_ONCE]] = True
    return used[:-1]


def _arrow_category(record: Record) -> pa.DataType:
    return KINDS[record["of"]["kind"]].arrow(record["of"])


def _sorted(levels: pa.Array) -> pa.Array:
    return levels.take(pc.sort_indices(levels))


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.unify_dictionaries().combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _of(kinds: str, *types: type) -> Callable[[Any], bool]:
    def claims(dtype: Any) -> bool:
        return isinstance(dtype, types) or (isinstance(dtype, np.dtype) and dtype.kind in kinds and dtype.itemsize <= 8)

    return claims


KINDS = {
    "number": Kind(_of("biuf"), _encode_number, _arrow_number, _decode_number),
    "extension": Kind(_of("", pd.StringDtype, *_NULLABLE), _encode_extension, _arrow_extension, _decode_extension),
    "object": Kind(_of("O"), _encode_objects, lambda _: pa.string(), _decode_objects),
    "time": Kind(_of("mM", pd.DatetimeTZDtype), _encode_time, _arrow_time, _decode_time),
    "category": Kind(_of("", pd.CategoricalDtype), _encode_category, _arrow_category, _decode_category),
}
