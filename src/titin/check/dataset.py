"""A dataset under validation: opened once, with the results of the passes that several checks use."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas import Atlas, UnknownNameError, open_atlas
from titin.atlas.tables import read_derived_column
from titin.check.cells import CellColumns
from titin.check.expression_pass import ExpressionPass, Totals, read_expression
from titin.check.hub import HubCard, read_hub_card
from titin.check.passes import ByGenePass, read_by_gene
from titin.check.repeats import Repeats, find_repeats
from titin.check.source_cells import CellsBeside
from titin.check.source_rows import SourceNames, SourceRows
from titin.cluster import connect
from titin.dataset import layout
from titin.dataset.layout import Layout
from titin.dataset.manifest import Manifest
from titin.dataset.sight import check_sight
from titin.dataset.store import Store, slices
from titin.errors import TitinError
from titin.features import gene_sets
from titin.progress import Progress
from titin.resources import make_resources
from titin.shelf import Shelf, let_go_of_pages
from titin.source import Source
from titin.study.design import Study
from titin.study.roles import role_columns

Result = TypeVar("Result")
_SHARED = ("folder", "resources", "progress", "shelf")


def _in_background(function: Callable[[], Result]) -> "Future[Result]":
    pool = ThreadPoolExecutor(1, thread_name_prefix="titin-checksum")
    future = pool.submit(function)
    pool.shutdown(wait=False)
    return future


class CheckedDataset:
    """A dataset under validation.

    Everything but the manifest is read when first asked for, and kept.

    Parameters
    ----------
    folder
        The dataset.
    source
        The atlas that it was built from, if that is at hand.
    threads, memory, cluster
        As for `titin.open`.
    progress
        Told of the passes over the matrix.
    shelf
        Where lies what of the comparison with the source grows with the cells; in memory where not given.

    Raises
    ------
    DatasetError
        If the folder is no dataset.
    """

    def __init__(
        self,
        folder: Path,
        *,
        source: Source | None = None,
        threads: int | None = None,
        memory: int | str | None = None,
        cluster: Any = None,
        progress: Progress | None = None,
        shelf: Shelf | None = None,
    ) -> None:
        self.shelf = shelf or Shelf()
        self.manifest = Manifest.read(folder)
        self.folder = folder.absolute()  # pyarrow takes a:b for an address
        self.source = source
        self.resources = make_resources(threads, memory, cluster=connect(cluster))
        if self.resources.cluster is not None:
            check_sight(Store(self.folder), self.resources.cluster)
        self.progress = progress or Progress()
        self._passes: dict[str, Any] = {}
        self._sha256 = _in_background(source.sha256) if source is not None else None

    @property
    def threads(self) -> int:
        """Threads to use."""
        return self.resources.threads

    @property
    def memory(self) -> int:
        """Bytes that blocks and results may take."""
        return self.resources.memory

    @property
    def layout(self) -> Layout:
        """File names."""
        return self.manifest.layout

    @property
    def roles(self) -> dict[str, Any]:
        """Return the obs column of each role (a list for ``cell_type``), or None; as the manifest has them."""
        return {role: self.manifest.roles.get(role) for role in layout.ROLES}

    @cached_property
    def atlas(self) -> Atlas:
        """The dataset, opened lazily."""
        own = self.resources
        return open_atlas(self.folder, memory=own.memory, threads=own.threads, cluster=own.cluster)

    @cached_property
    def parts(self) -> dict[str, "CheckedDataset"]:
        """The dataset as if a further matrix were its matrix, by the place of each; of the source likewise."""
        return {place: self._part(place) for place in self.manifest.parts}

    def _part(self, place: str) -> "CheckedDataset":
        part = object.__new__(CheckedDataset)
        part.__dict__ |= {name: value for name, value in vars(self).items() if name in _SHARED}
        part.__dict__ |= {"manifest": self.manifest.part(place), "_passes": {}, "_sha256": None}
        part.source = self.source.parts.get(place) if self.source is not None else None
        part.atlas = self.atlas.part(place)
        return part

    def let_go(self) -> None:
        """Forget what is large and quickly read again: footers of files with many row groups, pages of mapped files."""
        let_go_of_pages()
        if "atlas" in vars(self):
            self.atlas.store.let_go()
        for part in vars(self).get("parts", {}).values():
            part.let_go()

    def forget_source(self) -> None:
        """Let go of the source, and of what was kept to compare with it, once all is compared."""
        for one in (self, *vars(self).get("parts", {}).values()):
            one.source, found = None, one._passes.get("expression")
            if isinstance(found, ExpressionPass):
                one._passes["expression"] = replace(found, cell_digests=found.cell_digests[:0].copy())
            for name in ("source rows", "source names"):
                one._passes.pop(name, None)

    @property
    def source_rows(self) -> SourceRows:
        """Row of the source that each cell is of; read once."""
        return self._once("source rows", lambda: SourceRows(self.atlas.store, self.shelf))

    @property
    def source_names(self) -> SourceNames:
        """Names of the source's cells, which must be as many; put in the dataset's order once."""
        if self.source is None:
            raise TitinError("no source was given")
        names = self.source.obs.index
        return self._once("source names", lambda: SourceNames(names, self.source_rows))

    @property
    def beside_source(self) -> CellsBeside:
        """The cells beside those of the source."""
        return CellsBeside(self.atlas.store, self.source_rows, self.shelf)

    @cached_property
    def obs(self) -> CellColumns:
        """Columns of the cells' metadata in the dataset's order, read when asked for and not kept."""
        return CellColumns(self.atlas.store, self.atlas.cells, self.repeats)

    @cached_property
    def derived(self) -> pd.DataFrame:
        """What titin has added to the table of cells, as labels: of numbers, too, there are few different ones."""
        store = self.atlas.store
        columns = {name: read_derived_column(store, name, labels=True) for name in self.manifest.derived}
        return pd.DataFrame(columns, index=pd.RangeIndex(self.manifest.n_cells), copy=False)

    def years(self, name: str) -> NDArray[np.float64]:
        """Ages of the cells by one of the `derived` columns, NaN where they are missing."""
        return self.derived[name].to_numpy(np.float64)

    def repeats(self, file: str) -> Repeats:
        """What is wrong with the names of the cells in a table of cells; looked for once."""
        return self._once(f"repeats {file}", lambda: find_repeats(self.atlas.store, file, layout.CELL_ID))

    @cached_property
    def study(self) -> Study:
        """What part each column of obs plays; columns of no role are not there."""
        wanted = [name for name in role_columns(self.roles) if name in self.obs.columns]
        return Study(self.obs[wanted], self.roles, self.derived)

    @cached_property
    def var(self) -> pd.DataFrame:
        """Metadata of the genes in the source's order, as the source has them."""
        return self.atlas.var

    @cached_property
    def genes(self) -> pd.DataFrame:
        """Feature metadata as stored: one row a gene by token, with ``gene``, ``gene_ids``, ``token`` and the rest."""
        frame: pd.DataFrame = self.atlas.store.table(self.layout.feature_metadata).to_pandas(ignore_metadata=True)
        return frame

    def column(self, role: str) -> pd.Series:
        """Return the obs column that plays a role; of ``cell_type`` the finest.

        Raises
        ------
        KeyError
            If there is none; ask `missing` first.
        """
        named = self.roles[role]
        column: pd.Series = self.obs[named[-1] if isinstance(named, list) else named]
        return column

    @cached_property
    def source_sha256(self) -> str:
        """Checksum of the source, begun in a thread of its own when the source was given."""
        return self._sha256.result() if self._sha256 is not None else ""

    def missing(self, need: str) -> str | None:
        """Say why something that a check needs is not there; None if it is.

        Parameters
        ----------
        need
            ``source``, ``counts``, ``projection``, or a role.
        """
        if need == "source":
            return None if self.source is not None else "no source was given"
        if need == "counts":
            return None if self.manifest.value_kind.has_counts else f"no counts: {self.manifest.why_no_counts}"
        if need == "projection":
            return None if self.manifest.obsm else "the dataset has no projection"
        column = self.roles[need]
        if not column:
            return f"no {need.replace('_', ' ')} column"
        known = {record["name"] for record in self.manifest.obs["columns"][1:]}
        absent = [c for c in (column if isinstance(column, list) else [column]) if c not in known]
        return f"obs has no column {absent[0]!r}, which the manifest takes for the {need}" if absent else None

    def cell_name(self, position: int) -> str:
        """Return the barcode of a cell by its position, for messages."""
        store = self.atlas.store
        group = next(g for g in store.row_groups(self.layout.expression) if position < g.first_row + g.n_rows)
        names = store.read_group(group, [layout.CELL_ID]).column(0)
        return str(names[position - group.first_row].as_py())

    @cached_property
    def hub_card(self) -> HubCard:
        """The folder as the Hub reads it."""
        return read_hub_card(self.folder)

    @property
    def expression(self) -> ExpressionPass:
        """Results of the one pass over every value of ``expression``.

        Raises
        ------
        DatasetError
            If a file cannot be read; the same error each time, found once.
        """
        return self._once("expression", lambda: read_expression(
            self.atlas.store, self.genes, digest_cells=self.source is not None, threads=self.threads,
            cluster=self.resources.cluster, progress=self.progress, shelf=self.shelf,
        ))  # fmt: skip

    @property
    def by_gene(self) -> ByGenePass:
        """Results of the one pass over every value of ``expression_by_gene``; as `expression`."""
        return self._once("by_gene", lambda: read_by_gene(
            self.atlas.store, threads=self.threads, cluster=self.resources.cluster, progress=self.progress,
        ))  # fmt: skip

    @property
    def totals(self) -> Totals:
        """Sums by cell and by gene, of the one pass; see `titin.check.expression_pass.Totals`."""
        return self.expression.totals

    def _once(self, name: str, read: Callable[[], Result]) -> Result:
        """Do a pass once, also if it fails."""
        if name not in self._passes:
            try:
                self._passes[name] = read()
            except TitinError as error:
                self._passes[name] = error
        result = self._passes[name]
        if isinstance(result, TitinError):
            raise result
        return result  # type: ignore[no-any-return]


