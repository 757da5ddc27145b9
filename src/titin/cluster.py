"""Passes over a dataset, item by item in order: in threads of this process, or on the workers of a Dask cluster."""

import asyncio
import pickle
import re
import socket
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import nullcontext, suppress
from itertools import chain, islice
from typing import Any, TypeVar
from uuid import uuid4

from titin import __version__
from titin.errors import ClusterError, TitinError
from titin.extras import quiet, require
from titin.masking import mask
from titin.parallel import ordered_map
from titin.retry import within
from titin.shares import Shares, TaskSize
from titin.tasks import Pieces, drop, fold, run, run_all, same

Item = TypeVar("Item")

FOLD = 8  # results that are added up where they are before they travel; sums depend on it, in their last bits
_IN_FLIGHT = 2  # items sent ahead for each thread of a worker
_MANY = 8  # likewise, where some items take much longer than others
_PATIENCE = 60.0  # seconds without any worker before a pass gives up
_LOOK = 2.0  # seconds between two looks at whether there are workers
_CONNECT = 10.0  # seconds in which a scheduler answers
_NEAR = 1.0  # seconds in which a worker answers
_SILENCE = 60.0  # seconds in which whoever is connected answers, however busy

_OF_DASK = {"CommClosedError", "FatalCommClosedError", "RPCClosed"}  # errors of its connections

_known: "weakref.WeakKeyDictionary[Any, Cluster]" = weakref.WeakKeyDictionary()
_by_address: dict[str, "Cluster"] = {}


def spread(
    function: Callable[..., Any],
    shared: Sequence[Any],
    items: Iterable[Item],
    threads: int,
    cluster: "Cluster | None" = None,
    *,
    add: Callable[[Any, Any], Any] | None = None,
    told: Callable[[Item], object] = lambda _: None,
    apart: bool = False,
) -> Iterator[Any]:
    """Yield ``function(*shared, item)`` in the order of ``items``, a bounded number of which are in flight.

    What is yielded does not depend on the number of threads or workers, nor on which of the two there are.

    Parameters
    ----------
    function
        A function of a module, which can be done again: that of a lost worker is.
    shared
        What all items have in common; pickled for a cluster, and sent there once.
    threads
        Of this process, where there is no cluster.
    cluster
        Where the items are worked on instead.
    add
        ``add(total, result)`` returns the sum of a total (None at first) and a result, and may change the total alone.
        Given it, sums of `FOLD` results each are yielded.
    told
        Told of each item that is done, in order.
    apart
        Whether each item is a task of its own, of which a cluster has more waiting: where they take seconds, and some
        much longer than others.
    """
    if cluster is not None:
        ahead = _MANY if apart else _IN_FLIGHT
        yield from cluster.map(function, shared, items, add=add, told=told, together=not apart, ahead=ahead)
        return
    total, n = None, 0
    for item, found in ordered_map(lambda item: (item, function(*shared, item)), items, threads):
        told(item)
        if add is None:
            yield found
            continue
        total, n = add(total, found), n + 1
        if n == FOLD:
            yield total
            total, n = None, 0
    if n:
        yield total


