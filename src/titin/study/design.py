"""The design of a study: what is known of every cell and donor, by the part that each column of obs plays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.dataset import layout
from titin.errors import TitinError
from titin.study.ages import age_bin, age_cut, donor_ages, parse_ages, young_or_old
from titin.study.entries import Gap, find_gap, read_entries
from titin.study.flagged import LABEL_CHECK, flag_words
from titin.study.gaps import CHOSEN
from titin.study.identity import find_parts, warn_of_clashes
from titin.study.roles import role_columns
from titin.study.tallies import code, count_missing, is_known
from titin.study.vocabulary import SEX_NAMES, sex_of

if TYPE_CHECKING:
    from titin.atlas import Atlas


AGE = "age"
ROLES = ("donor", "sample", "protocol", "chemistry", "sex", "study")  # under these names, whatever obs calls them
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
    derived
        Ages that titin has put beside obs, in years: ``age_numeric``, ``age_years``, or both, one row a cell in the
        same order; empty for a table that titin has not made. A column of obs is never taken for them by its name.
    chosen
        Cells that are to take part (`titin.study.conditions`); all where None. The others lack the key
        `titin.study.gaps.CHOSEN`.
    """

    obs: pd.DataFrame
    roles: Mapping[str, Any]
    derived: pd.DataFrame = field(default_factory=pd.DataFrame)
    chosen: NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, atlas: "Atlas", extra: Sequence[str] = (), cells: Any = None) -> "Study":
        """Read that of an atlas, in the dataset's order.

        Parameters
        ----------
        atlas
            The dataset.
        extra
            Columns of obs beside those that play a part; `titin.study.flagged.LABEL_CHECK` for what a check of labels
            says of each cell.
        cells
            Those wanted, as in ``atlas.X[cells]`` and in that order; all where not given.

        Raises
        ------
        TitinError
            If there is no such column, nor role of that name; it names what is near.
        """
        _check_names(atlas, [name for name in extra if name != LABEL_CHECK])
        wanted = {*role_columns(atlas.roles), *find_parts(list(atlas.obs.columns)), *extra}
        obs = atlas.cell_columns([name for name in atlas.obs.columns if name in wanted], cells)
        if LABEL_CHECK in extra:
            words = flag_words(atlas)
            obs = obs.assign(**{LABEL_CHECK: words if cells is None else words[atlas.cell_positions(cells)]})
        derived, chosen = atlas.cells.derived, atlas.cells.chosen
        if cells is None:
            return cls(obs, atlas.roles, derived, chosen)
        rows = atlas.cell_positions(cells)
        return cls(obs, atlas.roles, derived.iloc[rows], None if chosen is None else chosen[rows])

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

    def knows(self, role: str) -> bool:
        """Whether a column has a role, and any cell a value in it."""
        return self.column(role) is not None and is_known(self.values(role))

    def values(self, role: str) -> pd.Series:
        """What is known of a role, of each cell: missing where obs says so in words, see `titin.study.entries`.

        Raises
        ------
        TitinError
            If no column has it.
        """
        need([role] if self.column(role) is not None else [], role, "it is asked for")
        return self._read(self.column(role), role)

    def labels(self, level: Any) -> pd.Series:
        """Cell type of each cell by one of the `levels`; a type that is called unknown is none."""
        return self._read(level, "cell_type")

    def _read(self, column: Any, role: str) -> pd.Series:
        if (column, role) not in self._known:
            self._known[column, role] = read_entries(pd.Series(self.obs[column]), role)
        return self._known[column, role]

    @cached_property
    def _known(self) -> dict[tuple[Any, str], pd.Series]:
        return {}

    @cached_property
    def missing(self) -> dict[str, Gap]:
        """Cells of which a role is not known, by role (of ``cell_type`` the coarsest) where there are such cells."""
        columns = {role: self.column(role) for role in layout.ROLES if role != AGE and self.column(role) is not None}
        found: dict[str, Gap] = {role: find_gap(self.obs[column], role) for role, column in columns.items()}
        if self.ages is not None:
            found[AGE] = Gap(count_missing(self.ages))
        return {role: gap for role, gap in found.items() if gap.cells}

    @cached_property
    def ages(self) -> pd.Series | None:
        """Age of each cell in years (float64), exact where the dataset has exact ages; None if none is known.

        Its name is that of the column: ``age_years``, ``age_numeric``, or what has the role.
        """
        for name in (layout.AGE_YEARS, layout.AGE_NUMERIC):
            if name in self.derived and is_known(self.derived[name]):
                return pd.Series(self.derived[name].to_numpy(np.float64), self.obs.index, name=name)
        if layout.AGE_NUMERIC in self.derived or self.column(AGE) is None:
            return None
        years = parse_ages(self.values(AGE)).rename(self.column(AGE))
        return years if is_known(years) else None

    @cached_property
    def warnings(self) -> list[str]:
        """What is wrong with the donors as they are counted: names that several people have; see `study.identity`."""
        if self.column("donor") is None:
            return []
        sex = self.values("sex") if self.column("sex") is not None else None
        return warn_of_clashes(self.values("donor"), sex, self.ages, self.obs)

    @cached_property
    def donor_ages(self) -> pd.Series | None:
        """Age of each donor in years (float64, by donor); None if no donor's is known."""
        donor = self.column("donor")
        if self.ages is None or donor is None:
            return None
        found = donor_ages(self.ages, self.values("donor"))
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
        names = map(str, code(self.values("donor")).distinct)
        ages = {} if self.donor_ages is None else self.donor_ages.to_dict()
        return sorted(names, key=lambda name: (ages.get(name, np.inf), name))

    @property
    def key_names(self) -> list[str]:
        """Keys that all cells have: labels by level, roles, age."""
        names = [] if self.chosen is None else [CHOSEN]
        names += list(level_columns({"cell_type": self.levels}))
        names += [role for role in ROLES if self.knows(role)]
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
        if name == CHOSEN and self.chosen is not None:
            return np.where(self.chosen, np.array("yes", object), None)  # type: ignore[call-overload]
        if name == AGE and name in self.key_names:
            unknown = pd.Series(np.nan, self.obs.index)
            return (unknown if self.ages is None else self.ages).to_numpy(np.float64)
        level = level_columns({"cell_type": self.levels}).get(name)
        if level is not None:
            return text_values(self.labels(level))
        if name in ROLES and self.column(name) is not None:
            return text_values(self.values(name))
        if name not in self.obs:
            known = ", ".join(map(str, self.obs.columns))
            raise TitinError(f"obs has no column {name!r}", f"roles: {', '.join((*ROLES, AGE))}; columns: {known}")
        values = self.obs[name]
        numeric = pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype)
        return values.to_numpy(np.float64, na_value=np.nan) if numeric else text_values(values)


