"""What the commands of every room share: options that mean the same everywhere, and how results are printed."""

import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from titin.errors import TitinError

if TYPE_CHECKING:
    from titin.progress import Progress

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Command], Command]

PATH = click.Path(path_type=Path)
dataset_argument = click.argument("dataset", type=PATH)
force_option = click.option("--force", is_flag=True, help="Replace what is there.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
SEED: dict[str, Any] = {"type": int, "default": 0, "show_default": True, "envvar": "TITIN_SEED",
                        "help": "Seed of whatever is drawn at random."}  # fmt: skip
seed_option = click.option("--seed", **SEED)
licence_option = click.option(
    "--license", "licence", metavar="ID", help="Licence of the data as the Hub calls it, e.g. cc-by-4.0."
)
GMT: dict[str, Any] = {"multiple": True, "type": PATH, "metavar": "FILE",
                       "help": "GMT file of gene sets; repeat for several."}  # fmt: skip
gmt_option = click.option("--gmt", **GMT)


class SettingsGroup(click.Group):
    """A group whose settings of ``titin.toml`` are those of each of its commands."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one command, whose defaults are those of the group."""
        if ctx.default_map is not None:
            ctx.default_map.setdefault(cmd_name, dict(ctx.default_map))
        return super().get_command(ctx, cmd_name)


def output_option(default: str) -> Decorator[Any]:
    """Where to write: ``output``. The default is told as given, e.g. ``DATASET.report.html``."""
    return click.option("-o", "--output", type=PATH, show_default=default, help="File or folder to write.")


def format_option(*formats: str, default: str | None = None, also: Sequence[str] = ()) -> Decorator[Any]:
    """Format of what is written: ``file_format``, one of ``formats``; required without a default."""
    given = {"required": True} if default is None else {"default": default, "show_default": True}
    return click.option(
        "--format", *also, "file_format", type=click.Choice(formats), help="Format to write.", **given
    )  # fmt: skip


def genes_option() -> Decorator[Any]:
    """Genes by name: ``genes``, a list of names or None."""
    return click.option("--genes", metavar="GENES", callback=lambda _ctx, _option, text: read_genes(text),
                        help="Symbols or ids, separated by commas, or @FILE with one a line.")  # fmt: skip


def read_genes(text: str | None) -> list[str] | None:
    """Names from ``A,B`` or ``@FILE``; None from None.

    Raises
    ------
    TitinError
        If the file cannot be read, or no gene is named.
    """
    if text is None:
        return None
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text("utf-8").replace("\n", ",")
        except (OSError, ValueError) as error:
            hint = "give a text file, one gene a line"
            raise TitinError(f"--genes: {text[1:]} cannot be read: {error}", hint) from error
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise TitinError("--genes names no gene", "give symbols or ids, separated by commas")
    return names


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
                    click.echo(f"warning: {old} is now called {new}", err=True)
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


def choose_progress(quiet: bool) -> "Progress":
    """Progress on stderr, or none."""
    from titin.progress import Progress, make_progress

    return Progress() if quiet else make_progress(sys.stderr)


def print_result(document: Any, as_json: bool, text: Callable[[Any], str]) -> None:
    """Print a result on stdout: the document as JSON, or what ``text`` makes of it."""
    from titin.text import to_json

    click.echo(to_json(document) if as_json else text(document))
