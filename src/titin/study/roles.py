"""The obs columns of cell type, donor, sample, age, sex, protocol and chemistry: found by name, or as given."""

import difflib
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from titin.dataset import layout
from titin.errors import TitinError
from titin.study.ages import parse_ages
from titin.study.vocabulary import PROTOCOL_WORDS, plain

# names by which columns go, best first, without case, spaces, dots, dashes and underscores
_NAMES: dict[str, tuple[str, ...]] = {
    "donor": ("donorid", "donor", "patientid", "patient", "individual", "individualid", "subject", "subjectid",
              "participant", "participantid", "mouseid"),
    "sample": ("sampleid", "sample", "library", "libraryid", "channel", "origident"),
    "age": ("ageyears", "age", "agenumeric", "agegroup", "agebin", "agerange", "developmentstage", "donorage"),
    "sex": ("sex", "gender", "donorsex"),
    "protocol": ("suspensiontype", "protocol", "batch", "suspension", "modality"),
    "chemistry": ("10xversion", "assay", "chemistry", "technology", "platform", "assayname"),
}  # fmt: skip
_CELL_TYPES = ("celltype", "celltypes", "authorcelltype", "celltypebroad", "celltypefine", "annotation", "annotations",
               "celllabel", "cellannotation")  # fmt: skip
_LEVEL = re.compile(r"(?:annotation|celltype|annlevel|annotationlevel|celltypelevel|level)(?:level)?(\d+)")
_DETECTED = 0.5  # share of cells whose age must be readable for a column to be taken for the age


def find_column(table: pd.DataFrame, role: str) -> Any:
    """The first column whose name fits a role and whose entries do; None if there is none."""
    by_name = {plain(c): c for c in reversed(list(table.columns))}
    for name in _NAMES[role]:
        if name in by_name and _fits(table[by_name[name]], role):
            return by_name[name]
    return None


def _fits(column: pd.Series, role: str) -> bool:
    if column.notna().sum() == 0:
        return False
    if role == "age":
        return bool(parse_ages(column).notna().mean() >= _DETECTED)
    if role == "protocol":
        return {plain(v) for v in column.dropna().unique()} <= PROTOCOL_WORDS.keys()
    return True


def find_cell_types(obs: pd.DataFrame) -> list[Any]:
    """Columns of cell-type labels, coarsest first: numbered levels, else the usual names."""
    levels = {c: int(m[1]) for c in obs.columns if (m := _LEVEL.fullmatch(plain(c)))}
    if levels:
        return sorted(levels, key=lambda c: levels[c])
    found = [c for name in _CELL_TYPES for c in obs.columns if plain(c) == name and _labels(obs[c])]
    return sorted(found, key=lambda c: obs[c].nunique())


def _labels(column: pd.Series) -> bool:
    return bool(column.notna().any()) and (
        isinstance(column.dtype, pd.CategoricalDtype) or not pd.api.types.is_numeric_dtype(column.dtype)
    )


def find_roles(obs: pd.DataFrame, given: Mapping[str, Any]) -> dict[str, Any]:
    """Column of each role: as given, else as found.

    Parameters
    ----------
    obs
        Cells' metadata.
    given
        Column by role; a list for ``cell_type``.

    Returns
    -------
    For every role of `titin.dataset.layout.ROLES`: a column name or None; for ``cell_type`` a list.

    Raises
    ------
    TitinError
        If a given column does not exist, or a given age column holds no ages.
    """
    roles: dict[str, Any] = {}
    for role in layout.ROLES:
        if role in given:
            wanted = [given[role]] if isinstance(given[role], str) or role != "cell_type" else given[role]
            for column in wanted:
                _require(obs, role, column)
            roles[role] = list(wanted) if role == "cell_type" else given[role]
        else:
            roles[role] = find_cell_types(obs) if role == "cell_type" else find_column(obs, role)
    if "age" in given and parse_ages(obs[given["age"]]).isna().all():
        examples = ", ".join(repr(v) for v in obs[given["age"]].dropna().unique()[:3])
        raise TitinError(
            f"the age column {given['age']!r} holds no age that can be read (it holds {examples})",
            "ages are numbers, ranges such as 15-20, or CELLxGENE development stages",
        )
    return roles


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


def read_donor_ages(path: Path) -> pd.Series:
    """Exact ages in years by donor from a CSV, TSV or Parquet table with a donor and an age column.

    Raises
    ------
    TitinError
        If the table cannot be read, lacks a column, or gives a donor two ages.
    """
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, sep="\t" if path.suffix in (".tsv", ".txt") else ",", dtype=str)
    except FileNotFoundError:
        raise TitinError(f"--donors: {path} does not exist", "give a table with a donor and an age column") from None
    except (OSError, ValueError) as error:
        raise TitinError(f"--donors: {path} cannot be read as a table: {error}", "give CSV, TSV or Parquet") from error
    donor, age = find_column(table, "donor"), find_column(table, "age")
    if donor is None or age is None:
        missing = "donor" if donor is None else "age"
        columns = ", ".join(map(str, table.columns))
        raise TitinError(
            f"--donors: {path} has no {missing} column (it has {columns})", f"name one of them {missing!r}"
        )
    pairs = pd.DataFrame({"donor": table[donor].astype(str), "age": parse_ages(table[age])}).dropna().drop_duplicates()
    twice = pairs["donor"][pairs["donor"].duplicated()]
    if len(twice):
        ages = pairs.loc[pairs["donor"] == twice.iloc[0], "age"].tolist()
        raise TitinError(f"--donors: {path} gives donor {twice.iloc[0]!r} the ages {ages}", "keep one age a donor")
    return pairs.set_index("donor")["age"]
