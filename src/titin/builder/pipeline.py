"""From a source to a dataset folder: the steps, in order, each done once even if the build is interrupted."""

import contextlib
import importlib.metadata
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from titin import __version__
from titin.builder import metadata
from titin.builder.job import BuildJob
from titin.builder.matrix import write_cells, write_genes
from titin.builder.options import Options, choose_prefix
from titin.builder.projections import ProjectionRequest, TargetDataset, record, try_project
from titin.builder.scan import Scan, scan
from titin.builder.workspace import Workspace, check_target
from titin.dataset import layout
from titin.dataset.manifest import Manifest, describe_file
from titin.dataset.spill import Spill
from titin.embed.methods import Method, choose_methods
from titin.errors import OutputError, TitinError
from titin.features import Panel, choose_panel, gene_sets
from titin.presets import record_preset
from titin.progress import Progress
from titin.publish.card import make_card
from titin.resources import Resources, is_disk_full, peak_memory
from titin.source import Source, open_source

_LIBRARIES = ("anndata", "h5py", "numba", "numpy", "pandas", "pyarrow", "scipy", "zarr")


@dataclass
class BuildReport:
    """The outcome of a build.

    Attributes
    ----------
    path
        The dataset.
    manifest
        Its manifest.
    seconds
        Of each step, and ``total``; steps that an earlier, interrupted build had finished are not in it.
    peaks
        Largest memory of the process by the end of each of these steps, in bytes.
    peak_bytes
        Largest memory of the process so far.
    resumed
        Whether an interrupted build was gone on with.
    """

    path: Path
    manifest: Manifest
    seconds: dict[str, float] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)
    peak_bytes: int = 0
    resumed: bool = False


def build_dataset(
    source_path: Path,
    target: Path | None,
    options: Options,
    resources: Resources,
    *,
    force: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> BuildReport:
    """Build a dataset folder from a source; see `titin.build`."""
    began = time.perf_counter()
    progress = progress or Progress()
    if target is not None:
        check_target(target, force=force or resume)  # a resumed build may be complete already; see Workspace
    source = open_source(source_path, layer=options.layer, raw=options.raw)
    try:
        roles = options.roles_in(source.obs)
        tissue, method, prefix = choose_prefix(source, roles, options)
        target = target or Path(prefix)
        methods = missing_projections(options, source.obsm)
        fingerprint = _fingerprint(source, options, prefix, methods)
        try:
            workspace = Workspace(target.absolute(), force=force, resume=resume, fingerprint=fingerprint)
        except OSError as error:
            _raise_for_disk(error, target.absolute().parent)
            raise
        job = BuildJob(
            source,
            options,
            resources.beside(source.X.shape[0]),
            progress,
            layout.Layout(prefix),
            roles,
            workspace.out,
            workspace.work,
        )
        run = _BuildRun(job, workspace, tissue, method)
        try:
            manifest = run.everything()
        except OSError as error:
            if is_disk_full(error):
                workspace.remove()
            else:
                workspace.close()
            _raise_for_disk(error, workspace.target.parent)
            raise
        except TitinError:  # the same would happen again, so nothing is kept
            workspace.remove()
            raise
        except BaseException:
            workspace.close()
            raise
    finally:
        source.close()
    run.seconds["total"] = time.perf_counter() - began
    return BuildReport(target, manifest, run.seconds, run.peaks, peak_memory(), workspace.resumed)


def _raise_for_disk(error: OSError, folder: Path) -> None:
    """Say so if a disk is full."""
    if is_disk_full(error):
        raise OutputError(
            f"the disk of {folder} is full; what this build had written is removed again",
            "free some space (`titin build --dry-run` tells how much a build needs), or choose another --output",
        ) from error


def missing_projections(options: Options, present: Iterable[str]) -> list[Method]:
    """Projections that are asked for and not ``present`` (keys of obsm).

    Raises
    ------
    TitinError
        If there is no such projection, or what computes it is not installed.
    """
    keys = list(present)
    return [method for method in choose_methods(options.projections, keys) if not method.is_among(keys)]


def _fingerprint(source: Source, options: Options, prefix: str, methods: list[Method]) -> dict[str, Any]:
    info = source.path.stat()
    donors = options.donors.stat() if options.donors and options.donors.exists() else None
    return {
        "source": [str(source.path.absolute()), info.st_size, info.st_mtime_ns, info.st_ino],
        "settings": {**options.deciding(), "prefix": prefix},
        "donor table": [donors.st_size, donors.st_mtime_ns] if donors else None,
        "titin": __version__,
        "libraries": library_versions() | {k: v for method in methods for k, v in method.versions().items()},
    }


def library_versions() -> dict[str, str]:
    """Versions of what the files' bytes may depend on."""
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}


