"""Run checks over a dataset."""

import importlib
import inspect
import os
import tempfile
import time
import traceback
import weakref
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from titin.check.dataset import CheckedDataset
from titin.check.findings import Finding, Outcome
from titin.check.registry import CHECKS, Check, Level
from titin.check.report import CheckResult, ValidationReport
from titin.cluster import connect
from titin.dataset.checksums import sha256
from titin.dataset.layout import MANIFEST
from titin.dataset.manifest import Manifest
from titin.dataset.transfer import fetched
from titin.errors import TitinError
from titin.files import is_url, local_folder, local_path
from titin.heap import give_back
from titin.masking import mask
from titin.progress import Progress
from titin.resources import current_memory, make_resources, peak_memory
from titin.shelf import Shelf
from titin.source import OPTIONS, Source, open_source

_MODULES = (
    "integrity", "tables", "documents", "label_check", "ageing", "regulators", "matrix", "source", "arrays", "metadata",
    "ages", "markers", "biology", "donor_swaps", "design", "viewer_rules", "viewer_features",
)  # fmt: skip
# of names, in this order
SUBJECTS = ("integrity", "matrix", "derived", "source", "metadata", "markers", "biology", "design", "viewer")
LEVELS: tuple[Level, ...] = ("quick", "full")


def load_checks() -> dict[str, Check]:
    """Import everything that registers checks; return them in order."""
    for module in _MODULES:
        importlib.import_module(f"titin.check.{module}")
    return dict(sorted(CHECKS.items(), key=lambda item: _place(item[1])))


def _place(check: Check) -> tuple[int, int, int]:
    """By subject, module and line, whichever module somebody imported first; those of others last."""
    subject, module = check.name.partition(".")[0], check.function.__module__.rpartition(".")[2]
    line = inspect.unwrap(check.function).__code__.co_firstlineno
    return _index(SUBJECTS, subject), _index(_MODULES, module), line


def _index(names: tuple[str, ...], name: str) -> int:
    return names.index(name) if name in names else len(names)


def validate(
    dataset: str | os.PathLike[str],
    *,
    source: str | os.PathLike[str] | Source | None = None,
    level: Level = "full",
    checks: Iterable[str] | None = None,
    threads: int | None = None,
    memory: int | str | None = None,
    progress: Progress | None = None,
    follow_links: bool = False,
    storage_options: Mapping[str, Any] | None = None,
    cluster: Any = None,
) -> ValidationReport:
    """Check a dataset, and compare it with its source if that is given.

    Parameters
    ----------
    dataset
        The folder that `titin.build` wrote, or a URL as `titin.open` takes it: a copy is then fetched, and kept among
        the temporary files as long as there is the report.
    source
        The atlas that it was built from, to compare everything with, bit for bit.
    level
        ``full`` reads every value. ``quick`` reads checksums, footers, and the tables of cells and genes, but no value
        of the matrix: what cannot be seen in bytes is then not seen.
    checks
        Names (``matrix.transpose``), or beginnings of names (``matrix``), of the checks to run; all where not given.
    threads, memory
        As for `titin.open`.
    progress
        Told of the passes over the matrix.
    follow_links
        Read what the source draws from other files; see `titin.source.open_source`.
    storage_options
        As for `titin.open`.
    cluster
        Workers that read every value and every byte, as for `titin.open`; what is compared with a source is read here.

    Returns
    -------
    ValidationReport
        ``report.passed`` is whether no error was found; ``report.findings()`` says what was.

    Raises
    ------
    DatasetError
        If the folder is no dataset.
    SourceError
        If the source cannot be opened, or changes while it is read.
    TitinError
        If there is no such level or check; of the cluster as for `titin.open`.
    """
    if level not in LEVELS:
        raise TitinError(f"there is no level {level!r}", f"levels: {', '.join(LEVELS)}")
    chosen = _choose(load_checks(), level, checks)
    if is_url(dataset):
        return _validate_copy(
            dataset, source=source, level=level, checks=checks, threads=threads, memory=memory,
            progress=progress, follow_links=follow_links, storage_options=storage_options, cluster=cluster,
        )  # fmt: skip
    folder, workers = local_folder(dataset), connect(cluster)
    settings = Manifest.read(folder).settings
    began, stamp = time.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    shelf = Shelf(Path(tempfile.gettempdir()))
    if isinstance(source, Source) or source is None:
        opened = source
    else:
        wanted = {name: settings[name] for name in OPTIONS if name in settings}
        size = make_resources(threads, memory).memory
        opened = open_source(
            local_path(source), memory=size, **wanted, follow_links=follow_links, arrow_names=True, shelf=shelf
        )
    try:
        checked = CheckedDataset(
            folder, source=opened, threads=threads, memory=memory, cluster=workers, progress=progress, shelf=shelf
        )
        results = _explain_crashes([_run(check, checked) for check in chosen], checked)
        if opened is not None:
            opened.check_unchanged()
            checked.forget_source()
    finally:
        if opened is not None and opened is not source:
            opened.close()
    manifest = checked.manifest
    facts = {"prefix": manifest.prefix, "kind": manifest.kind, "n_cells": manifest.n_cells,
             "n_genes": manifest.n_genes, "nnz": manifest.nnz, "source": dict(manifest.source),
             "synthetic": checked.atlas.synthetic, "manifest_sha256": sha256(folder / MANIFEST)}  # fmt: skip
    return ValidationReport(
        folder, opened.path if opened is not None else None, level, results, facts, stamp,
        time.perf_counter() - began, peak_memory(), checked.memory, checks is None, checked,
    )  # fmt: skip


