"""``titin report``."""

from pathlib import Path

import click

from titin.options import (
    WITHOUT_FLAGGED,
    choose_progress,
    cluster_option,
    dataset_argument,
    force_option,
    limit_options,
    network_option,
    output_option,
    preset_option,
    print_result,
    seed_option,
    shared_options,
)


@click.command()
@dataset_argument
@output_option("DATASET.report.html")
@click.option("--without-flagged", **WITHOUT_FLAGGED)
@network_option
@seed_option
@force_option
@preset_option
@cluster_option
@limit_options
@shared_options
def report(
    dataset: Path, output: Path | None, without_flagged: bool, network_file: Path | None, seed: int, force: bool,
    preset: str | None, threads: int | None, memory: str | None, as_json: bool, quiet: bool,
    cluster: str | None,
) -> None:  # fmt: skip
    """Write what DATASET holds and what changes with age into one HTML file, with a CSV for each figure beside it.

    \b
    titin report dataset
    titin report dataset -o report.html --force
    """  # noqa: D301 - \b is click's
    progress = choose_progress(quiet)
    from titin.report import write_report
    from titin.report.terminal import describe_report, document_of_report

    done = write_report(
        dataset, output, without_flagged=without_flagged, network=network_file, seed=seed, force=force,
        threads=threads, memory=memory, preset=preset, cluster=cluster, progress=progress,
    )  # fmt: skip
    print_result(document_of_report(done), as_json, describe_report)
