"""Building a dataset, and planning a build."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from titin.builder.dry_run import plan_build
from titin.builder.options import make_options
from titin.builder.pipeline import BuildReport, Elsewhere, build_dataset
from titin.cluster import connect
from titin.errors import OutputError
from titin.files import is_url, local_folder, local_path
from titin.load.cache import cache_home
from titin.presets import Preset
from titin.progress import Progress
from titin.resources import MIN_MEMORY, make_resources
from titin.storage import given_storage_options


def build(
    source: str | Path,
    output: str | Path | None = None,
    *,
    preset: Preset | str | Path | None = None,
    force: bool = False,
    resume: bool = False,
    threads: int | None = None,
    memory: int | str | None = None,
    cluster: Any = None,
    progress: Progress | None = None,
    donors: str | Path | None = None,
    roles: dict[str, Any] | None = None,
    project: Sequence[str] | None = None,
    storage_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> BuildReport:
    """Turn an atlas into a dataset folder.

    Parameters
    ----------
    source
        ``.h5ad``, AnnData ``.zarr``, MuData ``.h5mu`` or 10x Genomics ``.h5``.
    output
        Folder to write; ``{tissue}_{method}`` in the working directory where not given. Or a URL of a kind that fsspec
        writes, such as ``s3://bucket/name``: the dataset is then built in the folder of caches (``TITIN_CACHE``) and
        sent, its manifest last.
    preset
        What is known of the atlas beforehand: a name of `titin.presets.preset_names`, a TOML file, or a `Preset`.
    force
        Replace a dataset that is there.
    resume
        Go on from an interrupted build.
    threads
        All processors where not given. The files do not depend on it.
    memory
        Bytes, or text such as ``"1GiB"`` (the default). The files do not depend on it.
    cluster
        Workers that encode the matrices, as for `titin.open`; the files do not depend on it. They have to find source
        and output by the same paths.
    progress
        Told what is going on.
    donors
        CSV, TSV or Parquet table of donors and their ages, in years or the unit that the column's name states.
    roles
        Column of obs by role; see `titin.builder.Options`.
    project
        Projections to compute where the source lacks them: of ``pca``, ``umap`` and ``tsne``, which is the default;
        ``()`` for none. One that cannot be computed, of too few cells for example, becomes a note of the manifest.
    storage_options
        Of a URL, as for `titin.open`.
    **options
        Further fields of `titin.builder.Options`: ``make_unique`` for names that repeat; ``obs``, ``no_obs``, ``obsm``
        and ``no_obsm`` for what is kept of the source's columns and embeddings; ``follow_links`` for a source that
        draws on other files; and others.

    Returns
    -------
    BuildReport
        The dataset's path or URL, and manifest; time and memory taken.

    Raises
    ------
    TitinError
        With what is wrong, where, and what to do. There is then no dataset at ``output`` that was not there before.
    """
    chosen = make_options(preset, roles, donors=local_path(donors) if donors else None, project=project, **options)
    resources = make_resources(threads, memory, least=MIN_MEMORY, cluster=connect(cluster))
    elsewhere = _elsewhere(output, storage_options, force=force, resume=resume)
    target = elsewhere.staging if elsewhere is not None else local_folder(output) if output else None
    place = local_path(source)
    try:
        return build_dataset(
            place, target, chosen, resources, force=force, resume=resume, progress=progress, elsewhere=elsewhere
        )
    except OutputError as error:
        if elsewhere is None or "another --output" not in (error.hint or "") or "--resume" in (error.hint or ""):
            raise
        hint = "what goes to a URL is built in the folder that TITIN_CACHE names: name one that can be written"
        raise OutputError(error.args[0], hint) from error


def _elsewhere(
    output: str | Path | None, storage_options: Mapping[str, Any] | None, *, force: bool, resume: bool
) -> Elsewhere | None:
    """Where the dataset goes, if that is not on this machine and may be written."""
    if output is None or not is_url(output):
        return None
    from titin.dataset.remote_target import RemoteTarget

    remote = RemoteTarget(os.fspath(output), given_storage_options() | dict(storage_options or {}))
    remote.check(force=force, resume=resume)
    name = hashlib.sha256(remote.name.encode()).hexdigest()[:8]
    return Elsewhere(remote, cache_home() / f"{remote.last_name}-{name}")


def plan(
    source: str | Path,
    output: str | Path | None = None,
    *,
    preset: Preset | str | Path | None = None,
    force: bool = False,
    threads: int | None = None,
    memory: int | str | None = None,
    donors: str | Path | None = None,
    roles: dict[str, Any] | None = None,
    storage_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Say what `build` would write, how large, and which columns it found; see `titin.builder.dry_run`."""
    chosen = make_options(preset, roles, donors=local_path(donors) if donors else None, **options)
    elsewhere = _elsewhere(output, storage_options, force=force, resume=False)
    target = elsewhere.staging if elsewhere is not None else local_folder(output) if output else None
    resources = make_resources(threads, memory, least=MIN_MEMORY)
    return plan_build(local_path(source), target, chosen, resources, force=force)
