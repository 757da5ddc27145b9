"""``titin age …``: commands that parse, call and print."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from titin.errors import TitinError
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
    from titin.ageing import differential_expression, write_pseudobulk
    from titin.ageing import results as tables
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
    from titin.ageing import composition
    from titin.ageing import results as tables
    from titin.atlas import open_atlas

    atlas = open_atlas(dataset, threads=threads, memory=memory)
    folder, options = tables.unpack(atlas, dataset, chosen)
    found = [
        (method, composition(atlas, method=method, min_sample_cells=min_sample_cells, **options))
        for method in methods or ("asin", "logit", "poisson", "mann_whitney")
    ]
    document = tables.write_composition(found, folder, chosen["table_format"], males_only=chosen["males_only"])
    print_result(document, as_json, tables.describe)


def _table_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FOLDER",
                     help="Where to write the tables.  [default: DATASET.ageing]"),
        click.option("--format", "table_format", type=click.Choice(["parquet", "csv"]), default="parquet",
                     show_default=True, help="Of the tables."),
        click.option("--formula", metavar="FORMULA",
                     help='What to adjust for.  [default: "~ sex + chemistry + age", as far as the dataset has them]'),
        click.option("--level", metavar="LEVEL", help="Level of cell types, by column or place.  [default: coarsest]"),
        click.option("--seed", type=int, default=0, show_default=True, envvar="TITIN_SEED", help="Of what is drawn."),
    ):  # fmt: skip
        command = option(command)
    return command


_DATASET = click.argument("dataset", type=click.Path(path_type=Path))
_CELLS = click.option("--min-cells", type=click.IntRange(1), default=10, show_default=True,
                      help="Of a donor and type, for the donor to take part.")  # fmt: skip
_SCORE = click.option("--method", type=click.Choice(["score_genes", "ucell", "ulm"]), default="score_genes",
                      show_default=True, help="How cells are scored.")  # fmt: skip


@click.command(short_help="Fibre types by their myosins, with age.")
@_DATASET
@_table_options
@click.option("--label", "labels", multiple=True, metavar="NAME",
              help="A cell type that is a fibre; repeat.  [default: those called so]")  # fmt: skip
@click.option("--min-counts", type=click.IntRange(1), default=3, show_default=True,
              help="Myosin counts of a cell, for it to be typed.")  # fmt: skip
@limit_options
@shared_options
def fibres(
    dataset: Path, output: Path | None, table_format: str, formula: str | None, level: str | None, seed: int,
    labels: tuple[str, ...], min_counts: int, threads: int | None, memory: str | None, as_json: bool,
    quiet: bool, debug: bool,  # noqa: ARG001
) -> None:  # fmt: skip
    """Type the muscle fibres of DATASET by MYH7, MYH2 and MYH1, donor by donor, and follow the types with age."""
    from titin.ageing import results as tables
    from titin.ageing.fibres import fibres as find
    from titin.atlas import open_atlas

    atlas = open_atlas(dataset, threads=threads, memory=memory)
    found = find(atlas, labels=labels or None, cell_type_level=level, formula=formula, min_counts=min_counts, seed=seed)
    document = tables.write_tables(
        "fibres", {"donors": found.donors, "trends": found.trends}, "trends", tables.folder_for(dataset, output),
        table_format, statements=found.trends["statement"].tolist(),
    )  # fmt: skip
    print_result(document, as_json, tables.describe_programmes)


@click.command(short_help="Gene programmes with age.")
@_DATASET
@_table_options
@_CELLS
@_SCORE
@click.option("--gmt", "files", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
              help="Gene sets to score instead of the bundled ones; repeat.")  # fmt: skip
@click.option("--contrast", metavar="NAME", default="age", show_default=True,
              help="age (a decade), young_old, or a variable or column of the design.")  # fmt: skip
@click.option("--write", is_flag=True, help="Put the scores of all cells into the dataset.")
@click.option("--no-enrichment", is_flag=True, help="Leave out the enrichment of differential expression.")
@limit_options
@shared_options
def programmes(
    dataset: Path, output: Path | None, table_format: str, formula: str | None, level: str | None, seed: int,
    min_cells: int, method: Any, files: tuple[Path, ...], contrast: str, write: bool, no_enrichment: bool,
    threads: int | None, memory: str | None, as_json: bool, quiet: bool, debug: bool,  # noqa: ARG001
) -> None:  # fmt: skip
    """Score gene sets in every cell of DATASET, and test donors' means for a change with age in every type.

    \b
    titin age programmes dataset
    titin age programmes dataset --gmt hallmark.gmt --method ucell --write
    """  # noqa: D301 - \b is click's
    from titin.ageing import results as tables
    from titin.ageing.programmes import programmes as compare
    from titin.atlas import open_atlas
    from titin.features import programme_sets, read_gmt, write_gene_set_scores
    from titin.publish import refresh_card

    atlas = open_atlas(dataset, threads=threads, memory=memory)
    sets = {name: own for file in files for name, own in read_gmt(file).items()} if files else programme_sets()
    progress = choose_progress(quiet)
    found = compare(atlas, sets, method=method, cell_type_level=level, contrast=contrast, formula=formula,
                    min_cells=min_cells, seed=seed, progress=progress)  # fmt: skip
    results, more = {"donors": found.donors, "tests": found.tests}, {}
    if not no_enrichment:
        enriched, reason = _enrichment(atlas, sets, level, contrast, formula, min_cells, progress)
        results |= enriched
        more = {"enrichment": reason} if reason else {}
    document = tables.write_tables(
        "programmes", results, "tests", tables.folder_for(dataset, output), table_format, **more
    )
    if write:
        document["files"].append(str(write_gene_set_scores(dataset, found.scores, last=refresh_card)))
    print_result(document, as_json, tables.describe_programmes)


def _enrichment(
    atlas: Any, sets: Any, level: str | None, contrast: str, formula: str | None, min_cells: int, progress: Any
) -> tuple[dict[str, Any], str]:
    """Enrichment of differential expression; or why there is none."""
    from titin.ageing import differential_expression
    from titin.ageing.enrichment import over_representation, ranked_enrichment

    try:
        genes = differential_expression(atlas, cell_type_level=level, contrast=contrast, formula=formula,
                                        min_cells=min_cells, progress=progress)  # fmt: skip
    except TitinError as reason:
        return {}, str(reason.args[0])
    return {"enrichment": ranked_enrichment(genes, sets), "overlap": over_representation(genes, sets)}, ""


@click.command(short_help="Muscle stem cells: states, programmes, pseudotime.")
@_DATASET
@_table_options
@_CELLS
@click.option("--label", "labels", multiple=True, metavar="NAME",
              help="A cell type that is a muscle stem cell; repeat.  [default: those called so]")  # fmt: skip
@limit_options
@shared_options
def stemcells(
    dataset: Path, output: Path | None, table_format: str, formula: str | None, level: str | None, seed: int,
    min_cells: int, labels: tuple[str, ...], threads: int | None, memory: str | None, as_json: bool, quiet: bool,
    debug: bool,  # noqa: ARG001
) -> None:  # fmt: skip
    """Compare the muscle stem cells of DATASET between donors, and order them from stem cell to myocyte."""
    from titin.ageing import results as tables
    from titin.ageing.stem_cells import stem_cells
    from titin.atlas import open_atlas

    atlas = open_atlas(dataset, threads=threads, memory=memory)
    found = stem_cells(atlas, labels=labels or None, cell_type_level=level, formula=formula, min_cells=min_cells,
                       seed=seed, progress=choose_progress(quiet))  # fmt: skip
    order = " → ".join(found.markers.dropna(subset=["centre"])["marker"])
    document = tables.write_tables(
        "stemcells",
        {"donors": found.donors, "tests": found.tests, "cells": found.cells, "markers": found.markers}, "tests",
        tables.folder_for(dataset, output), table_format, statements=[f"markers along the pseudotime: {order}"],
        markers=found.markers.to_dict("records"),
    )  # fmt: skip
    print_result(document, as_json, tables.describe_programmes)


@click.command(short_help="Senescence and inflammation with age.")
@_DATASET
@_table_options
@_CELLS
@_SCORE
@limit_options
@shared_options
def senescence(
    dataset: Path, output: Path | None, table_format: str, formula: str | None, level: str | None, seed: int,
    min_cells: int, method: Any, threads: int | None, memory: str | None, as_json: bool, quiet: bool,
    debug: bool,  # noqa: ARG001
) -> None:  # fmt: skip
    """Compare scores of senescence and inflammation, and the detection of CDKN1A and others, between donors."""
    from titin.ageing import results as tables
    from titin.ageing.programmes import senescence as compare
    from titin.atlas import open_atlas

    atlas = open_atlas(dataset, threads=threads, memory=memory)
    found = compare(atlas, method=method, cell_type_level=level, formula=formula, min_cells=min_cells, seed=seed,
                    progress=choose_progress(quiet))  # fmt: skip
    document = tables.write_tables(
        "senescence", {"donors": found.donors, "tests": found.tests, "detection": found.detection}, "tests",
        tables.folder_for(dataset, output), table_format,
    )  # fmt: skip
    print_result(document, as_json, tables.describe_programmes)


for command in (fibres, programmes, stemcells, senescence):
    age.add_command(command)
