"""Unstructured metadata (uns) as one JSON document, losslessly.

The document reads as one expects: dictionaries are objects, arrays nested lists, text and numbers themselves. What JSON
does not say (dtypes, shapes, tuples, data frames) stands apart, under the one key ``"__types__"``, by JSON pointer
(RFC 6901). NaN and the infinities, which strict JSON lacks, are text that Python's ``float()`` reads.
"""

import math
import re
from collections.abc import Callable, Collection, Mapping
from functools import cache
from itertools import count
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionArray

from titin.dataset.tables import (
    KINDS,
    NON_FINITE,
    UnsupportedError,
    decode_values,
    encode_values,
    from_json,
    to_json,
    values_of,
)
from titin.errors import DatasetError

Tag: TypeAlias = dict[str, Any]

TYPES = "__types__"
_MOST_BYTES = 2**30  # of an array whose types ask for more than its entries take
_LIKE_TYPES = re.compile(f"_*{TYPES}")


def said_synthetic(uns: Mapping[Any, Any]) -> str | None:
    """What unstructured metadata say of data that are made up; None where they say nothing of the kind.

    A source says so by ``uns["demo"] = {"synthetic": True, "about": "how it was made"}``.

    Examples
    --------
    >>> said_synthetic({"demo": {"synthetic": True, "about": "Drawn."}}), said_synthetic({"demo": "Drawn."})
    ('Drawn.', None)
    """
    demo = uns.get("demo")
    if not isinstance(demo, Mapping) or not isinstance(demo.get("synthetic"), bool | np.bool_) or not demo["synthetic"]:
        return None
    return str(demo.get("about", ""))


