"""Writes the report of a dataset: one HTML file that needs no other, and a folder with the numbers of its figures."""

import os
import platform
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from titin import __version__, html
from titin.ageing import ANALYSES, Analysis, Inputs
from titin.ageing.analysis import ALPHA, main_result
from titin.atlas import open_atlas
from titin.dataset.swap import put, scratch
from titin.errors import OutputError, TitinError
from titin.extras import check_installed
from titin.files import local_folder
from titin.network import PriorNetwork, read_network
from titin.plot import noted, synthetic_note, theme
from titin.presets import Preset
from titin.progress import Progress
from titin.report.answer import answers, table_of_types
from titin.report.atlas_sections import FIRST_SECTIONS, FURTHER_SECTIONS, RESULT_SECTIONS
from titin.report.beside import findings_of, read_result
from titin.report.data import ReportData
from titin.report.gene_search import searched_genes
from titin.report.render import Files, render, show_table
from titin.results import Result, write_document
from titin.section import Section, Table
from titin.study.conditions import Where
from titin.study.flagged import WITHOUT_FLAGGED, flagged_cells
from titin.text import count

_METRICS = "metrics.json"
_SHOWN_ALERTS = 12
_SHOWN_TYPES = 12
PlannedSection = tuple[str, str, Callable[[Section, ReportData], None]]  # anchor, title, maker
_LIBRARIES = ("numpy", "pandas", "scipy", "pyarrow", "numba", "formulaic", "matplotlib", "scikit-learn")


@dataclass(frozen=True)
class ReportResult:
    """What was written.

    Attributes
    ----------
    path, folder
        The report, and the folder of its numbers.
    n_bytes
        Of the report.
    missing
        What sections could not show, and why.
    seconds
        That it took.
    facts
        Numbers by section, as in ``metrics.json``.
    answers
        The sentences at its head, each after what it is about.
    """

    path: Path
    folder: Path
    n_bytes: int
    missing: dict[str, list[str]]
    seconds: float
    facts: dict[str, Any]
    answers: dict[str, str]


def write_report(
    dataset: Path | str,
    output: Path | str | None = None,
    *,
    without_flagged: bool = False,
    network: PriorNetwork | Path | str | None = None,
    seed: int = 0,
    threads: int | None = None,
    memory: int | str | None = None,
    preset: Preset | str | Path | None = None,
    cluster: Any = None,
    force: bool = False,
    progress: Progress | None = None,
) -> ReportResult:
    """Write the report of a dataset.

    What the dataset lacks, such as ages, is said in a sentence where it would have been shown.

    Parameters
    ----------
    dataset
        Its folder.
    output
        The HTML file; ``DATASET.report.html`` beside the dataset where not given. A folder of the same name with
        ``_files`` in place of ``.html`` holds a CSV for each figure, and ``metrics.json``.
    without_flagged
        Leave out of all analyses the cells whose label a check contradicts (`titin.annotate`).
    network
        Known regulators and their targets, or a table of them, as of `titin.network.read_network`: their activities are
        computed. Where none is given, what `titin network` has left beside the dataset is shown, and nothing computed.
    seed
        Of what is drawn.
    threads, memory, preset, cluster
        As for `titin.open`.
    force
        Replace what is there.
    progress
        Told of what is being computed.

    Raises
    ------
    OutputError
        If the report is there and ``force`` is not given, it would lie in the dataset, or cannot be written.
    DatasetError
        If there is no dataset, or it is damaged.
    TitinError
        If matplotlib is not installed, the preset leaves out a section that does not exist, or the cluster is lost.
    """
    check_installed("matplotlib", "a report")
    began = time.perf_counter()
    folder = local_folder(dataset)
    atlas = open_atlas(folder, threads=threads, memory=memory, preset=preset, cluster=cluster)
    planned = _all_sections(atlas.preset)
    path = _choose_path(folder, output, force)
    numbers = path.with_name(f"{path.stem}_files")
    _check_numbers(numbers)
    threads = atlas.reader.resources.threads
    where = Where.of([WITHOUT_FLAGGED] if without_flagged else [])
    known = read_network(network) if isinstance(network, Path | str) else network
    data = ReportData(Inputs(atlas, seed, threads, progress or Progress(), where), folder, known)
    with scratch(path) as place, theme("light"), noted(synthetic_note(atlas.synthetic)):
        files = Files(place / numbers.name)
        missing, facts, said = _write_pages(data, planned, place / path.name, files)
        put(files.folder, numbers)
        put(place / path.name, path)
    total = round(time.perf_counter() - began, 2)
    return ReportResult(path, numbers, path.stat().st_size, missing, total, facts, said)


