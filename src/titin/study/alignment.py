"""Tables of several studies as one: which column of each becomes which, and the way back."""

from collections import defaultdict
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.dataset.tables import Record, column_names, decode_values, encode_table, encode_values, values_of
from titin.study.joined_columns import family, join_columns

Places = Mapping[str, NDArray[np.int64]]


@dataclass
class Alignment:
    """Where the columns of several tables go.

    Attributes
    ----------
    names
        By study: the column of the joined table that each of its columns is in.
    notes
        Columns that could not be joined, and columns that not all studies have.
    unlike
        By name: the first study whose column of that name, or role, could not be joined, and why.
    """

    names: dict[str, dict[Any, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unlike: dict[str, str] = field(default_factory=dict)

    @property
    def groups(self) -> dict[str, dict[str, Any]]:
        """By column of the joined table: the column of each study that is in it."""
        found: dict[str, dict[str, Any]] = defaultdict(dict)
        for study, names in self.names.items():
            for column, name in names.items():
                found[name][study] = column
        return dict(found)


def align(
    tables: Mapping[str, pd.DataFrame], place: str, renamed: Mapping[str, Mapping[Any, str]],
    places: Places | None = None,
) -> Alignment:  # fmt: skip
    """Say which columns of several tables are one: those of one name, and those that are renamed, if their values fit.

    Parameters
    ----------
    tables
        By study.
    place
        ``obs`` or ``var``, for what is said.
    renamed
        By study: columns that go by another name, such as that of their role.
    places
        Of tables of genes: by study, the row of each gene of the joined table, -1 for none. Columns are one then only
        if they say the same of the genes that studies share.
    """
    found = Alignment({study: {} for study in tables})
    first: dict[str, tuple[str, Any]] = {}
    for study, table in tables.items():
        given = renamed.get(study, {})
        for column in table.columns:
            wanted = given.get(column, str(column))
            if column not in given and wanted in given.values():
                wanted = f"{wanted}_{study}"
            name = wanted
            if wanted in first:
                other, theirs = first[wanted]
                why = _unlike(tables[other][theirs], table[column], other, study, places)
                if why:
                    name = free_name(f"{wanted}_{study}", [*first, *found.names[study].values()])
                    found.unlike.setdefault(wanted, f"that of {study} cannot be joined, as {why}")
                    found.notes.append(f"{place} column {str(column)!r} of {study} is kept as {name!r}: {why}")
            first.setdefault(name, (study, column))
            found.names[study][column] = name
    partly = [(name, own) for name, own in found.groups.items() if len(own) < len(tables)]
    for name, own in partly:
        found.notes.append(f"{place} column {name!r} is of {', '.join(own)} alone; it is missing elsewhere")
    return found


def _unlike(one: pd.Series, other: pd.Series, study: str, own: str, places: Places | None) -> str:
    """Why two columns cannot be one; empty if they can."""
    kinds = family(one), family(other)
    if kinds[0] != kinds[1]:
        return f"that of {study} holds {kinds[0]}, this {kinds[1]}"
    if places is None:
        return ""
    shared = (places[study] >= 0) & (places[own] >= 0)
    theirs, ours = (values.astype(object).to_numpy()[places[of][shared]] for values, of in ((one, study), (other, own)))
    same = (theirs == ours) | (pd.isna(theirs) & pd.isna(ours))
    differ = int(len(same) - np.count_nonzero(same))
    return f"it says otherwise than that of {study} of {differ:,} of {len(same):,} genes" if differ else ""


def join_cells(tables: Mapping[str, pd.DataFrame], alignment: Alignment) -> dict[str, pd.Series]:
    """Columns of all cells, study after study."""
    return {
        name: join_columns([table[own[study]] if study in own else len(table) for study, table in tables.items()])
        for name, own in alignment.groups.items()
    }


def join_genes(tables: Mapping[str, pd.DataFrame], alignment: Alignment, places: Places) -> dict[str, pd.Series]:
    """Columns of all genes: of each gene what the first study says that has the column and measured the gene."""
    columns = {}
    for name, own in alignment.groups.items():
        starts = np.cumsum([0, *(len(tables[study]) for study in own)])
        end = int(starts[-1])
        rows = np.full(len(next(iter(places.values()))), end, np.int64)
        for study, start in zip(reversed(list(own)), reversed(starts[:-1].tolist()), strict=True):
            measured = places[study] >= 0
            rows[measured] = start + places[study][measured]
        parts = [tables[study][column] for study, column in own.items()]
        columns[name] = join_columns([*parts, 1] if (rows == end).any() else parts).iloc[rows].reset_index(drop=True)
    return columns


def restoring_records(table: pd.DataFrame, names: Mapping[Any, str], index: str) -> list[Record]:
    """Records that restore a study's table from the joined one: see `restore`."""
    _, records = encode_table(table, index_name=free_name(index, list(names.values())))
    for record, column in zip(records[1:], table.columns, strict=True):
        record["column"] = names[column]
    return records


def restore(joined: pd.DataFrame, records: list[Record], index: pd.Index) -> pd.DataFrame:
    """A study's table as it was, of rows that are all its own.

    Parameters
    ----------
    joined
        The rows of the joined table.
    records
        From `restoring_records`.
    index
        Names of the rows as the study has them.
    """
    columns = {}
    for place, record in enumerate(records[1:]):
        column: pd.Series = joined[str(record["column"])]
        stored, _ = encode_values(values_of(column))
        columns[place] = pd.Series(decode_values(stored, record), index=index)
    frame = pd.DataFrame(columns, index=index.rename(records[0]["name"]))
    frame.columns = column_names(records)
    return frame


def free_name(name: str, taken: Container[str]) -> str:
    """Return a name that is not taken: itself, or with a number."""
    n, free = 1, name
    while free in taken:
        n += 1
        free = f"{name}_{n}"
    return free
