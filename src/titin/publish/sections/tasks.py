"""What the dataset can be used to learn, with the number of classes and donors that there really are."""

import numpy as np
import pandas as pd

from titin.dataset import layout
from titin.publish.facts import Facts
from titin.publish.markdown import bullets, code, number, section, table

_FOLDS = 3  # a class in fewer donors cannot be in training and test of each of so many folds


def tasks(facts: Facts) -> str:
    """Tasks, their targets, and what stands in their way."""
    rows = [row for row in (*_cell_type_tasks(facts), *_age_tasks(facts), *_label_tasks(facts)) if row]
    if facts.manifest.obsm:
        rows.append(
            ("representation", "embeddings", f"{len(facts.manifest.obsm)} to compare with", "fit on training donors")
        )
    value = layout.VALUES if facts.manifest.kind == "real" else layout.COUNTS
    rows.append(("gene models", f"{code(layout.GENES)}, {code(value)}",
                 f"{facts.manifest.n_genes:,} tokens, {facts.manifest.nnz:,} entries",
                 "rank or bin tokens: `titin.tokens`"))  # fmt: skip
    extra = bullets(task["text"] for task in facts.preset.tasks)
    return section("Machine-learning tasks", table(("task", "target", "what there is", "mind"), rows), extra)


def _cell_type_tasks(facts: Facts) -> list[tuple[str, str, str, str]]:
    rows = []
    for column in facts.cell_types:
        counts, donors = facts.counts(column), facts.donors_of(column)
        few = int((donors < _FOLDS).sum()) if donors is not None else 0
        mind = f"{few} classes in fewer than {_FOLDS} donors" if few else "imbalanced: macro F1 beside accuracy"
        what = f"{len(counts):,} classes, {counts.iloc[-1]:,} to {counts.iloc[0]:,} cells" if len(counts) else "–"
        rows.append(("cell type", code(column), what, mind))
    return rows


def _age_tasks(facts: Facts) -> list[tuple[str, str, str, str]]:
    if facts.ages is None:
        return []
    rows = []
    donor, label = facts.column("donor"), facts.column("age")
    if donor is not None:
        by_donor = facts.ages.groupby(facts.obs[donor], observed=True).median().dropna()
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


def _label_tasks(facts: Facts) -> list[tuple[str, str, str, str]]:
    rows = []
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


def evaluation(facts: Facts) -> str:
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
