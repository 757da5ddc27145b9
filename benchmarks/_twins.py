"""Smaller and larger copies of an atlas (.h5ad with a CSR or dense X), streamed: memory does not grow with cells.

python _twins.py head SOURCE TARGET CELLS     the first cells
python _twins.py stack SOURCE TARGET TIMES    all cells, several times over, with barcodes of their own
python _twins.py layer SOURCE TARGET NAME     all of it, with a layer of counts behind the values of X
python _twins.py shape SOURCE                 cells, genes and non-zeros as JSON
"""

import json
import shutil
import sys
from pathlib import Path
from typing import TypeAlias

import h5py
import hdf5plugin  # noqa: F401 - registers the filters that a source may be compressed with
import numpy as np

# cells start … stop - 1, and what their barcodes get appended
Spans: TypeAlias = list[tuple[int, int, str]]

_CHUNK_BYTES = 64 * 2**20
_BY_CELL = ("X", "layers", "obs", "obsm")
_LEFT_OUT = ("obsp", "raw")
_NOT_BY_ROW = ("categories", "__categories")


def shape(path: Path) -> dict[str, int]:
    """Cells, genes and stored values of X."""
    with h5py.File(path, "r") as file:
        X = file["X"]
        if isinstance(X, h5py.Dataset):
            return {"cells": X.shape[0], "genes": X.shape[1], "nnz": _count_nonzero(X)}
        cells, genes = (int(n) for n in X.attrs["shape"])
        return {"cells": cells, "genes": genes, "nnz": int(X["data"].shape[0])}


def _count_nonzero(dataset: h5py.Dataset) -> int:
    rows = max(1, _CHUNK_BYTES // (dataset.shape[1] * dataset.dtype.itemsize))
    return sum(int(np.count_nonzero(dataset[a : a + rows])) for a in range(0, dataset.shape[0], rows))


def head(source: Path, target: Path, cells: int) -> None:
    """Copy the first cells of an atlas."""
    copy_cells(source, target, [(0, min(cells, shape(source)["cells"]), "")])


def stack(source: Path, target: Path, times: int) -> None:
    """Copy an atlas several times over into one."""
    n = shape(source)["cells"]
    copy_cells(source, target, [(0, n, f"-{i}" if i else "") for i in range(times)])


def with_layer(source: Path, target: Path, name: str) -> None:
    """Copy an atlas whose X holds logarithms (CSR), and add a layer of its counts: each cell's smallest is one."""
    shutil.copyfile(source, target)
    with h5py.File(target, "r+") as file:
        X = file["X"]
        new = file.require_group("layers").create_group(name)
        _copy_attributes(X, new)
        for part in ("indptr", "indices"):
            X.copy(part, new)
        data, pointers = new.create_dataset("data", X["data"].shape, X["data"].dtype), X["indptr"][:].astype(np.int64)
        first, n = 0, len(pointers) - 1
        while first < n:
            end = int(np.searchsorted(pointers, pointers[first] + _CHUNK_BYTES // 8, "right")) - 1
            end = max(end, first + 1)
            own = pointers[first : end + 1] - pointers[first]
            values = np.expm1(X["data"][pointers[first] : pointers[end]].astype(np.float64))
            filled = np.flatnonzero(np.diff(own))
            least = np.minimum.reduceat(values, own[filled]) if len(filled) else np.zeros(0)
            counts = np.rint(values / np.repeat(least, np.diff(own)[filled]))
            data[pointers[first] : pointers[end]] = counts.astype(data.dtype)
            first = end


def copy_cells(source: Path, target: Path, spans: Spans) -> None:
    """Copy spans of an atlas's cells, one after another; graphs of cells and ``raw`` are left out."""
    with h5py.File(source, "r") as old, h5py.File(target, "w") as new:
        _copy_attributes(old, new)
        for name in old:
            if name in _BY_CELL:
                _copy_element(old[name], new, name, spans)
            elif name not in _LEFT_OUT:
                old.copy(name, new)
        index = new["obs"][new["obs"].attrs["_index"]]
        _append_to_barcodes(index, spans)


def _copy_attributes(old: h5py.Group | h5py.Dataset, new: h5py.Group | h5py.Dataset) -> None:
    for key, value in old.attrs.items():
        new.attrs[key] = value


def _copy_element(old: h5py.Group | h5py.Dataset, parent: h5py.Group, name: str, spans: Spans) -> None:
    """One matrix, column or group of them, whose first axis is that of the cells."""
    if isinstance(old, h5py.Dataset):
        if old.dtype.names:
            raise SystemExit(f"{old.name} is of an AnnData older than 0.7: write the file again with a newer one")
        _copy_rows(old, parent, name, [(a, b) for a, b, _ in spans])
        return
    if old.attrs.get("encoding-type") == "csc_matrix":
        raise SystemExit(f"{old.name} is stored by gene (CSC): only CSR and dense matrices can be cut by cell")
    new = parent.create_group(name)
    _copy_attributes(old, new)
    if old.attrs.get("encoding-type") == "csr_matrix":
        _copy_csr(old, new, spans)
        return
    for child in old:
        if child in _NOT_BY_ROW:
            old.copy(child, new)
        else:
            _copy_element(old[child], new, child, spans)


def _copy_csr(old: h5py.Group, new: h5py.Group, spans: Spans) -> None:
    pointers = old["indptr"][:].astype(np.int64)
    parts, end = [np.zeros(1, np.int64)], 0
    for a, b, _ in spans:
        parts.append(pointers[a + 1 : b + 1] - pointers[a] + end)
        end = int(parts[-1][-1]) if b > a else end
    ranges = [(int(pointers[a]), int(pointers[b])) for a, b, _ in spans]
    for name in ("data", "indices"):
        _copy_rows(old[name], new, name, ranges)
    indptr = np.concatenate(parts)
    new["indptr"] = indptr.astype(old["indptr"].dtype if end <= np.iinfo(np.int32).max else np.int64)
    new.attrs["shape"] = np.array([len(indptr) - 1, old.attrs["shape"][1]], np.int64)


def _copy_rows(old: h5py.Dataset, parent: h5py.Group, name: str, ranges: list[tuple[int, int]]) -> None:
    """Copy ranges of a dataset's rows, uncompressed."""
    total = sum(b - a for a, b in ranges)
    new = parent.create_dataset(name, (total, *old.shape[1:]), old.dtype)
    _copy_attributes(old, new)
    step = max(1, _CHUNK_BYTES // max(1, old.dtype.itemsize * int(np.prod(old.shape[1:], dtype=np.int64))))
    at = 0
    for start, stop in ranges:
        for a in range(start, stop, step):
            b = min(a + step, stop)
            new[at : at + b - a] = old[a:b]
            at += b - a


def _append_to_barcodes(index: h5py.Dataset, spans: Spans) -> None:
    at = 0
    for a, b, suffix in spans:
        if suffix:
            index[at : at + b - a] = [name + suffix for name in index.asstr()[at : at + b - a]]
        at += b - a


def main(arguments: list[str]) -> None:
    command, source, *rest = arguments
    if command == "shape":
        print(json.dumps(shape(Path(source))))
    else:
        target, what = Path(rest[0]), rest[1]
        if command == "layer":
            with_layer(Path(source), target, what)
        else:
            {"head": head, "stack": stack}[command](Path(source), target, int(what))


if __name__ == "__main__":
    main(sys.argv[1:])