def present(atlas: Atlas, genes: Iterable[str]) -> list[str]:
    """Names under which the atlas has genes: as spelt, or in a mouse's spelling; ambiguous ones are left out.

    Of several studies, genes that all of them measured.
    """
    names, atlas = [], atlas.comparable()
    for gene in genes:
        for spelling in (gene, gene.capitalize()):
            if spelling in atlas:
                try:
                    atlas.gene_positions([spelling])
                except UnknownNameError:
                    continue
                names.append(spelling)
                break
    return list(dict.fromkeys(names))


def bundled(dataset: CheckedDataset, name: str) -> list[str]:
    """Genes of a bundled set that the dataset has."""
    return present(dataset.atlas, gene_sets()[name].genes)


def normalised(dataset: CheckedDataset, gene: str) -> NDArray[np.float32]:
    """Values of a gene that can be compared between cells.

    Of kind ``log1p`` and ``real`` the dataset's own; of kind ``counts``, log1p of counts in 10,000.
    """
    if not dataset.manifest.value_kind.lognorm_of_counts:
        return dataset.atlas.reader.gene(gene).astype(np.float32, copy=False)
    counts, total = counts_of(dataset, gene), dataset.totals.n_counts
    found = np.empty(len(counts), np.float32)
    for rows in slices(len(counts)):
        found[rows] = np.log1p(counts[rows] / np.maximum(total[rows], 1) * 1e4)
    return found


def counts_of(dataset: CheckedDataset, gene: str) -> NDArray[Any]:
    """Integer counts of a gene over the cells."""
    dataset.atlas.reader.check_counts()
    return dataset.atlas.reader.gene(gene, counts=True)


def numbers_of(column: pd.Series) -> NDArray[Any]:
    """Numbers of a column, NaN where they are missing; as they are where none can be missing."""
    plain = isinstance(column.dtype, np.dtype)
    return column.to_numpy() if plain else column.to_numpy(np.float64, na_value=np.nan)
