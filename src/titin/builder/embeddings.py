"""Adding projections to a dataset that is there, or computing them again."""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from titin.atlas import open_atlas
from titin.builder.projections import ProjectionRequest, TargetDataset, project, record
from titin.cluster import connect
from titin.dataset.manifest import Manifest
from titin.dataset.places import find_place, read_remote_manifest
from titin.dataset.remote_revision import revised
from titin.dataset.replace import Draft, revise
from titin.embed.methods import DEFAULTS, Method, choose_methods
from titin.errors import OutputError, TitinError
from titin.files import is_url, local_folder
from titin.progress import Progress
from titin.publish import refresh_card
from titin.resources import MIN_MEMORY, make_resources, peak_memory


@dataclass
class Embedded:
    """The projections that `add_embeddings` computed.

    Attributes
    ----------
    path
        The dataset: its folder, or its URL.
    manifest
        Its manifest now.
    keys
        Projections that were computed, in order.
    seconds
        Of each, and ``total``.
    peak_bytes
        Largest memory of the process so far.
    notes
        What a user should know.
    """

    path: Path | str
    manifest: Manifest
    keys: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    peak_bytes: int = 0
    notes: list[str] = field(default_factory=list)


def add_embeddings(
    dataset: str | Path,
    methods: Iterable[str] = (),
    *,
    force: bool = False,
    seed: int = 0,
    threads: int | None = None,
    memory: int | str | None = None,
    cluster: Any = None,
    progress: Progress | None = None,
    storage_options: Mapping[str, Any] | None = None,
    **parameters: Mapping[str, Any],
) -> Embedded:
    """Compute projections of a dataset and put them into it, all at once or not at all.

    Parameters
    ----------
    dataset
        A dataset folder; or a URL of storage that can be written, such as ``s3://bucket/atlas``: a copy is then
        fetched into the folder of temporary files, and what is new is sent back.
    methods
        ``pca``, ``umap``, ``tsne``, with what they stand on where that is missing; where none is given, those of the
        three that are missing.
    force
        Compute again what is there, and replace it.
    seed
        Of the random numbers.
    threads, memory
        As for `titin.build`.
    cluster
        Workers that read the matrix for ``pca``, as for `titin.open`; other methods compute here.
    progress
        Told what is going on.
    storage_options
        Of a URL, as for `titin.open`.
    **parameters
        By method, such as ``pca={"n_comps": 30}``; see `titin.embed.methods.METHODS`.

    Returns
    -------
    Embedded
        What was computed.

    Raises
    ------
    TitinError
        If a projection cannot be computed, or is there and ``force`` is not given. The dataset is then as it was.
    """
    began = time.perf_counter()
    names, progress = list(methods), progress or Progress()
    resources = make_resources(threads, memory, least=MIN_MEMORY, cluster=connect(cluster))
    given = (names, parameters, force)

    def add(folder: Path) -> Embedded:
        before = Manifest.read(folder)
        asked = ProjectionRequest(seed, resources.beside(before.n_cells), progress, parameters)
        return _add(folder, before, _choose(before, *given), asked)

    if _is_written_elsewhere(dataset):
        place = find_place(dataset, storage_options)
        before = read_remote_manifest(place)
        done = Embedded(place.name, before)
        if _choose(before, *given):  # before anything is fetched
            with revised(os.fspath(dataset), storage_options, progress) as copy:
                done = replace(add(copy), path=place.name)
    else:
        done = add(local_folder(dataset))
    done.seconds["total"], done.peak_bytes = time.perf_counter() - began, peak_memory()
    return done


def _is_written_elsewhere(dataset: str | Path) -> bool:
    """Whether it lies on no disk of this machine, but where files can be replaced."""
    return is_url(dataset) and os.fspath(dataset).partition("://")[0] not in ("hf", "http", "https")


def _add(folder: Path, before: Manifest, chosen: list[Method], asked: ProjectionRequest) -> Embedded:
    """Compute projections of a dataset of this machine."""
    done = Embedded(folder, before)
    if asked.resources.cluster is not None and (own := [method.name for method in chosen if method.name != "pca"]):
        asked.progress.note(f"only pca reads the matrix on the cluster: {', '.join(own)} in threads of this machine")
    if chosen:
        with revise(folder) as draft:
            for method in chosen:
                started = time.perf_counter()
                _replace(method, draft, asked)
                done.seconds[method.name] = time.perf_counter() - started
            done.notes = _stale(draft.manifest, chosen)
            refresh_card(draft)
        done.manifest, done.keys = Manifest.read(folder), [method.key for method in chosen]
    return done


def _choose(
    manifest: Manifest, names: list[str], parameters: Mapping[str, Mapping[str, Any]], force: bool
) -> list[Method]:
    keys = list(manifest.obsm)
    wanted = choose_methods(names or DEFAULTS, keys, parameters)
    if idle := [name for name in parameters if name not in {method.name for method in wanted}]:
        raise TitinError(
            f"parameters are given for {', '.join(idle)}, which is not named", "name it, or leave them out"
        )
    if not names:
        return wanted if force else [method for method in wanted if not method.is_among(keys)]
    there = [method for method in wanted if method.is_among(keys)]
    if there and not force:
        named = ", ".join(method.name for method in there)
        raise OutputError(f"the dataset has {named} already", "give --force to compute it again")
    return wanted


def _replace(method: Method, draft: Draft, asked: ProjectionRequest) -> None:
    """Compute a projection into the draft; drop what of the old one has another name now."""
    manifest, key = draft.manifest, method.key
    old = manifest.obsm.get(key)
    stale = set(manifest.shards(old["file"])) if old else set()
    place = TargetDataset(draft.folder, draft.replace, lambda: open_atlas(draft.folder).uns)
    outcome = project(method, place, manifest, asked)
    if old is not None and "computed" not in old:
        outcome["left_out"][f"obsm/{key}"] = "replaced by one that titin computed"
    record(manifest, outcome)
    for name in stale - set(outcome["files"]):
        draft.remove(name)
    manifest.notes = [note for note in manifest.notes if not note.startswith(f"{key} was not computed")]


def _stale(manifest: Manifest, chosen: list[Method]) -> list[str]:
    """Name the projections that stand on one that has just been replaced."""
    new = {method.key for method in chosen}
    found = []
    for key, entry in manifest.obsm.items():
        on = entry.get("computed", {}).get("parameters", {}).get("on")
        if on in new and key not in new:
            found.append(f"{key} stands on the former {on}; `titin embed … {entry['computed']['method']} --force`")
    return found
