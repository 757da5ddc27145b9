"""What is known of every cell that tasks, splits and baselines need, under one set of names."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from titin.dataset import layout
from titin.errors import TitinError
from titin.study.ages import age_bin, age_cut, donor_ages, parse_ages, young_or_old
from titin.study.design import AGE, ROLES, Study
from titin.study.vocabulary import SEX_NAMES, sex_of

if TYPE_CHECKING:
    from titin.atlas import Atlas

CELL_TYPE = "cell_type_"  # followed by the number of the level, 0 the coarsest
OBS = "obs:"  # followed by the name of a column of obs
YOUNG_OLD = "young_old"


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
        (float64 years), ``age``, which is the latter if any cell has it, and what follows from ``age``: ``age_bin``
        (`titin.study.ages.AGE_EDGES`) and, if donors' ages part young from old (`titin.study.ages.age_cut`),
        ``young_old``.
    """
    study = Study(obs, roles)
    columns: dict[str, Any] = {}
    for role in ROLES:
        if study.column(role) is not None and study.values(role).notna().any():
            columns[role] = text_column(study.values(role), sexes=role == "sex")
    for level, name in enumerate(study.levels):
        columns[f"{CELL_TYPE}{level}"] = text_column(obs[name])
    return pd.DataFrame(columns | _ages(study), index=pd.RangeIndex(len(obs)))


def atlas_design(atlas: "Atlas") -> pd.DataFrame:
    """Return `design_table` of an atlas, in the dataset's order."""
    study = Study.of(atlas)
    return design_table(study.obs, study.roles)


def design_cut(design: pd.DataFrame) -> float | None:
    """Years from which a donor of a design table is old; None if its donors' ages do not part young from old."""
    return age_cut(donor_ages(design[AGE], design["donor"])) if {AGE, "donor"} <= set(design) else None


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


def text_column(column: pd.Series, *, sexes: bool = False) -> pd.Categorical:
    """Text as categories; of sexes, all spellings of one as one."""
    codes, distinct = pd.factorize(column, sort=False)
    names = [(sexes and SEX_NAMES.get(sex_of(value) or "")) or str(value) for value in distinct]
    return pd.Categorical(np.array([*names, None], object)[codes])


def levels_of(design: pd.DataFrame) -> list[str]:
    """Columns of cell types, coarsest first."""
    return [str(name) for name in design.columns if str(name).startswith(CELL_TYPE)]


def _ages(study: Study) -> dict[str, Any]:
    found = {
        name: parse_ages(study.obs[name]).to_numpy(np.float64)
        for name in (layout.AGE_NUMERIC, layout.AGE_YEARS)
        if name in study.obs
    }
    if layout.AGE_NUMERIC not in found and study.column(AGE) is not None:
        found[layout.AGE_NUMERIC] = parse_ages(study.values(AGE)).to_numpy(np.float64)
    found = {name: years for name, years in found.items() if np.isfinite(years).any()}
    if study.ages is None:
        return {}
    age = study.ages.to_numpy(np.float64)
    columns = {**found, AGE: age, "age_bin": age_bin(pd.Series(age))}
    if study.age_cut is not None:
        columns[YOUNG_OLD] = pd.Categorical(young_or_old(age, study.age_cut))
    return columns
