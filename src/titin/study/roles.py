"""The obs columns of cell type, donor, sample, age, sex, protocol, chemistry and study: as given, or found and why."""

import difflib
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from titin.dataset import layout
from titin.errors import TitinError
from titin.study.ages import parse_ages
from titin.study.candidates import (
    CLUSTERS,
    GIVEN_ALONE,
    NUMBERED,
    PREDICTED,
    find_candidates,
    find_groups_of_types,
    is_promising,
)
from titin.study.entries import read_entries
from titin.study.judgement import Context, Verdict, judge
from titin.study.tallies import is_known
from titin.text import count

UNSET = "none"  # given in the place of a column: nothing has the role
_AGREES_WITH = {"donor": ("sex", "age"), "sample": ("donor",)}  # roles to be found before
_IN_ORDER: tuple[layout.Role, ...] = ("sex", "age", "protocol", "donor", "sample", "chemistry", "study", "cell_type")
_BY_PRESET = "by the preset; "
_FEWEST = 0.5  # share of a preset's columns that obs must have, or the preset is for another atlas


@dataclass(frozen=True)
class RoleChoice:
    """The column that plays a part, and why.

    Attributes
    ----------
    column
        Its name, None for none; of ``cell_type`` a list.
    why
        What it holds, or why there is none.
    others
        Columns that were looked at and not taken, the next best first, and why not.
    given
        Whether the column was named by hand or by a preset.
    warning
        What of a given column does not fit; empty if all does.
    """

    column: Any
    why: str = ""
    others: Mapping[str, str] = field(default_factory=dict)
    given: bool = False
    warning: str = ""

    def document(self) -> dict[str, Any]:
        """All of it, JSON-safe."""
        return {"why": self.why, "not_taken": dict(self.others), "given": self.given, "warning": self.warning or None}


def _choose(obs: pd.DataFrame, role: str, context: Context, taken: Collection[Any]) -> RoleChoice:
    candidates = [column for column in find_candidates(obs.columns, role) if column not in taken]
    verdicts = [(column, judge(_one(obs, column), role, context)) for column in candidates]
    fitting = sorted((verdict.doubt, place) for place, (_, verdict) in enumerate(verdicts) if verdict.fits)
    best = fitting[0][1] if fitting else None
    unfit = [place for place, (_, verdict) in enumerate(verdicts) if not verdict.fits]
    order = [place for _, place in fitting[1:]] + [place for place in unfit if is_promising(candidates[place], role)]
    others = {str(verdicts[place][0]): verdicts[place][1].says for place in order}
    if best is None and role in GIVEN_ALONE:
        return RoleChoice(None)
    if best is None:
        return RoleChoice(None, "no column that fits" if others else "no column of that name", others)
    column, verdict = verdicts[best]
    return RoleChoice(column, verdict.says, others)


def _choose_types(obs: pd.DataFrame, taken: Collection[Any]) -> RoleChoice:
    chosen: list[tuple[Any, Verdict]] = []
    others: dict[str, str] = {}
    for group, columns in find_groups_of_types([column for column in obs.columns if column not in taken]):
        verdicts = [(column, judge(_one(obs, column), "cell_type")) for column in columns]
        allowed = 0 if group == CLUSTERS else 1  # numbers may stand for types, but those of clusters do not
        fitting = [(column, verdict) for column, verdict in verdicts if verdict.fits and verdict.doubt <= allowed]
        if chosen:
            others |= {str(column): f"{verdict.says}; {group}" for column, verdict in verdicts}
            continue
        named = [pair for pair in fitting if not pair[1].doubt] or fitting
        chosen = named if group in (NUMBERED, PREDICTED) else sorted(named, key=lambda pair: _n_values(obs, pair[0]))
        left = [pair for pair in verdicts if pair not in chosen]
        others |= {str(column): verdict.says for column, verdict in left}
    if not chosen:
        return RoleChoice([], "no column that fits" if others else "no column of that name", others)
    says = ", ".join(verdict.says for _, verdict in chosen)
    return RoleChoice([column for column, _ in chosen], says, others)


def _one(obs: pd.DataFrame, column: Any) -> pd.Series:
    """A column by its name; the first where several have it."""
    found = obs[column]
    return found.iloc[:, 0] if isinstance(found, pd.DataFrame) else found


