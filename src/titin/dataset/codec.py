"""Row blocks to integer counts and back, bit for bit.

A normalised value is k / scale of an integer k, a log-normalised one the logarithm of 1 + k / scale. `encode` finds k
and scale for every cell, keeps the exact source value of each distinct count (``levels``), and decodes what it made to
prove that nothing is lost.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.dataset.kernels import decode_levels, drop_zeros, inspect_rows
from titin.dataset.kinds import Kind, ValueKind
from titin.dataset.recovery import WITNESSED, recover_counts
from titin.dataset.transforms import MAX_ULP, log_unit_of

MAX_COUNT = 2**32 - 1


class RefusedError(Exception):
    """Some cells of a block are not of the kind asked for.

    Attributes
    ----------
    cells
        Positions of the first such cells (at most five) within the block.
    """

    def __init__(self, cells: NDArray[np.int64]) -> None:
        super().__init__(f"cells {cells.tolist()}")
        self.cells = cells

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.cells,)


class InvalidValueError(Exception):
    """A value that no dataset can hold.

    Attributes
    ----------
    problem
        ``nan``, ``infinite``, ``negative``, ``repeated`` (a gene twice in one cell) or ``gene`` (no such gene).
    cell, gene
        Position of the cell within the block, and of the gene.
    value
        The offending value.
    """

    def __init__(self, problem: str, cell: int, gene: int, value: float) -> None:
        super().__init__(f"{problem} at cell {cell}, gene {gene}: {value}")
        self.problem, self.cell, self.gene, self.value = problem, cell, gene, value

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problem, self.cell, self.gene, self.value)


@dataclass(frozen=True)
class Encoded:
    """A row block as the format stores it, genes still by source position and in source order.

    Attributes
    ----------
    kind
        See `titin.dataset.kinds`.
    indptr
        int64, cells + 1.
    genes
        int32 gene positions, every one of them with a stored value.
    counts
        uint16 or uint32, parallel to ``genes``; of kind ``real`` the float32 or float64 values instead.
    values
        The source's values, float64, parallel to ``genes``.
    scale
        float32 a cell: value ≈ count / scale, or a logarithm of 1 + that. Empty unless counts were recovered.
    levels, level_indptr
        The exact source values of each cell's distinct counts, by ascending count; int64, cells + 1.
        Empty unless counts were recovered.
    worst_ulp
        Largest distance of a value from what its count gives, in float32 units in the last place.
    chance
        Logarithm of the chance that values without counts behind them would have passed for this kind.
    witnessed
        Whether each cell has its counts from the witness. Empty unless counts were recovered.
    n_zeros, n_unsorted
        Explicit zeros dropped; cells whose genes were not in ascending order.
    """

    kind: Kind
    indptr: NDArray[np.int64]
    genes: NDArray[np.int32]
    counts: NDArray[Any]
    values: NDArray[np.float64]
    scale: NDArray[np.float32]
    levels: NDArray[Any]
    level_indptr: NDArray[np.int64]
    worst_ulp: float = 0.0
    chance: float = 0.0
    witnessed: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    n_zeros: int = 0
    n_unsorted: int = 0


_NO_FLOATS, _NO_SCALE, _NO_INTEGERS = np.empty(0), np.empty(0, np.float32), np.empty(0, np.int64)
_PROBLEMS = ("", "nan", "infinite", "negative", "repeated", "gene")


def encode(
    indptr: NDArray[np.int64],
    indices: NDArray[Any],
    data: NDArray[Any],
    n_genes: int,
    kind: Kind,
    *,
    base: str = "e",
    witness: NDArray[Any] | None = None,
    allow_negative: bool = False,
) -> Encoded:
    """Encode a CSR row block, and prove that `decode` gives every value back bit for bit.

    Parameters
    ----------
    indptr, indices, data
        The block; genes of a cell in any order, explicit zeros allowed.
    n_genes
        Gene positions are 0 … ``n_genes - 1``.
    kind
        What to take the values for.
    base
        Of the logarithm, of kind ``log1p``.
    witness
        Integer counts known from elsewhere, parallel to ``data``; used where they fit.
    allow_negative
        Accept negative values (kind ``real`` only).

    Raises
    ------
    InvalidValueError
        For NaN, infinity, a negative value, a gene that does not exist or that a cell names twice.
    RefusedError
        If some cells are not of that kind.
    """
    dtype = data.dtype
    genes = np.ascontiguousarray(indices, np.int32) if n_genes < 2**31 else indices
    values = np.ascontiguousarray(data, np.float64)
    if not np.can_cast(indices.dtype, genes.dtype) and len(beyond := np.flatnonzero(genes != indices)):
        cell, at = int(_cells_of(indptr, beyond)[0]), beyond[0]
        raise InvalidValueError("gene", cell, int(indices[at]), float(values[at]))
    problem, cell, at, n_zeros, n_unsorted = inspect_rows(indptr, genes, values, n_genes, allow_negative)
    if problem:
        raise InvalidValueError(_PROBLEMS[problem], cell, int(genes[at]), float(values[at]))
    if n_zeros:
        keep = values != 0
        witness = None if witness is None else np.asarray(witness)[keep]
        indptr, genes, values = drop_zeros(indptr, keep), genes[keep], values[keep]
    found = {"n_zeros": n_zeros, "n_unsorted": n_unsorted}
    if kind == "real":
        exact = np.float32 if dtype.kind == "f" and dtype.itemsize <= 4 else np.float64
        if dtype.kind in "iu" and (np.abs(values) >= 2**53).any():  # 2^53 + 1 reads as 2^53
            raise RefusedError(_cells_of(indptr, np.flatnonzero(np.abs(values) >= 2**53)))
        return Encoded(kind, indptr, genes, values.astype(exact), values, _NO_SCALE, _NO_FLOATS, _NO_INTEGERS, **found)
    if kind == "counts":
        odd = np.flatnonzero((values != np.rint(values)) | (values > MAX_COUNT) | (values < 0))
        if len(odd):
            raise RefusedError(_cells_of(indptr, odd))
        return Encoded(kind, indptr, genes, _narrow(values), values, _NO_SCALE, _NO_FLOATS, _NO_INTEGERS, **found)
    if allow_negative and (values < 0).any():
        raise RefusedError(_cells_of(indptr, np.flatnonzero(values < 0)))
    if dtype.kind in "iub" and len(values):  # integers that are no counts are too large ones
        raise RefusedError(_cells_of(indptr, np.zeros(1, np.int64)))
    return _encode_normalised(ValueKind(kind, base), indptr, genes, values, dtype, witness, found)


def _encode_normalised(
    kind: ValueKind,
    indptr: NDArray[np.int64],
    genes: NDArray[np.int32],
    values: NDArray[np.float64],
    dtype: np.dtype,
    witness: NDArray[Any] | None,
    found: dict[str, int],
) -> Encoded:
    n_cells = len(indptr) - 1
    counts = np.empty(len(values), np.uint32)
    scale, worst = np.empty(n_cells, np.float32), np.empty(n_cells, np.float32)
    n_levels, chances = np.empty(n_cells, np.int32), np.empty(n_cells)
    known = _NO_FLOATS if witness is None else np.ascontiguousarray(witness, np.float64)
    levels = recover_counts(indptr, values, known, log_unit_of(kind), counts, scale, worst, n_levels, chances)
    if (worst > MAX_ULP).any():
        raise RefusedError(np.flatnonzero(worst > MAX_ULP)[:5])
    level_indptr = np.concatenate([[0], np.cumsum(n_levels, dtype=np.int64)])
    stored = levels.astype(np.float64 if dtype == np.float64 else np.float32)
    block = Encoded(
        kind.name, indptr, genes, _narrow(counts), values, scale, stored, level_indptr,
        worst_ulp=float(worst.max(initial=0.0)), chance=float(chances.sum()), witnessed=chances == WITNESSED, **found,
    )  # fmt: skip
    different = np.flatnonzero(decode(block) != values)
    if len(different):
        raise RefusedError(_cells_of(indptr, different))
    return block


def decode(block: Encoded) -> NDArray[Any]:
    """Return the source's values of an encoded block, parallel to its ``genes``.

    float32 or float64 as in ``levels`` or ``counts``; of kind ``counts`` the integers themselves.
    """
    if not ValueKind(block.kind).has_levels:
        return block.counts
    return decode_values(block.indptr, block.counts, block.level_indptr, block.levels)


def decode_values(
    indptr: NDArray[np.int64], counts: NDArray[Any], level_indptr: NDArray[np.int64], levels: NDArray[Any]
) -> NDArray[Any]:
    """Look up the exact value of every count: the i-th smallest distinct count of a cell has its i-th level.

    Raises
    ------
    ValueError
        If a cell's levels are not as many as its distinct counts.
    """
    values = np.empty(len(counts), levels.dtype)
    bad = decode_levels(indptr, counts, level_indptr, levels, values)
    if bad >= 0:
        raise ValueError(f"cell {bad} of the block has {level_indptr[bad + 1] - level_indptr[bad]} levels, "
                         "which is not its number of distinct counts")  # fmt: skip
    return values


def _narrow(counts: NDArray[Any]) -> NDArray[Any]:
    """Counts as uint16, or uint32 when one needs it."""
    return counts.astype(np.uint16 if counts.max(initial=0) <= np.iinfo(np.uint16).max else np.uint32)


def _cells_of(indptr: NDArray[np.int64], positions: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.unique(np.searchsorted(indptr, positions, side="right") - 1)[:5]
