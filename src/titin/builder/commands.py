"""``titin build``, ``titin batch``, ``titin embed``, ``titin relabel`` and ``titin roles``."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from titin.options import (
    PATH,
    ByHand,
    choose_progress,
    cluster_option,
    dataset_argument,
    dataset_or_url_argument,
    donors_option,
    dry_run_option,
    follow_links_option,
    force_option,
    former_option,
    licence_option,
    limit_options,
    output_option,
    preset_option,
    print_result,
    resume_option,
    role_options,
    seed_option,
    shared_options,
    storage_option,
    technology_option,
    tissue_option,
)


@click.command()
@click.argument("atlas", type=PATH)
@output_option("TISSUE_TECHNOLOGY", anywhere=True)
@partial(preset_option, default="none")
@click.option("--layer", metavar="NAME", help="Take layers[NAME] for X.")
@click.option("--raw", is_flag=True, help="Take raw.X and raw.var.")
@click.option(
    "--obs", multiple=True, metavar="COLUMNS",
    help="obs columns to keep, with commas between; repeatable.  [default: all]",
)  # fmt: skip
@click.option("--no-obs", multiple=True, metavar="COLUMNS", help="obs columns to leave out.")
@click.option("--obsm", multiple=True, metavar="KEYS", help="Embeddings of the source to keep.  [default: all]")
@click.option("--no-obsm", multiple=True, metavar="KEYS", help="Embeddings of the source to leave out.")
@click.option(
    "--layers", multiple=True, metavar="NAMES",
    help="Layers to keep beside X, with commas between, or all.  [default: none]",
)  # fmt: skip
@click.option("--with-raw", is_flag=True, help="Keep raw.X and raw.var beside X.")
@click.option(
    "--modalities", multiple=True, metavar="NAMES",
    help="Of .h5mu and 10x .h5: modalities to keep beside the genes, such as prot, or all.  [default: none]",
)  # fmt: skip
@click.option(
    "--keep-all", is_flag=True,
    help="Keep all there is: varm, obsp, varp, sparse obsm; and all layers, raw and modalities, unless some are named.",
)  # fmt: skip
@click.option(
    "--make-unique", cls=ByHand, is_flag=True,
    help="Append -1, -2, … to barcodes and gene names that repeat, as anndata does.",
)  # fmt: skip
@follow_links_option
@tissue_option
@technology_option
@donors_option
@role_options
@seed_option
@click.option("--no-shuffle", is_flag=True, help="Keep the source's order of cells.")
@click.option(
    "--project", envvar="TITIN_PROJECT", metavar="METHODS",
    help="Projections to compute where the source lacks them: pca,umap,tsne (the default), or none.",
)  # fmt: skip
@click.option("--no-project", is_flag=True, help="Compute no projection.")
@licence_option
@click.option(
    "--allow-negative", cls=ByHand, is_flag=True, help="Keep negative values (scaled data) instead of refusing them."
)
@force_option
@resume_option
@dry_run_option
@storage_option
@cluster_option
@limit_options
@shared_options
@former_option("--method", "--technology")
def build(
    atlas: Path, output: Path | str | None, preset: str | None, technology: str | None, donors: Path | None,
    roles: dict[str, Any], no_shuffle: bool, project: str | None, no_project: bool, force: bool, resume: bool,
    dry_run: bool, threads: int | None, memory: str | None, as_json: bool, quiet: bool, cluster: str | None,
    obs: tuple[str, ...], obsm: tuple[str, ...],
    **chosen: Any,
) -> None:  # fmt: skip
    """Turn ATLAS (.h5ad, AnnData .zarr, .h5mu or 10x .h5) into a dataset folder: lossless, small, in bounded memory.

    Nothing is written at --output until everything is; an interrupted build leaves what was there as it was. The seed
    is that of the order of cells. --dry-run tells sizes, and which columns were found and why. For an --output such as
    s3://bucket/atlas the dataset is built in the folder of caches, and then sent, its manifest last.

    \b
    titin build atlas.h5ad -o dataset --dry-run
    titin build atlas.h5ad -o dataset --donor patient_id --age age_years
    titin build mice.h5ad -o dataset --age age --age-unit months
    titin build velocity.h5ad -o dataset --layers spliced,unspliced
    titin build cite_seq.h5 -o dataset --modalities prot
    titin build atlas.h5ad -o dataset --keep-all
    titin build atlas.h5ad --preset cellxgene --donors ages.csv
    titin build atlas.h5ad -o s3://bucket/atlas
    """  # noqa: D301 - \b is click's
    progress = choose_progress(quiet)
    from titin.builder import build as build_dataset
    from titin.builder import plan, terminal

    choices = {"preset": preset, "roles": roles, "donors": donors, "threads": threads, "memory": memory,
               **_choices(technology=technology, no_shuffle=no_shuffle, project=project, no_project=no_project, obs=obs,
                          obsm=obsm, **chosen)}  # fmt: skip
    if dry_run:
        print_result(plan(atlas, output, force=force, **choices), as_json, terminal.describe_plan)
        return
    report = build_dataset(atlas, output, force=force, resume=resume, cluster=cluster, progress=progress, **choices)
    print_result(terminal.report_document(report), as_json, terminal.describe_report)


def _choices(
    *, technology: str | None, no_shuffle: bool, project: str | None, no_project: bool, obs: tuple[str, ...],
    obsm: tuple[str, ...], **chosen: Any,
) -> dict[str, Any]:  # fmt: skip
    """Options of the command line as arguments of `titin.build`."""
    return {"method": technology, "shuffle": not no_shuffle, "project": () if no_project else _names(project),
            "obs": obs or None, "obsm": obsm or None, **chosen}  # fmt: skip


def _names(text: str | None) -> list[str] | None:
    """Names from ``pca,tsne``; no names from ``none``."""
    if text is None:
        return None
    return [name.strip() for name in text.split(",") if name.strip() not in ("", "none")]


_OF_BATCH = ("force", "resume", "dry-run", "threads", "memory", "json", "quiet", "debug", "storage-options", "cluster")
_PATHS = ("donors", "preset")
_ON, _OFF = ("yes", "true", "1"), ("no", "false", "0")


@click.command()
@click.argument("manifest", type=PATH, metavar="MANIFEST.csv")
@output_option("no table")
@click.option(
    "--at-once", type=click.IntRange(1), metavar="N", show_default="1, or one a worker",
    help="Sources to build at a time; those of one machine, or worker, share --threads and --memory.",
)  # fmt: skip
@click.option(
    "--anywhere", cls=ByHand, is_flag=True, help="Take paths that lead out of the folder of MANIFEST.csv."
)  # fmt: skip
@force_option
@resume_option
@cluster_option
@limit_options
@shared_options
def batch(
    manifest: Path, output: Path | None, at_once: int | None, anywhere: bool, force: bool, resume: bool,
    cluster: str | None, threads: int | None, memory: str | None, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Build a dataset of each row of MANIFEST.csv: columns source, output, and any option of `titin build` by its name.

    Paths count from the folder of MANIFEST.csv. Of an option without a value yes or no is written, of one that can be
    given several times the values with ; between; an empty field is as if the option was not given. A dataset that is
    there is skipped if its source and settings are unchanged; what fails is said, and the others go on. --output is a
    table of what came of each. Exits with 1 if one failed. With --cluster each is built whole by one of the workers,
    which have to find sources and outputs by the same paths; --threads and --memory are then those of each worker,
    its own threads and 1GiB if not given.

    \b
    source,output,cell-type,age-unit
    lund.h5ad,lund,cell_type,
    mice.h5ad,mice,class;subclass,months

    \b
    titin batch studies.csv
    titin batch studies.csv --at-once 2 --memory 2GiB -o outcomes.csv
    titin batch studies.csv --cluster tcp://host:8786
    """  # noqa: D301 - \b is click's
    progress = choose_progress(quiet)
    import time

    from titin.builder import batch as many

    began = time.perf_counter()
    if output is not None:
        many.check_table(output, force=force)
    options = {
        one.opts[-1].lstrip("-"): one for one in build.params if isinstance(one, click.Option) and not one.hidden
    }
    known = [name for name in options if name not in (*_OF_BATCH, "output")]
    rows = many.read_batch(manifest, known, _PATHS, _OF_BATCH, anywhere=anywhere)
    jobs = [many.BatchJob(row.source, row.output, _row_choices(row, options)) for row in rows]
    outcomes = many.build_many(
        jobs,
        at_once=at_once,
        force=force,
        resume=resume,
        threads=threads,
        memory=memory,
        cluster=cluster,
        progress=progress,
    )
    if output is not None:
        many.write_table(outcomes, output)
    document = many.batch_document(outcomes, time.perf_counter() - began)
    print_result(document, as_json, many.describe_batch)
    if document["failed"]:
        raise SystemExit(1)


