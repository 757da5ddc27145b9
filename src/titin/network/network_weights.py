"""The network of one type and protocol: weights by metacells or by donor, and how its strongest edges hold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from titin.ageing.design import NotTestableError
from titin.ageing.pseudobulk import gene_names
from titin.atlas import Atlas
from titin.errors import TitinError
from titin.network.backends import Backend
from titin.network.donor_networks import DonorBackend, DonorNetworks, check_donor_weights
from titin.network.metacells import Metacells, draw_cells, make_metacells, read_counts, standardise
from titin.network.question import NetworkQuestion
from titin.network.ridge import Fit, choose_penalty, fit_ridge, places
from titin.network.strata import Stratum

MOST_GENES = 5000
MIN_METACELLS = 4  # of a donor, to take part
_DETECTED = 0.1  # share of metacells that a gene must be detected in


def metacells_of(
    atlas: Atlas, stratum: Stratum, question: NetworkQuestion, symbols: Sequence[str], names: Sequence[str],
    threads: int, most_genes: int = MOST_GENES,
) -> tuple[Metacells, list[str]]:  # fmt: skip
    """Metacells of a type and protocol, of the genes that it has enough of; and the regulators among them."""
    least = max(question.min_cells, MIN_METACELLS * question.metacell_size)
    enough = np.bincount(stratum.donor, minlength=len(stratum.donors)) >= least
    rows = np.flatnonzero(enough[stratum.donor])
    if enough.sum() < 2 * question.min_donors:
        n = int(enough.sum())
        raise NotTestableError(f"{n or 'no'} donor{'s' * (n != 1)} with {least} cells or more, "
                               f"fewer than {2 * question.min_donors}")  # fmt: skip
    cells = draw_cells(stratum.cells[rows], stratum.donor[rows], most=question.most_cells, seed=question.seed)
    at = np.searchsorted(stratum.cells, cells)
    counts = read_counts(atlas, cells, threads)
    sums, donor, batch = make_metacells(counts, stratum.donor[at], stratum.batch[at], size=question.metacell_size)
    detected = np.asarray((sums > 0).mean(axis=0)).ravel()
    wanted = set(names)
    place: dict[str, int] = {}
    for token in np.flatnonzero(detected >= _DETECTED).tolist():
        place.setdefault(symbols[token], token)
    regulators = [name for name in place if name in wanted]
    if not regulators:
        raise NotTestableError("no regulator is expressed in enough of its cells")
    others = sorted((name for name in place if name not in wanted), key=lambda name: -detected[place[name]])
    genes = [*regulators, *others[: max(0, most_genes - len(regulators))]]
    if len(genes) < len(regulators) + 2:
        raise NotTestableError("no more than one gene beside the regulators is expressed in enough of its cells")
    tokens = np.array([place[name] for name in genes], np.int64)
    values = standardise(sums, donor, batch, tokens)
    known, code = np.unique(donor, return_inverse=True)
    metacells = Metacells(values, genes, code.astype(np.int64), [stratum.donors[d] for d in known], len(cells), tokens)
    return metacells, regulators


@dataclass(frozen=True, eq=False)
class FittedWeights:
    """Weights of a type, those of some donors drawn, and where each donor's own are from."""

    weights: NDArray[np.float32]
    of_draw: Callable[[Sequence[int]], NDArray[np.float32]]
    donors: Fit | DonorNetworks
    penalty: float | None = None


def fit_metacells(
    metacells: Metacells, question: NetworkQuestion, backend: Backend, regulators: Sequence[str], side: Fit
) -> FittedWeights:
    """Weights by metacells of all donors; each donor's own are of the ridge, or else of the correlation beside it."""
    place, values = side.place, metacells.values
    if question.backend == "ridge":
        penalty = choose_penalty(values, place, metacells.starts)
        main = fit_ridge(values, place, penalty)
        return FittedWeights(
            main.weights, lambda drawn: fit_ridge(values[metacells.take(drawn)], place, penalty).weights, main,
            penalty or None,
        )  # fmt: skip

    def infer(values: NDArray[np.float32]) -> NDArray[np.float32]:
        made = np.asarray(backend.infer(values, metacells.genes, regulators), np.float32)
        if made.shape != side.weights.shape:
            raise TitinError(f"the backend {question.backend} gave {made.shape} weights, not {side.weights.shape}",
                             "it must give regulators × genes")  # fmt: skip
        made[np.arange(len(place)), place] = 0
        return np.nan_to_num(made)

    weights = side.weights if question.backend == "correlation" else infer(values)
    return FittedWeights(weights, lambda drawn: infer(values[metacells.take(drawn)]), side)


def ask_by_donor(
    atlas: Atlas, stratum: Stratum, question: NetworkQuestion, backend: DonorBackend, metacells: Metacells,
    regulators: Sequence[str], correlation: NDArray[np.float32], threads: int,
) -> DonorNetworks:  # fmt: skip
    """Networks of the donors of the metacells, by a backend that takes counts of single cells."""
    code = {stratum.donors.index(name): i for i, name in enumerate(metacells.donors)}
    rows = np.flatnonzero(np.isin(stratum.donor, list(code)))
    cells = draw_cells(stratum.cells[rows], stratum.donor[rows], most=backend.most_cells, seed=question.seed)
    donor = np.array([code[d] for d in stratum.donor[np.searchsorted(stratum.cells, cells)].tolist()], np.int64)
    counts = read_counts(atlas, cells, threads)
    ids = gene_names(atlas)["gene_id"].astype(str).to_numpy()[metacells.tokens].tolist()
    depth = np.asarray(counts.sum(axis=1), np.float64).ravel()
    found = backend.infer_donors(counts[:, metacells.tokens], depth, donor, metacells.genes, ids, regulators)
    place = places(metacells.genes, regulators)
    shape = (len(metacells.donors), len(regulators), len(metacells.genes))
    networks = check_donor_weights(found, question.backend, shape, np.sign(correlation))
    networks.by_donor[:, np.arange(len(place)), place] = 0
    return networks


def strongest_edges(weights: NDArray[np.float32], n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the largest weights that are not 0, the largest first."""
    size = np.abs(weights).ravel()
    n = min(n, int((size > 0).sum()))
    best = np.argpartition(-size, n - 1)[:n] if n else np.zeros(0, np.int64)
    best = best[np.lexsort((best, -size[best]))]
    rows, columns = np.unravel_index(best, weights.shape)
    return np.asarray(rows, np.int64), np.asarray(columns, np.int64)


def edge_stability(
    of_draw: Callable[[Sequence[int]], NDArray[np.float32]], n: int, t: NDArray[np.int64], g: NDArray[np.int64],
    sign: NDArray[np.float32], question: NetworkQuestion,
) -> NDArray[np.float64]:  # fmt: skip
    """Share of networks of drawn donors in which each edge, with its sign, is among as many strongest."""
    if not question.n_bootstraps or not len(t):
        return np.full(len(t), np.nan)
    rng = np.random.Generator(np.random.PCG64(question.seed))
    seen = np.zeros(len(t))
    for _ in range(question.n_bootstraps):
        drawn = of_draw(rng.integers(0, n, n).tolist())
        size = np.abs(drawn).ravel()
        least = np.partition(size, len(size) - len(t))[len(size) - len(t)]
        seen += drawn[t, g] * sign >= max(least, 1e-12)
    return seen / question.n_bootstraps
