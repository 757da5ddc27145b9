"""The way back: a dataset as .h5ad, .zarr, 10x Matrix Market or one wide table, cells and genes in source order."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from titin.cluster import connect
from titin.dataset.manifest import Manifest
from titin.dataset.sight import check_sight
from titin.dataset.store import Store
from titin.dataset.swap import put, scratch
from titin.errors import OutputError, TitinError
from titin.exporter.anndata_file import write_h5ad, write_zarr
from titin.exporter.cellxgene_file import write_cellxgene
from titin.exporter.job import ExportJob
from titin.exporter.mudata_file import write_h5mu
from titin.exporter.tables import TEXT_SUFFIXES, text_suffix, write_mtx, write_wide
from titin.files import local_path
from titin.progress import Progress
from titin.resources import MIN_MEMORY, make_resources

FORMATS: dict[str, tuple[str, Callable[[ExportJob, Path], None]]] = {
    "h5ad": (".h5ad", write_h5ad),
    "zarr": (".zarr", write_zarr),
    "h5mu": (".h5mu", write_h5mu),
    "cellxgene": ("_cellxgene.h5ad", write_cellxgene),
    "mtx": ("_mtx", write_mtx),
    "wide": ("_wide.parquet", write_wide),
}


_FORMAT_OF = {
    ".h5ad": "h5ad",
    ".zarr": "zarr",
    ".h5mu": "h5mu",
    ".mtx": "mtx",
    **dict.fromkeys((".parquet", *TEXT_SUFFIXES), "wide"),
}
_OTHERS = (".h5", ".hdf5", ".loom", ".rds", ".xls", ".xlsx", ".ods", ".txt", ".feather", ".arrow", ".json",
           ".npy", ".npz", ".mat", ".pkl", ".rdata", ".html", ".gz", ".zip", ".bz2", ".xz", ".zst")  # fmt: skip
_MARKS = (".zgroup", "zarr.json", "matrix.mtx.gz")  # one of them is in every folder that may be replaced


def export(
    dataset: str | Path,
    to: str,
    output: str | Path | None = None,
    *,
    counts: bool | None = None,
    genes: Sequence[str] | None = None,
    compression: str | None = None,
    terms: str | Path | None = None,
    force: bool = False,
    threads: int | None = None,
    memory: int | str | None = None,
    progress: Progress | None = None,
    cluster: Any = None,
) -> Path:
    """Write a dataset in another format, cells and genes in the order of its source.

    Parameters
    ----------
    dataset
        A dataset folder, or a URL as for `titin.open`.
    to
        ``h5ad``, ``zarr`` (AnnData, equal to the source), ``h5mu`` (MuData, with the other modalities), ``cellxgene``
        (AnnData of the CELLxGENE schema), ``mtx`` (a folder as 10x Genomics writes it) or ``wide`` (one file, a float
        column a gene: Parquet, or text where ``output`` ends in .csv or .tsv, or in .csv.gz or .tsv.gz).
    output
        File or folder to write; named after the dataset in the working directory where not given. A suffix that is
        that of another format is refused.
    counts
        Write the integer counts instead of the source's values. Default: only for ``mtx``, where there are any.
    genes
        For ``wide``: the columns, by symbol or id.
    compression
        For ``h5ad``, ``h5mu`` and ``cellxgene``: None, ``"gzip"`` or ``"lzf"``.
    terms
        For ``cellxgene``: the file of terms. If there is none, a proposal is written there and nothing is exported.
    force
        Replace what is there.
    threads, memory
        As for `titin.build`.
    progress
        Told what is going on.
    cluster
        Whose workers read the dataset instead of threads, as for `titin.open`; what they read is written here.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    TitinError
        With what is wrong, where, and what to do. Nothing is then written at ``output``.
    """
    if to not in FORMATS:
        raise TitinError(f"there is no export to {to!r}", f"formats: {', '.join(FORMATS)}")
    store = Store(dataset)
    manifest = store.manifest
    _check_choice(manifest, to, counts, genes, compression)
    if terms is not None and to != "cellxgene":
        raise TitinError(f"--terms belongs to --format cellxgene, not to {to}: {terms}", "leave it out")
    suffix, write = FORMATS[to]
    target = local_path(output) if output else Path(f"{manifest.prefix}{suffix}")
    _check_suffix(target, to)
    if (target.exists() or target.is_symlink()) and not force:
        raise OutputError(f"{target} exists already", "give --force to replace it, or another --output")
    if target.is_dir() and any(target.iterdir()) and not any((target / mark).exists() for mark in _MARKS):
        raise OutputError(
            f"{target} holds files that are not an earlier export; it will not be touched", "choose another --output"
        )
    chosen_counts = to == "mtx" and manifest.value_kind.has_counts if counts is None else counts
    resources = make_resources(threads, memory, least=MIN_MEMORY, cluster=connect(cluster))
    if resources.cluster is not None:
        check_sight(store, resources.cluster)
    with scratch(target) as place:
        job = ExportJob(store, place, resources, progress or Progress(), chosen_counts, genes, compression,
                        Path(terms) if terms is not None else None)  # fmt: skip
        write(job, place / target.name)
        job.progress.finish()
        put(place / target.name, target)
    return target


def _check_choice(
    manifest: Manifest, to: str, counts: bool | None, genes: Sequence[str] | None, compression: str | None
) -> None:
    if genes is not None and to != "wide":
        raise TitinError(f"--genes belongs to --format wide, not to {to}", "export whole, or use --format wide")
    if compression is not None and to not in ("h5ad", "h5mu", "cellxgene"):
        raise TitinError(f"--compression belongs to --format h5ad, h5mu and cellxgene, not to {to}", "leave it out")
    if counts is not None and to == "cellxgene":
        raise TitinError("--counts and --values do not belong to --format cellxgene, which holds both", "leave it out")
    if counts:
        manifest.need_counts("leave out --counts")


def _check_suffix(target: Path, to: str) -> None:
    own = text_suffix(target.name) or target.suffix.lower()
    as_file = "h5ad" if to == "cellxgene" else to
    meant = _FORMAT_OF.get(own, as_file)
    if meant != as_file:
        raise TitinError(f"{target} is a name for format {meant}, not for {to}", f"give --format {meant}")
    if own in _OTHERS:
        known = [suffix for suffix, name in _FORMAT_OF.items() if name == as_file]
        raise TitinError(f"format {to} is not written as {own}", f"let the name end in {' or '.join(known)}")
