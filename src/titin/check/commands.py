"""``titin validate``."""

import sys
from pathlib import Path
from typing import Any

import click

from titin.errors import TitinError
from titin.options import (
    PATH,
    choose_progress,
    dataset_argument,
    force_option,
    former_option,
    is_debugging,
    limit_options,
    output_option,
    print_result,
    shared_options,
)


@click.command()
@dataset_argument
@click.option("--source", type=PATH, metavar="ATLAS", help="Compare everything with this atlas.")
@click.option(
    "--level", type=click.Choice(["quick", "full"]), default="full", show_default=True,
    help="full reads every value; quick reads checksums and tables, but no value of the matrix.",
)  # fmt: skip
@click.option("--check", "checks", multiple=True, metavar="NAME", help="Run these checks only (matrix.panel, matrix).")
@output_option("DATASET.validation")
@click.option("--no-report", is_flag=True, help="Write no report.")
@force_option
@limit_options
@shared_options
@former_option("--report", "--output", type=PATH)
def validate(
    dataset: Path, source: Path | None, level: Any, checks: tuple[str, ...], output: Path | None, no_report: bool,
    force: bool, threads: int | None, memory: str | None, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Check every file and value of DATASET, its metadata and biology, and how it would show on the Hub.

    The report is a folder with one JSON and one HTML file.

    \b
    titin validate dataset --source atlas.h5ad
    titin validate dataset --level quick --no-report
    titin validate dataset --check matrix --check source --source atlas.h5ad

    Exit codes: 0 no errors (there may be warnings), 1 errors found, 2 wrong use, 3 a check crashed by a bug of
    titin.
    """  # noqa: D301 - \b is click's
    from titin.check import validate as validate_dataset
    from titin.check.report import check_folder
    from titin.check.terminal import render

    if output is not None and no_report:
        raise TitinError("--output and --no-report contradict each other", "give one of them")
    whole = dataset.absolute()
    folder = output or whole.with_name(f"{whole.name}.validation")
    if not no_report:
        check_folder(dataset, folder, force)
    found = validate_dataset(
        dataset, source=source, level=level, checks=checks or None, threads=threads, memory=memory,
        progress=choose_progress(quiet),
    )  # fmt: skip
    written = [] if no_report else found.write(folder, force=force)
    shown = render(found, colour=sys.stdout.isatty(), tracebacks=is_debugging())
    text = "\n".join([shown, *(f"wrote {path}" for path in written)])
    print_result(found.document(), as_json, lambda _: text)
    if found.exit_code:
        raise SystemExit(found.exit_code)
