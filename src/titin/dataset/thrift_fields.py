"""Thrift structs as they stand in a file, so that some fields can be changed and all others written as they were."""

import struct
from typing import Any, NamedTuple

from titin.dataset.thrift import Bytes, check_depth, read_integer, read_varint

_TRUE, _FALSE, _BYTE, _INTEGERS, _DOUBLE, _BINARY, _LISTS, _STRUCT = 1, 2, 3, (4, 5, 6), 7, 8, (9, 10), 12
I16, I32, I64 = _INTEGERS
_LIST = 9
_LONGEST_SHORT = 15  # elements of a list, or steps between fields, that fit half a byte


class Field(NamedTuple):
    """One field: the type that it has in the compact protocol, and its value.

    The value of a list is the type of its elements and a list of their values; of a struct its fields.
    """

    kind: int
    value: Any


Fields = dict[int, Field]
"""The fields of a struct by number, in the order of the file."""


def read_fields(data: Bytes, at: int = 0, depth: int = 0) -> tuple[Fields, int]:
    """Read a struct with the types of its fields, and the position behind it.

    Raises
    ------
    IndexError, struct.error
        If the bytes end early.
    ValueError
        If a field is of a type that Parquet does not use, an integer has more than 64 bits, or structs lie too deep
        (``depth``) in each other.
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
            number, at = read_integer(data, at)
        if kind in (_TRUE, _FALSE):
            fields[number] = Field(kind, None)
        else:
            value, at = _read(data, at, kind, depth + 1)
            fields[number] = Field(kind, value)


def write_fields(fields: Fields) -> bytes:
    """Write a struct; of what `read_fields` gave, the bytes that it was read from."""
    out = bytearray()
    _write_fields(out, fields)
    return bytes(out)


def _read(data: Bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    check_depth(depth)
    if kind in _INTEGERS:
        return read_integer(data, at)
    if kind == _STRUCT:
        return read_fields(data, at, depth)
    if kind == _BINARY:
        n, at = read_varint(data, at)
        if at + n > len(data):
            raise IndexError("it ends early")
        return bytes(data[at : at + n]), at + n
    if kind in _LISTS:
        n, element = data[at] >> 4, data[at] & 15
        at += 1
        if n == _LONGEST_SHORT:
            n, at = read_varint(data, at)
        items = []
        for _ in range(n):
            item, at = (data[at], at + 1) if element in (_TRUE, _FALSE) else _read(data, at, element, depth + 1)
            items.append(item)
        return (element, items), at
    if kind == _BYTE:
        return data[at], at + 1
    if kind == _DOUBLE:
        return struct.unpack_from("<d", data, at)[0], at + 8
    raise ValueError(f"a field of type {kind}")


def _write_fields(out: bytearray, fields: Fields) -> None:
    before = 0
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
