"""What the commands of every room share: options, how results are printed, and groups that are imported when used."""

import importlib
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from titin.progress import Progress


class LazyGroup(click.Group):
    """A group of commands whose module is imported when one of them is asked for.

    Parameters
    ----------
    name
        As typed.
    home
        ``module:group``, the click group that holds the commands.
    **settings
        As for `click.Group`.
    """

    def __init__(self, name: str, home: str, **settings: Any) -> None:
        super().__init__(name, **settings)
        self._home = home

    def _load(self) -> click.Group:
        module, _, group = self._home.partition(":")
        found: click.Group = getattr(importlib.import_module(module), group)
        return found

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names of the commands, in the order in which they were added."""
        return list(self._load().commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one command, whose settings are those of the group."""
        if ctx.default_map is not None:
            ctx.default_map.setdefault(cmd_name, dict(ctx.default_map))
        return self._load().get_command(ctx, cmd_name)


def parameters(command: click.Command) -> set[str]:
    """Names of what can be given to a command, or to any command of a group."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        inner = [command.get_command(context, name) for name in command.list_commands(context)]
        return set().union(*(parameters(one) for one in inner if one is not None))
    return {str(parameter.name) for parameter in command.params}


def shared_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options that every command has: ``as_json``, ``quiet``, ``debug``."""
    for option in (
        click.option("--debug", is_flag=True, help="Show a traceback when something fails."),
        click.option("-q", "--quiet", is_flag=True, help="Say nothing on stderr but errors."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text."),
    ):
        command = option(command)
    return command


def limit_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options of what works through a dataset: ``threads``, ``memory``."""
    memory = click.option(
        "--memory", envvar="TITIN_MEMORY", metavar="SIZE", help="Memory to stay within, e.g. 2GiB.  [default: 1GiB]"
    )
    threads = click.option(
        "--threads", envvar="TITIN_THREADS", type=int, metavar="N", help="Threads to use.  [default: all processors]"
    )
    return memory(threads(command))


def preset_option(command: Callable[..., None]) -> Callable[..., None]:
    """The option of what depends on what is known of an atlas: ``preset``, a name or a file."""
    return click.option(
        "--preset", metavar="NAME|FILE", help="What is known of the atlas: a preset of titin's, or a TOML file of your "
        "own.  [default: that of the dataset]",
    )(command)  # fmt: skip


def choose_progress(quiet: bool) -> "Progress":
    """Progress on stderr, or none."""
    from titin.progress import Progress, make_progress

    return Progress() if quiet else make_progress(sys.stderr)


def print_result(document: Any, as_json: bool, text: Callable[[Any], str]) -> None:
    """Print a result on stdout: the document as JSON, or what ``text`` makes of it."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False) if as_json else text(document))
