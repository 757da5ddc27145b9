"""Names of cells, genes, columns and keys that a format cannot hold, told before anything is written."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from titin.errors import TitinError

_LONGEST_FILE_NAME = 255  # bytes
_ZARR_FILES = frozenset({".zgroup", ".zattrs", ".zarray", ".zmetadata", "zarr.json"})
_ELSEWHERE = "export in another format, or rename it in the source and build again"


def split_name(name: str, to: str) -> list[str]:
    """Groups within groups that a name with slashes stands for in HDF5 (``h5ad``) or ``zarr``."""
    return re.split(r"[/\\]" if to == "zarr" else "/", name)


def check_table(table: pd.DataFrame, place: str, to: str) -> None:
    """Refuse a table of which AnnData in HDF5 or zarr cannot hold a column under its name.

    A slash in the name of a column makes a group of what is before it, and anndata reads the column back.

    Raises
    ------
    TitinError
        With the name and why.
    """
    names = list(table.columns)
    taken = {tuple(split_name(str(table.index.name or "_index"), to)): "the index"}
    for name in [*names, *([] if table.index.name is None else [table.index.name])]:
        _refuse(_problem(name, to), name, place, to)
    for name in names:
        if name == "_index":
            _refuse("it is the name of the index there", name, place, to)
        if name == table.index.name and not pd.Series(table.index, table.index).equals(table[name]):
            _refuse("the index has the same name and other values", name, place, to)
        if name != table.index.name:
            parts = tuple(split_name(name, to))
            for end in range(1, len(parts) + 1):
                if parts[:end] in taken:
                    _refuse(f"{taken[parts[:end]]} is in its place", name, place, to)
            taken[parts] = f"column {name!r}"
    for parts in taken:
        for end in range(1, len(parts)):
            if parts[:end] in taken:
                _refuse(f"{taken[parts[:end]]} is in its place", "/".join(parts), place, to)


def check_keys(mapping: Mapping[str, Any], place: str, to: str) -> None:
    """Refuse keys, at any depth, that HDF5 or zarr cannot hold; a slash would make two keys of one.

    Raises
    ------
    TitinError
        With the key and why.
    """
    for key, value in mapping.items():
        _refuse(_problem(key, to), key, place, to)
        if len(split_name(key, to)) > 1:
            _refuse("a slash there parts one key from another", key, place, to)
        if isinstance(value, Mapping):
            check_keys(value, f"{place}/{key}", to)
        elif isinstance(value, pd.DataFrame):
            check_table(value, f"{place}/{key}", to)


def check_lines(names: Iterable[Any], what: str, file: str, marks: Sequence[str]) -> None:
    """Refuse names that would not be one entry of a text file for every reader.

    Parameters
    ----------
    names
        As they would be written.
    what
        ``barcode``, ``gene``.
    file
        Where they would be.
    marks
        Characters that part or quote entries there.

    Raises
    ------
    TitinError
        With the name and the character.
    """
    wrong = re.compile("[\n\r\x00" + re.escape("".join(marks)) + "]")
    for row, name in enumerate(map(str, names)):
        found = wrong.search(name)
        if found is not None or not name.strip():
            why = f"{found.group()!r} parts or quotes entries there" if found else "nothing can be seen of it"
            raise TitinError(f"{what} {name!r} (number {row:,}) cannot be written to {file}: {why}", _ELSEWHERE)


def _problem(name: Any, to: str) -> str | None:
    """Say why a name cannot be one of a column or key; None if it can."""
    if not isinstance(name, str):
        return f"it is a {type(name).__name__}, not text"
    parts = split_name(name, to)
    if "\x00" in name:
        return "it has a NUL in it"
    if "" in parts:
        return "it is empty, or empty before or after a slash"
    if "." in parts or (to == "zarr" and ".." in parts):
        return "a dot means the group itself there"
    if to == "zarr" and any(len(part.encode()) > _LONGEST_FILE_NAME for part in parts):
        return f"names of files have up to {_LONGEST_FILE_NAME} bytes"
    if to == "zarr" and _ZARR_FILES & set(parts):
        return "zarr has a file of that name"
    return None


def _refuse(problem: str | None, name: Any, place: str, to: str) -> None:
    if problem:
        shown = repr(name) if len(str(name)) <= 80 else f"{name[:60]!r}… ({len(name):,} characters)"
        raise TitinError(f"{shown} in {place} cannot be written to {to}: {problem}", _ELSEWHERE)
