"""``titin validate`` and ``titin diff``."""

import sys
from pathlib import Path
from typing import Any

import click

from titin.console import Styled
from titin.errors import TitinError
from titin.files import beside
from titin.options import (
    PATH,
    ByHand,
    DatasetParameter,
    choose_progress,
    cluster_option,
    dataset_or_url_argument,
    follow_links_option,
    force_option,
    former_option,
    is_debugging,
    limit_options,
    output_option,
    print_result,
    shared_options,
    storage_option,
)
from titin.visible import visible


@click.command()
@dataset_or_url_argument
@click.option("--source", type=PATH, metavar="ATLAS", help="Compare everything with this atlas.")
@follow_links_option
@click.option(
    "--level", cls=ByHand, type=click.Choice(["quick", "full"]), default="full", show_default=True,
    help="full reads every value; quick reads checksums and tables, but no value of the matrix.",
)  # fmt: skip
@click.option(
    "--check", "checks", cls=ByHand, multiple=True, metavar="NAME", help="Run these checks only (matrix.panel, matrix)."
)
@output_option("DATASET.validation")
@click.option("--no-report", is_flag=True, help="Write no report.")
@click.option("-v", "--verbose", is_flag=True, help="List the checks that found nothing, too.")
@force_option
@cluster_option
@limit_options
@shared_options
@former_option("--report", "--output", type=PATH)
def validate(
    dataset: Path | str, source: Path | None, level: Any, checks: tuple[str, ...], output: Path | None, no_report: bool,
    verbose: bool, force: bool, threads: int | None, memory: str | None, as_json: bool, quiet: bool, follow_links: bool,
    cluster: str | None,
) -> None:  # fmt: skip
    """Check every file and value of DATASET, its metadata and biology, and how it would show on the Hub.

    The report is a folder with one JSON and one HTML file; all checks are listed in it. Of a DATASET that lies
    elsewhere, such as s3://bucket/atlas, a copy is fetched into the folder of temporary files.

    \b
    titin validate dataset --source atlas.h5ad
    titin validate dataset --level quick --no-report
    titin validate dataset --check matrix --check source --source atlas.h5ad

    Exit codes: 0 no errors (there may be warnings), 1 errors found, 2 wrong use, 3 a check crashed by a bug of
    titin.
    """  # noqa: D301 - \b is click's
    progress = choose_progress(quiet)
    from titin.check import validate as validate_dataset
    from titin.check.report import check_folder
    from titin.check.terminal import render

    if output is not None and no_report:
        raise TitinError("--output and --no-report contradict each other", "give one of them")
    folder = output if output is not None or no_report else beside(dataset, ".validation")
    if folder is not None:
        check_folder(dataset, folder, force)
    found = validate_dataset(
        dataset, source=source, level=level, checks=checks or None, threads=threads, memory=memory,
        progress=progress, follow_links=follow_links, cluster=cluster,
    )  # fmt: skip
    written = [] if folder is None else found.write(folder, force=force)
    shown = render(found, colour=sys.stdout.isatty(), tracebacks=is_debugging(), passed=verbose)
    text = Styled("\n".join([shown, *(f"wrote {visible(path)}" for path in written)]))
    print_result(found.document(), as_json, lambda _: text)
    if found.exit_code:
        raise SystemExit(found.exit_code)


@click.command()
@click.argument("a", type=DatasetParameter(anywhere=True))
@click.argument("b", type=DatasetParameter(anywhere=True))
@storage_option
@limit_options
@shared_options
def diff(a: Path | str, b: Path | str, threads: int | None, memory: str | None, as_json: bool, quiet: bool) -> None:
    """Say what datasets A and B do not have in common: cells, genes, values, labels, roles and settings.

    Each is a folder or a URL, such as hf://datasets/me/atlas@v1. Cells and genes are matched by name, and values by
    checksums of cells and genes, so that order does not matter. What differs in order, source and versions alone is
    told beside, and is no difference.

    \b
    titin diff dataset corrected
    titin diff dataset hf://datasets/me/atlas@v1 --json

    Exit codes: 0 no difference, 1 they differ, 2 wrong use.
    """  # noqa: D301 - \b is click's
    progress = choose_progress(quiet)
    from titin.check import diff as compare
    from titin.check.difference_text import describe_difference

    found = compare(a, b, threads=threads, memory=memory, progress=progress)
    print_result(found.document(), as_json, describe_difference)
    if found:
        raise SystemExit(1)
