"""A small Hub on this machine: repositories of datasets and Spaces with branches, tags, large files, ranges, and faults
on demand."""

import base64
import hashlib
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LARGE = 10_000_000
SEGMENT = r"([^/]+/[^/]+)"
WELCOME = (".gitattributes", "README.md", "index.html", "style.css")  # what the Hub puts into a new static Space


@dataclass
class File:
    """A file of a commit."""

    data: bytes
    sha256: str | None = None  # of a large file

    @property
    def blob(self) -> str:
        """Id of the git blob; of a large file, of its pointer."""
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.data)}\n"
        content = pointer.encode() if self.sha256 else self.data
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def oid_of(file: File | None) -> str | None:
    """What tells a client whether its file is the one that is there."""
    return None if file is None else file.sha256 or file.blob


@dataclass
class Repo:
    """A repository."""

    private: bool = False
    gated: bool = False
    sdk: str | None = None  # of a Space
    commits: dict[str, dict[str, File]] = field(default_factory=lambda: {"0" * 40: {}})
    branches: dict[str, str] = field(default_factory=lambda: {"main": "0" * 40})
    tags: dict[str, str] = field(default_factory=dict)

    def resolve(self, revision: str) -> str | None:
        """Commit of a branch, tag or commit."""
        return (
            self.branches.get(revision) or self.tags.get(revision) or (revision if revision in self.commits else None)
        )

    def files(self, revision: str = "main") -> dict[str, File]:
        """Files at a revision."""
        return self.commits[self.resolve(revision) or ""]


@dataclass
class Fault:
    """What goes wrong with requests that match: an answer with a status, or a connection that is cut."""

    pattern: str
    times: int
    status: int | None = 503  # None: cut
    message: str = "boom"


@dataclass
class State:
    """All that the Hub holds and has seen."""

    repos: dict[str, Repo] = field(default_factory=dict)
    spaces: dict[str, Repo] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    uploaded: list[tuple[str, int]] = field(default_factory=list)  # large files: sha256, bytes
    sent: dict[str, int] = field(default_factory=dict)  # bytes of each file that readers got
    hold: tuple[int, threading.Event, threading.Event] | None = None  # from this upload on: reached, go on
    tokens: set[str] = field(default_factory=set)
    asked_by_pages: list[tuple[str, str | None, str | None]] = field(default_factory=list)  # path, range, token
    corrupt: str | None = None  # a file that the next commits store wrongly

    def reset(self) -> None:
        """Forget everything."""
        for repos in (self.repos, self.spaces):
            repos.clear()
        for part in (self.large, self.faults, self.requests, self.uploaded, self.sent, self.tokens,
                     self.asked_by_pages):  # fmt: skip
            part.clear()
        self.hold = self.corrupt = None

    def n_sent(self, suffix: str = "") -> int:
        """Bytes that readers got of files whose name ends so."""
        return sum(n for name, n in self.sent.items() if name.endswith(suffix))


