"""Shapes of values in JSON: what a key may hold, said by small functions that are put together to a table of keys.

A shape takes a value, and raises `ShapeError` if the value is not of it; the error gathers the keys on its way up.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

Shape = Callable[[Any], None]
_SHOWN = 60  # characters of a foreign value


class ShapeError(ValueError):
    """A value is not what its key holds; as text, it begins with the key.

    Parameters
    ----------
    said
        What is wrong with the value.
    key
        Where the value stands, as far as known.
    """

    def __init__(self, said: str, key: str = "") -> None:
        super().__init__(said)
        self.key = key

    def under(self, name: object) -> "ShapeError":
        """The same error of a table or list that has the value under a name or at a position."""
        own = f"[{name}]" if isinstance(name, int) else _show_key(str(name))
        between = "." if self.key and not self.key.startswith("[") else ""
        return ShapeError(self.args[0], f"{own}{between}{self.key}")

    def __str__(self) -> str:
        return f"{self.key} {self.args[0]}" if self.key else f"it {self.args[0]}"


def refuse(value: Any, wanted: str) -> ShapeError:
    """Return the error that says what a value is, and what it should be."""
    return ShapeError(f"is {_show(value)}, not {wanted}")


def text(matching: str | None = None, *, said: str = "text") -> Shape:
    """Text, all of it of a regular expression where one is given."""
    pattern = None if matching is None else re.compile(matching)

    def check(value: Any) -> None:
        if not isinstance(value, str) or (pattern is not None and not pattern.fullmatch(value)):
            raise refuse(value, said)

    return check


def one_of(*values: str) -> Shape:
    """One of some words."""

    def check(value: Any) -> None:
        if not isinstance(value, str) or value not in values:
            raise refuse(value, f"one of {', '.join(values)}")

    return check


def whole(least: int = 0, most: int = 2**63 - 1) -> Shape:
    """A whole number within bounds."""

    def check(value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise refuse(value, f"a whole number from {least} to {most}")

    return check


def real(least: float = -math.inf) -> Shape:
    """A finite number."""

    def check(value: Any) -> None:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value < least:
            raise refuse(value, "a number" if least == -math.inf else f"a number from {least:g}")

    return check


def flag(value: Any) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise refuse(value, "true or false")


def scalar(value: Any) -> None:
    """Text, a number, true, false or null."""
    if not (value is None or isinstance(value, (str, int, float))):
        raise refuse(value, "text, a number, true, false or null")


def anything(value: Any) -> None:
    """Whatever JSON holds."""


def optional(shape: Shape) -> Shape:
    """Of a shape, or null."""

    def check(value: Any) -> None:
        if value is not None:
            shape(value)

    return check


def either(lists: Shape, others: Shape) -> Shape:
    """Of one shape if it is a list or a table, and of another if not."""

    def check(value: Any) -> None:
        (lists if isinstance(value, (list, dict)) else others)(value)

    return check


def list_of(shape: Shape, *, least: int = 0) -> Shape:
    """A list of entries of one shape."""

    def check(value: Any) -> None:
        if not isinstance(value, list):
            raise refuse(value, "a list")
        if len(value) < least:
            raise ShapeError(f"has {len(value)} entries, not {least} or more")
        for position, own in enumerate(value):
            try:
                shape(own)
            except ShapeError as error:
                raise error.under(position) from None

    return check


def table_of(shape: Shape, keys: Shape = anything) -> Shape:
    """A table of entries of one shape, under any keys or keys of a shape."""

    def check(value: Any) -> None:
        if not isinstance(value, dict):
            raise refuse(value, "a table")
        for name, own in value.items():
            try:
                keys(name)
            except ShapeError as error:
                raise ShapeError(f"has a key that {error.args[0]}") from None
            try:
                shape(own)
            except ShapeError as error:
                raise error.under(name) from None

    return check


def record(needed: Mapping[str, Shape], may: Mapping[str, Shape] | None = None) -> Shape:
    """A table with some keys, and perhaps others; keys of neither are passed over, as a later release may have them."""
    known = {**needed, **(may or {})}

    def check(value: Any) -> None:
        if not isinstance(value, dict):
            raise refuse(value, "a table")
        for name, shape in known.items():
            if name in value:
                try:
                    shape(value[name])
                except ShapeError as error:
                    raise error.under(name) from None
            elif name in needed:
                raise ShapeError("is missing", name)

    return check


def _show_key(name: str) -> str:
    return name if re.fullmatch(r"[\w.-]{1,80}", name, re.ASCII) else _show(name)


def _show(value: Any) -> str:
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    shown = ascii(value[:_SHOWN] if isinstance(value, str) else value)
    return f"{shown[:_SHOWN]}…" if len(shown) > _SHOWN or (isinstance(value, str) and len(value) > _SHOWN) else shown
