"""The server of one dataset: the page, and its files in parts."""

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titin.dataset import layout
from titin.dataset.folder import DatasetFolder, LocalFolder, Mark
from titin.dataset.manifest import Manifest
from titin.dataset.own_files import check_files
from titin.dataset.places import find_place, read_remote_manifest
from titin.errors import TitinError
from titin.explore import comparing, page
from titin.explore.access import COOKIE, Access, is_wildcard
from titin.explore.ranges import UnsatisfiableRangeError, read_range
from titin.extras import check_installed

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_PIECE = 2**20  # bytes of a file in memory at once
_HEADERS = {
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache",
    "Cross-Origin-Resource-Policy": "same-origin",
}  # fmt: skip
# notebooks of this machine show the page in a frame
_FRAMES = "frame-ancestors 'self' http://localhost:* http://127.0.0.1:* vscode-webview:"


class ExplorerServer:
    """Serves the explorer of one dataset: its files, comparisons of its cells, and results that lie beside it.

    Nothing else can be asked for.

    Parameters
    ----------
    dataset
        A folder, or a URL as `titin.open` takes it.
    host
        Address to listen on. Where other machines can reach it, requests need the token that is part of `address`.
    port
        Port; 0 chooses a free one.

    Attributes
    ----------
    address
        What a browser opens.

    Raises
    ------
    TitinError
        If a package is missing, the page is not built, or the address cannot be listened on.
    DatasetError
        If there is no dataset.
    """

    def __init__(self, dataset: Path | str, host: str = "127.0.0.1", port: int = 0) -> None:
        for package in ("starlette", "uvicorn"):
            check_installed(package, "the explorer")
        page.check_built()
        self.name = str(dataset)
        self.place = find_place(dataset)
        self.manifest = _read_manifest(self.place)
        self._files = {layout.MANIFEST, *self.manifest.files}
        self._marks: dict[str, Mark] = {}
        self._comparer = comparing.SelectionComparer(dataset, self.manifest)
        self._socket = _listen(host, port)
        found = self._socket.getsockname()
        self.access = Access(host, found[1])
        name = socket.gethostname() if is_wildcard(host) else host
        shown = f"[{name}]" if ":" in name else name
        query = f"?token={self.access.token}" if self.access.token else ""
        self.address = f"http://{shown}:{found[1]}/{query}"
        self._server: Any = None

    def app(self) -> "Starlette":
        """Make the application, which needs no socket."""
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.routing import Route

        routes = [
            Route("/", self._index), Route("/data/{name}", self._data), Route(f"/{page.RESULTS}", self._results),
            Route("/{name}", self._page_file),
            Route(f"/{comparing.PATH}", self._compare, methods=["POST"]),
        ]  # fmt: skip
        app = Starlette(routes=routes, middleware=[Middleware(_Guard, access=self.access)])
        app.router.redirect_slashes = False
        return app

    def run(self) -> None:
        """Answer until `stop`, or until Ctrl-C."""
        import uvicorn

        config = uvicorn.Config(self.app(), log_level="critical", access_log=False, lifespan="off", server_header=False)
        self._server = uvicorn.Server(config)
        self._server.run(sockets=[self._socket])

    def start(self) -> None:
        """Answer on a thread of its own; return when the server does."""
        threading.Thread(target=self.run, daemon=True, name="titin-explorer").start()
        until = time.monotonic() + 30
        while self._server is None or not self._server.started:
            if time.monotonic() > until:
                raise TitinError("the explorer's server does not start", "see the messages above")
            time.sleep(0.01)

    def stop(self) -> None:
        """End the server that `start` has started."""
        if self._server is not None:
            self._server.should_exit = True

    def _index(self, _: "Request") -> "Response":
        from starlette.responses import HTMLResponse

        policy = f"{page.policy('data/')}; {_FRAMES}"
        index = page.make_index(self.manifest, "data/", self.name, compare=comparing.PATH,
                                results=page.RESULTS if isinstance(self.place, LocalFolder) else "")  # fmt: skip
        return HTMLResponse(index, headers={**_HEADERS, "Content-Security-Policy": policy})

    def _results(self, _: "Request") -> "Response":
        from starlette.responses import JSONResponse, Response

        if not isinstance(self.place, LocalFolder):
            return Response(status_code=404, headers=_HEADERS)
        from titin.explore.results import collect_results

        return JSONResponse(collect_results(self.place.folder), headers=_HEADERS)

    async def _compare(self, request: "Request") -> "Response":
        return await self._comparer.answer(request, _HEADERS)

    def _page_file(self, request: "Request") -> "Response":
        from starlette.responses import Response

        name = request.path_params["name"]
        if name not in page.FILES:
            return Response(status_code=404, headers=_HEADERS)
        content = page.read_file(name)
        return _unchanged(request, _tag(content)) or Response(
            content, media_type=page.FILES[name], headers={**_HEADERS, "ETag": _tag(content)}
        )

    def _data(self, request: "Request") -> "Response":
        from starlette.responses import Response, StreamingResponse

        name = request.path_params["name"]
        if name not in self._files:
            return Response(status_code=404, headers=_HEADERS)
        try:
            mark = self._mark(name)
        except (OSError, TitinError):
            return Response(status_code=404, headers=_HEADERS)
        size, tag = int(mark[0]), _tag(repr(mark).encode())
        headers = {**_HEADERS, "ETag": tag, "Accept-Ranges": "bytes"}
        if unchanged := _unchanged(request, tag):
            return unchanged
        asked = request.headers.get("range") if request.headers.get("if-range", tag) == tag else None
        try:
            part = read_range(asked, size)
        except UnsatisfiableRangeError:
            return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
        first, end = part or (0, size)
        headers["Content-Length"] = str(end - first)
        if part is not None:
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
        pieces, status = _pieces(self.place, name, first, end, mark), 200 if part is None else 206
        if end - first <= _PIECE:
            try:
                return Response(b"".join(pieces), status, headers, "application/octet-stream")
            except (OSError, TitinError):
                return Response(status_code=404, headers=_HEADERS)
        return StreamingResponse(pieces, status, headers, "application/octet-stream")

    def _mark(self, name: str) -> Mark:
        """What tells this state of a file; far away, where asking costs a round trip, that of the first request."""
        if isinstance(self.place, LocalFolder):
            check_files(self.place.folder, [name])  # a link may have taken its place meanwhile
            return self.place.mark(name)
        if name not in self._marks:
            self._marks[name] = self.place.mark(name)
        return self._marks[name]


