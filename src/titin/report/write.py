"""Writes the report of a dataset: one HTML file that needs no other, and a folder with the numbers of its figures."""

import platform
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from titin import __version__, html
from titin.ageing import ANALYSES, Analysis, Inputs
from titin.atlas import open_atlas
from titin.dataset.manifest import write_json
from titin.errors import OutputError, TitinError
from titin.presets import Preset
from titin.progress import Progress
from titin.report.atlas_sections import ATLAS_SECTIONS, RESULT_SECTIONS, validation_findings
from titin.report.data import ReportData
from titin.report.render import Files, render
from titin.section import Section
from titin.text import json_safe

_METRICS = "metrics.json"
_SHOWN_ALERTS = 12
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
    """

    path: Path
    folder: Path
    n_bytes: int
    missing: dict[str, list[str]]
    seconds: float
    facts: dict[str, Any]


def write_report(
    dataset: Path | str,
    output: Path | str | None = None,
    *,
    seed: int = 0,
    threads: int | None = None,
    memory: int | str | None = None,
    preset: Preset | str | Path | None = None,
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
    seed
        Of what is drawn.
    threads, memory, preset
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
        If matplotlib is not installed, or the preset leaves out a section that does not exist.
    """
    _need_matplotlib()
    began = time.perf_counter()
    folder = Path(dataset)
    atlas = open_atlas(folder, threads=threads, memory=memory, preset=preset)
    planned = _all_sections(atlas.preset)
    path = _choose_path(folder, output, force)
    files = Files(path.with_name(f"{path.stem}_files"))
    _clear(files.folder)
    threads = atlas.reader.resources.threads
    data = ReportData(Inputs(atlas, seed, threads, progress or Progress()), folder)
    sections, shown, seconds = [], [], {}
    for name, title, make in planned:
        start = time.perf_counter()
        section = _fill(Section(name, title), make, data)
        sections.append(section)
        shown.append(render(section, files))
        section.blocks.clear()  # figures take room
        seconds[name] = round(time.perf_counter() - start, 2)
    missing = {s.name: s.facts["missing"] for s in sections if s.facts.get("missing")}
    facts = {s.name: s.facts for s in sections}
    sections.append(_methods(data, seconds))
    shown.append(render(sections[-1], files))
    text = html.render(
        "report.html", title=f"Report of {_title(data)}", subtitle=_subtitle(data), alerts=_alerts(data),
        tiles=_tiles(data, sections), sections=sections, shown=shown, version=__version__,
    )  # fmt: skip
    total = round(time.perf_counter() - began, 2)
    try:
        files.folder.mkdir(parents=True, exist_ok=True)
        write_json(files.folder / _METRICS, json_safe({
            "schema_version": 1, "titin": __version__, "dataset": str(folder), "seconds": seconds, "sections": facts,
            "parameters": data.parameters, "files": files.written,
        }))  # fmt: skip
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(text, "utf-8")
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"the report cannot be written to {path}: {error}", "give another --output") from error
    return ReportResult(path, files.folder, path.stat().st_size, missing, total, facts)


def _need_matplotlib() -> None:
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise TitinError("a report needs matplotlib, which is not installed", "pip install matplotlib") from error
    del mpl


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


def _clear(folder: Path) -> None:
    """Remove what an earlier report has left there, and nothing else."""
    if not folder.exists():
        return
    if folder.is_dir() and ((folder / _METRICS).is_file() or not any(folder.iterdir())):
        shutil.rmtree(folder)
        return
    raise OutputError(f"{folder} is there and is not of an earlier report", "move it, or give another --output")


def _fill(section: Section, make: Callable[[Section, ReportData], None], data: ReportData) -> Section:
    section.attempt(lambda: make(section, data))
    return section


def _all_sections(preset: Preset) -> list[tuple[str, str, Callable[[Section, ReportData], None]]]:
    """Anchor, title and maker of every section that the preset does not leave out, in order."""
    every = [one.anchor for one in ANALYSES] + [name for name, *_ in (*ATLAS_SECTIONS, *RESULT_SECTIONS)]
    for name in preset.report.leave_out:
        if name not in every:
            raise TitinError(
                f"the preset {preset.name} leaves {name!r} out, which is no section of a report",
                f"sections: {', '.join(every)}",
            )
    ageing = [
        (analysis.anchor, analysis.title, _of_analysis(analysis)) for analysis in ANALYSES if analysis.offered(preset)
    ]
    return [one for one in (*ATLAS_SECTIONS, *ageing, *RESULT_SECTIONS) if one[0] not in preset.report.leave_out]


def _of_analysis(analysis: Analysis) -> Callable[[Section, ReportData], None]:
    def make(section: Section, data: ReportData) -> None:
        data.parameters[analysis.title] = analysis.fill(section, data.inputs)

    return make


def _title(data: ReportData) -> str:
    return data.folder.absolute().name


def _subtitle(data: ReportData) -> str:
    manifest = data.atlas.manifest
    checksum = str(manifest.source.get("sha256", ""))[:12]
    made = f", made from {manifest.source.get('name')}" if manifest.source.get("name") else ""
    return f"{manifest.tissue.replace('_', ' ')}, {manifest.method}, {manifest.kind}{made} (sha256 {checksum}…)"


def _tiles(data: ReportData, sections: list[Section]) -> list[tuple[str, str]]:
    """Numbers at the head of the page, each with its word."""
    atlas, keys = data.atlas, data.keys
    facts = [(f"{atlas.n_obs:,}", "cells"), (f"{atlas.n_vars:,}", "genes")]
    if "donor" in keys:
        facts.append((f"{keys['donor'].nunique():,}", "donors"))
    if "age" in keys and keys["age"].notna().any():
        facts.append((f"{keys['age'].min():.0f}–{keys['age'].max():.0f}", "years of age"))
    if data.labels is not None:
        facts.append((f"{data.labels.nunique():,}", "cell types"))
    hits = next((s.facts.get("hits") for s in sections if s.name == "expression"), None)
    if hits is not None:
        facts.append((f"{hits:,}", "genes with age, adjusted p < 0.05"))
    return facts


def _alerts(data: ReportData) -> dict[str, Any]:
    """What a reader must know first: findings of the validation, and what the design does not allow."""
    document, found = validation_findings(data.folder)
    keys = data.keys
    own = []
    if data.atlas.kind == "real":
        own.append("There are no counts: differential expression, fibre types and parts of the variance need them.")
    for role, name in (("donor", "donors"), ("age", "ages"), ("cell_type", "cell types")):
        known = data.study.column(role) is not None or (role == "age" and data.study.ages is not None)
        if not known:
            own.append(f"There are no {name}: no column of obs has the role {role}.")
    if "donor" in keys and keys["donor"].nunique() == 1:
        own.append("There is one donor: nothing can be said of ageing.")
    if document is None:
        own.append("The dataset has not been validated.")
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
    section.say(f"Made by: titin report {data.folder.name} --seed {data.inputs.seed}")
    section.list(
        [f"{name}: {spent:.1f} s" for name, spent in seconds.items()], title="Time of each section", folded=True
    )
    return section
