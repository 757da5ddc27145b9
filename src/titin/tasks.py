"""What travels to the workers of a cluster, and what they do there: things pickled in pieces, and tasks upon them."""

import hashlib
import io
import pickle
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from titin import __version__
from titin.errors import TitinError
from titin.heap import give_back, keep_freed

_KEPT = 8  # things that a worker keeps ready between items
_PIECE = 32 * 2**20  # bytes of a pickle that are sent at a time

_kept: OrderedDict[str, Any] = OrderedDict()
_kept_lock = threading.Lock()


def same(data: bytes) -> bytes:
    """A task whose result can be made again, which what is scattered cannot."""
    return data


class Pieces:
    """What is pickled into, and sends it piece by piece: it may be as large as the memory that is left."""

    def __init__(self, send: Callable[[bytes], Any]) -> None:
        self._send, self._sent = send, list[Any]()
        self._digest, self._rest = hashlib.sha256(), bytearray()

    def write(self, data: Any) -> None:
        """Take some more of a pickle."""
        view = pickle.PickleBuffer(data).raw()
        self._digest.update(view)
        for start in range(0, len(view), _PIECE):
            self._rest += view[start : start + _PIECE]
            if len(self._rest) >= _PIECE:
                self._flush()

    def finish(self) -> tuple[str, list[Any]]:
        """The digest of all, and what was sent."""
        self._flush()
        return self._digest.hexdigest(), self._sent

    def _flush(self) -> None:
        if self._rest:
            self._sent.append(self._send(bytes(self._rest)))
            self._rest = bytearray()


class _Joined(io.RawIOBase):
    """Pieces as one file, which needs no copy of them all."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._rest = deque(memoryview(piece) for piece in pieces)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            return 0
        piece = self._rest.popleft()
        n = min(len(buffer), len(piece))
        buffer[:n] = piece[:n]
        if n < len(piece):
            self._rest.appendleft(piece[n:])
        return n


def run(
    version: str, function: Callable[..., Any], digests: Sequence[str], payloads: list[list[bytes]], item: Any
) -> Any:
    """Work on an item, on a worker."""
    if version != __version__:
        said = f"a worker has titin {__version__}, and what it is sent is of titin {version}"
        raise TitinError(said, "install the same version where the workers run")
    with keep_freed():
        return function(*(_take(digest, pieces) for digest, pieces in zip(digests, payloads, strict=True)), item)


def _take(digest: str, pieces: list[bytes]) -> Any:
    """What a pickle holds: the same for all items, with the footers and pages that it has found by then."""
    with _kept_lock:
        if digest not in _kept:
            _kept[digest] = pickle.load(io.BufferedReader(_Joined(pieces)))  # noqa: S301 - a worker runs what is sent
        _kept.move_to_end(digest)
        while len(_kept) > _KEPT:
            _kept.popitem(last=False)
        return _kept[digest]


def drop(digests: Sequence[str]) -> None:
    """Give up what a worker keeps of these."""
    with _kept_lock:
        for digest in digests:
            _kept.pop(digest, None)
    give_back()


def run_all(
    add: Callable[[Any, Any], Any] | None, version: str, function: Callable[..., Any], digests: Sequence[str],
    payloads: list[list[bytes]], items: list[Any],
) -> tuple[float, Any]:  # fmt: skip
    """Work on several items, on a worker: the seconds that they take, and a list of results, or their sum."""
    began = time.perf_counter()
    with keep_freed():
        results = (run(version, function, digests, payloads, item) for item in items)
        found = list(results) if add is None else fold(add, results)
    return time.perf_counter() - began, found


def fold(add: Callable[[Any, Any], Any], parts: Iterable[Any]) -> Any:
    """Add up parts in their order."""
    total = None
    for part in parts:
        total = add(total, part)
    return total