def _write_pages(
    data: ReportData, planned: Sequence[PlannedSection], page: Path, files: Files
) -> tuple[dict[str, list[str]], dict[str, Any], dict[str, str]]:
    """Write the page and the folder of its numbers; return what sections miss, their facts, and the answers."""
    sections, shown, seconds = [], [], {}
    files.folder.mkdir()
    for i, (name, title, make) in enumerate(planned):
        data.inputs.progress.note(f"report: {title} ({i + 1} of {len(planned)})")
        start = time.perf_counter()
        section = _fill(Section(name, title), make, data)
        sections.append(section)
        shown.append(render(section, files))
        section.blocks.clear()  # figures take room
        seconds[name] = round(time.perf_counter() - start, 2)
        if reasons := section.facts.get("missing"):
            data.missing[name] = reasons[0]
    missing = {s.name: s.facts["missing"] for s in sections if s.facts.get("missing")}
    facts = {s.name: s.facts for s in sections}
    sections.append(_methods(data, seconds))
    shown.append(render(sections[-1], files))
    said, types, genes = answers(data, ANALYSES), table_of_types(data), searched_genes(data)
    text = html.render(
        "report.html", title=f"Report of {_title(data)}", subtitle=f"{_size(data)}. {_source(data)}",
        synthetic=data.atlas.synthetic, answers=said, types=None if types is None else show_table(_types(types), files),
        genes=None if genes is None else html.script_document(genes), alerts=_alerts(data), sections=sections,
        shown=shown, version=__version__,
    )  # fmt: skip
    spoken = {one.title: one.text for one in said}
    write_document(files.folder / _METRICS, {
        "schema_version": 1, "titin": __version__, "dataset": str(data.folder), "synthetic": data.atlas.synthetic,
        "answers": spoken, "seconds": seconds, "sections": facts,
        "parameters": data.parameters, "files": files.written,
    })  # fmt: skip
    page.write_text(text, "utf-8")
    return missing, facts, spoken


def _types(table: pd.DataFrame) -> Table:
    return Table("types", table, f"Cell types; p is adjusted over all tests of a question, and counts below {ALPHA}",
                 rows=_SHOWN_TYPES)  # fmt: skip


def _choose_path(folder: Path, output: Path | str | None, force: bool) -> Path:
    whole = folder.absolute()
    path = Path(output).absolute() if output is not None else whole.with_name(f"{whole.name}.report.html")
    if path.suffix != ".html":
        raise OutputError(f"{path} does not end in .html", "name the report so")
    if whole.resolve() in path.resolve().parents:
        raise OutputError(f"{path} lies in the dataset, which a report is no part of", "give another --output")
    if path.exists() and not force:
        raise OutputError(f"{path} is there already", "give --force to replace it, or another --output")
    if not path.parent.is_dir():
        raise OutputError(f"there is no folder {path.parent}", "make it first")
    return path


def _check_numbers(folder: Path) -> None:
    """Refuse a folder that an earlier report has not written: it would be replaced."""
    if os.path.lexists(folder) and not (
        folder.is_dir() and ((folder / _METRICS).is_file() or not any(folder.iterdir()))
    ):
        raise OutputError(f"{folder} is there and is not of an earlier report", "move it, or give another --output")


def _fill(section: Section, make: Callable[[Section, ReportData], None], data: ReportData) -> Section:
    section.attempt(lambda: make(section, data))
    return section


def _all_sections(preset: Preset) -> list[PlannedSection]:
    """Anchor, title and maker of every section that the preset does not leave out, in order."""
    others = (*FIRST_SECTIONS, *FURTHER_SECTIONS, *RESULT_SECTIONS)
    every = [one.anchor for one in ANALYSES] + [name for name, *_ in others]
    for name in preset.report.leave_out:
        if name not in every:
            raise TitinError(
                f"the preset {preset.name} leaves {name!r} out, which is no section of a report",
                f"sections: {', '.join(every)}",
            )
    ageing = [
        (analysis.anchor, analysis.title, _of_analysis(analysis)) for analysis in ANALYSES if analysis.offered(preset)
    ]
    every_section = (*FIRST_SECTIONS, *ageing, *FURTHER_SECTIONS, *RESULT_SECTIONS)
    return [one for one in every_section if one[0] not in preset.report.leave_out]


def _of_analysis(analysis: Analysis) -> Callable[[Section, ReportData], None]:
    def make(section: Section, data: ReportData) -> None:
        findings = data.findings[analysis.anchor] = analysis.fill(section, data.inputs)
        data.parameters[analysis.title] = main_result(findings, Result).settings

    return make


