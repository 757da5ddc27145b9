"""What the commands of every room share: options that mean the same everywhere, and how results are printed."""

import functools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from titin.console import say
from titin.errors import TitinError
from titin.files import is_url, local_folder, local_path, read_text
from titin.masking import mask
from titin.visible import visible_document

if TYPE_CHECKING:
    from titin.progress import Progress

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Command], Command]


class ByHand(click.Option):
    """An option that no ``titin.toml`` sets, as the file may have come with a stranger's folder.

    Of what replaces files, names code to run, or lets something pass that would be refused.
    """


class LocalPath(click.Path):
    """A path, also as a ``file://`` URL, of which a path would be another one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path.

        Raises
        ------
        TitinError
            If it is a URL of another machine.
        """
        return super().convert(local_path(value), param, ctx)


PATH = LocalPath(path_type=Path)


class OutputPath(click.Path):
    """A place to write to: a path; or also a URL, of which a path would lose one of two slashes."""

    def __init__(self, *, anywhere: bool) -> None:
        super().__init__(path_type=Path)
        self._anywhere = anywhere

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or the URL as it is.

        Raises
        ------
        TitinError
            If it is a URL and what is written cannot go there.
        """
        if not is_url(value):
            return super().convert(local_path(value), param, ctx)
        if str(value).startswith("memory://"):
            raise TitinError(f"{mask(value)} would be gone when this command ends", "give a folder, or s3://…")
        if self._anywhere:
            return str(value)
        raise TitinError(f"{mask(value)} is not on this machine, where this is written", "give a folder or a file")


class DatasetParameter(click.ParamType):
    """A folder; or also a URL as `titin.open` takes it, of which a path would lose one of two slashes."""

    name = "dataset"

    def __init__(self, *, anywhere: bool) -> None:
        self._anywhere = anywhere

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:  # noqa: ARG002
        """Return the URL as it is, or the path of a folder."""
        return str(value) if self._anywhere and is_url(value) else local_folder(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """Have the shell complete the names of folders."""
        return [CompletionItem(incomplete, type="dir")]


dataset_argument = click.argument("dataset", type=DatasetParameter(anywhere=False))


def _give_storage_options(context: click.Context, _option: click.Parameter, texts: Sequence[str]) -> None:
    """Hold what was given until the command ends."""
    from titin.storage import give_storage_options, read_storage_options

    give_storage_options(read_storage_options(texts))
    context.call_on_close(lambda: give_storage_options(None))


storage_option = click.option(
    "--storage-options", cls=ByHand, multiple=True, metavar="KEY=VALUE|JSON", expose_value=False,
    callback=_give_storage_options, is_eager=True,
    help="Of storage behind a URL: endpoint, anonymous, requester_pays, or any of its own; repeat for several.",
)  # fmt: skip


def dataset_or_url_argument(command: Command) -> Command:
    """The argument of what reads a dataset anywhere: ``dataset``; with the options of its storage."""
    return click.argument("dataset", type=DatasetParameter(anywhere=True))(storage_option(command))


force_option = click.option("--force", cls=ByHand, is_flag=True, help="Replace what is there.")
tissue_option = click.option("--tissue", help="First half of the file names.  [default: that of the source]")
technology_option = click.option(
    "--technology", help="Second half of the file names.  [default: that of the source, else scrna]"
)
resume_option = click.option("--resume", cls=ByHand, is_flag=True, help="Go on from an interrupted run.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
follow_links_option = click.option(
    "--follow-links", cls=ByHand, is_flag=True,
    help="Read what the atlas draws from other files, by symbolic links in it or links of HDF5.",
)  # fmt: skip
SEED: dict[str, Any] = {"type": int, "default": 0, "show_default": True, "envvar": "TITIN_SEED",
                        "help": "Seed of whatever is drawn at random."}  # fmt: skip
seed_option = click.option("--seed", **SEED)
LEVEL: dict[str, Any] = {"metavar": "LEVEL", "help": "Level of cell types, by column or place."}
levels_option = click.option(
    "--cell-type-level",
    "levels",
    multiple=True,
    show_default="coarsest; repeat for several, all for every level",
    **LEVEL,
)
licence_option = click.option(
    "--license", "licence", cls=ByHand, metavar="ID", help="Licence of the data as the Hub calls it, e.g. cc-by-4.0."
)
GMT: dict[str, Any] = {"multiple": True, "type": PATH, "metavar": "FILE",
                       "help": "GMT file of gene sets; repeat for several."}  # fmt: skip
WHERE: dict[str, Any] = {"multiple": True, "metavar": "CONDITION",
                         "help": "Only cells of which it holds, e.g. sex=M, annotation=A,B, age=20..40, batch!=3; "
                                 "joined by and, or, not and brackets; repeat for several."}  # fmt: skip
WITHOUT_FLAGGED: dict[str, Any] = {"is_flag": True, "help": "Leave out cells whose label titin annotate contradicts."}
gmt_option = click.option("--gmt", **GMT)


def class_options(command: Command, *, cells: int) -> Command:
    """Options of what is learnt of classes: ``class_donors`` and ``class_cells`` that one needs."""
    donors = click.option("--class-donors", type=click.IntRange(2), default=3, show_default=True,
                          help="Donors that a class needs.")  # fmt: skip
    return donors(click.option("--class-cells", type=click.IntRange(1), default=cells, show_default=True,
                               help="Cells that a class needs.")(command))  # fmt: skip


class SettingsGroup(click.Group):
    """A group whose settings of ``titin.toml`` are those of each of its commands."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one command, whose defaults are those of the group."""
        if ctx.default_map is not None:
            ctx.default_map.setdefault(cmd_name, dict(ctx.default_map))
        return super().get_command(ctx, cmd_name)


