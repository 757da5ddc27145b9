"""Which group every cell belongs to: by donor, sample, protocol, chemistry, sex, age, and label at each level."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas import Atlas
from titin.dataset import layout
from titin.errors import TitinError
from titin.study.ages import parse_ages

AGE = "age"
ROLES = ("donor", "sample", "protocol", "chemistry", "sex")  # under these names, whatever obs calls them
_RESERVED = {*ROLES, AGE, layout.N_CELLS, layout.GENES, layout.COUNTS, layout.CELLS}


@dataclass(frozen=True)
class CellGroups:
    """Cells by group.

    Attributes
    ----------
    table
        One row a group, sorted: a column for each key (text; ``age`` float64 years) and ``n_cells``.
    codes
        int32 a cell: row of its group.
    levels
        Columns of ``table`` that hold labels, coarsest first.
    """

    table: pd.DataFrame
    codes: NDArray[np.int32]
    levels: list[str]


def group_cells(atlas: Atlas, *, extra: Sequence[str] = ()) -> CellGroups:
    """Group the cells by everything that plays a role in a comparison of donors.

    Parameters
    ----------
    atlas
        The dataset.
    extra
        Further columns of obs to tell groups apart by.

    Raises
    ------
    TitinError
        If obs has no such column.
    """
    keys = cell_keys(atlas, extra=extra)
    levels = [level_name(column) for column in atlas.roles.get("cell_type") or []]
    codes = np.zeros(atlas.n_obs, np.int64)
    for name in keys:
        code, distinct = pd.factorize(keys[name], sort=True)
        _, codes = np.unique(codes * (len(distinct) + 1) + np.where(code < 0, len(distinct), code), return_inverse=True)
    first = np.unique(codes, return_index=True)[1]
    table = keys.iloc[first].reset_index(drop=True)
    table[layout.N_CELLS] = np.bincount(codes, minlength=len(table)).astype(np.int64)
    return CellGroups(table, codes.astype(np.int32), levels)


def cell_keys(atlas: Atlas, *, extra: Sequence[str] = ()) -> pd.DataFrame:
    """Keys of every cell, one column each, those that the dataset has: labels by level, roles, age in years.

    Text, but for ``age`` (float64 years; exact ages where the dataset has them) and numeric extras.
    """
    obs = atlas.cell_columns()
    missing = [name for name in extra if name not in obs]
    if missing:
        known = ", ".join(map(str, obs.columns))
        raise TitinError(f"obs has no column {missing[0]!r}", f"roles: {', '.join((*ROLES, AGE))}; columns: {known}")
    keys: dict[str, Any] = {}
    for column in atlas.roles.get("cell_type") or []:
        keys[level_name(column)] = _text(obs[column])
    for role in ROLES:
        if atlas.roles.get(role):
            keys[role] = _text(obs[atlas.roles[role]])
    if atlas.roles.get(AGE):
        exact = next((name for name in (layout.AGE_YEARS, layout.AGE_NUMERIC) if name in obs), None)
        keys[AGE] = (obs[exact] if exact else parse_ages(obs[atlas.roles[AGE]])).to_numpy(np.float64)
    for column in extra:
        numeric = pd.api.types.is_numeric_dtype(obs[column].dtype) and not pd.api.types.is_bool_dtype(obs[column].dtype)
        keys[column] = obs[column].to_numpy(np.float64) if numeric else _text(obs[column])
    return pd.DataFrame(keys, index=pd.RangeIndex(len(obs)))


def level_name(column: str) -> str:
    """Name of a column of labels among the keys: its own, unless that means something else there.

    Examples
    --------
    >>> level_name("annotation_level0"), level_name("cells")
    ('annotation_level0', 'cells_')
    """
    return f"{column}_" if column in _RESERVED else column


def choose_level(levels: Sequence[str], level: int | str | None) -> str:
    """Name of a level given by its name, its place (0 is the coarsest), or not at all (the coarsest).

    Raises
    ------
    TitinError
        If there is none, or not that one.
    """
    if not levels:
        raise TitinError(
            "this dataset has no cell types: no obs column has the role cell_type",
            "build it again with --cell-type COLUMN",
        )
    if level is None:
        return levels[0]
    if isinstance(level, int) and 0 <= level < len(levels):
        return levels[level]
    text = str(level)
    if text in levels:
        return text
    if level_name(text) in levels:
        return level_name(text)
    if text.isdecimal() and int(text) < len(levels):
        return levels[int(text)]
    raise TitinError(f"there is no level {level!r} of cell types", f"levels: {', '.join(levels)}")


def need(keys: Sequence[str], role: str, purpose: str) -> None:
    """Refuse in one sentence where a role is missing.

    Raises
    ------
    TitinError
        If ``role`` is not among ``keys``.
    """
    if role not in keys:
        noun = {"donor": "donors", AGE: "ages"}.get(role, role)
        raise TitinError(
            f"this dataset has no {noun}: {purpose}, and no obs column has the role {role}",
            f"build it again with --{role} COLUMN",
        )


def _text(column: pd.Series) -> Any:
    return column.astype("string").astype(object).where(column.notna(), None).to_numpy()
