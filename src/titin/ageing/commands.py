"""``titin age …``: commands that parse, call and print."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from titin.ageing.commands_programmes import COMMANDS
from titin.options import choose_progress, limit_options, print_result, shared_options


@click.group(short_help="What changes with age.")
def age() -> None:
    """Say what changes with age in a dataset, with donors as the replicates."""


def comparison_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options of what compares donors."""
    for option in (
        click.option(
            "-o", "--output", type=click.Path(path_type=Path), metavar="FOLDER",
            help="Where to write the tables.  [default: DATASET.ageing]",
        ),
        click.option("--format", "table_format", type=click.Choice(["parquet", "csv"]), default="parquet",
                     show_default=True, help="Of the tables."),
        click.option("--males-only", is_flag=True, help="Only male donors, to see what sex does to the results."),
        click.option("--drop-confounded", is_flag=True,
                     help="Leave out a nuisance term that cannot be told from the contrast, and say so."),
        click.option("--min-donors", type=click.IntRange(2), default=3, show_default=True,
                     help="Fewest donors on either side."),
        click.option("--formula", metavar="FORMULA",
                     help='What to adjust for.  [default: "~ sex + chemistry + age", as far as the dataset has them]'),
        click.option("--contrast", metavar="NAME", default="age", show_default=True,
                     help="age (a decade), young_old, or a variable or column of the design."),
        click.option("--level", metavar="LEVEL", help="Level of cell types, by column or place.  [default: coarsest]"),
    ):  # fmt: skip
        command = option(command)
    return command


@age.command(name="de", short_help="Which genes change with age, type by type.")
@click.argument("dataset", type=click.Path(path_type=Path))
@comparison_options
@click.option("--method", type=click.Choice(["voom", "limma", "trend", "deseq2"]), default="voom", show_default=True,
              help="limma: voom with one prior for all genes. deseq2 needs pydeseq2.")  # fmt: skip
@click.option("--min-cells", type=click.IntRange(1), default=10, show_default=True,
              help="Of a donor and type, for the donor to take part.")  # fmt: skip
@click.option("--save-pseudobulk", is_flag=True, help="Put the pseudobulk into the dataset, for later runs.")
@limit_options
@shared_options
def differential_expression_command(
    dataset: Path, method: Any, min_cells: int, save_pseudobulk: bool, threads: int | None, memory: str | None,
    as_json: bool, quiet: bool, debug: bool,  # noqa: ARG001
    **chosen: Any,
) -> None:  # fmt: skip
    """Test every gene of DATASET for a change with age, in every cell type and protocol, over donors.

    \b
    titin age de dataset
    titin age de dataset --level annotation_level2 --contrast young_old --format csv
    titin age de dataset --males-only -o sensitivity

    Protocols are tested apart and then combined. Counts of a donor's cells are summed first: cells are no replicates.
    """  # noqa: D301 - \b is click's
    from titin.ageing import _tables as tables
    from titin.ageing import differential_expression, write_pseudobulk
    from titin.atlas import open_atlas

    atlas = open_atlas(dataset, threads=threads, memory=memory)
    progress = choose_progress(quiet)
    if save_pseudobulk:
        atlas = write_pseudobulk(atlas, progress=progress)
    folder, options = tables.unpack(atlas, dataset, chosen)
    table = differential_expression(
        atlas, method=method, min_cells=min_cells, progress=progress, **options
    )  # fmt: skip
    document = tables.write_expression(table, folder, chosen["table_format"], males_only=chosen["males_only"])
    print_result(document, as_json, tables.describe)


@age.command(name="composition", short_help="Which cell types change with age.")
@click.argument("dataset", type=click.Path(path_type=Path))
@comparison_options
@click.option(
    "--method", "methods", multiple=True, type=click.Choice(["asin", "logit", "poisson", "mann_whitney"]),
    help="Repeat for several.  [default: all]",
)  # fmt: skip
@click.option("--min-sample-cells", type=click.IntRange(0), default=1000, show_default=True,
              help="For mann_whitney: smaller samples are left out.")  # fmt: skip
@limit_options
@shared_options
def composition_command(
    dataset: Path, methods: tuple[Any, ...], min_sample_cells: int, threads: int | None, memory: str | None,
    as_json: bool, quiet: bool, debug: bool,  # noqa: ARG001
    **chosen: Any,
) -> None:  # fmt: skip
    """Test every cell type of DATASET for a change of its fraction with age, in every protocol, over donors.

    \b
    titin age composition dataset
    titin age composition dataset --method poisson --level annotation_level1

    Fractions add up to one: when one type grows, all others shrink.
    """  # noqa: D301 - \b is click's
    from titin.ageing import _tables as tables
    from titin.ageing import composition
    from titin.atlas import open_atlas

    atlas = open_atlas(dataset, threads=threads, memory=memory)
    folder, options = tables.unpack(atlas, dataset, chosen)
    found = [
        (method, composition(atlas, method=method, min_sample_cells=min_sample_cells, **options))
        for method in methods or ("asin", "logit", "poisson", "mann_whitney")
    ]
    document = tables.write_composition(found, folder, chosen["table_format"], males_only=chosen["males_only"])
    print_result(document, as_json, tables.describe)


for command in COMMANDS:
    age.add_command(command)
