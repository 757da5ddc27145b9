"""What is known of every cell that tasks, splits and baselines need, under one set of names."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from titin.atlas import Atlas
from titin.dataset import layout
from titin.errors import TitinError
from titin.study.ages import parse_ages

YOUNG_BELOW = 45.0  # years
AGE_EDGES = (30.0, 45.0, 65.0)  # of the coarse bins
CELL_TYPE = "cell_type_"  # followed by the number of the level, 0 the coarsest
OBS = "obs:"  # followed by the name of a column of obs
_SEXES = {"f": "female", "female": "female", "woman": "female", "m": "male", "male": "male", "man": "male"}


def design_table(obs: pd.DataFrame, roles: Mapping[str, Any]) -> pd.DataFrame:
    """Bring the columns that have a role under their common names.

    Parameters
    ----------
    obs
        One row a cell.
    roles
        Which column plays which part, as ``atlas.roles``.

    Returns
    -------
    pandas.DataFrame
        One row a cell, in the same order, numbered from 0, with whichever of these there are: ``donor``, ``sample``,
        ``sex`` (``female``, ``male``, or as it stands), ``protocol``, ``chemistry``, ``cell_type_0`` … (coarsest
        first), all categorical with text as categories and missing values kept; ``age_numeric`` and ``age_years``
        (float64 years), ``age``, which is the latter if any cell has it, and what follows from ``age``: ``young_old``
        (`YOUNG_BELOW`) and ``age_bin`` (`AGE_EDGES`).
    """
    columns: dict[str, Any] = {}
    for role in ("donor", "sample", "sex", "protocol", "chemistry"):
        name = roles.get(role)
        if name is not None and obs[name].notna().any():
            columns[role] = text_column(obs[name], _SEXES if role == "sex" else {})
    for level, name in enumerate(roles.get("cell_type") or []):
        columns[f"{CELL_TYPE}{level}"] = text_column(obs[name])
    columns |= _ages(obs, roles.get("age"))
    return pd.DataFrame(columns, index=pd.RangeIndex(len(obs)))


def atlas_design(atlas: Atlas) -> pd.DataFrame:
    """Return `design_table` of an atlas, in the dataset's order."""
    return design_table(atlas.cell_columns(), atlas.roles)


def add_obs_column(design: pd.DataFrame, obs: pd.DataFrame, name: str) -> pd.DataFrame:
    """Add a column of obs as ``obs:name``: numbers as float64, all else as text.

    Raises
    ------
    TitinError
        If obs has no such column.
    """
    if name not in obs:
        raise TitinError(f"obs has no column {name!r}", f"columns of obs: {', '.join(map(str, obs.columns))}")
    column = obs[name]
    number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    values: Any = column.to_numpy(np.float64, na_value=np.nan) if number else text_column(column)
    return design.assign(**{f"{OBS}{name}": values})


def text_column(column: pd.Series, words: Mapping[str, str] = {}) -> pd.Categorical:
    """Text as categories; ``words`` says what some of them are called here."""
    codes, distinct = pd.factorize(column, sort=False)
    names = [words.get(str(value).strip().lower(), str(value)) for value in distinct]
    return pd.Categorical(np.array([*names, None], object)[codes])


def levels_of(design: pd.DataFrame) -> list[str]:
    """Columns of cell types, coarsest first."""
    return [str(name) for name in design.columns if str(name).startswith(CELL_TYPE)]


def age_bin(age: pd.Series) -> Any:
    """Name the coarse bin of each age: ``<30``, ``30-44``, ``45-64``, ``>=65``."""
    low, *rest = AGE_EDGES
    names = [f"<{low:g}", *(f"{a:g}-{b - 1:g}" for a, b in zip(AGE_EDGES, rest, strict=False)), f">={rest[-1]:g}"]
    return pd.cut(age, [-np.inf, *AGE_EDGES, np.inf], right=False, labels=names).to_numpy()


def _ages(obs: pd.DataFrame, column: Any) -> dict[str, Any]:
    found = {
        name: obs[name].to_numpy(np.float64, na_value=np.nan)
        for name in (layout.AGE_NUMERIC, layout.AGE_YEARS)
        if name in obs and pd.api.types.is_numeric_dtype(obs[name])
    }
    if layout.AGE_NUMERIC not in found and column is not None:
        found[layout.AGE_NUMERIC] = parse_ages(obs[column]).to_numpy(np.float64)
    found = {name: years for name, years in found.items() if np.isfinite(years).any()}
    if not found:
        return {}
    age = pd.Series(found.get(layout.AGE_YEARS, found.get(layout.AGE_NUMERIC)))
    young = [None if np.isnan(years) else "young" if years < YOUNG_BELOW else "old" for years in age]
    return {**found, "age": age.to_numpy(), "young_old": pd.Categorical(young), "age_bin": age_bin(age)}
