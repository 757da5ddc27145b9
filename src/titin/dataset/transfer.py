"""A dataset that lies elsewhere, brought to this machine whole where its files themselves are needed."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from titin.dataset import layout
from titin.dataset.folder import DatasetFolder
from titin.dataset.places import find_place, read_remote_manifest
from titin.dataset.swap import scratch
from titin.errors import OutputError
from titin.files import is_url, local_folder
from titin.parallel import ordered_map
from titin.progress import Progress
from titin.text import size

_PIECE = 8 << 20  # bytes of one request
_AT_ONCE = 8
_NOT_IN_NAMES = re.compile(r"[^\w.@-]+")


@contextmanager
def fetched(
    dataset: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None, progress: Progress | None = None,
) -> Iterator[Path]:  # fmt: skip
    """Give a dataset as a folder of this machine: itself, or a copy of one that lies elsewhere, removed at the end.

    Parameters
    ----------
    dataset
        A folder, or a URL as `titin.open` takes it.
    storage_options
        As for `titin.open`.
    progress
        Told of the bytes that come.

    Yields
    ------
    Path
        The folder. Of a copy: the manifest, its files as they are (nothing is checked but their lengths) and the
        documents beside them.

    Raises
    ------
    DatasetError
        If there is no dataset, or the server does not send it.
    OutputError
        If the folder of temporary files has no room for it.
    """
    if not is_url(dataset):
        yield local_folder(dataset)
        return
    place = find_place(dataset, storage_options)
    name = _NOT_IN_NAMES.sub("_", place.name.rpartition("/")[2]) or "dataset"
    with scratch(Path(tempfile.gettempdir()) / name) as folder:
        copy = folder / name
        copy.mkdir()
        fetch(place, copy, progress or Progress())
        yield copy


def fetch(place: DatasetFolder, folder: Path, progress: Progress) -> None:
    """Copy a dataset's files into an empty folder, several pieces at once.

    Raises
    ------
    DatasetError, OutputError
        As `fetched`.
    """
    manifest = read_remote_manifest(place)
    names = sorted({*manifest.files, *manifest.layout.documents})
    sizes = {name: n for name, n in zip(names, ordered_map(lambda one: _size(place, one), names, _AT_ONCE), strict=True)
             if n is not None}  # fmt: skip
    total, free = sum(sizes.values()), shutil.disk_usage(folder).free
    if total > free:
        raise OutputError(
            f"{place.name} has {size(total)}, and {folder.parent.parent} has room for {size(free)}",
            "set TMPDIR to a folder of another disk",
        )
    progress.start(f"fetching {place.name}", total, "bytes")
    told = Lock()

    def bring(piece: tuple[str, int]) -> None:
        name, offset = piece
        data = place.read_range(name, offset, min(_PIECE, sizes[name] - offset))
        with (folder / name).open("r+b") as file:
            file.seek(offset)
            file.write(data)
        with told:
            progress.advance(len(data))

    for name in sizes:
        (folder / name).touch()
    pieces = ((name, offset) for name in sizes for offset in range(0, sizes[name], _PIECE))
    for _ in ordered_map(bring, pieces, _AT_ONCE):
        pass
    (folder / layout.MANIFEST).write_bytes(place.read(layout.MANIFEST))
    progress.finish()


def _size(place: DatasetFolder, name: str) -> int | None:
    """Bytes of a file; None where there is none, which the validation tells."""
    try:
        return int(place.mark(name)[0])
    except FileNotFoundError:
        return None
