"""Training cells whose labels the other training donors contradict, and which a model is better without."""

import numpy as np
from numpy.typing import NDArray

from titin.annotate.linear_model import probabilities
from titin.annotate.training import TrainingCells, fit_label_model
from titin.atlas import Atlas

LEAST_DONORS = 4  # two to train on, two to judge
CONTRADICTED = 0.1  # probability of its label, below which a cell is left out
_ROWS = 2048  # scored at a time


def without_contradicted(
    atlas: Atlas, training: TrainingCells, rows: NDArray[np.int64], codes: NDArray[np.int64], n_classes: int,
    min_donors: int, min_cells: int,
) -> NDArray[np.bool_]:  # fmt: skip
    """Which training cells are left when each half of their donors has judged the other.

    A type of few cells is soon made up of wrong labels for the most part: of 2 % that are wrong, dealt over forty
    types, a type of thirty cells gets a hundred. A model that has learnt them calls cells of that type which are not.
    So a cell is left out where a model of the other half of the donors calls it another type, and gives its label less
    than `CONTRADICTED`. A type that would be left with fewer donors or cells than it needs keeps all of them, and so
    do all where there are fewer than `LEAST_DONORS` donors.

    Parameters
    ----------
    atlas
        For the names of genes.
    training, rows
        The cells.
    codes
        Type of each of the rows, 0 to ``n_classes`` - 1.
    n_classes
        K.
    min_donors, min_cells
        That a type needs.

    Returns
    -------
    ndarray
        bool, one a row.

    Notes
    -----
    Learning with what an out-of-sample model does not contradict is the second step of confident learning (Northcutt,
    Jiang & Chuang, J. Artif. Intell. Res. 70, 1373, 2021).
    """
    donors, donor = np.unique(training.donor[rows], return_inverse=True)
    kept = np.ones(len(rows), bool)
    if len(donors) < LEAST_DONORS:
        return kept
    for half in (0, 1):
        learnt, judged = np.flatnonzero(donor % 2 != half), np.flatnonzero(donor % 2 == half)
        types, own = np.unique(codes[learnt], return_inverse=True)
        if len(types) < 2:
            continue
        model, column = fit_label_model(atlas, training, rows[learnt], own, [str(k) for k in types])
        place = np.full(n_classes, -1)
        place[types] = np.arange(len(types))
        for start in range(0, len(judged), _ROWS):
            at = judged[start : start + _ROWS]
            p, label = probabilities(model.scores(training.X, rows[at], column)), place[codes[at]]
            p_label = np.where(label >= 0, p[np.arange(len(at)), label], 1.0)  # a type that it does not know
            kept[at] = (p_label >= CONTRADICTED) | (p.argmax(axis=1) == label)
    pairs = np.unique(np.stack([codes[kept], donor[kept]]), axis=1)[0]
    scarce = (np.bincount(codes[kept], minlength=n_classes) < min_cells) | (
        np.bincount(pairs, minlength=n_classes) < min_donors
    )
    return np.asarray(kept | scarce[codes])
