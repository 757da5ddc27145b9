"""The gene-major file in blocks of whole genes: sums over cells need no more memory than what they give."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from titin.ageing.kernels import add_to_cells, sum_by_group
from titin.atlas import Atlas, open_atlas
from titin.atlas.comparable import ComparableStore
from titin.atlas.row_groups import gene_blocks, give_back_memory, read_gene_block
from titin.cluster import spread
from titin.dataset import layout
from titin.dataset.arrow import ParquetFile, list_arrays, list_column
from titin.dataset.block import GeneBlock, bounded_runs
from titin.dataset.kernels import first_disorder
from titin.dataset.replace import revise
from titin.dataset.row_group import RowGroup
from titin.dataset.store import Store
from titin.errors import TitinError
from titin.extras import check_installed
from titin.progress import Progress
from titin.publish import refresh_card
from titin.study.design import level_columns, need
from titin.study.groups import CellGroups, group_cells

if TYPE_CHECKING:
    from anndata import AnnData

HOW_TO_HAVE_COUNTS = "build it from a source with counts, or with --layer or --raw if the source has them there"


def map_genes(
    atlas: Atlas, function: Callable[[GeneBlock], Any], *, threads: int, advance: Callable[[int], None]
) -> Iterator[Any]:
    """Yield ``function(block)`` for all genes, in the order of tokens, computed in threads or on the atlas's cluster.

    For a cluster the function is one of a module, or a `functools.partial` of one.

    Raises
    ------
    DatasetError
        If a file is missing, damaged or replaced.
    """
    groups = atlas.store.row_groups(atlas.layout.expression_by_gene)
    cluster = atlas.reader.resources.cluster
    for group, found in zip(groups, spread(_map_group, (atlas.store, function), groups, threads, cluster), strict=True):
        yield found
        advance(group.n_rows)
    give_back_memory()


def _map_group(store: Store, function: Callable[[GeneBlock], Any], group: RowGroup) -> Any:
    return function(read_gene_block(store, group))


def cell_totals(atlas: Atlas, *, threads: int) -> NDArray[np.float64]:
    """Counts of each cell, all genes together (float64)."""
    totals = np.zeros(atlas.n_obs)
    for block in gene_blocks(atlas.store, threads=threads):
        add_to_cells(block.cells, block.stored, totals)
    return totals


@dataclass(frozen=True)
class Pseudobulk:
    """Groups of cells × genes.

    Attributes
    ----------
    groups
        One row a group: ``donor``, ``sample``, ``protocol``, ``chemistry``, ``sex`` (text), ``age`` (years), as far as
        the dataset has them; a column of labels a level, named as in obs; ``n_cells``.
    counts
        int64 CSR, groups × genes: counts summed over the cells of the group.
    detected
        int64 CSR, groups × genes: cells of the group with a count.
    genes
        One row a gene, in the order of tokens: ``gene``, ``gene_id``.
    levels
        Columns of ``groups`` that hold labels, coarsest first.
    """

    groups: pd.DataFrame
    counts: sparse.csr_matrix
    detected: sparse.csr_matrix
    genes: pd.DataFrame
    levels: list[str]

    def __len__(self) -> int:
        return len(self.groups)

    def select(self, mask: Any = None, /, **columns: Any) -> "Pseudobulk":
        """Keep some groups.

        Parameters
        ----------
        mask
            Boolean, or positions.
        **columns
            The value, or list of values, that a column of ``groups`` must have.

        Raises
        ------
        TitinError
            If ``groups`` has no such column.

        Examples
        --------
        >>> own = pseudobulk(atlas).select(protocol="cells", cell_type="B cell")  # doctest: +SKIP
        """
        positions = np.arange(len(self)) if mask is None else np.arange(len(self))[np.asarray(mask)]
        for name, value in columns.items():
            wanted = [value] if np.isscalar(value) else list(value)
            positions = positions[self._column(name).iloc[positions].isin(wanted).to_numpy()]
        return replace(
            self,
            groups=self.groups.iloc[positions].reset_index(drop=True),
            counts=self.counts[positions],
            detected=self.detected[positions],
        )

    def aggregate(self, by: Sequence[str]) -> "Pseudobulk":
        """Sum groups that agree in some columns.

        Groups that lack one of these values are left out. Of the other columns, those stay that are the same throughout
        every new group.

        Parameters
        ----------
        by
            Columns of ``groups``.

        Raises
        ------
        TitinError
            If ``groups`` has no such column.
        """
        keys = pd.DataFrame({name: self._column(name) for name in by})
        grouped = keys.groupby(list(by), sort=True, dropna=True)
        group_of = grouped.ngroup().fillna(-1).to_numpy().astype(np.int64)
        kept = np.flatnonzero(group_of >= 0)
        codes, n_groups = group_of[kept], grouped.ngroups
        which = sparse.csr_matrix((np.ones(len(kept), np.int64), (codes, kept)), shape=(n_groups, len(self)))
        first = np.zeros(n_groups, np.int64)
        first[codes[::-1]] = kept[::-1]
        same = [
            name
            for name in map(str, self.groups)
            if name not in (*by, layout.N_CELLS) and self._constant(name, codes, kept)
        ]
        groups = self.groups[[*by, *same]].iloc[first].reset_index(drop=True)
        groups[layout.N_CELLS] = which @ self.groups[layout.N_CELLS].to_numpy()
        levels = [name for name in self.levels if name in groups]
        return replace(
            self, groups=groups, counts=_csr(which @ self.counts), detected=_csr(which @ self.detected), levels=levels
        )

    def to_anndata(self) -> "AnnData":
        """Return an AnnData of groups × genes: counts as ``X``, ``layers["detected"]``, groups as ``obs``."""
        check_installed("anndata", "to_anndata")
        import anndata as ad

        obs = self.groups.set_index(self.groups.index.astype(str))
        var = self.genes.set_index(self.genes["gene_id"].astype(str).rename(None))
        return ad.AnnData(self.counts.copy(), obs=obs, var=var, layers={"detected": self.detected.copy()})

    def _column(self, name: str) -> pd.Series:
        if name not in self.groups:
            raise TitinError(f"the pseudobulk has no column {name!r}", f"it has {', '.join(map(str, self.groups))}")
        return self.groups[name]

    def _constant(self, name: str, codes: NDArray[np.int64], kept: NDArray[np.int64]) -> bool:
        values = pd.factorize(self.groups[name].iloc[kept])[0]
        pairs = pd.DataFrame({"group": codes, "value": values}).drop_duplicates()
        return not bool(pairs["group"].duplicated().any())


def pseudobulk(
    atlas: Atlas, *, extra: Sequence[str] = (), threads: int | None = None, progress: Progress | None = None
) -> Pseudobulk:
    """Sum counts, cells with a count, and cells, over every distinct donor × sample × protocol × label.

    The groups are the finest that donors, samples, protocols, chemistries, sexes, ages and labels of all levels make;
    those of any one level are `Pseudobulk.aggregate` of them. Read from the dataset's file where `write_pseudobulk` has
    left one of the same groups, else computed in one pass over the genes. Of several studies these are the genes that
    all of them measured, see `titin.Atlas.comparable`.

    Parameters
    ----------
    atlas
        The dataset.
    extra
        Further columns of obs to tell groups apart by, such as a treatment.
    threads
        All that the atlas was opened with, where not given.
    progress
        Told of the pass.

    Raises
    ------
    TitinError
        If the dataset has no counts, no donors, or no such column in obs.
    DatasetError
        If a file is missing, damaged or replaced.
    """
    check_counts(atlas)
    extra = [name for name in extra if name not in ("donor", "sample", "protocol", "chemistry", "sex", "age")]
    levels = list(level_columns(atlas.roles))
    extra = [name for name in extra if name not in levels]
    atlas = atlas.comparable()
    stored = None if extra else read_file(atlas.store, levels)
    cells = group_cells(atlas, extra=extra)
    if stored is not None and _same_groups(stored[0], cells.table):
        return Pseudobulk(*stored, gene_names(atlas), levels)
    return sum_groups(atlas, cells, threads=threads, progress=progress)


def _same_groups(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two tables of groups say the same: what a file was made of may mean something else by now."""
    if list(one) != list(other) or len(one) != len(other):
        return False
    return all(
        np.array_equal(one[name].to_numpy(float), other[name].to_numpy(float), equal_nan=True)
        if pd.api.types.is_numeric_dtype(other[name].dtype)
        else one[name].fillna("").astype(str).equals(other[name].fillna("").astype(str))
        for name in other
    )


