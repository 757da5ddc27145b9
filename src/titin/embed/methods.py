"""The projections that titin computes, one record each; dispatch, records and command line follow from these."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from titin.embed.libraries import version
from titin.errors import TitinError
from titin.extras import check_installed
from titin.progress import Progress
from titin.resources import Resources

if TYPE_CHECKING:
    from titin.atlas import Atlas
    from titin.embed.neighbors import Neighbors

STANDS_ON = "X_pca"
PCA_COMPONENTS = 50
VARIABLE_GENES = 2000
FLAVORS = ("seurat", "seurat_v3")
_TSNE_ITERATIONS = 500


@dataclass(frozen=True)
class MethodInput:
    """What a method works on.

    Attributes
    ----------
    atlas
        The dataset.
    scores
        The projection that the method stands on, cells × dimensions in the dataset's order; None for one that stands
        on the expression.
    parameters
        All of the method's.
    """

    atlas: "Atlas"
    scores: NDArray[np.float32] | None
    parameters: Mapping[str, Any]
    seed: int
    resources: Resources
    progress: Progress


@dataclass(frozen=True)
class Projection:
    """What a method found.

    Attributes
    ----------
    values
        float32, cells × dimensions in the dataset's order.
    parameters
        Those that came to be used: fewer components where there are few cells, for example.
    found
        How it came out, JSON-safe: recall of the neighbours, for example.
    loadings
        float32, genes × dimensions by token.
    uns
        What AnnData keeps in ``uns[method]``.
    """

    values: NDArray[np.float32]
    parameters: Mapping[str, Any]
    found: Mapping[str, Any] = field(default_factory=dict)
    loadings: NDArray[np.float32] | None = None
    uns: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Method:
    """A way to compute one projection.

    Attributes
    ----------
    name, key
        On the command line, and in ``obsm``.
    run
        Does the work.
    parameters
        With their defaults; ``on`` names the projection that it stands on.
    libraries
        Module and package of what it is computed with; their versions are recorded.
    dimensions
        How many columns it has at most, for estimates.
    """

    name: str
    key: str
    run: Callable[[MethodInput], Projection]
    parameters: Mapping[str, Any]
    libraries: Mapping[str, str]
    dimensions: int

    @property
    def stands_on(self) -> str | None:
        """Key of the projection that it stands on by default."""
        return self.parameters.get("on")

    def is_among(self, keys: Iterable[str]) -> bool:
        """Whether a dataset has this projection already, whatever the case of its key and with ``X_`` or without."""
        return any(key.lower().removeprefix("x_") == self.name for key in keys)

    def check_installed(self) -> None:
        """Raise TitinError, naming what to install, if a library is missing."""
        for module in self.libraries:
            check_installed(module, f"the projection {self.name}")

    def versions(self) -> dict[str, str]:
        """Versions of its libraries."""
        return {package: version(package) for package in sorted(self.libraries.values())}


def _pca(task: MethodInput) -> Projection:
    from titin.embed.pca import pca

    chosen, resources = dict(task.parameters), task.resources
    found = pca(
        task.atlas, chosen["n_comps"], genes=_genes(task), random_state=task.seed, threads=resources.threads,
        memory=resources.memory, progress=task.progress,
    )  # fmt: skip
    uns = {"params": found.params, "variance": found.variance, "variance_ratio": found.variance_ratio}
    if not found.total_variance > 0:
        raise TitinError("no gene varies between cells", "there is nothing to project")
    if chosen["genes"] == "all":
        del chosen["flavor"], chosen["n_top_genes"]
    chosen |= {k: v for k, v in found.params.items() if k in ("n_comps", "n_genes", "svd_solver", "zero_center")}
    came_out = {"total_variance": found.total_variance, "converged": found.params["converged"]}
    return Projection(found.scores, chosen, came_out, found.loadings[task.atlas.source_columns], uns)


def _genes(task: MethodInput) -> NDArray[np.bool_] | None:
    """The genes that components are of, as a mask over var; None for all."""
    which = task.parameters["genes"]
    if which == "all":
        return None
    if which != "hvg":
        raise TitinError(f"pca knows no genes {which!r}", "give all or hvg")
    from titin.features import highly_variable

    flavor, n_genes = task.parameters["flavor"], task.parameters["n_top_genes"]
    if flavor not in FLAVORS:
        raise TitinError(f"genes are not chosen by a flavour {flavor!r}", f"flavours: {', '.join(FLAVORS)}")
    table = highly_variable(task.atlas, n_genes, flavor=flavor, threads=task.resources.threads)
    return table["highly_variable"].to_numpy()


def _umap(task: MethodInput) -> Projection:
    from titin.embed.neighbors import neighbors
    from titin.embed.umap import check_cells, umap

    scores, threads, chosen = _scores(task), task.resources.threads, dict(task.parameters)
    chosen["n_neighbors"] = min(chosen["n_neighbors"], check_cells(len(scores)))
    near = neighbors(scores, chosen["n_neighbors"], random_state=task.seed, threads=threads)
    values = umap(
        near, min_dist=chosen["min_dist"], spread=chosen["spread"], init=scores, random_state=task.seed,
        threads=threads, progress=task.progress,
    )  # fmt: skip
    return Projection(values, chosen, _searched(near, threads))


def _tsne(task: MethodInput) -> Projection:
    from titin.embed.neighbors import neighbors
    from titin.embed.tsne import check_perplexity, tsne

    scores, threads, chosen = _scores(task), task.resources.threads, dict(task.parameters)
    chosen["perplexity"], n_neighbors = check_perplexity(chosen["perplexity"], len(scores))
    near = neighbors(scores, n_neighbors, random_state=task.seed, threads=threads)
    values = tsne(
        scores, perplexity=chosen["perplexity"], early_exaggeration=chosen["early_exaggeration"],
        n_iter=chosen["n_iter"], neighbors=near, random_state=task.seed, threads=threads, progress=task.progress,
    )  # fmt: skip
    return Projection(values, {**chosen, "n_neighbors": n_neighbors}, _searched(near, threads))


def _scvi(task: MethodInput) -> Projection:
    from titin.embed.scvi import scvi

    found = scvi(task.atlas, **task.parameters, random_state=task.seed, threads=task.resources.threads,
                 progress=task.progress)  # fmt: skip
    return Projection(found.latent, found.params, {"history": found.history, "threads": task.resources.threads})


def _harmony(task: MethodInput) -> Projection:
    from titin.embed.harmony import harmony

    chosen, atlas = dict(task.parameters), task.atlas
    column = chosen["batch_key"] or atlas.roles.get("sample")
    if column is None:
        raise TitinError("the dataset has no sample column: Harmony needs a batch", "name one with --batch-key COLUMN")
    batch = atlas.cell_columns(column)[column]
    values = harmony(_scores(task), batch, theta=chosen["theta"], random_state=task.seed)
    return Projection(values, {**chosen, "batch_key": column}, {"batches": int(batch.nunique())})


def _leiden(task: MethodInput) -> Projection:
    from titin.embed.leiden import leiden
    from titin.embed.neighbors import neighbors

    scores, threads, chosen = _scores(task), task.resources.threads, dict(task.parameters)
    near = neighbors(scores, min(chosen["n_neighbors"], len(scores)), random_state=task.seed, threads=threads)
    labels = leiden(near, [chosen["resolution"]], random_state=task.seed).iloc[:, 0]
    values: NDArray[np.float32] = labels.cat.codes.to_numpy().astype(np.float32)
    return Projection(values[:, None], chosen, {"n_clusters": int(labels.nunique()), **_searched(near, threads)})


def _searched(near: "Neighbors", threads: int) -> dict[str, Any]:
    """How neighbours were found; with the threads, where the search depends on them."""
    index = near.params["index"]
    how = {"index": index, "recall": near.recall, "recall_cells": near.recall_cells}
    return how if index == "exact" else {**how, "threads": threads}


def _scores(task: MethodInput) -> NDArray[np.float32]:
    from titin.embed.libraries import check_scores

    return check_scores(task.scores)


DEFAULTS = ("pca", "umap", "tsne")  # computed where nothing else is asked for
METHODS = {
    method.name: method
    for method in (
        Method("pca", "X_pca", _pca,
               {"n_comps": None, "genes": "all", "flavor": "seurat", "n_top_genes": VARIABLE_GENES},
               {"numba": "numba", "scipy": "scipy"}, PCA_COMPONENTS),
        Method("harmony", "X_harmony", _harmony, {"on": STANDS_ON, "batch_key": None, "theta": 2.0},
               {"harmonypy": "harmonypy"}, PCA_COMPONENTS),
        Method("umap", "X_umap", _umap, {"on": STANDS_ON, "n_neighbors": 15, "min_dist": 0.5, "spread": 1.0},
               {"umap": "umap-learn"}, 2),
        Method("tsne", "X_tsne", _tsne,
               {"on": STANDS_ON, "perplexity": 30, "early_exaggeration": 12, "n_iter": _TSNE_ITERATIONS},
               {"openTSNE": "openTSNE"}, 2),
        Method("scvi", "X_scVI", _scvi,
               {"n_latent": 30, "n_layers": 2, "n_top_genes": 10_000, "batch_key": None, "max_epochs": None},
               {"scvi": "scvi-tools", "torch": "torch"}, 30),
        Method("leiden", "leiden", _leiden, {"on": STANDS_ON, "n_neighbors": 15, "resolution": 1.0},
               {"igraph": "igraph"}, 1),
    )
}  # fmt: skip


def choose_methods(
    names: Iterable[str], present: Iterable[str] = (), parameters: Mapping[str, Mapping[str, Any]] | None = None
) -> list[Method]:
    """Return methods by name, in an order in which each has what it stands on, with what is missing for that.

    Parameters
    ----------
    names
        Names of methods.
    present
        Keys of the projections that are there.
    parameters
        By method, those that are not to be the defaults.

    Raises
    ------
    TitinError
        If there is no such method or parameter, or a library is missing.
    """
    asked, present, given = set(names), list(present), dict(parameters or {})
    for name in [*asked, *given]:
        if name not in METHODS:
            near = difflib.get_close_matches(name.lower().removeprefix("x_"), METHODS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"methods: {', '.join(METHODS)}"
            raise TitinError(f"there is no projection {name!r} to compute", hint)
    for name, own in given.items():
        if unknown := [p for p in own if p not in METHODS[name].parameters]:
            known = ", ".join(METHODS[name].parameters)
            raise TitinError(f"{name} has no parameter {unknown[0]!r}", f"parameters: {known}")
    by_key = {method.key: method for method in METHODS.values()}
    wanted: dict[str, Method] = {}

    def want(method: Method, on_the_way: tuple[Method, ...] = ()) -> None:
        below = by_key.get(given.get(method.name, {}).get("on", method.stands_on))
        if below and below not in on_the_way and (below.name in asked or not below.is_among(present)):
            want(below, (*on_the_way, method))
        wanted.setdefault(method.name, method)

    for method in METHODS.values():
        if method.name in asked:
            want(method)
    for method in wanted.values():
        method.check_installed()
    return list(wanted.values())
