"""The design of a study: what is known of every cell and donor, by the part that each column of obs plays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from titin.dataset import layout
from titin.errors import TitinError
from titin.study.ages import age_cut, donor_ages, parse_ages
from titin.study.roles import role_columns

if TYPE_CHECKING:
    from titin.atlas import Atlas

AGE = "age"
ROLES = ("donor", "sample", "protocol", "chemistry", "sex")  # under these names, whatever obs calls them
_EXACT_FIRST = (layout.AGE_YEARS, layout.AGE_NUMERIC)
_RESERVED = {*ROLES, AGE, layout.N_CELLS, layout.GENES, layout.COUNTS, layout.CELLS}


@dataclass(frozen=True, eq=False)
class Study:
    """Cells and their donors.

    Attributes
    ----------
    obs
        One row a cell.
    roles
        Column of each role, a list for ``cell_type``, as ``atlas.roles``; None for a role without one.
    """

    obs: pd.DataFrame
    roles: Mapping[str, Any]

    @classmethod
    def of(cls, atlas: "Atlas", extra: Sequence[str] = ()) -> "Study":
        """Read that of an atlas, in the dataset's order: the columns that play a part, and ``extra`` ones of obs."""
        wanted = {*role_columns(atlas.roles), *_EXACT_FIRST, *extra}
        return cls(atlas.cell_columns([name for name in atlas.obs.columns if name in wanted]), atlas.roles)

    @property
    def levels(self) -> list[Any]:
        """Columns of cell types, coarsest first."""
        return [name for name in self.roles.get("cell_type") or [] if name in self.obs]

    def column(self, role: str) -> Any:
        """Column of a role, of ``cell_type`` the coarsest; None if there is none."""
        if role == "cell_type":
            return next(iter(self.levels), None)
        name = self.roles.get(role)
        return name if name is not None and name in self.obs else None

    def values(self, role: str) -> pd.Series:
        """What obs says of a role, of each cell.

        Raises
        ------
        TitinError
            If no column has it.
        """
        need([role] if self.column(role) is not None else [], role, "it is asked for")
        return pd.Series(self.obs[self.column(role)])

    @cached_property
    def ages(self) -> pd.Series | None:
        """Age of each cell in years (float64), exact where the dataset has exact ages; None if none is known.

        Its name is that of the column: ``age_years``, ``age_numeric``, or what has the role.
        """
        for name in (*_EXACT_FIRST, self.column(AGE)):
            if name is None or name not in self.obs:
                continue
            if (years := parse_ages(self.obs[name])).notna().any():
                return years.rename(name)
        return None

    @cached_property
    def donor_ages(self) -> pd.Series | None:
        """Age of each donor in years (float64, by donor); None if no donor's is known."""
        donor = self.column("donor")
        if self.ages is None or donor is None:
            return None
        found = donor_ages(self.ages, self.obs[donor])
        return found if len(found) else None

    @cached_property
    def age_cut(self) -> float | None:
        """Years from which a donor is old, see `titin.study.ages.age_cut`; None if that cannot be said."""
        return None if self.donor_ages is None else age_cut(self.donor_ages)

    @property
    def donors_by_age(self) -> list[str]:
        """Donors (text), the youngest first; those of unknown age last, equals by name."""
        donor = self.column("donor")
        if donor is None:
            return []
        names = map(str, self.obs[donor].dropna().unique())
        ages = {} if self.donor_ages is None else self.donor_ages.to_dict()
        return sorted(names, key=lambda name: (ages.get(name, np.inf), name))

    @property
    def key_names(self) -> list[str]:
        """Keys that all cells have: labels by level, roles, age."""
        names = list(level_columns({"cell_type": self.levels}))
        names += [role for role in ROLES if self.column(role) is not None]
        return names + [AGE] * (self.ages is not None or self.column(AGE) is not None)

    def keys(self, names: Sequence[str] | None = None) -> pd.DataFrame:
        """Bring columns under the names by which cells are grouped.

        Parameters
        ----------
        names
            Levels of cell types, roles, ``age``, or other columns of obs; `key_names` where not given.

        Returns
        -------
        DataFrame
            One row a cell, numbered from 0. Text with None where missing, but for ``age`` (years) and other columns of
            numbers, which are float64.

        Raises
        ------
        TitinError
            If obs has no such column.
        """
        wanted = self.key_names if names is None else names
        return pd.DataFrame({name: self._key(name) for name in wanted}, index=pd.RangeIndex(len(self.obs)))

    def _key(self, name: str) -> Any:
        if name == AGE and name in self.key_names:
            unknown = pd.Series(np.nan, self.obs.index)
            return (unknown if self.ages is None else self.ages).to_numpy(np.float64)
        column = level_columns({"cell_type": self.levels}).get(name, self.column(name) if name in ROLES else None)
        if column is not None:
            return _text(self.obs[column])
        if name not in self.obs:
            known = ", ".join(map(str, self.obs.columns))
            raise TitinError(f"obs has no column {name!r}", f"roles: {', '.join((*ROLES, AGE))}; columns: {known}")
        values = self.obs[name]
        numeric = pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype)
        return values.to_numpy(np.float64, na_value=np.nan) if numeric else _text(values)


def _text(column: pd.Series) -> Any:
    return column.astype("string").astype(object).where(column.notna(), None).to_numpy()


def level_columns(roles: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of cell types by their names among the keys, coarsest first."""
    return {level_name(column): column for column in roles.get("cell_type") or []}


def level_name(column: str) -> str:
    """Name of a column of labels among the keys: its own, unless that means something else there.

    Examples
    --------
    >>> level_name("cell_type"), level_name("cells")
    ('cell_type', 'cells_')
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
        noun = {"donor": "donors", AGE: "ages", "cell_type": "cell types"}.get(role, role)
        raise TitinError(
            f"this dataset has no {noun}: {purpose}, and no obs column has the role {role}",
            f"build it again with --{role.replace('_', '-')} COLUMN",
        )
