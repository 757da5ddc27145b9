"""From a source to a dataset folder: the steps, in order, each done once even if the build is interrupted."""

import importlib.metadata
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from titin import __version__
from titin.builder import metadata
from titin.builder.by_gene import write_genes
from titin.builder.cell_table import CellTable, make_cell_table, write_cell_table
from titin.builder.further_matrices import write_further_matrix
from titin.builder.job import CELLS, GENES, SCAN, BuildJob
from titin.builder.kept_arrays import write_arrays
from titin.builder.matrix import write_cells
from titin.builder.notes import describe_recovery, left_out, notes
from titin.builder.opening import keep_numbers, let_go_of_cells, open_chosen
from titin.builder.options import Options, choose_prefix
from titin.builder.projections import ProjectionRequest, TargetDataset, record, try_project
from titin.builder.scan import Scan, scan
from titin.builder.sight import check_sight
from titin.builder.workspace import Workspace, check_target, discard
from titin.dataset import layout
from titin.dataset.manifest import Manifest, describe_file
from titin.dataset.remote_target import RemoteTarget, UploadError
from titin.dataset.sorted_rows import sort_rows
from titin.dataset.spill import Spill
from titin.disk import DiskError, disk_error, raise_for_disk
from titin.embed.methods import Method, choose_methods
from titin.errors import OutputError, SourceError, TitinError
from titin.features import Panel, choose_panel, gene_sets
from titin.heap import give_back
from titin.presets import record_preset
from titin.progress import Progress
from titin.publish.card import make_card
from titin.resources import Resources, peak_memory
from titin.shelf import Shelf, let_go_of_pages
from titin.source import Source
from titin.study.roles import RoleChoice, columns_of, record_roles

_PLANNING = "`titin build --dry-run` tells how much a build needs"
_LIBRARIES = ("anndata", "h5py", "numba", "numpy", "pandas", "pyarrow", "scipy", "zarr")


@dataclass
class BuildReport:
    """The outcome of a build.

    Attributes
    ----------
    path
        The dataset: its folder, or the URL that it was sent to.
    manifest
        Its manifest.
    seconds
        Of each step, and ``total``; steps that an earlier, interrupted build had finished are not in it.
    cpu_seconds
        Processor seconds of each of these steps; what runs beside a step counts for it.
    peaks
        Largest memory of the process by the end of each of these steps, in bytes.
    peak_bytes
        Largest memory of the process so far.
    resumed
        Whether an interrupted build was gone on with.
    """

    path: Path | str
    manifest: Manifest
    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)
    peak_bytes: int = 0
    resumed: bool = False


@dataclass(frozen=True)
class Elsewhere:
    """A place that is not on this machine, to which a dataset is sent when it is whole.

    Attributes
    ----------
    place
        Where.
    staging
        Beside which it is built; nothing comes to lie there.
    """

    place: RemoteTarget
    staging: Path


def build_dataset(
    source_path: Path,
    target: Path | None,
    options: Options,
    resources: Resources,
    *,
    force: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
    elsewhere: Elsewhere | None = None,
) -> BuildReport:
    """Build a dataset folder from a file; see `titin.build`."""
    began = time.perf_counter()
    if target is not None:
        check_target(target, force=force or resume)  # a resumed build may be complete already; see Workspace
    shelf = Shelf(Path() if target is None else target.parent)
    try:
        source, choices = open_chosen(source_path, options, resources.memory, shelf)
    except DiskError:
        if target is not None:  # a full disk needs the room
            discard(target.absolute())
        raise
    report = build_from(
        source, choices, target, options, resources, force=force, resume=resume, progress=progress,
        elsewhere=elsewhere, shelf=shelf,
    )  # fmt: skip
    report.seconds["total"] = time.perf_counter() - began
    return report