class Handler(BaseHTTPRequestHandler):
    """Answers; `state` is set by `serve`."""

    protocol_version = "HTTP/1.1"
    state: State

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Route any request."""
        split = urllib.parse.urlsplit(self.path)
        path, body = urllib.parse.unquote(split.path), self._body()
        state = self.state
        state.requests.append((self.command, path))
        state.tokens.add(self.headers.get("Authorization", ""))
        if "Origin" in self.headers:  # a page's
            state.asked_by_pages.append((path, self.headers.get("Range"), self.headers.get("Authorization")))
        for fault in state.faults:
            if fault.times > 0 and re.search(fault.pattern, f"{self.command} {path}"):
                fault.times -= 1
                if fault.status is None:
                    self.close_connection = True
                    self.connection.close()
                    return
                self._json({"error": fault.message}, fault.status)
                return
        self.kind = "spaces" if re.match(r"(/api)?/spaces/", path) else "datasets"
        for pattern, method in ROUTES:
            if found := re.fullmatch(pattern.replace("datasets", self.kind), path):
                getattr(self, method)(body, urllib.parse.parse_qs(split.query), *found.groups())
                return
        self._json({"error": f"unhandled {self.command} {path}"}, 404)

    def do_OPTIONS(self) -> None:
        """Refuse to be asked before."""
        self.state.requests.append((self.command, self.path))
        self.send_error(405)

    do_POST = do_PUT = do_HEAD = do_GET  # noqa: N815 - names of the base class

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().strip() or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _json(self, document: Any, status: int = 200, **headers: str) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    @property
    def _base(self) -> str:
        return f"http://{self.headers['Host']}"

    def _repo(self, name: str) -> Repo | None:
        repo = (self.state.spaces if self.kind == "spaces" else self.state.repos).get(name)
        if repo is None:
            self._json({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
        return repo

    # what the client asks for

    def whoami(self, body: bytes, query: Any) -> None:
        self._json({"name": "me", "type": "user", "auth": {"accessToken": {"role": "write"}}})

    def validate_yaml(self, body: bytes, query: Any) -> None:
        self._json({"errors": [], "warnings": []})

    def create(self, body: bytes, query: Any) -> None:
        asked = json.loads(body)
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        space = asked["type"] == "space"
        answer = {"url": f"{self._base}/{'spaces' if space else 'datasets'}/{name}"}
        repos = self.state.spaces if space else self.state.repos
        if name in repos:
            self._json({"error": "exists", **answer}, 409)
            return
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        repos[name] = Repo(private)
        if space:
            repos[name].sdk = asked["sdk"]
            repos[name].files().update({file: File(b"welcome") for file in WELCOME})
        self._json(answer)

    def batch(self, body: bytes, query: Any, name: str) -> None:
        objects = []
        for asked in json.loads(body)["objects"]:
            entry = {"oid": asked["oid"], "size": asked["size"]}
            if asked["oid"] not in self.state.large:
                entry["actions"] = {"upload": {"href": f"{self._base}/_large/{asked['oid']}"},
                                    "verify": {"href": f"{self._base}/_verify"}}  # fmt: skip
            objects.append(entry)
        self._json({"transfer": "basic", "objects": objects})

    def verify(self, body: bytes, query: Any) -> None:
        self._json({})

    def large(self, body: bytes, query: Any, oid: str) -> None:
        state = self.state
        if state.hold is not None and len(state.uploaded) >= state.hold[0]:
            state.hold[1].set()
            state.hold[2].wait(60)
        if hashlib.sha256(body).hexdigest() != oid:
            self._json({"error": "checksum"}, 400)
            return
        state.large[oid] = body
        state.uploaded.append((oid, len(body)))
        self._json({})

    def preupload(self, body: bytes, query: Any, name: str, revision: str) -> None:
        repo = self._repo(name)
        if repo is None:
            return
        there = repo.files(revision)
        self._json({"files": [
            {"path": f["path"], "shouldIgnore": False, "oid": oid_of(there.get(f["path"])),
             "uploadMode": "lfs" if f["path"].endswith(".parquet") or f["size"] > LARGE else "regular"}
            for f in json.loads(body)["files"]
        ]})  # fmt: skip

    def commit(self, body: bytes, query: Any, name: str, branch: str) -> None:
        repo = self._repo(name)
        if repo is None:
            return
        lines = [json.loads(line) for line in body.splitlines()]
        parent = lines[0]["value"].get("parentCommit")
        if parent is not None and parent != repo.branches[branch]:
            self._json({"error": "the branch has moved"}, 412)
            return
        files = dict(repo.files(branch))
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = File(base64.b64decode(value["content"]))
            elif line["key"] == "lfsFile":
                files[value["path"]] = File(self.state.large[value["oid"]], value["oid"])
            elif line["key"] == "deletedFile":
                files.pop(value["path"], None)
        if self.state.corrupt in files:
            files[self.state.corrupt] = File(files[self.state.corrupt].data[::-1])
        sha = hashlib.sha1(f"{self.kind} {name} {len(repo.commits)}".encode()).hexdigest()
        repo.commits[sha], repo.branches[branch] = files, sha
        self._json({"success": True, "commitOid": sha, "commitUrl": f"{self._base}/{self.kind}/{name}/commit/{sha}"})

    def branch(self, body: bytes, query: Any, name: str, branch: str) -> None:
        repo = self._repo(name)
        if repo is None:
            return
        if branch in repo.branches:
            self._json({"error": "exists"}, 409)
            return
        repo.branches[branch] = repo.branches["main"]
        self._json({})

    def tag(self, body: bytes, query: Any, name: str, revision: str) -> None:
        repo = self._repo(name)
        if repo is not None:
            repo.tags[json.loads(body)["tag"]] = repo.resolve(revision) or ""
            self._json({})

    def refs(self, body: bytes, query: Any, name: str) -> None:
        repo = self._repo(name)
        if repo is not None:
            kinds = {"branches": ("heads", repo.branches), "tags": ("tags", repo.tags)}
            self._json({"converts": [], **{
                kind: [{"name": n, "ref": f"refs/{place}/{n}", "targetCommit": sha} for n, sha in known.items()]
                for kind, (place, known) in kinds.items()
            }})  # fmt: skip

    def commits(self, body: bytes, query: Any, name: str, revision: str) -> None:
        repo = self._repo(name)
        if repo is not None:
            when = "2026-01-01T00:00:00.000Z"
            self._json([{"id": sha, "authors": [], "date": when, "title": "", "message": ""} for sha in repo.commits])

    def _entry(self, path: str, file: File) -> dict[str, Any]:
        entry: dict[str, Any] = {"type": "file", "path": path, "size": len(file.data), "oid": file.blob}
        if file.sha256:
            entry["lfs"] = {"oid": file.sha256, "size": len(file.data), "pointerSize": 134}
        return entry

    def tree(self, body: bytes, query: Any, name: str, revision: str, folder: str | None) -> None:
        repo = self._repo(name)
        if repo is None or not self._known(repo, revision):
            return
        files = repo.files(revision)
        if folder and not any(path.startswith(f"{folder}/") for path in files):
            self._json({"error": "no such folder"}, 404, X_Error_Code="EntryNotFound")
            return
        self._json([self._entry(path, f) for path, f in files.items() if not folder or path.startswith(f"{folder}/")])

    def paths_info(self, body: bytes, query: Any, name: str, revision: str) -> None:
        repo = self._repo(name)
        if repo is None or not self._known(repo, revision):
            return
        asked = json.loads(body)["paths"] if body[:1] == b"{" else urllib.parse.parse_qs(body.decode())["paths"]
        paths = [asked] if isinstance(asked, str) else asked
        files = repo.files(revision)
        self._json([self._entry(path, files[path]) for path in paths if path in files])

    def _known(self, repo: Repo, revision: str) -> bool:
        if repo.resolve(revision) is None:
            self._json({"error": "no such revision"}, 404, X_Error_Code="RevisionNotFound")
            return False
        return True

    def info(self, body: bytes, query: Any, name: str, revision: str | None = None) -> None:
        repo = self._repo(name)
        if repo is None or not self._known(repo, revision or "main"):
            return
        files = repo.files(revision or "main")
        self._json({
            "_id": "1", "id": name, "sha": repo.resolve(revision or "main"), "private": repo.private, "disabled": False,
            "gated": repo.gated and "auto", "sdk": repo.sdk, "tags": [], "downloads": 0, "likes": 0,
            "siblings": [{"rfilename": path, "size": len(f.data)} for path, f in files.items()],
        })  # fmt: skip

    def resolve(self, body: bytes, query: Any, name: str, revision: str, path: str) -> None:
        repo = self._repo(name)
        if repo is None or not self._known(repo, revision):
            return
        sha, file = repo.resolve(revision) or "", repo.files(revision).get(path)
        if file is None:
            self._json({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound", X_Repo_Commit=sha)
            return
        data, status, headers = file.data, 200, {}
        asked = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked and self.command == "GET":
            first, last = int(asked[1]), min(int(asked[2] or len(data) - 1), len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data, status = data[first : last + 1], 206
        self.send_response(status)
        headers |= {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Content-Range, ETag"}
        headers |= {"ETag": f'"{file.sha256 or file.blob}"', "X-Repo-Commit": sha, "Accept-Ranges": "bytes",
                    "Content-Length": str(len(data))}  # fmt: skip
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.state.sent[path] = self.state.sent.get(path, 0) + len(data)
            self.wfile.write(data)


ROUTES = [
    (r"/api/whoami-v2", "whoami"),
    (r"/api/validate-yaml", "validate_yaml"),
    (r"/api/repos/create", "create"),
    (rf"/datasets/{SEGMENT}\.git/info/lfs/objects/batch", "batch"),
    (r"/_verify", "verify"),
    (r"/_large/(\w+)", "large"),
    (rf"/api/datasets/{SEGMENT}/preupload/([^/]+)", "preupload"),
    (rf"/api/datasets/{SEGMENT}/commit/([^/]+)", "commit"),
    (rf"/api/datasets/{SEGMENT}/branch/([^/]+)", "branch"),
    (rf"/api/datasets/{SEGMENT}/tag/([^/]+)", "tag"),
    (rf"/api/datasets/{SEGMENT}/refs", "refs"),
    (rf"/api/datasets/{SEGMENT}/commits/([^/]+)", "commits"),
    (rf"/api/datasets/{SEGMENT}/tree/([^/]+)(?:/(.*))?", "tree"),
    (rf"/api/datasets/{SEGMENT}/paths-info/([^/]+)", "paths_info"),
    (rf"/api/datasets/{SEGMENT}/revision/([^/]+)", "info"),
    (rf"/api/datasets/{SEGMENT}", "info"),
    (rf"/datasets/{SEGMENT}/resolve/([^/]+)/(.*)", "resolve"),
]


@contextmanager
def serve() -> Iterator[tuple[str, State]]:
    """Run a Hub; yields its address, and what it holds."""
    state = State()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"state": state}))
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign] - a client that was killed is no error
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", state
    finally:
        server.shutdown()
        server.server_close()
