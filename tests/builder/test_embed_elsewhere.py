"""Projections put into a dataset of a bucket: what is new is sent, and wherever it stops no dataset is lost."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

import titin
from elsewhere import Contents, MadeOnce, Stop, here, make_small, stop_at, there
from s3_server import Fault, s3_of
from titin.builder import add_embeddings
from titin.check import validate
from titin.cli import main
from titin.dataset import remote
from titin.dataset.remote import UPLOAD
from titin.dataset.remote_revision import RemoteRevision, revised
from titin.dataset.remote_target import UploadError
from titin.errors import DatasetError, OutputError, TitinError
from titin.progress import Progress

URL = "memory://atlas"
CHANGES = ("_put", "_write", "_remove", "_copy")  # of what is there


@pytest.fixture(scope="module")
def folder(made_once: MadeOnce) -> Path:
    return make_small(made_once) / "dataset"


@pytest.fixture(scope="module")
def changed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset as it is with a projection, and without a file that it had."""
    copy = Path(shutil.copytree(folder, tmp_path_factory.mktemp("changed") / "dataset"))
    add_embeddings(copy, ["pca"], pca={"n_comps": 4})
    return copy


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_PAUSE", 0.01)


@pytest.fixture
def memory(folder: Path) -> Iterator[Any]:
    """fsspec's storage in memory, with the dataset in it."""
    fs = fsspec.filesystem("memory")
    lay(fs, here(folder))
    yield fs
    fs.store.clear()


def lay(fs: Any, files: Contents) -> None:
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    for name, data in files.items():
        fs.pipe_file(f"/atlas/{name}", data)


def without_times(data: bytes) -> dict[str, Any]:
    """A manifest, but for the seconds that a projection took, and what follows from them."""
    manifest: dict[str, Any] = json.loads(data)
    for entry in manifest["obsm"].values():
        entry.get("computed", {}).pop("seconds", None)
    return manifest


def test_it_is_what_a_folder_becomes(memory: Any, changed: Path, tmp_path: Path) -> None:
    done = add_embeddings(URL, ["pca"], pca={"n_comps": 4})
    assert (done.path, done.keys) == (URL, ["X_pca"])
    assert without_times(there(memory)["titin.json"]) == without_times(here(changed)["titin.json"])
    found, expected = titin.open(URL), titin.open(changed)
    np.testing.assert_array_equal(found.obsm["X_pca"], expected.obsm["X_pca"])
    assert set(there(memory)) == set(here(changed))
    report = validate(URL, checks=["integrity"])
    assert report.passed


