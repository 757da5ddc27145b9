"""The way back: a dataset as .h5ad, .zarr, 10x Matrix Market or one wide table, cells and genes in source order."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from titin.dataset.manifest import Manifest
from titin.dataset.store import Store
from titin.errors import OutputError, TitinError
from titin.exporter.anndata_file import write_h5ad, write_zarr
from titin.exporter.job import ExportJob
from titin.exporter.tables import write_mtx, write_wide
from titin.progress import Progress
from titin.resources import MIN_MEMORY, is_disk_full, make_resources

FORMATS: dict[str, tuple[str, Callable[[ExportJob, Path], None]]] = {
    "h5ad": (".h5ad", write_h5ad),
    "zarr": (".zarr", write_zarr),
    "mtx": ("_mtx", write_mtx),
    "wide": ("_wide.parquet", write_wide),
}


_MARKS = (".zgroup", "zarr.json", "matrix.mtx.gz")  # one of them is in every folder that may be replaced


def export(
    dataset: str | Path,
    to: str,
    output: str | Path | None = None,
    *,
    counts: bool | None = None,
    genes: Sequence[str] | None = None,
    compression: str | None = None,
    force: bool = False,
    threads: int | None = None,
    memory: int | str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a dataset in another format, cells and genes in the order of its source.

    Parameters
    ----------
    dataset
        A dataset folder, or a URL as for `titin.open`.
    to
        ``h5ad``, ``zarr`` (AnnData, equal to the source), ``mtx`` (a folder as 10x Genomics writes it) or ``wide``
        (one Parquet file, a float column a gene).
    output
        File or folder to write; named after the dataset in the working directory where not given.
    counts
        Write the integer counts instead of the source's values. Default: only for ``mtx``, where there are any.
    genes
        For ``wide``: the columns, by symbol or id.
    compression
        For ``h5ad``: None, ``"gzip"`` or ``"lzf"``.
    force
        Replace what is there.
    threads, memory
        As for `titin.build`.
    progress
        Told what is going on.

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
    suffix, write = FORMATS[to]
    target = Path(output) if output else Path(f"{manifest.prefix}{suffix}")
    if (target.exists() or target.is_symlink()) and not force:
        raise OutputError(f"{target} exists already", "give --force to replace it, or another --output")
    if target.is_dir() and any(target.iterdir()) and not any((target / mark).exists() for mark in _MARKS):
        raise OutputError(
            f"{target} holds files that are not an earlier export; it will not be touched", "choose another --output"
        )
    chosen_counts = to == "mtx" and manifest.kind != "real" if counts is None else counts
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise OutputError(f"cannot write in {target.parent}: {error.strerror}", "choose another --output") from error
    try:
        resources = make_resources(threads, memory, least=MIN_MEMORY)
        job = ExportJob(store, scratch, resources, progress or Progress(), chosen_counts, genes, compression)
        whole = scratch / target.name
        write(job, whole)
        job.progress.finish()
        _replace(whole, target)
    except OSError as error:
        if is_disk_full(error):
            raise OutputError(
                f"the disk of {target.parent.absolute()} is full; what was written is removed again",
                "free some space, or choose another --output",
            ) from error
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _check_choice(
    manifest: Manifest, to: str, counts: bool | None, genes: Sequence[str] | None, compression: str | None
) -> None:
    if genes is not None and to != "wide":
        raise TitinError(f"--genes belongs to --format wide, not to {to}", "export whole, or use --format wide")
    if compression is not None and to != "h5ad":
        raise TitinError(f"--compression belongs to --format h5ad, not to {to}", "leave it out")
    if counts and manifest.kind == "real":
        raise TitinError("this dataset has no counts: no integers lie behind its source's values", "leave out --counts")


def _replace(new: Path, target: Path) -> None:
    if (new.is_dir() and target.exists()) or (target.is_dir() and not target.is_symlink()):
        aside = new.with_name("replaced")
        target.rename(aside)
        try:
            new.rename(target)
        except BaseException:
            aside.rename(target)
            raise
    else:
        new.replace(target)
