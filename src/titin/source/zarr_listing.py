"""What lies in a zarr store, by its names and metadata alone: the arrays, and the chunks of them that are not there."""

import json
import re
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from titin.source.gaps import Gaps, MissingChunks
from titin.source.inventory import Inventory
from titin.source.reading import reading

_ABSENT = 2**64 - 1  # offset of a chunk that a shard does not hold
_CANDIDATES, _LARGEST = 64, 4 << 20  # chunks that are looked at for zeros, and bytes of one unpacked


class Listing(ABC):
    """Names of the files in a store with their sizes, and their content."""

    sizes: Mapping[str, int]

    @abstractmethod
    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return a file's bytes, or a range of them; negative positions count from its end."""


class FolderListing(Listing):
    """Of a folder."""

    def __init__(self, inventory: Inventory) -> None:
        self._path = inventory.path
        self.sizes = {name: state.size for name, state in inventory.states.items()}

    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return a file's bytes, or a range of them."""
        first, last, _ = slice(start, stop).indices(self.sizes[name])
        with (self._path / name).open("rb") as file:
            file.seek(first)
            return file.read(last - first)


class ArchiveListing(Listing):
    """Of a zip file."""

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path)
        entries = self._archive.infolist()
        self.sizes = {entry.filename: entry.file_size for entry in entries if not entry.is_dir()}

    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return a file's bytes, or a range of them."""
        return self._archive.read(name)[start:stop]


