"""Cells × genes with what is known of both, as AnnData has them: an atlas, or a part of one, read when asked."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas.contents import AtlasContents
from titin.atlas.display import as_html, as_text, summarise
from titin.atlas.row_groups import Positions
from titin.atlas.selection import SelectionError, check_once
from titin.errors import TitinError
from titin.extras import check_installed

if TYPE_CHECKING:
    from anndata import AnnData

# what AnnData has and a dataset that is not in memory has not, and what to take
_INSTEAD = {
    "T": "take atlas.X[cells, genes].T",
    "copy": "a dataset is not changed: take atlas.to_memory(), which is yours",
    "write": "take atlas.write_h5ad(path), or titin.export",
    "write_zarr": "take titin.export(folder, path), which writes the whole by parts",
    "concatenate": "take anndata.concat([a.to_memory(), b.to_memory()])",
    "obs_keys": "take atlas.obs.columns",
    "var_keys": "take atlas.var.columns",
    "obsm_keys": "take list(atlas.obsm)",
    "isbacked": "a dataset is always read from its files",
    "chunked": "take atlas.iter_blocks()",
    "chunk_X": "take atlas.iter_blocks()",
    # what scanpy asks of the data that it is given
    **dict.fromkeys(("_sanitize", "strings_to_categoricals", "is_view", "_init_as_actual"),
                    "scanpy takes an AnnData: atlas.to_memory(), or that of a part; figures are in atlas.plot"),
    "rename_categories": "change the labels of atlas.to_memory()",
}  # fmt: skip


class Annotated(AtlasContents):
    """What `Atlas` and `AtlasView` share."""

    @property
    @abstractmethod
    def raw(self) -> "Annotated | None":
        """What AnnData calls raw, where it was kept: a matrix of the same cells with genes of its own."""

    @property
    @abstractmethod
    def modalities(self) -> "Mapping[str, Annotated]":
        """What else was measured of these cells, by name, such as ``prot``: each with features of its own."""

    @property
    def plot(self) -> Any:
        """Figures: ``atlas.plot.umap(color="XIST")``; see `titin.plot.AtlasFigures`."""
        import titin  # the front door, as figures are drawn in a room above

        return titin.plot.AtlasFigures(self)

    def Xy(self, target: str = "age", **options: Any) -> Any:  # noqa: N802 - scikit-learn's names
        """X, y and groups for scikit-learn: ``X, y, groups = atlas.Xy("age")``; see `titin.learn.make_Xy`."""
        import titin

        return titin.learn.make_Xy(self, target, **options)  # type: ignore[arg-type]

    @overload
    def __getitem__(self, key: str) -> pd.Series: ...

    @overload
    def __getitem__(self, key: Any) -> "AtlasView": ...

    def __getitem__(self, key: Any) -> Any:
        """One gene, or a part of the atlas, of which nothing is read yet.

        ``atlas["XIST"]`` is the gene's values, by its name in var, symbol or id, bit for bit those of the source. The
        first gene takes longer, as something about every cell is read with it and kept. ``atlas[cells]`` and
        ``atlas[cells, genes]`` are parts, chosen by slices, positions, masks or names: ``atlas[:, ["XIST", "CD3E"]]``,
        ``atlas[atlas.obs["Sex"] == "F"]``.

        Returns
        -------
        Series
            Of the source's dtype; index cell_id, name as asked for.
        AtlasView
            The part.

        Raises
        ------
        UnknownNameError
            A KeyError, with the nearest names if there is no such gene, the ids if there are several.
        SelectionError
            If the selection does not fit.
        DatasetError
            If a file is missing, damaged or replaced.
        """
        if isinstance(key, str):
            return self._gene(key, counts=False)
        cells, genes = key if isinstance(key, tuple) and len(key) == 2 else (key, None)
        if isinstance(cells, tuple):
            raise SelectionError(f"an atlas has 2 dimensions, not {len(cells)}", "select cells, genes")
        return self._part(self._chosen_cells.find(cells), self._chosen_genes.find(genes))

    def query(self, question: str) -> "AtlasView":
        """Choose cells by their metadata: ``atlas.query('sex == "F" and age > 60')``.

        Parameters
        ----------
        question
            Conditions on columns of obs and on roles, with ``and``, ``or``, ``not``, ``in [A, B]`` and brackets; see
            `titin.study.Where`. Names with signs in them stand in backticks. It is read, and never run as code.

        Raises
        ------
        SelectionError
            If it is no question, or of what there is not; it names what is near.
        """
        return self._part(self._chosen_cells.find(self._ask(question)), self.columns)

    def _ask(self, question: str) -> NDArray[np.bool_]:
        """Whether it is so, of each cell; see `query`."""
        import titin  # the front door, as what columns mean is told in a room above

        try:
            where = titin.study.Where.of(question)
            keys = titin.study.Study.of(self._whole, where.columns).keys(where.columns)  # type: ignore[arg-type]
            return where.holds(keys if self.rows is None else keys.iloc[self.rows], empty=True)
        except TitinError as error:
            raise SelectionError(str(error.args[0]), error.hint) from error

    def subset(self, output: str | Path | None = None, *, where: Any = None, **options: Any) -> Any:
        """Write these cells and genes as a dataset of their own; see `titin.subset`.

        Parameters
        ----------
        output
            Folder to write.
        where
            Conditions that the cells have to fulfil, as for `query`.
        **options
            ``force``, ``resume``, ``threads``, ``memory``, ``progress``.

        Returns
        -------
        BuildReport
            The new dataset's path and manifest.
        """
        import titin

        return titin.subset(self, output, where=where, **options)

    def to_anndata(self, cells: Any = None, genes: Any = None, layers: Sequence[str] = ()) -> "AnnData":
        """Read cells × genes into an AnnData, with obs, var, obsm and uns.

        Parameters
        ----------
        cells, genes
            As in ``atlas.X[cells, genes]``.
        layers
            Names of `layers` that come along, such as ``["counts"]``.

        Raises
        ------
        MemoryLimitError
            If a matrix would not fit the memory limit; ``titin.export`` writes the whole to a file.
        SelectionError, UnknownNameError, DatasetError
            As for ``atlas.X``.
        """
        check_installed("anndata", "to_anndata")
        from anndata import AnnData

        part = self._part(self._chosen_cells.find(cells), self._chosen_genes.find(genes))
        beside = {name: part._view(name) for name in layers}
        return AnnData(
            X=self.reader.csr(part.rows, part.columns), obs=part.cell_columns(), var=part.var.copy(),
            obsm=dict(part.obsm), varm=dict(part.varm), obsp=dict(part.obsp), varp=dict(part.varp),
            uns=deepcopy(dict(self.uns)),
            layers={name: view[:] for name, view in beside.items()},
        )  # fmt: skip

    def to_memory(self) -> "AnnData":
        """Read all into an AnnData, as `to_anndata` does, with the layers and the raw that the source had.

        AnnData has the name for one that is backed by a file.
        """
        read = self.to_anndata(layers=list(self.store.manifest.layers))
        raw = self.raw
        if raw is not None:
            read.raw = raw.to_anndata()
        return read

    def write_h5ad(self, path: str | PathLike[str], *, layers: Sequence[str] = ()) -> None:
        """Write an ``.h5ad`` file of what fits in memory; ``titin.export`` writes a dataset of any size.

        Raises
        ------
        MemoryLimitError
            If the matrix would not fit the memory limit.
        TitinError
            If there is such a file already.
        """
        if Path(path).exists():
            raise TitinError(f"{path} exists", "remove it, or give another name")
        self.to_anndata(layers=layers).write_h5ad(path)

    @property
    def _whole(self) -> "Annotated":
        return self

    def _part(self, rows: Positions | None, columns: Positions | None) -> "AtlasView":
        return AtlasView(self._whole, rows, columns)

    def _ipython_key_completions_(self) -> list[str]:
        return self.var_names.tolist()

    def __getattr__(self, name: str) -> NoReturn:
        hint = _INSTEAD.get(name)
        raise AttributeError(f"an {type(self).__name__} has no {name}{f': {hint}' if hint else ''}")

    def __iter__(self) -> Iterator[str]:
        raise TypeError("an Atlas is not iterated over: take atlas.iter_blocks(), atlas.obs_names or atlas.var_names")

    def __repr__(self) -> str:
        return as_text(*summarise(self, self._what))

    def _repr_html_(self) -> str:
        return as_html(*summarise(self, self._what))

    _what = "Atlas with"


class AtlasView(Annotated):
    """Some cells and genes of an `Atlas`, as a view of an AnnData is of that.

    It is made by ``atlas[cells, genes]`` or ``atlas.query(…)``, and reads what it is asked for. Cells come in the order
    in which they were chosen, perhaps several times; genes each once.

    Parameters
    ----------
    atlas
        The whole.
    rows, columns
        Positions of the cells in the dataset, and of the genes in the source's order; None for all.

    Attributes
    ----------
    atlas
        The whole, a `titin.Atlas`, of which this is a part: roles, preset and manifest are its.

    Raises
    ------
    SelectionError
        If a gene is chosen twice.
    """

    _what = "View of"

    def __init__(self, atlas: Annotated, rows: Positions | None, columns: Positions | None) -> None:
        self.atlas: Any = atlas
        self._rows, self._columns = rows, columns
        self.store, self.reader, self.cells = atlas.store, atlas.reader, atlas.cells
        if columns is not None:
            check_once(columns, self.reader.genes.index)

    @property
    def rows(self) -> Positions | None:
        """Positions of the cells in the dataset (int64); None for all."""
        return self._rows

    @property
    def columns(self) -> Positions | None:
        """Positions of the genes in the source's order (int64); None for all."""
        return self._columns

    @property
    def obs(self) -> pd.DataFrame:
        """Metadata of the cells, a copy: what is written into it goes nowhere."""
        return self.cell_columns()

    @property
    def raw(self) -> "AtlasView | None":
        """These cells of the whole's `Atlas.raw`, with all of its genes; None where there is none."""
        raw = self.atlas.raw
        return None if raw is None else AtlasView(raw, self._rows, None)

    @property
    def modalities(self) -> "dict[str, AtlasView]":
        """These cells of the whole's `Atlas.modalities`, each with all of its features."""
        return {name: AtlasView(whole, self._rows, None) for name, whole in self.atlas.modalities.items()}

    @property
    def _whole(self) -> Annotated:
        whole: Annotated = self.atlas
        return whole

    def __getattr__(self, name: str) -> NoReturn:
        if hasattr(type(self.__dict__.get("atlas")), name):
            raise AttributeError(f"a view has no {name}: it is the whole's, view.atlas.{name}")
        super().__getattr__(name)

    def __getstate__(self) -> dict[str, Any]:
        return {"atlas": self.atlas, "rows": self._rows, "columns": self._columns}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]
