"""Where a dataset's files lie: a local folder, or anything that fsspec opens."""

import os
from pathlib import Path

from titin.dataset import layout
from titin.dataset.folder import DatasetFolder, LocalFolder
from titin.dataset.manifest import Manifest
from titin.errors import DatasetError
from titin.files import MOST_TEXT


def find_place(path: str | os.PathLike[str]) -> DatasetFolder:
    """Return the folder behind a path or URL.

    Raises
    ------
    TitinError
        If a package is missing that the URL needs, or the URL is of no kind known.
    DatasetError
        If the Hub has no such repository or revision.
    """
    text = os.fspath(path)
    if text.startswith("file://"):
        return LocalFolder(Path(text.removeprefix("file://")))
    if "://" not in text:
        return LocalFolder(Path(text))
    from titin.dataset.remote import RemoteFolder

    return RemoteFolder(text)


def read_remote_manifest(place: DatasetFolder) -> Manifest:
    """Read the manifest.

    Raises
    ------
    DatasetError
        As `Manifest.read`, but naming the place.
    """
    try:
        size = place.mark(layout.MANIFEST)[0]
        data = place.read(layout.MANIFEST) if not isinstance(size, int) or size <= MOST_TEXT else None
    except FileNotFoundError:
        raise DatasetError(
            f"{place.name} is not a titin dataset: it has no {layout.MANIFEST}", "check the URL"
        ) from None
    if data is None or len(data) > MOST_TEXT:
        raise DatasetError(f"{place.path(layout.MANIFEST)} has more than {MOST_TEXT // 2**20} MiB", "check the URL")
    return Manifest.parse(data, place.name)
