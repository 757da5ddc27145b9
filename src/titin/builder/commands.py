"""``titin build`` and ``titin embed``."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from titin.options import (
    PATH,
    choose_progress,
    dataset_argument,
    dry_run_option,
    force_option,
    former_option,
    licence_option,
    limit_options,
    output_option,
    preset_option,
    print_result,
    seed_option,
    shared_options,
)

_ROLES = ("donor", "sample", "age", "sex", "protocol", "chemistry")


@click.command()
@click.argument("atlas", type=PATH)
@output_option("TISSUE_TECHNOLOGY")
@partial(preset_option, default="none")
@click.option("--layer", metavar="NAME", help="Take layers[NAME] for X.")
@click.option("--raw", is_flag=True, help="Take raw.X and raw.var.")
@click.option("--tissue", help="First half of the file names.  [default: found in obs, else the file's name]")
@click.option("--technology", help="Second half of the file names.  [default: 10x or scrna]")
@click.option("--donors", type=PATH, metavar="TABLE", help="CSV, TSV or Parquet: donor and exact age.")
@click.option("--cell-type", multiple=True, metavar="COLUMN", help="obs column of labels; repeat, coarsest first.")
@click.option("--donor", metavar="COLUMN", help="obs column of the donor.")
@click.option("--sample", metavar="COLUMN", help="obs column of the sample.")
@click.option("--age", metavar="COLUMN", help="obs column of the age: years, ranges such as 15-20, development stages.")
@click.option("--sex", metavar="COLUMN", help="obs column of the sex.")
@click.option("--protocol", metavar="COLUMN", help="obs column that tells cells from nuclei.")
@click.option("--chemistry", metavar="COLUMN", help="obs column of the chemistry.")
@seed_option
@click.option("--no-shuffle", is_flag=True, help="Keep the source's order of cells.")
@click.option(
    "--project", envvar="TITIN_PROJECT", metavar="METHODS",
    help="Projections to compute where the source lacks them: pca,umap,tsne (the default), or none.",
)  # fmt: skip
@click.option("--no-project", is_flag=True, help="Compute no projection.")
@licence_option
@click.option("--allow-negative", is_flag=True, help="Keep negative values (scaled data) instead of refusing them.")
@force_option
@click.option("--resume", is_flag=True, help="Go on from an interrupted build.")
@dry_run_option
@limit_options
@shared_options
@former_option("--method", "--technology")
def build(
    atlas: Path, output: Path | None, preset: str | None, technology: str | None, donors: Path | None,
    cell_type: tuple[str, ...], no_shuffle: bool, project: str | None, no_project: bool, force: bool, resume: bool,
    dry_run: bool, threads: int | None, memory: str | None, as_json: bool, quiet: bool,
    **chosen: Any,
) -> None:  # fmt: skip
    """Turn ATLAS (.h5ad, AnnData .zarr or 10x .h5) into a dataset folder: lossless, small, in bounded memory.

    Nothing is written at --output until everything is; an interrupted build leaves what was there as it was. The seed
    is that of the order of cells. --dry-run tells sizes, and which columns were found.

    \b
    titin build atlas.h5ad -o dataset --dry-run
    titin build atlas.h5ad -o dataset --donor patient_id --age age_years
    titin build atlas.h5ad --preset cellxgene --donors ages.csv
    """  # noqa: D301 - \b is click's
    from titin.builder import build as build_dataset
    from titin.builder import plan, terminal

    roles = {role: chosen.pop(role) for role in _ROLES}
    choices = {"preset": preset, "roles": {"cell_type": list(cell_type), **roles}, "donors": donors,
               "method": technology, "shuffle": not no_shuffle,
               "project": () if no_project else _names(project), "threads": threads, "memory": memory,
               **chosen}  # fmt: skip
    if dry_run:
        print_result(plan(atlas, output, force=force, **choices), as_json, terminal.describe_plan)
        return
    report = build_dataset(atlas, output, force=force, resume=resume, progress=choose_progress(quiet), **choices)
    print_result(terminal.report_document(report), as_json, terminal.describe_report)


def _names(text: str | None) -> list[str] | None:
    """Names from ``pca,tsne``; no names from ``none``."""
    if text is None:
        return None
    return [name.strip() for name in text.split(",") if name.strip() not in ("", "none")]


@click.command()
@dataset_argument
@click.argument("methods", nargs=-1, metavar="[pca] [umap] [tsne] [scvi]")
@force_option
@click.option("--on", metavar="KEY", help="For umap and tsne: the projection to stand on.  [default: X_pca]")
@click.option("--n-comps", type=int, metavar="N", help="For pca: components.  [default: 50]")
@click.option("--which-genes", type=click.Choice(["all", "hvg"]), help="For pca.  [default: all]")
@click.option("--n-neighbors", type=int, metavar="N", help="For umap.  [default: 15]")
@click.option("--min-dist", type=float, metavar="D", help="For umap: how close cells may lie.  [default: 0.5]")
@click.option("--perplexity", type=float, metavar="P", help="For tsne.  [default: 30]")
@click.option("--n-latent", type=int, metavar="N", help="For scvi: dimensions.  [default: 30]")
@click.option("--n-top-genes", type=int, metavar="N", help="For scvi: most variable genes taken.  [default: 10000]")
@click.option("--batch-key", metavar="COLUMN", help="For scvi: effect to take out.  [default: the sample's column]")
@click.option("--max-epochs", type=int, metavar="N", help="For scvi.  [default: by the number of cells]")
@seed_option
@limit_options
@shared_options
@former_option("--genes", "--which-genes", type=click.Choice(["all", "hvg"]))
def embed(
    dataset: Path, methods: tuple[str, ...], force: bool, which_genes: str | None, seed: int, threads: int | None,
    memory: str | None, as_json: bool, quiet: bool,
    **chosen: Any,
) -> None:  # fmt: skip
    """Compute projections of DATASET and put them into it: those named, or whichever of the three are missing.

    DATASET changes in one step when all are computed; interrupted, it is as it was. A projection that is there is
    computed again, and replaced, with --force only.

    \b
    titin embed dataset
    titin embed dataset tsne --perplexity 50 --force
    titin embed dataset umap --on X_scVI --force
    """  # noqa: D301 - \b is click's
    from titin.builder import add_embeddings, terminal

    parameters = terminal.parameters_by_method(methods, {**chosen, "genes": which_genes})
    done = add_embeddings(
        dataset, methods, force=force, seed=seed, threads=threads, memory=memory, progress=choose_progress(quiet),
        **parameters,
    )  # fmt: skip
    print_result(terminal.embed_document(done), as_json, terminal.describe_embed)
