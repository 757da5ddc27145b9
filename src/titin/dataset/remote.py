"""A dataset's folder that fsspec opens: each read is bounded in time, and tried again where that may help."""

import atexit
import inspect
import io
import logging
import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from threading import Lock, Thread
from typing import Any, TypeVar

import pyarrow as pa

from titin.dataset import layout
from titin.dataset.answers import Asker, HubStart, ServerAnswer, find_asker, mark_of, start_on_hub
from titin.dataset.folder import DatasetFolder, Mark
from titin.errors import DatasetError, TitinError
from titin.extras import MissingPackageError
from titin.files import MOST_TEXT
from titin.masking import mask
from titin.retry import CutError, explain_reading, is_passing, retry, status_of, within
from titin.storage import check_known, hide_secrets, translate

Result = TypeVar("Result")

_HUB = "hf://datasets/"
_MODULES = {"hf": "huggingface_hub", "s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
OBJECTS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
UPLOAD = "titin.upload.json"  # says what is on its way; without a manifest, that it has not come
_PROTOCOL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_ATTEMPTS, _PAUSE = 4, 1.0
_TAIL, _TAIL_SHARE = 1 << 20, 8  # bytes of a file's end that are read at once, but no more than this part of it
_LEAST_TAIL = 64 << 10  # unless that is less than this
_WHOLE, _KEPT = 8 << 20, 32 << 20  # bytes of a table that is read whole, and of all ends and tables that are kept
_SECONDS, _SLOWEST = 30.0, 50_000  # most seconds of a read, and one more for each so many bytes
_MOMENT = 0.05  # seconds
_LOG = logging.getLogger("titin")


class RemoteFolder(DatasetFolder):
    """A folder that fsspec opens.

    Parameters
    ----------
    url
        Where.
    options
        What its storage is to be told: see `titin.storage`.

    A folder of the Hub is pinned to the commit that its revision is at now, so that a push in between changes nothing.

    Raises
    ------
    TitinError
        If a package is missing that the URL needs, the URL is of no kind known, or its storage has no such option.
    DatasetError
        If the server has no such folder, cannot be reached, or sends what was not asked for.
    """

    remote = True
    _asker: Asker | None = None
    _settled = True  # nobody writes there through this
    _refusal: type[TitinError] = DatasetError
    _act, _acting = "read", "reading"
    _MARKS = ("size", "ETag", "etag", "mtime", "last_modified", "LastModified", "created")

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        self.name = mask(url.rstrip("/"))
        self._protocol = url.partition("://")[0]
        self._refuse_shape(url)
        self._options = translate(self._protocol, options or {})
        hide_secrets(self._options)
        self._url, came = self._pin(url.rstrip("/"))
        self.pinned = self._url.startswith(_HUB)
        self._connect()
        if came is not None:
            self._tails[layout.MANIFEST], self._sizes[layout.MANIFEST] = came, len(came)

    def _refuse_shape(self, url: str) -> None:
        """Refuse a URL that names no one place, before anything is asked or written."""
        if "::" in url:
            raise TitinError(f"{self.name} is a chain of URLs", "give the URL of the folder itself, without '::'")
        if not _PROTOCOL.fullmatch(self._protocol):
            raise TitinError(f"{self.name} is no URL", "write it like s3://bucket/name, or give a folder")
        if self._protocol in OBJECTS and not url.removeprefix(f"{self._protocol}://").partition("/")[0].strip():
            raise TitinError(f"{self.name} names no bucket", f"write it like {self._protocol}://bucket/name")

    def _connect(self) -> None:
        self._sizes: dict[str, int] = {}
        self._marks: dict[str, Mark] = {}
        self._told: defaultdict[str, set[Mark]] = defaultdict(set)
        self._tails: dict[str, bytes] = {}
        self._holding: defaultdict[str, Lock] = defaultdict(Lock)
        try:
            kind = import_module("fsspec").get_filesystem_class(self._protocol)
            check_known(self._protocol, self._options, _names(kind))
            fresh = {} if self._protocol not in OBJECTS else {"use_listings_cache": False}
            self._fs, self._root = import_module("fsspec.core").url_to_fs(self._url, **{**fresh, **self._options})
            self._asker = find_asker(self._protocol, self._fs) if self._settled else None
        except ImportError as error:
            raise _missing(self._url, error) from error
        except TitinError:
            raise
        except (TypeError, ValueError) as error:
            raise TitinError(
                f"{self.name} cannot be opened: {mask(error)}", "give a folder or a URL fsspec knows"
            ) from None
        except Exception as error:
            raise self._refused(self.name, error) from None

    def mark(self, file: str) -> Mark:
        """Size, and what else the file system tells."""
        found = self._ask(file, lambda: self._fs.info(f"{self._root}/{file}"))
        if not isinstance(found.get("size"), int):
            raise DatasetError(f"{self.path(file)}: the server does not say how large it is", "download the dataset")
        self._sizes[file] = found["size"]
        if self.tells:
            mark = mark_of(self._protocol, found)
        else:
            mark = tuple(str(found[key]) if key != "size" else found[key] for key in self._MARKS if key in found)
        self._note(file, mark)
        return mark

    def _note(self, file: str, mark: Mark) -> None:
        if self._marks.get(file, mark) != mark:
            self._tails.pop(file, None)
        self._marks[file] = mark
        self._told[file].add(mark)

    def last_mark(self, file: str) -> Mark | None:
        """The last that `mark` or a read has found, without asking again."""
        return self._marks.get(file)

    @property
    def tells(self) -> bool:
        """Whether every read says which file it was from."""
        return self._asker is not None

    def told(self, file: str) -> frozenset[Mark]:
        """All marks that a file was found to have, by `mark` and by reads; more than one if it was replaced."""
        return frozenset(self._told[file].copy())

    def expect(self, sizes: Mapping[str, int]) -> None:
        """Take the sizes of files from the manifest rather than ask for them."""
        self._sizes = {**sizes, **self._sizes}

    def explain_absence(self) -> tuple[str, str]:
        """Say that there is no such bucket, or that an upload was not finished, if that is why."""
        with suppress(FileNotFoundError):
            if self.mark(UPLOAD)[0] <= MOST_TEXT and b'"revision"' in self.read(UPLOAD):
                return "a change of it was not finished", "`titin doctor URL --clean` finishes it"
            return "an upload to it was not finished", "`titin build … --resume` finishes it"
        bucket = self._root.partition("/")[0]
        if self._protocol not in OBJECTS or self._ask("", lambda: bool(self._fs.exists(bucket))):
            return "", ""
        hint = "check the URL; --storage-options endpoint=… names a server that is not the provider's own"
        return f"there is no bucket {mask(bucket)}", hint

    def open(self, file: str) -> Any:
        """Open without read-ahead: the Parquet reader asks for what it needs."""
        size, held = self._size(file), self._tails.get(file, b"")
        if len(held) == size:
            return pa.BufferReader(held)
        _wait_at_exit()
        return pa.PythonFile(_RemoteFile(self, file, size), mode="r")

    def read(self, file: str, most: int | None = None) -> bytes:
        """Read a whole file; of one whose size is not known, with one request where that tells the size as well.

        Parameters
        ----------
        most
            Bytes that it may have.

        Raises
        ------
        DatasetError
            If it has more, or cannot be read.
        """
        asker, path = self._asker, f"{self._root}/{file}"
        if asker is not None and file not in self._sizes and most is not None:
            limit = most

            def ask() -> ServerAnswer:
                return asker(path, None, limit)

            answer = self._ask(file, ask)
            if answer.mark is not None:
                self._note(file, answer.mark)
            data = answer.data
        elif len(held := self._tails.get(file, b"")) == self._sizes.get(file):
            data = held
        else:
            size = self._size(file)
            if most is not None and size > most:
                raise self._too_long(file, most)
            data = self._fetch(file, 0, size)
        if most is not None and len(data) > most:
            raise self._too_long(file, most)
        return data

    def _too_long(self, file: str, most: int) -> TitinError:
        return self._refusal(f"{self.path(file)} has more than {most // 2**20} MiB", "check the URL")

    def read_range(self, file: str, offset: int, length: int) -> bytes:
        """Read part of a file: one request, or none of what lies in its end, where footer and page indexes are.

        The end is kept when it is first read, as the footer is, and more of it than was asked for.
        """
        size = self._size(file)
        length = max(0, min(length, size - offset))
        if not length:
            return b""
        tail = self._tails.get(file)
        if self._settled and offset + length == size and length <= _TAIL:
            tail = self._hold(file, max(length, _tail_of(size)))
        if tail is not None and (begin := offset - size + len(tail)) >= 0:
            return tail[begin : begin + length]
        return self._fetch(file, offset, length)

    def keep(self, file: str) -> None:
        """Read a small file at once, with one request, and all parts of it from there."""
        if 0 < (size := self._size(file)) <= _WHOLE:
            self._hold(file, size)

    def begin(self, file: str, *, whole: bool) -> None:
        """Begin to read a file's end, or a small file; whoever asks for it meanwhile waits for that very answer.

        What goes wrong is met, and told, by the one who needs it.
        """
        size = self._size(file)
        most = size if whole and size <= _WHOLE else _tail_of(size)
        if not most or len(self._tails.get(file, b"")) >= most:
            return

        def read() -> None:
            with suppress(Exception):
                self._fill(file, most)
            own.release()

        own = self._holding[file]
        if own.acquire(blocking=False):  # before anybody asks for it
            Thread(target=read, daemon=True, name="titin-begin").start()

    def _hold(self, file: str, most: int) -> bytes:
        with self._holding[file]:
            return self._fill(file, most)

    def _fill(self, file: str, most: int) -> bytes:
        """Read the end of a file, unless as much of it is kept; of all that is kept the oldest goes."""
        tail = self._tails.get(file, b"")
        if len(tail) < most:
            tail = self._fetch(file, self._size(file) - most, most)
            self._tails.pop(file, None)
            self._tails[file] = tail
            kept = dict(self._tails)
            while len(kept) > 1 and sum(map(len, kept.values())) > _KEPT:
                oldest = next(iter(kept))
                del kept[oldest]
                self._tails.pop(oldest, None)
        return tail

    def _fetch(self, file: str, offset: int, length: int) -> bytes:
        path, size, asker = f"{self._root}/{file}", self._size(file), self._asker

        def fetch() -> bytes:
            if asker is not None:
                return self._taken(file, asker(path, (offset, offset + length), length))
            if self._fs.async_impl:
                data = bytes(self._fs.cat_file(path, start=offset, end=offset + length))
                # a server that knows of no ranges sends all of it
                return data[offset : offset + length] if len(data) == size > length else data
            # cat_file of others opens the file with read-ahead, which fetches megabytes for one gene
            with self._fs.open(path, "rb", cache_type="none") as opened:
                opened.seek(offset)
                return bytes(opened.read(length))

        return self._ask(file, fetch, offset, length)

    def _taken(self, file: str, answer: ServerAnswer) -> bytes:
        """The bytes of an answer, which must be of a file of the size that is known."""
        if answer.mark is not None:
            self._note(file, answer.mark)
            if answer.mark[0] != self._sizes[file]:
                raise self._refusal(
                    f"{self.path(file)} is damaged or not of this dataset: it has {answer.mark[0]:,} bytes, "
                    f"not {self._sizes[file]:,}", "restore it, or build the dataset again",
                )  # fmt: skip
        return answer.data

    def _size(self, file: str) -> int:
        if file not in self._sizes:
            self.mark(file)
        return self._sizes[file]

    def _ask(
        self, file: str, action: Callable[[], Result], offset: int = 0, length: int | None = None, patience: int = 0
    ) -> Result:
        """Ask the server, more than once if need be.

        ``length`` is what the answer must have, ``patience`` how many bytes are sent.
        """

        def answer() -> Result:
            try:
                data = within(_SECONDS + (length or patience) / _SLOWEST, action)
            except FileNotFoundError as error:
                raise _reason_of(error) from None
            if length is not None and len(data) != length:  # type: ignore[arg-type]
                came = f"{len(data):,} of {length:,} bytes from {offset:,} on came"  # type: ignore[arg-type]
                raise CutError(f"{came}: the connection was cut, or the file is not the one that is announced")
            return data

        try:
            return retry(
                answer, f"{self._acting} {self.path(file)}", note=_LOG.warning, attempts=_ATTEMPTS, pause=_PAUSE
            )
        except FileNotFoundError:
            raise FileNotFoundError(f"{self.path(file)} is not there") from None
        except (MemoryError, TitinError):
            raise
        except Exception as error:
            raise self._refused(self.path(file), error) from None  # the cause may hold the token

    def _refused(self, what: str, error: Exception) -> TitinError:
        reason, hint = explain_reading(error)
        if self._act != "read":
            reason, hint = reason.replace("let you read", "let you write"), hint.replace("may read", "may write")
        return self._refusal(f"{what} cannot be {self._act}: {reason}", hint)

    def _pin(self, url: str) -> tuple[str, bytes | None]:
        """Replace the revision of a dataset on the Hub by the commit it stands for; its manifest comes with that."""
        if not url.startswith(_HUB):
            return url, None
        try:
            from huggingface_hub import HfApi
        except ImportError as error:
            raise _missing(url, error) from error
        owner, _, rest = url.removeprefix(_HUB).partition("/")
        name, _, folder = rest.partition("/")
        name, _, revision = name.partition("@")
        if not (owner and name):
            raise TitinError(f"{url} names no dataset", "write it like hf://datasets/user/repo or …/repo@revision")

        known = {key: self._options.get(key) for key in ("endpoint", "token")}
        revision = revision.replace("%2F", "/")
        file = f"{folder}/{layout.MANIFEST}" if folder else layout.MANIFEST

        def ask() -> HubStart:
            start = start_on_hub(f"{owner}/{name}", revision or "main", file, MOST_TEXT, **known)
            if start.commit is not None:
                return start
            return HubStart(HfApi(**known).dataset_info(f"{owner}/{name}", revision=revision or None).sha, None)

        try:
            start = retry(lambda: within(_SECONDS, ask), f"asking for {self.name}", note=_LOG.warning,
                         attempts=_ATTEMPTS, pause=_PAUSE)  # fmt: skip
        except Exception as error:
            reason, hint = explain_reading(error)
            unknown = type(error).__name__ in ("RepositoryNotFoundError", "RevisionNotFoundError", "HFValidationError")
            if unknown:
                reason, hint = "the Hub knows no such dataset or revision, or your token may not see it", (
                    "check its name, its revision and your token")  # fmt: skip
            raise DatasetError(f"{self.name} cannot be opened: {reason}", hint) from None
        return f"{_HUB}{owner}/{name}@{start.commit}" + (f"/{folder}" if folder else ""), start.data

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name, "_url": self._url, "pinned": self.pinned, "_protocol": self._protocol,
                "_options": self._options}  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        hide_secrets(self._options)
        self._connect()