def build_from(
    source: Source,
    choices: Mapping[str, RoleChoice],
    target: Path | None,
    options: Options,
    resources: Resources,
    *,
    force: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
    elsewhere: Elsewhere | None = None,
    shelf: Shelf | None = None,
) -> BuildReport:
    """Build a dataset folder from an opened source, which is closed; the columns of its roles are chosen.

    One that goes ``elsewhere`` is built beside its staging place, and sent. What grows with the cells is put on the
    ``shelf``, which lies beside the dataset where it is not given.

    Raises
    ------
    TitinError
        As `titin.build`.
    """
    began = time.perf_counter()
    progress = progress or Progress()
    roles = columns_of(choices)
    try:
        tissue, method, prefix = choose_prefix(source, roles, options)
        target = target or Path(prefix)
        methods = missing_projections(options, source.obsm)
        fingerprint = _fingerprint(source, options, prefix, methods)
        try:
            workspace = Workspace(target.absolute(), force=force, resume=resume, fingerprint=fingerprint)
        except OSError as error:
            raise_for_disk(error, target.absolute().parent)
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
            choices,
            shelf or Shelf(target.absolute().parent),
        )
        if workspace.lost:
            steps = ", ".join(workspace.lost)
            progress.note(f"files of the interrupted build are damaged or missing: done again are {steps}")
        run = _BuildRun(job, workspace, tissue, method, elsewhere)
        try:
            if resources.cluster is not None and not workspace.published:
                check_sight(resources.cluster, source, workspace)
            manifest = _explained(source, run.everything)
        except OSError as error:
            full = disk_error(error, workspace.target.parent)
            if full is None:
                workspace.close()
                raise
            workspace.remove()
            raise OutputError(str(full.args[0]), f"{full.hint}; {_PLANNING}") from error
        except UploadError:  # the dataset is whole, and need not be made again
            workspace.close()
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
    written = target if elsewhere is None else elsewhere.place.name
    return BuildReport(written, manifest, run.seconds, run.cpu, run.peaks, peak_memory(), workspace.resumed)


def _explained(source: Source, work: Callable[[], Manifest]) -> Manifest:
    """Do the work; where it fails over the source, say so if that has changed meanwhile, which explains it better."""
    try:
        return work()
    except SourceError:
        source.check_unchanged()
        raise


def missing_projections(options: Options, present: Iterable[str]) -> list[Method]:
    """Projections that are asked for and not ``present`` (keys of obsm).

    Raises
    ------
    TitinError
        If there is no such projection, or what computes it is not installed.
    """
    keys = list(present)
    return [method for method in choose_methods(options.projections, keys) if not method.is_among(keys)]


_STEPS = 4  # to be raised where what a finished step leaves for the next ones takes another form


def _fingerprint(source: Source, options: Options, prefix: str, methods: list[Method]) -> dict[str, Any]:
    donors = options.donors.stat() if options.donors and options.donors.exists() else None
    return {
        "source": [str(source.path.absolute()), source.inventory.fingerprint()],
        "settings": {**options.deciding(), "prefix": prefix},
        "donor table": [donors.st_size, donors.st_mtime_ns, donors.st_ctime_ns] if donors else None,
        "titin": f"{__version__}, steps of form {_STEPS}",
        "libraries": library_versions() | {k: v for method in methods for k, v in method.versions().items()},
    }


def library_versions() -> dict[str, str]:
    """Versions of what the files' bytes may depend on."""
    return {name: _version(name) for name in _LIBRARIES}


@cache  # which is a file to be found and read, and stays what it was when the library was imported
def _version(library: str) -> str:
    return importlib.metadata.version(library)


