"""Threads that keep order: a generator read ahead, and a map with a bounded number of results in flight."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_END = object()


def read_ahead(items: Iterable[Item], depth: int = 1) -> Generator[Item, None, None]:
    """Yield from ``items``, which runs in a thread of its own, at most ``depth`` items ahead.

    An exception of the producer is raised here; closing this generator stops and closes the producer.
    """
    ready: queue.Queue = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def put(item: object) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    source = iter(items)

    def produce() -> None:
        try:
            for item in source:
                if not put((item, None)):
                    break
            else:
                put(_END)
        except BaseException as error:
            put((None, error))
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=produce, name="titin-read", daemon=True)
    thread.start()
    try:
        while (got := ready.get()) is not _END:
            item, error = got
            if error is not None:
                raise error
            yield item
    finally:
        stop.set()
        thread.join()


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Generator[Result, None, None]:
    """Yield ``function(item)`` in the order of ``items``, computed in ``threads`` threads, ``threads`` items ahead."""
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="titin") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def map_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int, *, weigh: Callable[[Item], int], most: int
) -> Generator[Result, None, None]:
    """Yield ``function(item)`` in the order of ``items``, computed in threads, as many ahead as weigh ``most``.

    Parameters
    ----------
    weigh
        What an item is to count for; one is computed ahead however much that is.
    """
    waiting: deque[tuple[int, Future[Result]]] = deque()
    ahead = 0
    with ThreadPoolExecutor(threads, thread_name_prefix="titin-ahead") as pool:
        try:
            for item in items:
                waiting.append((weigh(item), pool.submit(function, item)))
                ahead += waiting[-1][0]
                while len(waiting) > 1 and ahead > most:
                    weight, future = waiting.popleft()
                    ahead -= weight
                    yield future.result()
            while waiting:
                yield waiting.popleft()[1].result()
        finally:
            for _, future in waiting:
                future.cancel()
