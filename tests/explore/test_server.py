"""The server gives the files of its dataset and nothing else, to those who may ask."""

import http.client
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from demo_dataset import Demo
from titin.errors import TitinError
from titin.explore.access import Access, is_loopback


def ask(server, path, method="GET", **headers):
    """Status, headers and body of an answer; the path is sent as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", int(re.search(r":(\d+)/", server.address)[1]), timeout=20)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def test_files_come_whole_and_in_parts(served, mapped: Demo) -> None:
    name = mapped.manifest.layout.sample_metadata
    content = (mapped.dataset / name).read_bytes()
    status, headers, body = ask(served, f"/data/{name}")
    assert (status, body) == (200, content)
    tag = {key.lower(): value for key, value in headers.items()}["etag"]
    for first, end in ((0, 1), (5, 500), (len(content) - 8, len(content))):
        status, headers, body = ask(served, f"/data/{name}", Range=f"bytes={first}-{end - 1}")
        found = {key.lower(): value for key, value in headers.items()}
        assert (status, body) == (206, content[first:end])
        assert (found["content-range"], found["etag"]) == (f"bytes {first}-{end - 1}/{len(content)}", tag)
    assert ask(served, f"/data/{name}", Range="bytes=-8")[2] == content[-8:]
    assert ask(served, f"/data/{name}", Range=f"bytes={len(content)}-")[0] == 416
    assert ask(served, f"/data/{name}", **{"If-None-Match": tag})[0] == 304
    assert ask(served, f"/data/{name}", **{"Range": "bytes=0-3", "If-Range": '"other"'})[0] == 200


def test_the_page_may_load_its_own_files_and_nothing_else(served) -> None:
    status, headers, body = ask(served, "/")
    found = {key.lower(): value for key, value in headers.items()}
    policy = dict(part.split(" ", 1) for part in found["content-security-policy"].split("; "))
    assert status == 200
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert not re.search(rb"https?://", body)
    assert (found["x-content-type-options"], found["referrer-policy"]) == ("nosniff", "no-referrer")


@pytest.mark.parametrize("path", [
    "/data/../titin.json", "/data/..%2f..%2fetc%2fpasswd", "/data/%2e%2e/atlas.h5ad", "/data/atlas.h5ad",
    "/data//etc/passwd", "/etc/passwd", "/../atlas.h5ad", "/data/", "/data/titin.json/", "/data/titin.json%00",
    "/bundle", "/page.py", "/index.html",
])  # fmt: skip
def test_no_path_leaves_the_dataset(served, path: str) -> None:
    assert ask(served, path)[0] == 404


def test_a_link_that_took_the_place_of_a_file_is_not_followed(served, mapped: Demo, tmp_path: Path) -> None:
    secret, name = tmp_path / "secret", "detailed_structure.json"
    secret.write_text("secret")
    file, aside = mapped.dataset / name, tmp_path / name
    file.rename(aside)
    try:
        file.symlink_to(secret)
        assert ask(served, f"/data/{name}")[0] == 404
    finally:
        file.unlink()
        aside.rename(file)
    assert ask(served, f"/data/{name}")[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1", "localhost:1", "", "127.0.0.1.evil.example"]
)
def test_a_foreign_host_is_refused(served, host: str) -> None:
    for path in ("/", "/data/titin.json"):
        status, _, body = ask(served, path, Host=host)
        assert status == 421
        assert b"titin.json" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(served, method: str) -> None:
    assert ask(served, "/data/titin.json", method)[0] == 405


def test_other_machines_need_the_token() -> None:
    access = Access("0.0.0.0", 8000)
    assert access.token is not None
    assert access.knows("machine.example:8000")
    assert not access.admits("", "")
    assert not access.admits("token=wrong", "titin_token=wrong; x=y")
    assert access.admits(f"token={access.token}", "")
    assert access.admits("", f"other=1; titin_token={access.token}")
    assert Access("127.0.0.1", 8000).token is None


@pytest.mark.parametrize(("host", "expected"), [
    ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
    ("192.168.0.7", False), ("machine.example", False), ("localhost.example", False),
])  # fmt: skip
def test_which_addresses_are_of_this_machine_alone(host: str, expected: bool) -> None:
    assert is_loopback(host) == expected


def test_a_server_for_others_gives_nothing_without_the_token(mapped: Demo) -> None:
    pytest.importorskip("starlette", reason="needs the extra explore")
    from titin.explore import ExplorerServer

    server = ExplorerServer(mapped.dataset, "0.0.0.0")
    server.start()
    try:
        assert "?token=" in server.address
        for path in ("/", "/explorer.js", "/data/titin.json"):
            assert ask(server, path)[0] == 403
        status, headers, _ = ask(server, "/" + server.address.partition("/?")[2].join(["?", ""]))
        cookie = {key.lower(): value for key, value in headers.items()}["set-cookie"]
        assert status == 200
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert ask(server, "/data/titin.json", Cookie=cookie.split(";")[0])[0] == 200
    finally:
        server.stop()


def test_the_command_prints_where_and_ends_with_ctrl_c(mapped: Demo) -> None:
    pytest.importorskip("starlette", reason="needs the extra explore")
    from titin.explore.page import BUNDLE

    if BUNDLE.parent.name != "explore":
        pytest.skip("the explorer's page is not built: python hatch_build.py")
    words = [sys.executable, "-m", "titin", "explore", str(mapped.dataset), "--no-browser", "--json"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        document = json.loads("".join(process.stdout.readline() for _ in range(4)))
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", document["address"])
        process.send_signal(2)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()


def test_a_port_that_is_taken_is_told(served, mapped: Demo) -> None:
    from titin.explore import ExplorerServer

    port = int(re.search(r":(\d+)/", served.address)[1])
    with pytest.raises(TitinError, match=f"cannot listen on 127.0.0.1:{port}"):
        ExplorerServer(mapped.dataset, port=port)


def test_a_dataset_elsewhere_is_read_through_the_server(mapped: Demo) -> None:
    pytest.importorskip("starlette", reason="needs the extra explore")
    fsspec = pytest.importorskip("fsspec")
    from titin.explore import ExplorerServer

    memory = fsspec.filesystem("memory")
    for name in (*mapped.manifest.files, "titin.json"):
        memory.pipe(f"/elsewhere/{name}", (mapped.dataset / name).read_bytes())
    server = ExplorerServer("memory://elsewhere")
    server.start()
    try:
        name = mapped.manifest.layout.expression_by_gene
        content = (mapped.dataset / name).read_bytes()
        assert ask(server, f"/data/{name}")[2] == content
        assert ask(server, f"/data/{name}", Range="bytes=7-99")[::2] == (206, content[7:100])
        assert ask(server, "/data/README.txt")[0] == 404
    finally:
        server.stop()
        memory.rm("/elsewhere", recursive=True)