def _row_choices(row: Any, options: dict[str, click.Option]) -> dict[str, Any]:
    """Arguments of `titin.build` of a row of a batch, JSON-safe.

    Raises
    ------
    TitinError
        If an option has a value that it cannot have.
    """
    from titin.builder.options import make_options
    from titin.dataset import layout
    from titin.errors import TitinError

    words = [word for name, text in row.options.items() for word in _words(row.where, options[name], text)]
    settings = (click.get_current_context().parent or click.get_current_context()).default_map or {}
    try:
        with build.make_context(
            "build", [str(row.source), *words], default_map=settings.get("build", {}), help_option_names=[]
        ) as context:
            given: dict[str, Any] = {
                name: list(value) if isinstance(value, tuple) else value for name, value in context.params.items()
            }
    except click.ClickException as error:
        raise TitinError(
            f"{row.where}: {error.format_message()}", "`titin build --help` tells what it takes"
        ) from error
    for name in (
        "atlas", "output", "method", "force", "resume", "dry_run", "threads", "memory", "cluster", "as_json", "quiet"
    ):  # fmt: skip
        given.pop(name, None)
    roles = {role: column for role in layout.ROLES if (column := given.pop(role))}
    donors = given.pop("donors")
    choices = {"roles": roles, **_choices(**given)}
    try:
        make_options(donors=donors, **choices)
    except TitinError as error:
        raise TitinError(f"{row.where}: {error.args[0]}", error.hint) from error
    return {"donors": None if donors is None else str(donors), **choices}


