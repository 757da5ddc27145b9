"""Roles of the columns of several studies: one column of all for each role."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from titin.dataset import layout
from titin.study.alignment import Alignment
from titin.study.entries import read_entries
from titin.study.roles import RoleChoice
from titin.text import say_first

_ONE_COLUMN = ("donor", "sample", "age", "sex", "protocol", "chemistry")
_NAMES = ("donor", "sample")  # what two studies call alike is not the same
_SHOWN = 3


@dataclass
class MergedRoles:
    """Which column of the joined obs has each role.

    Attributes
    ----------
    columns
        By role; of ``cell_type`` a list.
    renamed
        By study: columns that go by the name that the column of their role has in the first study.
    own
        By study: its own roles, JSON-safe.
    notes
        What people should know of them.
    """

    columns: dict[str, Any] = field(default_factory=dict)
    renamed: dict[str, dict[Any, str]] = field(default_factory=dict)
    own: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def choices(self) -> dict[str, RoleChoice]:
        """As the builder takes them."""
        return {
            role: RoleChoice(self.columns[role], "of all studies" if self.columns[role] else "no study has one")
            for role in layout.ROLES
        }

    def made(self, sizes: Mapping[str, int], cells: Mapping[str, pd.Series]) -> dict[str, pd.Series]:
        """Columns of donors and samples with the study's name, where two studies have such names in common.

        Parameters
        ----------
        sizes
            By study, in their order: how many cells it has.
        cells
            Columns of all cells, study after study.
        """
        found = {}
        study = np.repeat(list(sizes), list(sizes.values()))
        for role in _NAMES:
            column = self.columns[role]
            if column is None or column not in cells:
                continue
            labels = read_entries(cells[column], role)
            known = labels.notna().to_numpy(bool)
            distinct = pd.DataFrame({"label": labels.astype("string")[known], "study": study[known]}).drop_duplicates()
            shared = [label for label, n in Counter(distinct["label"]).items() if n > 1]
            if not shared:
                continue
            name = f"{column}_of_study"
            while name in cells:
                name += "_"
            text = labels.astype("string").fillna("").to_numpy(object)
            own = np.where(known, text + "-" + study.astype(object), None)
            found[name] = pd.Series(own, dtype="category")
            self.columns[role] = name
            shown = say_first(shared, _SHOWN)
            self.notes.append(
                f"{len(shared):,} names of {role}s are in several studies ({shown}) and are taken for different ones: "
                f"obs column {name!r} tells them apart"
            )
        return found

    def finish(self, study: str, alignment: Alignment) -> None:
        """Name the column of the study, and say where a study's column of a role could not be joined."""
        self.columns["study"] = study
        for name, roles in self.own.items():
            for role, given in roles.items():
                for column in given if isinstance(given, list) else [given]:
                    placed = alignment.names[name].get(column)
                    wanted = self.renamed[name].get(column, column)
                    if placed is not None and placed != str(wanted):
                        self.notes.append(f"the {role.replace('_', ' ')} of {name} is in obs column {placed!r} alone")


def merge_roles(roles: Mapping[str, Mapping[str, Any]], units: Collection[str]) -> MergedRoles:
    """Choose for each role the name that its column has in the first study that has one.

    Parameters
    ----------
    roles
        By study: the column of each role, a list for ``cell_type``.
    units
        Of the ages of all studies; columns of ages in several units are not joined.
    """
    found = MergedRoles(renamed={name: {} for name in roles})
    for name, own in roles.items():
        found.own[name] = {role: column for role, column in own.items() if column}
    for role in _ONE_COLUMN:
        columns = {name: own[role] for name, own in roles.items() if own.get(role) is not None}
        found.columns[role] = str(next(iter(columns.values()))) if columns else None
        if role == "age" and len(set(units)) > 1:
            found.columns[role] = None
            said = " and ".join(sorted(set(units)))
            found.notes.append(f"ages are in {said}: those in years are titin's, age_numeric")
            continue
        _rename(found, columns)
    levels = {name: own.get("cell_type") or [] for name, own in roles.items()}
    found.columns["cell_type"] = []
    for depth in range(max(map(len, levels.values()))):
        columns = {name: own[depth] for name, own in levels.items() if depth < len(own)}
        found.columns["cell_type"].append(str(next(iter(columns.values()))))
        _rename(found, columns)
    found.columns["cell_type"] = list(dict.fromkeys(found.columns["cell_type"]))
    return found


def _rename(found: MergedRoles, columns: Mapping[str, Any]) -> None:
    """Have columns go by the name of the first."""
    target = str(next(iter(columns.values()), None))
    for name, column in columns.items():
        if str(column) != target and target not in found.renamed[name].values():
            found.renamed[name][column] = target
            found.notes.append(f"obs column {str(column)!r} of {name} is in {target!r}, as it has the same role")


def age_units(derived: Iterable[Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """Units of the ages of studies, of which each has derived columns with what they were made from."""
    origins = (own.get(layout.AGE_NUMERIC, {}) for own in derived)
    return sorted({str(origin["unit"]) for origin in origins if origin.get("unit")})
