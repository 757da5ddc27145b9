"""The cells whose labels a check has contradicted, as a dataset has them written down: see `titin.annotate`."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.dataset import layout
from titin.errors import TitinError
from titin.study.entries import read_entries

if TYPE_CHECKING:
    from titin.atlas import Atlas

LABEL_CHECK = "label_check"  # its name among the keys of cells; an obs column of that name gives way to it
FLAGGED, FINE = "flagged", "fine"
WITHOUT_FLAGGED = f"{LABEL_CHECK}!={FLAGGED}"  # the condition of --without-flagged
_AGAIN = "check the labels again: `titin annotate DATASET --force`"


def check_table(atlas: "Atlas") -> pd.DataFrame | None:
    """Read the table of a label check, one row a cell and level; None if the dataset has none.

    Returns
    -------
    DataFrame
        The columns of `titin.dataset.layout.LABEL_CHECK`; the levels one after the other, each in the dataset's order.

    Raises
    ------
    TitinError
        If its levels or labels are not those that the dataset has now.
    DatasetError
        If it is missing or damaged.
    """
    name = atlas.layout.label_check
    if name not in atlas.manifest.files:
        return None
    table: pd.DataFrame = atlas.store.table(name, list(layout.LABEL_CHECK)).to_pandas(ignore_metadata=True)
    n, columns = atlas.n_obs, atlas.roles.get("cell_type") or []
    levels = list(dict.fromkeys(table["level"].astype(str)))
    if len(table) != n * len(levels) or (len(levels) and (table["level"].astype(str) != np.repeat(levels, n)).any()):
        raise TitinError(f"{name} has not one row for each cell and level", _AGAIN)
    for i, level in enumerate(levels):
        if level not in columns:
            raise TitinError(f"{name} is of a level {level!r} that the dataset has no more", _AGAIN)
        now = read_entries(pd.Series(atlas.cell_columns([level])[level]), "cell_type")
        then = table["label"].iloc[i * n : (i + 1) * n]
        same = [column.astype("string").fillna("").to_numpy() for column in (now, then)]
        if changed := int((same[0] != same[1]).sum()):
            raise TitinError(f"{changed:,} labels of {level!r} have changed since {name} was made of them", _AGAIN)
    return table


def flagged_cells(atlas: "Atlas") -> NDArray[np.bool_]:
    """Whether the label of each cell is contradicted, at any level that was checked.

    Raises
    ------
    TitinError
        If the dataset has no check of its labels, or one of other labels.
    """
    table = check_table(atlas)
    if table is None:
        raise TitinError("this dataset has no check of its labels, so that none are flagged",
                         "`titin annotate DATASET` makes one")  # fmt: skip
    return np.asarray(table["flagged"].to_numpy(bool).reshape(-1, atlas.n_obs).any(axis=0))


def flag_words(atlas: "Atlas") -> NDArray[np.object_]:
    """`FLAGGED` or `FINE`, one a cell; raises as `flagged_cells`."""
    words: NDArray[np.object_] = np.array([FINE, FLAGGED], object)[flagged_cells(atlas).astype(np.int64)]
    return words