@dataclass(frozen=True)
class StoredArray:
    """An array as its metadata describe it.

    Attributes
    ----------
    shape, chunk_shape
        Of the array and of what one file holds.
    prefix, separator
        A chunk's name is the prefix, and its position in the grid with separators between.
    fill
        What is read where a chunk is not stored.
    shard
        Settings of the codec that packs many chunks into one file, if there is one.
    is_blosc
        Whether files are compressed with Blosc, whose decoder does not see where one is truncated.
    """

    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    prefix: str
    separator: str
    fill: Any
    shard: Mapping[str, Any] | None = None
    is_blosc: bool = False

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of files along each dimension."""
        return tuple(-(-n // extent) for n, extent in zip(self.shape, self.chunk_shape, strict=True))

    def position(self, name: str) -> tuple[int, ...] | None:
        """Position of a chunk by the name of its file; None of other files."""
        if not self.shape:
            return () if name == (self.prefix.rstrip(self.separator) or "0") else None
        numbers = name.removeprefix(self.prefix).split(self.separator)
        if not name.startswith(self.prefix) or len(numbers) != len(self.shape):
            return None
        if not all(number.isascii() and number.isdigit() for number in numbers):
            return None
        position = tuple(map(int, numbers))
        return position if all(i < n for i, n in zip(position, self.grid, strict=True)) else None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "StoredArray | None":
        """Array by its metadata; None where they are of a kind that is not known here, which zarr may know."""
        try:
            return cls._of_v2(document) if document["zarr_format"] == 2 else cls._of_v3(document)
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            return None

    @classmethod
    def _of_v2(cls, document: Mapping[str, Any]) -> "StoredArray":
        separator = document.get("dimension_separator", ".")
        is_blosc = (document.get("compressor") or {}).get("id") == "blosc"
        sizes = _sizes(document["shape"]), _extents(document["chunks"])
        return cls(*sizes, "", separator, document["fill_value"], is_blosc=is_blosc)

    @classmethod
    def _of_v3(cls, document: Mapping[str, Any]) -> "StoredArray":
        grid, keys = document["chunk_grid"], document["chunk_key_encoding"]
        if grid["name"] != "regular" or keys["name"] not in ("default", "v2"):
            raise ValueError("unknown")
        default = keys["name"] == "default"
        separator = keys.get("configuration", {}).get("separator", "/" if default else ".")
        first = document["codecs"][0]
        shard = first["configuration"] if first["name"] == "sharding_indexed" else None
        sizes = _sizes(document["shape"]), _extents(grid["configuration"]["chunk_shape"])
        prefix, is_blosc = f"c{separator}" if default else "", document["codecs"][-1]["name"].endswith("blosc")
        return cls(*sizes, prefix, separator, document["fill_value"], shard, is_blosc)


def _sizes(numbers: Iterable[Any]) -> tuple[int, ...]:
    return tuple(int(number) for number in numbers)


def _extents(numbers: Iterable[Any]) -> tuple[int, ...]:
    return tuple(max(1, int(number)) for number in numbers)


class Contents:
    """The arrays of a store and the files of each.

    Parameters
    ----------
    inventory
        The files.

    Raises
    ------
    SourceError
        If metadata cannot be read.
    """

    def __init__(self, inventory: Inventory) -> None:
        path = self.path = inventory.path
        with reading(path, "the root"):
            listing = self._listing = FolderListing(inventory) if path.is_dir() else ArchiveListing(path)
            summary = _summary(listing)
            self._lost = _lost(listing, summary)
            self.arrays = dict(_arrays(listing, summary))
            self._files = _files_of(listing, self.arrays)

    def array_of(self, name: str) -> StoredArray | None:
        """Return the array that a file is a chunk of; None of other files."""
        place = name
        while place:
            place = place.rpartition("/")[0]
            array = self.arrays.get(place)
            if array is not None:
                return array if array.position(name[len(place) + 1 :]) is not None else None
        return None

    def gaps(self, root: Any) -> Gaps:
        """Find the chunks that the store lacks.

        Parameters
        ----------
        root
            The root group, opened by zarr; read only where a gap makes it matter whether zeros are stored.
        """
        found = dict(self._lost)
        for place, array in self.arrays.items():
            with reading(self.path, place):
                gap = _gap_of(self._listing, place, array, self._files.get(place, []))
                if gap is not None and place not in found and not _is_null(self._listing, place):
                    found[place] = gap
        shapes = {place: array.shape for place, array in self.arrays.items()}
        return Gaps(self.path, found, shapes, lambda: not _stores_zeros(self.path, root, self._packed_best()))

    def _packed_best(self) -> list[tuple[str, tuple[slice, ...]]]:
        """Array and places of the chunks that are smallest for what they hold, as chunks of zeros are."""
        found = []
        for place, array in self.arrays.items():
            for name in () if array.shard is not None or array.fill is None else self._files.get(place, ()):
                position = array.position(name)
                if position is not None:
                    share = self._listing.sizes[f"{place}/{name}"] / prod(array.chunk_shape)
                    found.append((share, place, position))
        return [
            (place, tuple(slice(i * n, (i + 1) * n) for i, n in zip(at, self.arrays[place].chunk_shape, strict=True)))
            for _, place, at in sorted(found)[:_CANDIDATES]
        ]


def _summary(listing: Listing) -> dict[str, Any]:
    """Metadata by the name of their file, as the store's own summary has them."""
    if ".zmetadata" in listing.sizes:
        return dict(json.loads(listing.read(".zmetadata"))["metadata"])
    if "zarr.json" not in listing.sizes:
        return {}
    inline = (json.loads(listing.read("zarr.json")).get("consolidated_metadata") or {}).get("metadata", {})
    return {f"{place}/zarr.json": document for place, document in inline.items()}


def _lost(listing: Listing, summary: Mapping[str, Any]) -> dict[str, MissingChunks]:
    """Metadata by place that the summary lists and that are not there; none where the store has only the summary."""
    if not any(name.rpartition("/")[2] in (".zarray", ".zgroup", "zarr.json") for name in listing.sizes):
        return {}
    names = [name for name in sorted(summary) if name not in listing.sizes]
    return {name.rpartition("/")[0]: MissingChunks(1, 1, lost=name) for name in reversed(names)}


def _arrays(listing: Listing, summary: Mapping[str, Any]) -> Iterator[tuple[str, StoredArray]]:
    """Every array by place, from its own metadata, or the summary where there are none."""
    for name in listing.sizes.keys() | summary.keys():
        place, _, last = name.rpartition("/")
        if not place or last not in (".zarray", "zarr.json"):
            continue
        document = json.loads(listing.read(name)) if name in listing.sizes else summary[name]
        if last == ".zarray" or document.get("node_type") == "array":
            array = StoredArray.of(document)
            if array is not None:
                yield place, array


