"""Networks of each cell type: the strongest edges, how they hold over donors, and what changes with age."""

import hashlib
import json
from collections.abc import Callable, Sequence
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
from titin.network.donor_networks import DonorBackend
from titin.network.evaluation import COLUMNS as EVALUATED
from titin.network.evaluation import evaluate_weights
from titin.network.network_changes import add_changes
from titin.network.network_weights import (
    MOST_GENES,
    FittedWeights,
    ask_by_donor,
    edge_stability,
    fit_metacells,
    metacells_of,
    strongest_edges,
)
from titin.network.question import NetworkQuestion
from titin.network.ridge import correlate, places
from titin.network.strata import Stratum, find_strata
from titin.progress import Progress
from titin.study.design import AGE

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

    @property
    def without_comparison(self) -> list[dict[str, Any]]:
        """Types and protocols whose network was inferred, and not compared between donors, with the ``reason``."""
        return [{**test, "reason": test["not_compared"]} for test in self.tests if test.get("not_compared")]


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
    strata, cut, level, complete = find_strata(atlas, cell_type_level)
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


def _infer(
    atlas: Atlas, stratum: Stratum, question: NetworkQuestion, backend: Backend | DonorBackend, symbols: Sequence[str],
    names: Sequence[str], cut: float | None, threads: int,
) -> Networks:  # fmt: skip
    """The network of one type and protocol, or why there is none."""
    own = {"cell_type": stratum.cell_type, "protocol": stratum.protocol}
    try:
        most = backend.most_genes if isinstance(backend, DonorBackend) else MOST_GENES
        metacells, regulators = metacells_of(atlas, stratum, question, symbols, names, threads, most)
        if len(metacells.donors) < 2 * question.min_donors:
            few = len(metacells.donors)
            raise NotTestableError(f"{few or 'no'} donor{'s' * (few != 1)} with enough cells, "
                                   f"fewer than {2 * question.min_donors}")  # fmt: skip
    except NotTestableError as reason:
        skipped = {**own, "reason": str(reason.args[0]), layout.N_CELLS: len(stratum.cells)}
        return _empty(skipped=[skipped])
    place = places(metacells.genes, regulators)
    side = correlate(metacells.values, place)
    fitted: FittedWeights
    if isinstance(backend, DonorBackend):
        by_donor = ask_by_donor(atlas, stratum, question, backend, metacells, regulators, side.weights, threads)
        fitted = FittedWeights(by_donor.weights, by_donor.of_draw, by_donor)
    else:
        fitted = fit_metacells(metacells, question, backend, regulators, side)
    weights = fitted.weights
    t, g = strongest_edges(weights, question.n_edges)
    stability = edge_stability(fitted.of_draw, len(metacells.donors), t, g, np.sign(weights[t, g]), question)
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
    table, strengths, facts = add_changes(fitted.donors, metacells, stratum, edges, (t, g), regulators, question, cut)
    told = {**own, "donors": metacells.donors, "penalty": fitted.penalty, "n_regulators": len(regulators),
            "n_genes": len(metacells.genes), "n_metacells": len(metacells.values), **facts}  # fmt: skip
    told["notes"] = [*told["notes"], *not_evaluated]
    return Networks(edges[EDGE_COLUMNS], regulators=table.assign(**own)[REGULATOR_COLUMNS],
                    donors=strengths.assign(**own), evaluation=evaluation.assign(**own), tests=[told])  # fmt: skip


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
