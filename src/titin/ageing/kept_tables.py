"""What changes with age, read from the tables that a dataset holds of it."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import sparse

from titin.ageing.ageing_tables import TOLD, AgeingTables
from titin.atlas import Atlas
from titin.dataset import layout
from titin.dataset.arrow import list_arrays
from titin.dataset.strict_json import parse_json
from titin.errors import DatasetError, TitinError
from titin.study.design import choose_level, level_name


def read_ageing_tables(atlas: Atlas, cell_type_level: int | str | None = None) -> AgeingTables:
    """Read what `titin age tables` has put into a dataset, of one level of cell types; nothing is computed.

    Parameters
    ----------
    atlas
        The dataset, wherever it lies.
    cell_type_level
        Name of the level, or its place among those that are kept; the coarsest of them where not given.

    Raises
    ------
    TitinError
        If the dataset holds none, or not of that level.
    DatasetError
        If a file is missing, damaged or replaced.

    Examples
    --------
    >>> tables = read_ageing_tables(titin.open("dataset"), "cell_type_fine")  # doctest: +SKIP
    >>> tables.groups.groupby("cell_type")["n_cells"].sum()  # doctest: +SKIP
    """
    kept = {level_name(level): names for level, names in atlas.manifest.ageing_files.items()}
    if not kept:
        raise TitinError("the dataset does not hold what changes with age", "`titin age tables DATASET` finds it")
    try:
        names = kept[choose_level(list(kept), cell_type_level)]
    except TitinError as error:
        raise TitinError(
            f"the dataset does not hold what changes with age by {cell_type_level!r}",
            f"it holds it by {', '.join(kept)}; `titin age tables DATASET --cell-type-level LEVEL` finds it",
        ) from error
    store = atlas.store
    groups, by_gene = store.table(names.groups), store.table(names.by_gene)
    told: dict[str, Any] = parse_json((groups.schema.metadata or {}).get(TOLD, b"{}"))
    rows, counts, cells = (list_arrays(by_gene.column(name)) for name in (layout.GROUPS, layout.COUNTS, layout.CELLS))
    if len(rows.elements) and int(rows.elements.max()) >= groups.num_rows:
        raise DatasetError(
            f"{names.by_gene} names groups that {names.groups} has not", "find it anew: titin age tables"
        )
    shape = (groups.num_rows, by_gene.num_rows)
    counted, detected = (
        sparse.csc_matrix((one.elements.astype(np.int64), rows.elements.astype(np.int64), rows.indptr), shape)
        for one in (counts, cells)
    )
    return AgeingTables(_frame(groups), counted, detected, _frame(store.table(names.tests)),
                        _frame(store.table(names.composition)), told)  # fmt: skip


def _frame(table: pa.Table) -> pd.DataFrame:
    """A table with its names as text."""
    frame: pd.DataFrame = table.to_pandas()
    return frame.assign(**{str(name): frame[name].astype(object) for name in frame if frame[name].dtype == "category"})