def _files_of(listing: Listing, arrays: Mapping[str, StoredArray]) -> dict[str, list[str]]:
    """Names of the files below each array, without its place."""
    owners: dict[str, str | None] = {}

    def owner(folder: str) -> str | None:
        if folder not in owners:
            above = folder.rpartition("/")[0]
            owners[folder] = folder if folder in arrays else owner(above) if folder else None
        return owners[folder]

    found: dict[str, list[str]] = {}
    for name in listing.sizes:
        place = owner(name.rpartition("/")[0])
        if place is not None:
            found.setdefault(place, []).append(name[len(place) + 1 :])
    return found


def _gap_of(listing: Listing, place: str, array: StoredArray, names: Iterable[str]) -> MissingChunks | None:
    """What an array lacks; None if all is there."""
    stored: dict[tuple[int, ...], str] = {}
    for name in names:
        position = array.position(name)
        if position is not None:
            stored[position] = f"{place}/{name}"
    empty = next((name for name in stored.values() if not listing.sizes[name]), "")
    chunk_shape, present, n_chunks = array.chunk_shape, frozenset(stored), prod(array.grid)
    if array.shard is not None and not empty:
        chunk_shape = _extents(array.shard["chunk_shape"])
        present = frozenset(_inner_chunks(listing, array, chunk_shape, stored))
        n_chunks = prod(-(-n // extent) for n, extent in zip(array.shape, chunk_shape, strict=True))
    if len(present) == n_chunks and not empty:
        return None
    return MissingChunks(
        n_chunks - len(present), n_chunks, array.shape, chunk_shape, present, _is_zero(array.fill), empty
    )


def _inner_chunks(
    listing: Listing, array: StoredArray, chunk_shape: tuple[int, ...], stored: Mapping[tuple[int, ...], str]
) -> Iterator[tuple[int, ...]]:
    """Positions, in the grid of the whole array, of the chunks that are in its shards."""
    inner = tuple(-(-n // extent) for n, extent in zip(array.chunk_shape, chunk_shape, strict=True))
    known = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
    shard = array.shard or {}
    codecs = [dict(codec) for codec in shard["index_codecs"]]
    if [codec["name"] for codec in codecs] not in (["bytes"], ["bytes", "crc32c"]):
        raise NotImplementedError(f"its shards have an index stored by {', '.join(c['name'] for c in codecs)}")
    n_bytes = 16 * prod(inner) + 4 * (len(codecs) == len(known))
    at_end = shard.get("index_location", "end") == "end"
    for position, name in stored.items():
        raw = listing.read(name, -n_bytes, None) if at_end else listing.read(name, 0, n_bytes)
        if len(raw) < n_bytes:
            raise EOFError(f"{name} is truncated")
        index = np.frombuffer(raw, "<u8", 2 * prod(inner)).reshape(*inner, 2)
        there = index[..., 0] != _ABSENT
        ends = index[there].sum(axis=1)
        if len(ends) and ends.max() > listing.sizes[name]:
            raise EOFError(f"{name} is truncated")
        for within in np.argwhere(there).tolist():
            here = tuple(p * n + w for p, n, w in zip(position, inner, within, strict=True))
            if all(h * c < n for h, c, n in zip(here, chunk_shape, array.shape, strict=True)):
                yield here


def _is_zero(fill: Any) -> bool:
    """Whether a fill value is 0, False or an empty text; none at all is read as zero."""
    return fill is None or fill in (0, "", "AA==") or (isinstance(fill, str) and bool(re.fullmatch(r"0x0+", fill)))


def _is_null(listing: Listing, place: str) -> bool:
    """Whether an array is AnnData's way to say None, which has no content."""
    name = f"{place}/.zattrs" if f"{place}/.zattrs" in listing.sizes else f"{place}/zarr.json"
    if name not in listing.sizes:
        return False
    document = json.loads(listing.read(name))
    return bool((document.get("attributes") or document).get("encoding-type") == "null")


def _stores_zeros(path: Path, root: Any, chunks: Iterable[tuple[str, tuple[slice, ...]]]) -> bool:
    """Whether a chunk of nothing but the fill value is stored, which a writer that leaves such out would not do."""
    for place, cut in chunks:
        with reading(path, place):
            array = root[place]
            if prod(array.chunks) * array.dtype.itemsize > _LARGEST:
                continue
            values = np.asarray(array[cut])
            fill = np.full_like(values, array.fill_value)
            same = (values == fill).all() if values.dtype.kind in "OUST" else values.tobytes() == fill.tobytes()
            if same:
                return True
    return False
