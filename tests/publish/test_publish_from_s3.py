"""From a bucket to the Hub, both of them on this machine: busy, cut off, killed; the Hub has all of it or nothing."""

import hashlib
import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakehub import Fault, State
from hub_worker import REPO, Worker

pytest.importorskip("huggingface_hub", reason="needs `pip install huggingface_hub`")
pytest.importorskip("s3fs", reason="needs `pip install 'titin[s3]'`")
pytest.importorskip("moto.server", reason="needs `pip install 'moto[s3]' flask flask-cors`")
import s3_server
from s3_server import Server, s3_of, serve_s3

URL = "s3://atlases/muscle"
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture(scope="module")
def bucket(dataset: Path) -> Iterator[Server]:
    """The server, with the licensed dataset on it."""
    with serve_s3() as server:
        fs = s3_of(server)
        fs.mkdir("atlases")
        for path in dataset.iterdir():
            fs.pipe_file(f"atlases/muscle/{path.name}", path.read_bytes())
        yield server


@pytest.fixture
def server(bucket: Server) -> Server:
    bucket.reset()
    return bucket


@pytest.fixture(scope="module")
def own_settings(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of processes with a folder of temporary files of their own."""
    aws = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": "us-east-1"}
    return settings | aws | {"TMPDIR": str(tmp_path_factory.mktemp("copies"))}


@pytest.fixture(scope="module")
def publish(own_settings: dict[str, str]) -> Iterator[Worker]:
    worker = Worker(own_settings)
    yield worker
    worker.process.kill()
    worker.process.communicate()


def on_s3(server: Server) -> dict[str, bytes]:
    fs = s3_of(server)
    return {path.rpartition("/")[2]: fs.cat_file(path) for path in fs.find("atlases/muscle")}


def on_hub(hub: State) -> dict[str, Any]:
    """Checksums of the files that are there, and the manifest, but for the validation report, which has times."""
    files = {name: file.data for name, file in hub.repos[REPO].files().items() if "validation" not in name}
    manifest = json.loads(files.pop("titin.json"))
    manifest["files"] = {name: entry for name, entry in manifest["files"].items() if "validation" not in name}
    return {"titin.json": manifest, **{name: hashlib.sha256(data).hexdigest() for name, data in files.items()}}


@pytest.fixture(scope="module")
def expected(running: tuple[str, State], dataset: Path, publish: Worker) -> dict[str, Any]:
    """What the Hub has of the same dataset when it is published from a folder."""
    assert publish(dataset)["verified"]
    found = on_hub(running[1])
    running[1].reset()
    return found


def test_busy_servers_and_lost_connections_on_both_sides_are_outlived(
    server: Server, hub: State, expected: dict[str, Any], publish: Worker, own_settings: dict[str, str]
) -> None:
    before = on_s3(server)
    server.faults += [
        s3_server.Fault("503", "GET .*_expression", 2), s3_server.Fault("reset", "GET .*projection", 1),
        s3_server.Fault("cut", "GET .*metadata", 1), s3_server.Fault("503", "HEAD", 1),
    ]  # fmt: skip
    hub.faults += [
        Fault(r"POST .*/commit/", 2), Fault(r"POST .*/preupload/", 1, status=None),
        Fault(r"PUT /_large/", 1, status=None),
    ]  # fmt: skip
    done = publish(URL, storage_options=server.options)
    assert done.get("verified") == len(hub.repos[REPO].files()), done
    assert [fault.times for fault in (*server.faults, *hub.faults)] == [0] * 7
    assert on_hub(hub) == expected
    assert on_s3(server) == before
    assert list(Path(own_settings["TMPDIR"]).iterdir()) == []


def test_a_bucket_that_refuses_a_file_leaves_the_hub_as_it_was(server: Server, hub: State, publish: Worker) -> None:
    server.faults.append(s3_server.Fault("403", "GET .*_by_gene"))
    done = publish(URL, storage_options=server.options)
    assert "the server does not let you read it" in done["error"]
    assert "testing-secret" not in done["error"] + done["traceback"]
    assert hub.repos == {}


@pytest.mark.parametrize("where", ["bucket", "hub"])
def test_a_killed_one_leaves_nothing_by_halves_and_is_repeated(
    where: str, server: Server, hub: State, expected: dict[str, Any], publish: Worker, own_settings: dict[str, str]
) -> None:
    before = on_s3(server)
    reached, release = threading.Event(), threading.Event()
    if where == "bucket":
        stalled = s3_server.Fault("slow", "GET .*_by_gene", seconds=3)
        server.faults.append(stalled)
        reached = stalled.reached
    else:
        hub.hold = (3, reached, release)
    victim = Worker(own_settings)
    try:
        victim.start(URL, storage_options=server.options)  # type: ignore[arg-type]
        assert reached.wait(300)
        victim.process.send_signal(signal.SIGKILL)
        victim.process.communicate()
    finally:
        victim.process.kill()
        hub.hold = None
        release.set()
    assert REPO not in hub.repos or hub.repos[REPO].files() == {}
    assert len(list(Path(own_settings["TMPDIR"]).iterdir())) >= 1  # the copy that it was killed with
    server.reset()
    done = publish(URL, storage_options=server.options)
    assert done.get("verified") == len(hub.repos[REPO].files()), done
    assert on_hub(hub) == expected
    assert on_s3(server) == before
    assert list(Path(own_settings["TMPDIR"]).iterdir()) == []
