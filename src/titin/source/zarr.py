"""AnnData in zarr, version 2 or 3, as a folder or a zip file."""

import stat
import zipfile
from pathlib import Path
from typing import Any

from titin.errors import SourceError
from titin.source.anndata_layout import open_anndata
from titin.source.base import Source
from titin.source.budget import Budget
from titin.source.choice import Choice
from titin.source.inventory import Inventory
from titin.source.other_formats import hint_of_folder
from titin.source.reading import reading
from titin.source.strings import decode
from titin.source.zarr_listing import Contents

MARKS = (".zgroup", "zarr.json", ".zmetadata")


def is_zarr(path: Path) -> bool:
    """Whether a folder is the root of a zarr group."""
    return any((path / mark).is_file() for mark in MARKS)


def check_is_store(path: Path) -> None:
    """Refuse a folder that is no zarr store, and say what it is.

    Raises
    ------
    SourceError
    """
    if not is_zarr(path):
        raise SourceError(f"{path} is a folder, but not a zarr store", _hint_of(path))


def open_zarr(inventory: Inventory, choice: Choice, budget: Budget) -> Source:
    """Open AnnData in a zarr folder or zip file.

    Raises
    ------
    SourceError
        If it is not AnnData, or damaged.
    """
    path = inventory.path
    with reading(path, "the root"):
        if path.is_file():
            _check_archive(path, budget)
        contents = Contents(inventory)
        store = _open_store(contents, budget)
        root = _open_root(store)
    try:
        gaps = contents.gaps(root)
        return open_anndata(inventory, "zarr", root, gaps, choice=choice, budget=budget, release=store.close)
    except BaseException:
        store.close()
        raise


def _open_store(contents: Contents, budget: Budget) -> Any:
    """Open a store that checks chunks: Blosc reads on beyond a truncated one, and any may unpack to any size."""
    import zarr

    def check(key: str, value: Any) -> Any:
        array = contents.array_of(key) if value is not None else None
        if array is not None and array.is_blosc:
            header = value[:16].to_bytes()
            if len(header) < 16 or int.from_bytes(header[12:16], "little") > len(value):
                raise EOFError(f"chunk {key} is truncated")
            budget.check_unpacked(int.from_bytes(header[4:8], "little"), f"chunk {key}")
        elif array is not None:
            budget.check_unpacked(_zstd_size(value[:18].to_bytes()), f"chunk {key}")
        return value

    class Folder(zarr.storage.LocalStore):
        async def get(self, key: str, *rest: Any, **more: Any) -> Any:
            return check(key, await super().get(key, *rest, **more))

    class Archive(zarr.storage.ZipStore):
        async def get(self, key: str, *rest: Any, **more: Any) -> Any:
            return check(key, await super().get(key, *rest, **more))

    return Archive(contents.path) if contents.path.is_file() else Folder(contents.path, read_only=True)


def _zstd_size(header: bytes) -> int:
    """Bytes that a frame of Zstandard unpacks to, as it says itself (RFC 8878); 0 where it does not, or is none."""
    if len(header) < 6 or not header.startswith(b"\x28\xb5\x2f\xfd"):
        return 0
    single, length = header[4] >> 5 & 1, header[4] >> 6
    n_bytes = (single, 2, 4, 8)[length]
    start = 6 - single + (0, 1, 2, 4)[header[4] & 3]
    return int.from_bytes(header[start : start + n_bytes], "little") + 256 * (n_bytes == 2)


def _check_archive(path: Path, budget: Budget) -> None:
    """Refuse links that were packed as links, whose name would be read as a chunk, and what unpacks to any size."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            budget.check_unpacked(entry.file_size, entry.filename)
        link = next((entry for entry in archive.infolist() if stat.S_ISLNK(entry.external_attr >> 16)), None)
        if link is not None:
            target = decode(archive.read(link)[:200])
            hint = "Pack the folder anew with the files in the place of the links (zip does so without -y)."
            raise SourceError(f"{path}: {link.filename} is a symbolic link to {target}", hint)


def _open_root(store: Any) -> Any:
    """Open the root by what lies in the store; its summary of all metadata loses names that differ in case only."""
    import zarr

    try:
        return zarr.open_group(store, mode="r", use_consolidated=False)
    except (FileNotFoundError, KeyError):  # written with the summary alone
        return zarr.open_group(store, mode="r")


def _hint_of(path: Path) -> str:
    inside = [child.name for child in sorted(path.iterdir()) if child.is_dir() and is_zarr(child)]
    return f"Zarr stores inside: {', '.join(inside[:5])}." if inside else hint_of_folder(path)