def _words(where: str, option: click.Option, text: str) -> list[str]:
    """An option and its values, from a field of a table, as in the command line."""
    from titin.errors import TitinError

    spelling = option.opts[-1]
    if not option.is_flag:
        values = [one.strip() for one in text.split(";")] if option.multiple else [text]
        return [f"{spelling}={value}" for value in values if value]
    if text.lower() not in (*_ON, *_OFF):
        raise TitinError(f"{where}: {spelling} is {text!r}", "write yes or no, or leave the field empty")
    return [spelling] if text.lower() in _ON else []


@click.command()
@dataset_or_url_argument
@click.argument("methods", nargs=-1, metavar="[pca] [harmony] [umap] [tsne] [scvi] [leiden]")
@force_option
@click.option(
    "--on", metavar="KEY", help="For harmony, umap, tsne and leiden: the projection to stand on.  [default: X_pca]"
)
@click.option("--n-comps", type=int, metavar="N", help="For pca: components.  [default: 50]")
@click.option("--which-genes", type=click.Choice(["all", "hvg"]), help="For pca.  [default: all]")
@click.option(
    "--flavor",
    type=click.Choice(["seurat", "seurat_v3"]),
    help="For pca of hvg: by normalised values or, seurat_v3, by counts.  [default: seurat]",
)
@click.option("--n-neighbors", type=int, metavar="N", help="For umap and leiden.  [default: 15]")
@click.option("--resolution", type=float, metavar="R", help="For leiden: the higher, the more clusters.  [default: 1]")
@click.option("--theta", type=float, metavar="T", help="For harmony: the higher, the more mixed.  [default: 2]")
@click.option("--min-dist", type=float, metavar="D", help="For umap: how close cells may lie.  [default: 0.5]")
@click.option("--perplexity", type=float, metavar="P", help="For tsne.  [default: 30]")
@click.option("--n-latent", type=int, metavar="N", help="For scvi: dimensions.  [default: 30]")
@click.option(
    "--n-top-genes",
    type=int,
    metavar="N",
    help="Most variable genes taken, for pca of hvg and scvi.  [default: 2000 and 10000]",
)
@click.option(
    "--batch-key", metavar="COLUMN", help="For harmony and scvi: effect to take out.  [default: the sample's column]"
)
@click.option("--max-epochs", type=int, metavar="N", help="For scvi.  [default: by the number of cells]")
@seed_option
@cluster_option
@limit_options
@shared_options
@former_option("--genes", "--which-genes", type=click.Choice(["all", "hvg"]))
def embed(
    dataset: Path | str, methods: tuple[str, ...], force: bool, which_genes: str | None, seed: int, threads: int | None,
    memory: str | None, as_json: bool, quiet: bool, cluster: str | None,
    **chosen: Any,
) -> None:  # fmt: skip
    """Compute projections of DATASET and put them into it: those named, or whichever of the three are missing.

    DATASET changes in one step when all are computed; interrupted, it is as it was. A projection that is there is
    computed again, and replaced, with --force only. Of a dataset that lies elsewhere, such as s3://bucket/atlas, a copy
    is fetched into the folder of temporary files, and what is new is sent back.

    \b
    titin embed dataset
    titin embed dataset tsne --perplexity 50 --force
    titin embed dataset umap --on X_scVI --force
    titin embed dataset pca harmony --which-genes hvg --flavor seurat_v3 --batch-key donor
    titin embed dataset leiden --on X_harmony --resolution 0.5
    """  # noqa: D301 - \b is click's
    progress = choose_progress(quiet)
    from titin.builder import add_embeddings, terminal

    parameters = terminal.parameters_by_method(methods, {**chosen, "genes": which_genes})
    done = add_embeddings(
        dataset, methods, force=force, seed=seed, threads=threads, memory=memory, cluster=cluster, progress=progress,
        **parameters,
    )  # fmt: skip
    print_result(terminal.embed_document(done), as_json, terminal.describe_embed)


