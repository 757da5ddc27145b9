"""Whether the labels of two cell types are swapped: what their cells express, weighed donor by donor."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from titin.check.kernels import sum_by_two
from titin.study.combinations import Combinations

CERTAINTY = 0.99  # that not one of all comparisons of a dataset is a false alarm
_EITHER = 0.01  # chance, up to which the markers of one of the two by themselves are found in the other
_LIKELY, _LIKELY_EITHER = 0.001, 0.05  # likewise of a single pair, and of one of the two: worth a look
_LIKELY_IN_ONE_DONOR = 1e-4  # likewise; there are as many more comparisons as there are donors
_AGAINST = 2 / 3  # of the cells that have markers of either, as many have more of the other's
_FEWEST = 10  # cells of either type that are compared within donors
_FEWEST_OF_DONOR = 5  # of either type, to say it of a donor
MOST = 2 / 3  # of the donors that have both types
FEWEST_DONORS = 3  # of whom that can be said

Values = Callable[[str], NDArray[np.floating[Any]]]


def mean_of(values: Values, genes: Sequence[str]) -> NDArray[Any]:
    """Mean of genes for each cell, a gene at a time: all of them at once would be the most that is in memory."""
    total = np.array(values(genes[0]))
    for gene in genes[1:]:
        total += values(gene)
    return np.asarray(total / len(genes))


@dataclass(frozen=True)
class Labelled:
    """Cells to be compared.

    Attributes
    ----------
    types
        Type of each cell, numbered; -1 for none. Integer, shape ``(n_cells,)``.
    strata
        Cells are compared with those of the same stratum (donor, or donor by protocol); -1 for none, as ``types``.
    donor_of
        Donor of each stratum, numbered. Integer, shape ``(n_strata,)``.
    """

    types: NDArray[np.integer[Any]]
    strata: NDArray[np.integer[Any]]
    donor_of: NDArray[np.int64]


@dataclass(frozen=True)
class Separation:
    """How far the values of one type lie above those of another, within strata.

    Attributes
    ----------
    area
        Area under the ROC curve: mean over strata by their number of pairs of cells.
    p
        Of so small an area by chance, were the two alike (van Elteren's test, a normal approximation with ties).
    of_donor
        Area in each donor that has both.
    """

    area: float
    p: float
    of_donor: dict[int, float]


@dataclass(frozen=True)
class Swap:
    """Two types of which each has the other's markers.

    Attributes
    ----------
    one, other
        Numbers of the types.
    areas
        By how much the cells called ``one`` have its markers more than those called ``other``, and the reverse.
    p
        Of the markers of both together.
    donors_for, donors_against
        Donors in whom the labels agree with the markers, and in whom a swap does.
    certain
        Whether it is as certain as `CERTAINTY` says, all pairs considered.
    donor
        The only donor in whom they are swapped; None where it is so in all.
    """

    one: int
    other: int
    areas: tuple[float, float]
    p: float
    donors_for: int
    donors_against: int
    certain: bool
    donor: int | None = None


def separation(
    values: NDArray[np.floating[Any]], one: NDArray[np.bool_], other: NDArray[np.bool_], cells: Labelled
) -> Separation | None:
    """Compare the values of two sets of cells within strata; None where no stratum has both.

    References
    ----------
    van Elteren, Bulletin of the International Statistical Institute 37, 351-361 (1960).
    """
    mine = np.flatnonzero((one | other) & (cells.strata >= 0))
    mine = mine[np.argsort(cells.strata[mine], kind="stable")]
    bounds = np.flatnonzero(np.diff(cells.strata[mine], prepend=-1, append=-1))
    deviation = variance = 0.0
    above, pairs = dict[int, float](), dict[int, int]()
    for start, stop in pairwise(bounds):
        part = mine[start:stop]
        first = one[part]
        n, n_first = len(part), int(first.sum())
        n_pairs = n_first * (n - n_first)
        if not n_pairs:
            continue
        ranks = rankdata(values[part])
        u = float(ranks[first].sum()) - n_first * (n_first + 1) / 2
        _, ties = np.unique(ranks, return_counts=True)
        deviation += (u - n_pairs / 2) / (n + 1)
        variance += n_pairs / 12 * (n + 1 - float((ties**3 - ties).sum()) / (n * (n - 1))) / (n + 1) ** 2
        donor = int(cells.donor_of[cells.strata[part[0]]])
        above[donor], pairs[donor] = above.get(donor, 0.0) + u, pairs.get(donor, 0) + n_pairs
    if not pairs:
        return None
    p = float(norm.cdf(deviation / np.sqrt(variance))) if variance > 0 else 1.0
    return Separation(sum(above.values()) / sum(pairs.values()), p, {d: above[d] / pairs[d] for d in pairs})


def find_swaps(values: Values, markers: Mapping[int, Sequence[str]], cells: Labelled) -> Iterator[Swap]:
    """Find pairs of types of which each has the other's markers more than its own cells have.

    Markers that two types share tell nothing of the two. Genes are read one by one, for the means of each type in each
    stratum; only pairs whose means are the wrong way round for the markers of both are compared cell by cell.

    Parameters
    ----------
    values
        Gives what all cells have of a gene.
    markers
        Genes by type.
    cells
        Their types and donors.
    """
    n_donors = len(np.unique(cells.donor_of))
    strata = _Strata.read(values, markers, cells)
    levels = (strata, strata.by_donor())
    own = {(a, b): [g for g in markers[a] if g not in markers[b]] for a in markers for b in markers if a != b}
    pairs = [(a, b) for a, b in combinations(sorted(markers), 2) if own[a, b] and own[b, a]]
    for a, b in pairs:
        # where hardly a stratum has both, as with nuclei and cells of their own types, a donor has
        level = next((level for level in levels if level.comparable(a, b).min() >= _FEWEST), None)
        if level is None:
            continue
        found = None
        if level.reversed(own, a, b, np.ones(len(level.size), bool)):
            found = _weigh(values, own, a, b, level.cells, len(pairs))
        if found is not None:
            yield found
        elif n_donors > 1:
            yield from _in_one_donor(values, own, a, b, level, len(pairs) * n_donors)


def _in_one_donor(
    values: Values, own: Mapping[tuple[int, int], Sequence[str]], a: int, b: int, level: "_Strata", n_tests: int
) -> Iterator[Swap]:
    cells = level.cells
    for donor in np.unique(cells.donor_of):
        mine = cells.donor_of == donor
        if level.comparable(a, b, mine).min() >= _FEWEST_OF_DONOR and level.reversed(own, a, b, mine):
            alone = Labelled(
                cells.types, np.where(np.append(mine, False)[cells.strata], cells.strata, -1), cells.donor_of
            )
            found = _weigh(values, own, a, b, alone, n_tests)
            if found is not None and found.p <= _LIKELY_IN_ONE_DONOR:
                yield replace(found, donor=int(donor))


def _weigh(
    values: Values, own: Mapping[tuple[int, int], Sequence[str]], a: int, b: int, cells: Labelled, n_tests: int
) -> Swap | None:
    """Compare two types cell by cell; None where it is not likely that each has the markers of the other."""
    one, other = cells.types == a, cells.types == b
    scores = [mean_of(values, own[pair]) for pair in ((a, b), (b, a))]
    both = separation(scores[0] - scores[1], one, other, cells)
    first, second = separation(scores[0], one, other, cells), separation(scores[1], other, one, cells)
    if both is None or first is None or second is None or both.p > _LIKELY:
        return None
    either = max(first.p, second.p)
    # cells without any of the markers, which may be most, say nothing of either
    sides = np.sign(scores[0] - scores[1]) * np.where(one, 1, -1)
    telling = sides[(one | other) & (cells.strata >= 0) & (sides != 0)]
    if either > _LIKELY_EITHER or (telling < 0).mean() < _AGAINST:
        return None
    certain = both.p <= (1 - CERTAINTY) / n_tests and either <= _EITHER
    areas = np.array(list(both.of_donor.values()))
    donors = int((areas > 0.5).sum()), int((areas < 0.5).sum())
    return Swap(a, b, (first.area, second.area), both.p, *donors, certain)


@dataclass(frozen=True)
class _Strata:
    """Cells, how many of each type each stratum has, and sums of each gene; ``(n_strata, n_types)``."""

    cells: Labelled
    size: NDArray[np.int64]
    sums: Mapping[str, NDArray[np.float64]]

    @classmethod
    def read(cls, values: Values, markers: Mapping[int, Sequence[str]], cells: Labelled) -> "_Strata":
        shape = len(cells.donor_of), int(cells.types.max(initial=-1)) + 1
        genes = dict.fromkeys(g for own in markers.values() for g in own)
        sums = {gene: cls._sums(cells, values(gene), shape) for gene in genes}
        size = cls._sums(cells, np.ones(len(cells.types), np.int8), shape)
        return cls(cells, size.astype(np.int64), sums)

    @staticmethod
    def _sums(cells: Labelled, values: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.float64]:
        total = np.zeros(shape)
        sum_by_two(cells.strata, cells.types, values, total)
        return total

    def by_donor(self) -> "_Strata":
        """Return the same with a stratum for each donor."""
        donors, number = np.unique(self.cells.donor_of, return_inverse=True)
        strata = np.where(self.cells.strata >= 0, number.astype(np.int32)[self.cells.strata], np.int32(-1))

        def pooled(values: NDArray[Any]) -> NDArray[Any]:
            out = np.zeros((len(donors), values.shape[1]), values.dtype)
            np.add.at(out, number, values)
            return out

        sums = {gene: pooled(of_gene) for gene, of_gene in self.sums.items()}
        return _Strata(Labelled(self.cells.types, strata, donors), pooled(self.size), sums)

    def comparable(self, a: int, b: int, strata: NDArray[np.bool_] | slice = slice(None)) -> NDArray[np.int64]:
        """How many cells of two types lie in strata that have both."""
        size = self.size[strata][:, [a, b]]
        return np.asarray(size[size.min(axis=1) > 0].sum(axis=0))

    def reversed(self, own: Mapping[tuple[int, int], Sequence[str]], a: int, b: int, strata: NDArray[np.bool_]) -> bool:
        """Whether the means of both types' markers are the wrong way round, over strata that have both."""
        size = self.size[strata][:, [a, b]]
        weight = size.prod(axis=1) / np.maximum(size.sum(axis=1), 1)
        for x, y in ((a, b), (b, a)):
            means = [self.sums[g][strata][:, [x, y]] / np.maximum(self.size[strata][:, [x, y]], 1) for g in own[x, y]]
            if not float(sum(((m[:, 0] - m[:, 1]) * weight).sum() for m in means)) < 0:
                return False
        return True


def related(
    markers: Mapping[str, Sequence[str]], labels: pd.Series, coarser: Sequence[pd.Series]
) -> set[tuple[str, str]]:
    """Pairs of types, either way round, that are subtypes of one: they share a marker, or a coarser label.

    Parameters
    ----------
    markers
        Genes by type.
    labels
        Type of each cell.
    coarser
        Labels of coarser levels. A level that has one label for all says nothing.
    """
    pairs = {(a, b) for a in markers for b in markers if a != b and set(markers[a]) & set(markers[b])}
    for level in coarser:
        alike = Combinations.of([labels, level], len(labels))
        names, above = (column.iloc[alike.rows].to_numpy() for column in (labels, level))
        parents = pd.crosstab(names, above, alike.n_cells, aggfunc="sum").fillna(0).idxmax(axis=1)
        if parents.nunique() > 1:
            known = {str(name): str(parent) for name, parent in parents.items()}
            pairs |= {(a, b) for a in known for b in known if a != b and known[a] == known[b]}
    return pairs
