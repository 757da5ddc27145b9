"""Thrift's compact protocol, in which Parquet writes its footers and the headers of its pages.

`read_struct` reads values alone, and quickly. `read_fields` and `write_fields` keep structs as they stand in a file, so
that some fields can be changed and all others written as they were.
"""

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

Bytes = bytes | memoryview

_TRUE, _FALSE, _BYTE, _INTEGERS, _DOUBLE, _BINARY, _LISTS, _STRUCT = 1, 2, 3, (4, 5, 6), 7, 8, (9, 10), 12
I16, I32, I64 = _INTEGERS
_LONGEST_SHORT = 15  # elements of a list, or steps between fields, that fit half a byte
_MAX_DEPTH = 32  # of structs and lists in each other; Parquet's own are six deep
_MAX_BITS = 64


class Field(NamedTuple):
    """One field: the type that it has in the compact protocol, and its value.

    The value of a list is the type of its elements and a list of their values; of a struct its fields.
    """

    kind: int
    value: Any


Fields = dict[int, Field]
"""The fields of a struct by number, in the order of the file."""


def read_struct(data: Bytes, at: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """Read a struct of Thrift's compact protocol: its fields by number, and the position behind it.

    Short integers are read in place: a wide table's footer has hundreds of thousands.

    Raises
    ------
    IndexError, struct.error
        If the bytes end early.
    ValueError
        If a field is of a type that Parquet does not use, an integer has more than 64 bits, or structs lie too deep
        (``depth``) in each other.
    """
    fields: dict[int, Any] = {}
    number = 0
    while True:
        head = data[at]
        at += 1
        if not head:
            return fields, at
        kind = head & 15
        if head >> 4:
            number += head >> 4
        else:
            number, at = _read_integer(data, at)
        if 4 <= kind <= 6:  # an integer; numbers in place of names, as each of a footer's fields comes by
            byte = data[at]
            if byte < 128:
                fields[number] = (byte >> 1) ^ -(byte & 1)
                at += 1
            else:
                fields[number], at = _read_integer(data, at)
        elif kind <= 2:
            fields[number] = kind == 1
        else:
            fields[number], at = _value(data, at, kind, depth + 1, fields=False)


def read_struct_in_parts(data: Bytes, at: int, number: int, take: Callable[[dict[int, Any]], None]) -> dict[int, Any]:
    """Read a struct one of whose fields is a long list of structs: each is taken and let go, and their number kept.

    Raises
    ------
    IndexError, struct.error, ValueError
        As `read_struct`.
    """
    fields: dict[int, Any] = {}
    field = 0
    while True:
        kind, step = data[at] & 15, data[at] >> 4
        at += 1
        if not kind and not step:
            return fields
        if step:
            field += step
        else:
            field, at = _read_integer(data, at)
        if kind in (_TRUE, _FALSE):
            fields[field] = kind == _TRUE
        elif field == number and kind in _LISTS:
            n, element, at = _list_head(data, at)
            fields[field] = n
            for _ in range(n):
                item, at = _value(data, at, element, 2, fields=False)
                take(item)
        else:
            fields[field], at = _value(data, at, kind, 1, fields=False)


def read_fields(data: Bytes, at: int = 0, depth: int = 0) -> tuple[Fields, int]:
    """Read a struct with the types of its fields, and the position behind it.

    Raises
    ------
    IndexError, struct.error, ValueError
        As `read_struct`.
    """
    fields: Fields = {}
    number = 0
    while True:
        head = data[at]
        at += 1
        if not head:
            return fields, at
        kind = head & 15
        if head >> 4:
            number += head >> 4
        else:
            number, at = _read_integer(data, at)
        if kind in (_TRUE, _FALSE):
            fields[number] = Field(kind, None)
        else:
            value, at = _value(data, at, kind, depth + 1, fields=True)
            fields[number] = Field(kind, value)


def write_fields(fields: Fields, *, after: int = 0) -> bytes:
    """Write a struct; of what `read_fields` gave, the bytes that it was read from.

    Parameters
    ----------
    fields
        In place of a struct within, the bytes of one will do.
    after
        Number of the field that was written before these: they are the rest of a struct.
    """
    out = bytearray()
    _write_fields(out, fields, after)
    return bytes(out)


def _value(data: Bytes, at: int, kind: int, depth: int, *, fields: bool) -> tuple[Any, int]:
    """A value, and the position behind it; with ``fields`` in a form in which it can be written again."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"structs lie more than {_MAX_DEPTH} deep in each other")
    if kind == _STRUCT:
        return read_fields(data, at, depth) if fields else read_struct(data, at, depth)
    if kind == _BINARY:
        n, at = _read_varint(data, at)
        if at + n > len(data):
            raise IndexError("it ends early")
        found = data[at : at + n]
        return bytes(found) if fields else found, at + n
    if kind in _LISTS:
        return _list(data, at, depth, fields=fields)
    if kind in _INTEGERS:
        return _read_integer(data, at)
    if kind == _BYTE:
        return data[at], at + 1
    if kind == _DOUBLE:
        return struct.unpack_from("<d", data, at)[0], at + 8
    raise ValueError(f"a field of type {kind}")


def _list(data: Bytes, at: int, depth: int, *, fields: bool) -> tuple[Any, int]:
    n, kind, at = _list_head(data, at)
    items: list[Any] = []
    for _ in range(n):
        if kind in (_TRUE, _FALSE):
            item, at = data[at] if fields else data[at] == _TRUE, at + 1
        else:
            item, at = _value(data, at, kind, depth + 1, fields=fields)
        items.append(item)
    return (kind, items) if fields else items, at


def _list_head(data: Bytes, at: int) -> tuple[int, int, int]:
    """How many elements a list has, of which type, and the position of the first."""
    n, kind = data[at] >> 4, data[at] & 15
    at += 1
    if n == _LONGEST_SHORT:
        n, at = _read_varint(data, at)
    return n, kind, at


def _read_integer(data: Bytes, at: int) -> tuple[int, int]:
    """Read a signed integer, and the position behind it."""
    value, at = _read_varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _read_varint(data: Bytes, at: int) -> tuple[int, int]:
    """Read an integer that is not negative, and the position behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift >= _MAX_BITS:
            raise ValueError(f"an integer of more than {_MAX_BITS} bits")


def _write_fields(out: bytearray, fields: Fields, before: int = 0) -> None:
    for number in sorted(fields):
        kind, value = fields[number]
        step = number - before
        if 0 < step <= _LONGEST_SHORT:
            out.append(step << 4 | kind)
        else:
            out.append(kind)
            _write_integer(out, number)
        before = number
        if kind not in (_TRUE, _FALSE):
            _write(out, kind, value)
    out.append(0)


def _write(out: bytearray, kind: int, value: Any) -> None:
    if kind in _INTEGERS:
        _write_integer(out, value)
    elif kind == _STRUCT:
        if isinstance(value, bytes):
            out += value
        else:
            _write_fields(out, value)
    elif kind == _BINARY:
        _write_varint(out, len(value))
        out += value
    elif kind in _LISTS:
        element, items = value
        if len(items) < _LONGEST_SHORT:
            out.append(len(items) << 4 | element)
        else:
            out.append(_LONGEST_SHORT << 4 | element)
            _write_varint(out, len(items))
        for item in items:
            if element in (_TRUE, _FALSE):
                out.append(item)
            else:
                _write(out, element, item)
    elif kind == _BYTE:
        out.append(value)
    else:
        out += struct.pack("<d", value)


def _write_integer(out: bytearray, value: int) -> None:
    _write_varint(out, value << 1 if value >= 0 else (~value << 1) | 1)


def _write_varint(out: bytearray, value: int) -> None:
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
