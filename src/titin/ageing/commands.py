"""``titin age …``: a command for each analysis, made from its record."""

import inspect
from pathlib import Path
from typing import Any

import click

from titin.ageing.analysis import Analysis, Findings, Inputs, main_result, refuse_untested
from titin.ageing.catalogue import ANALYSES
from titin.ageing.comparison import Comparisons
from titin.ageing.figure_files import write_figures
from titin.ageing.questions import check_genes, check_types
from titin.ageing.terminal import Narrowed, describe, tell
from titin.analysis_options import CELL_TYPES, LEVEL, MALES, UNFLAGGED, WHERE
from titin.atlas import open_atlas
from titin.extras import check_installed
from titin.files import TABLE_FORMATS, beside
from titin.options import (
    SettingsGroup,
    choose_progress,
    cluster_option,
    dataset_argument,
    dataset_or_url_argument,
    force_option,
    format_option,
    former_option,
    genes_option,
    levels_option,
    limit_options,
    output_option,
    preset_option,
    print_result,
    shared_options,
)
from titin.results import refuse_existing
from titin.study.conditions import Where
from titin.study.design import need
from titin.study.flagged import WITHOUT_FLAGGED
from titin.text import count, size


@click.group(cls=SettingsGroup)
def age() -> None:
    """Say what changes with age in a dataset, with donors as the replicates."""


def make_command(analysis: Analysis) -> click.Command:
    """Make ``titin age NAME`` of an analysis."""

    @dataset_or_url_argument
    @output_option("DATASET.ageing")
    @format_option("both", *TABLE_FORMATS, default="both")
    @click.option("--figures", is_flag=True, help="Draw the report's figures of it, too, as PNG beside the tables.")
    @force_option
    @preset_option
    @limit_options
    @shared_options
    def command(
        dataset: Path | str, output: Path | None, file_format: str, figures: bool, force: bool,
        preset: str | None, threads: int | None, memory: str | None, as_json: bool, quiet: bool,
        genes: list[str] | None = None, cell_types: tuple[str, ...] = (), cluster: str | None = None, **options: Any,
    ) -> None:  # fmt: skip
        progress = choose_progress(quiet)
        atlas = open_atlas(dataset, threads=threads, memory=memory, preset=preset, cluster=cluster)
        males = [MALES] if options.pop("males_only", False) else []
        if males:
            need([role for role, column in atlas.roles.items() if column], "sex", "only males are asked for")
        unflagged = [WITHOUT_FLAGGED] if options.pop("without_flagged") else []
        inputs = Inputs(
            atlas, options.pop("seed", 0), atlas.reader.resources.threads, progress,
            Where.of([*options.pop("where"), *males, *unflagged]),
        )  # fmt: skip
        stem = table_name(analysis, inputs, options)
        folder = output or beside(dataset, ".ageing")
        parts = options.get("parts") or analysis.parts
        suffix, csv = ("parquet", True) if file_format == "both" else (file_format, False)
        paths = {part: folder / f"{stem}{f'_{part}' if part else ''}.{suffix}" for part in parts}
        drawn = folder / f"{stem}_figures"
        if not force:
            planned = [path.with_suffix(end) for path in paths.values()
                       for end in (f".{suffix}", *([".csv"] if csv else []), ".json")]  # fmt: skip
            refuse_existing([*planned, *([drawn] if figures else [])])
        if figures:
            check_installed("matplotlib", "--figures")
        only = Narrowed(genes or (), check_genes(atlas, genes or ()), cell_types)
        check_types(atlas, cell_types, options.get("cell_type_level"))
        findings = analysis.compute(inputs, **options)
        files = write_findings(analysis, findings, paths, csv=csv, force=force)
        if figures:
            pictures, reason = write_figures(analysis, findings, inputs, drawn)
            files += pictures
            findings.missing.update({"figures": reason} if reason else {})
        told = {paths[part].stem: result for part, result in findings.results.items()}
        print_result(tell(analysis, findings, told, files, only, atlas.synthetic), as_json, describe)

    if analysis.reads_all:
        command = cluster_option(command)
    if "gene" in analysis.narrowed_by:
        command = genes_option(also=["--gene"])(command)
    if LEVEL in analysis.options:
        command = former_option("--level", "--cell-type-level")(command)
    made = click.command(analysis.name, help=inspect.cleandoc(analysis.help), short_help=analysis.summary)(command)
    shared = made.params
    more = [CELL_TYPES] if "cell_type" in analysis.narrowed_by else []
    made.params = [*(one for one in shared if isinstance(one, click.Argument)), *analysis.options, WHERE, UNFLAGGED,
                   *more, *(one for one in shared if isinstance(one, click.Option))]  # fmt: skip
    return made


