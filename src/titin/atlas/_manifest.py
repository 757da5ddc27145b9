"""``titin.json`` of a dataset that is no local folder."""

import tempfile
from pathlib import Path

from titin.atlas._places import Place
from titin.dataset import layout
from titin.dataset.manifest import Manifest
from titin.errors import DatasetError


def read_remote_manifest(place: Place) -> Manifest:
    """Read the manifest.

    Raises
    ------
    DatasetError
        As `Manifest.read`, but naming the place.
    """
    try:
        text = place.read(layout.MANIFEST)
    except FileNotFoundError:
        raise DatasetError(
            f"{place.name} is not a titin dataset: it has no {layout.MANIFEST}", "check the URL"
        ) from None
    except OSError as error:
        raise DatasetError(f"{place.name} cannot be read: {error}", "check the URL and the connection") from error
    with tempfile.TemporaryDirectory(prefix="titin-") as folder:
        (Path(folder) / layout.MANIFEST).write_bytes(text)
        try:
            return Manifest.read(Path(folder))
        except DatasetError as error:
            raise DatasetError(str(error.args[0]).replace(folder, place.name), error.hint) from error
