"""Which reader a stored matrix needs."""

from pathlib import Path
from typing import Any

import h5py

from titin.errors import SourceError
from titin.source._csc import CSCMatrix
from titin.source._csr import CSRMatrix
from titin.source._dense import DenseMatrix
from titin.source._reading import DAMAGED, attribute, encoding, is_group, reading
from titin.source._stored import StoredMatrix
from titin.source._vector import open_vector


def open_matrix(path: Path, node: Any, name: str) -> StoredMatrix:
    """Open an AnnData matrix element, sparse or dense, of any AnnData version.

    Raises
    ------
    SourceError
        If the element is no matrix, or its parts disagree.
    """
    with reading(path, name):
        return _open_sparse(path, node, name) if is_group(node) else _open_dense(path, node, name)


def _open_dense(path: Path, node: Any, name: str) -> StoredMatrix:
    if node.ndim != 2 or node.dtype.names:
        raise SourceError(f"{path}: {name} has shape {node.shape} and type {node.dtype}, not cells × genes", DAMAGED)
    return DenseMatrix(path, name, node, _whole_pieces(node))


def is_absent(node: Any) -> bool:
    """Whether an element is AnnData's way to say None."""
    return encoding(node) == "null"


def sparse_format(node: Any) -> str:
    """Return ``csr``, ``csc``, or an empty string where a group is not a sparse matrix."""
    known = {"csr_matrix": "csr", "csc_matrix": "csc"}
    return known.get(encoding(node), attribute(node, "h5sparse_format"))


def sparse_shape(node: Any) -> tuple[int, int]:
    """Return rows and columns of a sparse matrix."""
    n_rows, n_columns = node.attrs["shape"] if "shape" in node.attrs else node.attrs["h5sparse_shape"]
    return int(n_rows), int(n_columns)


def _open_sparse(path: Path, group: Any, name: str) -> StoredMatrix:
    kind = sparse_format(group)
    if kind not in ("csr", "csc"):
        what = encoding(group) or "a group without encoding"
        raise SourceError(f"{path}: {name} is {what}, not a CSR, CSC or dense matrix", DAMAGED)
    parts = ("indptr", "indices", "data")
    indptr, indices, data = (open_vector(path, group[part], f"{name}/{part}") for part in parts)
    matrix = CSRMatrix if kind == "csr" else CSCMatrix
    return matrix(path, name, sparse_shape(group), indptr, indices, data)


def _whole_pieces(array: Any) -> tuple[int, int] | None:
    """Shape of the chunks that cost the whole chunk to read; plain HDF5 chunks can be read in part."""
    if isinstance(array, h5py.Dataset) and (array.chunks is None or not array.id.get_create_plist().get_nfilters()):
        return None
    return tuple(array.chunks)