class _BuildRun:
    """The steps of one build; a finished step's result is kept in the workspace and not computed again."""

    def __init__(self, job: BuildJob, workspace: Workspace, tissue: str, method: str) -> None:
        self.job, self.workspace = job, workspace
        self.tissue, self.method = tissue, method
        self.seconds: dict[str, float] = {}
        self.peaks: dict[str, int] = {}
        self._scan: Scan | None = None

    def _step(self, name: str, work: Callable[[], Any]) -> Any:
        """Do a step unless it is done; its result is JSON-safe."""
        done = self.workspace.result(name)
        if done is not None and all((self.job.out / f).is_file() for f in done.get("files", [])):
            return done
        began = time.perf_counter()
        result = metadata.check_json_safe(work())
        self.job.progress.finish()
        self.workspace.record(name, result)
        self.seconds[name] = time.perf_counter() - began
        self.peaks[name] = peak_memory()
        return self.workspace.result(name)

    def _ahead(self, name: str, work: Callable[[], Any]) -> Callable[[], Any]:
        """Begin the work of a later step on a thread of its own, unless that step is done; return what waits for it."""
        if self.workspace.result(name) is not None:
            return work
        pool = ThreadPoolExecutor(1, thread_name_prefix=f"titin-{name}")
        future = pool.submit(work)
        pool.shutdown(wait=False)
        return future.result

    def everything(self) -> Manifest:
        """Run all steps, put the dataset in its place, and return its manifest."""
        if self.workspace.published:
            self.workspace.remove()
            return Manifest.read(self.workspace.target)
        cells = metadata.make_cell_table(self.job)
        self._step("scan", self._do_scan)
        written = self._step("cells", lambda: self._do_cells(cells))
        checksum = self._ahead("checksum", self._do_checksum)  # beside the one step that leaves a processor idle
        by_gene = self._step("genes", self._do_genes)
        tables = self._step("metadata", lambda: self._do_metadata(cells))
        source_sha256 = self._step("checksum", checksum)["sha256"]
        files = written["files"] + by_gene["files"] + tables["files"]
        manifest = self._manifest(written["panel"], files, tables, cells, source_sha256)
        for method in missing_projections(self.job.options, tables["obsm"]):
            record(manifest, self._step(method.name, partial(self._do_projection, method, manifest)))
        self._step("manifest", lambda: self._do_manifest(manifest))
        self.workspace.publish()
        return Manifest.read(self.workspace.target)

    @property
    def scan(self) -> Scan:
        """Result of the first pass."""
        if self._scan is None:
            self._scan = Scan.load(self.job.work / "scan.npz")
        return self._scan

    def _do_scan(self) -> dict[str, Any]:
        self._scan, spill = scan(self.job)
        self._scan.save(self.job.work / "scan.npz")
        spill.close()
        return {"kind": self._scan.kind}

    def _do_cells(self, cells: metadata.CellTable) -> dict[str, Any]:
        panel = choose_panel_genes(self.job, self.scan)
        tokens = self.scan.tokens[panel.table["position"].to_numpy()].astype(np.int64)
        spill = Spill.reopen(self.job.work / "cells")
        files, by_gene = write_cells(self.job, self.scan, spill, cells.label_table, tokens)
        by_gene.close()
        spill.close()
        names = self.job.panel_names(panel.table["position"].to_numpy(), [layout.CELL_ID, *cells.labels])
        reasons = dict(zip(names, panel.table["reason"], strict=True))
        return {"files": files, "panel": {"genes": reasons, "sets": panel.sets}}

    def _do_genes(self) -> dict[str, Any]:
        with contextlib.suppress(FileNotFoundError):  # gone already if this step was interrupted
            Spill.reopen(self.job.work / "cells").discard()
        spill = Spill.reopen(self.job.work / "genes")
        files = write_genes(self.job, self.scan, spill)
        spill.close()
        return {"files": files}

    def _do_metadata(self, cells: metadata.CellTable) -> dict[str, Any]:
        left_out = dict(self.job.source.left_out)
        files = metadata.write_cell_table(self.job, cells)
        gene_files, var = metadata.write_gene_table(self.job, self.scan)
        projections, obsm = metadata.write_projections(self.job, left_out)
        documents = metadata.write_documents(self.job, self.scan, left_out)
        return {"files": files + gene_files + projections + documents, "var": var, "obsm": obsm, "left_out": left_out}

    def _do_checksum(self) -> dict[str, Any]:
        return {"sha256": self.job.source.sha256()}

    def _do_projection(self, method: Method, manifest: Manifest) -> dict[str, Any]:
        job, out = self.job, self.job.out
        place = TargetDataset(out, out.joinpath, lambda: job.source.uns)
        return try_project(method, place, manifest, ProjectionRequest(job.options.seed, job.resources, job.progress))

    def _manifest(
        self, panel: dict[str, Any], files: list[str], tables: dict[str, Any], cells: metadata.CellTable, sha256: str
    ) -> Manifest:
        source, scanned = self.job.source, self.scan
        witness = source.counts.name if source.counts is not None and scanned.kind == "log1p" else None
        return Manifest(
            prefix=self.job.layout.prefix, tissue=self.tissue, method=self.method, kind=scanned.kind,
            n_cells=source.X.shape[0], n_genes=source.X.shape[1], nnz=scanned.nnz,
            source={
                "name": source.path.name, "format": source.format, "sha256": sha256, "matrix": source.X.name,
                "dtype": str(source.X.dtype), "storage": source.X.storage,
            },
            settings=self.job.options.deciding(),
            recovery={
                "witness": witness, "worst_ulp": round(scanned.worst_ulp, 3), "target_sum": scanned.target_sum,
                "target_of": scanned.target_of or None,
                "refused": scanned.refused,
            },
            roles={role: _jsonable(column) for role, column in self.job.roles.items()},
            obs={"columns": cells.records, "labels": cells.labels}, var={"columns": tables["var"]}, obsm=tables["obsm"],
            panel=panel, left_out=tables["left_out"], notes=_notes(scanned) + cells.notes,
            libraries={"titin": __version__, **library_versions()}, preset=record_preset(self.job.options.preset),
            files={name: {} for name in sorted(files)},
        )  # fmt: skip

    def _do_manifest(self, manifest: Manifest) -> dict[str, Any]:
        out = self.job.out
        manifest.files = {name: describe_file(out / name) for name in sorted(manifest.files)}
        (out / layout.CARD).write_text(make_card(out, manifest), "utf-8")
        manifest.files[layout.CARD] = describe_file(out / layout.CARD)
        manifest.write(out)
        return {"files": [layout.MANIFEST], "sha256": describe_file(out / layout.MANIFEST)["sha256"]}


