"""The copy of a dataset that is published: hard links, with what must differ from the dataset written anew."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from titin.atlas import open_atlas
from titin.dataset import layout
from titin.dataset.manifest import Manifest
from titin.dataset.revision import revise
from titin.errors import OutputError
from titin.progress import Progress
from titin.publish.images import can_draw
from titin.publish.privacy import exact_age_columns
from titin.publish.public_ages import BIN_YEARS, coarsen_ages
from titin.publish.write import write_into


@contextmanager
def public_copy(
    folder: Path, repo_id: str, licence: str | None, *, exact_ages: bool, progress: Progress | None = None
) -> Iterator[tuple[Path, str]]:
    """Make the copy that is published: hard links, with what must differ written anew; removed at the end.

    Yields
    ------
    folder, ages
        The copy, and what was done with the ages; see `Publication`.
    """
    folder = folder.resolve()
    place = folder.parent / f".{folder.name}.titin-publish"
    shutil.rmtree(place, ignore_errors=True)  # of a process that was killed
    copy = place / folder.name
    try:
        _make(place)
        _link_files(folder, copy)
        manifest = Manifest.read(copy)
        columns = [] if exact_ages else exact_age_columns(open_atlas(copy).obs, manifest)
        ages = "bins" if columns else ("exact" if exact_ages else "as they are")
        with revise(copy) as draft:
            if columns:
                (progress or Progress()).note(
                    f"exact ages become bins of {BIN_YEARS} years ({', '.join(map(str, columns))})"
                )
                coarsen_ages(draft, columns)
            pictures = any(name.startswith("preview_") for name in manifest.files)
            images = can_draw() if columns and pictures else None  # drawn again: they may show the ages
            write_into(draft, copy, preset=None, licence=licence, images=images, croissant=True, repo_id=repo_id)
        yield copy, ages
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _make(place: Path) -> None:
    try:
        place.mkdir()
    except OSError as error:
        raise OutputError(
            f"cannot write in {place.parent}: {error.strerror}", "the copy to publish needs a place there"
        ) from error


def _link_files(folder: Path, copy: Path) -> None:
    """The files of the manifest, and the manifest; nothing else that lies there."""
    copy.mkdir()
    for name in [*Manifest.read(folder).files, layout.MANIFEST]:
        try:
            os.link(folder / name, copy / name)
        except FileNotFoundError:
            continue  # the validation says so
        except OSError:
            shutil.copy2(folder / name, copy / name)
