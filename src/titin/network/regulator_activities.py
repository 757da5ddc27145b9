"""Activities of regulators by donor and type, what is particular to each type, and what changes with age."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from titin.ageing.comparison import Comparisons, left_out, protocols, take_part
from titin.ageing.donor_means import MIN_CELLS, DonorMeans, compare_donor_means
from titin.ageing.pseudobulk import Pseudobulk, pseudobulk
from titin.ageing.pseudobulk_scores import MIN_COUNT, PRIOR_COUNT, sum_samples
from titin.atlas import Atlas
from titin.dataset import layout
from titin.errors import TitinError, reason_of
from titin.network.prior_network import MIN_TARGETS, PriorNetwork, sizes
from titin.network.scoring import METHODS, ActivityMethod, Floats, activity_scores
from titin.progress import Progress
from titin.study.design import AGE, choose_level

_MILLION = 1e6
_EXPRESSION = (
    "log2 counts per million of the sum of a donor's cells of a type and protocol; in tests less the mean of the "
    "type's donors, between types the mean over donors less the mean of all types"
)
CAVEAT = (
    "an activity says that the known targets of a regulator go together, not that the regulator acts; regulators share "
    "targets, so that their tests are not independent"
)
_TESTED = ["effect", "ci_low", "ci_high", "t", "df", "p_value", "adj_p_value", "adj_p_value_across_types"]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Activities(Comparisons):
    """Activities of regulators.

    Attributes
    ----------
    table
        One row a regulator, type and protocol: ``regulator``, ``cell_type``, ``protocol``, ``n_donors`` with cells
        enough and their ``n_cells``, ``n_targets`` that the type expresses, ``activity`` of the type relative to the
        other types of the protocol and its ``rank`` within the type (1 is the highest), both missing where there is one
        type; and of the change with age ``effect`` with its 95 % interval, ``t``, ``df``, ``p_value``, ``adj_p_value``
        (within a type and protocol), ``adj_p_value_across_types`` and ``n_donors_tested``, missing where it was not
        evaluable.
    donors
        One row a regulator, donor, protocol and type: ``feature`` (the regulator), ``mean``, its activity relative to
        the mean of the type's donors, ``n_cells``, ``age``, ``sex``.
    not_compared
        Why there are no tests at all; empty where there are.
    """

    donors: pd.DataFrame
    not_compared: str = ""


@dataclass(frozen=True, eq=False)
class _TypeExpression:
    """Log counts per million of the groups of one type and protocol: groups × all genes, and which are expressed.

    ``enough`` is of the groups whose donor has cells enough.
    """

    cell_type: str
    protocol: str
    rows: NDArray[np.int64]
    logs: Floats
    expressed: NDArray[np.bool_]
    enough: NDArray[np.bool_]


def activities(
    data: Pseudobulk | Atlas,
    network: PriorNetwork,
    *,
    method: ActivityMethod = "ulm",
    cell_type_level: int | str | None = None,
    contrast: str = "young_old",
    formula: str | None = None,
    min_cells: int = MIN_CELLS,
    min_donors: int = 3,
    min_targets: int = MIN_TARGETS,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Activities:
    """Score regulators in the summed counts of every donor, type and protocol, and test what changes with age.

    Parameters
    ----------
    data
        A pseudobulk, or a dataset to take it from.
    network
        Regulators and targets, by symbol.
    method
        See `titin.network.activity_scores`.
    cell_type_level, formula, min_cells, min_donors
        As for `titin.ageing.differential_expression`.
    contrast
        ``young_old`` (old against young) or ``age`` (a decade).
    min_targets
        Targets that a type must express, for a regulator to be scored in it.
    threads, progress
        For the pseudobulk.

    Raises
    ------
    TitinError
        If the dataset has no counts or donors, or no regulator has targets enough.

    Notes
    -----
    The change is tested by a linear model over donors, ``~ sex + study + chemistry +`` the contrast where no formula is
    given, its t moderated across the regulators of a type. Sums of a donor's cells do not follow depth as scores of
    single cells do.
    """
    sums = data if isinstance(data, Pseudobulk) else pseudobulk(data, threads=threads, progress=progress)
    names, weights = network.with_targets(sums.genes["gene"].tolist(), min_targets)
    level = choose_level(sums.levels, cell_type_level, whole=True)
    asked = _asked(sums, contrast)
    complete = take_part(sums.groups, asked, formula, [level] if level in sums.groups else [])
    groups, counts = sum_samples(sums.select(complete.rows), level)
    parts = _by_type(groups, counts, min_cells)
    scores = np.full((len(groups), len(names)), np.nan)
    targets = {}
    for part in parts:
        own = weights[:, part.expressed]
        n_targets = sizes(own)["n"]
        kept = np.flatnonzero(n_targets >= min_targets)
        targets[part.cell_type, part.protocol] = n_targets
        if not len(kept) or part.expressed.sum() < 3:
            continue
        values = part.logs[:, part.expressed]
        scores[np.ix_(part.rows, kept)] = activity_scores(values - values.mean(axis=0), own[kept], method)
    means = DonorMeans(groups, pd.DataFrame(scores, columns=names), level)
    table = _describe(parts, groups, names, weights, targets, method, min_targets)
    tests, not_compared = _compare(means, asked, formula, min_cells, min_donors)
    settings = {
        "activity": METHODS[method], "expression": _EXPRESSION, "network": network.name, "min_targets": min_targets,
        "cell_type_level": level, "min_cells": min_cells, **(tests.settings if tests else {"contrast": ""}),
    }  # fmt: skip
    return Activities(
        _with_tests(table, tests), donors=means.by_donor(), tests=tests.tests if tests else [],
        skipped=tests.skipped if tests else [], not_compared=not_compared, caveat=CAVEAT, settings=settings,
        **left_out(complete),
    )  # fmt: skip


def _asked(sums: Pseudobulk, contrast: str) -> str:
    """The contrast where groups have ages; donors alone, of whom nothing is missing, where they have none."""
    known = AGE in sums.groups and bool(sums.groups[AGE].notna().any())
    return contrast if known else "donor"


def _by_type(groups: pd.DataFrame, counts: sparse.csr_matrix, min_cells: int) -> list[_TypeExpression]:
    """Log counts per million of each type and protocol; a gene without counts is alike in all of a protocol."""
    found = []
    for protocol, rows in protocols(groups):
        library = np.asarray(counts[rows].sum(axis=1), np.float64).ravel()
        for name, own in groups.iloc[rows].groupby("cell_type", sort=True).indices.items():
            sums = counts[rows[own]].toarray().astype(np.float64)
            size = np.maximum(library[own], 1)
            prior = PRIOR_COUNT * size / library.mean()
            logs = np.log2((sums + prior[:, None]) / (size + 2 * prior)[:, None] * _MILLION)
            of_type = groups.iloc[rows[own]]
            cells = of_type.groupby("donor")[layout.N_CELLS].transform("sum").to_numpy()
            expressed = sums.mean(axis=0) >= MIN_COUNT
            found.append(_TypeExpression(str(name), protocol, rows[own], logs, expressed, cells >= min_cells))
    return found


def _describe(
    parts: list[_TypeExpression], groups: pd.DataFrame, names: list[str], weights: sparse.csr_matrix,
    targets: dict[tuple[str, str], Floats], method: ActivityMethod, min_targets: int,
) -> pd.DataFrame:  # fmt: skip
    """One row a regulator, type and protocol, with the activity relative to other types."""
    tables = []
    for protocol in dict.fromkeys(part.protocol for part in parts):
        own = [part for part in parts if part.protocol == protocol]
        relative = _relative(own, weights, method, min_targets)
        for part, activity in zip(own, relative, strict=True):
            of_type = groups.iloc[part.rows[part.enough]]
            table = pd.DataFrame({
                "regulator": names, "cell_type": part.cell_type, "protocol": protocol,
                "n_donors": of_type["donor"].nunique(), "n_cells": int(of_type[layout.N_CELLS].sum()),
                "n_targets": targets[part.cell_type, protocol].astype(np.int64), "activity": activity,
            })  # fmt: skip
            table["rank"] = table["activity"].rank(ascending=False, method="min").astype("Int64")
            tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _relative(
    parts: list[_TypeExpression], weights: sparse.csr_matrix, method: ActivityMethod, min_targets: int
) -> Floats:  # fmt: skip
    """Types × regulators: activity of each type's mean expression, less that of all types; of one type, missing."""
    found = np.full((len(parts), weights.shape[0]), np.nan)
    places = [i for i, part in enumerate(parts) if part.enough.any()]
    if len(places) < 2:
        return found
    expressed = np.any([parts[i].expressed for i in places], axis=0)
    own = weights[:, expressed]
    kept = np.flatnonzero(sizes(own)["n"] >= min_targets)
    if len(kept) and expressed.sum() >= 3:
        profiles = np.stack([parts[i].logs[np.ix_(parts[i].enough, expressed)].mean(axis=0) for i in places])
        found[np.ix_(np.array(places), kept)] = activity_scores(profiles - profiles.mean(axis=0), own[kept], method)
    return found


def _compare(
    means: DonorMeans, contrast: str, formula: str | None, min_cells: int, min_donors: int
) -> tuple[Comparisons | None, str]:  # fmt: skip
    """Test the activities over donors; None and the reason where nothing can be compared at all."""
    if contrast == "donor":
        return None, "no donor's age is known"
    try:
        found = compare_donor_means(means, contrast=contrast, formula=formula, min_cells=min_cells,
                                    min_donors=min_donors, moderated=True)  # fmt: skip
    except TitinError as reason:
        return None, reason_of(reason)
    return found, ""


def _with_tests(table: pd.DataFrame, tests: Comparisons | None) -> pd.DataFrame:
    keys = ["regulator", "cell_type", "protocol"]
    tested = pd.DataFrame(columns=[*keys, *_TESTED, "n_tested"])
    if tests is not None and len(tests.table):
        tested = tests.table.rename(columns={"feature": "regulator", "n_donors": "n_tested"})
    merged = table.merge(tested[[*keys, *_TESTED, "n_tested"]], on=keys, how="left", sort=False)
    merged[_TESTED] = merged[_TESTED].astype(float)
    merged["n_donors_tested"] = merged.pop("n_tested").astype("Int64")
    return merged
