"""A window of a real browser on the explorer, and static hosts of several habits."""

import contextlib
import re
import shutil
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-gpu-compositing",  # there is no card: what draws the map shall not put the page together as well
]  # fmt: skip
NARROW_AND_WIDE = [{"width": 360, "height": 700}, {"width": 1200, "height": 800}]
_OF_THE_DRIVER = "GL Driver Message"  # that it draws slowly, without a card
AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"


class Window:
    """One page, with all that it asked for and said."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.requests: list[str] = []
        self.said: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", self._dismiss)

    def _hear(self, message: Any) -> None:
        if _OF_THE_DRIVER not in message.text:
            self.said.append(message.text)

    def _dismiss(self, dialog: Any) -> None:
        self.said.append(dialog.message)
        dialog.dismiss()

    def open(self, address: str) -> "Window":
        """Show a page, and wait for all cells."""
        self.page.goto(address)
        self.until("window.titin !== undefined")
        # the browser was seen to drop what waits long for a promise: it is asked for when it is settled
        self.run("() => { const done = () => { window.settled = true; }; titin.complete.then(done, done); }")
        self.until("window.settled === true", seconds=60)
        self.run("titin.complete")
        return self

    def run(self, script: str, argument: Any = None) -> Any:
        """What an expression gives, awaited."""
        return self.page.evaluate(script, argument)

    def until(self, script: str, argument: Any = None, seconds: float = 15) -> None:
        """Wait until the sheet is drawn and an expression holds: a sheet that is about to go may hold it as well.

        The policy of the page forbids the ways in which playwright itself waits.
        """
        end = time.monotonic() + seconds
        while self.run("document.querySelector('#sheet[aria-busy]') !== null") or not self.run(script, argument):
            assert time.monotonic() < end, f"{script} does not become true of {argument}"
            time.sleep(0.02)

    def values(self) -> list[float]:
        """Values that the map is coloured by, by position of the cell."""
        found: list[float] = self.run("Array.from(titin.values())")
        return found

    def foreign(self, address: str) -> list[str]:
        """What was asked for of others than the server of the page."""
        own = re.match(r"https?://[^/]+/", address)
        assert own is not None, f"{address} is no address of a server"
        return [url for url in self.requests if not url.startswith((own[0], "data:", "blob:"))]

    def message(self) -> str:
        """The message that the page shows, once it shows one."""
        self.page.wait_for_selector("#message:not([hidden])", timeout=15_000)
        return str(self.page.inner_text("#message"))

    def fits(self, size: dict[str, int]) -> bool:
        """Whether nothing is wider than a window of this size, once the page is drawn in it."""
        self.page.set_viewport_size(size)
        self.boxes("html")
        return int(self.run("document.documentElement.scrollWidth")) <= size["width"]

    def inaccessible(self) -> list[str]:
        """What axe finds wrong with the page as it is now, each with the first element; where axe is not, nothing."""
        if not AXE.is_file():
            return []
        if not self.run("'axe' in window"):
            self.run(AXE.read_text("utf-8"))
        found: list[str] = self.run("""axe.run(document, {resultTypes: ['violations'], preload: false}).then(
            found => found.violations.map(one => `${one.id}: ${one.nodes[0].html}`))""")
        return found

    def boxes(self, selector: str) -> list[dict[str, float]]:
        """Where elements lie, all at one moment, after what is asked for has been drawn."""
        found: list[dict[str, float]] = self.run(
            """selector => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => {
            done([...document.querySelectorAll(selector)].map(one => one.getBoundingClientRect().toJSON()));
        })))""",
            selector,
        )
        return found

    def drawn(self) -> int:
        """How many pixels of the map are coloured, as soon as it is drawn twice alike: its place may still change."""
        end, before, now = time.monotonic() + 15, -1, self._drawn()
        while now != before:
            assert time.monotonic() < end, f"the map does not come to rest: {before}, then {now} pixels"
            before, now = now, self._drawn()
        return now

    def _drawn(self) -> int:
        found: int = self.run("""() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => {
            const canvas = document.querySelector("#map canvas");
            const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
            dispatchEvent(new Event("resize"));
            titin.redraw();
            copy.drawImage(canvas, 0, 0);
            const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
            let n = 0;
            for (let i = 3; i < data.length; i += 4) if (data[i]) n += 1;
            done(n);
        })))""")
        return found


def names_of(code: str, folder: Path) -> dict[str, Any]:
    """What Python that was copied has made, run in a folder with nothing but itself."""
    names: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.chdir(folder):
        exec(compile(code, "copied", "exec"), names)
    return names


class Host(ThreadingHTTPServer):
    """A server that says nothing of a browser that goes away in the middle of an answer."""

    def handle_error(self, *_: Any) -> None:
        """Say nothing."""


class Static(SimpleHTTPRequestHandler):
    """A plain server of files; ``ranges`` answers parts of them, ``preflights`` answers OPTIONS."""

    ranges, origins = True, False

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def end_headers(self) -> None:
        """Let other origins read, where that is so."""
        if self.origins:
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Access-Control-Expose-Headers", "Content-Range, ETag")
        super().end_headers()

    def do_OPTIONS(self) -> None:
        """Refuse, as some hosts do."""
        self.send_error(405)

    def do_GET(self) -> None:
        """Answer a file, or one part of it."""
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if not (self.ranges and found and path.is_file()):
            super().do_GET()
            return
        content = path.read_bytes()
        first, last = int(found[1]), min(int(found[2]), len(content) - 1)
        if first > last:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.end_headers()
            return
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        self.wfile.write(content[first : last + 1])


@contextlib.contextmanager
def static_host(folder: Path, **habits: bool) -> Iterator[str]:
    """The address of a server of a folder."""
    handler = type("Habits", (Static,), habits)
    server = Host(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
