"""A scheduler that is killed while a pass runs ends it in words."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from titin.cluster import connect, spread
from titin.errors import ClusterError

distributed = pytest.importorskip("distributed", reason="needs `pip install 'titin[cluster]'`")


@pytest.fixture
def scheduler(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Any, str]]:
    """The process of a scheduler with a worker, and its address; the scheduler runs some code first."""
    (tmp_path / "prepared.py").write_text(request.param)
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    address, quiet = f"tcp://127.0.0.1:{port}", {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port),
               "--no-dashboard", "--preload", str(tmp_path / "prepared.py")]  # fmt: skip
    running = [subprocess.Popen(command, **quiet)]
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--no-dashboard",
               "--nthreads", "1"]  # fmt: skip
    running.append(subprocess.Popen(command, **quiet))
    try:
        for _ in range(300):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield running[0], address
    finally:
        for process in running:
            process.kill()
            process.wait()


def of_a_pass(_cluster: Any, results: Any) -> None:
    list(results)


def of_a_question(cluster: Any, _results: Any) -> None:
    cluster.ask(socket.gethostname)


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", [""], indirect=True)
@pytest.mark.parametrize("ask", [of_a_pass, of_a_question])
def test_a_scheduler_that_is_killed_is_told(ask: Any, scheduler: tuple[Any, str]) -> None:
    import dask

    process, address = scheduler
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        cluster = connect(address)
        assert cluster is not None
        results = spread(time.sleep, (), [0.2] * 500, 1, cluster, apart=True)
        next(results)
        process.kill()
        with pytest.raises(ClusterError, match=r"the connection to the scheduler at .* is lost") as caught:
            ask(cluster, results)
        assert "\n" not in caught.value.args[0]
        results.close()
        cluster.client.close(timeout=1)


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["import sys\nsys.modules['titin'] = None\n"], indirect=True)
def test_a_scheduler_without_titin_is_told(scheduler: tuple[Any, str]) -> None:
    cluster = connect(scheduler[1])
    assert cluster is not None
    with pytest.raises(ClusterError, match="the scheduler cannot read what it is sent: it lacks titin"):
        list(spread(time.sleep, (), [0.0] * 5, 1, cluster))
    cluster.client.close(timeout=1)
