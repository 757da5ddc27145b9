"""A source: its matrices, its tables, and the checksum that a dataset names it by."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.dataset.block import Block
from titin.dataset.kinds import ValueKind
from titin.source.inventory import Origin


class RowReader(Protocol):
    """Reads rows of a matrix in any process, where the file is at the same path; made to be pickled."""

    @property
    def entry_bytes(self) -> int:
        """Bytes of one stored value and its index."""
        ...

    def read(self, start: int, indptr: NDArray[np.int64]) -> Block:
        """Read the cells from ``start`` on whose values lie where ``indptr`` (cells + 1) says."""
        ...


class DistantRows(NamedTuple):
    """What reads rows of a matrix anywhere, and where the values of each lie (int64, cells + 1)."""

    reader: RowReader
    indptr: NDArray[np.int64]


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

    def distant_rows(self) -> DistantRows | None:
        """What other processes can read its cells with; None where only this one can, or only all of them in order."""
        return None


@dataclass
class Source:
    """An opened atlas.

    Attributes
    ----------
    inventory
        The file or folder with all files that it consists of, as they were when it was opened.
    format
        ``h5ad``, ``zarr``, ``h5mu`` or ``10x``; ``titin`` of what is made of datasets (`titin.compose`).
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
    notes
        What was taken for something else than the file says, for people.
    symbols
        Column of var with the symbols, where ids are the index because symbols repeat.
    own_names
        Where var has another index than in the file: the column that was it (``column``), and its name (``name``).
    skipped_obs
        Reads the columns of obs that were not chosen, those of them that can be read.
    kind
        What the values are, where that was proven before, of a dataset; None where the values have to tell.
    genes
        Symbol (``gene``) and stable id (``gene_ids``) of each gene, where they are known; None where var has to tell.
    ages
        What titin had added to the table of cells: by name, the column and what it was made from; None where obs has
        to tell.
    made_of
        What it is made of: JSON-safe, an entry a dataset or file; empty for a file.
    studies
        Of several studies: by name, what restores each; see `titin.compose.union`.
    parts
        Further matrices of the same cells that a dataset is to keep, by their place in AnnData (``layers/spliced``,
        ``raw``, ``mod/prot``): each as a source with another X and, unless it is a layer, its own var.
    arrays
        Arrays of genes, and what lies between cells or genes, that a dataset is to keep: by place (``varm/PCs``,
        ``obsp/distances``), each read when asked for.
    """

    inventory: Origin
    format: Literal["h5ad", "zarr", "h5mu", "10x", "titin"]
    X: Matrix
    counts: Matrix | None
    obs: pd.DataFrame
    var: pd.DataFrame
    obsm: Mapping[str, Any] = field(default_factory=dict)
    uns: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    symbols: str | None = None
    own_names: dict[str, Any] | None = None
    skipped_obs: Callable[[], pd.DataFrame] = pd.DataFrame
    kind: ValueKind | None = None
    genes: pd.DataFrame | None = None
    ages: Mapping[str, tuple[pd.Series, dict[str, Any]]] | None = None
    made_of: list[dict[str, Any]] = field(default_factory=list)
    studies: dict[str, dict[str, Any]] = field(default_factory=dict)
    parts: dict[str, "Source"] = field(default_factory=dict)
    arrays: Mapping[str, Any] = field(default_factory=dict)
    _release: Callable[[], None] | None = field(default=None, repr=False, compare=False)

    @property
    def path(self) -> Path:
        """The file or folder."""
        return self.inventory.path

    def with_matrix(self, X: Matrix, **other: Any) -> "Source":
        """A further matrix of these cells, as a source of its own; what closes this closes it."""
        said = {
            "counts": None,
            "kind": None,
            "obsm": {},
            "left_out": {},
            "notes": [],
            "parts": {},
            "arrays": {},
            **other,
        }
        return replace(self, X=X, _release=None, **said)

    def sha256(self) -> str:
        """Checksum of the file; of a folder, of its sorted relative paths and their checksums."""
        return self.inventory.sha256()

    def check_unchanged(self) -> None:
        """Refuse a source that is not as it was when it was opened; see `Inventory.check_unchanged`.

        Raises
        ------
        SourceError
            With what changed.
        """
        self.inventory.check_unchanged()

    def close(self) -> None:
        """Close the underlying file; safe to call twice. The matrices and ``obsm`` cannot be read afterwards."""
        release, self._release = self._release, None
        if release is not None:
            release()

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