@click.command()
@dataset_argument
@click.option(
    "--obs", "table", cls=ByHand, type=PATH, metavar="TABLE",
    help="CSV, TSV or Parquet: barcodes, and columns to add or to replace.",
)  # fmt: skip
@click.option(
    "--drop", cls=ByHand, multiple=True, metavar="COLUMN", help="obs column to leave out; repeat for several."
)
@donors_option
@shared_options
def relabel(
    dataset: Path, table: Path | None, drop: tuple[str, ...], donors: Path | None, as_json: bool, quiet: bool
) -> None:
    """Add, replace or drop obs columns of DATASET by barcode; no value of the matrix is touched.

    Barcodes stand in the first column of TABLE, or in one called cell_id; cells that it lacks keep what they had, and
    barcodes that no cell has are listed. Ages, roles, notes and the card follow, as a build of the relabelled atlas
    would give them. DATASET changes in one step; interrupted, it is as it was.

    \b
    titin relabel dataset --obs corrected.csv
    titin relabel dataset --obs corrected.csv --drop leiden_old
    """  # noqa: D301 - \b is click's
    progress = choose_progress(quiet)
    from titin.builder import relabel as relabel_dataset
    from titin.builder import terminal

    done = relabel_dataset(dataset, table, drop=drop, donors=donors, progress=progress)
    print_result(terminal.relabel_document(done), as_json, terminal.describe_relabel)


@click.command()
@dataset_argument
@role_options
@donors_option
@shared_options
def roles(
    dataset: Path, roles: dict[str, Any], age_unit: str | None, donors: Path | None, as_json: bool, quiet: bool
) -> None:
    """Say which obs column of DATASET plays which part, and why; or name other ones, without another build.

    A role that is not named is found again; none takes a role from every column. Ages, notes and the card follow.
    DATASET changes in one step; interrupted, it is as it was.

    \b
    titin roles dataset
    titin roles dataset --age age_at_death --donor patient_id
    titin roles dataset --age-unit months
    """  # noqa: D301 - \b is click's
    progress = choose_progress(quiet)
    from titin.builder import set_roles, terminal

    done = set_roles(dataset, roles, age_unit=age_unit, donors=donors, progress=progress)
    print_result(terminal.relabel_document(done), as_json, terminal.describe_relabel)