def output_option(default: str, *, anywhere: bool = False) -> Decorator[Any]:
    """Where to write: ``output``. The default is told as given, e.g. ``DATASET.report.html``.

    A URL is taken where what is written can go ``anywhere``.
    """
    return click.option(
        "-o", "--output", type=OutputPath(anywhere=anywhere), show_default=default, help="File or folder to write."
    )


def format_option(*formats: str, default: str | None = None, also: Sequence[str] = ()) -> Decorator[Any]:
    """Format of what is written: ``file_format``, one of ``formats``; required without a default."""
    given = {"required": True} if default is None else {"default": default, "show_default": True}
    return click.option(
        "--format", *also, "file_format", type=click.Choice(formats), help="Format to write.", **given
    )  # fmt: skip


def genes_option(*, also: Sequence[str] = ()) -> Decorator[Any]:
    """Genes by name: ``genes``, a list of names or None."""
    return click.option(
        *also, "--genes", "genes", metavar="GENES", callback=lambda _ctx, _option, text: read_genes(text),
        help="Symbols or ids, separated by commas, or a text file with one a line, FILE.txt or @FILE.",
    )  # fmt: skip


def read_genes(text: str | None, option: str = "--genes") -> list[str] | None:
    """Names from ``A,B``, ``@FILE`` or ``FILE.txt``; None from None.

    Raises
    ------
    TitinError
        If the file cannot be read, or no gene is named.
    """
    if text is None:
        return None
    if text.startswith("@") or _names_file(text):
        path = text.removeprefix("@")
        try:
            text = read_text(path).replace("\n", ",")
        except (OSError, ValueError) as error:
            hint = "give a text file, one gene a line"
            raise TitinError(f"{option}: {path} cannot be read: {error}", hint) from error
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise TitinError(f"{option} names no gene", "give symbols or ids, separated by commas")
    return names


def _names_file(text: str) -> bool:
    """Whether it is the name of a text file, or the path of any that is there, and not of a gene."""
    try:
        return text.lower().endswith((".txt", ".csv", ".tsv")) or (Path(text).name != text and Path(text).is_file())
    except ValueError:  # no path can be this
        return False


_DEBUG = "Show a traceback when something fails."


def _remember(context: click.Context, option: click.Parameter, value: bool) -> None:
    context.meta[f"titin.{option.name}"] = value


def is_debugging() -> bool:
    """Whether the command that runs was given ``--debug``."""
    return bool(click.get_current_context().meta.get("titin.debug"))


