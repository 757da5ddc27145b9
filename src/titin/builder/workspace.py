"""The folder in which a dataset comes into being, beside where it will be; and the swap that puts it there."""

import copy
import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Any

from titin.dataset import layout
from titin.dataset.arrow import sha256
from titin.dataset.manifest import write_json
from titin.dataset.replace import REPLACED, exchange, flush
from titin.errors import OutputError


class Workspace:
    """A hidden folder beside the target that holds what a build has finished so far.

    Parameters
    ----------
    target
        Where the dataset goes.
    force
        Replace a dataset that is there.
    resume
        Go on from what an interrupted build with the same fingerprint has finished.
    fingerprint
        What the steps' results depend on: source, settings, versions.

    Raises
    ------
    OutputError
        If the target may not be written, or another build is writing it.
    """

    def __init__(self, target: Path, *, force: bool, resume: bool, fingerprint: dict[str, Any]) -> None:
        self.target = target
        self.folder = target.parent / f".{target.name}.titin-build"
        self.out, self.work = self.folder / "out", self.folder / "work"
        self.published = self.resumed = resume and self._is_published(fingerprint)
        if not self.published:
            check_target(target, force=force)
        existed = self.folder.exists()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot write in {target.parent}: {error.strerror}", "choose another --output"
            ) from error
        self._lock = self._take_lock()
        try:
            self._bring_back(force)
            self._state = self._open_state(existed and resume, fingerprint)
            self.out.mkdir(exist_ok=True)
            self.work.mkdir(exist_ok=True)
        except BaseException:
            if existed:
                self._release()
            else:
                self.remove()
            raise

    def _take_lock(self) -> int:
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise OutputError(
                f"another build is writing {self.target}", "wait for it to end, or choose another --output"
            ) from None
        return lock

    def _open_state(self, resume: bool, fingerprint: dict[str, Any]) -> dict[str, Any]:
        path = self.folder / "state.json"
        if resume and path.exists():
            state = json.loads(path.read_text("utf-8"))
            different = [k for k in fingerprint if state["fingerprint"].get(k) != fingerprint[k]]
            if different:
                raise OutputError(
                    f"the unfinished build of {self.target} cannot be resumed: {', '.join(different)} changed since",
                    "build without --resume to begin again, or with the settings it was begun with",
                )
            if self._is_whole(state["steps"]):
                self.resumed = bool(state["steps"])
                return dict(state)
        for old in (self.out, self.work):
            shutil.rmtree(old, ignore_errors=True)
        state = {"fingerprint": fingerprint, "steps": {}}
        write_json(path, state)
        return state

    def _is_whole(self, steps: dict[str, Any]) -> bool:
        """Whether all that the finished steps wrote is still there: after the swap, the replaced dataset is instead."""
        files = [self.out / name for step in steps.values() for name in step.get("files", [])]
        return all(file.is_file() for file in files) and ("manifest" not in steps or _holds(self.out, steps))

    def _is_published(self, fingerprint: dict[str, Any]) -> bool:
        """Whether the interrupted build had put its dataset in place and had only to clear up."""
        try:
            state = json.loads((self.folder / "state.json").read_text("utf-8"))
        except FileNotFoundError:
            return False
        steps = state["steps"]
        return bool(state["fingerprint"] == fingerprint and not _holds(self.out, steps) and _holds(self.target, steps))

    def _bring_back(self, force: bool) -> None:
        """Undo half an exchange, where an interrupted build had to do it by two renames."""
        replaced = self.folder / REPLACED
        if replaced.exists() and not self.target.exists():
            replaced.rename(self.target)
            check_target(self.target, force=force)

    def result(self, step: str) -> Any:
        """Return a copy of what a finished step returned; None if it has not finished."""
        return copy.deepcopy(self._state["steps"].get(step))

    def record(self, step: str, result: Any) -> None:
        """Remember that a step is finished and what it returned (JSON-safe)."""
        self._state["steps"][step] = copy.deepcopy(result)
        write_json(self.folder / "state.json", self._state)

    def publish(self) -> None:
        """Put the finished dataset in the target's place in one step, and remove the workspace."""
        flush(self.out)
        if self.target.exists():
            exchange(self.out, self.target)
        else:
            self.out.rename(self.target)
        self.remove()

    def remove(self) -> None:
        """Delete the workspace, last of all what tells how far it had come."""
        for old in (self.out, self.work, self.folder):
            shutil.rmtree(old, ignore_errors=True)
        self._release()

    def _release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def close(self) -> None:
        """Leave the workspace as it is, for ``--resume``."""
        self._release()


def check_target(target: Path, *, force: bool) -> None:
    """Refuse a target that holds something, unless it is a dataset and may be replaced.

    Raises
    ------
    OutputError
    """
    if not target.exists() and not target.is_symlink():
        return
    if target.is_symlink() or not target.is_dir():
        raise OutputError(f"{target} exists and is not a folder", "choose another --output")
    if not any(target.iterdir()):
        return
    if not (target / layout.MANIFEST).is_file():
        raise OutputError(
            f"{target} holds files that are not a titin dataset; it will not be touched", "choose another --output"
        )
    if not force:
        raise OutputError(f"{target} is a dataset already", "give --force to replace it, or another --output")


def _holds(folder: Path, steps: dict[str, Any]) -> bool:
    """Whether a folder holds the dataset whose manifest the steps wrote."""
    try:
        return "manifest" in steps and sha256(folder / layout.MANIFEST) == steps["manifest"]["sha256"]
    except OSError:
        return False
