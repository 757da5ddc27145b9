"""``titin export``."""

from pathlib import Path

import click

from titin.options import (
    PATH,
    ByHand,
    choose_progress,
    cluster_option,
    dataset_or_url_argument,
    force_option,
    format_option,
    genes_option,
    limit_options,
    output_option,
    print_result,
    shared_options,
)


@click.command()
@dataset_or_url_argument
@format_option("h5ad", "zarr", "h5mu", "cellxgene", "mtx", "wide", also=["--to"])
@output_option("named after the dataset")
@click.option(
    "--counts/--values", default=None, help="Integer counts, or the source's values.  [default: counts for mtx]"
)
@genes_option()
@click.option("--compression", type=click.Choice(["gzip", "lzf"]), help="Of an .h5ad or .h5mu.  [default: none]")
@click.option(
    "--terms", cls=ByHand, type=PATH, metavar="FILE",
    help="Of cellxgene: terms that a person has confirmed. Where there is no such file, a proposal is written to it.",
)  # fmt: skip
@force_option
@cluster_option
@limit_options
@shared_options
def export(
    dataset: Path | str, file_format: str, output: Path | None, counts: bool | None, genes: list[str] | None,
    compression: str | None, terms: Path | None, force: bool, cluster: str | None, threads: int | None,
    memory: str | None, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Write DATASET as AnnData (h5ad, zarr), MuData (h5mu), a 10x folder (mtx) or a wide table, in its source's order.

    Format cellxgene is an .h5ad of the CELLxGENE schema, for which a person confirms the terms in a file.

    --genes names the columns of a wide table; without it, all genes are written. A wide table is text where --output
    ends in .csv or .tsv, or in .csv.gz or .tsv.gz, otherwise Parquet.

    \b
    titin export dataset --format h5ad -o atlas.h5ad
    titin export dataset --format cellxgene --terms terms.toml -o portal.h5ad
    titin export dataset --format wide --genes XIST,MALAT1,CDKN1A -o genes.parquet
    """  # noqa: D301 - \b is click's
    progress = choose_progress(quiet)
    from titin.exporter import export as export_dataset

    path = export_dataset(
        dataset, file_format, output, counts=counts, genes=genes, compression=compression, terms=terms,
        force=force, threads=threads, memory=memory, progress=progress, cluster=cluster,
    )  # fmt: skip
    document = {"schema_version": 1, "path": str(path), "format": file_format}
    print_result(document, as_json, lambda found: f"wrote {found['path']}")