def _title(data: ReportData) -> str:
    return data.folder.absolute().name


def _source(data: ReportData) -> str:
    manifest = data.atlas.manifest
    checksum = str(manifest.source.get("sha256", ""))[:12]
    made = f", made from {manifest.source.get('name')}" if manifest.source.get("name") else ""
    return f"{manifest.tissue.replace('_', ' ')}, {manifest.method}, {manifest.kind}{made} (sha256 {checksum}…)"


def _size(data: ReportData) -> str:
    """What the dataset holds, in numbers."""
    atlas, keys = data.atlas, data.keys
    parts = [f"{atlas.n_obs:,} cells × {atlas.n_vars:,} genes"]
    if "donor" in keys:
        parts.append(count(keys["donor"].nunique(), "donor"))
    if "age" in keys and keys["age"].notna().any():
        parts.append(f"{keys['age'].min():.0f}–{keys['age'].max():.0f} years")
    if data.labels is not None:
        parts.append(count(data.labels.nunique(), "cell type"))
    return ", ".join(parts)


def _alerts(data: ReportData) -> dict[str, Any]:
    """What a reader must know first: findings of the validation, and what the design does not allow."""
    own = []
    try:
        document, unread = read_result(data.folder, "validation"), "The dataset has not been validated."
    except TitinError as error:
        document, unread = None, f"{error.args[0]}."
    found = findings_of(document) if document is not None else []
    keys = data.keys
    if not data.atlas.manifest.value_kind.has_counts:
        own.append("There are no counts: differential expression, fibre types and parts of the variance need them.")
    if data.atlas.manifest.recovery.get("counts_beside"):
        own.append(f"Counts lie beside the values: {data.atlas.manifest.why_no_counts}.")
    if data.inputs.where:
        n = int(flagged_cells(data.atlas).sum())
        own.append(f"Analyses leave out {n:,} cells whose labels a check contradicts.")
    if seen := data.atlas.manifest.what_models_see:
        own.append(seen)
    for role, name in (("donor", "donors"), ("age", "ages"), ("cell_type", "cell types")):
        known = data.study.column(role) is not None or (role == "age" and data.study.ages is not None)
        if not known:
            own.append(f"There are no {name}: no column of obs has the role {role}.")
    if "donor" in keys and keys["donor"].nunique() == 1:
        own.append("There is one donor: nothing can be said of ageing.")
    if document is None:
        own.append(unread)
    own += [f"{warning}." for warning in data.inputs.warnings]
    own += _design_alerts(data)
    lines = [f"{severity}: {sentence}" for severity, sentence in found] + own
    errors = sum(severity == "error" for severity, _ in found)
    head = f"The validation found {errors} errors and {len(found) - errors} warnings. " if document is not None else ""
    head += f"Of the design and the data, {len(own)} things to know first." if own else ""
    return {
        "kind": "bad" if errors else "" if lines else "fine",
        "head": head or "Nothing to warn of.",
        "lines": lines[:_SHOWN_ALERTS],
        "more": max(0, len(lines) - _SHOWN_ALERTS),
    }


def _design_alerts(data: ReportData) -> list[str]:
    """What `titin.check` says of the design."""
    from titin.check import CHECKS, load_checks, validate

    load_checks()
    names = [name for name in CHECKS if name.startswith("design.")]
    report = validate(data.folder, level="quick", checks=names, threads=data.inputs.threads)
    return [finding.message for _, finding in report.findings()]


def _methods(data: ReportData, seconds: dict[str, float]) -> Section:
    section = Section("methods", "Methods")
    section.say(
        "Counts are summed over a donor's cells of a type in a protocol before anything is tested; protocols are "
        "tested apart. p-values are adjusted after Benjamini and Hochberg within a comparison."
    )
    for name, settings in data.parameters.items():
        said = {k: v for k, v in settings.items() if v not in (None, "", {}, [])}
        section.list([f"{k.replace('_', ' ')}: {v}" for k, v in said.items()], title=name, folded=True)
    versions = [f"Python {platform.python_version()}", f"titin {__version__}"]
    for name in _LIBRARIES:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    section.say(f"Seed {data.inputs.seed}. {', '.join(versions)}.")
    preset = data.inputs.atlas.preset
    if preset != Preset():
        section.say(f"Preset {preset.name} (sha256 {preset.digest[:12]}…).")
    section.say(f"Made by: titin report {shlex.quote(data.folder.name)} --seed {data.inputs.seed}")
    section.list(
        [f"{name}: {spent:.1f} s" for name, spent in seconds.items()], title="Time of each section", folded=True
    )
    return section
