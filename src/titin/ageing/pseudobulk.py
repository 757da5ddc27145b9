"""Counts summed over the cells of each donor, sample, protocol and type: what comparisons of donors stand on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from titin.ageing._gene_blocks import GeneBlock, map_genes
from titin.ageing._kernels import sum_by_group
from titin.ageing._pseudobulk_file import read_file
from titin.ageing.groups import CellGroups, group_cells, level_name, need
from titin.atlas import Atlas
from titin.dataset import layout
from titin.errors import TitinError
from titin.progress import Progress

if TYPE_CHECKING:
    from anndata import AnnData


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
        >>> muscle_stem = pseudobulk(atlas).select(protocol="cells", annotation_level0="MuSC")  # doctest: +SKIP
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
    left one, else computed in one pass over the genes.

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
    levels = [level_name(column) for column in atlas.roles.get("cell_type") or []]
    extra = [name for name in extra if name not in levels]
    genes = gene_names(atlas)
    stored = None if extra else read_file(atlas.store, levels)
    if stored is not None:
        return Pseudobulk(*stored, genes, levels)
    cells = group_cells(atlas, extra=extra)
    counts, detected = _sum(atlas, cells, threads or atlas.reader.resources.threads, progress or Progress())
    return Pseudobulk(cells.table, counts, detected, genes, cells.levels)


def gene_names(atlas: Atlas) -> pd.DataFrame:
    """Symbol (``gene``) and id (``gene_id``) of every gene, by token."""
    table = atlas.store.table(atlas.layout.feature_metadata, [layout.TOKEN, layout.GENE, layout.GENE_IDS])
    table = table.sort_by(layout.TOKEN)
    return pd.DataFrame({"gene": table[layout.GENE].to_pylist(), "gene_id": table[layout.GENE_IDS].to_pylist()})


def check_counts(atlas: Atlas) -> None:
    """Refuse a dataset without counts or donors.

    Raises
    ------
    TitinError
        In one sentence.
    """
    if atlas.kind == "real":
        raise TitinError(
            "this dataset has no counts: no integers lie behind its source's values, and pseudobulk sums counts",
            "build it from a source with counts, or with --layer or --raw if the source has them there",
        )
    need([role for role, column in atlas.roles.items() if column], "donor", "donors are what is compared")


def _sum(
    atlas: Atlas, cells: CellGroups, threads: int, progress: Progress
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    n_groups = len(cells.table)

    def work(block: GeneBlock) -> tuple[NDArray[Any], ...]:
        size = min(len(block.cells), block.n_genes * n_groups)
        ends = np.zeros(block.n_genes, np.int64)
        groups, sums, detected = np.empty(size, np.int32), np.empty(size, np.int64), np.empty(size, np.int64)
        sum_by_group(block.indptr, block.cells, block.stored, cells.codes, n_groups, ends, groups, sums, detected)
        n = int(ends[-1]) if len(ends) else 0
        return np.diff(ends, prepend=0), groups[:n].copy(), sums[:n].copy(), detected[:n].copy()

    progress.start("pseudobulk", atlas.n_vars, "genes")
    parts = list(map_genes(atlas, work, threads=threads, advance=progress.advance))
    progress.finish()
    lengths, groups, sums, detected = (np.concatenate(part) for part in zip(*parts, strict=True))
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    by_gene = [sparse.csc_matrix((data, groups, indptr), (n_groups, atlas.n_vars)) for data in (sums, detected)]
    return _csr(by_gene[0]), _csr(by_gene[1])


def _csr(matrix: Any) -> sparse.csr_matrix:
    found = sparse.csr_matrix(matrix)
    found.sort_indices()
    return found