def encode_uns(uns: Mapping[Any, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Turn unstructured metadata into a document for strict JSON.

    Parameters
    ----------
    uns
        To any depth: dictionaries, lists, tuples, None, numbers, text, bytes; NumPy scalars and arrays (numbers, text,
        bytes, times, objects, structured, masked); pandas frames, series, indices, arrays; SciPy CSR and CSC.
        A subclass of ``dict``, ``list``, ``tuple``, ``str``, ``int``, ``float`` or ``ndarray`` (but for record arrays)
        comes back as that type, a ``RangeIndex`` as an equal index of integers.

    Returns
    -------
    document : dict
        For ``json.dumps(document, allow_nan=False)``; the same input gives the same document. A key that is no text is
        written as text. A key of `uns` itself that looks like ``__types__`` gets one more underscore in front.
    left_out : dict
        What cannot be carried: JSON pointer and reason.
    """
    encoder = _Encoder()
    document = encoder.mapping({_rename(key, "_" + str(key)): value for key, value in uns.items()}, "")
    if encoder.types:
        document[TYPES] = encoder.types
    return document, encoder.left_out


def decode_uns(document: Mapping[str, Any]) -> dict[Any, Any]:
    """Turn a document of :func:`encode_uns` back into the metadata, the same in types, dtypes, shapes and bits.

    Parameters
    ----------
    document
        As encoded, or as read from the JSON file.

    Raises
    ------
    DatasetError
        If it is of another shape, or its types are none that were encoded.
    """
    try:
        decoder = _Decoder(document.get(TYPES, {}))
        uns = decoder.decode({key: value for key, value in document.items() if key != TYPES}, "")
        return {_rename(key, str(key)[1:]): value for key, value in uns.items()}
    except DatasetError:
        raise
    except Exception as error:  # its types are carried out by numpy, pandas and scipy, each with errors of its own
        said = f"the unstructured metadata (uns) cannot be decoded: {type(error).__name__}: {error}"
        raise DatasetError(said, "restore the dataset, or build it again") from error


def _rename(key: Any, name: str) -> Any:
    return name if isinstance(key, str) and _LIKE_TYPES.fullmatch(key) else key


class _Encoder:
    """Walks through metadata, gathering tags and what is left out by JSON pointer."""

    def __init__(self) -> None:
        self.types: dict[str, Tag] = {}
        self.left_out: dict[str, str] = {}

    def mapping(self, items: Mapping[Any, Any], path: str) -> dict[str, Any]:
        encoded: dict[str, Any] = {}
        taken = {key for key in items if isinstance(key, str)}
        for key, value in items.items():
            text = key if isinstance(key, str) else _unlike(str(key), taken)
            taken.add(text)
            child, tags, reasons = pointer(path, text), len(self.types), len(self.left_out)
            try:
                encoded[text] = self.encode(value, child)
                if not isinstance(key, str):
                    self.types[child] = self.types.get(child, {}) | _encode_key(key)
            except UnsupportedError as error:
                encoded.pop(text, None)
                _shorten(self.types, tags)
                _shorten(self.left_out, reasons)
                self.left_out[child] = str(error)
        return encoded

    def encode(self, value: Any, path: str) -> Any:
        if _is_plain(value):
            return value
        if isinstance(value, Mapping):
            return self.mapping(value, path)
        if isinstance(value, list):
            return self._parts(value, path)
        for name, codec in CODECS.items():
            if codec.claims(value):
                content, tag = codec.encode(value)
                encoded = self._parts(content, path) if codec.deep else content
                self.types[path] = {"type": name, **tag}
                return encoded
        raise UnsupportedError(
            f"{path} is a {type(value).__module__}.{type(value).__qualname__}, which has no form in JSON"
        )

    def _parts(self, parts: Any, path: str) -> Any:
        """Encode all parts of one value, or none."""
        if isinstance(parts, dict):
            return {key: self.encode(part, pointer(path, key)) for key, part in parts.items()}
        if all(map(_is_plain, parts)):
            return list(parts)
        return [self.encode(part, f"{path}/{position}") for position, part in enumerate(parts)]


class _Decoder:
    """Walks through a document, where there are tags."""

    def __init__(self, types: Mapping[str, Tag]) -> None:
        self.types = types
        self.above = {path[: match.start()] for path in types for match in re.finditer("/", path)}

    def decode(self, value: Any, path: str) -> Any:
        if path in self.above:
            if isinstance(value, dict):
                value = dict(self._item(key, part, pointer(path, key)) for key, part in value.items())
            else:
                value = [self.decode(part, f"{path}/{position}") for position, part in enumerate(value)]
        tag = self.types.get(path, {})
        return CODECS[tag["type"]].decode(value, tag) if "type" in tag else value

    def _item(self, key: str, value: Any, path: str) -> tuple[Any, Any]:
        tag = self.types.get(path, {})
        return _decode_key(tag) if "key" in tag else key, self.decode(value, path)


def _is_plain(value: Any) -> bool:
    """Whether JSON says all there is to say about a value."""
    if isinstance(value, float):
        return math.isfinite(value) and not isinstance(value, np.generic)
    return value is None or (isinstance(value, str | int) and not isinstance(value, np.generic))


def pointer(path: str, key: str) -> str:
    """JSON pointer to what a mapping at ``path`` has under a key."""
    return f"{path}/{key.replace('~', '~0').replace('/', '~1')}"


def _unlike(text: str, others: Collection[str]) -> str:
    candidates = (f"{text}_{number}" if number > 1 else text for number in count(1))
    return next(candidate for candidate in candidates if candidate not in others)


def _shorten(items: dict[str, Any], length: int) -> None:
    while len(items) > length:
        items.popitem()


def _encode_key(key: Any) -> Tag:
    document, left_out = encode_uns({"key": key})
    if left_out:
        raise UnsupportedError(f"its key {key!r}: {left_out['/key']}")
    return document


def _decode_key(tag: Tag) -> Any:
    return decode_uns({name: tag[name] for name in ("key", TYPES) if name in tag})["key"]


class Codec(NamedTuple):
    """How values of one type are written: which, to their content and what else to know, and back.

    The content of a `deep` codec is a list or dictionary of parts, which are encoded in turn; else it is JSON already.
    """

    claims: Callable[[Any], bool]
    encode: Callable[[Any], tuple[Any, Tag]]
    decode: Callable[[Any, Tag], Any]
    deep: bool = False


def _is_array(kinds: str) -> Callable[[Any], bool]:
    def claims(value: Any) -> bool:
        return isinstance(value, np.ndarray | np.generic) and value.dtype.kind in kinds and value.dtype.char not in "gG"

    return claims


def _encode_array(value: NDArray[Any] | np.generic) -> tuple[Any, Tag]:
    dtype = value.dtype.newbyteorder("=")
    array = np.array(value, dtype=dtype, order="C")
    if dtype.kind in "mM":
        array = array.view(np.int64)
    elif dtype.kind == "c":
        array = array[..., np.newaxis].view(f"f{dtype.itemsize // 2}")
    elif dtype.kind == "S":
        array = np.strings.decode(array, "latin-1")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        finite = np.isfinite(array)
        texts = [NON_FINITE[str(number)] for number in array[~finite].tolist()]
        array = array.astype(object)
        array[~finite] = texts
    tag = {"dtype": str(value.dtype)}
    return array.tolist(), tag if isinstance(value, np.generic) else tag | {"shape": list(value.shape)}


def _n_items(content: Any) -> int:
    """Entries of nested lists, without what numpy would make of them."""
    return sum(map(_n_items, content)) if isinstance(content, list) else 1


def _decode_array(content: Any, tag: Tag) -> Any:
    dtype, shape = np.dtype(tag["dtype"]), tuple(tag.get("shape", ()))
    if dtype.kind in "USV" and dtype.itemsize * _n_items(content) > _MOST_BYTES:
        raise ValueError(f"an array of {dtype} takes more than {_MOST_BYTES // 2**20:,} MiB")
    native = dtype.newbyteorder("=")
    stored = {"m": "i8", "M": "i8", "S": "U", "c": f"f{dtype.itemsize // 2}"}.get(dtype.kind, native)
    array: NDArray[Any] = np.array(content, dtype=stored)
    if dtype.kind == "S":
        array = np.strings.encode(array, "latin-1")
    elif dtype.kind in "mMc":
        array = array.view(native)
    array = array.reshape(shape).astype(dtype, copy=False)
    return array if "shape" in tag else array[()]


def _is_text(value: Any) -> bool:
    """Whether a value is an array of text of any length, as anndata gives it from zarr."""
    return isinstance(value, np.ndarray) and value.dtype == np.dtypes.StringDType()


def _encode_text(value: NDArray[Any]) -> tuple[Any, Tag]:
    return value.tolist(), {"shape": list(value.shape)}


def _decode_text(content: Any, tag: Tag) -> NDArray[Any]:
    return np.array(content, dtype=np.dtypes.StringDType()).reshape(tag["shape"])


def _encode_objects(value: NDArray[np.object_]) -> tuple[list[Any], Tag]:
    return value.tolist() if value.ndim else [value.item()], {"shape": list(value.shape)}


def _decode_objects(content: list[Any], tag: Tag) -> NDArray[np.object_]:
    shape = tuple(tag["shape"])
    for _ in shape[1:]:
        content = [item for items in content for item in items]
    array = np.empty(len(content), dtype=object)
    for position, item in enumerate(content):
        array[position] = item
    return array.reshape(shape)


def _is_structured(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.void) and value.dtype.names is not None


def _encode_structured(value: NDArray[np.void] | np.void) -> tuple[dict[str, Any], Tag]:
    array = np.asarray(value)
    names = array.dtype.names or ()
    fields: Mapping[str, Any] = array.dtype.fields or {}
    tag: Tag = {"shape": list(array.shape), "fields": list(names)}
    if np.dtype([(name, fields[name][0]) for name in names]) != array.dtype:
        tag |= {"offsets": [fields[name][1] for name in names], "itemsize": array.dtype.itemsize}
        tag |= {"titles": [fields[name][2] if len(fields[name]) > 2 else None for name in names]}
    if not isinstance(value, np.ndarray) or isinstance(value, np.recarray):
        tag["as"] = "record array" if isinstance(value, np.ndarray) else "scalar"
    return {name: array[name] for name in names}, tag


def _decode_structured(content: dict[str, Any], tag: Tag) -> Any:
    names, shape = tag["fields"], tuple(tag["shape"])
    formats = [(content[name].dtype, content[name].shape[len(shape) :]) for name in names]
    layout: Any = {"names": names, "formats": formats}
    layout |= {key: tag[key] for key in ("offsets", "itemsize", "titles") if key in tag}
    dtype = np.dtype(layout)
    if not names or dtype.itemsize * math.prod(shape) > _MOST_BYTES:
        raise ValueError(f"a structured array of shape {shape} takes more than {_MOST_BYTES // 2**20:,} MiB")
    array = np.zeros(shape, dtype=dtype)
    for name in names:
        array[name] = content[name]
    if tag.get("as") == "record array":
        return array.view(np.recarray)
    return array[()] if tag.get("as") == "scalar" else array


def _encode_masked(value: Any) -> tuple[dict[str, Any], Tag]:
    return {"data": value.data, "mask": np.ma.getmaskarray(value), "fill_value": value.fill_value}, {}


def _encode_extension(value: ExtensionArray) -> tuple[list[Any], Tag]:
    array, record = encode_values(value)
    return to_json(array.cast(KINDS[record["kind"]].arrow(record))), record


def _decode_extension(content: list[Any], record: Tag) -> Any:
    return decode_values(from_json(content, KINDS[record["kind"]].arrow(record)), record)


def _is_extension(value: Any) -> bool:
    return isinstance(value, ExtensionArray) and not isinstance(value.dtype, np.dtype)


def _encode_labels(index: pd.Index) -> Any:
    if index.nlevels > 1:
        raise UnsupportedError("an index of several levels has no form in JSON")
    return values_of(index)


def _decode_labels(data: Any, name: Any) -> pd.Index:
    index: pd.Index = pd.Index(data, dtype=data.dtype, name=name)
    return index


def _encode_index(index: pd.Index) -> tuple[dict[str, Any], Tag]:
    return {"data": _encode_labels(index), "name": index.name}, {}


def _encode_series(series: pd.Series) -> tuple[dict[str, Any], Tag]:
    index = _encode_labels(series.index)
    return {"index": index, "data": values_of(series), "names": [series.index.name, series.name]}, {}


def _decode_series(parts: dict[str, Any], _: Tag) -> pd.Series:
    data, (index_name, name) = parts["data"], parts["names"]
    series: pd.Series = pd.Series(data, index=_decode_labels(parts["index"], index_name), dtype=data.dtype, name=name)
    return series


def _encode_frame(frame: pd.DataFrame) -> tuple[dict[str, Any], Tag]:
    data = [values_of(frame.iloc[:, position]) for position in range(frame.shape[1])]
    index, columns = _encode_labels(frame.index), _encode_labels(frame.columns)
    return {"index": index, "columns": columns, "data": data, "names": [frame.index.name, frame.columns.name]}, {}


def _decode_frame(parts: dict[str, Any], _: Tag) -> pd.DataFrame:
    index_name, columns_name = parts["names"]
    index = _decode_labels(parts["index"], index_name)
    series = [pd.Series(data, index=index, dtype=data.dtype) for data in parts["data"]]
    return pd.DataFrame(dict(enumerate(series)), index=index).set_axis(
        _decode_labels(parts["columns"], columns_name), axis=1
    )


@cache
def _sparse_classes() -> dict[str, type]:
    from scipy import sparse  # imported where there is one

    classes = (sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, sparse.csc_array)
    return {cls.__name__: cls for cls in classes}


def _is_sparse(value: Any) -> bool:
    return type(value).__module__.startswith("scipy.sparse") and isinstance(value, tuple(_sparse_classes().values()))


def _encode_sparse(value: Any) -> tuple[dict[str, Any], Tag]:
    parts = {
        "data": value.data,
        "indices": value.indices,
        "indptr": value.indptr,
        "shape": [int(n) for n in value.shape],
    }
    return parts, {"class": type(value).__name__}


def _decode_sparse(parts: dict[str, Any], tag: Tag) -> Any:
    matrix = _sparse_classes()[tag["class"]](tuple(parts["shape"]), dtype=parts["data"].dtype)
    matrix.data, matrix.indices, matrix.indptr = parts["data"], parts["indices"], parts["indptr"]
    return matrix


def _of(*types: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, types)


CODECS = {
    "masked array": Codec(
        _of(np.ma.MaskedArray), _encode_masked, lambda parts, _: np.ma.MaskedArray(**parts), deep=True
    ),
    "structured array": Codec(_is_structured, _encode_structured, _decode_structured, deep=True),
    "array": Codec(_is_array("biufcmMSU"), _encode_array, _decode_array),
    "text": Codec(_is_text, _encode_text, _decode_text),
    "objects": Codec(_is_array("O"), _encode_objects, _decode_objects, deep=True),
    "tuple": Codec(_of(tuple), lambda value: (list(value), {}), lambda parts, _: tuple(parts), deep=True),
    "float": Codec(_of(float), lambda value: (NON_FINITE[str(value)], {}), lambda text, _: float(text)),
    "complex": Codec(
        _of(complex),
        lambda value: (_encode_array(np.complex128(value))[0], {}),
        lambda pair, _: complex(*map(float, pair)),
    ),
    "bytes": Codec(_of(bytes), lambda value: (value.decode("latin-1"), {}), lambda text, _: text.encode("latin-1")),
    "NA": Codec(lambda value: value is pd.NA, lambda _: (None, {}), lambda *_: pd.NA),
    "NaT": Codec(lambda value: value is pd.NaT, lambda _: (None, {}), lambda *_: pd.NaT),
    "DataFrame": Codec(_of(pd.DataFrame), _encode_frame, _decode_frame, deep=True),
    "Series": Codec(_of(pd.Series), _encode_series, _decode_series, deep=True),
    "Index": Codec(_of(pd.Index), _encode_index, lambda parts, _: _decode_labels(**parts), deep=True),
    "pandas array": Codec(_is_extension, _encode_extension, _decode_extension),
    "sparse": Codec(_is_sparse, _encode_sparse, _decode_sparse, deep=True),
}
