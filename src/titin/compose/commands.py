"""``titin subset`` and ``titin merge``."""

from pathlib import Path
from typing import Literal

import click

from titin.options import (
    PATH,
    WHERE,
    choose_progress,
    cluster_option,
    dataset_or_url_argument,
    force_option,
    genes_option,
    licence_option,
    limit_options,
    output_option,
    preset_option,
    print_result,
    resume_option,
    shared_options,
    technology_option,
    tissue_option,
)


@click.command()
@dataset_or_url_argument
@click.option("--where", **WHERE)
@genes_option()
@output_option("PREFIX_subset")
@force_option
@resume_option
@limit_options
@shared_options
def subset(
    dataset: Path | str, where: tuple[str, ...], genes: list[str] | None, output: Path | None, force: bool,
    resume: bool, threads: int | None, memory: str | None, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Write some cells and genes of DATASET as a dataset of their own: values and counts bit for bit.

    A condition may name a column of obs or a role: donor, sample, age (in years), sex, protocol, chemistry. What is
    computed of the cells (detection, panel, statistics) is computed again; embeddings and uns are kept.

    \b
    titin subset dataset --where 'cell_type == "T cell" and age > 60' -o old_t_cells
    titin subset dataset --where 'sex=F and not (donor=D1,D2 or age<20)' --genes genes.txt -o women
    """  # noqa: D301 - \b is click's
    progress = choose_progress(quiet)
    from titin.builder import terminal
    from titin.compose import subset as write_subset

    report = write_subset(
        dataset, output, where=where, genes=genes, force=force, resume=resume, threads=threads, memory=memory,
        progress=progress,
    )  # fmt: skip
    print_result(terminal.report_document(report), as_json, terminal.describe_report)


@click.command()
@click.argument("sources", nargs=-1, type=PATH, required=True, metavar="SOURCE SOURCE [SOURCE]...")
@output_option("TISSUE_TECHNOLOGY")
@click.option(
    "--study-name", "studies", multiple=True, metavar="NAME",
    help="Name of a study, once for each source, in their order.  [default: that of the folder or file]",
)  # fmt: skip
@click.option(
    "--join", type=click.Choice(["inner", "outer"]), default="inner", show_default=True,
    help="The genes that all studies measured, or those of any.",
)  # fmt: skip
@click.option("--merge-counts", is_flag=True, help="Take the integer counts of all for the values.")
@click.option(
    "--gene-aliases", type=PATH, metavar="TABLE",
    help="Other names of genes: HGNC's hgnc_complete_set.txt, or CSV, TSV or Parquet with columns alias and symbol.",
)  # fmt: skip
@preset_option
@tissue_option
@technology_option
@licence_option
@force_option
@resume_option
@cluster_option
@limit_options
@shared_options
def merge(
    sources: tuple[Path, ...], output: Path | None, studies: tuple[str, ...], join: Literal["inner", "outer"],
    merge_counts: bool, gene_aliases: Path | None, preset: str | None, tissue: str | None, technology: str | None,
    licence: str | None, force: bool, resume: bool, threads: int | None, memory: str | None, as_json: bool, quiet: bool,
    cluster: str | None,
) -> None:  # fmt: skip
    """Put several studies, datasets or files as for build, together as one dataset.

    Genes are matched by stable id, else by symbol or alias; columns of obs by name and role. obs says of which study
    each cell is, with the role study. What could not be matched is told.

    \b
    titin merge one other -o both
    titin merge one other.h5ad --join outer --study-name Lund --study-name Kiel -o both
    """  # noqa: D301 - \b is click's
    progress = choose_progress(quiet)
    from titin.builder import terminal
    from titin.compose import merge as write_merged

    report = write_merged(
        sources, output, studies=studies or None, join=join, counts=merge_counts, gene_aliases=gene_aliases,
        preset=preset, tissue=tissue, method=technology, licence=licence, force=force, resume=resume, threads=threads,
        memory=memory, cluster=cluster, progress=progress,
    )  # fmt: skip
    print_result(terminal.report_document(report), as_json, terminal.describe_report)