def _n_values(obs: pd.DataFrame, column: Any) -> int:
    return int(_one(obs, column).nunique())


def choose_roles(
    obs: pd.DataFrame, given: Mapping[str, Any], preset: Mapping[str, Any] | None = None
) -> dict[str, RoleChoice]:
    """Choose the column of each role: as given, else as the preset has it, else by name and content.

    Parameters
    ----------
    obs
        Cells' metadata.
    given
        Column by role; a list for ``cell_type``; `UNSET` for a role that nothing is to have. It is taken as asked.
    preset
        Likewise of a preset. For a column that obs lacks, or that says nothing, another one is looked for.

    Returns
    -------
    For every role of `titin.dataset.layout.ROLES`.

    Raises
    ------
    TitinError
        If a given column does not exist, a given age column holds no ages, or obs lacks most columns of the preset.
    """
    asked = {role: _listed(column) for role, column in given.items()}
    for role, columns in asked.items():
        for column in columns:
            _require(obs, role, column)
    known = _of_preset(obs, {role: c for role, c in (preset or {}).items() if role not in given})
    fixed = known | asked
    taken = {column for columns in fixed.values() for column in columns}
    found: dict[str, RoleChoice] = {}
    context: dict[str, pd.Series] = {}
    for role in _IN_ORDER:
        about = {name: context[name] for name in _AGREES_WITH.get(role, ()) if name in context}
        if role in fixed:
            found[role] = _as_given(obs, role, fixed[role], about, "" if role in asked else _BY_PRESET)
        else:
            found[role] = _choose_types(obs, taken) if role == "cell_type" else _choose(obs, role, about, taken)
            found[role] = _beside_preset(obs, found[role], _listed((preset or {}).get(role, UNSET)))
        column = found[role].column
        if role != "cell_type" and column is not None:
            taken.add(column)
            context[role] = _entries(obs, role, column)
    return {role: found[role] for role in layout.ROLES}


def columns_of(choices: Mapping[str, RoleChoice]) -> dict[str, Any]:
    """Column by role: a name or None; for ``cell_type`` a list."""
    return {role: choice.column for role, choice in choices.items()}