def shared_options(command: Command) -> Command:
    """Options that every command has: ``as_json``, ``quiet``; and ``--debug``: see `is_debugging`, `titin.cli.main`."""
    for option in (
        click.option("--debug", is_flag=True, expose_value=False, callback=_remember, help=_DEBUG),
        click.option("-q", "--quiet", is_flag=True, help="Say nothing on stderr but errors."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text."),
    ):
        command = option(command)
    return command


def limit_options(command: Command, *, memory: str = "1GiB") -> Command:
    """Options of what works through a dataset: ``threads``, ``memory`` with the default that is told."""
    memory_option = click.option(
        "--memory", envvar="TITIN_MEMORY", metavar="SIZE", show_default=memory,
        help="Memory to stay within, e.g. 2GiB.",
    )  # fmt: skip
    threads_option = click.option(
        "--threads", envvar="TITIN_THREADS", type=int, metavar="N", show_default="all processors",
        help="Threads to use.",
    )  # fmt: skip
    return memory_option(threads_option(command))


cluster_option = click.option(
    "--cluster", cls=ByHand, envvar="TITIN_CLUSTER", metavar="ADDRESS",
    help="Dask scheduler whose workers do the work, e.g. tcp://host:8786.  [default: threads of this process]",
)  # fmt: skip


def former_option(
    old: str, new: str, *, name: str | None = None, target: str | None = None, **settings: Any
) -> Decorator[Any]:
    """Take an option under the name that it had before, and say what it is called now.

    Parameters
    ----------
    old, new
        Spellings, e.g. ``--report`` and ``--output``.
    name, target
        Of the two as keywords, where they are not called as they are spelled.
    **settings
        As for the new option, e.g. its type.
    """
    taken = name or old.lstrip("-").replace("-", "_")
    passed = target or new.lstrip("-").replace("-", "_")

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def renamed(**given: Any) -> Any:
            value = given.pop(taken)
            if value is not None:
                if not given.get("quiet"):
                    say(f"warning: {old} is now called {new}", err=True)
                given[passed] = value
            return command(**given)

        return click.option(old, taken, hidden=True, **settings)(renamed)

    return decorate


def preset_option(command: Command, *, default: str = "that of the dataset") -> Command:
    """The option of what depends on what is known of an atlas: ``preset``, a name or a file."""
    return click.option(
        "--preset", metavar="NAME|FILE", show_default=default,
        help="What is known of the atlas: a preset of titin's, or a TOML file of your own.",
    )(command)  # fmt: skip


network_option = click.option(
    "--network", "network_file", type=PATH, metavar="FILE",
    help="Known network, such as CollecTRI's: a table of source, target and weight.",
)  # fmt: skip
donors_option = click.option("--donors", type=PATH, metavar="TABLE", help="CSV, TSV or Parquet: donor and exact age.")
_ROLES = {
    "donor": "obs column of the donor; none for no donor, as for every role.",
    "sample": "obs column of the sample.",
    "age": "obs column of the age: numbers, ranges (15-20), development stages.",
    "sex": "obs column of the sex.",
    "protocol": "obs column that tells cells from nuclei.",
    "chemistry": "obs column of the chemistry.",
    "study": "obs column of the study, where there are several.",
}


def role_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that name the column of each role: ``roles``, those that were given; and ``age_unit``."""
    options = [click.option("--cell-type", multiple=True, metavar="COLUMN",
                            help="obs column of labels; repeat, coarsest first.")]  # fmt: skip
    for role, said in _ROLES.items():
        options.append(click.option(f"--{role}", metavar="COLUMN", help=said))
        if role == "age":
            options.append(click.option(
                "--age-unit", type=click.Choice(["years", "months", "weeks", "days"]), metavar="UNIT",
                help="Of ages that have none: years, months, weeks or days.  "
                "[default: by the column's name, else years]",
            ))  # fmt: skip

    @functools.wraps(command)
    def gathered(**given: Any) -> Any:
        roles = {"cell_type": list(given.pop("cell_type")), **{role: given.pop(role) for role in _ROLES}}
        return command(roles={role: column for role, column in roles.items() if column}, **given)

    decorated: Callable[..., Any] = gathered
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def choose_progress(quiet: bool) -> "Progress":
    """Progress on stderr until the command ends, or none."""
    from titin.progress import Progress, watched

    if quiet:
        return Progress()
    _say_without_cluster(click.get_current_context())
    progress = watched(sys.stderr)
    click.get_current_context().call_on_close(progress.close)
    return progress


def _say_without_cluster(context: click.Context) -> None:
    if os.environ.get("TITIN_CLUSTER") and not any(option.name == "cluster" for option in context.command.params):
        said = "uses no cluster: it runs in threads of this machine, whatever TITIN_CLUSTER says"
        say(f"{context.command_path} {said}", err=True)


def print_result(document: Any, as_json: bool, text: Callable[[Any], str]) -> None:
    """Print a result on stdout: the document as JSON, or what ``text`` makes of it, its names visible."""
    from titin.text import to_json

    say(to_json(document) if as_json else text(visible_document(document)))
