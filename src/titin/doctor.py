"""What titin runs on, and whether it can work here."""

import importlib.metadata
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from titin import __version__
from titin.dataset.leftovers import find_leftovers
from titin.extras import requirements
from titin.files import is_url, local_path
from titin.options import ByHand, print_result, shared_options, storage_option
from titin.resources import DEFAULT_MEMORY, available_threads
from titin.storage import given_storage_options
from titin.text import memory as as_memory
from titin.text import size


class _Place(click.Path):
    """A folder, or a URL."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the URL as it is, or the path of a folder that is there."""
        return value if is_url(value) else super().convert(local_path(value), param, ctx)


@click.command()
@click.argument("folders", nargs=-1, type=_Place(exists=True, file_okay=False, path_type=Path))
@click.option("--clean", cls=ByHand, is_flag=True, help="Remove what killed commands have left.")
@storage_option
@shared_options
def doctor(folders: tuple[Path | str, ...], clean: bool, as_json: bool, quiet: bool) -> None:  # noqa: ARG001 - it says nothing on stderr
    """Say what titin runs on, and check that it can work: versions, processors, memory, disk, kernels.

    It lists, with their sizes, what killed commands have left in FOLDERS (the working directory if none is given), in
    the folder of caches and in that of temporary files; --clean removes it. Only folders of this user that titin has
    made and no process uses are looked at. An unfinished build is one of them: --resume could go on with it. One of
    FOLDERS may be the URL that a dataset was to be sent to.

    \b
    titin doctor
    titin doctor --clean
    titin doctor /data/atlases --clean
    titin doctor s3://bucket/atlas
    """  # noqa: D301 - \b is click's
    document = examine()
    document["leftovers"] = look_after(folders or (Path(),), clean=clean)
    print_result(document, as_json, describe)
    if document["problems"]:
        raise SystemExit(1)


def examine() -> dict[str, Any]:
    """Versions, processors, memory and disk, and a small round trip through codec and Parquet; JSON-safe."""
    problems: list[str] = []
    needed = requirements()
    libraries = {name: _version(name) for name in needed[""]}
    problems += [
        f"{name} is not installed: pip install {name}" for name, version in libraries.items() if version is None
    ]
    memory = _memory()
    if memory is not None and memory < DEFAULT_MEMORY:
        usual = as_memory(DEFAULT_MEMORY)
        problems.append(f"only {size(memory)} of memory is free; a build takes {usual} unless --memory says less")
    free = shutil.disk_usage(Path.cwd()).free
    if not problems:
        problems += _try_codec()
    return {
        "schema_version": 1, "titin": __version__, "python": sys.version.split()[0], "platform": platform.platform(),
        "processors": available_threads(), "memory_free_bytes": memory, "disk_free_bytes": free,
        "libraries": libraries,
        "optional": {extra: {name: _version(name) for name in names} for extra, names in needed.items() if extra},
        "problems": problems,
    }  # fmt: skip


def look_after(folders: Iterable[Path | str], *, clean: bool) -> list[dict[str, Any]]:
    """List what killed commands have left in folders, among caches and temporary files; remove it if asked to.

    Returns
    -------
    list of dict
        ``path``, ``bytes``, ``what`` it is, and whether it is ``removed``; JSON-safe.
    """
    from titin.load.cache import cache_home

    found = []
    here = [Path(folder) for folder in folders if not is_url(folder)]
    places = dict.fromkeys(folder.resolve() for folder in (*here, cache_home(), Path(tempfile.gettempdir())))
    for leftover in (one for place in places for one in find_leftovers(place)):
        kind = "unfinished build" if leftover.resumable else "unfinished writing"
        entry = {"path": str(leftover.path), "bytes": leftover.n_bytes, "what": f"{kind} of {leftover.name}"}
        found.append({**entry, "removed": clean and leftover.remove()})
    return found + [entry for url in folders if is_url(url) for entry in _look_elsewhere(str(url), clean=clean)]


def _look_elsewhere(url: str, *, clean: bool) -> list[dict[str, Any]]:
    """What an upload has left that was not finished."""
    from titin.dataset.remote_revision import RemoteRevision

    place = RemoteRevision(url, given_storage_options())
    n_bytes = place.unfinished()
    if n_bytes is None:
        return []
    what = f"unfinished upload of {place.last_name}"
    if clean and place.finish():
        what = f"what waited for a change of {place.last_name}, which is finished now"
    elif clean:
        place.clean()
    return [{"path": place.name, "bytes": n_bytes, "what": what, "removed": clean}]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _memory() -> int | None:
    """Memory that can be had, in bytes; None where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None


def _try_codec() -> list[str]:
    """Encode some cells, write and read them as the format has them, and decode them."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from titin.dataset import layout
    from titin.dataset.arrow import ParquetFile, list_arrays, list_column
    from titin.dataset.codec import decode, encode

    counts = np.random.default_rng(0).poisson(0.5, (50, 200)) + np.eye(50, 200, dtype=np.int64)
    values = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4).astype(np.float32)
    rows, genes = np.nonzero(values)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=50))]).astype(np.int64)
    block = encode(indptr, genes.astype(np.int32), values[rows, genes], 200, "log1p")
    schema = pa.schema([layout.required(layout.COUNTS, layout.list_of(pa.uint16()))])
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = ParquetFile(Path(folder), "try.parquet", schema)
            file.write(pa.Table.from_arrays([list_column(indptr, block.counts)], schema=schema))
            _, back = list_arrays(pq.read_table(Path(folder) / file.close()[0]).column(0))
    except OSError as error:
        return [f"a temporary file cannot be written: {error}"]
    if not np.array_equal(back, counts[rows, genes]) or not np.array_equal(decode(block), values[rows, genes]):
        return ["counts do not survive a round trip: please report this with the versions above"]
    return []


def describe(facts: dict[str, Any]) -> str:
    """Turn what `examine` gives into text."""
    memory = size(facts["memory_free_bytes"]) if facts["memory_free_bytes"] is not None else "unknown"
    lines = [
        f"titin {facts['titin']}, Python {facts['python']}, {facts['platform']}",
        f"{facts['processors']} processors, {memory} of memory and {size(facts['disk_free_bytes'])} of disk free",
        ", ".join(f"{name} {version or 'missing'}" for name, version in facts["libraries"].items()),
        *(_optional(extra, names) for extra, names in facts["optional"].items()),
    ]
    lines += [
        f"{'removed' if one['removed'] else 'left behind'}: {one['path']} ({size(one['bytes'])}), {one['what']}"
        for one in facts.get("leftovers", [])
    ]
    if any(not one["removed"] for one in facts.get("leftovers", [])):
        lines.append("titin doctor --clean removes what is left behind")
    lines += [f"problem: {problem}" for problem in facts["problems"]] or ["everything works"]
    return "\n".join(lines)


def _optional(extra: str, names: dict[str, str | None]) -> str:
    told = ", ".join(f"{name} {version or 'not installed'}" for name, version in names.items())
    missing = any(version is None for version in names.values())
    return f"extra {extra}: {told}" + (f" (pip install 'titin[{extra}]')" if missing else "")
