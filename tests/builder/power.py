"""A power cut: what a process has written and not flushed is lost, cut off or zeroed, and its last renames are undone.

`watch` runs in the process: it writes down what is flushed and renamed. `cut` does to a folder, afterwards, what the
loss of power could have done to it.
"""

import json
import os
import random
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any


def watch(journal: Path) -> None:
    """Write down what this process flushes and renames, and keep what a rename replaces."""
    from titin.dataset import swap

    fsync, rename, replace, exchange = os.fsync, os.rename, os.replace, swap.exchange

    def flushed(handle: int) -> None:
        fsync(handle)
        found = os.fstat(handle)
        note(journal, kind="flush", path=str(Path(f"/proc/self/fd/{handle}").readlink()), file=_identity(found))

    def moved(move: Callable[..., None]) -> Callable[..., None]:
        def wrapped(old: Any, new: Any, **more: Any) -> None:
            kept = None
            if Path(new).is_file() and not more:
                kept = str(journal.with_name(f"kept-{os.lstat(new).st_ino}-{len(list(journal.parent.iterdir()))}"))
                os.link(new, kept)
            move(old, new, **more)
            if not more:
                note(journal, kind="move", old=str(Path(old).absolute()), new=str(Path(new).absolute()), kept=kept)

        return wrapped

    def swapped(new: Path, old: Path) -> None:
        exchange(new, old)
        note(journal, kind="swap", old=str(old.absolute()), new=str(new.absolute()))

    os.fsync, os.rename, os.replace, swap.exchange = flushed, moved(rename), moved(replace), swapped  # type: ignore[assignment]


def note(journal: Path, **event: Any) -> None:
    """Add an event; a process is killed before or after one."""
    with journal.open("a") as file:
        file.write(json.dumps(event) + "\n")


def events(journal: Path) -> list[dict[str, Any]]:
    """What has been written down."""
    return [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []


def _identity(found: os.stat_result) -> list[int]:
    return [found.st_ino, found.st_size, found.st_mtime_ns]


def identities(folder: Path) -> list[list[int]]:
    """All files of a folder as they are on the disk at the beginning."""
    return [_identity(path.lstat()) for path in folder.rglob("*") if path.is_file()]


def cut(folder: Path, journal: Path, safe: list[list[int]], rng: random.Random) -> list[str]:
    """Damage what is not flushed; return what was done."""
    happened = events(journal)
    done = _undo_renames(happened, rng)
    safe = safe + [event["file"] for event in happened if event["kind"] == "flush"]
    for path in sorted(folder.rglob("*")):
        found = path.lstat()
        if stat.S_ISREG(found.st_mode) and found.st_size and _identity(found) not in safe and rng.random() < 0.7:
            done.append(f"{_damage(path, found.st_size, rng)} {path.relative_to(folder)}")
    return done


def _undo_renames(happened: list[dict[str, Any]], rng: random.Random) -> list[str]:
    """Undo the last of the renames that no flush of both folders has followed; a journal keeps their order."""
    open_ones = []
    for at, event in enumerate(happened):
        if event["kind"] == "flush":
            continue
        later = {other["path"] for other in happened[at + 1 :] if other["kind"] == "flush"}
        if not {str(Path(event[end]).parent) for end in ("old", "new")} <= later:
            open_ones.append(event)
    done = []
    for event in reversed(open_ones[rng.randint(0, len(open_ones)) :] if open_ones else []):
        old, new = Path(event["old"]), Path(event["new"])
        if event["kind"] == "swap":
            if not (old.exists() and new.exists()):
                break
            aside = new.with_name("power-cut-aside")
            old.rename(aside)
            new.rename(old)
            aside.rename(new)
        else:
            if not (os.path.lexists(new) and old.parent.is_dir()):
                break
            new.rename(old)
            if event["kept"]:
                os.link(event["kept"], new)
        done.append(f"undone {event['kind']} of {new.name}")
    return done


def _damage(path: Path, size: int, rng: random.Random) -> str:
    way = rng.choice(["lost", "cut off", "emptied", "zeroed", "partly zeroed"])
    if way == "lost":
        path.unlink()
    elif way in ("cut off", "emptied"):
        os.truncate(path, rng.randrange(size) if way == "cut off" else 0)
    else:
        start = rng.randrange(size) if way == "partly zeroed" else 0
        with path.open("r+b") as file:
            file.seek(start)
            file.write(bytes(min(size - start, 4096) if way == "partly zeroed" else size))
    return way


def copy_tree(source: Path, target: Path) -> Path:
    """Copy a folder."""
    return Path(shutil.copytree(source, target))
