"""What of expression is compared: the counts of the donors of one type in one protocol, and their design."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from titin.ageing.comparison import (
    ComparedUnits,
    Contrast,
    DonorContrast,
    ask,
    choose_units,
    extra_columns,
    protocols,
    settings,
    take_part,
)
from titin.ageing.design import NotTestableError
from titin.ageing.exact_zeros import exact_zeros
from titin.ageing.kernels import Floats
from titin.ageing.normalization import (
    MIN_COUNT,
    MIN_TOTAL_COUNT,
    LogCounts,
    filter_genes,
    log_counts,
    normalization_factors,
    weigh_log_counts,
)
from titin.ageing.pseudobulk import Pseudobulk, pseudobulk
from titin.atlas import Atlas
from titin.dataset import layout
from titin.progress import Progress
from titin.study.conditions import Where
from titin.study.design import AGE, choose_level, labels_of
from titin.study.gaps import Complete

MIN_CELLS = 10
_FEWEST_GENES = 10  # from which a common variance can be learnt


@dataclass(frozen=True, eq=False)
class ExpressionComparison:
    """Counts of the donors of one type in one protocol.

    Attributes
    ----------
    cell_type, protocol
        Of the cells.
    compared
        The units, mostly donors, and their design.
    genes
        int64: positions of the genes that have counts enough.
    counts
        int64, units × these genes.
    """

    cell_type: str
    protocol: str
    compared: ComparedUnits
    genes: NDArray[np.int64]
    counts: NDArray[np.int64]

    @property
    def n_cells(self) -> int:
        """Cells behind the counts."""
        return int(self.compared.units[layout.N_CELLS].sum())

    @cached_property
    def library(self) -> Floats:
        """Counts of each unit × its normalisation factor (TMM)."""
        plain = self.counts.astype(float)
        sizes: Floats = plain.sum(axis=1) * normalization_factors(plain)
        return sizes

    def log_values(self) -> Floats:
        """log2 counts per million, genes × units."""
        return log_counts(self.counts.astype(float), self.library)

    @cached_property
    def log_counts_without_zeros(self) -> LogCounts:
        """As `log_counts`, without the zeros that the design fits exactly."""
        counts, design = self.counts.astype(float), self.compared.design.matrix
        return weigh_log_counts(counts, self.library, design, silent=exact_zeros(counts, design))

    @cached_property
    def log_counts(self) -> LogCounts:
        """The same with weights by the trend of the variance in this type and protocol (voom)."""
        return weigh_log_counts(self.counts.astype(float), self.library, self.compared.design.matrix)


@dataclass(frozen=True, eq=False)
class ExpressionComparisons:
    """All comparisons of a dataset that can be made, and why others cannot.

    Attributes
    ----------
    comparisons
        By protocol and type.
    skipped
        The others, with the ``reason``.
    genes
        ``gene`` and ``gene_id`` of all genes.
    question
        What is asked of all alike.
    complete
        Who takes part.
    settings
        What was asked and how, for people and JSON.
    """

    comparisons: list[ExpressionComparison]
    skipped: list[dict[str, Any]]
    genes: pd.DataFrame
    question: DonorContrast
    complete: Complete
    settings: dict[str, Any]


def expression_comparisons(
    data: Pseudobulk | Atlas,
    *,
    cell_type_level: int | str | None = None,
    contrast: Contrast = AGE,
    formula: str | None = None,
    where: Mapping[str, Any] | Sequence[str] | None = None,
    min_cells: int = MIN_CELLS,
    min_donors: int = 3,
    min_count: float = MIN_COUNT,
    drop_confounded: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> ExpressionComparisons:
    """Sum the counts of every type and protocol over donors, and keep those that can be compared.

    Parameters
    ----------
    data, cell_type_level, contrast, formula, where, min_cells, min_donors, min_count, drop_confounded
        As for `titin.ageing.differential_expression`.
    threads, progress
        Of the pseudobulk.

    Raises
    ------
    TitinError
        As `titin.ageing.differential_expression` does.
    """
    if isinstance(data, Atlas):
        extra = extra_columns(contrast, formula, Where.of(where).columns)
        data = pseudobulk(data, extra=extra, threads=threads, progress=progress)
    level = choose_level(data.levels, cell_type_level, whole=True)
    complete = take_part(data.groups, contrast, formula, [level])
    found = data.select(complete.rows)
    if where:
        found = found.select(Where.of(where).holds(found.groups))
    question = ask(found.groups, contrast, formula, min_donors=min_donors, drop_confounded=drop_confounded,
                   complete=complete)  # fmt: skip
    labels = labels_of(found.groups, level)
    made, skipped = [], []
    for protocol, rows in protocols(found.groups, question):
        for name in sorted(labels.iloc[rows].dropna().unique()):
            own = rows[labels.iloc[rows] == name]
            try:
                compared = choose_units(found.groups, own, question, min_cells=min_cells)
                made.append(ExpressionComparison(str(name), protocol, compared, *_sum(found, compared, min_count)))
            except NotTestableError as reason:
                n_cells = int(found.groups[layout.N_CELLS].iloc[own].sum())
                skipped.append({"cell_type": str(name), "protocol": protocol, "reason": str(reason.args[0]),
                                layout.N_CELLS: n_cells})  # fmt: skip
    done_with = {
        **settings(question), "where": list(map(str, Where.of(where).conditions)), "cell_type_level": level,
        "min_cells": min_cells,
        "filter": f"at least {min_count:g} counts in a library of median size in as many donors as the smallest group "
                  f"of the design has, and {MIN_TOTAL_COUNT} counts in all",
    }  # fmt: skip
    return ExpressionComparisons(made, skipped, found.genes, question, complete, done_with)


def _sum(
    found: Pseudobulk, compared: ComparedUnits, min_count: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # fmt: skip
    """Positions of the genes with counts enough, and their counts, units × genes."""
    n_units = len(compared.units)
    which = sparse.csr_matrix((np.ones(len(compared.rows), np.int64), (compared.unit, np.arange(len(compared.rows)))),
                              shape=(n_units, len(compared.rows)))  # fmt: skip
    counts = (which @ found.counts[compared.rows]).toarray()
    if (counts.sum(axis=1) == 0).any():
        raise NotTestableError("a donor has no counts at all")
    kept = np.flatnonzero(filter_genes(counts.astype(float), compared.design.matrix, min_count=min_count))
    if len(kept) < _FEWEST_GENES:
        raise NotTestableError(f"{len(kept) or 'no'} genes with counts enough, fewer than {_FEWEST_GENES}")
    return kept, np.ascontiguousarray(counts[:, kept])
