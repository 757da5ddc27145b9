"""An .h5ad that holds another one whole, several times over, and takes hardly any disk: X and obsm are virtual.

python _tiled.py SOURCE TARGET TIMES [COLUMN ...]

Every copy has barcodes of its own and, in the columns of obs that are named (donors, samples), labels of its own, so
that it is a study of its own. The values are those of SOURCE (CSR), each as often as it is read.
"""

import sys
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 - registers the filters that a source may be compressed with
import numpy as np


def tile(source: Path, target: Path, times: int, own: tuple[str, ...] = ()) -> None:
    """Write the file; see the head of this one."""
    with h5py.File(source, "r") as old, h5py.File(target, "w", libver="latest") as new:
        _copy_attributes(old, new)
        for name in ("var", "uns"):
            if name in old:
                old.copy(name, new)
        _matrix(old["X"], new.create_group("X"), times)
        obs = new.create_group("obs")
        _copy_attributes(old["obs"], obs)
        for name, column in old["obs"].items():
            _column(column, obs, name, times, labelled=name in own, names=name == old["obs"].attrs["_index"])
        if "obsm" in old:
            obsm = new.create_group("obsm")
            _copy_attributes(old["obsm"], obsm)
            for name, array in old["obsm"].items():
                if isinstance(array, h5py.Dataset):
                    _virtual(array, obsm, name, times)


def _matrix(old: h5py.Group, new: h5py.Group, times: int) -> None:
    _copy_attributes(old, new)
    cells, genes = old.attrs["shape"]
    new.attrs["shape"] = np.array([cells * times, genes], np.int64)
    once = old["indptr"][:].astype(np.int64)
    pointers = new.create_dataset("indptr", (cells * times + 1,), "i8")
    for turn in range(times):
        pointers[turn * cells : (turn + 1) * cells + 1] = once + turn * once[-1]
    for name in ("data", "indices"):
        _virtual(old[name], new, name, times)


def _virtual(old: h5py.Dataset, parent: h5py.Group, name: str, times: int) -> None:
    """The rows of an array over and over, which stay in the file that has them."""
    n = old.shape[0]
    rows = h5py.VirtualLayout((n * times, *old.shape[1:]), old.dtype)
    for turn in range(times):
        rows[turn * n : (turn + 1) * n] = h5py.VirtualSource(old)
    _copy_attributes(old, parent.create_virtual_dataset(name, rows))


def _column(
    old: h5py.Group | h5py.Dataset, parent: h5py.Group, name: str, times: int, *, labelled: bool, names: bool
) -> None:
    if isinstance(old, h5py.Dataset):
        new = parent.create_dataset(name, (old.shape[0] * times,), old.dtype)
        _copy_attributes(old, new)
        texts = old.asstr()[:] if names else old[:]
        for turn in range(times):
            own = [f"{text}-t{turn}" for text in texts] if names else texts
            new[turn * len(texts) : (turn + 1) * len(texts)] = own
        return
    new = parent.create_group(name)
    _copy_attributes(old, new)
    codes, labels = old["codes"][:], old["categories"]
    if labelled:
        shift = np.where(codes < 0, 0, labels.shape[0])
        codes = np.concatenate([codes.astype(np.int32) + turn * shift for turn in range(times)])
        texts = [f"{text}-t{turn}" for turn in range(times) for text in labels.asstr()[:]]
        _copy_attributes(labels, new.create_dataset("categories", data=texts, dtype=labels.dtype))
    else:
        codes = np.tile(codes, times)
        old.copy("categories", new)
    _copy_attributes(old["codes"], new.create_dataset("codes", data=codes))


def _copy_attributes(old: h5py.Group | h5py.Dataset, new: h5py.Group | h5py.Dataset) -> None:
    for key, value in old.attrs.items():
        new.attrs[key] = value


if __name__ == "__main__":
    tile(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), tuple(sys.argv[4:]))
