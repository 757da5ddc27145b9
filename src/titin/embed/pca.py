"""Principal components of an atlas that does not fit in memory, from passes over its row blocks.

Few genes: their covariance is added up in one pass and decomposed. All genes: a block Krylov iteration multiplies
the covariance, which is never formed, with a few vectors in each pass, about eight to twelve times. Both centre the
genes implicitly, so that the matrix stays sparse.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from titin.atlas import Atlas, MemoryLimitError
from titin.atlas.passes import BlockReader
from titin.dataset.layout import TARGET_SUM
from titin.embed.krylov import BASIS_BLOCKS, MAX_PRODUCTS, leading_eigenpairs
from titin.embed.passes import gram_matrix, moments, project, scatter_product
from titin.errors import TitinError
from titin.extras import require
from titin.progress import Progress
from titin.resources import Resources, make_resources
from titin.text import memory as as_memory

Solver = Literal["auto", "randomized", "covariance_eigh"]
Floats = NDArray[np.float64]

DEFAULT_COMPONENTS = 50
EXACT_GENES = 5_000  # up to which the covariance is formed
_SPARE = 10  # vectors beyond the components
_ROUNDING = 1e-5  # of float32 sums of squares over some hundred cells


@dataclass(frozen=True)
class PCAResult:
    """Principal components, and what projects other cells on them.

    Attributes
    ----------
    scores
        float32, cells × components; the cells of ``cells``, in the dataset's order.
    loadings
        float32, genes × components, in the order of ``atlas.var``; zero for genes left out. Each component has unit
        length, and its largest loading is positive.
    variance, variance_ratio
        float64 a component: of the scores (``ddof=1``), and as a share of ``total_variance``.
    total_variance
        Of all genes used, together.
    mean
        float64 a gene, in the order of ``atlas.var``: what is taken off; zero for genes left out.
    cells
        int64, positions of the cells it was fitted on.
    var_names
        Names of the genes.
    params
        As scanpy has them in ``uns["pca"]["params"]``, and how it was computed; JSON.
    """

    scores: NDArray[np.float32]
    loadings: NDArray[np.float32]
    variance: Floats
    variance_ratio: Floats
    total_variance: float
    mean: Floats = field(repr=False)
    cells: NDArray[np.int64] = field(repr=False)
    var_names: pd.Index = field(repr=False)
    params: dict[str, Any]

    def transform(self, atlas: Atlas, cells: Any = None, *, threads: int | None = None) -> NDArray[np.float32]:
        """Project cells on the components, with the mean and the loadings that were fitted.

        Parameters
        ----------
        atlas
            The dataset that was fitted, or another with the same genes in the same order.
        cells
            As in ``atlas.X[cells]``; each is given once, in the dataset's order.

        Returns
        -------
        float32, cells × components.

        Raises
        ------
        TitinError
            If the genes are not the same.
        """
        if not atlas.var_names.equals(self.var_names):
            raise TitinError(
                "the atlas has not the genes that the components were fitted on, in their order",
                "project cells of the atlas that was fitted",
            )
        reader, places = _comparable_genes(atlas, cells, self.loadings.any(axis=1))
        V = self.loadings[places].astype(np.float64)
        return project(reader, self.mean[places], V, make_resources(threads).threads)


def pca(
    atlas: Atlas,
    n_comps: int | None = None,
    *,
    genes: Sequence[str] | ArrayLike | None = None,
    cells: Any = None,
    zero_center: bool = True,
    svd_solver: Solver = "auto",
    random_state: int = 0,
    threads: int | None = None,
    memory: int | str | None = None,
    progress: Progress | None = None,
) -> PCAResult:
    """Find the principal components of the log-normalised values.

    These are the source's values, or log1p(10,000 × count / total of the cell) where it holds counts. The result is
    the same for any number of threads, bit for bit.

    Parameters
    ----------
    atlas
        The dataset.
    n_comps
        Components; 50, or as many as there can be, where not given.
    genes
        Which genes: names, a mask over ``atlas.var``, or positions; all where not given. Those that not all studies
        of the dataset measured are left out, see `titin.Atlas.comparable`.
    cells
        Cells to fit on, as in ``atlas.X[cells]``: `PCAResult.transform` projects others. All where not given.
    zero_center
        Take the mean of each gene off. If False, the components are the singular vectors of the values themselves.
    svd_solver
        ``covariance_eigh``: exact, by the covariance of the genes, of which there must be few. ``randomized``: by a
        block Krylov iteration, until the variances are exact to about 0.04 % and the first 20 components to a cosine
        of 0.99999 (``params["converged"]`` tells). ``auto``: the former for up to 5,000 genes.
    random_state
        Seed of the vectors with which the iteration begins.
    threads
        All processors where not given.
    memory
        Bytes that the matrices may take, or text as ``2GiB``; 1 GiB where not given. Little memory means fewer threads.
    progress
        Told of every pass.

    Raises
    ------
    TitinError
        If there are no cells or genes, more components than there can be, or no such solver.
    SelectionError, UnknownNameError
        If cells or genes are not there.
    MemoryLimitError
        If the matrices do not fit.

    References
    ----------
    Wolf et al., Genome Biology 19, 15 (2018), whose `scanpy.pp.pca` it agrees with; Musco and Musco, NeurIPS 2015.

    Examples
    --------
    >>> import titin
    >>> found = pca(titin.open("dataset"))  # doctest: +SKIP
    >>> found.scores.shape, found.variance_ratio[:2]  # doctest: +SKIP
    """
    reader, places = _comparable_genes(atlas, cells, genes)
    n = _components(reader, n_comps)
    if svd_solver not in ("auto", "randomized", "covariance_eigh"):
        raise TitinError(f"there is no svd_solver {svd_solver!r}", "give auto, randomized or covariance_eigh")
    exact = svd_solver == "covariance_eigh" or (svd_solver == "auto" and reader.n_genes <= EXACT_GENES)
    fit = _Fit(reader, n, zero_center, make_resources(threads, memory), progress or Progress())
    vectors, values, sums, squares, how = fit.exact() if exact else fit.randomized(random_state)
    vectors *= np.where(vectors[np.abs(vectors).argmax(axis=0), np.arange(n)] < 0, -1.0, 1.0)
    mean = sums / reader.n_cells if zero_center else np.zeros(reader.n_genes)
    scores = project(reader, mean, vectors, fit.threads)
    total = _spread(sums, squares, reader.n_cells) / (reader.n_cells - 1)
    variance = values / (reader.n_cells - 1) if zero_center else scores.var(axis=0, ddof=1, dtype=np.float64)
    fit.progress.finish()
    loadings, whole_mean = np.zeros((atlas.n_vars, n), np.float32), np.zeros(atlas.n_vars)
    loadings[places], whole_mean[places] = vectors, mean
    return PCAResult(
        scores=scores,
        loadings=loadings,
        variance=variance,
        variance_ratio=variance / total if total > 0 else np.zeros(n),
        total_variance=total,
        mean=whole_mean,
        cells=reader.cells,
        var_names=atlas.var_names,
        params={
            "zero_center": zero_center,
            "use_highly_variable": False,
            "mask_var": None if genes is None else "genes",
            "n_comps": n,
            "n_cells": reader.n_cells,
            "n_genes": reader.n_genes,
            "values": f"log1p({TARGET_SUM:,.0f} × count / total)"
            if atlas.manifest.value_kind.lognorm_of_counts
            else "as in the source",
            "random_state": random_state,
            **how,
        },
    )


def _spread(sums: Floats, squares: Floats, n_cells: int) -> float:
    """Sum of squares about the means of all genes; 0 where it is within the rounding of float32 sums of squares."""
    spread = float((squares - sums * sums / n_cells).sum())
    return spread if spread > _ROUNDING * squares.sum() else 0.0


def _comparable_genes(atlas: Atlas, cells: Any, genes: Any) -> tuple[BlockReader, NDArray[np.int64]]:
    """A reader of genes, those that the studies of the dataset all measured; and the place in var of each column."""
    own = atlas.comparable(slice(None))  # of all, so that cells which are projected later are read alike
    places = atlas.var_names.get_indexer(own.var_names)
    wanted = np.isin(places, atlas.gene_positions(genes))
    reader = BlockReader(own, cells=cells, genes=wanted)
    return reader, places[reader.genes]


def _components(reader: BlockReader, n_comps: int | None) -> int:
    if reader.n_genes == 0:
        raise TitinError("no gene is chosen", "choose one gene or more, or leave genes out for all")
    if reader.n_cells < 2:
        raise TitinError(
            f"there are no components of {reader.n_cells} cell{'s' * (reader.n_cells != 1)}", "choose two cells or more"
        )
    most = min(reader.n_cells - 1, reader.n_genes)
    if n_comps is None:
        return min(DEFAULT_COMPONENTS, most)
    if not 1 <= n_comps <= most:
        raise TitinError(
            f"{reader.n_cells:,} cells × {reader.n_genes:,} genes have not {n_comps} components",
            f"give n_comps from 1 to {most}",
        )
    return n_comps


@dataclass
class _Fit:
    """One fit: what both solvers are given. Each returns vectors, values, sums, squares, and how it went."""

    reader: BlockReader
    n: int
    zero_center: bool
    resources: Resources
    progress: Progress

    @property
    def threads(self) -> int:
        return self.resources.threads

    def exact(self) -> tuple[Floats, Floats, Floats, Floats, dict[str, Any]]:
        n_genes, n_cells = self.reader.n_genes, self.reader.n_cells
        _check(2 * 8 * n_genes**2, self.resources.memory, n_genes, 'svd_solver="randomized" takes less')
        self.progress.start("PCA: covariance", n_cells, "cells")
        gram, sums = gram_matrix(self.reader, self.threads, self.progress.advance)
        squares = gram.diagonal().copy()
        if self.zero_center:
            mean = sums / n_cells
            for i in range(n_genes):
                gram[i, i:] -= n_cells * mean[i] * mean[i:]
        # the transpose, as LAPACK counts columns first: nothing is copied
        wanted = (n_genes - self.n, n_genes - 1)
        self.progress.note(f"PCA: components of {n_genes:,} × {n_genes:,} covariances")  # holds up all other threads
        values, vectors = linalg.eigh(gram.T, lower=True, subset_by_index=wanted, overwrite_a=True, check_finite=False)
        how = {"svd_solver": "covariance_eigh", "passes": 2, "converged": True}
        return vectors[:, ::-1].copy(), np.maximum(values[::-1], 0.0), sums, squares, how

    def randomized(self, random_state: int) -> tuple[Floats, Floats, Floats, Floats, dict[str, Any]]:
        threadpool_limits = require("threadpoolctl", "PCA").threadpool_limits
        n_genes = self.reader.n_genes
        block = -(-(self.n + _SPARE) // 16) * 16  # whole vector registers
        lane = 4 * block * n_genes
        basis = BASIS_BLOCKS * lane + 6 * 8 * block * n_genes
        room = (self.resources.memory - basis) // lane - 1  # one lane waits to be added
        _check(basis + 2 * lane, self.resources.memory, n_genes, "choose genes, or fewer components")
        threads = int(min(self.threads, room))
        self.progress.start("PCA: passes over the cells", MAX_PRODUCTS, "passes")
        sums, squares = moments(self.reader, threads)
        mean = sums / self.reader.n_cells if self.zero_center else np.zeros(n_genes)
        with threadpool_limits(1, "blas"):  # the cells take most of the time, and sums depend on its threads
            found = leading_eigenpairs(
                lambda Q: scatter_product(self.reader, mean, Q, threads), n_genes, self.n,
                block=block, rng=np.random.default_rng(random_state), advance=self.progress.advance,
            )  # fmt: skip
        how = {"svd_solver": "randomized", "passes": found.n_products + 2, "converged": found.converged}
        return found.vectors, found.values, sums, squares, how


def _check(size: int, limit: int, n_genes: int, instead: str) -> None:
    if size > limit:
        raise MemoryLimitError(
            f"PCA of {n_genes:,} genes takes {as_memory(size)} of memory; the limit is {as_memory(limit)}",
            f'{instead}, or allow more: memory="{-(-size // 2**30)}GiB"',
        )
