"""Thrift's compact protocol, in which Parquet writes its footers and the headers of its pages."""

import struct
from typing import Any

Bytes = bytes | memoryview


def read_struct(data: Bytes, at: int) -> tuple[dict[int, Any], int]:
    """Read a struct of Thrift's compact protocol: its fields by number, and the position behind it.

    Short integers are read in place: a wide table's footer has hundreds of thousands.

    Raises
    ------
    IndexError, struct.error
        If the bytes end early.
    ValueError
        If a field is of a type that Parquet does not use.
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
            number, at = _integer(data, at)
        if 4 <= kind <= 6:
            byte = data[at]
            if byte < 128:
                fields[number] = (byte >> 1) ^ -(byte & 1)
                at += 1
            else:
                fields[number], at = _integer(data, at)
        elif kind <= 2:
            fields[number] = kind == 1
        else:
            fields[number], at = _value(data, at, kind)


def _value(data: Bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind == 12:
        return read_struct(data, at)
    if kind == 8:
        n, at = _varint(data, at)
        if at + n > len(data):
            raise IndexError("it ends early")
        return data[at : at + n], at + n
    if kind in (9, 10):
        return _list(data, at)
    if 4 <= kind <= 6:
        return _integer(data, at)
    if kind == 3:
        return data[at], at + 1
    if kind == 7:
        return struct.unpack_from("<d", data, at)[0], at + 8
    raise ValueError(f"a field of type {kind}")


def _list(data: Bytes, at: int) -> tuple[list[Any], int]:
    n, kind = data[at] >> 4, data[at] & 15
    at += 1
    if n == 15:
        n, at = _varint(data, at)
    items: list[Any] = []
    for _ in range(n):
        if kind in (1, 2):
            item, at = data[at] == 1, at + 1
        else:
            item, at = _value(data, at, kind)
        items.append(item)
    return items, at


def _integer(data: Bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: Bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
