"""A real S3 server, moto's, behind a proxy that counts what passes and lets things go wrong."""

import http.client
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "content-length"}


@dataclass
class Fault:
    """What goes wrong with requests that match: a status, ``cut`` (within the body), ``reset`` or ``slow``."""

    what: str
    pattern: str = ""
    times: int = 10**9
    reached: threading.Event = field(default_factory=threading.Event)
    seconds: float = 0.3


@dataclass
class Server:
    """What a test sees of it.

    Attributes
    ----------
    endpoint
        Of the proxy.
    requests
        Method, path with its query, and bytes of the answer's body, of each that has passed.
    faults
        The first that matches counts.
    """

    endpoint: str
    upstream: tuple[str, int]
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def options(self) -> dict[str, Any]:
        """For `titin.open`."""
        return {"endpoint": self.endpoint, "key": "testing-key", "secret": "testing-secret"}

    @property
    def n_bytes(self) -> int:
        """Of all answers."""
        return sum(n for _, _, n in self.requests)

    def reset(self) -> None:
        """Forget what has passed, and let nothing more go wrong."""
        self.requests.clear()
        self.faults.clear()

    def fault(self, request: str) -> Fault | None:
        """What goes wrong with a request."""
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, request):
                    fault.times -= 1
                    fault.reached.set()
                    return fault
        return None


class Proxy(BaseHTTPRequestHandler):
    """Hands requests on; `server_state` is set by `serve_s3`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: Server

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.state.fault(f"{self.command} {self.path}")
        what = fault.what if fault else ""
        if what == "reset":
            self.close_connection = True
            self.connection.close()
            return
        if what.isdigit():
            self._answer(int(what), {"Content-Type": "application/xml"}, b"<Error><Code>SlowDown</Code></Error>")
            return
        if fault is not None and what == "slow":
            time.sleep(fault.seconds)
        upstream = http.client.HTTPConnection(*self.state.upstream)
        try:
            headers = {key: value for key, value in self.headers.items() if key.lower() not in HOP}
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            data = answer.read()
            own = {key: value for key, value in answer.getheaders() if key.lower() not in HOP}
            if self.command == "HEAD":
                own["Content-Length"] = answer.headers.get("Content-Length") or "0"
            with self.state.lock:
                self.state.requests.append((self.command, self.path, len(data)))
            self._answer(answer.status, own, data, cut=what == "cut")
        except OSError:  # who asked was killed, or the server has gone meanwhile
            self.close_connection = True
        finally:
            upstream.close()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - names of the base class

    def _answer(self, status: int, headers: dict[str, str], data: bytes, *, cut: bool = False) -> None:
        self.send_response_only(status)
        for key, value in ({"Content-Length": str(len(data))} | headers).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self.close_connection = True
            self.connection.close()


@contextmanager
def serve_s3() -> Iterator[Server]:
    """Start the server and its proxy on free ports of this machine; the environment is as clients need it meanwhile."""
    from moto.server import ThreadedMotoServer

    behind = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    behind.start()
    host, port = behind.get_host_and_port()
    connection = http.client.HTTPConnection(host, port)
    connection.request("POST", "/moto-api/reset")  # all servers of a process hold the same
    connection.getresponse().read()
    connection.close()
    handler = type("Handler", (Proxy,), {})
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.state = Server(f"http://127.0.0.1:{proxy.server_address[1]}", (host, port))
    threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        try:
            yield handler.state
        finally:
            proxy.shutdown()
            proxy.server_close()
            behind.stop()


def s3_of(server: Server) -> Any:
    """The server as s3fs sees it, without anything kept."""
    import s3fs

    return s3fs.S3FileSystem(endpoint_url=server.endpoint, key="testing-key", secret="testing-secret",
                             use_listings_cache=False)  # fmt: skip
