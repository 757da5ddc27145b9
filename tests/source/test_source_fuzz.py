"""Sources changed at random: built, they hold what anndata reads of them, or they are refused in words, and soon.

Each is built in a process of its own, so that a crash inside a library is seen as one.
"""

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pytest
import scipy.sparse as sp
from source_files import random_counts, small_atlas, write
from test_source_budget import tenx

import titin
from titin.errors import TitinError

QUICK, MANY, PARTS = 12, 1000, 10
SECONDS, RESIDENT = 60, 1536 << 20
ENCODINGS = ["array", "csr_matrix", "csc_matrix", "dataframe", "categorical", "dict", "string", "string-array", "null",
             "nullable-integer", "nullable-boolean", "numeric-scalar", "martian", ""]  # fmt: skip
VALUES: list[Any] = [0, -1, 2**40, 3.5, float("nan"), "x", "", [], [1, 2], {"a": 1}, None, True, "../X", "é" * 300]


# of bytes


def flip(content: bytearray, draw: random.Random) -> None:
    where = len(content) if draw.random() < 0.5 else min(len(content), 4096)  # HDF5 keeps its structure in front
    for _ in range(draw.choice([1, 1, 3, 20])):
        content[draw.randrange(where)] ^= 1 << draw.randrange(8)


def zero(content: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(content))
    stop = min(len(content), start + draw.choice([1, 8, 512, 4096]))
    content[start:stop] = bytes(stop - start)


def cut(content: bytearray, draw: random.Random) -> None:
    del content[draw.randrange(len(content)) :]


def copy_within(content: bytearray, draw: random.Random) -> None:
    size = draw.choice([8, 64, 512])
    start, to = (draw.randrange(max(1, len(content) - size)) for _ in range(2))
    content[to : to + size] = content[start : start + size]


OF_BYTES = [flip, flip, zero, cut, copy_within]


# of structure


def nodes(file: h5py.File) -> list[str]:
    found: list[str] = []
    file.visit(found.append)
    return found


def remove(file: h5py.File, name: str, draw: random.Random) -> None:
    del file[name]


def put(file: h5py.File, name: str, data: Any, **options: Any) -> None:
    attributes = dict(file[name].attrs)
    del file[name]
    made = file.create_dataset(name, data=data, **options)
    for key, value in attributes.items():
        made.attrs[key] = value


def retype(file: h5py.File, name: str, draw: random.Random) -> None:
    if isinstance(file[name], h5py.Group):
        put(file, name, draw.choice([3, "text", np.arange(5), np.zeros((2, 3))]))
        return
    values = file[name][()]
    dtype = draw.choice(["i1", "u1", ">i4", "u8", "f2", ">f8", "c8", "S3", "O", "?", "compound", "empty", "vlen"])
    with contextlib.suppress(ValueError, TypeError, OverflowError), np.errstate(all="ignore"):
        if dtype == "empty":
            put(file, name, h5py.Empty("f4"))
        elif dtype == "compound":
            put(file, name, np.zeros(np.shape(values), [("a", "f4"), ("b", "S2")]))
        elif dtype == "vlen":
            attributes = dict(file[name].attrs)
            del file[name]
            file.create_dataset(name, np.shape(values), h5py.vlen_dtype("i4")).attrs.update(attributes)
        elif dtype == "O":
            texts = np.array([b"\xff%r" % value for value in np.ravel(values).tolist()], object)
            put(file, name, texts.reshape(np.shape(values)), dtype=h5py.string_dtype())
        else:
            put(file, name, np.asarray(values).astype(dtype))


def reshape(file: h5py.File, name: str, draw: random.Random) -> None:
    if isinstance(file[name], h5py.Dataset) and file[name].shape:
        values = file[name][()]
        twice = np.concatenate([values, values])
        put(file, name, draw.choice([values[:-1], values[None], values[:0], twice, values.ravel()]))


def set_values(file: h5py.File, name: str, draw: random.Random) -> None:
    node = file[name]
    if isinstance(node, h5py.Dataset) and node.dtype.kind in "iuf" and node.size and node.shape:
        values = node[()]
        real = values.dtype.kind == "f"
        limits: Any = (np.finfo if real else np.iinfo)(values.dtype)
        odd = [0, 1, limits.max, limits.min, *([np.nan, np.inf] if real else [])]
        values.flat[draw.randrange(values.size)] = draw.choice(odd)
        node[...] = values


