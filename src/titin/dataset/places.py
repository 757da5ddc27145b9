"""Where a dataset's files lie: a local folder, or anything that fsspec opens."""

import os
from collections.abc import Mapping
from typing import Any

from titin.dataset import layout
from titin.dataset.folder import DatasetFolder, LocalFolder
from titin.dataset.manifest import Manifest
from titin.errors import DatasetError
from titin.files import MOST_TEXT, is_url, local_folder
from titin.storage import given_storage_options


def find_place(path: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None) -> DatasetFolder:
    """Return the folder behind a path or URL.

    Parameters
    ----------
    storage_options
        For a URL: endpoint, credentials and the like; beside those that a command was given.

    Raises
    ------
    TitinError
        If a package is missing that the URL needs, the URL is of no kind known, or it has no such option.
    DatasetError
        If the Hub has no such repository or revision.
    """
    text = os.fspath(path)
    if not is_url(text):
        return LocalFolder(local_folder(text))
    from titin.dataset.remote import RemoteFolder

    return RemoteFolder(text, given_storage_options() | dict(storage_options or {}))


def read_remote_manifest(place: DatasetFolder) -> Manifest:
    """Read the manifest.

    Raises
    ------
    DatasetError
        As `Manifest.read`, but naming the place.
    """
    try:
        data = place.read(layout.MANIFEST, MOST_TEXT)
    except FileNotFoundError:
        why, hint = place.explain_absence()
        raise DatasetError(
            f"{place.name} is not a titin dataset: {why or f'it has no {layout.MANIFEST}'}", hint or "check the URL"
        ) from None
    try:
        return Manifest.parse(data, place.name)
    except DatasetError:
        if place.mark(layout.MANIFEST)[0] == len(data):
            raise
        return Manifest.parse(place.read(layout.MANIFEST, MOST_TEXT), place.name)  # it was cut; now its size is known