def record_roles(choices: Mapping[str, RoleChoice]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a manifest keeps of the roles, JSON-safe: the columns, and why it is these."""
    columns = {role: _jsonable(choice.column) for role, choice in choices.items()}
    return columns, {role: choice.document() for role, choice in choices.items()}


def _jsonable(column: Any) -> Any:
    if isinstance(column, list):
        return [_jsonable(c) for c in column]
    return column if column is None or isinstance(column, str | int | float | bool) else str(column)


def find_roles(obs: pd.DataFrame, given: Mapping[str, Any]) -> dict[str, Any]:
    """Column of each role, see `choose_roles`: a column name or None; for ``cell_type`` a list."""
    return columns_of(choose_roles(obs, given))


def _listed(column: Any) -> list[Any]:
    columns = list(column) if isinstance(column, list | tuple) else [column]
    return [] if columns == [UNSET] else columns


def _of_preset(obs: pd.DataFrame, preset: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Columns of a preset that obs has and that say something."""
    wanted = {role: _listed(preset[role]) for role in layout.ROLES if role in preset}
    columns = [(role, column) for role, listed in wanted.items() for column in listed]
    absent = [(role, column) for role, column in columns if column not in obs.columns]
    if len(absent) > _FEWEST * len(columns):
        _require(obs, *absent[0])
    known = {role: [column for column in listed if column in obs.columns and _says_something(obs, role, column)]
             for role, listed in wanted.items()}  # fmt: skip
    return {role: listed for role, listed in known.items() if listed or not wanted[role]}


def _beside_preset(obs: pd.DataFrame, choice: RoleChoice, columns: list[Any]) -> RoleChoice:
    """A choice that a preset had made otherwise: why not its columns is said first."""
    absent = {str(c): "the preset's column, which says nothing" for c in columns}
    absent |= {str(c): "the preset's column, which obs lacks" for c in columns if c not in obs.columns}
    return replace(choice, others=absent | {c: why for c, why in choice.others.items() if c not in absent})


def _says_something(obs: pd.DataFrame, role: str, column: Any) -> bool:
    values = _one(obs, column)
    read = parse_ages(values, life_span=math.inf) if role == "age" else read_entries(values, role)
    return is_known(read)


def _as_given(obs: pd.DataFrame, role: str, columns: list[Any], about: Context, by: str) -> RoleChoice:
    """A choice that was made before: what the columns hold is told, and warned of."""
    if not columns:
        return RoleChoice([] if role == "cell_type" else None, f"{by}set to none", given=True)
    if role == "age" and not by and parse_ages(_one(obs, columns[0]), life_span=math.inf).isna().all():
        examples = ", ".join(repr(v) for v in _one(obs, columns[0]).dropna().unique()[:3])
        raise TitinError(
            f"the age column {columns[0]!r} holds no age that can be read (it holds {examples})",
            "ages are numbers, ranges such as 15-20, or CELLxGENE development stages",
        )
    verdicts = _verdicts(obs, role, columns, about)
    says = by + ", ".join(verdict.says for _, verdict in verdicts)
    column = columns if role == "cell_type" else columns[0]
    return RoleChoice(column, says, given=True, warning=_misfits(role, verdicts))


def _verdicts(obs: pd.DataFrame, role: str, columns: list[Any], about: Context) -> list[tuple[Any, Verdict]]:
    return [(column, judge(_one(obs, column), role, about)) for column in columns]


def _misfits(role: str, verdicts: list[tuple[Any, Verdict]]) -> str:
    """What of columns that were given does not fit; empty if all does."""
    return "; ".join(f"{column!r} is taken for the {role.replace('_', ' ')} as asked, but does not fit: {verdict.says}"
                     for column, verdict in verdicts if not verdict.fits)  # fmt: skip


def describe_roles(obs: pd.DataFrame, choices: Mapping[str, RoleChoice]) -> dict[str, RoleChoice]:
    """The same columns, with what they hold in these cells in place of what was said of others.

    That a column fits was seen in all cells; some of them may be too few to see it.
    """
    found = dict(choices)
    context: dict[str, pd.Series] = {}
    for role in _IN_ORDER:
        choice = choices[role]
        columns = [column for column in _listed(choice.column) if column is not None]
        if not columns:
            continue
        about = {name: context[name] for name in _AGREES_WITH.get(role, ()) if name in context}
        by = _BY_PRESET if choice.why.startswith(_BY_PRESET) else ""
        says = [verdict.says if verdict.fits else count(_n_values(obs, column), "value")
                for column, verdict in _verdicts(obs, role, columns, about)]  # fmt: skip
        found[role] = replace(choice, why=by + ", ".join(says))
        if role != "cell_type":
            context[role] = _entries(obs, role, columns[0])
    return found


def _entries(obs: pd.DataFrame, role: str, column: Any) -> pd.Series:
    return parse_ages(_one(obs, column)) if role == "age" else read_entries(_one(obs, column), role)


def role_columns(roles: Mapping[str, Any]) -> list[Any]:
    """All columns that have a role, each once."""
    found = [c for column in roles.values() for c in (column if isinstance(column, list) else [column])]
    return list(dict.fromkeys(column for column in found if column is not None))


def named_column(roles: Mapping[str, Any], columns: Collection[Any], name: str) -> Any:
    """Column that is meant by the name of a role, or by its own.

    Raises
    ------
    TitinError
        If there is none, or several have that role.
    """
    column = roles.get(name)
    if isinstance(column, list):
        known = ", ".join(map(str, column))
        raise TitinError(f"several columns have the role {name!r}", f"name one of them: {known}")
    if column is None and name not in columns:
        raise TitinError(
            f"the dataset has no {name} column", f"build it with --{name} COLUMN, or give the values of each cell"
        )
    return name if column is None else column


def _require(obs: pd.DataFrame, role: str, column: Any) -> None:
    if column in obs.columns:
        return
    names = [str(c) for c in obs.columns]
    near = difflib.get_close_matches(str(column), names, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}?" if near else f"columns of obs: {', '.join(names) or 'none'}"
    raise TitinError(f"obs has no column {column!r}, which was given as the {role.replace('_', ' ')}", hint)
