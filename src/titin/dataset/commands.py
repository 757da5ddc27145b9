"""``titin info``."""

from pathlib import Path

import click

from titin.options import dataset_argument, print_result, shared_options


@click.command()
@dataset_argument
@shared_options
def info(dataset: Path, as_json: bool, quiet: bool) -> None:  # noqa: ARG001 - it says nothing on stderr
    """Say what DATASET holds: size, files, bits per non-zero, columns by role, what was left out."""
    from titin.dataset import description

    print_result(description.document(dataset), as_json, description.describe)
