"""Where a dataset's files lie: a local folder, or anything that fsspec opens. Whole files and open files, no format."""

import os
import tempfile
from abc import ABC, abstractmethod
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa

from titin.dataset import layout
from titin.dataset.manifest import Manifest
from titin.errors import DatasetError, TitinError

Mark = tuple[Any, ...]  # what changes when a file is replaced; the first is its size
_HUB = "hf://datasets/"
_EXTRAS = {"hf": ("huggingface_hub", "hub")}  # protocol: package, extra of titin


class DatasetFolder(ABC):
    """A folder somewhere.

    Attributes
    ----------
    name
        As messages call it.
    remote
        Whether a read costs a round trip, so that few large reads are better than many small ones.
    """

    name: str
    remote: bool

    def path(self, file: str) -> str:
        """Full name of a file, as messages call it."""
        return f"{self.name.rstrip('/')}/{file}"

    @abstractmethod
    def mark(self, file: str) -> Mark:
        """Size and whatever else tells a file from one put in its place; FileNotFoundError if there is none."""

    @abstractmethod
    def open(self, file: str) -> Any:
        """Open a file for `pyarrow.parquet.ParquetFile`."""

    @abstractmethod
    def read(self, file: str) -> bytes:
        """Read a whole file."""

    @abstractmethod
    def read_range(self, file: str, offset: int, length: int) -> bytes:
        """Read part of a file; fewer bytes at its end."""


class LocalFolder(DatasetFolder):
    """A folder of this machine."""

    remote = False

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder.expanduser().absolute(), str(folder)

    def mark(self, file: str) -> Mark:
        """Size, time of change and inode."""
        found = os.stat(self.folder / file)  # noqa: PTH116 - Path.stat costs twice as much, and one gene is two of these
        return found.st_size, found.st_mtime_ns, found.st_ino

    def open(self, file: str) -> Any:
        """Open without Python between the reader and the disk."""
        return pa.OSFile(str(self.folder / file), "rb")

    def read(self, file: str) -> bytes:
        """Read a whole file."""
        return (self.folder / file).read_bytes()

    def read_range(self, file: str, offset: int, length: int) -> bytes:
        """Read part of a file."""
        handle = os.open(self.folder / file, os.O_RDONLY)
        try:
            return os.pread(handle, length, offset)
        finally:
            os.close(handle)


class RemoteFolder(DatasetFolder):
    """A folder that fsspec opens.

    A folder of the Hub is pinned to the commit that its revision is at now, so that a push in between changes nothing.
    """

    remote = True
    _MARKS = ("size", "ETag", "etag", "mtime", "last_modified", "LastModified", "created")

    def __init__(self, url: str) -> None:
        self.name, self._url = url.rstrip("/"), _pin(url.rstrip("/"))
        self._connect()

    def _connect(self) -> None:
        try:
            self._fs, self._root = import_module("fsspec.core").url_to_fs(self._url)
        except ValueError as error:
            raise TitinError(f"{self._url} cannot be opened: {error}", "give a folder or a URL fsspec knows") from error
        except ImportError as error:
            raise _missing(self._url, error) from error

    def mark(self, file: str) -> Mark:
        """Size, and what else the file system tells."""
        found = self._fs.info(f"{self._root}/{file}")
        return tuple(str(found[key]) if key != "size" else found[key] for key in self._MARKS if key in found)

    def open(self, file: str) -> Any:
        """Open without fsspec's read-ahead: the Parquet reader asks for what it needs."""
        return pa.PythonFile(self._fs.open(f"{self._root}/{file}", "rb", cache_type="none"), mode="r")

    def read(self, file: str) -> bytes:
        """Read a whole file."""
        return bytes(self._fs.cat_file(f"{self._root}/{file}"))

    def read_range(self, file: str, offset: int, length: int) -> bytes:
        """Read part of a file: one request."""
        path = f"{self._root}/{file}"
        if self._fs.async_impl:
            return bytes(self._fs.cat_file(path, start=offset, end=offset + length))
        # cat_file of others opens the file with read-ahead, which fetches megabytes for one gene
        with self._fs.open(path, "rb", cache_type="none") as opened:
            opened.seek(offset)
            return bytes(opened.read(length))

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name, "_url": self._url}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._connect()


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
    return RemoteFolder(text) if "://" in text else LocalFolder(Path(text))


def _missing(url: str, error: ImportError) -> TitinError:
    protocol = url.partition("://")[0]
    package, extra = _EXTRAS.get(protocol, (error.name or "fsspec", ""))
    hint = f"pip install {package}" + (f" (or 'titin[{extra}]')" if extra else "")
    return TitinError(f"{protocol}:// needs the package {package}, which is not installed", hint)


def _pin(url: str) -> str:
    """Replace the revision of a dataset on the Hub by the commit it stands for."""
    if not url.startswith(_HUB):
        return url
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError as error:
        raise _missing(url, error) from error
    owner, _, rest = url.removeprefix(_HUB).partition("/")
    name, _, folder = rest.partition("/")
    name, _, revision = name.partition("@")
    if not (owner and name):
        raise TitinError(f"{url} names no dataset", "write it like hf://datasets/user/repo or …/repo@revision")
    try:
        info = HfApi().dataset_info(f"{owner}/{name}", revision=revision.replace("%2F", "/") or None)
    except (HfHubHTTPError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DatasetError(
            f"{url} cannot be opened: {reason}", "check its name, its revision and your token"
        ) from error
    return f"{_HUB}{owner}/{name}@{info.sha}" + (f"/{folder}" if folder else "")


def read_remote_manifest(place: DatasetFolder) -> Manifest:
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