def table_name(analysis: Analysis, inputs: Inputs, options: dict[str, Any]) -> str:
    """Name of an analysis's tables: its own, the level of cell types, and who took part."""
    level = inputs.level(options.get("cell_type_level"))
    known = {MALES: "males", WITHOUT_FLAGGED: "without_flagged"}
    chosen = [known.get(str(condition), str(condition)) for condition in inputs.where.conditions]
    named = "_".join([analysis.name, *([level] if level else []), *chosen])
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in named)


def write_findings(
    analysis: Analysis, findings: Findings, paths: dict[str, Path], *, csv: bool, force: bool
) -> list[Path]:
    """Write all results and return the files, with those that the analysis has written itself.

    Raises
    ------
    TitinError
        If nothing could be compared and the analysis refuses that.
    """
    if analysis.refuses_empty and all(result.table.empty for result in findings.results.values()):
        refuse_untested(main_result(findings, Comparisons))
    files: list[Path] = []
    for part, result in findings.results.items():
        files += result.write(paths[part], csv=csv, force=force)
    return [*files, *findings.files]


@click.command()
@dataset_argument
@levels_option
@cluster_option
@limit_options
@shared_options
def tables(
    dataset: Path, levels: tuple[str, ...], threads: int | None, memory: str | None, as_json: bool, quiet: bool,
    cluster: str | None,
) -> None:  # fmt: skip
    """Put into DATASET what its explorer shows of ageing.

    The counts of donors by type and protocol, and which genes and fractions of types change with age, as `titin age de`
    and `titin age composition` find them without options. `titin site` writes them into the site by itself, by the
    coarsest level where DATASET holds none. DATASET then holds the levels of cell types that were asked for, and no
    others.

    \b
    titin age tables dataset --cell-type-level all
    titin explore dataset
    """  # noqa: D301 - \b is click's
    from titin.ageing.ageing_tables import write_ageing_tables

    progress = choose_progress(quiet)
    opened = open_atlas(dataset, threads=threads, memory=memory, cluster=cluster)
    manifest = write_ageing_tables(opened, levels=levels, progress=progress).manifest
    by_level = {
        level: {"groups": manifest.files[names.groups]["rows"], "tests": manifest.files[names.tests]["rows"],
                "bytes": sum(manifest.files[name]["bytes"] for name in names)}
        for level, names in manifest.ageing_files.items()
    }  # fmt: skip
    document = {
        "schema_version": 1, "path": str(dataset),
        "files": {name: manifest.files[name]["bytes"] for names in manifest.ageing_files.values() for name in names},
        "groups": sum(own["groups"] for own in by_level.values()),
        "tests": sum(own["tests"] for own in by_level.values()), "levels": by_level,
    }  # fmt: skip
    print_result(document, as_json, _say_tables)


def _say_tables(found: dict[str, Any]) -> str:
    said = ", ".join(
        f"{count(own['groups'], 'sum')} of donors and {count(own['tests'], 'test')} by {level} ({size(own['bytes'])})"
        for level, own in found["levels"].items()
    )
    return f"{found['path']} holds {said}: `titin explore` shows them"


age.add_command(tables)
for one in ANALYSES:
    age.add_command(make_command(one))
