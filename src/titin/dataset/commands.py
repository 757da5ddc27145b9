"""``titin info``."""

from pathlib import Path
from typing import Any

import click

from titin.options import dataset_argument, print_result, shared_options


@click.command()
@dataset_argument
@shared_options
def info(dataset: Path, as_json: bool, quiet: bool) -> None:  # noqa: ARG001 - it says nothing on stderr
    """Say what DATASET holds: cells, donors, ages, cell types; whether it was validated; then roles, files and bits."""
    from titin.atlas import open_atlas
    from titin.dataset import description
    from titin.errors import TitinError
    from titin.report.beside import describe_validation, last_validation
    from titin.study.overview import describe_overview, overview

    facts = description.document(dataset)
    atlas = open_atlas(dataset)
    try:
        validation: dict[str, Any] | None = last_validation(dataset)
    except TitinError as error:
        validation = {"problem": str(error.args[0])}
    facts |= {"synthetic": atlas.synthetic, "overview": overview(atlas), "validation": validation}

    def text(found: dict[str, Any]) -> str:
        about = [*describe_overview(found["overview"], found["n_cells"]),
                 ("validated", describe_validation(found["validation"], found["path"]))]  # fmt: skip
        return description.describe(found, about)

    print_result(facts, as_json, text)