class _RemoteFile(io.RawIOBase):
    """A file of a remote folder as Arrow reads it; every read is one of the folder's."""

    def __init__(self, folder: RemoteFolder, file: str, size: int) -> None:
        super().__init__()
        self._folder, self._file, self._length, self._at = folder, file, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def size(self) -> int:
        return self._length

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._length - self._at)
        data = self._folder.read_range(self._file, self._at, left if size is None or size < 0 else min(size, left))
        self._at += len(data)
        return data


@cache
def _wait_at_exit() -> None:
    """Have Python end a moment later: Arrow's threads let go of what they read after it is taken, by asking Python.

    Where Python has ended by then, the process is aborted.
    """
    atexit.register(time.sleep, _MOMENT)


def _tail_of(size: int) -> int:
    """How many bytes of a file's end are read at once."""
    return min(size, max(_LEAST_TAIL, min(_TAIL, size // _TAIL_SHARE)))


def _names(kind: type) -> set[str]:
    """Options that a file system names, whichever of its classes does."""
    makers = (vars(cls).get("__init__") for cls in kind.__mro__)
    return {name for maker in makers if inspect.isfunction(maker) for name in inspect.signature(maker).parameters}


def _missing(url: str, error: ImportError) -> TitinError:
    protocol = url.partition("://")[0]
    return MissingPackageError(_MODULES.get(protocol, error.name or "fsspec"), f"{protocol}://")


def _reason_of(error: FileNotFoundError) -> BaseException:
    """Why a library found no file: fsspec says so too where a server is busy or refuses."""
    cause = error.__cause__
    if cause is not None and (is_passing(cause) or status_of(cause) not in (None, 404)):
        return cause
    return error
