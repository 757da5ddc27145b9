"""The command line: it parses, calls and prints; stdout is the result, stderr everything else."""

import difflib
import json
import os
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titin import __version__
from titin.errors import TitinError

if TYPE_CHECKING:
    from titin.progress import Progress

_SETTINGS = "titin.toml"


class _Commands(click.Group):
    """Show commands in the order in which they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.commands)


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
    known = {name: {str(p.name) for p in command.params} for name, command in cli.commands.items()}
    _check_settings(common, set().union(*known.values()), "")
    for section, own in settings.items():
        if isinstance(own, dict):
            if section not in known:
                raise TitinError(f"{path}: there is no command {section!r}", f"commands: {', '.join(known)}")
            _check_settings(own, known[section], f" of {section}")
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


def _shared(command: Callable[..., None]) -> Callable[..., None]:
    """Options that every command has."""
    for option in (
        click.option("--debug", is_flag=True, help="Show a traceback when something fails."),
        click.option("-q", "--quiet", is_flag=True, help="Say nothing on stderr but errors."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text."),
    ):
        command = option(command)
    return command


def _limits(command: Callable[..., None]) -> Callable[..., None]:
    memory = click.option(
        "--memory", envvar="TITIN_MEMORY", metavar="SIZE", help="Memory to stay within, e.g. 2GiB.  [default: 1GiB]"
    )
    threads = click.option(
        "--threads", envvar="TITIN_THREADS", type=int, metavar="N", help="Threads to use.  [default: all processors]"
    )
    return memory(threads(command))


def _progress(quiet: bool) -> "Progress":
    from titin.progress import Progress, make_progress

    return Progress() if quiet else make_progress(sys.stderr)


def _print(document: Any, as_json: bool, text: Callable[[Any], str]) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False) if as_json else text(document))


@cli.command(short_help="Build a dataset folder from an atlas.")
@click.argument("atlas", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write.  [default: TISSUE_METHOD]")
@click.option("--preset", help="Choices for a published atlas: muscle.")
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
    "--no-project", is_flag=True, help="Compute no projection that the source lacks. [this version computes none]"
)
@click.option("--allow-negative", is_flag=True, help="Keep negative values (scaled data) instead of refusing them.")
@click.option("--force", is_flag=True, help="Replace the dataset at --output.")
@click.option("--resume", is_flag=True, help="Go on from an interrupted build.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, how large, and which columns were found.")
@_limits
@_shared
def build(
    atlas: Path, output: Path | None, preset: str | None, donors: Path | None, cell_type: tuple[str, ...],
    no_shuffle: bool, no_project: bool, force: bool, resume: bool, dry_run: bool,  # noqa: ARG001
    threads: int | None, memory: str | None, as_json: bool, quiet: bool, debug: bool,  # noqa: ARG001
    **chosen: Any,
) -> None:  # fmt: skip
    """Turn ATLAS (.h5ad, AnnData .zarr or 10x .h5) into a dataset folder: lossless, small, in bounded memory.

    Nothing is written at --output until everything is; an interrupted build leaves what was there as it was.

    \b
    titin build atlas.h5ad -o dataset --dry-run
    titin build atlas.h5ad -o dataset --donor patient_id --age age_years
    titin build SKM_human_pp_cells2nuclei.h5ad --preset muscle --donors ages.csv
    """
    from titin.build import build as build_dataset
    from titin.build import plan, summary

    roles = {r: chosen.pop(r) for r in ("donor", "sample", "age", "sex", "protocol", "chemistry")}
    choices = {"preset": preset, "roles": {"cell_type": list(cell_type), **roles}, "donors": donors,
               "shuffle": not no_shuffle, "threads": threads, "memory": memory, **chosen}  # fmt: skip
    if dry_run:
        planned = plan(atlas, output, force=force, **choices)
        _print(planned, as_json, summary.describe_plan)
        return
    report = build_dataset(atlas, output, force=force, resume=resume, progress=_progress(quiet), **choices)
    _print(summary.report_document(report), as_json, summary.describe_report)


@cli.command(short_help="Say what a dataset holds.")
@click.argument("dataset", type=click.Path(path_type=Path))
@_shared
def info(dataset: Path, as_json: bool, quiet: bool, debug: bool) -> None:  # noqa: ARG001
    """Say what DATASET holds: size, files, bits per non-zero, columns by role, what was left out."""
    from titin.dataset import summary

    _print(summary.document(dataset), as_json, summary.describe)


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
@_limits
@_shared
def export_(
    dataset: Path, to: str, output: Path | None, counts: bool | None, genes: str | None, compression: str | None,
    force: bool, threads: int | None, memory: str | None, as_json: bool, quiet: bool, debug: bool,  # noqa: ARG001
) -> None:  # fmt: skip
    """Write DATASET as AnnData (h5ad, zarr), a 10x folder (mtx) or a wide table, in the order of its source."""
    from titin.atlas import export

    path = export(
        dataset, to, output, counts=counts, genes=_genes(genes), compression=compression, force=force,
        threads=threads, memory=memory, progress=_progress(quiet),
    )  # fmt: skip
    _print({"schema_version": 1, "path": str(path), "format": to}, as_json, lambda d: f"wrote {d['path']}")


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


@cli.command(short_help="Make and build a small muscle atlas to try things on.")
@click.argument("folder", type=click.Path(path_type=Path), default="demo")
@click.option("--cells", type=click.IntRange(200, 200_000), default=3000, show_default=True, help="Cells to make.")
@click.option("--genes", type=click.IntRange(150, 3200), default=3000, show_default=True, help="Genes to make.")
@click.option("--seed", type=int, default=0, show_default=True, envvar="TITIN_SEED", help="Of the random numbers.")
@click.option("--force", is_flag=True, help="Replace an earlier demo.")
@_limits
@_shared
def demo(
    folder: Path, cells: int, genes: int, seed: int, force: bool, threads: int | None, memory: str | None,
    as_json: bool, quiet: bool, debug: bool,  # noqa: ARG001
) -> None:  # fmt: skip
    """Make a small synthetic muscle atlas in FOLDER (real donors, labels and genes; drawn counts) and build it."""
    from titin.build import summary
    from titin.demo import make_demo

    report = make_demo(
        folder, n_cells=cells, n_genes=genes, seed=seed, force=force, threads=threads, memory=memory,
        progress=_progress(quiet),
    )  # fmt: skip
    document = summary.report_document(report)
    _print(document, as_json, lambda d: f"{summary.describe_report(d)}\n\n{summary.next_steps(folder, report)}")


@cli.command(short_help="Say what titin runs on.")
@_shared
def doctor(as_json: bool, quiet: bool, debug: bool) -> None:  # noqa: ARG001
    """Say what titin runs on, and check that it can work: versions, processors, memory, disk, kernels."""
    from titin import doctor as checks

    document = checks.examine()
    _print(document, as_json, checks.describe)
    if document["problems"]:
        raise SystemExit(1)


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
