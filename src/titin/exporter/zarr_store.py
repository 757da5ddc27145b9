"""A zarr folder whose writes end when whoever asked for them is interrupted."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zarr.storage import LocalStore

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer

_POLL = 0.005  # seconds


class StoppableStore(LocalStore):
    """A folder that takes no more files once it is stopped.

    zarr writes in a thread of its own, which goes on after Ctrl-C: it would write, and make folders, where what was
    begun is being removed.
    """

    def __init__(self, root: Path | str, **options: Any) -> None:
        super().__init__(root, **options)
        self._stopped = False
        self._writing = 0

    async def set(self, key: str, value: "Buffer") -> None:
        """Write a file, unless stopped."""
        await self._write(super().set, key, value)

    async def set_if_not_exists(self, key: str, value: "Buffer") -> None:
        """Write a file that is not there, unless stopped."""
        await self._write(super().set_if_not_exists, key, value)

    async def _write(self, write: Callable[..., Awaitable[None]], key: str, value: "Buffer") -> None:
        self._writing += 1  # before the question, so that `stop` waits for all that were let in
        try:
            if self._stopped:
                raise asyncio.CancelledError
            await write(key, value)
        finally:
            self._writing -= 1

    def stop(self) -> None:
        """Let no write begin any more, and wait for those that have begun."""
        self._stopped = True
        while self._writing:
            time.sleep(_POLL)


@contextmanager
def stoppable_store(path: Path) -> Iterator[StoppableStore]:
    """Open a folder for writing; nothing writes in it after the block has ended, however it ends."""
    store = StoppableStore(path)
    try:
        yield store
    finally:
        store.stop()
