"""An opened dataset: cells × genes with their metadata, each part read when it is asked for."""

import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from titin.atlas.annotated import Annotated, AtlasView
from titin.atlas.axes import CellAxis
from titin.atlas.comparable import ComparableStore, refuse_none, say_not_comparable, unmeasured_columns
from titin.atlas.matrix import MatrixReader
from titin.atlas.row_groups import Positions
from titin.atlas.views import to_dask
from titin.cluster import connect
from titin.dataset.layout import Layout
from titin.dataset.manifest import RAW, Manifest
from titin.dataset.sight import check_sight
from titin.dataset.store import Store
from titin.errors import TitinError
from titin.presets import Preset, choose_preset, preset_of
from titin.resources import make_resources


class Atlas(Annotated):
    """A dataset, read when asked.

    Cells are in the dataset's order, which is not the source's (it is shuffled once, when built); genes are in the
    source's order. Everything is given with the source's names and dtypes. An Atlas can be shared between threads, and
    pickled: what goes along is the place, not the data.

    Parameters
    ----------
    store
        Where the dataset lies.
    memory, threads, preset, cluster
        As for `open_atlas`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import titin
    >>> from titin.demo import make_demo
    >>> from titin.progress import Progress
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = make_demo(Path(folder), n_cells=50, n_genes=200, seed=0, force=False, progress=Progress())
    ...     atlas = titin.open(report.path)
    ...     atlas.shape, atlas["XIST"].shape, atlas.X[:10, ["XIST", "MALAT1"]].shape
    ((50, 200), (50,), (10, 2))
    """

    def __init__(
        self, store: Store, *, memory: int | str | None = None, threads: int | None = None,
        preset: Preset | str | Path | None = None, cluster: Any = None,
    ) -> None:  # fmt: skip
        self.store = store
        self._preset = None if preset is None else choose_preset(preset)
        workers = connect(cluster)
        self.reader = MatrixReader(store, make_resources(threads, memory, cluster=workers))
        if workers is not None:
            check_sight(store, workers)
        self.cells = CellAxis(store)

    @property
    def manifest(self) -> Manifest:
        """What ``titin.json`` says."""
        return self.store.manifest

    @property
    def folder(self) -> Path:
        """The folder of a local dataset.

        Raises
        ------
        TitinError
            If the dataset lies elsewhere.
        """
        return self.store.folder

    @property
    def layout(self) -> Layout:
        """File names."""
        return self.manifest.layout

    @property
    def kind(self) -> str:
        """What the values are: ``counts``, ``log1p``, ``normalized`` or ``real``; see `titin.dataset.kinds`."""
        return self.manifest.kind

    @property
    def roles(self) -> dict[str, Any]:
        """Column of obs by role: cell_type (several), donor, sample, age, sex, protocol, chemistry, study.

        Raises
        ------
        DatasetError
            If obs has no such column.
        """
        return self.manifest.known_roles

    def comparable(self, cells: Any = None) -> "Atlas":
        """The dataset with the genes alone that all studies of some cells measured: what can be compared.

        What a study did not measure has no values, and a matrix shows that as zeros. Analyses, benchmarks, projections
        and models take the dataset from here, so that their results are those of the studies joined by common genes.
        A dataset whose studies all measured the same, such as one of one study, is itself.

        Parameters
        ----------
        cells
            As in ``atlas.X[cells]``; where not given, those that analyses are to take.

        Raises
        ------
        TitinError
            If there is no such gene.
        """
        if not unmeasured_columns(self.manifest, list(self.manifest.studies)):
            return self
        studies = self._studies_of(self.cells.chosen if cells is None else cells)
        columns = unmeasured_columns(self.manifest, studies)
        measured = self.var[columns].to_numpy(bool).all(axis=1)
        if measured.all():
            return self
        if not measured.any():
            raise refuse_none(studies)
        return self._through(ComparableStore(self.store, np.sort(self.reader.genes.token[measured]), studies))

    @property
    def not_comparable(self) -> list[str]:
        """How many genes the studies of the cells did not all measure, as a sentence without a full stop; or none."""
        store = self.comparable().store
        if not isinstance(store, ComparableStore):
            return []
        return [say_not_comparable(store.whole.manifest.n_genes - store.manifest.n_genes, store.studies)]

    @property
    def whole(self) -> "Atlas":
        """The dataset with all of its genes, where this is `comparable`; itself otherwise."""
        return self if self.store.whole is self.store else self._through(self.store.whole)

    @property
    def raw(self) -> "Atlas | None":
        """What AnnData calls raw, where ``titin build --with-raw`` has kept it: these cells, and genes of its own.

        It reads as an Atlas does: ``atlas.raw["XIST"]``, ``atlas.raw.X[cells, genes]``, ``atlas.raw.var``.
        """
        return self.whole.part(RAW) if RAW in self.store.whole.manifest.parts else None

    @property
    def modalities(self) -> "dict[str, Atlas]":
        """What else was measured of these cells, by name: ``atlas.modalities["prot"]``; genes are the atlas itself.

        Each reads as an Atlas does: ``atlas.modalities["prot"]["CD3"]``, ``.X[cells, features]``, ``.var``.
        """
        return {name: self.whole.part(place) for name, place in self.store.whole.manifest.modalities.items()}

    def part(self, place: str) -> "Atlas":
        """The dataset as if a further matrix of its cells were X.

        Parameters
        ----------
        place
            Where AnnData has that matrix: ``layers/spliced``, ``raw``; one of ``atlas.manifest.parts``.
        """
        return self._through(self.store.part(place))

    def _through(self, store: Store) -> "Atlas":
        """The same cells, of the genes that a store shows."""
        found = object.__new__(Atlas)
        found.__dict__ |= self.__getstate__() | {"store": store, "reader": MatrixReader(store, self.reader.resources)}
        return found

    def _studies_of(self, cells: Any) -> list[str]:
        """Studies of cells; all where their column is gone, or says what is none."""
        known, column = list(self.manifest.studies), self.manifest.roles.get("study")
        if column not in self.cells.obs:
            return known
        labels = set(self.cell_columns(column, cells)[column].astype(str))
        return [name for name in known if name in labels] if labels <= set(known) else known

    def explore(self, *, height: int = 720) -> Any:
        """Show the dataset as a page in a notebook, or open the address of what is returned: `titin.explore.show`.

        Parameters
        ----------
        height
            Of the frame, in pixels.
        """
        import titin  # the explorer is a room above this one: it is reached by the front door

        return titin.explore.show(self, height=height)

    @property
    def rows(self) -> None:
        """All cells."""
        return

    @property
    def columns(self) -> None:
        """All genes."""
        return

    @cached_property
    def preset(self) -> Preset:
        """What is known of the atlas beforehand: what it was opened with, else what it was built with.

        Raises
        ------
        TitinError
            If this titin has no preset of the name that the manifest has.
        """
        return preset_of(self.manifest) if self._preset is None else self._preset

    @property
    def obs(self) -> pd.DataFrame:
        """Metadata of the cells, with the source's columns and dtypes, index cell_id.

        Also ``age_numeric`` and ``age_years`` where the dataset has them, which are titin's, in years; where the source
        has a column of that name, titin's is called ``titin_age_numeric`` or ``titin_age_years``.
        """
        return self.cells.obs

    @obs.setter
    def obs(self, obs: pd.DataFrame) -> None:
        self.cells.obs = obs

    @property
    def source_columns(self) -> Positions:
        """Position in the source (int64) of each gene by token."""
        return np.argsort(self.reader.genes.token)

    def main_names(self, genes: Iterable[str]) -> dict[str, str]:
        """Name in var to take each gene by, of those that are there.

        Of several genes of one symbol it is the one that most cells express, as in the scores of gene sets and in the
        panel; ``atlas[symbol]`` and selections refuse such a symbol and name the ids.

        Parameters
        ----------
        genes
            Names in var, symbols or ids.
        """
        return {gene: str(self.var_names[place]) for gene, place in self.reader.genes.main(genes).items()}

    def to_dask(self, *, counts: bool = False, rows: int = 16_384) -> Any:
        """Return the matrix as a dask array of CSR blocks, read when computed.

        Parameters
        ----------
        counts
            Integer counts instead of the source's values.
        rows
            Cells a block.

        Raises
        ------
        TitinError
            If dask is not installed.
        """
        return to_dask(self.reader, counts=counts, rows=rows)

    def __getstate__(self) -> dict[str, Any]:
        return {"store": self.store, "reader": self.reader, "cells": self.cells, "_preset": self._preset}


