"""What the page asks its server to compute: two selections compared over all genes, told as it goes on."""

import asyncio
import json
import queue
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from titin.dataset.manifest import Manifest
from titin.errors import TitinError
from titin.progress import Progress
from titin.text import json_safe

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from titin.ageing import DifferentialExpression

PATH = "compare"
KIND = "application/octet-stream"  # which no form can send: from another site it takes a preflight, which is refused
_TICK = 0.1  # seconds between looks at what is done, and at whether somebody still waits for it
_BEAT = 1.0  # seconds after which the last word is said again
_COLUMNS = {"gene": "gene", "gene_id": "id", "mean_log_cpm": "mean", "log2_fold_change": "effect", "ci_low": "low",
            "ci_high": "high", "p_value": "p", "adj_p_value": "adjusted"}  # fmt: skip

Positions = NDArray[np.int64]


class CancelledError(Exception):
    """Nobody waits for the result any more."""


class RequestRefusedError(Exception):
    """A request that is answered by a status and a sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def most_bytes(n_cells: int) -> int:
    """Length of the longest body: no cell can be in both selections."""
    return 4 * (1 + n_cells)


def read_positions(body: bytes, n_cells: int) -> tuple[Positions, Positions]:
    """Read two selections of cells.

    Parameters
    ----------
    body
        Numbers of four bytes, the lowest first: how many cells A has, their positions, and those of B.
    n_cells
        Of the dataset.

    Returns
    -------
    tuple
        Positions (int64) of A and of B, each ascending.

    Raises
    ------
    RequestRefusedError
        If it is none of these, or a position is not that of a cell, or given twice on a side.

    Examples
    --------
    >>> [one.tolist() for one in read_positions(np.array([2, 0, 4, 3], "<u4").tobytes(), 5)]
    [[0, 4], [3]]
    """
    if len(body) % 4 or len(body) < 4:
        raise RequestRefusedError(400, "The body is no list of positions.")
    numbers = np.frombuffer(body, "<u4").astype(np.int64)
    n, rest = int(numbers[0]), numbers[1:]
    if n > len(rest):
        raise RequestRefusedError(400, "The body ends before the positions of A do.")
    sides = rest[:n], rest[n:]
    for side in sides:
        if len(side) and (side.max() >= n_cells or len(np.unique(side)) < len(side)):
            raise RequestRefusedError(400, "A position is not that of a cell, or is given twice.")
    return np.sort(sides[0]), np.sort(sides[1])


@dataclass(eq=False)
class SelectionComparer:
    """Compares two selections of one dataset, one request at a time.

    Parameters
    ----------
    dataset
        As `titin.open` takes it.
    manifest
        Of the dataset when the server began: positions are those of its cells.
    """

    dataset: Any
    manifest: Manifest
    _turn: threading.Lock = field(default_factory=threading.Lock)

    async def answer(self, request: "Request", headers: dict[str, str]) -> "Response":
        """Answer by lines of JSON: how far the work has come, and in the end ``result`` or ``refused``.

        Who goes away, or ends the request, ends the work.
        """
        from starlette.responses import JSONResponse, StreamingResponse

        try:
            check_origin(request)
            a, b = read_positions(await self._body(request), self.manifest.n_cells)
        except RequestRefusedError as refusal:
            return JSONResponse({"message": str(refusal)}, refusal.status, headers)
        return StreamingResponse(self._lines(request, a, b), headers=headers, media_type="application/x-ndjson")

    async def _body(self, request: "Request") -> bytes:
        most, body = most_bytes(self.manifest.n_cells), bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > most:
                raise RequestRefusedError(413, "There are more positions than the dataset has cells.")
        return bytes(body)

    async def _lines(self, request: "Request", a: Positions, b: Positions) -> AsyncIterator[bytes]:
        told: _Lines = queue.SimpleQueue()
        given_up = threading.Event()
        threading.Thread(target=self._work, args=(a, b, told, given_up), daemon=True, name="titin-compare").start()
        line, last, said = _line(step="opening the dataset"), False, 0.0
        try:
            while not await request.is_disconnected():
                new = False
                while not last and not told.empty():
                    (line, last), new = told.get_nowait(), True
                if new or time.monotonic() - said > _BEAT:
                    said = time.monotonic()
                    yield line
                if last:
                    return
                await asyncio.sleep(_TICK)
        finally:
            given_up.set()

    def _work(self, a: Positions, b: Positions, told: "_Lines", given_up: threading.Event) -> None:
        """Compare, on a thread; whatever happens is told."""
        while not self._turn.acquire(timeout=_TICK):
            if given_up.is_set():
                return
        try:
            line = _line(result=document_of(self._compare(a, b, _WatchedProgress(told, given_up))))
        except CancelledError:
            return
        except TitinError as error:
            line = _line(refused=str(error.args[0]), hint=error.hint)
        except Exception as error:  # the page waits for a word, and the server goes on
            line = _line(
                refused=f"the comparison failed: {type(error).__name__}: {error}", hint="this is a bug of titin"
            )
        finally:
            self._turn.release()
        told.put((line, True))

    def _compare(self, a: Positions, b: Positions, progress: Progress) -> "DifferentialExpression":
        from titin.ageing import compare_selections
        from titin.atlas import open_atlas

        atlas = open_atlas(self.dataset)
        if atlas.manifest.files != self.manifest.files:
            raise TitinError(
                "the dataset has been replaced meanwhile", "start `titin explore` again, and load the page anew"
            )
        return compare_selections(atlas, a, b, progress=progress)


_Lines: TypeAlias = "queue.SimpleQueue[tuple[bytes, bool]]"  # each, and whether it is the last


def _line(**told: Any) -> bytes:
    return json.dumps(told, allow_nan=False).encode() + b"\n"


class _WatchedProgress(Progress):
    """Passes on what is done, and gives up where nobody waits for it."""

    def __init__(self, told: _Lines, given_up: threading.Event) -> None:
        self._put, self._given_up = told.put, given_up
        self._step, self._done, self._total = "", 0, 0

    def start(self, step: str, total: int, unit: str) -> None:  # noqa: ARG002 - the bar needs none
        self._step, self._done, self._total = step, 0, total
        self.advance(0)

    def advance(self, amount: int) -> None:
        if self._given_up.is_set():
            raise CancelledError
        self._done += amount
        self._put((_line(step=self._step, done=self._done, total=self._total), False))

    def finish(self) -> None:
        self.start("testing every gene", 0, "")


def check_origin(request: "Request") -> None:
    """Refuse what another site makes a browser send.

    Raises
    ------
    RequestRefusedError
        If the request is none of a page of this server.
    """
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
        raise RequestRefusedError(403, "Pages of other sites may not ask for this.")
    if request.headers.get("content-type", "") != KIND:
        raise RequestRefusedError(415, f"The body has to be {KIND}.")


def document_of(found: "DifferentialExpression") -> dict[str, Any]:
    """A comparison as the page takes it: what was made, and a list a column of every protocol's genes."""
    tests = []
    for test in found.tests:
        own = found.table[found.table["protocol"] == test["protocol"]]
        columns = {name: json_safe(own[column].tolist()) for column, name in _COLUMNS.items()}
        told = {
            name: test[name] for name in ("protocol", "kind", "formula", "donors_a", "donors_b", "notes", "n_cells")
        }
        tests.append({**json_safe(told), "genes": columns})
    skipped = [{"protocol": one["protocol"], "reason": one["reason"]} for one in found.skipped]
    return {"method": found.settings.get("method", ""), "tests": tests, "skipped": skipped}
