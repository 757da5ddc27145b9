"""The folder in which a dataset comes into being, beside where it will be; and the swap that puts it there."""

import copy
import fcntl
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from titin.dataset import layout
from titin.dataset.checksums import checksum_file
from titin.dataset.leftovers import BUILD, LOCK, bring_back, dismantle, open_lock, own_folder
from titin.dataset.swap import flush, put, write_json
from titin.disk import DiskError, disk_error
from titin.errors import OutputError
from titin.files import read_text

_STATE = "state.json"


class Workspace:
    """A hidden folder beside the target that holds what a build has finished so far.

    After each step it remembers which files the build needs to go on from there, with a checksum, once they are on the
    disk. A resumed build goes on from the last step of which all are as they were.

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

    Attributes
    ----------
    out, work
        Folders of the dataset's files and of intermediate ones.
    resumed
        Whether there was something to go on from.
    lost
        Steps that had been finished and must be done again, as their files are not as they were.
    published
        Whether the interrupted build had put its dataset in place and had only to clear up.

    Raises
    ------
    OutputError
        If the target may not be written, or another build is writing it.
    """

    def __init__(self, target: Path, *, force: bool, resume: bool, fingerprint: dict[str, Any]) -> None:
        self.target = target
        self.folder = _folder_of(target)
        self.out, self.work = self.folder / "out", self.folder / "work"
        self.lost: list[str] = []
        existed = os.path.lexists(self.folder)
        if existed:
            own_folder(self.folder)
        self.published = self.resumed = resume and self._is_published(fingerprint)
        if not self.published:
            check_target(target, force=force)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            own_folder(self.folder)
        except OSError as error:
            raise OutputError(
                f"cannot write in {target.parent}: {error.strerror}", "choose another --output"
            ) from error
        self._lock = self._take_lock()
        try:
            if not self.target.exists():
                bring_back(self.folder)
                check_target(self.target, force=force)
            self._state = self._open_state(existed and resume, fingerprint)
            for folder in (self.out, self.work):
                if folder.is_symlink():  # whose place this is not, and which leads elsewhere
                    folder.unlink()
                folder.mkdir(exist_ok=True)
        except BaseException as error:
            full = isinstance(error, DiskError) or disk_error(error, self.folder) is not None
            if existed and not full:  # a full disk needs the room
                self._release()
            else:
                self.remove()
            raise

    def _take_lock(self) -> int:
        lock = open_lock(self.folder / LOCK)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise OutputError(
                f"another build is writing {self.target}", "wait for it to end, or choose another --output"
            ) from None
        return lock

    def _open_state(self, resume: bool, fingerprint: dict[str, Any]) -> dict[str, Any]:
        state = self._read_state() if resume else None
        if state is not None:
            different = [k for k in fingerprint if state["fingerprint"].get(k) != fingerprint[k]]
            if different:
                raise OutputError(
                    f"the unfinished build of {self.target} cannot be resumed: {', '.join(different)} changed since",
                    "build without --resume to begin again, or with the settings it was begun with",
                )
            state = self._last_whole(state)
        else:
            state = {"fingerprint": fingerprint, "steps": {}, "files": {}}
        self.resumed = self.published or bool(state["steps"])
        self._keep_only(state["files"])
        write_json(self.folder / _STATE, state)
        return state

    def _read_state(self) -> dict[str, Any] | None:
        """Return what was remembered; None if nothing was, or it did not outlive a power cut."""
        try:
            state = json.loads(read_text(self.folder / _STATE))
        except (OSError, ValueError):
            return None
        parts = ("fingerprint", "steps", "files")
        return state if isinstance(state, dict) and all(isinstance(state.get(part), dict) for part in parts) else None

    def _last_whole(self, state: dict[str, Any]) -> dict[str, Any]:
        """Drop steps from the end until all files that the build needs after the last are as they were."""
        steps, known = dict(state["steps"]), {}
        while steps:
            step, done = next(reversed(steps.items()))
            for name in done["needs"]:
                if name not in known:
                    known[name] = _is_file(self.folder / name, state["files"].get(name))
            if all(known[name] for name in done["needs"]):
                break
            self.lost.insert(0, step)
            del steps[step]
        needed = next(reversed(steps.values()))["needs"] if steps else []
        return {**state, "steps": steps, "files": {name: state["files"][name] for name in needed}}

    def _keep_only(self, files: Iterable[str]) -> None:
        """Remove what no finished step has left: the next ones are to find nothing that may be half written."""
        kept = {self.folder / name for name in files}
        for folder in (self.out, self.work):
            for path in list(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else ():
                if path in kept:
                    continue
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()

    def _is_published(self, fingerprint: dict[str, Any]) -> bool:
        state = self._read_state()
        if state is None or state["fingerprint"] != fingerprint or "manifest" not in state["steps"]:
            return False
        name = f"{self.out.name}/{layout.MANIFEST}"
        mine = {n: told for n, told in state["files"].items() if n.startswith(f"{self.out.name}/")}
        return not _is_file(self.folder / name, mine.get(name)) and all(
            _is_file(self.target / n.partition("/")[2], told) for n, told in mine.items()
        )

    def result(self, step: str) -> Any:
        """Return a copy of what a finished step returned; None if it has not finished."""
        done = self._state["steps"].get(step)
        return None if done is None else copy.deepcopy(done["result"])

    def record(self, step: str, result: Any, files: Iterable[str] = (), works: Iterable[str] = ()) -> None:
        """Remember that a step is finished, once everything that it has written is on the disk.

        Parameters
        ----------
        result
            What it returned, JSON-safe.
        files
            What it has added to ``out``.
        works
            All files of ``work`` that later steps need; others that earlier steps needed are removed.
        """
        before = [name for name in self._state["files"] if name.startswith(f"{self.out.name}/")]
        added = [f"{self.out.name}/{name}" for name in files]
        needs = list(dict.fromkeys([*before, *added, *(f"{self.work.name}/{name}" for name in works)]))
        new = [name for name in needs if name in added or name not in self._state["files"]]
        flush([*(self.folder / name for name in new), *({self.out, self.work} if new else ())])
        self._state["files"] |= {name: checksum_file(self.folder / name) for name in new}
        self._state["steps"][step] = {"result": copy.deepcopy(result), "needs": needs}
        write_json(self.folder / _STATE, self._state)
        for name in set(self._state["files"]) - set(needs):
            (self.folder / name).unlink(missing_ok=True)
            del self._state["files"][name]

    def publish(self) -> None:
        """Put the finished dataset in the target's place in one step, and remove the workspace."""
        put(self.out, self.target)
        self.remove()

    def remove(self) -> None:
        """Delete the workspace, last of all what tells how far it had come."""
        dismantle(self.folder, _STATE)
        self._release()

    def _release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def close(self) -> None:
        """Leave the workspace as it is, for ``--resume``."""
        self._release()


def is_being_built(target: Path) -> bool:
    """Whether a process is building a dataset at a target now."""
    try:
        lock = open_lock(_folder_of(target) / LOCK, create=False)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def discard(target: Path) -> None:
    """Delete what an interrupted build of a dataset has left, unless another build is at it."""
    folder = _folder_of(target)
    if not (folder / LOCK).is_file():
        return
    own_folder(folder)
    lock = open_lock(folder / LOCK)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not target.exists():
            bring_back(folder)
        dismantle(folder, _STATE)
    except OSError:  # whose lock it is
        return
    finally:
        os.close(lock)


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


def _folder_of(target: Path) -> Path:
    return target.parent / f".{target.name}.titin-{BUILD}"


def _is_file(path: Path, told: list[Any] | None) -> bool:
    """Whether a file is there, and as it was."""
    try:
        return told is not None and checksum_file(path) == told
    except OSError:
        return False