def _validate_copy(
    url: str | os.PathLike[str], *, storage_options: Mapping[str, Any] | None, progress: Progress | None, **wanted: Any
) -> ValidationReport:
    """Validate a dataset that lies elsewhere by a copy, which goes with the report: its figures are drawn from it."""
    with ExitStack() as stack:
        copy = stack.enter_context(fetched(url, storage_options, progress))
        report = replace(validate(copy, progress=progress, **wanted), place=mask(os.fspath(url)))
        weakref.finalize(report, stack.pop_all().close)
    return report


def _choose(known: dict[str, Check], level: Level, wanted: Iterable[str] | None) -> list[Check]:
    """Checks of the level, in order of registration; the ones wanted if some are named."""
    names = None if wanted is None else list(wanted)
    for name in names or ():
        if not any(_named(check, name) for check in known):
            subjects = sorted({check.partition(".")[0] for check in known})
            raise TitinError(f"there is no check {name!r}", f"subjects: {', '.join(subjects)}; names are in the report")
    return [
        check
        for check in known.values()
        if (level == "full" or check.level == "quick") and (names is None or any(_named(check.name, n) for n in names))
    ]


def _named(check: str, name: str) -> bool:
    return check == name or check.startswith(f"{name.rstrip('.')}.")


def _run(check: Check, dataset: CheckedDataset) -> CheckResult:
    """Run a check; that the dataset contradicts itself is an error found, any other exception a crash."""
    began = time.perf_counter()
    outcome, crash, where = Outcome(), "", ""
    try:
        reasons = [reason for need in sorted(check.needs) if (reason := dataset.missing(need))]
        outcome = Outcome(skipped="; ".join(reasons)) if reasons else _look(check, dataset)
    except MemoryError:
        raise
    except TitinError as error:
        outcome = _not_evaluated(str(error.args[0]), error.hint or "see the other findings")
    except Exception as error:
        crash, where = f"{type(error).__name__}: {error}", traceback.format_exc()
    dataset.progress.finish()
    dataset.let_go()
    give_back()
    return CheckResult(check, outcome, time.perf_counter() - began, current_memory(), crash, where)


def _look(check: Check, dataset: CheckedDataset) -> Outcome:
    """At the dataset, or at each of its matrices."""
    outcome = check.function(dataset)
    if not check.each or not dataset.parts:
        return outcome
    return Outcome.of_matrices(outcome, {place: check.function(part) for place, part in dataset.parts.items()})


def _not_evaluated(reason: str, hint: str) -> Outcome:
    return Outcome([Finding(f"not evaluated: {reason}", hint=hint, severity="error")])


def _explain_crashes(results: list[CheckResult], dataset: CheckedDataset) -> list[CheckResult]:
    """Take crashes for errors of a dataset whose files are not as the format has them; else they stay bugs of titin."""
    if not any(result.crash for result in results) or not _is_damaged(results, dataset):
        return results
    hint = "what the check reads is not as the format has it; see what the checks of integrity find"
    return [
        replace(result, outcome=_not_evaluated(result.crash, hint), crash="", traceback="") if result.crash else result
        for result in results
    ]


def _is_damaged(results: list[CheckResult], dataset: CheckedDataset) -> bool:
    """Whether a check of integrity finds an error; those that were not asked for are run for this."""
    known = {result.check.name: result for result in results}
    integrity = (check for check in load_checks().values() if check.name.startswith("integrity."))
    return any((known.get(check.name) or _run(check, dataset)).status == "error" for check in integrity)
