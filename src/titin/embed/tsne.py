"""t-SNE by openTSNE."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from titin.embed.libraries import check_scores, start_from
from titin.errors import TitinError
from titin.extras import quiet, require
from titin.progress import Progress
from titin.resources import available_threads

if TYPE_CHECKING:
    from titin.embed.neighbors import Neighbors

MIN_CELLS = 5
EARLY_ITERATIONS = 250
MIN_LEARNING_RATE = 200.0  # n / 12 would not get a few hundred cells anywhere
_REACH = 1.5  # neighbours by perplexity; the usual 3 takes twice the memory and kept about as many, see the docs
_TOLD_EVERY = 10


def tsne(
    X: NDArray[Any],
    *,
    perplexity: float = 30,
    early_exaggeration: float = 12,
    learning_rate: float | str = "auto",
    n_iter: int = 500,
    neighbors: "Neighbors | None" = None,
    random_state: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Lay out cells in two dimensions so that neighbours lie together, beginning with the first two columns.

    The same seed gives the same layout, whatever the threads.

    Parameters
    ----------
    X
        Scores, cells × dimensions, the leading dimensions first.
    perplexity
        About how many neighbours count; a third of the cells at most. Half as many more are searched.
    early_exaggeration
        Of the attraction, during the first 250 iterations.
    learning_rate
        ``"auto"``: cells / ``early_exaggeration``, at least 200.
    n_iter
        Iterations after the first 250.
    neighbors
        Those of ``X``, if they were found before: one and a half times the perplexity, and the cells themselves.
    random_state
        Seed: of the search for neighbours, and of what stands for a second column where there is none.
    threads
        All processors where not given.
    progress
        Told of the iterations.

    Returns
    -------
    ndarray
        float32, cells × 2.

    Raises
    ------
    TitinError
        If there are fewer than five cells, all are alike, there are fewer neighbours than needed, or openTSNE is not
        installed.

    Notes
    -----
    Fourier interpolation from 10,000 cells on (Linderman et al. 2019, doi:10.1038/s41592-018-0308-4), Barnes-Hut
    below. Beginning and learning rate as in Kobak and Berens (2019), doi:10.1038/s41467-019-13056-x.
    """
    library = require("openTSNE", "t-SNE")
    progress, threads = progress or Progress(), threads or available_threads()
    scores = check_scores(X)
    perplexity, n_neighbors = check_perplexity(perplexity, len(scores))
    if neighbors is None:
        from titin.embed.neighbors import neighbors as search

        neighbors = search(scores, n_neighbors, random_state=random_state, threads=threads)
    if neighbors.n_neighbors < n_neighbors:
        raise TitinError(
            f"a perplexity of {perplexity:g} takes {n_neighbors} neighbours, the cells themselves included; "
            f"{neighbors.n_neighbors} were given",
            f"search {n_neighbors}, or lower the perplexity",
        )
    if learning_rate == "auto":
        learning_rate = max(len(scores) / early_exaggeration, MIN_LEARNING_RATE)
    progress.start("t-SNE", EARLY_ITERATIONS + n_iter, "iterations")
    with quiet():
        affinities = library.affinity.PerplexityBasedNN(
            knn_index=library.nearest_neighbors.PrecomputedNeighbors(
                neighbors.indices[:, 1:n_neighbors], neighbors.distances[:, 1:n_neighbors]
            ),
            perplexity=perplexity, n_jobs=threads,
        )  # fmt: skip
        layout = library.TSNE(
            early_exaggeration=early_exaggeration, early_exaggeration_iter=EARLY_ITERATIONS, n_iter=n_iter,
            learning_rate=learning_rate, n_jobs=threads, random_state=random_state,
            callbacks=_Advance(progress), callbacks_every_iters=_TOLD_EVERY,
        ).fit(affinities=affinities, initialization=start_from(scores, 2, random_state))  # fmt: skip
    return np.ascontiguousarray(layout, np.float32)


def check_perplexity(perplexity: float, n_cells: int) -> tuple[float, int]:
    """Perplexity that so many cells allow, and how many neighbours it takes, the cells themselves included.

    Raises
    ------
    TitinError
        If there are fewer than five cells, or the perplexity is not above 1.

    Examples
    --------
    >>> check_perplexity(30, 183_161), check_perplexity(30, 31)
    ((30, 46), (10.0, 16))
    """
    if n_cells < MIN_CELLS:
        raise TitinError(f"{n_cells} cells are too few for a t-SNE", f"it takes at least {MIN_CELLS}")
    if perplexity <= 1:
        raise TitinError(f"a perplexity of {perplexity:g} is no number of neighbours", "give one above 1, such as 30")
    perplexity = min(perplexity, (n_cells - 1) / 3)
    return perplexity, min(math.ceil(_REACH * perplexity) + 1, n_cells)


class _Advance:
    """Tells how many iterations are done; called after every tenth."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __call__(self, iteration: int, error: float, layout: Any) -> None:  # noqa: ARG002 - what openTSNE passes
        self._progress.advance(_TOLD_EVERY)
