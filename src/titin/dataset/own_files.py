"""Which files are a dataset's own: regular files of its folder, and what links may stand for them."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from titin.errors import DatasetError, OutputError

_COPY = "`cp -rL` makes a copy with files in the place of links"


def check_files(folder: Path, names: Iterable[str]) -> None:
    """Refuse files that are not the dataset's to be read; those that are missing are passed over.

    A dataset from a stranger may hold links to files of whoever opens it, and pipes that keep him waiting. A link is
    followed to a regular file within the folder, and from a snapshot in the cache of the Hugging Face Hub, which
    consists of links, to the files of that repository.

    Parameters
    ----------
    folder
        The dataset.
    names
        Bare names of files.

    Raises
    ------
    DatasetError
        Naming the first that is no regular file, or that leads elsewhere.
    """
    for name in names:
        path = os.path.join(folder, name)  # noqa: PTH118 - a Path takes longer to make than the file to be looked at
        try:
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                _check_link(folder, path)
                mode = os.stat(path).st_mode  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise DatasetError(f"{path} cannot be read: {error.strerror}", "restore it, or remove it") from error
        if not stat.S_ISREG(mode):
            raise DatasetError(f"{path} is no regular file, and all files of a dataset are", "restore it, or remove it")


def refuse_links(folder: Path) -> None:
    """Refuse to change or to publish a dataset whose folder holds links, pipes or devices.

    What a link leads to is not the dataset's, and a file that is written in its place would be written there.

    Raises
    ------
    OutputError
        Naming the first of them.
    """
    with os.scandir(folder) as entries:
        strange = sorted(entry.name for entry in entries if not (_is_plain(entry)))
    if strange:
        raise OutputError(
            f"{folder / strange[0]} is a link or no file: a dataset is changed and published with files of its own",
            f"move it away; {_COPY}",
        )


def _is_plain(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)


def _check_link(folder: Path, path: str) -> None:
    target = Path(os.path.realpath(path))
    if not any(target.is_relative_to(home) for home in _homes(Path(os.path.realpath(folder)))):
        raise DatasetError(f"{path} is a link that leads out of the dataset, to {target}",
                           f"put the file itself there; of a dataset that you trust, {_COPY}")  # fmt: skip


def _homes(folder: Path) -> list[Path]:
    """Folders that links of a dataset may lead to: its own, and the blobs beside the snapshots of a Hub's cache."""
    snapshots = [parent for parent in folder.parents if parent.name == "snapshots"]
    return [folder, *(parent.with_name("blobs") for parent in snapshots[:1])]
