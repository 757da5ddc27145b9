"""Permutations of donors: what they would be by chance, with what else is known of them held as it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

STRATA = ("sex", "protocol")


@dataclass(frozen=True)
class DonorPermutations:
    """Values of donors dealt anew to donors, within strata.

    Attributes
    ----------
    donors
        Names, sorted.
    values
        What is true of each.
    dealt
        Donors × permutations.
    alone
        Donors that are alone in their stratum: theirs never moves.
    arrangements
        How many different ways of dealing there are; infinity where they are very many.
    """

    donors: pd.Index
    values: NDArray = field(repr=False)
    dealt: NDArray = field(repr=False)
    alone: tuple[str, ...] = ()
    arrangements: float = math.inf

    @classmethod
    def of_donors(cls, values: pd.Series, strata: ArrayLike | None = None, n: int = 1000, seed: int = 0) -> Self:
        """Deal the values of donors to donors of the same stratum.

        Parameters
        ----------
        values
            By donor (text).
        strata
            Label of each donor; all are of one where not given.
        n
            Permutations.
        seed
            Of the draw.
        """
        label = np.zeros(len(values), object) if strata is None else np.asarray(strata, object)
        order = np.argsort(values.index.to_numpy(str), kind="stable")
        values, code = values.iloc[order], pd.factorize(label[order], sort=True)[0]
        true = values.to_numpy()
        groups = [np.flatnonzero(code == one) for one in range(code.max(initial=-1) + 1)]
        rng = np.random.Generator(np.random.PCG64(seed))
        dealt = np.repeat(true[:, None], n, axis=1)
        for i in range(n):
            for rows in groups:
                dealt[rows, i] = true[rng.permutation(rows)]
        alone = tuple(str(values.index[rows[0]]) for rows in groups if len(rows) == 1)
        return cls(pd.Index(values.index.astype(str)), true, dealt, alone, _arrangements(true, groups))

    def of(self, donors: ArrayLike) -> NDArray:
        """Return the permuted values of some donors: one row each, as often as they are named."""
        return np.asarray(self.dealt[self.donors.get_indexer(pd.Index(np.asarray(donors, object)))])

    @property
    def can_move(self) -> bool:
        """Whether there is another way of dealing than the true one."""
        return self.arrangements > 1


def donor_strata(cells: pd.DataFrame, names: Sequence[str] = STRATA) -> pd.Series:
    """Label each donor by what it is alike in with others: its sex, and the protocols that it was measured by.

    Parameters
    ----------
    cells
        Rows of a design table, with ``donor``.
    names
        Columns of it; what a donor has several values of counts as all of them together.

    Returns
    -------
    pandas.Series
        Text by donor (text), sorted.
    """
    donor = cells["donor"].astype(str)
    parts = [_values(cells[name], donor) for name in names if name in cells]
    if not parts:
        return pd.Series("", pd.Index(sorted(set(donor))), dtype=object)
    return pd.concat(parts, axis=1).agg(" · ".join, axis=1).sort_index()


def _values(column: pd.Series, donor: pd.Series) -> pd.Series:
    """The values that each donor has of a column, as one text."""
    pairs = pd.DataFrame({"donor": donor, "value": column.astype(object).where(column.notna(), "unknown").astype(str)})
    return pairs.drop_duplicates().sort_values("value").groupby("donor")["value"].agg(" + ".join)


def _arrangements(values: NDArray, groups: Sequence[NDArray[np.int64]]) -> float:
    log = 0.0
    for rows in groups:
        _, counts = np.unique(values[rows].astype(str), return_counts=True)
        log += math.lgamma(len(rows) + 1) - sum(math.lgamma(count + 1) for count in counts)
    return float(round(math.exp(log))) if log < 40 else math.inf
