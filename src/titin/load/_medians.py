"""Median of every gene over the cells that express it."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas import Atlas
from titin.dataset import layout
from titin.dataset.arrow import list_arrays
from titin.errors import TitinError
from titin.load._vocabulary import Naming, gene_names
from titin.parallel import read_ahead

TARGET_SUM = 1e4


def gene_medians(atlas: Atlas, cells: Any = None, by: Naming = "ids") -> pd.Series:
    """Median of counts / total × 10,000 of each gene over the cells that express it.

    Read gene by gene, twice, in the memory of a row group and of one number a cell; exact, where Geneformer's
    published medians are estimated from a digest.

    Parameters
    ----------
    cells
        Which: positions, a mask, or names of cells; all where not given.
    by
        What the index is to be.

    Returns
    -------
    pandas.Series
        float64, in the source's order; NaN where no cell expresses the gene.

    Raises
    ------
    TitinError
        If the dataset is of kind ``real``.
    """
    check_counts(atlas)
    chosen = np.zeros(atlas.n_obs, bool)
    chosen[atlas.cell_positions(cells)] = True
    totals = np.zeros(atlas.n_obs)
    for _, _, members, counts in _genes(atlas):
        np.add.at(totals, members, counts)
    medians, place_of = np.full(atlas.n_vars, np.nan), atlas.source_columns
    for first, indptr, members, counts in _genes(atlas):
        normalised = counts / totals[members] * TARGET_SUM
        kept = chosen[members]
        for i, (a, b) in enumerate(pairwise(indptr.tolist())):
            of_gene = normalised[a:b][kept[a:b]]
            if len(of_gene):
                medians[place_of[first + i]] = np.median(of_gene)
    return pd.Series(medians, index=gene_names(atlas, by), name="median")


def _genes(atlas: Atlas) -> Iterator[tuple[int, NDArray[np.int64], NDArray[Any], NDArray[Any]]]:
    """Yield row groups of genes, read ahead: their first token, indptr, positions of cells, and counts."""

    def read() -> Iterator[tuple[int, NDArray[np.int64], NDArray[Any], NDArray[Any]]]:
        for group in atlas.store.row_groups(atlas.layout.expression_by_gene):
            table = atlas.store.read_group(group, [layout.CELLS, layout.COUNTS])
            indptr, members = list_arrays(table.column(layout.CELLS))
            yield group.first_row, indptr, members, list_arrays(table.column(layout.COUNTS))[1]

    yield from read_ahead(read())


def check_counts(atlas: Atlas) -> None:
    """Refuse a dataset of kind ``real``.

    Raises
    ------
    TitinError
        If it is.
    """
    if atlas.kind == "real":
        raise TitinError(
            "this dataset has no counts: no integers lie behind its source's values", "tokens are made of counts"
        )
