"""What lies at a path where a dataset is wanted and none is, and what to give instead."""

import difflib
import os
import shlex
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from titin.dataset import layout
from titin.errors import DatasetError
from titin.text import say_some

_ATLASES = (".h5ad", ".zarr", ".zarr.zip", ".h5")  # as `titin build` takes them
_ZARR = (".zgroup", "zarr.json")  # one of them is in every store
_RESULTS = (".ageing", ".benchmark", ".network", ".validation")  # of folders that commands write beside a dataset
_LOOKED_AT = 2000  # entries of a folder; it may be anybody's
_NAMED = 3


def no_dataset(place: Path) -> DatasetError:
    """Say that a place of this machine is no dataset, what it is, and what to give in its place.

    Parameters
    ----------
    place
        A path at which there is no ``titin.json``.
    """
    what, hint = _look_at(place)
    return DatasetError(f"{place} is not a titin dataset: {what}", hint)


def _look_at(place: Path) -> tuple[str, str]:
    """What is there, and what to do."""
    if place.is_file():
        if _is_dataset(place.parent):
            return "it is a file of one", f"give its folder: {place.parent}"
        if _is_atlas(place):
            return "it is an atlas, from which one is built", _build(place)
        return "it is a file, and a dataset is a folder", "give the folder that `titin build` wrote"
    if not place.is_dir():
        near = difflib.get_close_matches(place.name, [path.name for path in _datasets_in(place.parent)], n=1)
        return "there is nothing", f"did you mean {place.with_name(near[0])}?" if near else "check the path"
    if any((place / mark).exists() for mark in _ZARR):
        return "it is an atlas, from which one is built", _build(place)
    if place.suffix in _RESULTS and _is_dataset(place.with_suffix("")):
        return "it holds results of one", f"give the dataset: {place.with_suffix('')}"
    if found := [str(path) for path in _datasets_in(place)]:
        many = f"it holds {len(found)}" if len(found) > 1 else "it holds one"
        return many, f"give {'one of them: ' * (len(found) > 1)}{say_some(found, _NAMED)}"
    atlases = [path for path in _entries(place) if _is_atlas(path)]
    return f"it has no {layout.MANIFEST}", _build(atlases[0]) if atlases else "give the folder that `titin build` wrote"


def _entries(folder: Path) -> list[Path]:
    """What is in a folder, by name; nothing where it may not be read."""

    def found() -> Iterator[Path]:
        with os.scandir(folder) as entries:
            yield from (folder / entry.name for entry in islice(entries, _LOOKED_AT))

    try:
        return sorted(found())
    except OSError:
        return []


def _datasets_in(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if _is_dataset(path)]


def _is_dataset(folder: Path) -> bool:
    return os.path.isfile(folder / layout.MANIFEST)  # noqa: PTH113 - Path.is_file raises where a folder may not be read


def _is_atlas(path: Path) -> bool:
    return path.name.lower().endswith(_ATLASES)


def _build(atlas: Path) -> str:
    return f"build it first: titin build {shlex.quote(str(atlas))} -o DATASET"