def gene_names(atlas: Atlas) -> pd.DataFrame:
    """Symbol (``gene``) and id (``gene_id``) of every gene, by token."""
    genes = pd.DataFrame({"gene": atlas.reader.genes.symbols, "gene_id": atlas.reader.genes.ids})
    return genes.take(atlas.source_columns).reset_index(drop=True)


def check_counts(atlas: Atlas) -> None:
    """Refuse a dataset without counts or donors.

    Raises
    ------
    TitinError
        In one sentence.
    """
    atlas.manifest.need_counts(HOW_TO_HAVE_COUNTS, f"{atlas.manifest.why_no_counts}, and pseudobulk sums counts")
    need([role for role, column in atlas.roles.items() if column], "donor", "donors are what is compared")


def sum_groups(
    atlas: Atlas, cells: CellGroups, *, threads: int | None = None, progress: Progress | None = None
) -> Pseudobulk:  # fmt: skip
    """Sum counts, and cells with a count, over groups of cells, in one pass over the genes.

    Parameters
    ----------
    atlas
        The dataset, of whose cells these are the groups; those of none take no part.
    cells
        Groups; of what is passed on their table is the ``groups``.
    threads, progress
        As for `pseudobulk`.

    Raises
    ------
    DatasetError
        If a file is missing, damaged or replaced.
    """
    n_groups = len(cells.table)
    threads, progress = threads or atlas.reader.resources.threads, progress or Progress()
    work = partial(_sum_genes, cells.codes, n_groups)
    progress.start("pseudobulk", atlas.n_vars, "genes")
    parts = list(map_genes(atlas, work, threads=threads, advance=progress.advance))
    progress.finish()
    kinds = np.int64, np.int32, np.int64, np.int64
    lengths, groups, sums, detected = (
        np.concatenate(part, dtype=kind) for part, kind in zip(zip(*parts, strict=True), kinds, strict=True)
    )
    del parts
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    by_gene = [sparse.csc_matrix((data, groups, indptr), (n_groups, atlas.n_vars)) for data in (sums, detected)]
    return Pseudobulk(cells.table, _csr(by_gene[0]), _csr(by_gene[1]), gene_names(atlas), cells.levels)


