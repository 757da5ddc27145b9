"""A dataset on a real S3 server: the same as here in few requests, whatever the server does; errors are sentences."""

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import titin
from elsewhere import MadeOnce, make_small
from titin.check import validate
from titin.cli import main
from titin.dataset import remote
from titin.errors import DatasetError, TitinError
from titin.publish import upload

pytest.importorskip("s3fs", reason="needs `pip install 'titin[s3]'`")
pytest.importorskip("moto.server", reason="needs `pip install 'moto[s3]' flask flask-cors`")
from s3_server import Fault, Server, s3_of, serve_s3

URL = "s3://atlases/muscle"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of botocore and moto


@pytest.fixture(scope="module")
def atlas(made_once: MadeOnce) -> titin.Atlas:
    return titin.open(make_small(made_once) / "dataset")


@pytest.fixture(scope="module")
def running(atlas: titin.Atlas) -> Iterator[Server]:
    """The server, with the dataset on it and a second bucket."""
    with serve_s3() as server:
        fs = s3_of(server)
        fs.mkdir("atlases")
        for path in atlas.folder.iterdir():
            fs.pipe_file(f"atlases/muscle/{path.name}", path.read_bytes())
        yield server


@pytest.fixture
def server(running: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(remote, "_PAUSE", 0.01)
    # botocore tries again too, after seconds that chance decides
    monkeypatch.setattr("botocore.retryhandler.random", SimpleNamespace(random=lambda: 0.001))
    running.reset()
    return running


def words(server: Server) -> list[str]:
    return [f"--storage-options={key}={value}" for key, value in server.options.items()]


def test_it_reads_as_the_folder_does(server: Server, atlas: titin.Atlas) -> None:
    opened = titin.open(URL, storage_options=server.options)
    pd.testing.assert_frame_equal(opened.obs, atlas.obs)
    np.testing.assert_array_equal(opened[atlas.var_names[3]], atlas[atlas.var_names[3]])
    assert (opened.X[:40] != atlas.X[:40]).nnz == 0


def test_one_gene_costs_few_requests_and_not_the_file(server: Server, atlas: titin.Atlas) -> None:
    opened = titin.open(URL, storage_options=server.options)
    gene, other = atlas.var_names[3], atlas.var_names[7]
    np.testing.assert_array_equal(opened.counts_of(gene), atlas.counts_of(gene))
    read = {path.rpartition("/")[2].partition("?")[0] for _, path, _ in server.requests}
    names = atlas.store.manifest.layout
    assert read == {"titin.json", names.sample_metadata, names.feature_metadata, names.expression_by_gene}
    assert [method for method, _, _ in server.requests] == ["GET"] * 4  # small files are read whole
    assert server.n_bytes < sum(entry["bytes"] for entry in atlas.store.manifest.files.values()) / 2
    before = len(server.requests)
    np.testing.assert_array_equal(opened.counts_of(other), atlas.counts_of(other))
    assert len(server.requests) == before


def test_an_epoch_is_that_of_the_folder(server: Server, atlas: titin.Atlas) -> None:
    far = titin.open(URL, storage_options=server.options)
    here = titin.Loader(atlas, batch_size=32, seed=5)
    there = titin.Loader(far, batch_size=32, seed=5)
    n = 0
    for mine, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(mine.X.toarray(), other.X.toarray())
        n += mine.X.shape[0]
    assert n == atlas.n_obs


@pytest.mark.parametrize("what", ["503", "reset", "cut", "slow"])
def test_what_passes_is_tried_again(what: str, server: Server, atlas: titin.Atlas) -> None:
    server.faults += [Fault(what, "GET .*titin.json", 1), Fault(what, "GET .*by_gene|GET .*feature", 2)]
    opened = titin.open(URL, storage_options=server.options)
    np.testing.assert_array_equal(opened[atlas.var_names[3]], atlas[atlas.var_names[3]])
    assert all(fault.times == 0 for fault in server.faults)


def test_it_is_validated_where_it_is(server: Server, atlas: titin.Atlas, capsys: pytest.CaptureFixture[str]) -> None:
    server.faults += [Fault("503", "GET .*expression", 2), Fault("reset", "GET .*obs|GET .*metadata", 1)]
    main(["validate", URL, *words(server), "--no-report", "--json", "-q", "--check", "integrity"])
    said = capsys.readouterr().out
    found = json.loads(said)
    assert (found["dataset"], found["passed"]) == (URL, True)
    assert found["facts"]["manifest_sha256"] == validate(atlas.folder, checks=["integrity"]).facts["manifest_sha256"]
    assert "testing-secret" not in said
    with pytest.raises(SystemExit):
        main(["validate", URL, *words(server), "-q"])
    assert "say with --output where" in capsys.readouterr().err


def test_a_damaged_file_there_is_found(server: Server, atlas: titin.Atlas) -> None:
    fs, name = s3_of(server), f"muscle/{atlas.store.manifest.layout.expression}"
    whole = fs.cat_file(f"atlases/{name}")
    fs.pipe_file(f"atlases/{name}", whole[:-9] + b"x" + whole[-8:])
    try:
        report = validate(URL, storage_options=server.options, checks=["integrity"])
    finally:
        fs.pipe_file(f"atlases/{name}", whole)
    copy = report.dataset
    assert not report.passed
    assert copy.is_dir()
    del report
    assert not copy.exists()


def test_it_is_published_from_there(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "_validate", lambda copy, *_: validate(copy, checks=["integrity"]))  # all takes long
    with pytest.raises(SystemExit) as done:
        main(["publish", URL, "me/atlas", "--dry-run", "--json", "-q", *words(server)])
    assert done.value.code == 1  # no licence is stated
    told = json.loads(capsys.readouterr().out)
    assert [refusal["message"] for refusal in told["refusals"]] == ["no licence is stated for these data"]
    assert len(told["files"]) > 5


LIES = [
    ({"endpoint": None}, "s3://nowhere/muscle", "there is no bucket nowhere"),
    ({"endpoint": None}, "s3://atlases/other", "it has no titin.json"),
    ({"endpoint": None, "key": None, "secret": None}, URL, "no credentials"),
    ({"endpoint": None, "annonymous": True}, URL, "s3:// has no storage option annonymous"),
    ({"endpoint": "http://127.0.0.1:9"}, URL, "the connection failed"),
]


@pytest.mark.parametrize(("changes", "url", "said"), LIES)
def test_what_cannot_be_opened_is_said(changes: dict[str, Any], url: str, said: str, server: Server) -> None:
    options = server.options | {key: value for key, value in changes.items() if value is not None}
    for key in [key for key, value in changes.items() if value is None and key != "endpoint"]:
        del options[key]
    with pytest.raises(TitinError) as raised:
        titin.open(url, storage_options=options)
    assert said in str(raised.value)
    assert raised.value.hint
    assert "testing-secret" not in str(raised.value)


@pytest.mark.parametrize(("status", "said"), [("403", "does not let you read it"), ("503", "answered with status 503")])
def test_what_a_server_refuses_is_said(status: str, said: str, server: Server) -> None:
    server.faults.append(Fault(status))
    with pytest.raises(DatasetError, match=said):
        titin.open(URL, storage_options=server.options)


def test_a_server_that_does_not_answer_is_not_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_SECONDS", 0.2)
    server.faults.append(Fault("slow", seconds=0.8))
    with pytest.raises(DatasetError, match="no answer within"):
        titin.open(URL, storage_options=server.options)


def test_options_of_the_command_line_reach_the_server(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    main(["diff", URL, URL, "--storage-options", json.dumps(server.options), "-q"])
    assert "no difference" in capsys.readouterr().out
    with pytest.raises(SystemExit):  # and are forgotten with the command
        main(["diff", URL, URL, "--storage-options", "endpoint", "-q"])
    assert "storage option 1 has no KEY=VALUE" in capsys.readouterr().err


def test_a_public_bucket_needs_no_credentials(server: Server, atlas: titin.Atlas) -> None:
    fs = s3_of(server)
    for path in fs.ls("atlases/muscle"):
        fs.chmod(path, "public-read")
    opened = titin.open(URL, storage_options={"endpoint": server.endpoint, "anonymous": True, "requester_pays": True})
    np.testing.assert_array_equal(opened[atlas.var_names[3]], atlas[atlas.var_names[3]])


def test_it_goes_to_other_processes(server: Server, atlas: titin.Atlas) -> None:
    import pickle

    opened = pickle.loads(pickle.dumps(titin.open(URL, storage_options=server.options)))
    np.testing.assert_array_equal(opened[atlas.var_names[3]], atlas[atlas.var_names[3]])