def test_only_what_is_new_is_sent(memory: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []
    put = RemoteRevision._put
    monkeypatch.setattr(
        RemoteRevision, "_put", lambda self, name, path: (sent.append(path.name), put(self, name, path))
    )
    add_embeddings(URL, ["pca"], pca={"n_comps": 3})
    assert sent[-1] == "titin.json"
    assert not any("_expression" in name or "_metadata" in name for name in sent if name.endswith(".parquet"))
    assert len(sent) < len(here(folder))


def test_nothing_is_fetched_where_nothing_is_to_be_done(
    memory: Any, changed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(memory, here(changed))
    monkeypatch.setattr("titin.dataset.transfer.fetch", lambda *_: pytest.fail("a copy is fetched"))
    with pytest.raises(OutputError, match="has pca already"):
        add_embeddings(URL, ["pca"])
    with pytest.raises(TitinError, match="parameters are given for"):
        add_embeddings(URL, ["umap"], tsne={"perplexity": 3})
    assert there(memory) == here(changed)


def test_a_projection_that_fails_changes_nothing(memory: Any, folder: Path) -> None:
    with pytest.raises(TitinError):
        add_embeddings(URL, ["umap"], umap={"on": "X_nothing"})
    assert there(memory) == here(folder)


def test_wherever_it_stops_the_dataset_is_whole_or_can_be_made_so(
    memory: Any, folder: Path, changed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the manifest goes it is the old one; after it, the new one, once that is finished by whoever comes."""
    old, new = here(folder), here(changed)
    gone = "extra_file.parquet"  # one that the new one has no more
    manifest = json.loads(old["titin.json"])
    manifest["files"][gone] = {"bytes": 3, "sha256": "0" * 64, "rows": 1}
    old |= {gone: b"old", "titin.json": json.dumps(manifest).encode()}
    states = set()
    for n in range(60):
        lay(memory, old)
        with monkeypatch.context() as patch:
            stop_at(patch, RemoteRevision, CHANGES, n)
            try:
                RemoteRevision(URL).revise(changed, old["titin.json"], Progress())
            except Stop:
                pass
            else:
                break
        found, left = there(memory), dict(memory.store)
        if "titin.json" in found:
            expected = old if found["titin.json"] == old["titin.json"] else new
            assert {name: found[name] for name in expected} == expected
        else:
            expected = new
            with pytest.raises(DatasetError, match="a change of it was not finished") as told:
                titin.open(URL)
            assert "titin doctor URL --clean" in str(told.value)
        states.add(("titin.json" in found, expected is new))
        main(["doctor", URL, "--clean"])
        assert there(memory) == expected
        memory.store.clear()
        memory.store.update(left)
        with revised(URL) as copy:  # the next change finishes it, and begins from there
            assert (copy / "titin.json").read_bytes() == expected["titin.json"]
        memory.store.clear()
        memory.store.update(left)
        if expected is old:
            RemoteRevision(URL).revise(changed, old["titin.json"], Progress())
            assert there(memory) == new
    else:
        pytest.fail("it never ends")
    assert there(memory) == new
    assert states == {(True, False), (False, True), (True, True)}


def test_a_change_that_is_interrupted_again_is_finished(
    memory: Any, folder: Path, changed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(RemoteRevision, "_copy", lambda *_: (_ for _ in ()).throw(Stop))
        with pytest.raises(Stop):
            RemoteRevision(URL).revise(changed, here(folder)["titin.json"], Progress())
    for n in range(40):
        with monkeypatch.context() as patch:
            stop_at(patch, RemoteRevision, CHANGES, n)
            try:
                RemoteRevision(URL).clean()
            except Stop:
                continue
            break
    assert there(memory) == here(changed)


def test_what_somebody_else_changes_meanwhile_is_kept(memory: Any, folder: Path, changed: Path) -> None:
    def change() -> None:
        with revised(URL) as copy:
            memory.pipe_file("/atlas/titin.json", here(changed)["titin.json"])
            (copy / "titin.json").write_bytes(here(folder)["titin.json"] + b" ")

    with pytest.raises(UploadError, match="was changed meanwhile"):
        change()
    assert there(memory)["titin.json"] == here(changed)["titin.json"]


def test_of_two_at_once_one_is_refused(
    memory: Any, folder: Path, changed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, n, before = RemoteRevision._put, [], here(folder)["titin.json"]

    def meanwhile(self: RemoteRevision, name: str, path: Path) -> None:
        n.append(name)
        if len(n) == 2:
            RemoteRevision(URL).revise(changed, before, Progress())
        put(self, name, path)

    monkeypatch.setattr(RemoteRevision, "_put", meanwhile)
    with pytest.raises(UploadError, match="changed meanwhile"):
        RemoteRevision(URL).revise(changed, before, Progress())
    RemoteRevision(URL).clean()
    assert {name: data for name, data in there(memory).items() if "upload" not in name} == here(changed)


@pytest.mark.parametrize("revision", [
    {"token": "../../../other00", "files": {"titin.json": {"bytes": 1}}, "removed": []},
    {"token": "0" * 16, "files": {"../letters.txt": {"bytes": 1}, "titin.json": {"bytes": 1}}, "removed": []},
    {"token": "0" * 16, "files": {"titin.json": {"bytes": 1}}, "removed": ["../letters.txt"]},
    {"token": "0" * 16, "files": {"titin.json": {"bytes": "1"}}, "removed": []},
    {"token": "0" * 16, "files": {"titin.json": []}, "removed": []}, ["token"], "token", None,
])  # fmt: skip
def test_a_document_that_titin_has_not_written_leads_nowhere(memory: Any, folder: Path, revision: Any) -> None:
    memory.pipe_file("/letters.txt", b"mine")
    memory.rm_file("/atlas/titin.json")
    memory.pipe_file(f"/atlas/{UPLOAD}", json.dumps({"files": {}, "earlier": [], "revision": revision}).encode())
    assert not RemoteRevision(URL).finish()
    RemoteRevision(URL).clean()
    assert memory.cat_file("/letters.txt") == b"mine"


def test_what_waits_and_is_missing_is_said(memory: Any, folder: Path, changed: Path, monkeypatch: Any) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(RemoteRevision, "_copy", lambda *_: (_ for _ in ()).throw(Stop))
        with pytest.raises(Stop):
            RemoteRevision(URL).revise(changed, here(folder)["titin.json"], Progress())
    left = next(path for path in memory.find("/atlas") if path.endswith(".README.md"))
    memory.rm_file(left)
    with pytest.raises(UploadError, match=r"README\.md is missing of what it takes"):
        RemoteRevision(URL).clean()


class TestS3:
    """Against moto's server."""

    @pytest.fixture
    def server(self, bucket: Any, folder: Path) -> Any:
        bucket.reset()
        for name, data in here(folder).items():
            s3_of(bucket).pipe_file(f"atlases/muscle/{name}", data)
        bucket.reset()
        return bucket

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_busy_servers_and_lost_connections_are_outlived(
        self, server: Any, changed: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server.faults += [
            Fault("503", "GET .*expression", 2), Fault("reset", "PUT .*projection", 1), Fault("503", "HEAD", 1),
            Fault("503", "PUT .*titin.json", 2), Fault("reset", "DELETE|POST", 1),
        ]  # fmt: skip
        url, options = "s3://atlases/muscle", options_of(server)
        main(["embed", url, "pca", "--n-comps", "4", "-q", "--json", *options])
        said = capsys.readouterr().out
        assert json.loads(said)["path"] == url
        assert "testing-secret" not in said
        assert set(there(s3_of(server), "atlases/muscle")) == set(here(changed))
        found = titin.open(url, storage_options=server.options)
        np.testing.assert_array_equal(found.obsm["X_pca"], titin.open(changed).obsm["X_pca"])

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    @pytest.mark.parametrize("at", ["PUT .*projection", "PUT .*/titin.json$|PUT .*/titin.json[?]"])
    def test_a_killed_one_leaves_a_whole_dataset(
        self, at: str, server: Any, folder: Path, changed: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:

        stalled = Fault("slow", at, seconds=5)
        server.faults.append(stalled)
        words = ["embed", "s3://atlases/muscle", "pca", "--n-comps", "4", "-q", *options_of(server)]
        process = subprocess.Popen([sys.executable, "-m", "titin", *words])
        assert stalled.reached.wait(300)
        process.send_signal(signal.SIGKILL)
        process.wait()
        server.reset()
        main(["doctor", "s3://atlases/muscle", "--clean", *options_of(server)])
        found = titin.open("s3://atlases/muscle", storage_options=server.options)
        assert ("X_pca" in found.obsm) == ("titin.json" in at)
        assert validate("s3://atlases/muscle", storage_options=server.options, checks=["integrity"]).passed


def options_of(server: Any) -> list[str]:
    return [f"--storage-options={key}={value}" for key, value in server.options.items()]