def _sum_genes(codes: NDArray[Any], n_groups: int, block: GeneBlock) -> tuple[NDArray[Any], ...]:
    size = min(len(block.cells), block.n_genes * n_groups)
    ends = np.zeros(block.n_genes, np.int64)
    groups, sums, detected = np.empty(size, np.int32), np.empty(size, np.int64), np.empty(size, np.int64)
    sum_by_group(block.indptr, block.cells, block.stored, codes, n_groups, ends, groups, sums, detected)
    n = int(ends[-1]) if len(ends) else 0
    return np.diff(ends, prepend=0), *(_narrow(found[:n]) for found in (groups, sums, detected))


def _narrow(values: NDArray[Any]) -> NDArray[Any]:
    """Integers in as few bytes as they take, as most of them are small and they may have far to go; a copy."""
    ends = int(values.min(initial=0)), int(values.max(initial=0))
    return values.astype(np.result_type(*map(np.min_scalar_type, ends)))


def _csr(matrix: Any) -> sparse.csr_matrix:
    found = sparse.csr_matrix(matrix)
    found.sort_indices()
    return found


_ROW_GROUP_ENTRIES = 500_000


def write_pseudobulk(atlas: Atlas, *, threads: int | None = None, progress: Progress | None = None) -> Atlas:
    """Compute the pseudobulk of a dataset and put it into it, recorded in its manifest, in one step.

    Parameters
    ----------
    atlas
        A local dataset.
    threads, progress
        As for `pseudobulk`.

    Returns
    -------
    Atlas
        The dataset as it is now.

    Raises
    ------
    TitinError
        If the dataset lies elsewhere, or has no counts or donors.
    OutputError
        If it cannot be written.
    """
    folder, name = atlas.folder, atlas.layout.pseudobulk
    check_counts(atlas)
    found = sum_groups(atlas.whole, group_cells(atlas), threads=threads, progress=progress)
    with revise(folder) as draft:
        for shard in draft.manifest.shards(name) if has_file(atlas.store) else ():
            draft.remove(shard)
        draft.changed.update(_write(found, draft.folder, name))
        refresh_card(draft)
    return open_again(atlas)