def _check_names(atlas: "Atlas", names: Sequence[str]) -> None:
    """Refuse what is neither column nor role."""
    columns = list(map(str, atlas.obs.columns))
    known = [*ROLES, AGE, CHOSEN, *level_columns(atlas.roles), *columns]
    for name in names:
        if name not in known and name not in atlas.obs.columns:
            near = get_close_matches(str(name), known, n=1)
            meant = f"did you mean {near[0]!r}? " if near else ""
            hint = f"{meant}roles: {', '.join((*ROLES, AGE))}; columns: {', '.join(columns)}"
            raise TitinError(f"obs has no column {name!r}", hint)


def text_values(column: pd.Series) -> Any:
    """Text of a column as an array of objects, with None where it is missing."""
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


ALL_CELLS = layout.ALL_CELLS
_ALL = ("all", ALL_CELLS)


def choose_level(levels: Sequence[str], level: int | str | None, *, whole: bool = False) -> str:
    """Name of a level given by its name, its place (0 is the coarsest), or not at all (the coarsest).

    Parameters
    ----------
    levels
        That the dataset has.
    level
        ``all`` for all cells as one type.
    whole
        Whether `ALL_CELLS` will do, by name and where the dataset has no types.

    Raises
    ------
    TitinError
        If there is none, or not that one.
    """
    if whole and (level in _ALL if levels else level in (None, *_ALL)) and level not in levels:
        return ALL_CELLS
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


def labels_of(groups: pd.DataFrame, level: str) -> pd.Series:
    """Labels of groups by a level of `choose_level`; of `ALL_CELLS` all the same."""
    return groups[level] if level != ALL_CELLS or level in groups else pd.Series(ALL_CELLS, groups.index)


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


CELL_TYPE = "cell_type_"  # followed by the number of the level, 0 the coarsest
OBS = "obs:"  # followed by the name of a column of obs
YOUNG_OLD = "young_old"


def design_table(obs: pd.DataFrame, roles: Mapping[str, Any], derived: pd.DataFrame | None = None) -> pd.DataFrame:
    """Bring the columns that have a role under their common names.

    Parameters
    ----------
    obs
        One row a cell.
    roles
        Which column plays which part, as ``atlas.roles``.
    derived
        Ages in years that titin has put beside obs, as for `Study`.

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
    study = Study(obs, roles) if derived is None else Study(obs, roles, derived)
    columns: dict[str, Any] = {}
    for role in ROLES:
        if study.column(role) is not None and is_known(study.values(role)):
            columns[role] = text_column(study.values(role), sexes=role == "sex")
    for level, name in enumerate(study.levels):
        columns[f"{CELL_TYPE}{level}"] = text_column(study.labels(name))
    return pd.DataFrame(columns | _ages(study), index=pd.RangeIndex(len(obs)))


def atlas_design(atlas: "Atlas") -> pd.DataFrame:
    """Return `design_table` of an atlas, in the dataset's order."""
    study = Study.of(atlas)
    return design_table(study.obs, study.roles, study.derived)


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
        name: study.derived[name].to_numpy(np.float64)
        for name in (layout.AGE_NUMERIC, layout.AGE_YEARS)
        if name in study.derived
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
