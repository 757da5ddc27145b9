"""The files of a dataset wherever it lies, each checked to be the one that was opened first."""

import gc
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from titin.dataset import layout
from titin.dataset.folder import LocalFolder, Mark
from titin.dataset.manifest import Manifest
from titin.dataset.pages import DamagedPageError
from titin.dataset.places import find_place, read_remote_manifest
from titin.dataset.strict_json import parse_json
from titin.errors import DatasetError, TitinError
from titin.parallel import ordered_map

RESTORE = "restore it, or build the dataset again"
_GAP = 2**16  # bytes read for nothing, rather than twice
_FAR_GAP, _FAR_SHARE = 2**21, 8  # the same far away, but no more than this part of a file,
_SPARE = 2**23  # and as long as no more than these are read for nothing in all
_JUST_NOW = 1.0  # seconds for which a file that was looked at is not looked at once more
_LARGE_FOOTERS = 2**21  # bytes as stored, from which footers that are let go are looked for at once
_AT_ONCE = 8  # reads far away, each of which costs a round trip
_REOPEN = "open the dataset again; nothing was mixed"


def arrow_schema(footer: pq.FileMetaData) -> pa.Schema:
    """Columns that a footer tells of, without its own schema, which would keep the footer until garbage is collected.

    Raises
    ------
    pyarrow.ArrowException
        If it has a column of a type that Arrow does not know.
    """
    return pq.ParquetFile(pa.BufferReader(b""), metadata=footer).schema_arrow


