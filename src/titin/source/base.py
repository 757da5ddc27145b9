"""A source: its matrices, its tables, and the checksum that a dataset names it by."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from titin.dataset.block import Block

PIECE = 8 << 20


def sha256(path: Path) -> str:
    """Return the checksum of a file; of a folder, that of its sorted relative paths and their checksums.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "empty"
    ...     _ = file.write_bytes(b"")
    ...     sha256(file)[:8]
    'e3b0c442'
    """
    if path.is_dir():
        total = hashlib.sha256()
        files = sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file())
        for name, file in files:
            total.update(f"{_of_file(file)}  {name}\n".encode())
        return total.hexdigest()
    return _of_file(path)


def _of_file(path: Path) -> str:
    digest = hashlib.sha256()
    piece = memoryview(bytearray(PIECE))
    with path.open("rb", buffering=0) as file:
        while n := file.readinto(piece):
            digest.update(piece[:n])
    return digest.hexdigest()


class Matrix(ABC):
    """One cells × genes matrix of a source, readable as row blocks in bounded memory.

    Attributes
    ----------
    name
        Where it lies in the source: ``X``, ``layers/counts``, ``raw/X``.
    shape
        Cells, genes.
    dtype
        Of the stored values.
    storage
        How the source lays it out.
    nnz
        Number of stored values; ``None`` where only reading everything would tell (dense).
    """

    name: str
    shape: tuple[int, int]
    dtype: np.dtype
    storage: Literal["csr", "csc", "dense"]
    nnz: int | None

    @abstractmethod
    def blocks(self, max_bytes: int, scratch: Path) -> Iterator[Block]:
        """Yield all cells once, in source order.

        Parameters
        ----------
        max_bytes
            Aim for blocks of at most this many bytes of indices and values; a block has at least one cell.
        scratch
            An existing folder for intermediate files (a CSC source is transposed there); left empty.

        Raises
        ------
        SourceError
            If the file ends early or its arrays disagree.
        """


@dataclass
class Source:
    """An opened atlas.

    Attributes
    ----------
    path, format
        The file or folder, and ``h5ad``, ``zarr`` or ``10x``.
    X
        The matrix chosen with ``layer`` or ``raw``.
    counts
        A matrix of integer counts with the cells and genes of ``X``, if the source has one beside it
        (``layers/counts``, ``raw/X``); a witness for count recovery.
    obs, var
        Tables with cell and gene names as their index.
    obsm
        Arrays, data frames or sparse matrices with one row a cell.
    uns
        Unstructured metadata, any depth.
    left_out
        What the source has and a dataset does not keep: name and reason.
    """

    path: Path
    format: Literal["h5ad", "zarr", "10x"]
    X: Matrix
    counts: Matrix | None
    obs: pd.DataFrame
    var: pd.DataFrame
    obsm: Mapping[str, Any] = field(default_factory=dict)
    uns: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    _release: Callable[[], None] | None = field(default=None, repr=False, compare=False)

    def sha256(self) -> str:
        """Checksum of the file; of a folder, of its sorted relative paths and their checksums."""
        return sha256(self.path)

    def close(self) -> None:
        """Close the underlying file; safe to call twice. The matrices and ``obsm`` cannot be read afterwards."""
        release, self._release = self._release, None
        if release is not None:
            release()

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