class _BuildRun:
    """The steps of one build; a finished step's result is kept in the workspace and not computed again."""

    def __init__(
        self, job: BuildJob, workspace: Workspace, tissue: str, method: str, elsewhere: Elsewhere | None = None
    ) -> None:
        self.job, self.workspace, self.elsewhere = job, workspace, elsewhere
        self.tissue, self.method = tissue, method
        self.seconds: dict[str, float] = {}
        self.cpu: dict[str, float] = {}
        self.peaks: dict[str, int] = {}
        self._scan: Scan | None = None

    def _step(self, name: str, work: Callable[[], Any], works: Iterable[str] = (SCAN,)) -> Any:
        """Do a step unless it is done; its result is JSON-safe. Of ``work``, later steps need the files ``works``."""
        done = self.workspace.result(name)
        if done is not None:
            return done
        began, spent = time.perf_counter(), time.process_time()
        result = metadata.check_json_safe(work())
        self.job.progress.finish()
        let_go_of_pages()
        give_back()
        self.workspace.record(name, result, result.get("files", []), works)
        self.seconds[name] = time.perf_counter() - began
        self.cpu[name] = time.process_time() - spent
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
        manifest = self._everything_of_the_source()
        let_go_of_cells(self.job.source)  # from here on the dataset is read, which has it
        for method in missing_projections(self.job.options, manifest.obsm):
            record(manifest, self._step(method.name, partial(self._do_projection, method, manifest)))
        self._step("manifest", lambda: self._do_manifest(manifest))
        if self.elsewhere is not None:
            return self._send(self.elsewhere)
        self.workspace.publish()
        return Manifest.read(self.workspace.target)

    def _send(self, elsewhere: Elsewhere) -> Manifest:
        """Send the whole dataset to where it is to lie."""
        began = time.perf_counter()
        manifest = Manifest.read(self.workspace.out)
        elsewhere.place.send(self.workspace.out, self.job.progress)
        self.workspace.remove()
        self.seconds["sending"] = time.perf_counter() - began
        return manifest

    def _everything_of_the_source(self) -> Manifest:
        """All steps that read the source; what they found, but for the sizes of the files."""
        cells = make_cell_table(self.job.cells, self.job.source_rows, self.job.shelf)
        keep_numbers(self.job.source, cells)
        self._step("scan", self._do_scan, [SCAN, *Spill.files(CELLS)])
        written = self._step("cells", lambda: self._do_cells(cells), [SCAN, *Spill.files(GENES)])
        checksum = self._ahead("checksum", self._do_checksum)  # beside the one step that leaves a processor idle
        by_gene = self._step("genes", self._do_genes)
        further = {place: self._step(place, partial(self._do_further, place, cells)) for place in self.job.source.parts}
        tables = self._step("metadata", lambda: self._do_metadata(cells))
        source_sha256 = self._step("checksum", checksum)["sha256"]
        self.job.source.check_unchanged()  # all of it has been read
        files = written["files"] + by_gene["files"] + tables["files"]
        manifest = self._manifest(written["panel"], files, tables, cells, source_sha256)
        for place, found in further.items():
            manifest.parts[place] = found["entry"]
            manifest.notes += found["notes"]
            manifest.files |= {name: {} for name in found["files"]}
        manifest.files = dict(sorted(manifest.files.items()))
        return manifest

    @property
    def scan(self) -> Scan:
        """Result of the first pass."""
        if self._scan is None:
            self._scan = Scan.load(self.job.work / SCAN)
        return self._scan

    def _do_scan(self) -> dict[str, Any]:
        self._scan, spill = scan(self.job)
        self._scan.save(self.job.work / SCAN)
        spill.close()
        return {"kind": self._scan.kind}

    def _do_cells(self, cells: CellTable) -> dict[str, Any]:
        panel = choose_panel_genes(self.job, self.scan)
        tokens = self.scan.tokens[panel.table["position"].to_numpy()].astype(np.int64)
        spill = Spill.reopen(self.job.work / CELLS)
        labels = sort_rows(cells.label_table, self.job.shelf)
        files, by_gene = write_cells(self.job, self.scan, spill, labels, tokens)
        by_gene.close()
        spill.close()
        names = self.job.panel_names(panel.table["position"].to_numpy(), [layout.CELL_ID, *cells.labels])
        reasons = dict(zip(names, panel.table["reason"], strict=True))
        return {"files": files, "panel": {"genes": reasons, "sets": panel.sets}}

    def _do_genes(self) -> dict[str, Any]:
        spill = Spill.reopen(self.job.work / GENES)
        files = write_genes(self.job, self.scan, spill)
        spill.close()
        return {"files": files}

    def _do_further(self, place: str, cells: CellTable) -> dict[str, Any]:
        return write_further_matrix(self.job, place, self.scan.totals[:, 0], cells.label_table)

    def _do_metadata(self, cells: CellTable) -> dict[str, Any]:
        lost = left_out(self.scan, self.job.source)
        files = write_cell_table(self.job.out, self.job.layout, cells)
        gene_files, var = metadata.write_gene_table(self.job, self.scan)
        projections, obsm = metadata.write_projections(self.job, lost)
        beside, arrays = write_arrays(self.job, self.scan.source_columns, lost)
        documents = metadata.write_documents(self.job, self.scan, cells.described, lost)
        files += gene_files + projections + beside + documents
        return {"files": files, "var": var, "obsm": obsm, "arrays": arrays, "left_out": lost}

    def _do_checksum(self) -> dict[str, Any]:
        return {"sha256": self.job.source.sha256()}

    def _do_projection(self, method: Method, manifest: Manifest) -> dict[str, Any]:
        job, out = self.job, self.job.out
        place = TargetDataset(out, out.joinpath, lambda: job.source.uns)
        here = replace(job.resources, cluster=None)  # a lost cluster would be noted as a projection that failed
        return try_project(method, place, manifest, ProjectionRequest(job.options.seed, here, job.progress))

    def _manifest(
        self, panel: dict[str, Any], files: list[str], tables: dict[str, Any], cells: CellTable, sha256: str
    ) -> Manifest:
        source, scanned = self.job.source, self.scan
        roles, roles_found = record_roles(self.job.choices)
        return Manifest(
            prefix=self.job.layout.prefix, tissue=self.tissue, method=self.method, kind=scanned.kind,
            n_cells=source.X.shape[0], n_genes=source.X.shape[1], nnz=scanned.nnz,
            source={
                "name": source.path.name, "format": source.format, "sha256": sha256, "matrix": source.X.name,
                "dtype": str(source.X.dtype), "storage": source.X.storage,
                **({"made_of": source.made_of} if source.made_of else {}),
            },
            settings=self.job.options.deciding(),
            recovery=describe_recovery(scanned, source.counts),
            roles=roles, roles_found=roles_found,
            obs=cells.document,
            obsm=tables["obsm"], arrays=tables["arrays"],
            var=metadata.describe_var(source, tables["var"]),
            panel=panel, left_out=tables["left_out"],
            notes=source.notes + notes(scanned, source.counts) + cells.notes,
            libraries={"titin": __version__, **library_versions()}, preset=record_preset(self.job.options.preset),
            studies=source.studies,
            files={name: {} for name in sorted(files)},
        )  # fmt: skip

    def _do_manifest(self, manifest: Manifest) -> dict[str, Any]:
        out = self.job.out
        manifest.files = {name: describe_file(out / name) for name in sorted(manifest.files)}
        (out / layout.CARD).write_text(make_card(out, manifest, shelf=self.job.shelf), "utf-8")
        manifest.files[layout.CARD] = describe_file(out / layout.CARD)
        manifest.write(out)
        return {"files": [layout.CARD, layout.MANIFEST]}


def choose_panel_genes(job: BuildJob, scanned: Scan) -> Panel:
    """Genes of the wide view, of those that all studies measured; see `titin.features.choose_panel`."""
    n_cells = job.source.X.shape[0]
    mean, variance = metadata.moments(scanned.totals[:, 4], scanned.totals[:, 5], n_cells)
    mean = np.maximum(mean, 0.0)  # of scaled values: no dispersion, so never chosen as highly variable
    sets = gene_sets(job.options.preset)
    measured = [entry["measured"] for entry in job.source.studies.values() if entry.get("measured")]
    kept = np.flatnonzero(job.source.var[measured].all(axis=1).to_numpy(bool))
    panel = choose_panel(job.symbols()[kept], mean[kept], variance[kept], scanned.n_cells_by_gene[kept],
                         size=layout.PANEL_GENES, sets=sets)  # fmt: skip
    return replace(panel, table=panel.table.assign(position=kept[panel.table["position"].to_numpy()]))
