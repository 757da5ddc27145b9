"""Change a dataset where fsspec writes, so that no change is ever lost half-way.

A file of a bucket can be replaced only as a whole, and a dataset is many. So the new files are first sent beside the
old ones, under names of their own, and ``titin.upload.json`` says which will take which place. Up to there nothing has
changed for anybody. Then the manifest goes, the storage itself copies each new file to its place, and the new manifest
comes last: should that be interrupted, all that it takes lies there, and whoever comes next finishes it.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from titin.dataset import layout
from titin.dataset.manifest import Manifest
from titin.dataset.remote import UPLOAD
from titin.dataset.remote_target import RemoteTarget, UploadError, upload_document
from titin.dataset.transfer import fetched
from titin.progress import Progress
from titin.storage import given_storage_options

_STAGED = "titin.upload."  # begins the names of files that wait beside the dataset
_Files = dict[str, dict[str, Any]]


@contextmanager
def revised(
    url: str, storage_options: Mapping[str, Any] | None = None, progress: Progress | None = None
) -> Iterator[Path]:
    """Give a copy of a dataset that lies elsewhere; what has changed in it is sent back when the block ends.

    Nothing is sent if the block raises, or leaves the manifest as it was.

    Parameters
    ----------
    url
        Of the dataset.
    storage_options
        As for `titin.open`.
    progress
        Told of the bytes that come and go.

    Raises
    ------
    DatasetError, OutputError
        As `titin.dataset.transfer.fetched`.
    UploadError
        If the dataset cannot be written, or was changed meanwhile by somebody else. It is then as it was, or the next
        call finishes the change.
    """
    progress = progress or Progress()
    place = RemoteRevision(os.fspath(url), given_storage_options() | dict(storage_options or {}))
    place.finish()
    with fetched(url, storage_options, progress) as folder:
        before = (folder / layout.MANIFEST).read_bytes()
        yield folder
        if (folder / layout.MANIFEST).read_bytes() != before:
            place.revise(folder, before, progress)


class RemoteRevision(RemoteTarget):
    """A place whose dataset is to be changed; see `RemoteTarget`."""

    def revise(self, folder: Path, before: bytes, progress: Progress) -> int:
        """Bring the dataset that is there to what a changed copy of it is.

        Parameters
        ----------
        folder
            The copy, whole.
        before
            The manifest that the copy had.
        progress
            Told of the bytes that are there.

        Returns
        -------
        int
            Bytes that were sent.

        Raises
        ------
        UploadError
            As `revised`.
        """
        changed, removed = _difference(folder, before)
        token, there = secrets.token_hex(8), self._names()
        self._refuse_another(before)
        staged = {f"{_STAGED}{token}.{name}": entry for name, entry in changed.items()}
        revision = {"token": token, "files": changed, "removed": removed}
        self._abort_parts()
        self._write(UPLOAD, upload_document(token, staged, self._owned(there), revision=revision))
        progress.start(f"sending to {self.name}", sum(entry["bytes"] for entry in changed.values()), "bytes")
        for name, entry in changed.items():
            self._refuse_another(before, token)
            self._put(_staged(token, name), folder / name)
            if not self._is_same(_staged(token, name), folder / name, entry):
                raise UploadError(
                    f"{self.path(name)} is not what was sent: it was damaged on its way, or replaced",
                    "begin again; the dataset there is as it was",
                )
            progress.advance(entry["bytes"])
        self._refuse_another(before, token)
        self._settle(revision)
        progress.finish()
        return sum(entry["bytes"] for entry in changed.values())

    def finish(self) -> bool:
        """Finish a change that was interrupted after the manifest had gone; whether there was one.

        Raises
        ------
        UploadError
            If a file is missing that it takes.
        """
        there, revision = self._names(), self._revision()
        if revision is None or layout.MANIFEST in there:
            return False
        for name, entry in revision["files"].items():
            if there.get(waits := _staged(revision["token"], name)) != entry["bytes"]:
                raise UploadError(
                    f"{self.name} was being changed, and {waits} is missing of what it takes",
                    "build the dataset again, with --force",
                )
        self._settle(revision)
        return True

    def unfinished(self) -> int | None:
        """Bytes that wait beside a dataset for a change that was not finished; or as `RemoteTarget.unfinished`."""
        if self._revision() is None:
            return super().unfinished()
        return sum(n for name, n in self._names().items() if name.startswith(_STAGED))

    def clean(self) -> None:
        """Finish a change that has begun to take its place; remove what else an upload has left."""
        if self.finish():
            return
        super().clean()
        self._remove_staged()

    def _revision(self) -> dict[str, Any] | None:
        """The change that was begun, if one was; as somebody else may have written it, only of a form that we write."""
        try:
            found: dict[str, Any] = self._begun()["revision"]
            files, names = found["files"], [*found["files"], *found["removed"]]
            names.remove(layout.MANIFEST)
            good = re.fullmatch("[0-9a-f]{16}", found["token"]) is not None
            good = good and all(re.fullmatch(layout.FILE, name) for name in names)
            good = good and all(isinstance(entry["bytes"], int) for entry in files.values())
        except (KeyError, TypeError, AttributeError, ValueError):
            return None
        return found if good else None

    def _refuse_another(self, before: bytes, token: str = "") -> None:
        """Refuse if the dataset is no longer the one that was fetched, or another upload has begun."""
        try:
            same = self.mark(layout.MANIFEST)[0] == len(before) and self.read(layout.MANIFEST) == before
        except FileNotFoundError:
            same = False
        if not same:
            raise UploadError(f"{self.name} was changed meanwhile by somebody else", "begin again")
        if token and self._begun().get("id") != token:
            raise UploadError(f"another process is writing {self.name}", "wait for it to end, and begin again")

    def _settle(self, revision: Mapping[str, Any]) -> None:
        """Put every file that waits in its place; the same again where that was interrupted."""
        token, files = revision["token"], revision["files"]
        self._remove(layout.MANIFEST)
        for name in [*(name for name in files if name != layout.MANIFEST), layout.MANIFEST]:
            if name == layout.MANIFEST:
                for old in revision["removed"]:
                    self._remove(old)
            self._copy(_staged(token, name), name, files[name]["bytes"])
        self._remove_staged()
        self._remove(UPLOAD)

    def _remove_staged(self) -> None:
        """Remove what waits for its place."""
        for name in self._names():
            if name.startswith(_STAGED) and name != UPLOAD:
                self._remove(name)

    def _copy(self, name: str, to: str, n_bytes: int) -> None:
        """Have the storage copy a file."""
        self._ask(to, lambda: self._fs.cp_file(f"{self._root}/{name}", f"{self._root}/{to}"), patience=n_bytes)
        self._sizes.pop(to, None)
        if self.mark(to)[0] != n_bytes:
            raise UploadError(f"{self.path(to)} is not what {name} is", "run the command again, which finishes it")


def _difference(folder: Path, before: bytes) -> tuple[_Files, list[str]]:
    """Files of a changed dataset that are new or other than before, and names of those that it no longer has."""
    old, new = Manifest.parse(before, str(folder)).files, Manifest.read(folder).files
    keys = ("bytes", "sha256")
    changed = {name: {key: entry[key] for key in keys} for name, entry in new.items()
               if any(old.get(name, {}).get(key) != entry[key] for key in keys)}  # fmt: skip
    manifest = (folder / layout.MANIFEST).read_bytes()
    changed[layout.MANIFEST] = {"bytes": len(manifest), "sha256": hashlib.sha256(manifest).hexdigest()}
    return changed, sorted(set(old) - set(new))


def _staged(token: str, name: str) -> str:
    return f"{_STAGED}{token}.{name}"
