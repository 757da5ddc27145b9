"""Roles of the columns of several studies: one column of all for each role."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from titin.compose.alignment import Alignment
from titin.compose.study_part import StudyPart
from titin.dataset import layout
from titin.study.entries import read_entries
from titin.study.roles import RoleChoice

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

    def made(self, parts: Mapping[str, StudyPart], cells: Mapping[str, pd.Series]) -> dict[str, pd.Series]:
        """Columns of donors and samples with the study's name, where two studies have such names in common."""
        found = {}
        study = np.repeat(list(parts), [len(part.source.obs) for part in parts.values()])
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
            shown = ", ".join(shared[:_SHOWN]) + (" …" if len(shared) > _SHOWN else "")
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


def merge_roles(parts: Mapping[str, StudyPart]) -> MergedRoles:
    """Choose for each role the name that its column has in the first study that has one."""
    found = MergedRoles(renamed={name: {} for name in parts})
    for name, part in parts.items():
        found.own[name] = {role: column for role, column in part.roles.items() if column}
    for role in _ONE_COLUMN:
        columns = {name: part.roles[role] for name, part in parts.items() if part.roles.get(role) is not None}
        found.columns[role] = str(next(iter(columns.values()))) if columns else None
        if role == "age" and len(_units(parts)) > 1:
            found.columns[role] = None
            found.notes.append(f"ages are in {' and '.join(_units(parts))}: those in years are titin's, age_numeric")
            continue
        _rename(found, columns)
    levels = {name: part.roles.get("cell_type") or [] for name, part in parts.items()}
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


def _units(parts: Mapping[str, StudyPart]) -> list[str]:
    origins = (part.ages.derived.get(layout.AGE_NUMERIC, {}) for part in parts.values())
    return sorted({str(origin["unit"]) for origin in origins if origin.get("unit")})
