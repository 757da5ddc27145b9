"""``titin age …``: a command for each analysis, made from its record."""

import inspect
from pathlib import Path
from typing import Any

import click

from titin.ageing.analysis import LEVEL, Analysis, Findings, Inputs, main_result, refuse_untested
from titin.ageing.catalogue import ANALYSES
from titin.ageing.comparison import Comparisons
from titin.ageing.terminal import describe, tell
from titin.atlas import open_atlas
from titin.options import (
    SettingsGroup,
    choose_progress,
    dataset_argument,
    force_option,
    format_option,
    former_option,
    limit_options,
    output_option,
    preset_option,
    print_result,
    shared_options,
)
from titin.results import FORMATS, refuse_existing


@click.group(cls=SettingsGroup)
def age() -> None:
    """Say what changes with age in a dataset, with donors as the replicates."""


def make_command(analysis: Analysis) -> click.Command:
    """Make ``titin age NAME`` of an analysis."""

    @dataset_argument
    @output_option("DATASET.ageing")
    @format_option(*FORMATS, default="parquet")
    @force_option
    @preset_option
    @limit_options
    @shared_options
    def command(
        dataset: Path, output: Path | None, file_format: str, force: bool, preset: str | None, threads: int | None,
        memory: str | None, as_json: bool, quiet: bool,
        **options: Any,
    ) -> None:  # fmt: skip
        atlas = open_atlas(dataset, threads=threads, memory=memory, preset=preset)
        inputs = Inputs(atlas, options.pop("seed", 0), atlas.reader.resources.threads, choose_progress(quiet))
        whole = dataset.absolute()
        stem = table_name(analysis, inputs, options)
        folder = output or whole.with_name(f"{whole.name}.ageing")
        parts = options.get("parts") or analysis.parts
        paths = {part: folder / f"{stem}{f'_{part}' if part else ''}.{file_format}" for part in parts}
        if not force:
            refuse_existing([file for part in parts for file in (paths[part], paths[part].with_suffix(".json"))])
        findings = analysis.run(inputs, **options)
        document = write_findings(analysis, findings, paths, force=force)
        print_result(document, as_json, describe)

    if LEVEL in analysis.options:
        command = former_option("--level", "--cell-type-level")(command)
    made = click.command(analysis.name, help=inspect.cleandoc(analysis.help), short_help=analysis.summary)(command)
    shared = made.params
    made.params = [*(one for one in shared if isinstance(one, click.Argument)), *analysis.options,
                   *(one for one in shared if isinstance(one, click.Option))]  # fmt: skip
    return made


def table_name(analysis: Analysis, inputs: Inputs, options: dict[str, Any]) -> str:
    """Name of an analysis's tables: its own, the level of cell types, and whether only males took part."""
    level = inputs.level(options.get("cell_type_level"))
    named = "_".join([analysis.name, *([level] if level else []), *(["males"] if options.get("males_only") else [])])
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in named)


def write_findings(analysis: Analysis, findings: Findings, paths: dict[str, Path], *, force: bool) -> dict[str, Any]:
    """Write all results and return what is to be said of them.

    Raises
    ------
    TitinError
        If nothing could be compared and the analysis refuses that.
    """
    if analysis.refuses_empty and all(result.table.empty for result in findings.results.values()):
        refuse_untested(main_result(findings, Comparisons))
    files: list[Path] = []
    for part, result in findings.results.items():
        files += result.write(paths[part], force=force)
    told = {paths[part].stem: result for part, result in findings.results.items()}
    return tell(analysis, findings, told, [*files, *findings.files])


for one in ANALYSES:
    age.add_command(make_command(one))
