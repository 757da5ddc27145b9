"""The command line: it parses, calls and prints; stdout is the result, stderr everything else."""

import difflib
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import click

from titin import __version__
from titin.errors import TitinError
from titin.options import (
    LazyGroup,
    choose_progress,
    limit_options,
    parameters,
    preset_option,
    print_result,
    shared_options,
)

_SETTINGS = "titin.toml"
_ORDER = ("build", "info", "export", "embed", "validate", "card", "publish", "bench", "age", "report", "demo", "doctor")


class _Commands(click.Group):
    """Show commands in the order in which they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(self.commands, key=_ORDER.index)


def _settings() -> dict[str, dict[str, Any]]:
    """Defaults of every command from ``titin.toml`` in the working directory."""
    path = Path(_SETTINGS)
    if not path.is_file():
        return {}
    try:
        settings = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise TitinError(f"{path} cannot be read: {error}", "mend it or remove it") from error
    for name in cli.commands:
        if not isinstance(settings.get(name, {}), dict):
            raise TitinError(f"{path}: {name!r} is a command, not a setting", f"put its settings under [{name}]")
    common = {k: v for k, v in settings.items() if not isinstance(v, dict)}
    plain = [command for command in cli.commands.values() if not isinstance(command, LazyGroup)]  # not to import groups
    _check_settings(common, set().union(*map(parameters, plain)), "")
    for section, own in settings.items():
        if isinstance(own, dict):
            if section not in cli.commands:
                raise TitinError(f"{path}: there is no command {section!r}", f"commands: {', '.join(cli.commands)}")
            _check_settings(own, parameters(cli.commands[section]), f" of {section}")
    return {name: {**common, **settings.get(name, {})} for name in cli.commands}


def _check_settings(settings: dict[str, Any], known: set[str], where: str) -> None:
    for name in settings:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "see `titin COMMAND --help` for what there is"
            raise TitinError(f"{_SETTINGS}: there is no setting {name!r}{where}", hint)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="titin")
def cli() -> None:
    """Turn a single-cell atlas into a dataset that machine learning can use as it is.

    Begin with `titin demo`, or with `titin build ATLAS.h5ad -o DATASET`.

    Settings: flags, then TITIN_… environment variables (TITIN_THREADS), then titin.toml in the working directory.
    Exit codes: 0 fine, 1 problems found, 2 wrong use or input, 130 interrupted.
    """


@cli.command(short_help="Build a dataset folder from an atlas.")
@click.argument("atlas", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write.  [default: TISSUE_METHOD]")
@click.option(
    "--preset", metavar="NAME|FILE", help="What is known of the atlas: a preset of titin's, or a TOML file of your own."
)
@click.option("--layer", metavar="NAME", help="Take layers[NAME] for X.")
@click.option("--raw", is_flag=True, help="Take raw.X and raw.var.")
@click.option("--tissue", help="First half of the file names.  [default: found in obs, else the file's name]")
@click.option("--method", help="Second half of the file names.  [default: 10x or scrna]")
@click.option(
    "--donors", type=click.Path(path_type=Path), metavar="TABLE", help="CSV, TSV or Parquet: donor and exact age."
)
@click.option("--cell-type", multiple=True, metavar="COLUMN", help="obs column of labels; repeat, coarsest first.")
@click.option("--donor", metavar="COLUMN", help="obs column of the donor.")
@click.option("--sample", metavar="COLUMN", help="obs column of the sample.")
@click.option("--age", metavar="COLUMN", help="obs column of the age: years, ranges such as 15-20, development stages.")
@click.option("--sex", metavar="COLUMN", help="obs column of the sex.")
@click.option("--protocol", metavar="COLUMN", help="obs column that tells cells from nuclei.")
@click.option("--chemistry", metavar="COLUMN", help="obs column of the chemistry.")
@click.option("--seed", type=int, default=0, show_default=True, envvar="TITIN_SEED", help="Order of the cells.")
@click.option("--no-shuffle", is_flag=True, help="Keep the source's order of cells.")
@click.option(
    "--project", envvar="TITIN_PROJECT", metavar="METHODS",
    help="Projections to compute where the source lacks them: pca,umap,tsne (the default), or none.",
)  # fmt: skip
@click.option("--no-project", is_flag=True, help="Compute no projection.")
@click.option("--license", "licence", metavar="ID", help="Licence of the data for the card, e.g. cc-by-4.0.")
@click.option("--allow-negative", is_flag=True, help="Keep negative values (scaled data) instead of refusing them.")
@click.option("--force", is_flag=True, help="Replace the dataset at --output.")
@click.option("--resume", is_flag=True, help="Go on from an interrupted build.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, how large, and which columns were found.")
@limit_options
@shared_options
def build(
    atlas: Path, output: Path | None, preset: str | None, donors: Path | None, cell_type: tuple[str, ...],
    no_shuffle: bool, project: str | None, no_project: bool, force: bool, resume: bool, dry_run: bool,
    threads: int | None, memory: str | None, as_json: bool, quiet: bool, debug: bool,  # noqa: ARG001
    **chosen: Any,
) -> None:  # fmt: skip
    """Turn ATLAS (.h5ad, AnnData .zarr or 10x .h5) into a dataset folder: lossless, small, in bounded memory.

    Nothing is written at --output until everything is; an interrupted build leaves what was there as it was.

    \b
    titin build atlas.h5ad -o dataset --dry-run
    titin build atlas.h5ad -o dataset --donor patient_id --age age_years
    titin build atlas.h5ad --preset cellxgene --donors ages.csv
    """
    from titin.builder import build as build_dataset
    from titin.builder import plan, summary

    roles = {r: chosen.pop(r) for r in ("donor", "sample", "age", "sex", "protocol", "chemistry")}
    choices = {"preset": preset, "roles": {"cell_type": list(cell_type), **roles}, "donors": donors,
               "shuffle": not no_shuffle, "project": () if no_project else _methods(project),
               "threads": threads, "memory": memory, **chosen}  # fmt: skip
    if dry_run:
        planned = plan(atlas, output, force=force, **choices)
        print_result(planned, as_json, summary.describe_plan)
        return
    report = build_dataset(atlas, output, force=force, resume=resume, progress=choose_progress(quiet), **choices)
    print_result(summary.report_document(report), as_json, summary.describe_report)


def _methods(text: str | None) -> list[str] | None:
    """Names from ``pca,tsne``; none from ``none``."""
    if text is None:
        return None
    return [name.strip() for name in text.split(",") if name.strip() not in ("", "none")]


@cli.command(short_help="Say what a dataset holds.")
@click.argument("dataset", type=click.Path(path_type=Path))
@shared_options
def info(dataset: Path, as_json: bool, quiet: bool, debug: bool) -> None:  # noqa: ARG001
    """Say what DATASET holds: size, files, bits per non-zero, columns by role, what was left out."""
    from titin.dataset import description as summary

    print_result(summary.document(dataset), as_json, summary.describe)


@cli.command(short_help="Add projections to a dataset, or compute them again.")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.argument("methods", nargs=-1, metavar="[pca] [umap] [tsne] [scvi]")
@click.option("--force", is_flag=True, help="Compute again what is there, and replace it.")
@click.option("--on", metavar="KEY", help="For umap and tsne: the projection to stand on.  [default: X_pca]")
@click.option("--n-comps", type=int, metavar="N", help="For pca: components.  [default: 50]")
@click.option("--genes", type=click.Choice(["all", "hvg"]), help="For pca: which ones.  [default: all]")
@click.option("--n-neighbors", type=int, metavar="N", help="For umap.  [default: 15]")
@click.option("--min-dist", type=float, metavar="D", help="For umap: how close cells may lie.  [default: 0.5]")
@click.option("--perplexity", type=float, metavar="P", help="For tsne.  [default: 30]")
@click.option("--n-latent", type=int, metavar="N", help="For scvi: dimensions.  [default: 30]")
@click.option("--n-top-genes", type=int, metavar="N", help="For scvi: most variable genes taken.  [default: 10000]")
@click.option("--batch-key", metavar="COLUMN", help="For scvi: effect to take out.  [default: the sample's column]")
@click.option("--max-epochs", type=int, metavar="N", help="For scvi.  [default: by the number of cells]")
@click.option("--seed", type=int, default=0, show_default=True, envvar="TITIN_SEED", help="Of the random numbers.")
@limit_options
@shared_options
def embed(
    dataset: Path, methods: tuple[str, ...], force: bool, seed: int, threads: int | None, memory: str | None,
    as_json: bool, quiet: bool, debug: bool,  # noqa: ARG001
    **chosen: Any,
) -> None:  # fmt: skip
    """Compute projections of DATASET and put them into it: those named, or whichever of the three are missing.

    DATASET changes in one step when all are computed; interrupted, it is as it was.

    \b
    titin embed dataset
    titin embed dataset tsne --perplexity 50 --force
    titin embed dataset umap --on X_scVI --force
    """
    from titin.builder import embed as embed_dataset
    from titin.builder import summary

    done = embed_dataset(
        dataset, methods, force=force, seed=seed, threads=threads, memory=memory, progress=choose_progress(quiet),
        **summary.parameters_by_method(methods, chosen),
    )  # fmt: skip
    print_result(summary.embed_document(done), as_json, summary.describe_embed)


@cli.command(short_help="Check a dataset, and compare it with its source.")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--source", type=click.Path(path_type=Path), metavar="ATLAS", help="Compare everything with this atlas.")
@click.option(
    "--level", type=click.Choice(["quick", "full"]), default="full", show_default=True,
    help="full reads every value; quick reads checksums and tables, but no value of the matrix.",
)  # fmt: skip
@click.option("--check", "checks", multiple=True, metavar="NAME", help="Run these checks only (matrix.panel, matrix).")
@click.option(
    "--report", type=click.Path(path_type=Path), metavar="FOLDER",
    help="Where to write the report as JSON and HTML.  [default: DATASET.validation]",
)  # fmt: skip
@click.option("--no-report", is_flag=True, help="Write no report.")
@limit_options
@shared_options
def validate(
    dataset: Path, source: Path | None, level: Any, checks: tuple[str, ...], report: Path | None, no_report: bool,
    threads: int | None, memory: str | None, as_json: bool, quiet: bool, debug: bool,  # noqa: ARG001
) -> None:  # fmt: skip
    """Check every file and value of DATASET, its metadata and biology, and how it would show on the Hub.

    \b
    titin validate dataset --source atlas.h5ad
    titin validate dataset --level quick --no-report
    titin validate dataset --check matrix --check source --source atlas.h5ad

    Exit codes: 0 no errors (there may be warnings), 1 errors found, 2 wrong use.
    """
    from titin.check import validate as validate_dataset
    from titin.check.report import render

    if report is not None and no_report:
        raise TitinError("--report and --no-report contradict each other", "give one of them")
    found = validate_dataset(
        dataset, source=source, level=level, checks=checks or None, threads=threads, memory=memory,
        progress=choose_progress(quiet),
    )  # fmt: skip
    written = (
        []
        if no_report
        else found.write(report or dataset.absolute().with_name(f"{dataset.absolute().name}.validation"))
    )
    text = "\n".join([render(found, colour=sys.stdout.isatty()), *(f"wrote {path}" for path in written)])
    print_result(found.document(), as_json, lambda _: text)
    if found.exit_code:
        raise SystemExit(found.exit_code)


@cli.command(short_help="Write the HTML report of a dataset.")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
    help="HTML file to write; a folder beside it has the numbers.  [default: DATASET.report.html]",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, envvar="TITIN_SEED", help="Of what is drawn.")
@click.option("--force", is_flag=True, help="Replace an earlier report.")
@preset_option
@limit_options
@shared_options
def report(
    dataset: Path, output: Path | None, seed: int, force: bool, preset: str | None, threads: int | None,
    memory: str | None, as_json: bool, quiet: bool, debug: bool,  # noqa: ARG001
) -> None:  # fmt: skip
    """Write what DATASET holds and what changes with age into one HTML file, with a CSV for each figure beside it.

    \b
    titin report dataset
    titin report dataset -o report.html --force
    """
    from titin.report import write_report
    from titin.report.write import describe_report, document_of_report

    done = write_report(
        dataset, output, seed=seed, force=force, threads=threads, memory=memory, preset=preset,
        progress=choose_progress(quiet),
    )  # fmt: skip
    print_result(document_of_report(done), as_json, describe_report)


@cli.command(short_help="Write the dataset card, and what goes with it.")
@click.argument("dataset", type=click.Path(path_type=Path))
@preset_option
@click.option("--license", "licence", metavar="ID", help="Licence of the data as the Hub calls it, e.g. cc-by-4.0.")
@click.option(
    "--images/--no-images", default=None, help="Pictures of the cells.  [default: if matplotlib is installed]"
)
@click.option("--croissant/--no-croissant", default=True, show_default=True, help="Write croissant.json.")
@shared_options
def card(
    dataset: Path, preset: str | None, licence: str | None, images: bool | None, croissant: bool,
    as_json: bool, quiet: bool, debug: bool,  # noqa: ARG001
) -> None:  # fmt: skip
    """Write README.md, croissant.json, LICENSE and pictures into DATASET, every number computed from its files.

    \b
    titin card dataset --license cc-by-4.0
    titin card dataset --preset mine.toml --no-images
    """
    from titin.publish import write_card
    from titin.publish.terminal import describe_card, document_of_card

    written = write_card(dataset, preset=preset, licence=licence, images=images, croissant=croissant)
    print_result(document_of_card(written), as_json, describe_card)


@cli.command(short_help="Put a dataset on the Hugging Face Hub.")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.argument("repo", metavar="USER/REPO")
@click.option("--dry-run", is_flag=True, help="List files, checksums, configs and findings; do not reach for the Hub.")
@click.option("--private", is_flag=True, help="Create a private repository.")
@click.option("--revision", default="main", show_default=True, metavar="BRANCH", help="Branch to commit to.")
@click.option("--tag", metavar="NAME", help="Name for this version.")
@click.option("--message", metavar="TEXT", help="Of the commit.")
@click.option("--license", "licence", metavar="ID", help="Licence of the data.  [default: that of the card]")
@click.option("--exact-ages", is_flag=True, help="Publish exact ages instead of bins of five years.")
@click.option("--allow", multiple=True, metavar="COLUMN", help="A column that looks like an identifier and is none.")
@limit_options
@shared_options
def publish(
    dataset: Path, repo: str, dry_run: bool, private: bool, revision: str, tag: str | None, message: str | None,
    licence: str | None, exact_ages: bool, allow: tuple[str, ...],
    threads: int | None, memory: str | None, as_json: bool, quiet: bool, debug: bool,  # noqa: ARG001
) -> None:  # fmt: skip
    """Check DATASET and put it on the Hub as USER/REPO; interrupted, the same command goes on.

    Refuses if the validation finds errors, if no licence is stated, or if obs holds direct identifiers. DATASET itself
    is not changed. The token is that of `hf auth login`, or HF_TOKEN.

    \b
    titin publish dataset me/atlas --dry-run
    titin publish dataset me/atlas --license cc-by-4.0 --tag v1
    """
    from titin.publish import publish as publish_dataset
    from titin.publish.terminal import describe_publication, document_of_publication

    done = publish_dataset(
        dataset, repo, dry_run=dry_run, private=private, revision=revision, tag=tag, message=message, licence=licence,
        exact_ages=exact_ages, allow=allow, threads=threads, memory=memory, progress=choose_progress(quiet),
    )  # fmt: skip
    print_result(document_of_publication(done), as_json, describe_publication)
    if done.refusals:
        raise SystemExit(1)


@cli.command(name="export", short_help="Write a dataset in another format.")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--to", "to", required=True, type=click.Choice(["h5ad", "zarr", "mtx", "wide"]), help="Format to write.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="File or folder.  [default: named after the dataset]"
)
@click.option(
    "--counts/--values", default=None, help="Integer counts, or the source's values.  [default: counts for mtx]"
)
@click.option(
    "--genes", metavar="GENES", help="For wide: symbols or ids, separated by commas, or @FILE with one a line."
)
@click.option("--compression", type=click.Choice(["gzip", "lzf"]), help="Of an .h5ad.  [default: none]")
@click.option("--force", is_flag=True, help="Replace what is at --output.")
@limit_options
@shared_options
def export_(
    dataset: Path, to: str, output: Path | None, counts: bool | None, genes: str | None, compression: str | None,
    force: bool, threads: int | None, memory: str | None, as_json: bool, quiet: bool, debug: bool,  # noqa: ARG001
) -> None:  # fmt: skip
    """Write DATASET as AnnData (h5ad, zarr), a 10x folder (mtx) or a wide table, in the order of its source."""
    from titin.exporter import export

    path = export(
        dataset, to, output, counts=counts, genes=_genes(genes), compression=compression, force=force,
        threads=threads, memory=memory, progress=choose_progress(quiet),
    )  # fmt: skip
    print_result({"schema_version": 1, "path": str(path), "format": to}, as_json, lambda d: f"wrote {d['path']}")


def _genes(text: str | None) -> list[str] | None:
    """Names from ``A,B`` or ``@file``."""
    if text is None:
        return None
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text("utf-8").replace("\n", ",")
        except (OSError, ValueError) as error:
            raise TitinError(
                f"--genes: {text[1:]} cannot be read: {error}", "give a text file, one gene a line"
            ) from error
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise TitinError("--genes names no gene", "give symbols or ids, separated by commas")
    return names


@cli.command(short_help="Compare models on a dataset, with donors held out.")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--task", "tasks", multiple=True, metavar="NAME", help="age, cell_type, sex, protocol, obs:COLUMN …")
@click.option("--model", "models", multiple=True, metavar="NAME", help="model, model@features, package.module:NAME.")
@click.option("--split", "splits", multiple=True, metavar="NAME", help="donor_kfold, cells_to_nuclei …; see --list.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write.  [default: DATASET.benchmark]")
@click.option("--list", "listing", is_flag=True, help="Say which tasks, models and splits there are, and stop.")
@click.option("--learning-curve", is_flag=True, help="Also train on fewer donors.")
@click.option("--clustering", is_flag=True, help="Also cluster the projections.")
@click.option(
    "--gmt",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Further gene sets to hold the genes of clocks against. May be repeated.",
)
@click.option("--no-figures", is_flag=True, help="Draw no figures.")
@click.option("--permutations", type=click.IntRange(0), default=1000, show_default=True, help="Of donors, for p.")
@click.option("--min-donors", type=click.IntRange(2), default=3, show_default=True, help="Donors that a class needs.")
@click.option("--min-cells", type=click.IntRange(1), default=20, show_default=True, help="Cells that a class needs.")
@click.option("--seed", type=int, default=0, show_default=True, envvar="TITIN_SEED", help="Of the random numbers.")
@preset_option
@limit_options
@shared_options
def bench(
    dataset: Path, tasks: tuple[str, ...], models: tuple[str, ...], splits: tuple[str, ...], output: Path | None,
    listing: bool, files: tuple[Path, ...], no_figures: bool, min_donors: int, min_cells: int, threads: int | None,
    memory: str | None,
    as_json: bool, quiet: bool, debug: bool,  # noqa: ARG001
    **chosen: Any,
) -> None:  # fmt: skip
    """Train models on DATASET and test them on donors they have not seen, beside baselines.

    Writes predictions, scores, leaderboard.md and figures; what is there already, made of the same, is kept.

    \b
    titin bench dataset
    titin bench dataset --task age --model ridge --model boosting@gene_sets
    titin bench dataset --task cell_type --model mypackage.models:MyModel
    """
    from titin.features import read_gmt
    from titin.learn import Rules, run_benchmark
    from titin.learn.summary import describe, describe_choices, document, list_choices

    if listing:
        print_result(list_choices(dataset), as_json, describe_choices)
        return
    sets = {name: own.genes for file in files for name, own in read_gmt(file).items()}
    done = run_benchmark(
        dataset, output, gene_sets=sets, tasks=tasks, models=models, splits=splits, figures=not no_figures,
        rules=Rules(min_donors, min_cells), threads=threads, memory=memory, progress=choose_progress(quiet), **chosen,
    )  # fmt: skip
    print_result(document(done) if as_json else {}, as_json, lambda _: describe(done))


@cli.command(short_help="Make and build a small muscle atlas to try things on.")
@click.argument("folder", type=click.Path(path_type=Path), default="demo")
@click.option("--cells", type=click.IntRange(200, 200_000), default=3000, show_default=True, help="Cells to make.")
@click.option("--genes", type=click.IntRange(150, 3200), default=3000, show_default=True, help="Genes to make.")
@click.option("--seed", type=int, default=0, show_default=True, envvar="TITIN_SEED", help="Of the random numbers.")
@click.option("--force", is_flag=True, help="Replace an earlier demo.")
@limit_options
@shared_options
def demo(
    folder: Path, cells: int, genes: int, seed: int, force: bool, threads: int | None, memory: str | None,
    as_json: bool, quiet: bool, debug: bool,  # noqa: ARG001
) -> None:  # fmt: skip
    """Make a small synthetic muscle atlas in FOLDER (real donors, labels and genes; drawn counts) and build it."""
    from titin.builder import summary
    from titin.demo import make_demo, next_steps

    report = make_demo(
        folder, n_cells=cells, n_genes=genes, seed=seed, force=force, threads=threads, memory=memory,
        progress=choose_progress(quiet),
    )  # fmt: skip
    document = summary.report_document(report)
    print_result(document, as_json, lambda d: f"{summary.describe_report(d)}\n\n{next_steps(folder, report)}")


@cli.command(short_help="Say what titin runs on.")
@shared_options
def doctor(as_json: bool, quiet: bool, debug: bool) -> None:  # noqa: ARG001
    """Say what titin runs on, and check that it can work: versions, processors, memory, disk, kernels."""
    from titin import doctor as checks

    document = checks.examine()
    print_result(document, as_json, checks.describe)
    if document["problems"]:
        raise SystemExit(1)


cli.add_command(LazyGroup("age", "titin.ageing.commands:age", help="Say what changes with age, over donors."))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    try:
        cli.main(arguments, standalone_mode=False, default_map=_settings())
    except TitinError as error:
        _fail(str(error.args[0]), error.hint, error.exit_code, debug)
    except (KeyboardInterrupt, click.exceptions.Abort):  # click makes the one of the other
        hint = "`titin build … --resume` goes on from the steps that were finished"
        _fail("interrupted", hint if arguments[:1] == ["build"] else None, 130, False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show(sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        _fail(str(error), "check the path and its permissions; --debug shows where it happened", 2, debug)
    except MemoryError as error:
        _fail(f"out of memory: {error}", "give a smaller --memory, or close other programs", 2, debug)


def _fail(message: str, hint: str | None, code: int, debug: bool) -> None:
    if debug:
        import traceback

        traceback.print_exc()
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(message, err=True)
    if hint:
        click.echo(f"  {hint}", err=True)
    sys.exit(code)
