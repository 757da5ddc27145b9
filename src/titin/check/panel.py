"""The rows of ``expression_panel``, beside the row groups of ``expression`` that they must agree with."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from titin.dataset import layout
from titin.dataset.kernels import scatter_columns
from titin.dataset.layout import Layout
from titin.dataset.store import RowGroup, Store
from titin.errors import DatasetError


@dataclass(frozen=True)
class PanelRows:
    """Rows of the panel.

    Attributes
    ----------
    kind
        Of the matrix.
    names, column
        Columns of genes, and int32 by token: the gene's column, -1 if it has none.
    values
        float32, rows × genes; null is NaN.
    """

    kind: str
    names: list[str]
    column: NDArray[np.int32]
    values: NDArray[np.float32]
    file: str


class PanelReader:
    """Gives the rows of the panel that belong to row groups of ``expression``, in order; keeps one of its row groups.

    Parameters
    ----------
    store
        The dataset.
    genes
        Feature metadata as stored: one row a gene.

    Raises
    ------
    DatasetError
        If the panel cannot be read.
    """

    def __init__(self, store: Store, genes: pd.DataFrame) -> None:
        manifest = store.manifest
        self._store, self._kind = store, manifest.kind
        self._groups = list(store.row_groups(manifest.layout.expression_panel))
        self.names = panel_genes(store)
        tokens = panel_tokens(genes, self.names, manifest.layout)
        self._column = np.full(manifest.n_genes, -1, np.int32)
        self._column[tokens] = np.arange(len(tokens), dtype=np.int32)
        self._held: tuple[RowGroup, NDArray[np.float32]] | None = None

    @property
    def n_rows(self) -> int:
        """Rows of the panel."""
        return sum(group.n_rows for group in self._groups)

    def of(self, group: RowGroup) -> PanelRows | None:
        """The rows of the panel with the positions of a row group's cells; None where the panel ends before."""
        parts = []
        first, last = group.first_row, group.first_row + group.n_rows
        for own in self._groups:
            a, b = max(first, own.first_row), min(last, own.first_row + own.n_rows)
            if a < b:
                parts.append(self._read(own)[a - own.first_row : b - own.first_row])
        if sum(map(len, parts)) != group.n_rows:
            return None
        values = parts[0] if len(parts) == 1 else np.concatenate(parts)
        file = next(g.shard for g in self._groups if g.first_row + g.n_rows > first)
        return PanelRows(self._kind, self.names, self._column, values, file)

    def _read(self, group: RowGroup) -> NDArray[np.float32]:
        if self._held is None or self._held[0] != group:
            table = self._store.read_group(group, self.names)
            values = np.empty((table.num_rows, len(self.names)), np.float32, order="F")
            for j, name in enumerate(self.names):
                column = table.column(name)
                values[:, j] = column.cast(pa.float32(), safe=False).to_numpy()
            self._held = group, values
        return self._held[1]


def panel_genes(store: Store) -> list[str]:
    """Columns of the panel that are genes, in order."""
    manifest = store.manifest
    shard = manifest.shards(manifest.layout.expression_panel)[0]
    labels = {layout.CELL_ID, *manifest.obs.get("labels", [])}
    return [name for name in store.footer(shard).schema.to_arrow_schema().names if name not in labels]


def panel_tokens(genes: pd.DataFrame, names: list[str], files: Layout) -> NDArray[np.int64]:
    """Tokens of the panel's genes: of a repeated symbol the first, which most cells express.

    Raises
    ------
    DatasetError
        If a column is no gene.
    """
    genes = genes.drop_duplicates(layout.GENE)
    known = dict(zip(genes[layout.GENE], zip(genes[layout.TOKEN], genes[layout.GENE_IDS], strict=True), strict=True))
    return np.array([_token(name, known, files) for name in names], np.int64)


def _token(name: str, known: dict[str, tuple[int, str]], files: Layout) -> int:
    """Token of a column: named by symbol, or where that was taken by symbol and id, or symbol and number."""
    if name in known:
        return int(known[name][0])
    for at in (i for i, letter in enumerate(name) if letter == "_"):
        token, gene_id = known.get(name[:at], (-1, ""))
        if token >= 0 and (name[at + 1 :] == gene_id or name[at + 1 :].isdecimal()):
            return int(token)
    raise DatasetError(
        f"{files.expression_panel}: column {name!r} is no gene of {files.feature_metadata}",
        "restore the file, or build the dataset again",
    )


def compare_panel(
    panel: PanelRows, group: RowGroup, indptr: NDArray[np.int64], tokens: NDArray, elements: NDArray, values: NDArray
) -> list[tuple[str, int, str, str]]:
    """What of the panel's rows differs from the values of a row group of ``expression``."""
    expected = np.empty(panel.values.shape, np.float32)
    scatter_columns(indptr, tokens, _log_normalised(panel.kind, indptr, elements, values), panel.column, expected)
    differ = expected != panel.values  # NaN differs from everything
    if panel.kind == "counts" and differ.any():  # computed again, perhaps by another library
        differ = ~(np.abs(expected - panel.values) <= np.spacing(np.maximum(np.abs(expected), np.abs(panel.values))))
    if not differ.any():
        return []
    row, column = (int(i) for i in np.argwhere(differ)[0])
    said = f"{panel.values[row, column]} where {layout.COUNTS} give {expected[row, column]}"
    where = f"{panel.file}, column {panel.names[column]}, row {group.first_row + row:,}"
    return [("panel", int(differ.sum()), said, where)]


def _log_normalised(kind: str, indptr: NDArray[np.int64], elements: NDArray, values: NDArray) -> NDArray[np.float32]:
    if kind != "counts":
        return np.asarray(values, np.float32)
    ends = np.concatenate([[0], np.cumsum(elements, dtype=np.float64)])
    totals = np.maximum(np.diff(ends[indptr]), 1.0)
    return np.asarray(np.log1p(elements * np.repeat(layout.TARGET_SUM / totals, np.diff(indptr))), np.float32)
