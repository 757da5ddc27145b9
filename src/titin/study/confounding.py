"""What the design of a study allows and forbids to conclude: counted over donors, said in sentences with numbers."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from titin.study.ages import young_or_old
from titin.study.design import Study
from titin.study.tallies import CELLS, count_combinations

_ROLES = ("donor", "age", "sex", "protocol", "chemistry", "cell_type")
_STRONG = 0.5  # Cramér's V from which two factors are called confounded
_ALL = 3  # donors of one age, from which it is worth a word that all have one sex
_NAMED = 8  # most names in a sentence
_DOMINANT = 0.25  # share of the cells that one donor has, from which it is said


def design_facts(study: Study) -> dict[str, Any]:
    """Count the design of a study, over donors.

    Parameters
    ----------
    study
        The cells and their donors.

    Returns
    -------
    dict
        JSON-safe. ``donors`` (number, ``cells`` of each), ``ages`` (``low``, ``high``, and ``cut``, which lies in the
        widest gap that leaves a quarter of the donors on either side), ``arms`` (one a protocol, or one called ``all``:
        ``donors``, and for sex, chemistry and protocol against age the ``table`` of donors, ``cramers_v`` and ``p`` of
        Fisher's exact test, where it is 2 × 2), ``single_donor_ages``, ``shared_donors``, ``single_protocol_types`` and
        ``rare_types``. What cannot be counted is absent: without a donor column, all of it but the types.
    """
    table = _combinations(study)
    facts: dict[str, Any] = {}
    if {"protocol", "cell_type"} <= set(table):
        facts["single_protocol_types"] = _single_protocol_types(table)
    if "donor" not in table:
        return facts
    cells = table.groupby("donor")["cells"].sum()
    facts["donors"] = {"number": len(cells), "cells": {str(k): int(v) for k, v in cells.items()}}
    if "cell_type" in table:
        number = table.dropna(subset="donor").groupby("cell_type")["donor"].nunique()
        facts["rare_types"] = {str(name): int(n) for name, n in number.items() if n < 3}
    ages = study.donor_ages
    if ages is not None:
        facts["ages"] = {"low": float(ages.min()), "high": float(ages.max()), "cut": study.age_cut}
    if ages is not None and "age" in table:
        facts["single_donor_ages"] = _single_donor_ages(
            table, numeric=pd.api.types.is_numeric_dtype(study.values("age").dtype)
        )
    if "protocol" in table:
        arms = table.groupby("donor")["protocol"].nunique()
        facts["shared_donors"] = [str(name) for name in arms.index[arms > 1]]
    facts["arms"] = _arms(table, study)
    return facts


def _combinations(study: Study) -> pd.DataFrame:
    """Distinct combinations of what plays a role (text, or missing), with their ``cells``; the coarsest types."""
    columns = [role for role in _ROLES if study.column(role) is not None]
    if not columns or not len(study.obs):
        return pd.DataFrame({"cells": []})
    counted = count_combinations({role: study.values(role).astype("category").array for role in columns})
    return counted.rename(columns={CELLS: "cells"}).astype(dict.fromkeys(columns, "string"))


def cramers_v(table: pd.DataFrame) -> float | None:
    """Cramér's V of a table of counts, 0 … 1, without correction; None where a factor has one value only."""
    from scipy.stats.contingency import association

    counts = table.to_numpy(np.int64)
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    return float(association(counts, method="cramer")) if min(counts.shape, default=0) >= 2 else None


def _arms(table: pd.DataFrame, study: Study) -> dict[str, dict[str, Any]]:
    """For each protocol, and for all donors together, how age goes with the other factors."""
    ages, cut = study.donor_ages, study.age_cut
    parts = {"all": table}
    if "protocol" in table:
        parts = {str(name): part for name, part in table.groupby("protocol")} | parts
    arms: dict[str, dict[str, Any]] = {}
    for name, part in parts.items():
        arms[name] = {"donors": int(part["donor"].nunique()), "cells": int(part["cells"].sum())}
        if ages is None or cut is None:
            continue
        half = part["donor"].map(pd.Series(young_or_old(ages, cut), ages.index))
        for role in ("sex", "chemistry", "protocol"):
            if role in part and (name == "all" or role != "protocol"):
                arms[name][f"age_{role}"] = _against(half, part[role], part["donor"])
    return arms


def _against(half: pd.Series, values: pd.Series, donor: pd.Series) -> dict[str, Any]:
    """Donors by age and one factor; a donor that has two values counts in both."""
    from scipy.stats import fisher_exact

    known = (donor.notna() & half.notna() & values.notna()).to_numpy(bool)
    once = set(zip(donor[known], half[known], values[known], strict=True))
    numbers = Counter((when, what) for _, when, what in once)
    names = sorted({what for _, what in numbers})
    counts = {when: {name: numbers[when, name] for name in names} for when in ("young", "old")}
    table = pd.DataFrame.from_dict(counts, orient="index", columns=names)
    v = cramers_v(table)
    p = float(fisher_exact(table.to_numpy()).pvalue) if table.shape == (2, 2) and v is not None else None
    return {"table": counts, "cramers_v": v, "p": p}


def _single_donor_ages(table: pd.DataFrame, *, numeric: bool) -> dict[str, str]:
    """Age bins that hold one donor, and which; none where ages are numbers, or as many as donors, and so not bins."""
    pairs = table[["age", "donor"]].dropna().drop_duplicates()
    alone = pairs[~pairs["age"].duplicated(keep=False)]
    if numeric or len(alone) == len(pairs):
        return {}
    return {str(age): str(donor) for age, donor in sorted(zip(alone["age"], alone["donor"], strict=True))}


def _single_protocol_types(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Cell types of which one protocol alone has cells, and how many, by protocol; none if there is one protocol."""
    cells = table.pivot_table("cells", "cell_type", "protocol", aggfunc="sum", fill_value=0)
    if cells.shape[1] < 2:
        return {}
    alone = cells[(cells > 0).sum(axis=1) == 1]
    return {str(p): {str(t): int(n) for t, n in alone[p].items() if n} for p in alone if alone[p].any()}


def design_notes(facts: Mapping[str, Any]) -> list[str]:
    """Say in sentences what the design forbids to conclude.

    Parameters
    ----------
    facts
        Of `design_facts`.

    Returns
    -------
    list of str
        Each a sentence with its numbers; empty if there is nothing to say.
    """
    parts = (confounding_notes, age_notes, protocol_notes, balance_notes, type_notes)
    return [note for part in parts for note in part(facts)]


def confounding_notes(facts: Mapping[str, Any]) -> list[str]:
    """Sentences on age that goes with sex, chemistry or protocol."""
    notes = []
    for name, arm in facts.get("arms", {}).items():
        where = "" if name == "all" else f" in {name}"
        for role in ("sex", "chemistry", "protocol"):
            counted = arm.get(f"age_{role}")
            if counted and (note := _confounded(role, where, counted)):
                notes.append(note)
    return notes


def _confounded(role: str, where: str, counted: Mapping[str, Any]) -> str | None:
    table, v = counted["table"], counted["cramers_v"]
    if v is None:
        return None
    said = "; ".join(
        f"{half} {', '.join(f'{n} {value}' for value, n in row.items() if n) or 'none'}" for half, row in table.items()
    )
    test = "" if counted["p"] is None else f", Fisher's p = {counted['p']:.2g}"
    for half, row in table.items():
        total, held = sum(row.values()), [value for value, n in row.items() if n]
        if len(held) == 1 and total >= _ALL:
            return (f"Age and {role} are confounded{where}: all {total} {half} donors have {role} {held[0]} "
                    f"(donors: {said}; Cramér's V = {v:.2f}{test}).")  # fmt: skip
    if v >= _STRONG:
        return f"Age and {role} go together{where} (donors: {said}; Cramér's V = {v:.2f}{test})."
    return None


def age_notes(facts: Mapping[str, Any]) -> list[str]:
    """Sentences on ages that single donors stand for."""
    alone = facts.get("single_donor_ages") or {}
    if not alone:
        return []
    bins = ", ".join(f"{age} ({donor})" for age, donor in alone.items())
    many = "age bins hold" if len(alone) > 1 else "age bin holds"
    return [f"{len(alone)} {many} one donor: {bins}; with donors held out, these cannot be predicted as classes."]


def protocol_notes(facts: Mapping[str, Any]) -> list[str]:
    """Sentences on what the protocols share."""
    notes = []
    arms = {name: arm for name, arm in facts.get("arms", {}).items() if name != "all"}
    if len(arms) > 1 and "donors" in facts:
        shared = len(facts.get("shared_donors", []))
        each = ", ".join(f"{arm['donors']} in {name}" for name, arm in arms.items())
        are = "is" if shared == 1 else "are"
        notes.append(f"Of {facts['donors']['number']} donors, {shared} {are} in more than one protocol ({each}).")
    for protocol, types in facts.get("single_protocol_types", {}).items():
        largest = sorted(types.items(), key=lambda item: -item[1])
        named = ", ".join(f"{name} ({n:,})" for name, n in largest[:_NAMED])
        more = f" and {len(types) - _NAMED} more" if len(types) > _NAMED else ""
        plural = "cell types are" if len(types) > 1 else "cell type is"
        notes.append(f"{len(types)} {plural} in {protocol} only: {named}{more}.")
    return notes


def balance_notes(facts: Mapping[str, Any]) -> list[str]:
    """Sentences on donors that are much or little represented."""
    notes = []
    cells = facts.get("donors", {}).get("cells", {})
    total = sum(cells.values())
    if len(cells) > 1:
        most, least = max(cells, key=cells.__getitem__), min(cells, key=cells.__getitem__)
        if cells[most] >= _DOMINANT * total or cells[most] >= 20 * cells[least]:
            notes.append(
                f"Donors differ in cells: {most} has {cells[most]:,} of {total:,} ({cells[most] / total:.0%}), "
                f"{least} has {cells[least]:,}."
            )
    return notes


def type_notes(facts: Mapping[str, Any]) -> list[str]:
    """Sentences on cell types of few donors."""
    rare = facts.get("rare_types") or {}
    if not rare or facts["donors"]["number"] < 3:
        return []
    named = ", ".join(f"{name} ({n})" for name, n in sorted(rare.items())[:_NAMED])
    more = f" and {len(rare) - _NAMED} more" if len(rare) > _NAMED else ""
    return [f"{len(rare)} cell type{'s' if len(rare) > 1 else ''} of fewer than 3 donors: {named}{more}."]