class OpenedFiles:
    """The files of a dataset, whole or in part.

    A file that is replaced after it was first read is refused, so that no answer mixes two datasets. Can be shared
    between threads, and pickled.

    Parameters
    ----------
    path
        A folder, ``hf://datasets/user/repo`` with or without ``@revision``, or any URL that fsspec opens.
    storage_options
        For a URL: see `titin.open`.

    Attributes
    ----------
    manifest
        What ``titin.json`` says.

    Raises
    ------
    DatasetError
        If there is no dataset, or one of a later format.
    TitinError
        If a package is missing that the URL needs.
    """

    lasting = True  # sent to the workers of a cluster once

    def __init__(self, path: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None) -> None:
        self._place = find_place(path, storage_options)
        self._marks: dict[str, Mark] = {}
        self._start()
        self.manifest = self._read_manifest()

    def _start(self) -> None:
        self._footers: dict[str, pq.FileMetaData] = {}
        self._lock = Lock()
        self._just_marked: dict[str, float] = {}
        self._spare = _SPARE

    @property
    def name(self) -> str:
        """The folder or URL, as it was given."""
        return self._place.name

    @property
    def remote(self) -> bool:
        """Whether each read costs a round trip."""
        return self._place.remote

    @property
    def folder(self) -> Path:
        """The folder of a local dataset.

        Raises
        ------
        TitinError
            If the dataset lies elsewhere.
        """
        if not isinstance(self._place, LocalFolder):
            raise TitinError(f"{self.name} is no local folder", "download it first")
        return self._place.folder

    def path(self, file: str) -> str:
        """Full name of a file, for messages."""
        return self._place.path(file)

    def parquet(self, shard: str) -> pq.ParquetFile:
        """Open one file: a new reader each time, as they are not to be shared between threads; its footer is kept.

        Raises
        ------
        DatasetError
            If the file is missing, damaged or replaced.
        """
        try:
            footer = self._footer(shard)
            source = self._place.open(shard)
            file = pq.ParquetFile(
                source, metadata=footer, pre_buffer=self._place.remote, page_checksum_verification=True
            )
        except (OSError, pa.ArrowException) as error:
            raise self.damaged(shard, error) from error
        self._check(shard)
        return file

    def footer(self, shard: str) -> pq.FileMetaData:
        """Return a file's footer, read once.

        Raises
        ------
        DatasetError
            If the file is missing, damaged or replaced.
        """
        try:
            return self._footer(shard)
        except (OSError, pa.ArrowException) as error:
            raise self.damaged(shard, error) from error

    def let_go(self) -> None:
        """Forget footers, which are large where a table has many row groups; what is read next reads its own again."""
        with self._lock:
            large = sum(footer.serialized_size for footer in self._footers.values()) > _LARGE_FOOTERS
            self._footers.clear()
        if large:
            gc.collect()  # a footer and its schema, which pages are found by, refer to each other

    def arrow_schema(self, shard: str) -> pa.Schema:
        """A file's columns and their types.

        Raises
        ------
        DatasetError
            If the file is missing, damaged or replaced, or has a column of a type that Arrow does not know.
        """
        try:
            return arrow_schema(self.footer(shard))
        except pa.ArrowException as error:
            raise self.damaged(shard, error) from error

    def begin(self, tables: Sequence[str], others: Sequence[str] = ()) -> None:
        """Begin to read what is asked for next, where a read costs a round trip, so that one does for all of it.

        Parameters
        ----------
        tables
            To be read as tables.
        others
            Of which the footers are needed.
        """
        if not self._place.remote:
            return
        for name, whole in [*((name, True) for name in tables), *((name, False) for name in others)]:
            for shard in self.manifest.shards(name):
                if shard not in self._footers:
                    self._place.begin(shard, whole=whole)

    def json(self, name: str) -> Any:
        """Read a JSON file.

        Raises
        ------
        DatasetError
            If it is missing or no JSON.
        """
        try:
            return parse_json(self._place.read(name))
        except FileNotFoundError as error:
            raise self.damaged(name, error) from error
        except (OSError, ValueError) as error:
            raise DatasetError(f"{self.path(name)} cannot be read: {error}", RESTORE) from error

    def damaged(self, file: str, error: Exception) -> DatasetError:
        """Return the error that says that a file is missing or damaged."""
        if isinstance(error, FileNotFoundError):
            return DatasetError(f"{self.path(file)} is missing", RESTORE)
        return DatasetError(f"{self.path(file)} is damaged: {error}", RESTORE)

    def read_ranges(self, shard: str, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
        """Read parts of a file, in one go where they lie close together: far away, each go is a request.

        The pages of a gene lie apart by a part of a row group. Who reads a few genes is spared requests; who reads many
        is spared bytes.

        Parameters
        ----------
        ranges
            First byte and length of each.

        Raises
        ------
        DamagedPageError
            If there is no such part, which the file's own footer says that there is.
        OSError
            If a part cannot be read.
        """
        first, end = min(a for a, _ in ranges), max(a + n for a, n in ranges)
        size = next(iter(self._marks.get(shard, ())), self.manifest.files[shard]["bytes"])
        if isinstance(size, int) and end > size:
            raise DamagedPageError(f"its footer names byte {end:,} of {size:,}")
        wasted = end - first - sum(n for _, n in ranges)
        spared = self._place.remote and _GAP < wasted <= min(_FAR_GAP, self._spare, size // _FAR_SHARE)
        if spared:
            self._spare -= wasted
        if spared or wasted <= _GAP:
            whole = memoryview(self._place.read_range(shard, first, end - first))
            return [whole[a - first : a - first + n] for a, n in ranges]

        def read(place: tuple[int, int]) -> memoryview:
            return memoryview(self._place.read_range(shard, *place))

        return list(ordered_map(read, ranges, _AT_ONCE)) if self._place.remote else [read(place) for place in ranges]

    def _read_manifest(self) -> Manifest:
        if not isinstance(self._place, LocalFolder):
            manifest = read_remote_manifest(self._place)
            mark = self._place.last_mark(layout.MANIFEST)
            self._marks |= {layout.MANIFEST: mark} if mark is not None and not self._place.pinned else {}
            self._seen_manifest()
            self._expect(manifest)
            return manifest
        manifest = Manifest.read(self._place.folder)
        self._marks[layout.MANIFEST] = self._place.mark(layout.MANIFEST)
        return manifest

    def _seen_manifest(self) -> None:
        if self._place.tells:
            self._just_marked[layout.MANIFEST] = time.monotonic()

    def _expect(self, manifest: Manifest) -> None:
        self._place.expect({name: entry["bytes"] for name, entry in manifest.files.items() if "bytes" in entry})

    def _footer(self, shard: str) -> pq.FileMetaData:
        """Read a footer once, and remember the file by its mark."""
        if shard in self._footers:
            return self._footers[shard]
        with self._lock:
            if shard not in self._footers:
                self._footers[shard] = self._look_at(shard)
            return self._footers[shard]

    def _look_at(self, shard: str) -> pq.FileMetaData:
        """Read a footer, of the file that belongs to the manifest and has been there all the time."""
        checked = self.begin_check(layout.MANIFEST)
        mark = None
        try:
            if not (self._place.tells or self._place.pinned):
                mark = self._place.mark(shard)
                checked()
                self._check_size(shard, mark)
            with self._place.open(shard) as source:
                footer = pq.read_metadata(source)
        finally:  # which tells better why a read has failed
            checked()
        mark = self._place.last_mark(shard) if mark is None else mark
        if mark is not None and self._marks.setdefault(shard, mark) != mark:
            raise self._replaced(shard)
        self._just_marked[shard] = time.monotonic()
        return footer

    def _check_size(self, shard: str, mark: Mark) -> None:
        expected = self.manifest.files.get(shard, {}).get("bytes")
        if expected is not None and mark and mark[0] != expected:
            raise DatasetError(
                f"{self.path(shard)} is damaged or not of this dataset: it has {mark[0]:,} bytes, "
                f"{layout.MANIFEST} says {expected:,}",
                RESTORE,
            )

    def _check(self, file: str) -> None:
        """Refuse a file that is no longer the one that was read first."""
        if file not in self._marks or self._place.pinned:
            return
        if self._place.tells and file != layout.MANIFEST:
            if self._place.told(file) - {self._marks[file]}:
                raise self._replaced(file)
            return
        if self._place.remote and time.monotonic() - self._just_marked.get(file, -np.inf) < _JUST_NOW:
            if file != layout.MANIFEST:  # once, as its footer is read and then its data
                del self._just_marked[file]
            return
        try:
            mark = self._place.mark(file)
        except OSError as error:
            raise self.damaged(file, error) from error
        if mark != self._marks[file]:
            raise self._replaced(file)
        if file == layout.MANIFEST:
            self._seen_manifest()

    def begin_check(self, file: str) -> Callable[[], None]:
        """Refuse a file that is no longer the one that was read first, beside a read; return what waits for it.

        Of a folder of this machine, whose files are looked at after each read, nothing but the manifest is asked.
        """
        if not self._place.remote or self._place.pinned:
            if file == layout.MANIFEST:
                self._check(file)
            return lambda: None
        if self._place.tells and file != layout.MANIFEST:
            return partial(self._check, file)
        pool = ThreadPoolExecutor(1, thread_name_prefix="titin-check")
        future = pool.submit(self._check, file)
        pool.shutdown(wait=False)
        return future.result

    def check(self, file: str) -> None:
        """Refuse a file that is no longer the one that was read first, as it may have been written over meanwhile.

        Far away, where that would be a round trip more, nothing is asked.

        Raises
        ------
        DatasetError
            If the file is missing or replaced.
        """
        if not self._place.remote:
            self._check(file)

    def _replaced(self, file: str) -> DatasetError:
        return DatasetError(f"{self.path(file)} was replaced after the dataset was opened", _REOPEN)

    def __getstate__(self) -> dict[str, Any]:
        return {"manifest": self.manifest, "_place": self._place, "_marks": self._marks}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()
        self._expect(self.manifest)
