"""Who answers at an address, and who does not: every one is told in words and in bounded time."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from titin.cluster import connect, spread
from titin.errors import TitinError

distributed = pytest.importorskip("distributed", reason="needs `pip install 'titin[cluster]'`")


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Host and port of a server that takes connections and says nothing."""
    monkeypatch.setattr("titin.cluster._CONNECT", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def add(first: int, second: int) -> int:
    return first + second


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("tcp://{}", "no Dask scheduler answers"),
        ("{}", "no Dask scheduler answers"),
        ("tls://{}", "needs TLS, for which Dask knows no certificates"),
        ("http://{}", "no Dask scheduler answers"),
        ("ucx://{}", "no Dask scheduler answers"),
        ("", "no Dask scheduler answers"),
        ("\0", "no Dask scheduler answers"),
    ],
)
def test_an_address_of_something_else_is_refused(address: str, said: str, listener: str) -> None:
    before = threading.active_count()
    with pytest.raises(TitinError, match=said) as caught:
        connect(address.format(listener))
    assert caught.value.hint
    assert threading.active_count() <= before + 1


def test_the_address_of_a_worker_is_said_to_be_one(client: Any) -> None:
    worker = next(iter(client.nthreads()))
    with pytest.raises(TitinError, match="is the address of a worker of Dask, not of a scheduler"):
        connect(worker)


def test_an_address_may_have_spaces_around_it(client: Any) -> None:
    address = client.scheduler.address
    assert connect(f" {address}\n") is connect(address)


def test_a_client_that_was_closed_is_refused(workers: Any) -> None:
    own = distributed.Client(workers, set_as_default=False)
    connect(own)
    own.close()
    with pytest.raises(TitinError, match="the client is closed"):
        connect(own)


def test_a_worker_that_hangs_is_named(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("titin.cluster._SILENCE", 2.0)
    running = connect(client)
    name, process = next(iter(client.run(os.getpid).items()))
    os.kill(process, signal.SIGSTOP)
    try:
        with pytest.raises(TitinError, match=f"no answer within 2 seconds of worker {name}\\n"):
            running.ask(os.getpid)
    finally:
        os.kill(process, signal.SIGCONT)
    assert list(spread(add, (1,), [1, 2], 1, running)) == [2, 3]
