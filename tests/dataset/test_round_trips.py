"""What reading far away asks for: each request is a round trip, and they are counted one by one."""

import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import titin
from titin.dataset import layout, opened_files, places
from titin.errors import DatasetError

pytest.importorskip("aiohttp", reason="needs `pip install aiohttp`")


class Counting(BaseHTTPRequestHandler):
    """Serves a folder, and notes what it is asked for; ``named``: each answer says which state of the file it is of."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    folder: Path
    named = True
    asked: list[tuple[str, str, int]]
    after: dict[str, Callable[[], None]]  # what happens once a file has been asked for
    together: threading.Barrier | None = None  # so many are to ask before any is answered

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        path = self.folder / self.path.rpartition("/")[2]
        if not path.is_file():
            self._answer(404, b"", {})
            return
        data, found = path.read_bytes(), path.stat()
        status, more, whole = 200, {}, len(data)
        if asked := self.headers.get("Range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            if int(first) >= whole:
                self._answer(416, b"", {"Content-Range": f"bytes */{whole}"})
                return
            data = data[int(first) : int(last) + 1]
            status, more = 206, {"Content-Range": f"bytes {first}-{int(first) + len(data) - 1}/{whole}"}
        if self.named:
            more["ETag"] = f'"{found.st_mtime_ns}-{found.st_ino}"'
        self.asked.append((self.command, path.name, len(data)))
        if self.together is not None:
            self.together.wait()
        self._answer(status, data, more)
        if act := self.after.pop(path.name, None):
            act()

    do_HEAD = do_GET  # noqa: N815 - names of the base class

    def _answer(self, status: int, data: bytes, more: dict[str, str]) -> None:
        self.send_response_only(status)
        for key, value in {"Content-Length": str(len(data)), "Accept-Ranges": "bytes", **more}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def made(folder: Path, n_cells: int, n_genes: int) -> None:
    from titin.builder import build
    from titin.demo import write_demo_atlas

    build(write_demo_atlas(folder / "atlas.h5ad", n_cells=n_cells, n_genes=n_genes), folder / "dataset", project=())


MadeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="module")
def atlas(made_once: MadeOnce) -> titin.Atlas:
    """Of which the matrix by gene is more than is read of a file's end."""
    return titin.open(made_once("far", lambda folder: made(folder, 1500, 400)) / "dataset")


@pytest.fixture(scope="module")
def small(made_once: MadeOnce) -> titin.Atlas:
    return titin.open(made_once("remote", lambda folder: made(folder, 300, 150)) / "dataset")