def open_atlas(
    path: str | os.PathLike[str], *, memory: int | str | None = None, threads: int | None = None,
    preset: Preset | str | Path | None = None, storage_options: Mapping[str, Any] | None = None, cluster: Any = None,
) -> Atlas:  # fmt: skip
    """Open a dataset; nothing but ``titin.json`` is read yet.

    Parameters
    ----------
    path
        The folder that `titin.build` wrote, ``hf://datasets/user/repo`` (with ``@revision`` if need be), or any URL
        that fsspec opens.
    memory
        What one result may take, as bytes or like ``"4GiB"``; half of what the machine has left where not given. Not
        counted are obs, var and a few dozen bytes a cell.
    threads
        For reading; all processors where not given.
    preset
        What is known of the atlas beforehand, instead of the preset it was built with: a name of
        `titin.presets.preset_names`, a TOML file, or a `Preset`.
    storage_options
        For a URL: ``endpoint`` (of another S3), ``anonymous``, ``requester_pays``, and whatever the package takes that
        opens the URL, such as ``key`` and ``secret``. No error repeats a secret among them.
    cluster
        Workers that passes over the matrix go to: the address of a Dask scheduler, such as ``tcp://host:8786``, or a
        ``distributed.Client``. They must see the dataset at the same path. Results are those of threads.

    Raises
    ------
    DatasetError
        If there is no dataset, or one of a later format.
    TitinError
        If a package is missing that the URL needs, its storage has no such option, or there is no such preset; if the
        cluster does not answer, or a worker has no titin, another version, or does not see the dataset.
    """
    if isinstance(path, AtlasView):
        raise TitinError("a part of an atlas is no dataset", "give the whole, view.atlas, and say which cells")
    return Atlas(Store(path, storage_options), memory=memory, threads=threads, preset=preset, cluster=cluster)
