"""A dataset, or some of its cells and genes, as a source: the builder reads it as it reads a file."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas import Atlas
from titin.atlas.axes import GeneAxis
from titin.atlas.orders import gene_order, source_order, source_rows
from titin.atlas.row_groups import give_back_memory
from titin.atlas.source_blocks import cut_blocks, source_blocks
from titin.atlas.tables import read_derived, read_embedding, read_obs, read_uns, read_var
from titin.compose.arrays_of_part import TakenRows, arrays_of_part
from titin.compose.studies_left import StudiesLeft
from titin.dataset import layout
from titin.dataset.block import Block
from titin.dataset.manifest import RAW, Manifest, PartManifest
from titin.dataset.store import Store
from titin.errors import DatasetError, SourceError
from titin.masking import mask
from titin.resources import Resources, memory_beside_interpreter
from titin.source import Matrix, Source
from titin.study.roles import RoleChoice, describe_roles

Positions = NDArray[np.int64]

_SHARE = 4  # of the memory for blocks, the part that reading has: the builder needs the others
COUNTS = "the dataset"  # where the counts behind the values are known from


class DatasetOrigin:
    """A dataset as what another is made of.

    Parameters
    ----------
    store
        Its files; one that is replaced while it is read is refused there.

    Attributes
    ----------
    path
        The folder, or the URL as a path, for messages.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.path = Path(mask(store.name.rstrip("/")))

    def sha256(self) -> str:
        """Checksum of the manifest, which holds the checksums of all files."""
        said = json.dumps(asdict(self._store.manifest), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()

    def fingerprint(self) -> str:
        """Checksum of the manifest."""
        return self.sha256()

    def check_unchanged(self) -> None:
        """Refuse a dataset that was replaced since it was opened.

        Raises
        ------
        SourceError
        """
        try:
            if not self._store.remote:
                self._store.check(layout.MANIFEST)
        except DatasetError as error:
            raise SourceError(str(error.args[0]), error.hint) from error

    def describe(self, n_cells: int, n_genes: int) -> dict[str, Any]:
        """An entry of `Source.made_of`: the dataset, and how many of its cells and genes were taken."""
        return {"name": self.path.name, "format": layout.FORMAT, "sha256": self.sha256(),
                "n_cells": n_cells, "n_genes": n_genes, "source": self._store.manifest.source}  # fmt: skip


class DatasetMatrix(Matrix):
    """The values of some cells and genes, in the order of the dataset's source, with the counts behind them.

    Parameters
    ----------
    atlas
        The dataset.
    resources
        For reading.
    rows, columns
        Rows and columns of the source, ascending; all where None.
    counts
        Give the integer counts in the place of the values.
    """

    def __init__(
        self, atlas: Atlas, resources: Resources, rows: Positions | None = None, columns: Positions | None = None, *,
        counts: bool = False,
    ) -> None:  # fmt: skip
        manifest, self._store, self._counts = atlas.manifest, atlas.store, counts
        self._given = atlas, resources, rows, columns
        self._rows, self._columns = rows, columns
        beside = memory_beside_interpreter(resources.memory)
        self._resources = replace(resources, memory=resources.memory - beside + beside // _SHARE)
        self.name, self.storage = manifest.source["matrix"], manifest.source["storage"]
        self.dtype = np.dtype(np.uint32) if counts else np.dtype(manifest.source["dtype"]).newbyteorder("=")
        n_cells = manifest.n_cells if rows is None else len(rows)
        self.shape = (n_cells, manifest.n_genes if columns is None else len(columns))
        stored = manifest.nnz if columns is None else int(atlas.reader.genes.n_cells[columns].sum())
        self.nnz = stored * n_cells // manifest.n_cells  # of some cells, as many as they would have on average

    def of_counts(self) -> "DatasetMatrix":
        """The integer counts of the same cells and genes in the place of the values."""
        return DatasetMatrix(*self._given, counts=True)

    def blocks(self, max_bytes: int, scratch: Path) -> Iterator[Block]:
        """Yield all cells once, in source order; see `Matrix.blocks`."""
        found = source_blocks(
            self._store, scratch, self._resources, counts=self._counts, rows=self._rows, columns=self._columns
        )
        for block in cut_blocks(found, max_bytes):
            yield Block(block.start, block.indptr, block.indices, block.data.astype(self.dtype, copy=False),
                        block.counts)  # fmt: skip
        give_back_memory()


class _Counts(DatasetMatrix):
    """The counts behind the values of a dataset; the values come with them, so that this is only a name."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.name = COUNTS


class _Embeddings(Mapping[str, Any]):
    """The embeddings of some cells, each read when asked for."""

    def __init__(self, store: Store, order: Positions, obs_names: pd.Index) -> None:
        self._store, self._order, self._names = store, order, obs_names

    def __getitem__(self, key: str) -> Any:
        return read_embedding(self._store, key, self._names, self._order)

    def __iter__(self) -> Iterator[str]:
        return iter(self._store.manifest.obsm)

    def __len__(self) -> int:
        return len(self._store.manifest.obsm)


def dataset_source(
    atlas: Atlas, resources: Resources, rows: Positions | None = None, genes: Positions | None = None
) -> tuple[Source, dict[str, RoleChoice]]:
    """Open a dataset, or a part of it, as a source; and the column of each role.

    Of a dataset of several studies, studies of which no cell is left are left out, with the genes that they alone
    measured; where one is left, its tables are restored as they were.

    Parameters
    ----------
    rows
        Positions of cells in the dataset, in any order; all where None. They come in the order of its source.
    genes
        Positions of genes in the source's order; likewise.

    Returns
    -------
    source
        With the dataset's values, their kind and counts, obs, var, uns, embeddings, what it kept beside them, and ages.
        Categories that no chosen
        cell is of are dropped, as anndata does.
    choices
        The columns are those of the dataset; what they hold is told of the chosen cells.
    """
    store, manifest = atlas.store, atlas.manifest
    order, of_source = source_order(store), None
    if rows is not None:
        of_source = np.sort(source_rows(store)[rows])
        order = order[of_source]
    obs, var, uns = read_obs(store, order), read_var(store), dict(read_uns(store))
    left = StudiesLeft.of(manifest, obs)
    columns = left.genes(var) if genes is None else np.sort(genes)
    if rows is not None:
        _drop_unused_categories(obs, uns)
    axis = atlas.reader.genes
    named = _gene_names(axis)
    matrix = DatasetMatrix(atlas, resources, of_source, columns)
    derived = read_derived(store)
    origin = DatasetOrigin(store)
    own = manifest.var.get("own_names")
    source = Source(
        inventory=origin, format="titin", X=matrix,
        counts=_counts(atlas, resources, of_source, columns),
        obs=obs, var=var if columns is None else var.iloc[columns],
        obsm=_Embeddings(store, order, obs.index), uns=uns,
        left_out=dict(manifest.left_out) | _not_of_a_part(manifest),
        symbols=own["column"] if own else None, own_names=own, kind=manifest.value_kind,
        genes=named if columns is None else named.iloc[columns].reset_index(drop=True),
        ages={name: (derived[name].iloc[order].set_axis(obs.index), origin_of)
              for name, origin_of in manifest.derived.items()},
        made_of=[origin.describe(*matrix.shape)], studies=left.entries,
    )  # fmt: skip
    restored, choices = left.restored(source, kept_roles(atlas))
    if rows is not None:
        choices = describe_roles(restored.obs, choices)
    restored.parts = {place: _further(atlas.part(place), restored, resources, of_source, columns, left)
                      for place in manifest.parts}  # fmt: skip
    restored.arrays = arrays_of_part(store, _taken(store, order, columns, restored, left), resources)
    return restored, choices


def _taken(
    store: Store, order: Positions, columns: Positions | None, source: Source, left: StudiesLeft
) -> dict[str, TakenRows]:
    """The cells and genes of what is kept beside the matrices; `order` is that of the cells."""
    if not store.manifest.arrays:
        return {}
    n_cells, n_genes = store.manifest.n_cells, store.manifest.n_genes
    genes = gene_order(store)
    taken = {"cells": TakenRows(order, source.obs.index, n_cells),
             "genes": TakenRows(genes if columns is None else genes[columns], source.var.index, n_genes)}  # fmt: skip
    if RAW in source.parts:
        part = store.part(RAW)
        own, chosen = gene_order(part), left.genes(read_var(part), RAW)
        rows = own if chosen is None else own[chosen]
        taken[RAW] = TakenRows(rows, source.parts[RAW].var.index, len(own))
    return taken


def _not_of_a_part(manifest: Manifest) -> dict[str, str]:
    """What was made of all cells of a dataset, and says nothing of others."""
    lost = {f"varm/{key}": "belongs to the projection of the whole dataset" for key in manifest.varm}
    if manifest.layout.label_check in manifest.files:
        lost["label_check"] = "its models were of other cells and donors; `titin annotate` checks these labels anew"
    if manifest.layout.regulators in manifest.files:
        lost["regulators"] = "they were found in other cells and donors; `titin network --keep` finds them anew"
    return lost


def _further(
    atlas: Atlas, source: Source, resources: Resources, rows: Positions | None, columns: Positions | None,
    left: StudiesLeft,
) -> Source:  # fmt: skip
    """A further matrix of the cells; where its genes are its own it has all that a study left measured."""
    store, own = atlas.store, {}
    if isinstance(store.manifest, PartManifest) and store.manifest.own_genes:
        names, place = store.manifest.var.get("own_names"), store.manifest.place
        var, named = read_var(store), _gene_names(atlas.reader.genes)
        columns = left.genes(var, place)
        if columns is not None:
            var, named = var.iloc[columns], named.iloc[columns].reset_index(drop=True)
        restored = left.restored_genes(var, place)
        own = {"var": restored, "genes": named if restored.index.equals(var.index) else None, "own_names": names,
               "symbols": names["column"] if names else None}  # fmt: skip
    matrix = DatasetMatrix(atlas, resources, rows, columns)
    counts = _counts(atlas, resources, rows, columns)
    return source.with_matrix(matrix, counts=counts, kind=store.manifest.value_kind, **own)


def _counts(
    atlas: Atlas, resources: Resources, rows: Positions | None, columns: Positions | None
) -> DatasetMatrix | None:
    return _Counts(atlas, resources, rows, columns) if atlas.manifest.value_kind.has_levels else None


def _gene_names(axis: GeneAxis) -> pd.DataFrame:
    return pd.DataFrame({layout.GENE: axis.symbols, layout.GENE_IDS: axis.ids}, dtype=object)


def kept_roles(atlas: Atlas) -> dict[str, RoleChoice]:
    """The column of each role as the dataset has it, and why."""
    found = atlas.manifest.roles_found
    return {
        role: RoleChoice(
            atlas.roles.get(role, [] if role == "cell_type" else None), said.get("why", ""),
            said.get("not_taken", {}), said.get("given", False), said.get("warning") or "",
        )
        for role in layout.ROLES for said in [found.get(role, {})]
    }  # fmt: skip


def _drop_unused_categories(obs: pd.DataFrame, uns: dict[str, Any]) -> None:
    """Drop them in place, and the colours of scanpy's that go with them."""
    for name in obs.columns:
        column = obs[name]
        if not isinstance(column.dtype, pd.CategoricalDtype):
            continue
        used = np.isin(np.arange(len(column.cat.categories)), column.cat.codes)
        if used.all():
            continue
        obs[name] = column.cat.remove_unused_categories()
        colours = uns.get(f"{name}_colors")
        if isinstance(colours, np.ndarray | list) and len(colours) == len(used):
            uns[f"{name}_colors"] = np.asarray(colours)[used]
