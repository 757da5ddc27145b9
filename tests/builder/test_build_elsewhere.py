"""A dataset built to a bucket: the same files, its manifest last; whatever goes wrong leaves a dataset or none."""

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
from elsewhere import MadeOnce, Stop, here, make_small, stop_at, there
from s3_server import Fault, s3_of
from titin.cli import main
from titin.dataset import remote, remote_target
from titin.dataset.remote import UPLOAD
from titin.dataset.remote_target import RemoteTarget, UploadError
from titin.errors import DatasetError, OutputError
from titin.progress import Progress

CHANGES = ("_put", "_write", "_remove")  # of what is there


@pytest.fixture(scope="module")
def made(made_once: MadeOnce) -> Path:
    """An atlas, and the dataset that is made of it here."""
    return make_small(made_once)


@pytest.fixture
def folder(made: Path) -> Path:
    return made / "dataset"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TITIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "_PAUSE", 0.01)
    return tmp_path / "cache"


@pytest.fixture
def memory() -> Iterator[Any]:
    """fsspec's storage in memory."""
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    yield fs
    fs.store.clear()


def test_the_files_are_those_of_a_folder(made: Path, folder: Path, memory: Any, own_cache: Path) -> None:
    report = titin.build(made / "atlas.h5ad", "memory://atlas", project=())
    assert report.path == "memory://atlas"
    assert there(memory) == here(folder)
    assert list(own_cache.iterdir()) == []


