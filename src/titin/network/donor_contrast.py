"""What donors' weights say of young and old: the difference, its interval, and p by dealing the ages anew."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.ageing.design import NotTestableError
from titin.ageing.empirical_bayes import estimate_prior
from titin.ageing.linear_models import fit_linear_models
from titin.learn.permutations import DonorPermutations

Floats = NDArray[np.float64]
_AT_ONCE = 4_000_000  # numbers
_SLACK = 1e-9  # numbers that differ by less are as large
_MOST_DF = 1e6  # as good as infinite
_LEAST_VARIANCE = 1e-300


@dataclass(frozen=True)
class DonorComparison:
    """How donors are compared.

    Attributes
    ----------
    x
        float64 a donor: 1 for old and 0 for young ones, or the age in decades.
    contrasts
        float64, donors × arrangements: what donors' weights are multiplied with to give the change; the first is that
        of the ages as they are.
    exact
        Whether these are all arrangements there are.
    stratum
        int64 a donor: within what ages are dealt, such as the sex.
    """

    x: Floats
    contrasts: Floats
    exact: bool
    stratum: NDArray[np.int64]

    @property
    def least_p(self) -> float:
        """No p can be smaller."""
        return float(self.p_value(self.contrasts[:, :1].T)[0])

    def p_value(self, weights: Floats) -> Floats:
        """P of a change as large in either direction, of features × donors, by all arrangements.

        Features that are alike in all donors have 1.
        """
        found = np.empty(len(weights))
        rows = max(1, _AT_ONCE // self.contrasts.shape[1])
        reach = np.abs(self.contrasts).sum(axis=0).max()
        for begin in range(0, len(weights), rows):
            changes = weights[begin : begin + rows] @ self.contrasts
            changes = np.abs(changes - changes.mean(axis=1, keepdims=True))
            slack = 1e-12 * reach * np.abs(weights[begin : begin + rows]).max(axis=1, keepdims=True)
            found[begin : begin + rows] = (changes >= changes[:, :1] - slack).mean(axis=1)
        return found

    def pooled_p_value(self, weights: Floats) -> Floats:
        """P of features × donors, by all arrangements of all features together.

        The change of each feature in each arrangement, within strata, is divided by its standard deviation, which is
        drawn towards that of the other features (as `titin.ageing.linear_models.moderate` does, by a prior that does
        not know the ages). P is the share of all these numbers that are as large in either direction as the feature's
        own: it can be as small as that of one arrangement of one feature, and not of one arrangement alone. Where
        nothing changes, as many of the features have a p up to any value as that value says, over all arrangements.
        Features that do change are among what theirs is compared with, so that p is too large rather than too small.
        """
        moderated = _ModeratedChanges.of(weights, self.contrasts, self.stratum)
        rows = max(1, _AT_ONCE // self.contrasts.shape[1])
        parts = [slice(begin, begin + rows) for begin in range(0, len(weights), rows)]
        own = np.concatenate([moderated.of_features(part)[:, 0] for part in parts]) * (1 - _SLACK)
        thresholds = np.sort(own)
        reached = np.zeros(len(own) + 1)  # how many numbers reach so many thresholds
        for part in parts:
            at = np.searchsorted(thresholds, moderated.of_features(part).ravel(), side="right")
            reached += np.bincount(at, minlength=len(reached))
        as_large = np.cumsum(reached[::-1])[::-1][1:]
        share: Floats = as_large[np.searchsorted(thresholds, own, side="left")] / reached.sum()
        return share

    def change(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        """The change of features × donors, and its 95 % interval by the t distribution."""
        from scipy import stats

        design = np.column_stack([np.ones(len(self.x)), self.x])
        fit = fit_linear_models(weights, design, np.array([0.0, 1.0]))
        half = stats.t.ppf(0.975, fit.df) * fit.unscaled * np.sqrt(fit.variance)
        return fit.effect, fit.effect - half, fit.effect + half


@dataclass(frozen=True, eq=False)
class _ModeratedChanges:
    """What the changes of features in every arrangement are made of.

    Attributes
    ----------
    values, total
        Features × donors, less the means of strata, and their sums of squares.
    directions
        Donors × arrangements, of length 1.
    df, prior_df, prior_variance
        Degrees of freedom of one feature's variance; what the others say of it.
    """

    values: Floats
    total: Floats
    directions: Floats
    df: int
    prior_df: Floats
    prior_variance: Floats

    @classmethod
    def of(cls, weights: Floats, contrasts: Floats, stratum: NDArray[np.int64]) -> "_ModeratedChanges":
        which = np.eye(int(stratum.max()) + 1)[stratum]
        mean = which / which.sum(axis=0)
        values = weights - (weights @ mean) @ which.T
        within = contrasts - which @ (mean.T @ contrasts)
        total = (values**2).sum(axis=1)
        df = len(stratum) - which.shape[1]
        prior = estimate_prior(total / df, np.full(len(values), float(df)))
        directions = within / np.sqrt((within**2).sum(axis=0))
        return cls(values, total, directions, df - 1, np.minimum(prior.df, _MOST_DF), np.nan_to_num(prior.variance))

    def of_features(self, rows: slice) -> Floats:
        """Absolute changes over their standard deviations, features × arrangements."""
        change = self.values[rows] @ self.directions
        left = np.maximum(self.total[rows, None] - change**2, 0)
        prior_df = self.prior_df[rows, None]
        variance = (left + prior_df * self.prior_variance[rows, None]) / (self.df + prior_df)
        found: Floats = np.abs(change) / np.sqrt(np.maximum(variance, _LEAST_VARIANCE))
        return found


def compare_donors(
    ages: Sequence[float], cut: float | None, contrast: str, *, strata: Sequence[str] | None = None,
    min_donors: int = 3, permutations: int = 2000, seed: int = 0,
) -> DonorComparison:  # fmt: skip
    """Settle how donors are compared, and how their ages can be dealt.

    Parameters
    ----------
    ages
        Years, of each donor.
    cut
        From which a donor is old; None where ages do not part young from old.
    contrast
        ``young_old``, or ``age`` for the change a decade.
    strata
        What each donor is alike in with others, such as the sex: ages are dealt within.
    min_donors
        On either side.
    permutations
        Up to so many arrangements are all looked at; of more, as many are drawn.
    seed
        Of the draw.

    Raises
    ------
    NotTestableError
        With the reason.
    """
    years = np.asarray(ages, float)
    if cut is None:
        raise NotTestableError("the ages of the study do not part young from old")
    for side, n in (("young", int((years < cut).sum())), ("old", int((years >= cut).sum()))):
        if n < min_donors:
            said = f"{n or 'no'} {side} donor{'' if n == 1 else 's'} with enough cells"
            raise NotTestableError(f"{said}, fewer than {min_donors}")
    x = (years >= cut).astype(float) if contrast == "young_old" else years / 10
    names = [f"{i:09d}" for i in range(len(x))]
    dealt = DonorPermutations.of_donors(pd.Series(x, names), strata, n=0, seed=seed)
    if not dealt.can_move:
        raise NotTestableError("no other arrangement of ages: old and young donors have no sex in common")
    exact = dealt.arrangements <= permutations
    if exact:
        arrangements = np.array(list(_arrangements(x, list(strata or [""] * len(x)))))
        arrangements = arrangements[np.argsort((arrangements != x).any(axis=1), kind="stable")]  # the true one first
    else:
        drawn = DonorPermutations.of_donors(pd.Series(x, names), strata, n=permutations, seed=seed).dealt.T
        arrangements = np.vstack([x, drawn])
    centred = arrangements - arrangements.mean(axis=1, keepdims=True)
    contrasts = (centred / (centred**2).sum(axis=1, keepdims=True)).T
    stratum = np.zeros(len(x), np.int64) if strata is None else pd.factorize(np.asarray(strata, object))[0]
    return DonorComparison(x, contrasts, exact, stratum.astype(np.int64))


def _arrangements(x: Floats, strata: Sequence[str]) -> Iterator[Floats]:
    """All different ways of dealing values within strata."""
    label = pd.factorize(pd.Series(strata, dtype=object), sort=True, use_na_sentinel=False)[0]
    groups = [np.flatnonzero(label == code) for code in range(int(label.max()) + 1)]
    for parts in itertools.product(*(list(_distinct(x[rows].tolist())) for rows in groups)):
        dealt = np.empty(len(x))
        for rows, part in zip(groups, parts, strict=True):
            dealt[rows] = part
        yield dealt


def _distinct(values: list[float]) -> Iterator[list[float]]:
    """Different orders of some values, each once."""
    kinds = sorted(set(values))
    if len(kinds) <= 1:
        yield values
        return
    first, n = kinds[0], values.count(kinds[0])
    others = [value for value in values if value != first]
    if math.comb(len(values), n) == 1:
        yield values
        return
    rest = list(_distinct(others))
    for chosen in itertools.combinations(range(len(values)), n):
        taken = set(chosen)
        for order in rest:
            following = iter(order)
            yield [first if i in taken else next(following) for i in range(len(values))]
