"""A dataset written where fsspec writes: file by file, each verified, and its manifest last.

What has no manifest is no dataset. So there is nothing to open until all of it is there, and nothing while a dataset is
replaced: its manifest goes first, and the new one comes last. A file ``titin.upload.json`` says what is on its way, and
goes when all is done; where it lies without a manifest, an upload has not been finished.
"""

import contextlib
import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from titin.dataset import layout
from titin.dataset.checksums import sha256
from titin.dataset.places import read_remote_manifest
from titin.dataset.remote import OBJECTS, UPLOAD, RemoteFolder
from titin.dataset.strict_json import parse_json
from titin.errors import OutputError, TitinError
from titin.files import MOST_TEXT
from titin.progress import Progress

_PART = 16 << 20  # bytes of one part of a large file
_PARTS_AT_ONCE = 4
_PIECE = 8 << 20  # bytes read back at once
_READ_ONLY = {"http": "a web server", "https": "a web server"}


class UploadError(OutputError):
    """A dataset is whole on this machine, and could not be brought to where it is to lie; doing it again may help."""


class RemoteTarget(RemoteFolder):
    """A place to write a dataset to, by its URL.

    Parameters
    ----------
    url
        Where; of a kind of storage that can be written.
    options
        What its storage is to be told: see `titin.storage`.

    Raises
    ------
    OutputError
        If datasets are not written there.
    TitinError
        As `titin.dataset.remote.RemoteFolder`.
    """

    _refusal, _act, _acting, _settled = UploadError, "written", "writing", False

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        protocol = url.partition("://")[0]
        if protocol == "hf":
            raise OutputError("a dataset goes to the Hub by `titin publish`", "build it into a folder first")
        if protocol in _READ_ONLY:
            raise OutputError(f"{url} is of {_READ_ONLY[protocol]}, which is only read", "give a folder, or s3://…")
        super().__init__(url, options)

    @property
    def last_name(self) -> str:
        """Last part of the URL."""
        return self.name.rpartition("/")[2] or "dataset"

    def check(self, *, force: bool, resume: bool) -> None:
        """Refuse a place that holds something, unless it is a dataset, or part of one, that may be replaced.

        Parameters
        ----------
        force
            Replace a dataset, or what an upload that was not finished has left.
        resume
            Go on from such an upload.

        Raises
        ------
        OutputError
        """
        names = self._names()
        if layout.MANIFEST in names:
            if not force and not (resume and UPLOAD in names):
                raise OutputError(
                    f"{self.name} is a dataset already", "give --force to replace it, or another --output"
                )
        elif UPLOAD in names:
            if not (force or resume):
                raise OutputError(
                    f"{self.name} holds an upload that was not finished",
                    "give --resume to go on with it, --force to begin again, or another --output",
                )
        elif names:
            raise OutputError(
                f"{self.name} holds files that are not a titin dataset; it will not be touched",
                "choose another --output",
            )

    def send(self, folder: Path, progress: Progress) -> int:
        """Put all files of a dataset there, what is there already left as it is; the manifest last.

        Parameters
        ----------
        folder
            The dataset, whole.
        progress
            Told of the bytes that are there.

        Returns
        -------
        int
            Bytes that were sent.

        Raises
        ------
        UploadError
            If a file cannot be written, or is not there as it was sent. There is then no dataset, and the next call
            goes on.
        """
        there = self._names()
        earlier = self._owned(there)
        own: dict[str, dict[str, Any]] = {
            path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in sorted(folder.iterdir())
        }  # fmt: skip
        token = secrets.token_hex(8)
        self._abort_parts()
        self._write(UPLOAD, upload_document(token, own, earlier))
        if layout.MANIFEST in there:
            self._remove(layout.MANIFEST)
        progress.start(f"sending to {self.name}", sum(entry["bytes"] for entry in own.values()), "bytes")
        sent = 0
        for name in [*(name for name in own if name != layout.MANIFEST), layout.MANIFEST]:
            known = there.get(name) if name != layout.MANIFEST else None
            if known is None or not self._is_same(name, folder / name, own[name]):
                if self._begun().get("id") != token:
                    raise UploadError(f"another process is writing {self.name}", "wait for it to end, and begin again")
                self._put(name, folder / name)
                sent += own[name]["bytes"]
                if not self._is_same(name, folder / name, own[name]):
                    raise UploadError(
                        f"{self.path(name)} is not what was sent: it was damaged on its way, or replaced",
                        "give --resume to send it again",
                    )
            progress.advance(own[name]["bytes"])
        for name in sorted((earlier & set(there)) - set(own)):
            self._remove(name)
        self._remove(UPLOAD)
        progress.finish()
        return sent

    def unfinished(self) -> int | None:
        """Bytes that an upload has left that was not finished; None where there is none."""
        names = self._names()
        if UPLOAD not in names:
            return None
        own = self._owned(names) if layout.MANIFEST not in names else set()
        return sum(names[name] for name in {UPLOAD, *own} & set(names))

    def clean(self) -> None:
        """Remove what `unfinished` tells of, and nothing else."""
        names = self._names()
        if UPLOAD not in names:
            return
        self._abort_parts()
        if layout.MANIFEST not in names:
            for name in sorted(self._owned(names)):
                self._remove(name)
            self._remove(UPLOAD)
            return
        manifest = read_remote_manifest(self)
        kept = {*manifest.files, *manifest.layout.documents, layout.MANIFEST}
        for name in sorted((set(self._begun().get("earlier", ())) & set(names)) - kept):
            self._remove(name)
        self._remove(UPLOAD)

    def _owned(self, names: Iterable[str]) -> set[str]:
        """Files that are there and of a dataset: its manifest, or the upload that was begun, says so."""
        there, owned = set(names), set()
        if UPLOAD in there:
            begun = self._begun()
            owned |= {*begun.get("files", {}), *begun.get("earlier", ())}
        if layout.MANIFEST in there:
            document = self._document(layout.MANIFEST)
            owned |= {
                layout.MANIFEST,
                *document.get("files", {}),
                *layout.Layout(str(document.get("prefix"))).documents,
            }
        return owned & there

    def _begun(self) -> dict[str, Any]:
        return self._document(UPLOAD)

    def _document(self, name: str) -> dict[str, Any]:
        """A JSON object that is there; an empty one where what is there is none, or nothing is."""
        try:
            if self.mark(name)[0] > MOST_TEXT:
                return {}
            document = parse_json(self.read(name))
        except (FileNotFoundError, ValueError):
            return {}
        whole = isinstance(document, dict) and isinstance(document.get("files", {}), dict)
        return document if whole and isinstance(document.get("earlier", []), list) else {}

    def _names(self) -> dict[str, int]:
        """Sizes of what is there, by name; a folder has none.

        Raises
        ------
        UploadError
            If there is no such bucket, or it may not be listed.
        """

        def entries() -> list[dict[str, Any]]:
            self._fs.invalidate_cache()
            return list(self._fs.ls(self._root, detail=True))

        try:
            found = self._ask("", entries)
        except FileNotFoundError:
            why, hint = super().explain_absence()
            if why:
                raise OutputError(f"{self.name} cannot be written: {why}", hint) from None
            return {}
        root = self._root.strip("/")
        named = {str(entry["name"]).strip("/").removeprefix(root).strip("/"): int(entry.get("size") or 0)
                 for entry in found}  # fmt: skip
        return {name: n for name, n in named.items() if name}  # some storages list the folder itself

    def _put(self, name: str, path: Path) -> None:
        """Send a file: a large one in parts, where the storage has them."""
        more = {"chunksize": _PART, "max_concurrency": _PARTS_AT_ONCE} if self._protocol in ("s3", "s3a") else {}

        def put() -> None:
            self._fs.makedirs(self._root, exist_ok=True) if self._protocol not in OBJECTS else None
            self._fs.put_file(str(path), f"{self._root}/{name}", **more)

        self._deliver(name, put, path.stat().st_size)
        self._sizes.pop(name, None)

    def _write(self, name: str, data: bytes) -> None:
        def pipe() -> None:
            self._fs.makedirs(self._root, exist_ok=True) if self._protocol not in OBJECTS else None
            self._fs.pipe_file(f"{self._root}/{name}", data)

        self._deliver(name, pipe, len(data))
        self._sizes.pop(name, None)

    def _deliver(self, name: str, action: Callable[[], None], n_bytes: int) -> None:
        """Write a file; storages say of a place that they cannot have that it is not there."""
        try:
            self._ask(name, action, patience=n_bytes)
        except FileNotFoundError:
            why, hint = super().explain_absence()
            raise UploadError(
                f"{self.path(name)} cannot be written: {why or 'the storage can have no such file'}",
                hint or "check the URL, and how long it is",
            ) from None

    def _remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._ask(name, lambda: self._fs.rm_file(f"{self._root}/{name}"))
        self._sizes.pop(name, None)

    def _is_same(self, name: str, path: Path, told: Mapping[str, Any]) -> bool:
        """Whether a file there is one of this machine: by the checksum that the storage tells, else by reading it."""
        try:
            found = self._ask(name, lambda: self._fs.info(f"{self._root}/{name}"))
        except FileNotFoundError:
            return False
        if found.get("size") != told["bytes"]:
            return False
        if str(found.get("ETag", "")).strip('"') in _etags(path):
            return True
        self._sizes[name] = told["bytes"]
        digest = hashlib.sha256()
        for offset in range(0, told["bytes"], _PIECE):
            digest.update(self.read_range(name, offset, _PIECE))
        return bool(digest.hexdigest() == told["sha256"])

    def _abort_parts(self) -> None:
        """Have S3 forget the parts of files that killed uploads to this place have left, which are paid for."""
        if self._protocol not in ("s3", "s3a"):
            return
        bucket, _, prefix = self._root.partition("/")
        call = self._fs.call_s3
        with contextlib.suppress(TitinError, FileNotFoundError):  # not every server knows of them
            of = {"Bucket": bucket, "Prefix": f"{prefix}/"}
            found = self._ask("", lambda: call("list_multipart_uploads", **of))
            for one in found.get("Uploads") or ():
                part = {"Bucket": bucket, "Key": one["Key"], "UploadId": one["UploadId"]}
                self._ask("", partial(call, "abort_multipart_upload", **part))


def upload_document(token: str, files: Mapping[str, Any], earlier: Iterable[str], **more: Any) -> bytes:
    """What says that an upload is on its way: the files that come, and those of the dataset that is there."""
    document = {"what": "an upload of a titin dataset, unless titin.json lies beside it", "id": token,
                "files": dict(files), "earlier": sorted(earlier), **more}  # fmt: skip
    return json.dumps(document, indent=2).encode()


def _etags(path: Path) -> set[str]:
    """What S3 calls a file that was sent whole, or in parts as `RemoteTarget` sends it; where it is not encrypted."""
    whole, parts = hashlib.md5(usedforsecurity=False), []
    with path.open("rb") as file:
        while piece := file.read(_PART):
            whole.update(piece)
            parts.append(hashlib.md5(piece, usedforsecurity=False).digest())
    together = hashlib.md5(b"".join(parts), usedforsecurity=False).hexdigest()
    return {whole.hexdigest(), f"{together}-{len(parts)}"}
