"""A server that cuts, stalls, refuses, lies or is slow: right values, or a sentence in bounded time without secrets."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import titin
from elsewhere import MadeOnce, make_small
from titin.cli import COMMANDS, main
from titin.dataset import remote
from titin.errors import DatasetError, TitinError

pytest.importorskip("aiohttp", reason="needs `pip install aiohttp`")
TOKEN = "hf_echoedechoedechoed"
SECONDS = 1.5
STALLED = 0.4  # where every answer that matters is one that does not come


class Faulty(BaseHTTPRequestHandler):
    """Serves a folder; ``fault`` says what goes wrong, ``times`` how often, ``where`` in which files and methods."""

    protocol_version = "HTTP/1.1"
    folder: Path
    fault, times, where = "", 0, ""
    seconds = SECONDS  # that are waited for
    lock = threading.Lock()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _fault(self) -> str:
        with self.lock:
            if Faulty.times <= 0 or Faulty.where not in f"{self.command} {self.path}":
                return ""
            Faulty.times -= 1
            return Faulty.fault

    def do_GET(self) -> None:
        path, fault = self.folder / self.path.split("?")[0].strip("/").split("/")[-1], self._fault()
        if fault.isdigit():
            body = f'{{"error": "no: Bearer {TOKEN}, {self.path}"}}'.encode()
            self._head(int(fault), len(body), {"Retry-After": "0"})
            self._body(body)
            return
        if not path.is_file():
            self._head(404, 0)
            return
        whole = path.read_bytes()
        start, stop, status = 0, len(whole), 200
        asked = self.headers.get("Range", "")
        if asked and fault != "no ranges":
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, stop, status = int(first), min(len(whole), int(last or len(whole) - 1) + 1), 206
        body = whole[start:stop]
        if fault == "stalled":
            time.sleep(Faulty.seconds * 3)
        if fault == "short" and self.command != "HEAD":
            body = body[: len(body) // 2]
        if fault == "long" and self.command != "HEAD":
            body += b"more"
        self._head(status, len(body), {"Content-Range": f"bytes {start}-{stop - 1}/{len(whole)}"} if asked else {})
        if fault == "cut" and self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            self.connection.close()
        elif fault == "slow":
            for i in range(0, len(body), -(-len(body) // 4) or 1):
                time.sleep(SECONDS / 10)
                self._body(body[i : i + -(-len(body) // 4)])
        else:
            self._body(body)

    do_HEAD = do_GET  # noqa: N815 - names of the base class

    def _head(self, status: int, length: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(length), "Accept-Ranges": "bytes", **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()

    def _body(self, body: bytes) -> None:
        if self.command != "HEAD":
            try:
                self.wfile.write(body)
            except OSError:
                self.close_connection = True


@pytest.fixture(scope="module")
def atlas(made_once: MadeOnce) -> titin.Atlas:
    return titin.open(make_small(made_once) / "dataset")


@pytest.fixture
def url(atlas: titin.Atlas, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    Faulty.folder, Faulty.times, Faulty.seconds = atlas.folder, 0, SECONDS
    monkeypatch.setattr(remote, "_SECONDS", SECONDS)
    monkeypatch.setattr(remote, "_PAUSE", 0.01)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Faulty)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/atlas"
    server.shutdown()
    server.server_close()


def go_wrong(monkeypatch: pytest.MonkeyPatch, fault: str, where: str, times: int) -> None:
    """Let a fault happen so often; what is stalled is not waited for as long as what else a busy machine delays."""
    Faulty.fault, Faulty.where, Faulty.times = fault, where, times
    if fault == "stalled":
        Faulty.seconds = STALLED
        monkeypatch.setattr(remote, "_SECONDS", STALLED)


def read(url: str) -> tuple[np.ndarray, int]:
    """A gene, from a dataset that is opened for it, and how many cells obs has."""
    opened = titin.open(url)
    return np.asarray(opened[opened.var_names[3]]), len(opened.obs)


PASSING = ["cut", "short", "long", "503", "500", "429", "stalled", "slow", "no ranges", ""]
LASTING = ["cut", "short", "503", "429", "401", "403", "stalled"]
WHERE = ["GET /atlas/titin.json", "_by_gene.parquet", "HEAD", "_sample_metadata"]


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_tried_again(
    fault: str, where: str, url: str, atlas: titin.Atlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = np.asarray(atlas[atlas.var_names[3]]), len(atlas.obs)
    go_wrong(monkeypatch, fault, where, 2)
    values, n_obs = read(url)
    np.testing.assert_array_equal(values, expected[0])
    assert n_obs == expected[1]


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("fault", LASTING)
def test_what_lasts_is_said_in_bounded_time_and_without_secrets(
    fault: str, where: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_wrong(monkeypatch, fault, where, 10**6)
    began = time.monotonic()
    try:
        read(url)
    except DatasetError as error:
        told = f"{error} {error.__cause__}"
    else:
        assert where == "HEAD"  # for which there are other ways
        return
    assert time.monotonic() - began < 40 * SECONDS
    assert TOKEN not in told
    assert "/atlas" in told
    assert "\n" in told  # what to do


def test_a_token_that_a_server_echoes_is_not_printed(
    url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Faulty.fault, Faulty.where, Faulty.times = "403", "", 10**6
    for more in ([], ["--debug"]):
        with pytest.raises(SystemExit) as done:
            main(["export", url, "--format", "h5ad", "-o", str(tmp_path / "out.h5ad"), *more])
        assert done.value.code == 2
        said = capsys.readouterr()
        assert TOKEN not in said.err + said.out
        assert "does not let you read it (status 403)" in said.err


TAKES = {"export": ["--format", "wide", "--genes", "{gene}"], "bench": ["--list"], "subset": [],
         "validate": ["--check", "integrity"]}  # fmt: skip
HERE = {"embed": [], "card": [], "report": [], "info": [], "site": [],
        "relabel": ["--drop", "x"], "roles": [], "age tables": []}  # fmt: skip


def test_every_command_with_a_dataset_is_in_the_table() -> None:
    takes = {name for name in COMMANDS if "DATASET" in CliRunner().invoke(titin_cli(), [name, "--help"]).stdout}
    known = {*TAKES, *(name.split()[0] for name in HERE)}
    assert takes - {"build", "demo", "doctor", "predict", "annotate", "network", "explore", "publish"} == known


def test_predict_takes_urls(
    url: str, atlas: titin.Atlas, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A clock of so few cells there is not: it is told what it would have been given."""

    class Seen:
        def predict(self, opened: titin.Atlas, **_: Any) -> None:
            raise TitinError(f"{opened.n_obs} cells, {opened.obs.shape[1]} columns")

    monkeypatch.setattr("titin.learn.Clock.load", lambda _: Seen())
    with pytest.raises(SystemExit):
        main(["predict", url, "--clock", "any"])
    assert f"{atlas.n_obs} cells, {atlas.obs.shape[1]} columns" in capsys.readouterr().err


