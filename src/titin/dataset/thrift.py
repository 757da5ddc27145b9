"""Thrift's compact protocol, in which Parquet writes its footers and the headers of its pages."""

import struct
from typing import Any

Bytes = bytes | memoryview

_MAX_DEPTH = 32  # of structs and lists in each other; Parquet's own are six deep
_MAX_BITS = 64


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
            number, at = read_integer(data, at)
        if 4 <= kind <= 6:
            byte = data[at]
            if byte < 128:
                fields[number] = (byte >> 1) ^ -(byte & 1)
                at += 1
            else:
                fields[number], at = read_integer(data, at)
        elif kind <= 2:
            fields[number] = kind == 1
        else:
            fields[number], at = _value(data, at, kind, depth + 1)


def check_depth(depth: int) -> None:
    """Refuse structs and lists that lie too deep in each other."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"structs lie more than {_MAX_DEPTH} deep in each other")


def _value(data: Bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    check_depth(depth)
    if kind == 12:
        return read_struct(data, at, depth)
    if kind == 8:
        n, at = read_varint(data, at)
        if at + n > len(data):
            raise IndexError("it ends early")
        return data[at : at + n], at + n
    if kind in (9, 10):
        return _list(data, at, depth)
    if 4 <= kind <= 6:
        return read_integer(data, at)
    if kind == 3:
        return data[at], at + 1
    if kind == 7:
        return struct.unpack_from("<d", data, at)[0], at + 8
    raise ValueError(f"a field of type {kind}")


def _list(data: Bytes, at: int, depth: int) -> tuple[list[Any], int]:
    n, kind = data[at] >> 4, data[at] & 15
    at += 1
    if n == 15:
        n, at = read_varint(data, at)
    items: list[Any] = []
    for _ in range(n):
        if kind in (1, 2):
            item, at = data[at] == 1, at + 1
        else:
            item, at = _value(data, at, kind, depth + 1)
        items.append(item)
    return items, at


def read_integer(data: Bytes, at: int) -> tuple[int, int]:
    """Read a signed integer, and the position behind it."""
    value, at = read_varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def read_varint(data: Bytes, at: int) -> tuple[int, int]:
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
