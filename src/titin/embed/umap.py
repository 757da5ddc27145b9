"""UMAP: the neighbourhood graph laid out in two dimensions."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from titin.embed.libraries import check_scores, start_from
from titin.errors import TitinError
from titin.extras import quiet, require
from titin.progress import Progress
from titin.resources import available_threads

if TYPE_CHECKING:
    from titin.embed.neighbors import Neighbors

Scores = NDArray[np.float32]
MIN_CELLS = 5


def umap(
    X: "Scores | Neighbors",
    *,
    n_components: int = 2,
    min_dist: float = 0.5,
    spread: float = 1.0,
    init: Literal["spectral"] | Scores | None = None,
    n_epochs: int | None = None,
    random_state: int = 0,
    deterministic: bool = True,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Scores:
    """Lay out cells so that neighbours lie together, by umap-learn with scanpy's parameters.

    Parameters
    ----------
    X
        Scores (cells × dimensions), whose 15 nearest neighbours are then searched; or neighbours found before.
    n_components
        Dimensions of the layout.
    min_dist, spread
        How close points may lie, and on what scale.
    init
        Where the cells begin: ``"spectral"``, as in scanpy, or the leading columns of an array (cells × anything),
        such as principal components, which takes no time. Default: the scores where ``X`` holds them, else spectral.
    n_epochs
        500 for up to 10,000 cells and 200 beyond, where not given.
    random_state
        Seed.
    deterministic
        Whether the same seed gives the same layout. One thread then moves the cells, whatever ``threads`` says; else
        several move the same cells at once.
    threads
        All processors where not given.
    progress
        Told of the epochs.

    Returns
    -------
    ndarray
        float32, cells × ``n_components``.

    Raises
    ------
    TitinError
        If there are fewer than five cells, all are alike, or umap-learn is not installed.

    Notes
    -----
    McInnes, Healy and Melville (2018), arXiv:1802.03426.
    """
    library = require("umap.umap_", "UMAP")
    progress, threads = progress or Progress(), threads or available_threads()
    n_cells = len(X) if isinstance(X, np.ndarray) else len(X.indices)
    check_cells(n_cells)
    if isinstance(X, np.ndarray):
        from titin.embed.neighbors import neighbors

        X = check_scores(X)
        init = X if init is None else init
        X = neighbors(X, min(15, n_cells), random_state=random_state, threads=threads)
    start: Any = start_from(init, n_components, random_state) if isinstance(init, np.ndarray) else "spectral"
    place = init if isinstance(init, np.ndarray) else np.zeros((n_cells, 1))  # sets unconnected parts beside each other
    n_epochs = n_epochs or (500 if n_cells <= 10_000 else 200)
    told = _Epochs(progress)
    progress.start("UMAP", n_epochs, "epochs")
    with quiet(), _numba_threads(threads):
        a, b = library.find_ab_params(spread, min_dist)
        layout, _ = library.simplicial_set_embedding(
            data=place, graph=X.connectivities().tocoo(), n_components=n_components, initial_alpha=1.0, a=a, b=b,
            gamma=1.0, negative_sample_rate=5, n_epochs=n_epochs, init=start,
            random_state=np.random.RandomState(random_state),
            metric="euclidean", metric_kwds={}, densmap=False, densmap_kwds={}, output_dens=False,
            parallel=not deterministic, tqdm_kwds=_bar(told),
        )  # fmt: skip
    told.write(str(n_epochs))
    return np.ascontiguousarray(layout, np.float32)


def check_cells(n_cells: int) -> int:
    """Return the number of cells if it is enough.

    Raises
    ------
    TitinError
        If not.
    """
    if n_cells < MIN_CELLS:
        raise TitinError(f"{n_cells} cells are too few for a UMAP", f"it takes at least {MIN_CELLS}")
    return n_cells


@contextmanager
def _numba_threads(threads: int) -> Iterator[None]:
    import numba

    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    try:
        yield
    finally:
        numba.set_num_threads(before)


def _bar(stream: "_Epochs") -> dict[str, Any]:
    """Options of umap-learn's progress bar that make it write the number of the epoch and nothing else."""
    return {"disable": False, "file": stream, "bar_format": "{n}", "mininterval": 0, "miniters": 1, "leave": False}


class _Epochs:
    """A stream that advances a `Progress` by the numbers written to it."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._done = progress, 0

    def write(self, text: str) -> None:
        if number := re.search(r"\d+", text):
            self._progress.advance(int(number[0]) - self._done)
            self._done = int(number[0])

    def flush(self) -> None:
        """Nothing is held back."""