def set_attribute(file: h5py.File, name: str, draw: random.Random) -> None:
    known = [*file[name].attrs]
    key = draw.choice([*known, "encoding-type", "shape", "column-order", "_index", "categories", "ordered"])
    value = draw.choice([*ENCODINGS, np.arange(4.0), np.array([-3, 7]), 2**40, h5py.Empty("S1"), b"\xff\xfe", True])
    if draw.random() < 0.2 and key in known:
        del file[name].attrs[key]
    else:
        file[name].attrs[key] = value


def link(file: h5py.File, name: str, draw: random.Random) -> None:
    other = draw.choice(["/", *nodes(file)])
    target = file[other] if draw.random() < 0.5 else h5py.SoftLink(draw.choice([f"/{other}", "/nowhere"]))
    del file[name]
    with contextlib.suppress(KeyError, ValueError):
        file[name] = target


def rename(file: h5py.File, name: str, draw: random.Random) -> None:
    parent = name.rpartition("/")[0]
    new = draw.choice(["..", "a b", "é", "x" * 5000, "data", "obs", "categories", "\u202e", "<b>"])
    with contextlib.suppress(ValueError, KeyError, OSError):
        file.move(name, f"{parent}/{new}")


OF_STRUCTURE = [remove, retype, retype, reshape, set_values, set_attribute, set_attribute, link, rename]


def change_json(path: Path, draw: random.Random) -> None:
    document = json.loads(path.read_text("utf-8"))
    place = document
    while isinstance(place, dict | list) and place:
        key = draw.choice([*place]) if isinstance(place, dict) else draw.randrange(len(place))
        if not isinstance(place[key], dict | list) or not place[key] or draw.random() < 0.3:
            place[key] = draw.choice(VALUES)
            break
        place = place[key]
    path.write_text(json.dumps(document), "utf-8")


def changed(bases: dict[str, Path], folder: Path, seed: int) -> Path:
    """A source of some format, changed once to thrice."""
    draw = random.Random(seed)
    base = bases[draw.choice([*bases])]
    path = folder / base.name
    if base.is_dir():
        shutil.copytree(base, path)
        for _ in range(draw.choice([1, 1, 2])):
            file = draw.choice(sorted(p for p in path.rglob("*") if p.is_file()))
            how = draw.random()
            if how < 0.5 and file.suffix == ".json" and file.stat().st_size:
                with contextlib.suppress(ValueError):
                    change_json(file, draw)
            elif how < 0.7:
                file.unlink()
            elif file.stat().st_size:
                content = bytearray(file.read_bytes())
                draw.choice(OF_BYTES)(content, draw)
                file.write_bytes(content)
        return path
    shutil.copy(base, path)
    if draw.random() < 0.4:
        content = bytearray(path.read_bytes())
        for _ in range(draw.choice([1, 1, 3])):
            if content:
                draw.choice(OF_BYTES)(content, draw)
        path.write_bytes(content)
        return path
    for _ in range(draw.choice([1, 1, 2, 3])):
        with contextlib.suppress(KeyError, OSError, RuntimeError), h5py.File(path, "r+") as file:
            if left := nodes(file):  # an earlier change may have taken all
                draw.choice(OF_STRUCTURE)(file, draw.choice(left), draw)
    return path


# the trial


def trial(path: Path, folder: Path) -> str:
    """What becomes of a source: ``refused``, ``equal``, ``read by titin alone``; or what is wrong."""
    warnings.simplefilter("ignore")
    try:
        built = titin.build(path, folder / "out", project=(), shuffle=False)
    except TitinError as error:
        return "refused" if error.args[0] and "\n" not in str(error.args[0]).strip() else f"said badly: {error!r}"
    ours = titin.open(built.path).to_anndata()
    if path.suffix == ".h5":
        return "equal" if ours.n_obs else "empty"
    try:
        theirs = anndata.read_h5ad(path) if path.suffix == ".h5ad" else anndata.read_zarr(path)
    except Exception:  # whatever anndata makes of it
        return "read by titin alone"
    return difference(ours, theirs) or "equal"


def difference(ours: anndata.AnnData, theirs: anndata.AnnData) -> str:
    """In what two atlases differ: the matrix, the names, and the columns that both have."""
    if list(map(str, theirs.obs_names)) != list(map(str, ours.obs_names)):
        return "cells differ"
    left, right = (np.asarray(atlas.X.toarray() if sp.issparse(atlas.X) else atlas.X) for atlas in (ours, theirs))
    if not np.array_equal(left, right):
        return f"X differs in {int((left != right).sum())} values"
    for name in ours.obs.columns.intersection(theirs.obs.columns):
        a, b = (atlas.obs[name].astype(object).where(atlas.obs[name].notna(), None) for atlas in (ours, theirs))
        if not all(x == y or str(x) == str(y) for x, y in zip(a, b, strict=True)):
            return f"obs[{name!r}] differs"
    return ""


