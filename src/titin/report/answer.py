"""The head of a report: what changes with age in a few sentences and one table, computed from what was found."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from titin.ageing import Analysis
from titin.ageing.analysis import ALPHA
from titin.ageing.verdict import Row, clearest_first, count_genes, say_p, say_where
from titin.report.data import ReportData
from titin.study.ages import donor_ages
from titin.text import count

_NOTABLE_VIF = 2.0  # variance inflation from which an overlap is told
_NONE, _NOT = "none found", "not compared"


@dataclass(frozen=True)
class Answer:
    """One sentence of the head.

    Attributes
    ----------
    title, anchor
        What it is about, and its section.
    text
        The sentence.
    """

    title: str
    anchor: str
    text: str


def answers(data: ReportData, analyses: Sequence[Analysis]) -> list[Answer]:
    """Say what changes with age, one sentence a question, and last what cannot be said.

    Parameters
    ----------
    data
        With `ReportData.findings` of all sections.
    analyses
        Those of the report, in order.
    """
    more = data.atlas.preset.report.asks
    asked = [one for one in analyses if one.headline] + [one for one in analyses if one.anchor in more]
    reasons = {data.missing[one.anchor] for one in asked if one.anchor in data.missing}
    if len(reasons) == 1 and not any(one.anchor in data.findings for one in asked):
        return [Answer("Not evaluable", "methods", f"What changes with age cannot be told: {reasons.pop()}.")]
    said = []
    for one in asked:
        if one.anchor in data.findings:
            said.append(Answer(one.title, one.anchor, f"{one.verdict(data.findings[one.anchor])}."))
        elif one.anchor in data.missing:
            said.append(Answer(one.title, one.anchor, f"Not evaluable: {data.missing[one.anchor]}."))
    return [*said, Answer("What cannot be said", "methods", f"{_limits(data)}.")]


def _limits(data: ReportData) -> str:
    """What the design and the comparisons do not allow to say, in one sentence."""
    parts = [*_say_untested(data), *_say_overlap(data), *_say_design(data)]
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}"


def _say_untested(data: ReportData) -> Iterator[str]:
    found = data.result("expression")
    if found is None or data.labels is None:
        return
    tested = {str(test["cell_type"]) for test in found.tests}
    untested = [name for name in map(str, data.labels.cat.categories) if name not in tested]
    if untested:
        few = count(len(tested) + len(untested), "cell type")
        yield f"{len(untested):,} of {few} could not be compared in expression, for want of donors or of their cells"


def _tests(data: ReportData) -> list[dict[str, Any]]:
    """What was tested in expression and in composition."""
    return [test for anchor in ("expression", "composition") if (found := data.result(anchor)) for test in found.tests]


def _say_overlap(data: ReportData) -> Iterator[str]:
    tests = _tests(data)
    worst = max(tests, key=lambda test: float(test.get("vif") or 0), default=None)
    if worst is not None and float(worst.get("vif") or 0) >= _NOTABLE_VIF:
        yield (f"age is hard to tell from what it is adjusted for{say_where(worst)}, where the variance of an effect "
               f"is {float(worst['vif']):.1f} times that of a design without overlap")  # fmt: skip


def _say_design(data: ReportData) -> Iterator[str]:
    tests = _tests(data)
    sizes = sorted({len(test["donors"]) for test in tests if test.get("donors")})
    if sizes:
        span = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        yield f"with {span} donors a comparison, what is not found may still be there"
    yield "fractions say nothing of absolute numbers"
    if data.study.ages is not None and "donor" in data.keys:
        ages = data.keys.groupby("donor")["age"].nunique()
        if ages.max() == 1 and len(donor_ages(data.keys["age"], data.keys["donor"])) > 1:
            yield "people of different ages were compared, and nobody was followed"


def table_of_types(data: ReportData) -> pd.DataFrame | None:
    """What changes in each cell type: its fraction, its genes, its programmes; None where nothing could be compared.

    Returns
    -------
    DataFrame
        One row a type, those with the most genes first: ``cell type``, ``cells``, ``fraction``, ``genes up``, ``genes
        down`` (Int64, missing where nothing was compared), ``clearest genes``, ``clearest programme``. A change counts
        where p is below 0.05 adjusted over all tests of its question.
    """
    asked = [data.result(anchor) for anchor in ("composition", "expression", "programmes")]
    if data.labels is None or all(found is None for found in asked):
        return None
    sizes = data.labels.value_counts()
    table = pd.DataFrame({"cell type": sizes.index.astype(str), "cells": sizes.to_numpy()}).set_index("cell type")
    fractions, expression, programmes = asked
    if fractions is not None:
        table["fraction"] = _per_type(fractions.table, _say_fold).reindex(table.index).fillna(_NOT)
    if expression is not None and "log2_fold_change" in expression.table:
        tested = clearest_first(expression.table)
        genes = count_genes(tested[tested["over_all"] < ALPHA]).set_index("cell_type")
        known = table.index.isin(tested["cell_type"].astype(str).unique())
        for way in ("up", "down"):
            table[f"genes {way}"] = genes[way].reindex(table.index).fillna(0).where(known).astype("Int64")
        table["clearest genes"] = genes["clearest"].reindex(table.index).fillna(_NONE).where(known, _NOT)
        table = table.assign(order=genes["genes"].reindex(table.index).fillna(0))
    if programmes is not None:
        table["clearest programme"] = _per_type(programmes.table, _say_programme).reindex(table.index).fillna(_NOT)
    if "order" in table:
        table = table.sort_values(["order", "cells"], ascending=False, kind="stable").drop(columns="order")
    return table.reset_index()


def _per_type(table: pd.DataFrame, say: Callable[[Row], str]) -> pd.Series:
    """Words on the clearest change of each type that was tested."""
    tested = clearest_first(table).drop_duplicates("cell_type")
    said = [say(row) if row["over_all"] < ALPHA else _NONE for row in tested.to_dict("records")]
    return pd.Series(said, index=tested["cell_type"].astype(str), dtype=object)


def _say_fold(row: Row) -> str:
    place = say_where(row, "cell_type")
    return f"×{row['fold_change']:.2g} a decade{place} ({row['fold_change_low']:.2g} to {row['fold_change_high']:.2g})"


def _say_programme(row: Row) -> str:
    way = "up" if row["effect"] > 0 else "down"
    return f"{row['feature']} {way}{say_where(row, 'cell_type')} (adjusted p {say_p(float(row['over_all']))})"
