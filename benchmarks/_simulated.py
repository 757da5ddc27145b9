"""An .h5ad of any number of cells that takes little disk: row pointers and tables are real, the values repeat.

python _simulated.py SOURCE TARGET CELLS VALUES

Cells of SOURCE, thinned to VALUES stored values each (the mean), are stored once; X is a virtual dataset that has them
over and over, in the same file. obs has the columns of SOURCE for every cell, with barcodes and donors of their own.
"""

import sys
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 - registers the filters that a source may be compressed with
import numpy as np

POOL = 65_536  # cells of SOURCE that are taken, at most
ROWS = 1 << 20  # of a table, written at a time


def simulate(source: Path, target: Path, cells: int, values: int) -> None:
    """Write the file; see the head of this one."""
    with h5py.File(source, "r") as old, h5py.File(target, "w", libver="latest") as new:
        for key, value in old.attrs.items():
            new.attrs[key] = value
        old.copy("var", new)
        pool = min(POOL, cells, old["X"].attrs["shape"][0])
        lengths = _thinned(old["X"], new.create_group("pool"), pool, values)
        _matrix(old["X"], new, cells, lengths)
        _table(old["obs"], new.create_group("obs"), cells, pool)


def _thinned(old: h5py.Group, new: h5py.Group, pool: int, values: int) -> np.ndarray:
    """Store some values of the first cells, as counts; return how many there are of each cell."""
    indptr = old["indptr"][: pool + 1].astype(np.int64)
    every = max(1, round(int(indptr[-1]) / pool / values))
    lengths: np.ndarray = -(-np.diff(indptr) // every)
    data = new.create_dataset("data", (int(lengths.sum()),), "f4")
    indices = new.create_dataset("indices", data.shape, "i4")
    at = 0
    for first in range(0, pool, 4096):
        ends = indptr[first : first + 4097]
        own, genes = old["data"][ends[0] : ends[-1]], old["indices"][ends[0] : ends[-1]]
        rows = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
        kept = (np.arange(len(own)) - np.repeat(ends[:-1] - ends[0], np.diff(ends))) % every == 0
        least = np.full(len(ends) - 1, np.inf)
        np.minimum.at(least, rows, own)
        counts = np.maximum(1, np.rint(np.expm1(own) / np.expm1(least)[rows]))[kept]
        data[at : at + len(counts)], indices[at : at + len(counts)] = counts, genes[kept]
        at += len(counts)
    return lengths


def _matrix(old: h5py.Group, new: h5py.File, cells: int, lengths: np.ndarray) -> None:
    X = new.create_group("X")
    for key, value in old.attrs.items():
        X.attrs[key] = value
    X.attrs["shape"] = np.array([cells, old.attrs["shape"][1]], np.int64)
    times, rest = divmod(cells, len(lengths))
    once = int(lengths.sum())
    parts = [once] * times + ([int(lengths[:rest].sum())] if rest else [])
    indptr = X.create_dataset("indptr", (cells + 1,), "i8")
    own, end = np.cumsum(lengths), 0
    for at in range(0, cells, len(lengths)):
        n = min(len(lengths), cells - at)
        indptr[at + 1 : at + 1 + n] = end + own[:n]
        end += int(own[n - 1])
    for name in ("data", "indices"):
        stored = new["pool"][name]
        layout, at = h5py.VirtualLayout((sum(parts),), stored.dtype), 0
        for n in parts:
            layout[at : at + n] = h5py.VirtualSource(".", stored.name, stored.shape)[:n]
            at += n
        X.create_virtual_dataset(name, layout)


def _table(old: h5py.Group, new: h5py.Group, cells: int, pool: int) -> None:
    """The columns of the first cells over and over; names of cells and labels of donors get the turn appended."""
    for key, value in old.attrs.items():
        new.attrs[key] = value
    index = old.attrs["_index"]
    for name, column in old.items():
        if isinstance(column, h5py.Group):
            group = new.create_group(name)
            for key, value in column.attrs.items():
                group.attrs[key] = value
            column.copy("categories", group)
            _repeated(column["codes"], group, "codes", cells, pool)
        elif name == index:
            names = column.asstr()[:pool]
            stored = new.create_dataset(name, (cells,), column.dtype)
            for key, value in column.attrs.items():
                stored.attrs[key] = value
            for turn, at in enumerate(range(0, cells, pool)):
                stored[at : at + pool] = [f"{name}-{turn}" for name in names[: min(pool, cells - at)]]
        else:
            _repeated(column, new, name, cells, pool)


def _repeated(old: h5py.Dataset, parent: h5py.Group, name: str, cells: int, pool: int) -> None:
    new = parent.create_dataset(name, (cells,), old.dtype)
    for key, value in old.attrs.items():
        new.attrs[key] = value
    values = np.resize(old[:pool], ROWS // pool * pool or pool)
    for at in range(0, cells, len(values)):
        new[at : at + len(values)] = values[: min(len(values), cells - at)]


if __name__ == "__main__":
    simulate(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
