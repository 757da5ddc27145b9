"""Networks of each cell type: the strongest edges, how they hold over donors, and what changes with age."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.ageing.comparison import ACROSS, Comparisons, left_out
from titin.ageing.design import NotTestableError
from titin.ageing.linear_models import adjust
from titin.ageing.pseudobulk import check_counts, gene_names
from titin.atlas import Atlas
from titin.dataset import layout
from titin.dataset.checksums import sha256
from titin.errors import TitinError
from titin.network.backends import Backend, find_backend
from titin.network.donor_contrast import DonorComparison, compare_donors
from titin.network.donor_networks import DonorBackend, DonorNetworks, check_donor_weights
from titin.network.evaluation import COLUMNS as EVALUATED
from titin.network.evaluation import evaluate_weights
from titin.network.metacells import MOST_CELLS, SIZE, Metacells, draw_cells, make_metacells, read_counts, standardise
from titin.network.prior_network import MIN_TARGETS, SOURCE, TARGET, WEIGHT, PriorNetwork
from titin.network.ridge import Fit, choose_penalty, correlate, fit_ridge, places
from titin.progress import Progress
from titin.study.ages import age_cut, donor_ages
from titin.study.design import AGE, Study, choose_level, labels_of
from titin.study.gaps import find_complete
from titin.study.groups import cell_keys

N_EDGES = 5000
N_BOOTSTRAPS = 20
MOST_GENES = 5000
MIN_METACELLS = 4  # of a donor, to take part
_DETECTED = 0.1  # share of metacells that a gene must be detected in
_INFERRED_TARGETS = 30
_CLEAR = 0.05  # adjusted p
CAVEAT = (
    "an edge says that two genes go together within donors beyond depth, not that one regulates the other; with other "
    "references and methods the ranking turns, and correlation stands beside each edge as what is to be beaten"
)
EDGE_COLUMNS = [
    "regulator", "target", "cell_type", "protocol", "n_donors", "n_metacells", "weight", "stability", "sign",
    "correlation", "prior", "difference", "ci_low", "ci_high", "p_value", "adj_p_value",
]  # fmt: skip
REGULATOR_COLUMNS = [
    "regulator", "cell_type", "protocol", "n_donors", "n_cells", "n_metacells", "n_targets", "targets", "strength",
    "difference", "ci_low", "ci_high", "p_value", "adj_p_value",
]  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Networks(Comparisons):
    """Networks by type and protocol.

    Attributes
    ----------
    table
        One row an edge, the strongest of each type and protocol: ``regulator``, ``target``, ``cell_type``,
        ``protocol``, ``n_donors``, ``n_metacells``, ``weight`` by the backend, ``stability``, the share of networks of
        donors drawn with replacement in which it is among as many strongest edges, ``sign``, ``correlation`` within
        donors, ``prior``, the sign that the known network gives it (0: it does not have it), and of old against young
        (or a decade) ``difference`` of the weight with its 95 % interval, ``p_value`` by dealing ages to donors anew,
        all edges together, ``adj_p_value`` over the edges of the type and protocol.
    regulators
        One row a regulator, type and protocol: ``n_targets`` and whence the ``targets`` are (``known`` or
        ``inferred``), ``strength``, the mean weight on them, each by its sign, and its change, as of edges, known and
        inferred apart;
        ``adj_p_value_across_types`` over those of all types and protocols.
    donors
        One row a regulator, type, protocol and donor: ``strength``, ``age``.
    evaluation
        With a reference: see `titin.network.evaluation`; empty without.
    """

    regulators: pd.DataFrame
    donors: pd.DataFrame
    evaluation: pd.DataFrame


@dataclass(frozen=True, kw_only=True)
class NetworkQuestion:
    """What is asked of every type and protocol alike.

    Attributes
    ----------
    backend
        Name of what infers: see `titin.network.backends`.
    checkpoint
        Weights of the backend, of ``scprint``.
    contrast
        ``young_old`` or ``age``.
    network
        Known edges; gives the regulators where ``regulators`` does not, and ``prior``.
    regulators
        Symbols of those genes that may regulate; the network's sources where None.
    reference
        Edges to evaluate against; no evaluation where None.
    n_edges, n_bootstraps, permutations
        Edges that are told of, draws of donors, arrangements of ages.
    metacell_size, most_cells
        Cells of a metacell, and of a donor.
    min_cells, min_donors, min_targets
        Of a donor; on either side; of a regulator.
    seed
        Of all that is drawn.
    """

    backend: str = "ridge"
    checkpoint: Path | None = None
    contrast: str = "young_old"
    network: PriorNetwork | None = None
    regulators: tuple[str, ...] | None = None
    reference: PriorNetwork | None = None
    n_edges: int = N_EDGES
    n_bootstraps: int = N_BOOTSTRAPS
    permutations: int = 2000
    metacell_size: int = SIZE
    most_cells: int = MOST_CELLS
    min_cells: int = 10
    min_donors: int = 3
    min_targets: int = MIN_TARGETS
    seed: int = 0

    @property
    def names(self) -> list[str]:
        """Regulators to look for.

        Raises
        ------
        TitinError
            If neither a network nor a list gives any.
        """
        if self.regulators is not None:
            return list(dict.fromkeys(self.regulators))
        if self.network is None:
            raise TitinError("there is nothing that says which genes regulate",
                             "give --network FILE, or a list of genes with --regulators @FILE")  # fmt: skip
        return self.network.sources

    @property
    def document(self) -> dict[str, Any]:
        """All of it, JSON-safe, networks by what is in them."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for name in ("network", "reference", "checkpoint"):
            if told[name] is not None:
                told[name] = told[name].name
        return told