@pytest.fixture
def server(atlas: titin.Atlas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The handler, of a copy that may be changed; what was just looked at is not looked at again while a test lasts."""
    monkeypatch.setattr(opened_files, "_JUST_NOW", 3600.0)
    monkeypatch.setattr(opened_files, "_FAR_SHARE", 1)  # as a row group is a small part of a file elsewhere
    folder = shutil.copytree(atlas.folder, tmp_path / "copy")
    handler = type("Handler", (Counting,), {"folder": folder, "asked": [], "after": {}})
    listening = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
    handler.url = f"http://127.0.0.1:{listening.server_address[1]}/atlas"  # type: ignore[attr-defined]
    yield handler
    listening.shutdown()
    listening.server_close()


def taken(server: Any) -> list[tuple[str, str]]:
    """What was asked for since the last time, by method and file, sorted as some of it is asked at the same time."""
    found = sorted((command, name) for command, name, _ in server.asked)
    server.asked.clear()
    return found


def test_open_and_one_gene_are_five_requests(server: Any, atlas: titin.Atlas) -> None:
    names, gene, other = atlas.layout, atlas.var_names[3], atlas.var_names[7]
    far = titin.open(server.url)
    assert taken(server) == [("GET", layout.MANIFEST)]
    np.testing.assert_array_equal(far.counts_of(gene), atlas.counts_of(gene))
    wanted = [names.sample_metadata, names.feature_metadata, names.expression_by_gene, names.expression_by_gene]
    assert taken(server) == sorted(("GET", name) for name in wanted)
    np.testing.assert_array_equal(far.counts_of(other), atlas.counts_of(other))
    assert taken(server) == [("GET", names.expression_by_gene)]
    assert far.obs.equals(atlas.obs)
    assert far.var.equals(atlas.var)
    assert taken(server) == []


def test_a_file_that_is_small_is_read_with_its_footer(server: Any, small: titin.Atlas) -> None:
    server.folder = small.folder
    far, names = titin.open(server.url), small.layout
    for gene in small.var_names[:3]:
        np.testing.assert_array_equal(far.counts_of(gene), small.counts_of(gene))
    wanted = [layout.MANIFEST, names.sample_metadata, names.feature_metadata, names.expression_by_gene]
    assert taken(server) == sorted(("GET", name) for name in wanted)


def test_pages_of_many_genes_are_read_apart(server: Any, atlas: titin.Atlas, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}
    for spare in (0, 1 << 23):  # bytes that may be read for nothing
        monkeypatch.setattr(opened_files, "_SPARE", spare)
        far = titin.open(server.url)
        far.counts_of(atlas.var_names[0])
        server.asked.clear()
        for gene in atlas.var_names[3:12]:
            np.testing.assert_array_equal(far.counts_of(gene), atlas.counts_of(gene))
        seen[spare] = len(server.asked), sum(n for _, _, n in server.asked)
    assert seen[1 << 23][0] == 9
    assert 18 < seen[0][0] <= 27
    assert seen[0][1] < seen[1 << 23][1] / 4


def test_an_epoch_is_a_request_a_row_group_and_one_for_the_footer(server: Any, atlas: titin.Atlas) -> None:
    far, file = titin.open(server.url), atlas.layout.expression
    loader = titin.Loader(far, batch_size=32, values="counts")
    server.asked.clear()
    assert sum(batch.X.shape[0] for batch in loader) == atlas.n_obs
    n_groups = len(atlas.store.row_groups(file))
    assert taken(server) == [("GET", file)] * (n_groups + 1)


def test_an_epoch_reads_further_loads_while_one_is_on_its_way(server: Any, atlas: titin.Atlas) -> None:
    far, file = titin.open(server.url), atlas.layout.expression
    loader = titin.Loader(far, batch_size=32, buffer_cells=1024, seed=3)
    assert len(far.store.row_groups(file)) == 2  # each a load
    server.together = threading.Barrier(2, timeout=20)
    here = titin.Loader(atlas, batch_size=32, buffer_cells=1024, seed=3)
    for mine, other in zip(here, loader, strict=True):
        np.testing.assert_array_equal(mine.X.toarray(), other.X.toarray())


def test_a_server_that_names_no_state_is_asked_no_more_often(server: Any, atlas: titin.Atlas) -> None:
    server.named = False
    far = titin.open(server.url)
    np.testing.assert_array_equal(far.counts_of(atlas.var_names[3]), atlas.counts_of(atlas.var_names[3]))
    assert len(taken(server)) == 5


def test_two_that_ask_at_once_share_one_answer(server: Any, atlas: titin.Atlas) -> None:
    far, results = titin.open(server.url), []
    threads = [threading.Thread(target=lambda: results.append(far.obs)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert taken(server) == sorted([("GET", layout.MANIFEST), ("GET", atlas.layout.sample_metadata)])


def test_later_the_manifest_is_looked_at_beside_a_new_file(
    server: Any, atlas: titin.Atlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = titin.open(server.url)
    monkeypatch.setattr(opened_files, "_JUST_NOW", 0.0)
    server.asked.clear()
    assert far.obs.equals(atlas.obs)
    assert taken(server) == sorted([("GET", atlas.layout.sample_metadata), ("HEAD", layout.MANIFEST)])
    write_anew(server.folder / layout.MANIFEST)
    with pytest.raises(DatasetError, match=r"titin\.json was replaced after the dataset was opened"):
        far.var  # noqa: B018


def write_anew(path: Path) -> None:
    """The same bytes in another file."""
    path.with_suffix(".new").write_bytes(path.read_bytes())
    path.with_suffix(".new").replace(path)


@pytest.mark.parametrize("when", ["before", "between footer and pages"])
def test_a_file_that_is_replaced_is_noticed_by_the_answer(when: str, server: Any, atlas: titin.Atlas) -> None:
    far, file = titin.open(server.url), atlas.layout.expression_by_gene
    if when == "before":
        far.counts_of(atlas.var_names[3])
        write_anew(server.folder / file)
    else:
        server.after[file] = lambda: write_anew(server.folder / file)
    with pytest.raises(DatasetError, match=f"{file} was replaced after the dataset was opened"):
        far.counts_of(atlas.var_names[7])
    with pytest.raises(DatasetError, match="was replaced"):
        far.counts_of(atlas.var_names[7])


@pytest.mark.parametrize("change", [-100, 64])
@pytest.mark.parametrize("table", [True, False])
def test_a_file_of_another_size_is_none_of_this_dataset(
    change: int, table: bool, server: Any, atlas: titin.Atlas
) -> None:
    file = atlas.layout.sample_metadata if table else atlas.layout.expression_by_gene
    path = server.folder / file
    n = path.stat().st_size
    path.write_bytes((path.read_bytes() + b"\0" * 64)[: n + change])
    far = titin.open(server.url)
    with pytest.raises(DatasetError, match=rf"{file} is damaged or not of this dataset: it has {n + change:,} bytes"):
        far.counts_of(atlas.var_names[3])


def test_a_manifest_that_is_too_long_is_not_read(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MOST_TEXT", 2**20)
    (server.folder / layout.MANIFEST).write_bytes(b" " * (2**20 + 1) + b"{}")
    with pytest.raises(DatasetError, match=r"titin\.json has more than 1 MiB"):
        titin.open(server.url)
