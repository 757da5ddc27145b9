"""A dataset's matrix decoded once into memory-mapped arrays."""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.dataset.manifest import Manifest
from titin.errors import OutputError
from titin.load.buffers import Cells, RowGroups, Space

_VERSION = 1
_AT_ONCE = 8  # row groups


def open_cache(groups: RowGroups, folder: Path | None, pool: ThreadPoolExecutor) -> Cells:
    """Map the decoded arrays of a dataset, making them first where they are not there.

    Two processes that want the same cache do not both make it: the second waits for the first. A cache is put in its
    place when it is whole, so an interrupted one is never read.

    Parameters
    ----------
    groups
        The dataset.
    folder
        Where caches are kept; ``$TITIN_CACHE``, or ``~/.cache/titin``, where not given.

    Raises
    ------
    OutputError
        If the cache cannot be written.
    """
    home = folder or Path(os.environ.get("TITIN_CACHE") or Path.home() / ".cache" / "titin")
    target = home / cache_key(groups.manifest)
    try:
        home.mkdir(parents=True, exist_ok=True)
        with (home / f"{target.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.exists():
                _make(groups, target, pool)
    except OSError as error:
        raise OutputError(
            f"the cache {target} cannot be made: {error.strerror or error}",
            "free some space, or name another folder with cache=",
        ) from error
    return _map(target)


def cache_key(manifest: Manifest) -> str:
    """Name of a dataset's cache: its prefix and what its expression files hold."""
    sums = [manifest.files[name]["sha256"] for name in manifest.shards(manifest.layout.expression)]
    return f"{manifest.prefix}-{hashlib.sha256(json.dumps([_VERSION, sums]).encode()).hexdigest()[:16]}"


def _make(groups: RowGroups, target: Path, pool: ThreadPoolExecutor) -> None:
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        pieces: dict[str, list[NDArray[Any]]] = {"lengths": [], "level_lengths": []}
        dtypes = {}
        with (partial / "tokens").open("wb") as tokens, (partial / "data").open("wb") as data, \
                (partial / "levels").open("wb") as levels:  # fmt: skip
            space = Space()
            for first in range(0, len(groups.groups), _AT_ONCE):
                cells, _ = groups.read(range(first, min(first + _AT_ONCE, len(groups.groups))), pool, space)
                for file, array, starts, lengths in (
                    (tokens, cells.tokens, cells.starts, cells.lengths),
                    (data, cells.data, cells.starts, cells.lengths),
                    (levels, cells.levels, cells.level_starts, cells.level_lengths),
                ):
                    _write(file, array, starts, lengths)
                    dtypes[Path(file.name).name] = array.dtype.str
                pieces["lengths"].append(cells.lengths)
                pieces["level_lengths"].append(cells.level_lengths)
        for name, parts in pieces.items():
            np.save(partial / f"{name}.npy", np.concatenate(parts))
        (partial / "dtypes.json").write_text(json.dumps(dtypes), "utf-8")
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(file: Any, array: NDArray[Any], starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> None:
    """Write the elements of the cells, without the gaps that empty lists leave between row groups."""
    ends = starts + lengths
    edges = np.flatnonzero(np.diff(starts, prepend=-1) != np.concatenate([[0], lengths[:-1]]))
    for a, b in zip(edges, np.append(edges[1:], len(starts)), strict=True):
        file.write(np.ascontiguousarray(array[starts[a] : ends[b - 1]]).data)


def _map(folder: Path) -> Cells:
    dtypes = json.loads((folder / "dtypes.json").read_text("utf-8"))
    lengths, level_lengths = np.load(folder / "lengths.npy"), np.load(folder / "level_lengths.npy")
    arrays = [_map_array(folder / name, dtypes[name]) for name in ("tokens", "data", "levels")]
    return Cells(
        np.cumsum(lengths) - lengths, lengths, np.cumsum(level_lengths) - level_lengths, level_lengths, *arrays
    )


def _map_array(path: Path, dtype: str) -> NDArray[Any]:
    if path.stat().st_size == 0:
        return np.empty(0, dtype)
    return np.asarray(np.memmap(path, dtype, mode="r"))