@dataclass(frozen=True, eq=False)
class Stratum:
    """Cells of one type and protocol: positions, and what donor, batch each has; ages of donors, sex where known."""

    cell_type: str
    protocol: str
    cells: NDArray[np.int64]
    donor: NDArray[np.int64]
    batch: NDArray[np.int64]
    donors: list[str]
    ages: list[float]
    strata: list[str]


def infer_networks(
    atlas: Atlas,
    question: NetworkQuestion,
    *,
    cell_type_level: int | str | None = None,
    parts: Path | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Networks:
    """Infer the network of every type and protocol, and compare it between young and old donors.

    1. Of each donor up to 400 cells of the type and protocol become metacells of about ten like cells.
    2. Their log-normalised values, less the donor's mean and what goes with depth, are regressed on the regulators (or
       given to another backend): the weights. Protocols are apart, and no metacell has cells of two donors.
    3. The same with donors drawn anew says how stable the strongest edges are.
    4. Each donor's own weight is one step from the common ones. Their difference between old and young donors is tested
       by dealing the ages to the donors anew, within a sex, all arrangements where these are few, and all edges (or
       regulators) together.

    Parameters
    ----------
    atlas
        The dataset, with counts, donors and ages.
    question
        What is asked.
    cell_type_level
        Name of the level, or its place; the coarsest where not given.
    parts
        A folder in which what is finished of each type is kept, and found again by a later call that asks the same.
    threads, progress
        All that the atlas was opened with, where not given; told of each type.

    Raises
    ------
    TitinError
        If the dataset has no counts, donors or types, or no regulator is among its genes.
    """
    check_counts(atlas)
    chosen = atlas.cells.chosen
    atlas = atlas.comparable(None if chosen is None else np.flatnonzero(chosen))
    progress, threads = progress or Progress(), threads or atlas.reader.resources.threads
    symbols = gene_names(atlas)["gene"].astype(str).tolist()
    names = [name for name in question.names if name in set(symbols)]
    if not names:
        raise NotTestableError(f"none of the {len(question.names):,} regulators is a gene of this dataset",
                               "genes are matched by symbol, spelled as in the dataset")  # fmt: skip
    backend = find_backend(question.backend, question.checkpoint)  # before anything is read
    strata, cut, level, complete = _strata(atlas, cell_type_level)
    progress.start("networks", len(strata), "types")
    found, weights = [], "" if question.checkpoint is None else sha256(question.checkpoint)
    try:
        for stratum in strata:
            make = partial(_infer, atlas, stratum, question, backend, symbols, names, cut, threads)
            found.append(_kept(parts, _key(atlas, question, level, stratum, weights), make))
            progress.advance(1)
    finally:
        if hasattr(backend, "close"):
            backend.close()
    progress.finish()
    settings = {**question.document, "n_regulators": len(names), "cell_type_level": level, "age_cut": cut,
                "unit": "decade" if question.contrast == AGE else ""}  # fmt: skip
    return _together(found, settings, complete)


def _strata(atlas: Atlas, chosen: int | str | None) -> tuple[list[Stratum], float | None, str, Any]:
    """Cells of each type and protocol, with their donors."""
    keys = cell_keys(atlas)
    level = choose_level(Study.of(atlas).levels, chosen, whole=True)
    complete = find_complete(keys, [n for n in ("donor", "protocol", level) if n in keys and keys[n].notna().any()])
    kept = np.flatnonzero(complete.rows)
    keys = keys.iloc[kept].reset_index(drop=True)
    ages = donor_ages(keys[AGE], keys["donor"]) if AGE in keys else pd.Series(dtype=float)
    labels = labels_of(keys, level).astype(str)
    protocol = keys["protocol"].astype(str) if "protocol" in keys and keys["protocol"].notna().any() else None
    batch = pd.factorize(keys["chemistry"].fillna("") if "chemistry" in keys else pd.Series("", keys.index))[0]
    sex = keys.groupby("donor")["sex"].first().fillna("").astype(str) if "sex" in keys else None
    found = []
    for (where, name), rows in _groups(protocol, labels):
        code, donors = pd.factorize(keys["donor"].iloc[rows], sort=True)
        found.append(Stratum(
            name, where, kept[rows], code.astype(np.int64), batch[rows].astype(np.int64), [str(d) for d in donors],
            [float(ages.get(str(d), np.nan)) for d in donors], ["" if sex is None else str(sex[d]) for d in donors],
        ))  # fmt: skip
    return found, age_cut(ages) if len(ages) else None, level, complete


def _groups(protocol: pd.Series | None, labels: pd.Series) -> Iterator[tuple[tuple[str, str], NDArray[np.int64]]]:
    where = pd.Series("all", labels.index) if protocol is None else protocol
    pairs = pd.DataFrame({"protocol": where, "cell_type": labels})
    for own, rows in pairs.groupby(["protocol", "cell_type"], sort=True):
        yield (str(own[0]), str(own[1])), rows.index.to_numpy(np.int64)


def _infer(
    atlas: Atlas, stratum: Stratum, question: NetworkQuestion, backend: Backend | DonorBackend, symbols: Sequence[str],
    names: Sequence[str], cut: float | None, threads: int,
) -> Networks:  # fmt: skip
    """The network of one type and protocol, or why there is none."""
    own = {"cell_type": stratum.cell_type, "protocol": stratum.protocol}
    try:
        most = backend.most_genes if isinstance(backend, DonorBackend) else MOST_GENES
        metacells, regulators = _metacells(atlas, stratum, question, symbols, names, threads, most)
        if len(metacells.donors) < 2 * question.min_donors:
            few = len(metacells.donors)
            raise NotTestableError(f"{few or 'no'} donor{'s' * (few != 1)} with enough cells, "
                                   f"fewer than {2 * question.min_donors}")  # fmt: skip
    except NotTestableError as reason:
        skipped = {**own, "reason": str(reason.args[0]), layout.N_CELLS: len(stratum.cells)}
        return _empty(skipped=[skipped])
    place = places(metacells.genes, regulators)
    side = correlate(metacells.values, place)
    fitted: _Fitted
    if isinstance(backend, DonorBackend):
        by_donor = _ask_by_donor(atlas, stratum, question, backend, metacells, regulators, side.weights, threads)
        fitted = _Fitted(by_donor.weights, by_donor.of_draw, by_donor)
    else:
        fitted = _fit(metacells, question, backend, regulators, side)
    weights = fitted.weights
    t, g = _strongest(weights, question.n_edges)
    stability = _stability(fitted.of_draw, len(metacells.donors), t, g, np.sign(weights[t, g]), question)
    edges = pd.DataFrame({
        "regulator": [regulators[i] for i in t], "target": [metacells.genes[j] for j in g], **own,
        "n_donors": len(metacells.donors), "n_metacells": len(metacells.values), "weight": weights[t, g],
        "stability": stability, "sign": np.sign(weights[t, g]).astype(np.int8), "correlation": side.weights[t, g],
    })  # fmt: skip
    edges["prior"] = np.int8(0)
    if question.network is not None:
        edges["prior"] = question.network.signs(edges["regulator"].tolist(), edges["target"].tolist())
    of = {question.backend: weights, "correlation": side.weights}
    evaluation, not_evaluated = _evaluate(of, regulators, metacells.genes, question)
    table, strengths, facts = _changes(fitted.donors, metacells, stratum, edges, (t, g), regulators, question, cut)
    told = {**own, "donors": metacells.donors, "penalty": fitted.penalty, "n_regulators": len(regulators),
            "n_genes": len(metacells.genes), "n_metacells": len(metacells.values), **facts}  # fmt: skip
    told["notes"] = [*told["notes"], *not_evaluated]
    return Networks(edges[EDGE_COLUMNS], regulators=table.assign(**own)[REGULATOR_COLUMNS],
                    donors=strengths.assign(**own), evaluation=evaluation.assign(**own), tests=[told])  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Fitted:
    """Weights of a type, those of some donors drawn, and where each donor's own are from."""

    weights: NDArray[np.float32]
    of_draw: Callable[[Sequence[int]], NDArray[np.float32]]
    donors: Fit | DonorNetworks
    penalty: float | None = None


def _fit(
    metacells: Metacells, question: NetworkQuestion, backend: Backend, regulators: Sequence[str], side: Fit
) -> _Fitted:
    """Weights by metacells of all donors; each donor's own are of the ridge, or else of the correlation beside it."""
    place, values = side.place, metacells.values
    if question.backend == "ridge":
        penalty = choose_penalty(values, place, metacells.starts)
        main = fit_ridge(values, place, penalty)
        return _Fitted(main.weights, lambda drawn: fit_ridge(values[metacells.take(drawn)], place, penalty).weights,
                       main, penalty or None)  # fmt: skip

    def infer(values: NDArray[np.float32]) -> NDArray[np.float32]:
        made = np.asarray(backend.infer(values, metacells.genes, regulators), np.float32)
        if made.shape != side.weights.shape:
            raise TitinError(f"the backend {question.backend} gave {made.shape} weights, not {side.weights.shape}",
                             "it must give regulators × genes")  # fmt: skip
        made[np.arange(len(place)), place] = 0
        return np.nan_to_num(made)

    weights = side.weights if question.backend == "correlation" else infer(values)
    return _Fitted(weights, lambda drawn: infer(values[metacells.take(drawn)]), side)


def _ask_by_donor(
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


def _evaluate(
    weights: dict[str, NDArray[np.float32]], regulators: Sequence[str], genes: Sequence[str], question: NetworkQuestion
) -> tuple[pd.DataFrame, list[str]]:
    """How early the edges of the reference come in one type, and why that cannot be said."""
    if question.reference is not None:
        try:
            return evaluate_weights(weights, regulators, genes, question.reference, seed=question.seed), []
        except NotTestableError as reason:
            return pd.DataFrame(columns=EVALUATED), [str(reason.args[0])]
    return pd.DataFrame(columns=EVALUATED), []


def _metacells(
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


def _strongest(weights: NDArray[np.float32], n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the largest weights that are not 0, the largest first."""
    size = np.abs(weights).ravel()
    n = min(n, int((size > 0).sum()))
    best = np.argpartition(-size, n - 1)[:n] if n else np.zeros(0, np.int64)
    best = best[np.lexsort((best, -size[best]))]
    rows, columns = np.unravel_index(best, weights.shape)
    return np.asarray(rows, np.int64), np.asarray(columns, np.int64)


def _stability(
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


def _changes(
    fit: Fit | DonorNetworks, metacells: Metacells, stratum: Stratum, edges: pd.DataFrame,
    at: tuple[NDArray[np.int64], NDArray[np.int64]], regulators: list[str], question: NetworkQuestion,
    cut: float | None,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:  # fmt: skip
    """Add to edges what changes; the same of regulators, their strength by donor, and what is to be told."""
    table, strengths = _strengths(fit, metacells, edges, at, regulators, question)
    where = [stratum.donors.index(name) for name in metacells.donors]
    ages = [stratum.ages[i] for i in where]
    aged = np.flatnonzero(np.isfinite(ages))
    table = table.assign(n_donors=len(metacells.donors), n_cells=metacells.n_cells, n_metacells=len(metacells.values))
    by_donor = pd.DataFrame({
        "regulator": np.repeat(table["regulator"].to_numpy(object), len(where)),
        "donor": np.tile(np.array(metacells.donors, object), len(table)), "strength": strengths.ravel(),
        "age": np.tile(np.array(ages), len(table)),
    })  # fmt: skip
    try:
        compared = compare_donors(
            [ages[i] for i in aged], cut, question.contrast, strata=[stratum.strata[where[i]] for i in aged],
            min_donors=question.min_donors, permutations=question.permutations, seed=question.seed,
        )  # fmt: skip
    except NotTestableError as reason:
        nothing = dict.fromkeys(("difference", "ci_low", "ci_high", "p_value", "adj_p_value"), np.nan)
        for column, value in nothing.items():
            edges[column] = value
        return table.assign(**nothing), by_donor, {"not_compared": str(reason.args[0]), "notes": []}
    of_edges = fit.of_donors(*at, metacells.starts)[:, aged]
    _add_change(edges, compared, of_edges, np.zeros(len(edges)))
    _add_change(table, compared, strengths[:, aged], (table["targets"] == "known").to_numpy())
    return table, by_donor, {"not_compared": "", "least_p": compared.least_p, "notes": _notes(compared, len(table))}


def _notes(compared: DonorComparison, n: int) -> list[str]:
    arrangements = compared.contrasts.shape[1]
    if compared.least_p <= _CLEAR or not compared.exact:
        return []
    return [f"its donors allow {arrangements:,} arrangements of ages: of {n:,} regulators one alone cannot pass an "
            f"adjusted p of {_CLEAR}"]  # fmt: skip


def _add_change(
    table: pd.DataFrame, compared: DonorComparison, weights: NDArray[np.float64], kind: NDArray[Any]
) -> None:
    """Add what changes; p by the arrangements of all rows of a kind, as kinds differ in how they spread."""
    table["difference"], table["ci_low"], table["ci_high"] = compared.change(weights)
    p, adjusted = np.full((2, len(table)), np.nan)
    for one in np.unique(kind):
        rows = kind == one
        p[rows] = compared.pooled_p_value(weights[rows])
        adjusted[rows] = adjust(p[rows])
    table["p_value"], table["adj_p_value"] = p, adjusted


def _strengths(
    fit: Fit | DonorNetworks, metacells: Metacells, edges: pd.DataFrame,
    at: tuple[NDArray[np.int64], NDArray[np.int64]], regulators: list[str], question: NetworkQuestion,
) -> tuple[pd.DataFrame, NDArray[np.float64]]:  # fmt: skip
    """Mean signed weight of each regulator on its targets: table, and regulators × donors."""
    t, g, sign, whence = _targets(metacells, edges, at, regulators, question)
    n = np.bincount(t, minlength=len(regulators))
    kept = np.flatnonzero(n >= question.min_targets)
    of_edges = fit.of_donors(t, g, metacells.starts) * sign[:, None]
    sums = np.zeros((len(regulators), len(metacells.starts)))
    mean = np.bincount(t, fit.weights[t, g] * sign, len(regulators))
    np.add.at(sums, t, of_edges)
    table = pd.DataFrame({
        "regulator": [regulators[i] for i in kept], "n_targets": n[kept],
        "targets": [whence.get(int(i), "inferred") for i in kept], "strength": mean[kept] / n[kept],
    })  # fmt: skip
    return table, sums[kept] / n[kept, None]


def _targets(
    metacells: Metacells, edges: pd.DataFrame, at: tuple[NDArray[np.int64], NDArray[np.int64]],
    regulators: list[str], question: NetworkQuestion,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], dict[int, str]]:  # fmt: skip
    """Targets of each regulator and their signs: those known, else the strongest of those inferred, blind to ages."""
    row = {name: i for i, name in enumerate(regulators)}
    column = {name: i for i, name in enumerate(metacells.genes)}
    parts, whence = [], {}
    if question.network is not None:
        known = question.network.edges
        own = known[known[SOURCE].isin(row) & known[TARGET].isin(column) & (known[SOURCE] != known[TARGET])]
        n = own[SOURCE].map(own[SOURCE].value_counts())
        own = own[n >= question.min_targets]
        parts.append((own[SOURCE].map(row).to_numpy(), own[TARGET].map(column).to_numpy(), np.sign(own[WEIGHT])))
        whence = {row[name]: "known" for name in own[SOURCE].unique()}
    first = edges.groupby("regulator").cumcount().to_numpy() < _INFERRED_TARGETS
    inferred = first & ~np.isin(at[0], list(whence))
    parts.append((at[0][inferred], at[1][inferred], edges["sign"].to_numpy()[inferred]))
    t, g, sign = (np.concatenate([np.asarray(part[k], float) for part in parts]) for k in range(3))
    return t.astype(np.int64), g.astype(np.int64), sign, whence


def _empty(**more: Any) -> Networks:
    return Networks(
        pd.DataFrame(columns=EDGE_COLUMNS), regulators=pd.DataFrame(columns=REGULATOR_COLUMNS),
        donors=pd.DataFrame(columns=["regulator", "donor", "strength", "age", "cell_type", "protocol"]),
        evaluation=pd.DataFrame(columns=["cell_type", "protocol", *EVALUATED]), **more,
    )  # fmt: skip


def _together(found: Sequence[Networks], settings: dict[str, Any], complete: Any) -> Networks:
    """Networks of all types as one."""
    frames = {}
    for name in Networks.table_names():
        some = [getattr(one, name) for one in found if len(getattr(one, name))]
        frames[name] = pd.concat(some, ignore_index=True) if some else getattr(_empty(), name)
    frames["regulators"][ACROSS] = adjust(frames["regulators"]["p_value"].to_numpy(float))
    table = frames.pop("table")
    return Networks(
        table, **frames, tests=[test for one in found for test in one.tests],
        skipped=[entry for one in found for entry in one.skipped], settings=settings, caveat=CAVEAT,
        **left_out(complete),
    )  # fmt: skip


def _key(atlas: Atlas, question: NetworkQuestion, level: str, stratum: Stratum, weights: str) -> str:
    """What the network of a type was made of."""
    digest = hashlib.sha256()
    for one in (question.network, question.reference):
        digest.update(b"" if one is None else pd.util.hash_pandas_object(one.edges, index=False).to_numpy().tobytes())
    digest.update(stratum.cells.tobytes())
    files = {name: told.get("sha256") for name, told in atlas.store.whole.manifest.files.items()}
    told = {**question.document, "level": level, "of": [stratum.cell_type, stratum.protocol], "ages": stratum.ages,
            "strata": stratum.strata, "donors": stratum.donors, "files": files,
            "weights": weights}  # fmt: skip
    digest.update(json.dumps(told, sort_keys=True, default=str).encode())
    return digest.hexdigest()


def _kept(folder: Path | None, key: str, make: Callable[[], Networks]) -> Networks:
    """What is kept under a key, or made and kept."""
    if folder is None:
        return make()
    path = folder / f"{key[:32]}.parquet"
    if path.with_suffix(".json").is_file():
        try:
            found = Networks.read(path)
            if found.settings.get("key") == key:
                return replace(found, settings={})
        except TitinError:
            pass  # cut off, or of another version: made again
    made = make()
    replace(made, settings={"key": key}).write(path, force=True)
    return made
