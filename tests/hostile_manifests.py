"""Manifests as a stranger might change them: every key with foreign values, and names that lead out."""

import copy
from collections.abc import Iterator
from typing import Any

Place = tuple[str | int, ...]
GONE = object()

NAMES = (
    "../../notes.txt", "../notes.txt", "/etc/passwd", "a/b", "..", ".", "", ".hidden", "-x", "titin.json", "a\\b",
    "C:\\x", "C:x", "a\x00b", "a\nb", "a\x1b[31mb", "a\u202eb", "a b", "~", "~/x", "$HOME", "%2e%2e%2fx", "\ud800",
    "x" * 300, "file:///etc/passwd", "CON/x", "a/../../b", "\uff0e\uff0e\uff0fx",
)  # fmt: skip
OTHERS = (
    None, True, False, -1, 0, 1, 3, 2**64, 10**30, 1.5, -0.5, 1e308, "x", "=1+1", "$x$", "<script>", "x" * 100_000,
    [], [1], ["x"], [[]], [None], {}, {"x": 1}, {"x": {}}, {"file": "../x"}, GONE,
)  # fmt: skip
OPEN = 3  # entries of a table of many, and of a list, of which one is like the next


def places(document: Any, at: Place = ()) -> Iterator[Place]:
    """Each key of a document, and some entries of what has many."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(document, dict):
        inner = list(document.items()) if len(document) < 30 else list(document.items())[:OPEN]
    elif isinstance(document, list):
        inner = list(enumerate(document))[:OPEN]
    for key, value in inner:
        yield (*at, key)
        yield from places(value, (*at, key))


def changed(document: Any, place: Place, value: Any) -> Any:
    """Copy a document with another value at a place, or without what is there."""
    document = copy.deepcopy(document)
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    if value is GONE:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return document


def renamed(document: Any, place: Place, name: str) -> Any:
    """Copy a document with another key in the place of one."""
    document = copy.deepcopy(document)
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[name] = inner.pop(place[-1])
    return document


def all_changes(document: Any) -> Iterator[tuple[Place, Any]]:
    """Every place with every value."""
    for place in places(document):
        for value in (*NAMES, *OTHERS):
            yield place, value