def choose_panel_genes(job: BuildJob, scanned: Scan) -> Panel:
    """Genes of the wide view; see `titin.features.choose_panel`."""
    n_cells = job.source.X.shape[0]
    mean, variance = metadata.moments(scanned.totals[:, 4], scanned.totals[:, 5], n_cells)
    mean = np.maximum(mean, 0.0)  # of scaled values: no dispersion, so never chosen as highly variable
    sets = gene_sets(job.options.preset)
    return choose_panel(job.symbols(), mean, variance, scanned.n_cells_by_gene, size=layout.PANEL_GENES, sets=sets)


def _notes(scanned: Scan) -> list[str]:
    notes = []
    if scanned.kind == "real":
        tried = "; ".join(f"as {kind}: {', '.join(cells)}" for kind, cells in scanned.refused.items())
        notes.append(
            f"no integer counts lie behind the values; they are stored as they are (first cells refused {tried})"
        )
    if scanned.n_zeros:
        notes.append(f"{scanned.n_zeros:,} explicitly stored zeros were dropped")
    if scanned.n_unsorted:
        notes.append(f"{scanned.n_unsorted:,} cells had their genes in no ascending order; they were sorted")
    if scanned.n_empty:
        notes.append(f"{scanned.n_empty:,} cells express no gene")
    if unexpressed := int((scanned.totals[:, 0] == 0).sum()):
        notes.append(f"{unexpressed:,} genes are expressed in no cell")
    return notes


def _jsonable(column: Any) -> Any:
    if isinstance(column, list):
        return [_jsonable(c) for c in column]
    return column if column is None or isinstance(column, str | int | float | bool) else str(column)