def open_again(atlas: Atlas) -> Atlas:
    """Open a dataset that was changed, with the memory, threads and cluster that it had."""
    resources = atlas.reader.resources
    return open_atlas(atlas.folder, memory=resources.memory, threads=resources.threads, cluster=resources.cluster)


def has_file(store: Store) -> bool:
    """Whether the dataset has its pseudobulk with it."""
    stem = store.manifest.layout.pseudobulk.removesuffix(".parquet")
    return any(name.startswith(stem) for name in store.manifest.files)


def read_file(store: Store, levels: Sequence[str]) -> tuple[pd.DataFrame, sparse.csr_matrix, sparse.csr_matrix] | None:
    """Read groups, counts and detection; None where the dataset has no file, or one of other levels.

    Raises
    ------
    DatasetError
        If the file is missing, damaged or replaced.
    """
    if not has_file(store):
        return None
    name = store.manifest.layout.pseudobulk
    table = store.table(name)
    lists = (layout.GENES, layout.COUNTS, layout.CELLS)
    if not set(levels) <= set(table.column_names):
        return None
    n_genes = store.whole.manifest.n_genes
    try:
        wrong = [c for c in lists if not layout.is_list_of_format(c, table.schema.field(c).type)]
        if wrong:
            raise ValueError(f"its column {wrong[0]} is {table.schema.field(wrong[0]).type}, which the format has not")
        indptr, tokens = list_arrays(table.column(layout.GENES))
        matrices = [_matrix(indptr, tokens, list_arrays(table.column(c)), n_genes) for c in lists[1:]]
    except (KeyError, ValueError) as error:
        raise store.damaged(store.manifest.shards(name)[0], error) from error
    groups = pd.DataFrame({c: _values(table.column(c)) for c in table.column_names if c not in lists})
    if isinstance(store, ComparableStore):
        matrices = [matrix[:, store.kept] for matrix in matrices]
    return groups, matrices[0], matrices[1]


def _matrix(
    indptr: NDArray[np.int64], tokens: NDArray[Any], column: tuple[NDArray[np.int64], NDArray[Any]], n_genes: int
) -> sparse.csr_matrix:
    if not np.array_equal(indptr, column[0]):
        raise ValueError("its lists differ in length")
    if first_disorder(indptr, tokens, -1, n_genes) >= 0:
        raise ValueError(f"genes of a group do not ascend below {n_genes:,}")
    return sparse.csr_matrix((column[1].astype(np.int64), tokens.astype(np.int32), indptr), (len(indptr) - 1, n_genes))


def _values(column: pa.ChunkedArray) -> Any:
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
        return column.to_numpy()
    return np.array(column.to_pylist(), object)


def _write(found: "Pseudobulk", folder: Any, name: str) -> list[str]:
    counts, detected, groups = found.counts, found.detected, found.groups
    numeric = [c for c in groups if pd.api.types.is_numeric_dtype(groups[c].dtype)]
    labels = {
        c: pa.array(groups[c]) if c in numeric else pa.array(groups[c], pa.string()).dictionary_encode() for c in groups
    }
    tokens = layout.gene_type(counts.shape[1])
    large = counts.data.max(initial=0) > np.iinfo(np.uint32).max
    types = {layout.GENES: tokens, layout.COUNTS: pa.uint64() if large else pa.uint32(), layout.CELLS: pa.uint32()}
    fields = [pa.field(str(c), values.type) for c, values in labels.items()]
    fields += [layout.required(c, layout.list_of(t)) for c, t in types.items()]
    schema = pa.schema(fields)
    file = ParquetFile(folder, name, schema)
    for start, end in bounded_runs(counts.indptr, _ROW_GROUP_ENTRIES):
        part = slice(counts.indptr[start], counts.indptr[end])
        indptr = counts.indptr[start : end + 1].astype(np.int64) - counts.indptr[start]
        data = {layout.GENES: counts.indices, layout.COUNTS: counts.data, layout.CELLS: detected.data}
        lists = [list_column(indptr, data[c][part].astype(t.to_pandas_dtype())) for c, t in types.items()]
        plain = [values.slice(start, end - start) for values in labels.values()]
        file.write(pa.Table.from_arrays([*plain, *lists], schema=schema))
    return file.close()
