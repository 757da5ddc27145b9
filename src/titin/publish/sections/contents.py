"""Ages, cell types, protocols and donors: how many cells of each, from how many donors."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from titin.dataset import layout
from titin.markdown import Markdown, bullets, code, escape, listed, prose, section, table
from titin.publish.facts import AGES, CardFacts
from titin.study.ages import donor_ages
from titin.study.tallies import CELLS
from titin.text import number, percent

_BIN_YEARS = 10
_MOST_BINS, _MOST_DONORS, _TYPES_SHOWN = 30, 100, 25


def distributions(facts: CardFacts, notes: Iterable[str]) -> str:
    """All of them, and what of the design limits conclusions."""
    design = bullets(escape(note) for note in notes)
    return section(
        "What is in it", _ages(facts), _cell_types(facts), _exclusive(facts), _donors(facts),
        section("Design", "Computed from the labels of the cells:", design, level=3) if design else "",
    )  # fmt: skip


def _ages(facts: CardFacts) -> str:
    ages, labels = facts.ages, facts.column("age")
    if ages is None and labels is None:
        return ""
    cells, title = _age_bins(facts)
    donor = facts.column("donor")
    counts = cells.groupby("_bin", observed=True, sort=False)[CELLS].sum()
    rows: list[list[Any]] = []
    for value in sorted(counts.index, key=_age_order(cells)):
        row = [_shown(value), f"{counts[value]:,}", percent(counts[value], facts.manifest.n_cells)]
        rows.append(row + ([f"{cells.loc[cells['_bin'] == value, donor].nunique():,}"] if donor else []))
    header = [title, "cells", "share", *(["donors"] if donor else [])]
    missing = int(cells[CELLS][cells["_bin"].isna()].sum())
    note = f"{missing:,} cells have no age." if missing else ""
    return section("Ages", table(header, rows, range(1, 4)), note, _age_columns(facts), level=3)


def _shown(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)


def _age_columns(facts: CardFacts) -> str:
    sentences = []
    derived = facts.manifest.derived
    if layout.AGE_NUMERIC in derived and (label := facts.column("age")):
        sentences.append(f"{code(layout.AGE_NUMERIC)} is the age in years read from {code(label)}; of a range it is "
                         "the "
                         "middle, which differs from the true age.")  # fmt: skip
    if layout.AGE_YEARS in derived:
        sentences.append(f"{code(layout.AGE_YEARS)} is the exact age in years, from the donor table "
                         f"{code(facts.manifest.settings.get('donors'))}.")  # fmt: skip
    return " ".join(sentences)


def _age_bins(facts: CardFacts) -> tuple[pd.DataFrame, str]:
    """Groups of cells with a ``_bin``: the source's own ages where they are few labels, else decades; and its title."""
    label, donor = facts.column("age"), facts.column("donor")
    if label is not None and (facts.ages is None or facts.obs[label].nunique() <= _MOST_BINS):
        cells = facts.groups(*dict.fromkeys([label, donor]))
        if facts.obs[label].nunique() <= _MOST_BINS:
            return cells.assign(_bin=cells[label]), code(label)
        return cells.assign(_bin=pd.Series(pd.NA, cells.index)), "age"
    cells = facts.groups(donor)
    years = cells[AGES]
    low = (np.floor(years / _BIN_YEARS) * _BIN_YEARS).astype("Int64")
    bins = (low.astype("string") + "–" + (low + _BIN_YEARS).astype("string")).where(years.notna())
    return cells.assign(_bin=bins), "years"


def _age_order(cells: pd.DataFrame) -> Callable[[Any], Any]:
    """By mean age; those without one last, by name."""
    if AGES not in cells:
        return str
    known = cells[cells[AGES].notna()]
    summed = known.assign(_sum=known[AGES] * known[CELLS]).groupby("_bin", observed=True)[["_sum", CELLS]].sum()
    means = summed["_sum"] / summed[CELLS]

    def order(value: Any) -> tuple[float, str]:
        mean = means.get(value, np.nan)
        return (float(mean) if pd.notna(mean) else np.inf, str(value))

    return order


