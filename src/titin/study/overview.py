"""What a study is of, as a person asks: how many donors, of which ages and sexes, which cell types and protocols."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from titin.study.ages import young_or_old
from titin.study.design import Study, text_column
from titin.text import percent

if TYPE_CHECKING:
    from titin.atlas import Atlas

_MOST_TYPES = 6  # that are named
_MOST_VALUES = 6  # of sexes, protocols and chemistries


def overview(atlas: "Atlas") -> dict[str, Any]:
    """Count who and what is in a dataset.

    Parameters
    ----------
    atlas
        The dataset; its metadata are read, but nothing of the matrix.

    Returns
    -------
    dict
        JSON-safe. ``donors`` and ``samples`` (numbers, None without such a column); ``ages`` (None where no age is
        known): ``lowest``, ``highest`` in years, ``donors`` whose age is known, and ``cut``, ``young``, ``old`` where
        the ages part (`titin.study.ages.age_cut`); ``sex``, ``protocol``, ``chemistry``: by value ``cells`` and
        ``donors``; ``cell_types``: a record a level with ``level``, ``types`` and the cells of the ``most`` frequent;
        ``unknown``: cells of which a role is not known, by role.

    Raises
    ------
    DatasetError
        If the metadata cannot be read, or obs has no column that has a role.
    """
    study = Study.of(atlas)
    donor = text_column(study.values("donor")) if study.column("donor") is not None else None
    return {
        "donors": _n_values(study, "donor"), "samples": _n_values(study, "sample"), "ages": _ages(study),
        **{role: _counts(study, role, donor) for role in ("sex", "protocol", "chemistry")},
        "cell_types": [_types(study, level) for level in study.levels],
        "unknown": {role: gap.cells for role, gap in study.missing.items()},
    }  # fmt: skip


def _n_values(study: Study, role: str) -> int | None:
    return None if study.column(role) is None else int(study.values(role).nunique())


def _ages(study: Study) -> dict[str, Any] | None:
    if study.ages is None:
        return None
    donors = study.donor_ages
    known = study.ages.dropna()
    found: dict[str, Any] = {"lowest": float(known.min()), "highest": float(known.max()),
                             "donors": None if donors is None else len(donors)}  # fmt: skip
    if donors is not None and study.age_cut is not None:
        sides = young_or_old(donors.to_numpy(np.float64), study.age_cut)
        found |= {"cut": study.age_cut, "young": int((sides == "young").sum()), "old": int((sides == "old").sum())}
    return found


def _counts(study: Study, role: str, donor: pd.Categorical | None) -> dict[str, dict[str, int | None]] | None:
    if not study.knows(role):
        return None
    table = pd.DataFrame({"value": text_column(study.values(role), sexes=role == "sex"), "donor": donor})
    found: dict[str, dict[str, int | None]] = {}
    for value, rows in table.groupby("value", observed=True):
        found[str(value)] = {"cells": len(rows), "donors": None if donor is None else int(rows["donor"].nunique())}
    return dict(sorted(found.items(), key=lambda entry: (-int(entry[1]["cells"] or 0), entry[0])))


def _types(study: Study, level: Any) -> dict[str, Any]:
    cells = study.labels(level).astype("string").value_counts()
    order = sorted(cells.items(), key=lambda entry: (-int(entry[1]), str(entry[0])))
    return {"level": str(level), "types": len(order), "most": {str(name): int(n) for name, n in order[:_MOST_TYPES]}}


def describe_overview(found: Mapping[str, Any], n_cells: int) -> list[tuple[str, str]]:
    """The same in words: what it is of, and what is to be said.

    Parameters
    ----------
    found
        From `overview`.
    n_cells
        Of the dataset.
    """
    lines = [("donors", _say_donors(found)), ("ages", _say_ages(found["ages"]))]
    for i, entry in enumerate(found["cell_types"]):
        most = ", ".join(f"{name} {percent(n, n_cells)}" for name, n in entry["most"].items())
        more = "" if len(entry["most"]) == entry["types"] else " …"
        said = f"{entry['types']:,} of {entry['level']}"
        lines.append(("cell types" if not i else "", f"{said}: {most}{more}" if not i else said))
    lines += [] if found["cell_types"] else [("cell types", "not known")]
    lines += [(name, _say_values(found[name])) for name in ("protocol", "chemistry")]
    unknown = ", ".join(f"{role.replace('_', ' ')} of {n:,} cells" for role, n in found["unknown"].items())
    return [*lines, *([("not known", unknown)] if unknown else [])]


def _say_donors(found: Mapping[str, Any]) -> str:
    if found["donors"] is None:
        return "not known"
    sexes = [f"{counts['donors']:,} {sex}" for sex, counts in (found["sex"] or {}).items()]
    sex = f": {', '.join(sexes[:_MOST_VALUES])}" if sexes else "; their sex is not known"
    samples = f"; {found['samples']:,} samples" if found["samples"] is not None else ""
    return f"{found['donors']:,}{sex}{samples}"


def _say_ages(ages: Mapping[str, Any] | None) -> str:
    if ages is None:
        return "not known"
    said = f"{ages['lowest']:g} to {ages['highest']:g} years"
    said += f", of {ages['donors']:,} donors" if ages["donors"] is not None else ""
    return said + (f"; {ages['young']} young, {ages['old']} old (from {ages['cut']:g} years)" if "cut" in ages else "")


def _say_values(values: Mapping[str, Mapping[str, Any]] | None) -> str:
    if values is None:
        return "not known"
    each = [f"{name} ({counts['cells']:,} cells"
            + (f" of {counts['donors']:,} donors)" if counts["donors"] is not None else ")")
            for name, counts in list(values.items())[:_MOST_VALUES]]  # fmt: skip
    more = f" and {len(values) - _MOST_VALUES} more" if len(values) > _MOST_VALUES else ""
    return ", ".join(each) + more