def resident() -> int:
    """Bytes of this process in memory, which a child begins with."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def hangs_in_library(path: Path, said: Path) -> bool:
    """Whether h5py alone never comes back from a file: HDF5 follows damaged heaps and trees for ever."""

    def read_attributes() -> str:
        with h5py.File(path, "r") as file:
            for node in [file, *filter(None, map(file.get, nodes(file)))]:
                with contextlib.suppress(OSError, RuntimeError, KeyError, TypeError, ValueError):
                    list(node.attrs.items())
        return "came back"

    return path.suffix in (".h5ad", ".h5") and in_child(read_attributes, said, SECONDS // 3)[0].startswith("ended by")


def in_child(work: Callable[[], str], said: Path, limit: int = SECONDS) -> tuple[str, float, int]:
    """What work says, or how its process ended; its seconds of a processor, and the largest memory that it took."""
    sys.stdout.flush()
    held = resident()
    child = os.fork()
    if not child:
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            said.write_text(work(), "utf-8", "backslashreplace")
        except BaseException:
            said.write_text("crashed: " + traceback.format_exc(), "utf-8", "backslashreplace")
        finally:
            os._exit(0)
    began = time.monotonic()
    while time.monotonic() - began < 10 * SECONDS:
        pid, status, used = os.wait4(child, os.WNOHANG)
        if pid:
            told = said.read_text("utf-8") if said.exists() else f"ended by signal {os.WTERMSIG(status)}"
            return told, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 - held
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hangs", float("inf"), 0


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Sources that are fine, of each format; and the kernels compiled."""
    folder = tmp_path_factory.mktemp("bases")
    sparse = small_atlas(sp.csr_matrix(random_counts()), layers={"counts": sp.csr_matrix(random_counts())})
    made = {
        "csr": write(sparse, folder / "csr", "h5ad"),
        "gzip": write(small_atlas(sp.csc_matrix(random_counts())), folder / "gzip", "h5ad", compression="gzip"),
        "dense": write(small_atlas(random_counts()), folder / "dense", "h5ad"),
        "zarr2": write(sparse, folder / "two", "zarr2"),
        "zarr3": write(sparse, folder / "three", "zarr3"),
        "10x": tenx(folder / "matrix.h5"),
    }
    for name, path in made.items():
        assert trial(path, folder / f"built-{name}") == "equal"
    return made


def run(bases: dict[str, Path], folder: Path, seeds: range) -> tuple[list[tuple[int, str]], dict[str, int]]:
    wrong, outcomes = [], dict.fromkeys(("refused", "equal", "read by titin alone", "hangs in h5py"), 0)
    for seed in seeds:
        place = folder / str(seed)
        place.mkdir()
        path = changed(bases, place, seed)
        told, seconds, memory = in_child(lambda: trial(path, place), folder / f"{seed}.txt")  # noqa: B023
        if told in outcomes and seconds < SECONDS and memory < RESIDENT:
            outcomes[told] += 1
        elif told.startswith("ended by") and hangs_in_library(path, place / "alone.txt"):
            outcomes["hangs in h5py"] += 1
        else:
            wrong.append((seed, f"{path.name}, {seconds:.0f} s, {memory >> 20} MiB: {told[-1500:]}"))
        shutil.rmtree(place)
    return wrong, outcomes


def test_some_changed_sources(bases: dict[str, Path], tmp_path: Path) -> None:
    wrong, outcomes = run(bases, tmp_path, range(QUICK))
    assert wrong == []
    assert outcomes["refused"] > QUICK / 4


@pytest.mark.parametrize("part", [pytest.param(part, marks=pytest.mark.long if part else pytest.mark.slow)
                                  for part in range(PARTS)])  # fmt: skip
def test_many_changed_sources(part: int, bases: dict[str, Path], tmp_path: Path) -> None:
    many = MANY // PARTS
    first = int(os.environ.get("TITIN_FUZZ_SEED", "1000")) + part * many
    wrong, outcomes = run(bases, tmp_path, range(first, first + many))
    assert wrong == []
    assert min(outcomes["refused"], outcomes["equal"]) > many / 10
    assert outcomes["hangs in h5py"] <= many / 20
