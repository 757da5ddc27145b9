"""JSON that others have written: read within bounds and strictly, or refused in words."""

import json
import math
from pathlib import Path
from typing import Any

from titin.files import read_bytes

MOST_VALUES = 16_000_000  # an empty list takes two bytes of a file, and some sixty of memory
MOST_DEPTH = 200
_NESTED = (dict, list)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    OSError
        If there is none, or it is no regular file, too large or not to be read; see `titin.files.read_bytes`.
    ValueError
        If it is no strict JSON; see `parse_json`.
    """
    return parse_json(read_bytes(path))


def parse_json(data: bytes | str) -> Any:
    """Parse strict JSON, of bytes in UTF-8.

    Raises
    ------
    ValueError
        If it is none; if a key stands twice in a table, of which readers would see one or the other; if a number is
        not finite or has more digits than any here; if text is no text that UTF-8 can hold; if it is nested or branched
        beyond all use.
    """
    text = data if isinstance(data, str) else data.decode("utf-8")
    if sum(map(text.count, ",[{")) > MOST_VALUES:
        raise ValueError(f"it holds more than {MOST_VALUES:,} values")
    try:
        document = json.loads(
            text, object_pairs_hook=_table, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_whole
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check(document, surrogates="\\u" in text)
    return document


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen = set[str]()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:60]!r} stands twice in one table")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"the number {digits[:20]} is too large")
    return number


def _whole(digits: str) -> int:
    if len(digits) > 20:  # of -2⁶³ and 2⁶⁴
        raise ValueError(f"the number {digits[:20]}… is too large")
    return int(digits)


def _check(document: Any, *, surrogates: bool) -> None:
    """Refuse what is nested too deeply, and halves of characters, which no output can be written with."""
    level = [document]
    for _ in range(MOST_DEPTH):
        below: list[Any] = []
        for value in level:
            inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
            if surrogates:
                below += inner
                for text in value if isinstance(value, dict) else (value,):
                    if isinstance(text, str):
                        text.encode("utf-8")
            else:
                below += [own for own in inner if own.__class__ in _NESTED]
        if not below:
            return
        level = below
    raise ValueError("it is nested too deeply")