def test_annotate_takes_urls_and_says_where_a_check_cannot_go(
    url: str, atlas: titin.Atlas, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as done:
        main(["annotate", url])
    assert done.value.code == 2
    assert "this one lies elsewhere" in capsys.readouterr().err
    main(["annotate", url, "-o", str(tmp_path / "check.csv"), "--cell-type-level", "0"])
    assert pd.read_csv(tmp_path / "check.csv")["cell_id"].tolist() == atlas.obs_names.tolist()
    assert str(tmp_path / "check.csv") in capsys.readouterr().out


def test_network_takes_urls(url: str, atlas: titin.Atlas, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    genes = list(atlas.var_names[:6])
    pd.DataFrame({"source": "TF", "target": genes}).to_csv(tmp_path / "edges.csv")
    main(["network", url, "--network", str(tmp_path / "edges.csv"), "-o", str(tmp_path / "out"), "--format", "csv"])
    said = capsys.readouterr().out
    assert "1 regulator of edges.csv" in said
    assert "no networks: none of the 1 regulators is a gene of this dataset" in said
    assert set(pd.read_csv(tmp_path / "out" / "activity_annotation_level0.csv")["regulator"]) == {"TF"}


def test_diff_takes_urls(url: str, atlas: titin.Atlas, capsys: pytest.CaptureFixture[str]) -> None:
    assert not titin.diff(atlas, url)
    main(["diff", str(atlas.store.folder), url, "-q"])
    assert f"no difference: {atlas.n_obs} cells" in capsys.readouterr().out


def titin_cli() -> Any:
    from titin.cli import cli

    return cli


@pytest.mark.parametrize("command", [*TAKES, "age"])
def test_the_command_line_takes_urls_where_python_does(
    command: str, url: str, atlas: titin.Atlas, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [part.format(gene=atlas.var_names[0]) for part in TAKES.get(command, [])]
    words = ["age", "variance", url] if command == "age" else [command, url]
    try:
        main([*words, *arguments, "-o", str(tmp_path / "out")])
        code: Any = 0
    except SystemExit as done:
        code = done.code or 0
    said = capsys.readouterr().err
    if command == "age":  # so few cells allow no comparison; it has read them all
        assert "pseudobulk: done" in said
    else:
        assert code == 0, said


@pytest.mark.parametrize("place", ["hf://datasets/me/atlas", "s3://bucket/atlas", "https://me:secretword@host/a"])
@pytest.mark.parametrize("command", HERE)
def test_where_a_dataset_must_be_here_it_is_said(command: str, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    if command == "embed" and place.startswith(
        "s3://"
    ):  # where files can be replaced: tests/builder/test_embed_elsewhere
        return
    with pytest.raises(SystemExit) as done:
        main([*command.split(), place, *HERE[command]])
    assert done.value.code == 2
    said = capsys.readouterr().err
    assert place.replace("me:secretword", "***") in said
    assert "is not on this machine" in said
    assert "download it first" in said


@pytest.mark.parametrize(
    "function", ["add_embeddings", "write_report", "write_card", "write_public_copy", "write_site", "set_roles"]
)
def test_python_says_the_same(function: str) -> None:
    from titin import builder, explore, report
    from titin.publish import upload, write_card

    rooms = (builder, report, explore, upload)
    call = write_card if function == "write_card" else next(
        getattr(room, function) for room in rooms if hasattr(room, function)
    )  # fmt: skip
    with pytest.raises(TitinError, match="is not on this machine"):
        call("hf://datasets/me/atlas", *(["me/atlas"] if function == "write_public_copy" else []))


def test_python_ends_a_moment_later_where_threads_of_arrows_read(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = list[tuple[Any, ...]]()
    monkeypatch.setattr(remote.atexit, "register", lambda *call: waits.append(call))
    remote._wait_at_exit.cache_clear()
    try:
        for _ in range(2):
            read(url)
    finally:
        remote._wait_at_exit.cache_clear()
    assert waits == [(time.sleep, remote._MOMENT)]
