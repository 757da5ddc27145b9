"""Which labels a model contradicts with confidence, and in which order to look at them (confident learning)."""

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
LEAST = 0.5  # that a flagged cell's other type has at least, against all the rest
ALIKE = 0.1  # of confident calls between two types that are wrong in most donors, from which it is the types
MOST_DONORS = 0.75  # share of them


def class_thresholds(label: Codes, p_label: NDArray[np.float64], n_classes: int) -> NDArray[np.float64]:
    """How sure the model is of each type on average, over the cells that have its label: float64, K; at least `LEAST`.

    Parameters
    ----------
    label
        Of each cell, -1 where it has none that was modelled.
    p_label
        Out-of-fold probability of that label.
    n_classes
        K.

    Notes
    -----
    Northcutt, Jiang & Chuang, J. Artif. Intell. Res. 70, 1373 (2021).
    """
    known = label >= 0
    sums = np.bincount(label[known], p_label[known], n_classes)
    n = np.bincount(label[known], minlength=n_classes)
    return np.maximum(np.where(n > 0, sums / np.maximum(n, 1), 1.0), LEAST)


def confident_calls(
    label: Codes, predicted: Codes, p_label: NDArray[np.float64], p_predicted: NDArray[np.float64], n_classes: int
) -> Codes:
    """Likeliest type of each cell that the model is as sure of as it usually is; -1 of other cells, or without a label.

    Counted by label they are the confident joint, whose entries off the diagonal are the estimate of how many labels
    are wrong.
    """
    threshold = class_thresholds(label, p_label, n_classes)
    return np.where((label >= 0) & (p_predicted >= threshold[predicted]), predicted, -1)


def alike_types(label: Codes, called: Codes, donor: Codes, n_classes: int) -> NDArray[np.bool_]:
    """Which types the model tells apart too badly on donors that it has not seen: K × K, symmetric.

    Of the cells of either type that are confidently called one of the two, the share that is called the other is
    taken: the mean of both types, by donor. It is 0 where two types are told apart, and 0.5 where a coin
    would do as well, however many cells each has and to whichever of the two a donor leans as a whole. Labels that are
    wrong are few, or of few donors; what `MOST_DONORS` confuse as often as `ALIKE` are the types.

    Parameters
    ----------
    label, called, donor
        Of each cell; -1 where it has none.
    n_classes
        K.
    """
    cells = (label >= 0) & (called >= 0) & (donor >= 0)
    n_donors = int(donor.max(initial=-1)) + 1
    kept = np.zeros((n_donors, n_classes), np.int64)  # cells called by their label
    right, wrong = cells & (label == called), cells & (label != called)
    np.add.at(kept, (donor[right], label[right]), 1)
    entries, n = np.unique(np.stack([label[wrong], called[wrong], donor[wrong]]), axis=1, return_counts=True)
    there = np.zeros((n_donors, n_classes), np.bool_)
    there[donor[cells], label[cells]] = True
    none = np.zeros(n_donors, np.int64)
    taken = {(int(a), int(b)): none.copy() for a, b in entries[:2].T}
    for a, b, own, n_taken in zip(*entries.tolist(), n.tolist(), strict=True):
        taken[a, b][own] = n_taken
    alike = np.zeros((n_classes, n_classes), np.bool_)
    for a, b in taken:
        wrongly = [taken.get(pair, none) for pair in ((a, b), (b, a))]
        shares = [n / np.maximum(n + kept[:, k], 1) for n, k in zip(wrongly, (a, b), strict=True)]
        n_types = there[:, [a, b]].sum(axis=1)
        asked = n_types == n_types.max()  # donors that have both, or one where none has both
        error = sum(shares)[asked] / n_types.max()
        alike[a, b] = alike[b, a] = np.mean(error >= ALIKE) >= MOST_DONORS
    return alike


def flag_labels(label: Codes, called: Codes, alike: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Flag cells that are confidently called another type than their label: no more than are estimated to be wrong.

    Left out are pairs of types that are ``alike`` (`alike_types`): there the estimate counts the errors of the model.
    """
    return np.asarray((label >= 0) & (called >= 0) & (called != label) & ~alike[label, called])


def rank_labels(
    label: Codes, predicted: Codes, p_label: NDArray[np.float64], p_predicted: NDArray[np.float64],
    flagged: NDArray[np.bool_], alike: NDArray[np.bool_],
) -> NDArray[np.int64]:  # fmt: skip
    """Place of each cell in the review list, from 1; 0 for cells that have no label or were not predicted.

    Flagged ones come first, and last those called a type that is alike; of each kind those first in which the likeliest
    type is ahead of the label by most. A cell whose label was not modelled, as too few others have it, counts as one
    with a probability of 0: it may be looked at, but is never flagged, as a model does not refute a type that it does
    not know.
    """
    known = np.flatnonzero((label >= 0) & ~np.isnan(p_predicted))
    own = np.nan_to_num(p_label[known])
    untold = alike[label[known], predicted[known]]
    order = known[np.lexsort((known, own, own - p_predicted[known], untold, ~flagged[known]))]
    rank = np.zeros(len(label), np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    return rank