@pytest.mark.parametrize("cache", ["file", "file/within"])
def test_a_folder_of_caches_that_cannot_be_written_is_named(
    cache: str, made: Path, memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TITIN_CACHE", str(tmp_path / cache))
    with pytest.raises(OutputError, match="cannot write in") as caught:
        titin.build(made / "atlas.h5ad", "memory://atlas", project=())
    assert "TITIN_CACHE" in caught.value.hint
    assert there(memory) == {}


def test_the_manifest_is_the_last_that_comes(folder: Path, memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    put = RemoteTarget._put
    monkeypatch.setattr(RemoteTarget, "_put", lambda self, name, path: (order.append(name), put(self, name, path)))
    RemoteTarget("memory://atlas").send(folder, Progress())
    assert order[-1] == "titin.json"
    assert sorted(order) == sorted(here(folder))


def test_wherever_it_stops_there_is_a_whole_dataset_or_none(
    folder: Path, memory: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Replacing another: every place at which it may end, and what may be done then."""
    other = {**here(folder), "old_table.parquet": b"old"}
    manifest = json.loads(other["titin.json"])
    manifest["files"]["old_table.parquet"] = {"bytes": 3, "sha256": "0" * 64, "rows": 1}
    manifest["notes"] = ["another"]
    other["titin.json"] = json.dumps(manifest).encode()
    changed = manifest["prefix"] + "_expression.parquet"
    other[changed] = bytes(reversed(other[changed]))
    for n in range(30):
        memory.store.clear()
        for name, data in other.items():
            memory.pipe_file(f"/atlas/{name}", data)
        with monkeypatch.context() as patch:
            stop_at(patch, RemoteTarget, CHANGES, n)
            try:
                RemoteTarget("memory://atlas").send(folder, Progress())
            except Stop:
                pass
            else:
                break
        found = there(memory)
        if "titin.json" in found:  # the old one, the new one, and nothing between
            whole = other if found["titin.json"] == other["titin.json"] else here(folder)
            assert {name: found[name] for name in whole} == whole
        else:
            with pytest.raises(DatasetError, match="an upload to it was not finished"):
                titin.open("memory://atlas")
            with pytest.raises(OutputError, match="an upload that was not finished"):
                RemoteTarget("memory://atlas").check(force=False, resume=False)
        left = dict(memory.store)
        RemoteTarget("memory://atlas").clean()
        cleaned = there(memory)
        assert UPLOAD not in cleaned
        if "titin.json" in found:
            assert {name: cleaned[name] for name in whole} == whole
        else:
            assert cleaned == {}
        memory.store.clear()
        memory.store.update(left)
        RemoteTarget("memory://atlas").check(force=True, resume=False)
        RemoteTarget("memory://atlas").send(folder, Progress())
        assert there(memory) == here(folder)
    else:
        pytest.fail("it never ends")
    assert n > 5


def test_what_is_there_already_is_not_sent_again(folder: Path, memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        stop_at(patch, RemoteTarget, CHANGES, 4)
        with pytest.raises(Stop):
            RemoteTarget("memory://atlas").send(folder, Progress())
    done = set(there(memory)) - {UPLOAD}
    assert len(done) == 3
    sent = RemoteTarget("memory://atlas").send(folder, Progress())
    assert sent == sum(len(data) for name, data in here(folder).items() if name not in done)


def test_a_file_that_comes_damaged_is_told(folder: Path, memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put = RemoteTarget._put

    def damaging(self: RemoteTarget, name: str, path: Path) -> None:
        put(self, name, path)
        if name.endswith("_expression.parquet"):
            memory.pipe_file(f"/atlas/{name}", path.read_bytes()[::-1])

    monkeypatch.setattr(RemoteTarget, "_put", damaging)
    with pytest.raises(UploadError, match="is not what was sent"):
        RemoteTarget("memory://atlas").send(folder, Progress())
    assert "titin.json" not in there(memory)


def test_of_two_at_once_one_is_refused(folder: Path, memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put, n = RemoteTarget._put, []

    def meanwhile(self: RemoteTarget, name: str, path: Path) -> None:
        n.append(name)
        if len(n) == 2:
            RemoteTarget("memory://atlas").send(folder, Progress())
        put(self, name, path)

    monkeypatch.setattr(RemoteTarget, "_put", meanwhile)
    with pytest.raises(UploadError, match="another process is writing"):
        RemoteTarget("memory://atlas").send(folder, Progress())
    assert there(memory) == here(folder)


def test_what_is_no_dataset_is_not_touched(made: Path, memory: Any, capsys: pytest.CaptureFixture[str]) -> None:
    memory.pipe_file("/atlas/letters.txt", b"mine")
    with pytest.raises(OutputError, match="it will not be touched"):
        titin.build(made / "atlas.h5ad", "memory://atlas", force=True)
    assert there(memory) == {"letters.txt": b"mine"}


def test_a_dataset_is_replaced_with_force_only(made: Path, folder: Path, memory: Any) -> None:
    RemoteTarget("memory://atlas").send(folder, Progress())
    with pytest.raises(OutputError, match="is a dataset already"):
        titin.build(made / "atlas.h5ad", "memory://atlas", project=())
    report = titin.build(made / "atlas.h5ad", "memory://atlas", project=(), seed=3, force=True)
    assert titin.open("memory://atlas").obs_names.tolist() != titin.open(folder).obs_names.tolist()
    assert report.manifest.settings["seed"] == 3


def test_who_has_the_old_one_open_is_told(folder: Path, memory: Any, tmp_path: Path) -> None:
    RemoteTarget("memory://atlas").send(folder, Progress())
    opened = titin.open("memory://atlas")
    gene = opened.var_names[3]
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    manifest = json.loads((other / "titin.json").read_text("utf-8"))
    (other / "titin.json").write_text(json.dumps({**manifest, "notes": ["another"]}), "utf-8")
    RemoteTarget("memory://atlas").send(other, Progress())
    with pytest.raises(DatasetError, match=r"titin\.json was replaced after the dataset was opened"):
        opened.counts_of(gene)  # of a file that nothing has been read of


@pytest.mark.parametrize(("url", "said"), [
    ("https://host/atlas", "which is only read"), ("hf://datasets/me/atlas", "titin publish"),
    ("nowhere://atlas", "cannot be opened"),
])  # fmt: skip
def test_where_nothing_is_written_it_is_said(
    url: str, said: str, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as done:
        main(["build", str(made / "atlas.h5ad"), "-o", url, "-q"])
    assert done.value.code == 2
    assert said in capsys.readouterr().err


def test_commands_that_write_here_refuse_a_url(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["subset", str(folder), "--where", "sex=M", "-o", "s3://bucket/men"])
    assert done.value.code == 2
    assert "s3://bucket/men is not on this machine" in capsys.readouterr().err
    assert not Path("s3:").exists()


class TestS3:
    """Against moto's server."""

    @pytest.fixture
    def server(self, bucket: Any) -> Any:
        bucket.reset()
        return bucket

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_it_is_built_there(self, server: Any, made: Path, folder: Path) -> None:

        server.faults += [
            Fault("503", "PUT .*expression", 2),
            Fault("reset", "PUT .*metadata", 1),
            Fault("503", "HEAD", 1),
        ]
        options = server.options
        titin.build(made / "atlas.h5ad", "s3://atlases/one", project=(), storage_options=options)
        seen = list(server.requests)
        assert there(s3_of(server), "atlases/one") == here(folder)
        puts = [path.rpartition("/")[2].partition("?")[0] for method, path, _ in seen if method == "PUT"]
        assert (puts[0], puts[-1]) == (UPLOAD, "titin.json")
        read = [path for method, path, _ in seen if method == "GET" and ".parquet" in path]
        assert read == []  # checksums tell
        gene = titin.open(folder).var_names[3]
        np.testing.assert_array_equal(
            titin.open("s3://atlases/one", storage_options=options).counts_of(gene), titin.open(folder).counts_of(gene)
        )

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_a_large_file_goes_in_parts_and_what_is_left_of_them_is_removed(
        self, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(remote_target, "_PART", 5 << 20)
        large = tmp_path / "large"
        large.write_bytes(np.random.default_rng(0).bytes(12 << 20))
        target = RemoteTarget("s3://atlases/parts", server.options)
        target._put("large", large)
        assert sum(method == "PUT" and "partNumber" in path for method, path, _ in server.requests) == 3
        server.requests.clear()
        assert target._is_same("large", large, {"bytes": 12 << 20, "sha256": "by its ETag"})
        assert [method for method, _, _ in server.requests] == ["HEAD"]
        fs = s3_of(server)
        for name in ("parts/left", "other/left"):
            fs.call_s3("create_multipart_upload", Bucket="atlases", Key=name)
        target._abort_parts()
        assert [one["Key"] for one in fs.list_multipart_uploads("atlases")] == ["other/left"]

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_what_a_server_refuses_keeps_what_was_built(
        self, server: Any, made: Path, folder: Path, own_cache: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:

        server.faults.append(Fault("403", "PUT .*_expression.parquet"))
        options = [f"--storage-options={key}={value}" for key, value in server.options.items()]
        build = ["build", str(made / "atlas.h5ad"), "-o", "s3://atlases/two", "--no-project", "-q", *options]
        with pytest.raises(SystemExit) as done:
            main(build)
        assert done.value.code == 2
        said = capsys.readouterr().err
        assert "cannot be written: the server does not let you write it (status 403)" in said
        assert "titin.json" not in there(s3_of(server), "atlases/two")
        server.reset()
        main(["doctor", "s3://atlases/two", *options, "--json"])
        left = json.loads(capsys.readouterr().out)["leftovers"]
        assert {"unfinished upload of two"} < {one["what"] for one in left}
        assert any(one["what"].startswith("unfinished build of two") for one in left)
        with pytest.raises(SystemExit):
            main(build)
        assert "give --resume to go on with it" in capsys.readouterr().err
        main([*build, "--resume", "--json"])
        assert json.loads(capsys.readouterr().out)["path"] == "s3://atlases/two"
        assert there(s3_of(server), "atlases/two") == here(folder)
        assert list(own_cache.iterdir()) == []

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_a_killed_upload_leaves_no_dataset_and_is_cleaned(
        self, server: Any, made: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:

        stalled = Fault("slow", "PUT .*by_gene", seconds=5)
        server.faults.append(stalled)
        options = [f"--storage-options={key}={value}" for key, value in server.options.items()]
        build = ["build", str(made / "atlas.h5ad"), "-o", "s3://atlases/three", "--no-project", "-q", *options]
        process = subprocess.Popen([sys.executable, "-m", "titin", *build])
        assert stalled.reached.wait(300)
        process.send_signal(signal.SIGKILL)
        process.wait()
        server.reset()
        with pytest.raises(DatasetError, match="an upload to it was not finished"):
            titin.open("s3://atlases/three", storage_options=server.options)
        main(["doctor", "s3://atlases/three", "--clean", *options])
        assert "removed: s3://atlases/three" in capsys.readouterr().out
        fs = s3_of(server)
        assert set(there(fs, "atlases/three")) <= {Path(stalled_file(made)).name}  # which came after the kill, or not
        main([*build, "--force"])
        titin.open("s3://atlases/three", storage_options=server.options)


def stalled_file(made: Path) -> str:
    return titin.open(made / "dataset").store.manifest.layout.expression_by_gene