def _read_manifest(place: DatasetFolder) -> Manifest:
    return Manifest.read(place.folder) if isinstance(place, LocalFolder) else read_remote_manifest(place)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or error
        hint = "give another --port, or another --host"
        raise TitinError(f"cannot listen on {host}:{port}: {reason}", hint) from error
    return listening


def _pieces(place: DatasetFolder, name: str, first: int, end: int, mark: Mark) -> Iterator[bytes]:
    """Read a part of a file; it breaks off where the file is replaced meanwhile, so that no answer mixes two."""
    while first < end:
        piece = place.read_range(name, first, min(_PIECE, end - first))
        if not piece or (not place.remote and place.mark(name) != mark):
            raise OSError(f"{name} was replaced or cut off while it was read")
        first += len(piece)
        yield bytes(piece)


def _tag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:24]}"'


def _unchanged(request: "Request", tag: str) -> "Response | None":
    from starlette.responses import Response

    known = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
    return Response(status_code=304, headers={**_HEADERS, "ETag": tag}) if tag in known else None


class _Guard:
    """Refuses requests by a foreign name, or without the token where one is needed, before anything is looked up."""

    def __init__(self, app: Any, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from starlette.requests import Request
        from starlette.responses import PlainTextResponse

        request, access = Request(scope), self._access
        if not access.knows(request.headers.get("host", "")):
            refusal = PlainTextResponse("This server is not known by that name.\n", 421, _HEADERS)
            await refusal(scope, receive, send)
        elif not access.admits(request.url.query, request.headers.get("cookie", "")):
            refusal = PlainTextResponse("Open the address that titin explore has printed.\n", 403, _HEADERS)
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, self._with_cookie(send) if "token" in request.query_params else send)

    def _with_cookie(self, send: Any) -> Any:
        """Let the browser keep the token that it came with."""
        cookie = f"{COOKIE}={self._access.token}; HttpOnly; Path=/; SameSite=Strict"

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start" and self._access.token is not None:
                message["headers"] = [*message["headers"], (b"set-cookie", cookie.encode())]
            await send(message)

        return sending