class Cluster:
    """The workers of a Dask cluster.

    Parameters
    ----------
    client
        A ``distributed.Client``.

    Raises
    ------
    TitinError
        If there is no worker within a minute, or one without titin or with another version of it.
    """

    def __init__(self, client: Any) -> None:
        self.client = client
        self._sent: weakref.WeakKeyDictionary[Any, tuple[str, list[Any]]] = weakref.WeakKeyDictionary()
        self._wait_for_workers()
        self._direct = all(map(_is_reached, self._workers()))  # results then make no detour by the scheduler
        for worker, found in self.ask(_introduction()).items():
            if found is None:
                raise TitinError(
                    f"worker {worker} has no titin", f"install titin {__version__} where the workers run, and try again"
                )
            if found != __version__:
                raise TitinError(
                    f"worker {worker} has titin {found}, this is {__version__}",
                    "install the same version where the workers run",
                )

    @property
    def address(self) -> str:
        """Of the scheduler."""
        scheduler = self.client.scheduler
        return str(scheduler.address if scheduler is not None else "the scheduler")

    @property
    def n_threads(self) -> int:
        """Threads of all workers together."""
        return sum(self._workers().values())

    @property
    def n_workers(self) -> int:
        """How many there are."""
        return len(self._workers())

    @property
    def is_running(self) -> bool:
        """Whether the client is connected."""
        return str(self.client.status) == "running"

    def ask(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """Return what a function gives on each worker, by the worker's address; workers that are lost are left out.

        Raises
        ------
        ClusterError
            If one does not answer.
        Exception
            Whatever the function raises.
        """
        try:
            found = self._run(_SILENCE, function, *arguments, on_error="return")
        except TimeoutError as error:
            raise self._silent(error) from error
        except (OSError, CancelledError) as error:
            raise self._lost(error) from error
        for worker, answer in found.items():
            if isinstance(answer, OSError):
                continue
            if isinstance(answer, BaseException):
                raise _explained(answer, worker)
        return {worker: answer for worker, answer in found.items() if not isinstance(answer, OSError)}

    def _run(self, seconds: float, function: Callable[..., Any], *arguments: Any, **more: Any) -> dict[str, Any]:
        """What `client.run` does, which by itself waits for ever for a worker that hangs."""
        asked = self.client.sync(self.client._run, function, *arguments, callback_timeout=seconds, **more)
        return dict(asked)

    def _silent(self, error: BaseException) -> ClusterError:
        """Say which workers do not answer."""
        names = list(self._workers())
        for worker in tuple(names):
            with suppress(Exception):
                self._run(_NEAR, _introduction(), workers=[worker], on_error="ignore")
                names.remove(worker)
        if not names:
            return self._lost(error)
        who = ", ".join(map(mask, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        return ClusterError(
            f"no answer within {_SILENCE:.0f} seconds of {'worker' if len(names) == 1 else 'workers'} {who}",
            "see whether it hangs, end it if so, and run the command again",
        )

    def map(
        self,
        function: Callable[..., Any],
        shared: Sequence[Any],
        items: Iterable[Item],
        *,
        add: Callable[[Any, Any], Any] | None = None,
        told: Callable[[Item], object] = lambda _: None,
        together: bool = True,
        ahead: int = _IN_FLIGHT,
    ) -> Generator[Any, None, None]:
        """Yield as `spread` does.

        Parameters
        ----------
        together
            Whether several items may be one task, where there are many: not if each result is large, or an item long.
        ahead
            Items that are sent ahead for each thread of a worker: more where some take much longer than others.

        Raises
        ------
        TitinError
            If all workers are lost, or the scheduler, or several workers over the same item.
        """
        digests, payloads = zip(*(self._send(each) for each in shared), strict=True) if shared else ((), ())
        try:
            yield from self._map(function, digests, payloads, items, add, told, together, ahead)
        finally:
            if large := [digest for digest, pieces in zip(digests, payloads, strict=True) if len(pieces) > 1]:
                self._forget(large)
            for thing, pieces in zip(shared, payloads, strict=True):
                if not _is_lasting(thing):  # frames of an error would hold on to it until garbage is collected
                    for piece in pieces:
                        piece.release()

    def submit(self, function: Callable[[Item], Any], item: Item) -> Any:
        """Send one item, and return what `result` waits for; given up where that is released before."""
        return self._submit(run, __version__, function, (), [], item, key=f"titin-{function.__name__}-{uuid4().hex}")

    def result(self, sent: Any) -> Any:
        """Wait for what came of an item that was sent by itself.

        Raises
        ------
        TitinError
            If all workers are lost, or the scheduler, or several workers over this item; or it was released.
        Exception
            What the function has raised.
        """
        return self._result(sent)

    def _map(
        self, function: Callable[..., Any], digests: Sequence[str], payloads: Sequence[list[Any]],
        items: Iterable[Item], add: Callable[[Any, Any], Any] | None, told: Callable[[Item], object], together: bool,
        ahead: int,
    ) -> Iterator[Any]:  # fmt: skip
        name = getattr(function, "__qualname__", "task").strip("_")
        shares = Shares(self._workers)

        def submit_all(batch: list[Item], worker: str | None) -> Any:
            task = run_all, add, __version__, function, digests, list(payloads), batch
            return self._submit(*task, key=f"titin-{name}-{uuid4().hex}", worker=worker)

        def submit(item: Item, worker: str | None) -> Any:
            task = run, __version__, function, digests, list(payloads), item
            return self._submit(*task, key=f"titin-{name}-{uuid4().hex}", worker=worker)

        if together and add is None:
            yield from self._in_batches(submit_all, items, TaskSize(items, shares), shares, told)
            return
        rest = iter(items)
        many = 2 * FOLD * shares.n_threads
        first = list(islice(rest, many if together else 0))
        items = chain(first, rest)
        if together and len(first) == many:
            yield from self._in_folds(submit_all, items, shares, told)
        else:
            yield from self._one_by_one(submit, items, shares, add, told, ahead)

    def _in_batches(
        self, submit: Callable[[list[Item], str | None], Any], items: Iterable[Item], size: TaskSize, shares: Shares,
        told: Callable[[Item], object],
    ) -> Iterator[Any]:  # fmt: skip
        """Yield results of tasks of several items: as many as take some time, that little of it goes into sending."""
        rest = iter(items)
        batches = iter(lambda: list(islice(rest, size.next())), [])
        for batch, future in self._ahead(submit, batches, shares):
            seconds, found = self._result(future)
            size.learn(seconds, len(batch))
            for item in batch:
                told(item)
            yield from found

    def _in_folds(
        self, submit: Callable[[list[Item], str | None], Any], items: Iterable[Item], shares: Shares,
        told: Callable[[Item], object],
    ) -> Iterator[Any]:  # fmt: skip
        """Yield the sums of tasks of several items each: those that tasks of one item each give."""
        rest = iter(items)
        for batch, future in self._ahead(submit, iter(lambda: list(islice(rest, FOLD)), []), shares):
            _, total = self._result(future)
            for item in batch:
                told(item)
            yield total

    def _one_by_one(
        self, submit: Callable[[Item, str | None], Any], items: Iterable[Item], shares: Shares,
        add: Callable[[Any, Any], Any] | None, told: Callable[[Item], object], ahead: int,
    ) -> Iterator[Any]:  # fmt: skip
        """Yield results of tasks of one item each, or their sums."""
        batch: list[Any] = []
        try:
            for item, future in self._ahead(submit, items, shares, ahead):
                batch.append(future)
                self._wait(future)
                told(item)
                if add is None:
                    found = self._result(batch.pop())
                elif len(batch) == FOLD:
                    found, batch = self._sum(add, batch), []
                else:
                    continue
                yield found
            if batch:
                yield self._sum(add, batch)
        finally:
            for future in batch:
                future.release()

    def _sum(self, add: Callable[[Any, Any], Any] | None, batch: list[Any]) -> Any:
        return self._result(self._submit(fold, add, batch, key=f"titin-add-{uuid4().hex}"))

    def _ahead(
        self, submit: Callable[[Item, str | None], Any], items: Iterable[Item], shares: Shares, ahead: int = _IN_FLIGHT
    ) -> Iterator[tuple[Item, Any]]:
        """Submit items, some of them ahead; what nobody waits for any more is forgotten, and so cancelled."""
        waiting: deque[tuple[Item, Any]] = deque()
        try:
            for item in items:
                worker = shares.next()
                future = submit(item, worker)
                shares.note(worker, future)
                waiting.append((item, future))
                if len(waiting) > max(2, ahead * shares.n_threads):
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            for _, future in waiting:
                future.release()

    def _submit(self, *task: Any, key: str, worker: str | None = None) -> Any:
        """Send a task, to a worker where one is given, or to another if that is lost."""
        try:
            with quiet():  # of how large a task is
                return self.client.submit(
                    *task, key=key, pure=False, workers=worker, allow_other_workers=worker is not None
                )
        except Exception as error:
            raise self._lost(error) from error

    def _send(self, thing: Any) -> tuple[str, list[Any]]:
        """The digest of a thing, and its pickle as tasks that any worker does again if another is lost."""
        lasting = _is_lasting(thing)
        if lasting and thing in self._sent:
            return self._sent[thing]
        pieces = Pieces(lambda data: self._submit(same, data, key=f"titin-shared-{uuid4().hex}"))
        pickle.dump(thing, pieces, protocol=5)
        sent = pieces.finish()
        if lasting:
            self._sent[thing] = sent
        return sent

    def _forget(self, digests: Sequence[str]) -> None:
        """Have workers give up what is large and no longer needed; those that are lost have."""
        with suppress(Exception):
            self._run(_SILENCE, drop, digests, on_error="ignore")

    def _wait(self, future: Any) -> None:
        """Wait until a task is done or has failed, as long as there are workers to do it."""
        alone_since = None
        while True:
            try:
                future.exception(timeout=_LOOK)
                return
            except TimeoutError:
                if not self.is_running:
                    raise self._lost(None) from None
                alone_since = None if self._workers() else alone_since or time.monotonic()
                if alone_since is not None and time.monotonic() - alone_since > _PATIENCE:
                    raise ClusterError(
                        f"all workers of {mask(self.address)} are lost", "start workers, and run the command again"
                    ) from None
            except (OSError, CancelledError) as error:
                raise self._lost(error) from error

    def _is_of_connection(self, error: BaseException) -> bool:
        """Whether an error is of the way to the cluster, and not of a task that reads files."""
        return isinstance(error, OSError) and (not self.is_running or type(error).__name__ in _OF_DASK)

    def _result(self, future: Any) -> Any:
        """What a task gives.

        Raises
        ------
        Exception
            What the task has raised.
        """
        self._wait(future)
        try:
            return self._fetch(future)
        except CancelledError as error:
            raise self._lost(error) from error
        except BaseException as error:
            if self._is_of_connection(error):
                raise self._lost(error) from error
            explained = _explained(error)
            raise explained from (None if explained is error else error)
        finally:
            future.release()

    def _fetch(self, future: Any) -> Any:
        """Bring a result here; where nobody gives it in time, the worker that had it may be lost, the last of all."""
        while True:
            try:
                return self.client.sync(self.client._gather, future, direct=self._direct, callback_timeout=_PATIENCE)
            except TimeoutError:
                if future.status == "error":  # it is what the task has raised
                    raise
                self._wait(future)

    def _workers(self) -> dict[str, int]:
        """Threads of each worker, by its address."""
        try:
            return dict(self.client.sync(self.client.scheduler.ncores, workers=None, callback_timeout=_SILENCE))
        except (OSError, CancelledError, ValueError) as error:
            raise self._lost(error) from error

    def _wait_for_workers(self) -> None:
        end = time.monotonic() + _PATIENCE
        while not self._workers():
            if time.monotonic() > end:
                raise TitinError(
                    f"the scheduler at {mask(self.address)} has no workers",
                    f"start some: dask worker {mask(self.address)}",
                )
            time.sleep(0.2)

    def _lost(self, error: BaseException | None) -> ClusterError:
        lines = str(error or "").splitlines()
        why = f": {mask(lines[0])}" if lines else ""
        said = f"the connection to the scheduler at {mask(self.address)} is lost{why}"
        return ClusterError(said, "run the command again; what is not finished was not written")


def connect(cluster: Any) -> Cluster | None:
    """Connect to a cluster, once for each.

    Parameters
    ----------
    cluster
        Address of a scheduler (``tcp://host:8786``), a ``distributed.Client``, a `Cluster`, or None.

    Raises
    ------
    TitinError
        If nobody answers there, or nobody who is a scheduler, there are no workers, or one has no titin or another
        version.
    MissingPackageError
        If distributed is not installed.
    """
    if cluster is None or isinstance(cluster, Cluster):
        return cluster
    distributed = require("distributed", "a cluster")
    if isinstance(cluster, str):
        address = cluster.strip()
        if address not in _by_address or not _by_address[address].is_running:
            _by_address[address] = Cluster(_reach(distributed, address))
        return _by_address[address]
    if not isinstance(cluster, distributed.Client):
        raise TitinError(f"{type(cluster).__name__} is no cluster", "give the address of a scheduler, or a Client")
    if cluster.asynchronous:
        raise TitinError("the client is asynchronous", "give one that was made without asynchronous=True")
    if cluster.scheduler is None or str(cluster.status) == "closed":
        raise TitinError("the client is closed", "give one that is connected, or the address of the scheduler")
    if cluster not in _known:
        _known[cluster] = Cluster(cluster)
    return _known[cluster]


def disconnect() -> None:
    """Close the clients that `connect` has made of addresses; those that were given to it are somebody else's."""
    while _by_address:
        _by_address.popitem()[1].client.close()


def _is_lasting(thing: Any) -> bool:
    """Whether a thing is sent once for many passes."""
    return bool(getattr(thing, "lasting", False))


_TCP = re.compile(r"(?:(?:tcp|tls)://)?\[?([^\]/]+?)\]?(?::([0-9]{1,5}))?")


def _reach(distributed: Any, address: str) -> Any:
    hint = "start one with `dask scheduler`, and give the address that it prints, such as tcp://host:8786"
    try:
        if found := _TCP.fullmatch(address):  # a client that reaches nobody is noisy when it is forgotten
            with socket.create_connection((found[1], int(found[2] or 8786)), timeout=_CONNECT):
                pass
        kind = within(2 * _CONNECT, lambda: asyncio.run(asyncio.wait_for(_greet(distributed, address), _CONNECT)))
        if kind == "Scheduler":
            return distributed.Client(address, timeout=_CONNECT, set_as_default=False)
    except TypeError as error:
        if "ssl" not in str(error).lower():
            raise TitinError(f"no Dask scheduler answers at {mask(address)}: {mask(error)}", hint) from error
        raise TitinError(
            f"{mask(address)} needs TLS, for which Dask knows no certificates",
            "name them in Dask's configuration, under distributed.comm.tls; or give a Client with its Security",
        ) from error
    except (OSError, ValueError, OverflowError) as error:
        raise TitinError(f"no Dask scheduler answers at {mask(address)}", hint) from error
    except Exception as error:  # of whatever else listens there
        why = f": {mask(error)}" if str(error) else ""
        raise TitinError(f"no Dask scheduler answers at {mask(address)}{why}", hint) from error
    raise TitinError(
        f"{mask(address)} is the address of a {kind.lower()} of Dask, not of a scheduler",
        "give the address that `dask scheduler` prints",
    )


async def _greet(distributed: Any, address: str) -> str:
    """What answers at an address: a client would wait for ever for a greeting that does not come."""
    security = distributed.Security().get_connection_args("client")
    async with distributed.rpc(address, timeout=_CONNECT, connection_args=security) as there:
        return str((await there.identity())["type"])


def _is_reached(address: str) -> bool:
    """Whether a worker can be reached from here."""
    found = _TCP.fullmatch(address)
    try:
        with socket.create_connection((found[1], int(found[2])), timeout=_NEAR) if found else nullcontext():
            return found is not None
    except (OSError, TypeError):
        return False


def _introduction() -> Callable[[], str | None]:
    """What asks a worker for its titin: a function within one travels whole, which titin there need not have."""

    def introduce() -> str | None:
        try:
            import titin
        except ImportError:
            return None
        return str(titin.__version__)

    return introduce


def _explained(error: BaseException, worker: str = "") -> BaseException:
    """The error itself, or a sentence where it is of the cluster and not of what was done there."""
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == "titin":
        said = f"worker {worker} has no titin" if worker else "a worker has no titin, or another version of it"
        return TitinError(said, f"install titin {__version__} where the workers run")
    if isinstance(error, RuntimeError) and "deserialization of the task graph" in str(error):
        return ClusterError(
            "the scheduler cannot read what it is sent: it lacks titin, or has another version of it or of Python",
            f"install titin {__version__} where the scheduler runs, too, and start it again",
        )
    if type(error).__name__ == "KilledWorker":
        return ClusterError(
            "several workers were lost over the same part of the dataset, probably for want of memory",
            "give each worker more memory or fewer threads, and run the command again",
        )
    return error