def _cell_types(facts: CardFacts) -> str:
    if not facts.cell_types:
        return ""
    column = facts.cell_types[0]
    counts, donors = facts.counts(column), facts.donors_of(column)
    names = facts.texts.cell_types
    known = any(str(v) in names for v in counts.index)
    rows = []
    for value, n in counts.head(_TYPES_SHOWN).items():
        row = [
            code(value),
            *([prose(names.get(str(value), ""))] if known else []),
            f"{n:,}",
            percent(n, facts.manifest.n_cells),
        ]
        rows.append(row + ([f"{donors.get(value, 0):,}"] if donors is not None else []))
    header = [
        code(column),
        *(["meaning"] if known else []),
        "cells",
        "share",
        *(["donors"] if donors is not None else []),
    ]
    rest = counts.iloc[_TYPES_SHOWN:]
    note = (
        f"{len(rest):,} more with {rest.sum():,} cells: {listed([code(v) for v in rest.index], 40)}."
        if len(rest)
        else ""
    )
    finer = [f"{code(c)} has {facts.obs[c].nunique():,}" for c in facts.cell_types[1:]]
    return section("Cell types", table(header, rows, range(1 + known, len(header))), note,
                   f"Finer labels: {', '.join(finer)}." if finer else "", level=3)  # fmt: skip


def _exclusive(facts: CardFacts) -> str:
    """Cell types that one protocol alone has."""
    protocol = facts.column("protocol")
    if protocol is None or not facts.cell_types or facts.obs[protocol].nunique() < 2:
        return ""
    column = facts.cell_types[0]
    sizes = facts.groups(column, protocol).groupby([column, protocol], observed=True)[CELLS].sum()
    types, arms = (sizes.index.get_level_values(level).astype(str) for level in (0, 1))
    counted = pd.crosstab(types, arms, sizes.to_numpy(), aggfunc="sum").fillna(0).astype(np.int64)
    alone = counted[(counted > 0).sum(axis=1) == 1]
    lines = [f"only in {code(arm)}: {listed([code(t) for t in alone.index[alone[arm] > 0]], 40)}"
             for arm in counted.columns if (alone[arm] > 0).any()]  # fmt: skip
    total = ", ".join(f"{code(arm)} {n:,}" for arm, n in counted.sum().items())
    shared = len(counted) - len(alone)
    return section("Protocols", f"Cells by {code(protocol)}: {total}. Of {len(counted):,} cell types {shared:,} "
                                "occur in "
                   "more than one.", bullets(lines), level=3)  # fmt: skip


def _donors(facts: CardFacts) -> str:
    donor = facts.column("donor")
    if donor is None or not facts.n_donors or facts.n_donors > _MOST_DONORS:
        return ""
    columns = [c for c in (facts.column(r) for r in ("sex", "age", "protocol", "chemistry")) if c]
    rows = []
    for name, part in facts.groups(*dict.fromkeys([donor, *columns])).groupby(donor, observed=True):
        shown = [listed(sorted({_shown(v) for v in part[c].dropna().unique()})) or "–" for c in columns]
        n_cells = int(part[CELLS].sum())
        rows.append([code(name), *shown, f"{n_cells:,}", percent(n_cells, facts.manifest.n_cells)])
    per_donor = facts.counts(donor)
    note = f"Cells a donor: {per_donor.min():,} to {per_donor.max():,}, median {number(per_donor.median())}."
    header = [code(donor), *(code(c) for c in columns), "cells", "share"]
    return section("Donors", table(header, rows, (len(header) - 2, len(header) - 1)), note, level=3)


_FOLDS = 3  # a class in fewer donors cannot be in training and test of each of so many folds


def tasks(facts: CardFacts) -> str:
    """Tasks, their targets, and what stands in their way."""
    rows = [row for row in (*_cell_type_tasks(facts), *_age_tasks(facts), *_label_tasks(facts)) if row]
    if facts.manifest.obsm:
        rows.append(
            ("representation", "embeddings", f"{len(facts.manifest.obsm)} to compare with", "fit on training donors")
        )
    value = facts.manifest.value_kind.entries
    rows.append(("gene models", Markdown(f"{code(layout.GENES)}, {code(value)}"),
                 f"{facts.manifest.n_genes:,} tokens, {facts.manifest.nnz:,} entries",
                 Markdown("rank or bin tokens: `titin.tokens`")))  # fmt: skip
    extra = bullets(prose(task["text"]) for task in facts.texts.tasks)
    return section("Machine-learning tasks", table(("task", "target", "what there is", "mind"), rows), extra)


