"""How sure a score is: intervals over donors, permutations of donors, paired tests between models."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
EXACT_DONORS = 17  # up to which all 2^n changes of sign are looked at


def _rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def donor_draws(n_donors: int, n_draws: int = 2000, seed: int = 0) -> NDArray[np.int64]:
    """How often each donor is drawn, draws × donors, when as many as there are are drawn with replacement."""
    return _rng(seed).multinomial(n_donors, np.full(n_donors, 1 / n_donors), size=n_draws)


def interval(draws: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Percentiles that enclose a share of the draws; NaN where there are none."""
    values = np.asarray(draws, float)
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def regression_draws(true: ArrayLike, predicted: ArrayLike, n_draws: int = 2000, seed: int = 0) -> dict[str, Floats]:
    """Bootstrap over donors: ``mae``, ``rmse`` and ``r2`` of each draw, from one value a donor."""
    y, p = np.asarray(true, float), np.asarray(predicted, float)
    counts = donor_draws(len(y), n_draws, seed).astype(float)
    n = counts.sum(axis=1)
    mae, mse = counts @ np.abs(p - y) / n, counts @ (p - y) ** 2 / n
    variance = counts @ y**2 / n - (counts @ y / n) ** 2
    r2 = np.where(variance > 1e-9, 1 - mse / np.where(variance > 1e-9, variance, 1), np.nan)
    return {"mae": mae, "rmse": np.sqrt(mse), "r2": r2}


def classification_draws(counts: NDArray[np.int64], n_draws: int = 2000, seed: int = 0) -> dict[str, Floats]:
    """Bootstrap over donors from a confusion matrix for each, donors × classes × classes; scores of each draw."""
    from titin.learn.metrics import scores_of_confusion

    drawn = donor_draws(len(counts), n_draws, seed)
    parts = [
        scores_of_confusion(np.tensordot(some.astype(float), counts.astype(float), axes=1))
        for some in np.array_split(drawn, max(1, n_draws * counts[0].size // 2_000_000))
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def permutation_p(observed: float, permuted: ArrayLike, *, smaller_is_better: bool = True) -> float:
    """Share of permutations that do as well or better, the observed one counted in (Phipson and Smyth, 2010)."""
    values = np.asarray(permuted, float)
    if not len(values) or not np.isfinite(observed):
        return float("nan")
    better = values <= observed + 1e-12 if smaller_is_better else values >= observed - 1e-12
    return float((1 + better.sum()) / (1 + len(values)))


def permute_donors(values: ArrayLike, n: int = 1000, seed: int = 0) -> NDArray:
    """Deal the values of donors to donors anew: donors × permutations."""
    values, rng = np.asarray(values), _rng(seed)
    return np.column_stack([rng.permutation(values) for _ in range(n)]) if n else values[:, None][:, :0]


def permuted_scores(values: ArrayLike, score: Callable[[NDArray], float], n: int = 1000, seed: int = 0) -> Floats:
    """Score the predictions against the values of other donors: no model is fitted again.

    With one donor held out at a time a prediction leans away from the donor's own value, so such a test is too
    cautious (its p is too large where nothing can be predicted); refitting to permuted values is exact.
    """
    permuted = permute_donors(values, n, seed)
    return np.array([score(permuted[:, i]) for i in range(permuted.shape[1])])


def sign_flip_p(difference: ArrayLike, n: int = 10_000, seed: int = 0) -> float:
    """Test in pairs: whether one model's errors differ from another's, one difference a donor, two-sided.

    All changes of sign for up to `EXACT_DONORS` donors, else ``n`` random ones.
    """
    d = np.asarray(difference, float)
    d = d[np.isfinite(d)]
    if len(d) < 2:
        return float("nan")
    if len(d) <= EXACT_DONORS:
        signs = 1.0 - 2.0 * ((np.arange(2 ** len(d))[:, None] >> np.arange(len(d))) & 1)
        return float((np.abs(signs @ d) >= abs(d.sum()) - 1e-9).mean())
    signs = _rng(seed).choice([-1.0, 1.0], size=(n, len(d)))
    return float((1 + (np.abs(signs @ d) >= abs(d.sum()) - 1e-9).sum()) / (1 + n))


def donor_errors(table: pd.DataFrame, kind: str) -> pd.Series:
    """One error a donor: the absolute error of its median prediction, or the share of its units misclassified."""
    from titin.learn.metrics import donor_predictions

    if kind == "regression":
        donors = donor_predictions(table).set_index("donor")
        return (donors["predicted"] - donors["true"]).abs()
    wrong = table["true"].astype(str) != table["predicted"].astype(str)
    return wrong.groupby(table["donor"].astype(str)).mean()
