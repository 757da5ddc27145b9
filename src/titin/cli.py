"""The command line: it lists the rooms' commands, reads settings and turns errors into exit codes.

stdout is the result, stderr everything else.
"""

import difflib
import importlib
import os
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from titin import __version__
from titin.errors import TitinError

_SETTINGS = "titin.toml"

# name: where it is, and what the list says of it; in the order in which they are needed
COMMANDS = {
    "build": ("titin.builder.commands:build", "Build a dataset folder from an atlas."),
    "info": ("titin.dataset.commands:info", "Say what a dataset holds."),
    "export": ("titin.exporter.commands:export", "Write a dataset in another format."),
    "embed": ("titin.builder.commands:embed", "Add projections to a dataset, or compute them again."),
    "validate": ("titin.check.commands:validate", "Check a dataset, and compare it with its source."),
    "card": ("titin.publish.commands:card", "Write the dataset card, and what goes with it."),
    "publish": ("titin.publish.commands:publish", "Put a dataset on the Hugging Face Hub."),
    "bench": ("titin.learn.commands:bench", "Compare models on a dataset, with donors held out."),
    "age": ("titin.ageing.commands:age", "Say what changes with age, over donors."),
    "report": ("titin.report.commands:report", "Write the HTML report of a dataset."),
    "demo": ("titin.demo.commands:demo", "Make and build a small muscle atlas to try things on."),
    "doctor": ("titin.doctor:doctor", "Say what titin runs on."),
}


class _Commands(click.Group):
    """The commands of `COMMANDS`, each imported when it is asked for and not to be listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        return _load(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


def _load(name: str) -> click.Command:
    module, _, attribute = COMMANDS[name][0].partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    return command


def _settings() -> dict[str, dict[str, Any]]:
    """Defaults of every command from ``titin.toml`` in the working directory."""
    path = Path(_SETTINGS)
    if not path.is_file():
        return {}
    try:
        settings = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise TitinError(f"{path} cannot be read: {error}", "mend it or remove it") from error
    for name in COMMANDS:
        if not isinstance(settings.get(name, {}), dict):
            raise TitinError(f"{path}: {name!r} is a command, not a setting", f"put its settings under [{name}]")
    common = {k: v for k, v in settings.items() if not isinstance(v, dict)}
    _check_settings(common, COMMANDS, "")
    for section, own in settings.items():
        if isinstance(own, dict):
            if section not in COMMANDS:
                raise TitinError(f"{path}: there is no command {section!r}", f"commands: {', '.join(COMMANDS)}")
            _check_settings(own, [section], f" of {section}")
    return {name: {**common, **settings.get(name, {})} for name in COMMANDS}


def _check_settings(settings: Iterable[str], commands: Iterable[str], where: str) -> None:
    """Refuse what is an option of none of the commands, which are imported one by one until all settings are known."""
    unknown, known = set(settings), set[str]()
    for command in commands:
        if not unknown:
            return
        known |= _parameters(_load(command))
        unknown -= known
    for name in unknown:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "see `titin COMMAND --help` for what there is"
        raise TitinError(f"{_SETTINGS}: there is no setting {name!r}{where}", hint)


def _parameters(command: click.Command) -> set[str]:
    """Names of what can be given to a command, or to any command of a group."""
    inner = command.commands.values() if isinstance(command, click.Group) else ()
    return {str(parameter.name) for parameter in command.params}.union(*map(_parameters, inner))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="titin")
def cli() -> None:
    """Turn a single-cell atlas into a dataset that machine learning can use as it is.

    Begin with `titin demo`, or with `titin build ATLAS.h5ad -o DATASET`.

    Settings: flags, then TITIN_… environment variables (TITIN_THREADS), then titin.toml in the working directory.
    Exit codes: 0 fine, 1 problems found, 2 wrong use or input, 3 a bug of titin, 130 interrupted.
    """


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