def _cell_type_tasks(facts: CardFacts) -> list[tuple[str, str, str, str]]:
    rows: list[tuple[str, str, str, str]] = []
    for column in facts.cell_types:
        counts, donors = facts.counts(column), facts.donors_of(column)
        few = int((donors < _FOLDS).sum()) if donors is not None else 0
        mind = f"{few} classes in fewer than {_FOLDS} donors" if few else "imbalanced: macro F1 beside accuracy"
        what = f"{len(counts):,} classes, {counts.iloc[-1]:,} to {counts.iloc[0]:,} cells" if len(counts) else "–"
        rows.append(("cell type", code(column), what, mind))
    return rows


def _age_tasks(facts: CardFacts) -> list[tuple[str, str, str, str]]:
    if facts.ages is None:
        return []
    rows: list[tuple[str, str, str, str]] = []
    donor, label = facts.column("donor"), facts.column("age")
    if donor is not None:
        by_donor = donor_ages(facts.ages, facts.obs[donor])
        what = f"{len(by_donor):,} donors, {number(by_donor.min())} to {number(by_donor.max())} years"
        rows.append(("age, regression", code(facts.ages.name), what, _least_correlation(len(by_donor))))
    else:
        rows.append(("age, regression", code(facts.ages.name), "no donors known", "cannot be tested on unseen donors"))
    if label is not None and not pd.api.types.is_numeric_dtype(facts.obs[label]) and donor is not None:
        per_label = facts.donors_of(label)
        if per_label is not None and len(per_label) > 1:
            single = int((per_label == 1).sum())
            mind = (f"{single} of {len(per_label)} have one donor: not evaluable with donors held out; take coarser "
                    "ones"
                    if single else "ordered classes: count how far off")  # fmt: skip
            rows.append(("age, classes", code(label), f"{len(per_label):,} classes", mind))
    return rows


def _least_correlation(n_donors: int) -> str:
    """Correlation that so many donors need before it differs from 0 (two-sided, 5 %)."""
    if n_donors < 4:
        return f"{n_donors} donors are too few to tell anything"
    from scipy.stats import t

    quantile = t.ppf(0.975, n_donors - 2)
    return f"with {n_donors} donors |r| below {quantile / np.sqrt(n_donors - 2 + quantile**2):.2f} may be chance"


def _label_tasks(facts: CardFacts) -> list[tuple[str, str, str, str]]:
    rows: list[tuple[str, str, str, str]] = []
    for role, mind in (("sex", "XIST and genes of the Y chromosome answer it"),
                       ("protocol", "trivial from composition: judge it within types that both have"),
                       ("chemistry", "a batch effect: remove it, or test across it")):  # fmt: skip
        column = facts.column(role)
        if column is None or len(counts := facts.counts(column)) < 2:
            continue
        donors = facts.donors_of(column)
        what = f"{len(counts):,} classes" + (
            f", {donors.min():,} to {donors.max():,} donors each" if donors is not None else ""
        )
        rows.append((role, code(column), what, mind))
    return rows


def evaluation(facts: CardFacts) -> str:
    """How to measure honestly."""
    if facts.column("donor") is None:
        return section("Evaluation", "The dataset names no donors, so nothing can be held out by donor. Cells of one "
                                     "sample "
                       "resemble each other: a random split of cells tells how well a model knows these samples, not "
                       "how "
                       "well it does on new ones.")  # fmt: skip
    return section("Evaluation", bullets([
        f"**Hold out donors, never cells.** Cells of one donor ({code(facts.column('donor'))}) share genotype, "
        "dissection, "
        "library and ambient RNA. With cells split at random the model recognises the donor, and scores high even "
        "where "
        "there is nothing to learn.",
        "**Fit everything within the fold**: highly variable genes, scaling, PCA, thresholds. Embeddings that were "
        "computed "
        "on all donors are transductive; say so beside the score.",
        f"**Donors are the replicates.** Report a score for each of the {facts.n_donors:,} donors, intervals from "
        "resampling "
        "donors, and p from permuting them. Differential tests belong on sums by donor (pseudobulk).",
        "**Do not average correlations over folds**; pool the held-out predictions. With one donor held out at a "
        "time, the "
        "mean of the others predicts with r = −1.",
        "**Show baselines**: mean or majority, and age or type from sex and protocol alone.",
    ]))  # fmt: skip
