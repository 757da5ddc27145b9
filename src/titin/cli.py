"""The command line: it lists the rooms' commands, reads settings and turns errors into exit codes.

stdout is the result, stderr everything else.
"""

import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from titin import __version__
from titin.console import complain, explain_usage, guard, say
from titin.disk import disk_error
from titin.errors import TitinError
from titin.settings import read_settings
from titin.shortage import check_addresses, shortage

# name: where it is, and what the list says of it; in the order in which they are needed
COMMANDS = {
    "build": ("titin.builder.commands:build", "Build a dataset folder from an atlas."),
    "batch": ("titin.builder.commands:batch", "Build the datasets of a table of sources."),
    "info": ("titin.dataset.commands:info", "Say what a dataset holds."),
    "export": ("titin.exporter.commands:export", "Write a dataset in another format."),
    "embed": ("titin.builder.commands:embed", "Add projections to a dataset, or compute them again."),
    "relabel": ("titin.builder.commands:relabel", "Add, replace or drop labels of cells in a dataset."),
    "roles": ("titin.builder.commands:roles", "Say which columns play which part, or name other ones."),
    "subset": ("titin.compose.commands:subset", "Write some cells and genes of a dataset as a dataset."),
    "merge": ("titin.compose.commands:merge", "Put several studies together as one dataset."),
    "validate": ("titin.check.commands:validate", "Check a dataset, and compare it with its source."),
    "diff": ("titin.check.commands:diff", "Say what two datasets do not have in common."),
    "card": ("titin.publish.commands:card", "Write the dataset card, and what goes with it."),
    "publish": ("titin.publish.commands:publish", "Put a dataset on the Hugging Face Hub."),
    "bench": ("titin.learn.commands:bench", "Compare models on a dataset, with donors held out."),
    "predict": ("titin.learn.commands:predict", "Tell the age of donors by a clock of another dataset."),
    "annotate": ("titin.annotate.commands:annotate", "Check cell type labels on donors held out, or bring them over."),
    "age": ("titin.ageing.commands:age", "Say what changes with age, over donors."),
    "network": ("titin.network.commands:network", "Say which regulators are active, and what changes with age."),
    "report": ("titin.report.commands:report", "Write the HTML report of a dataset."),
    "explore": ("titin.explore.commands:explore", "Open a dataset in the browser."),
    "site": ("titin.explore.commands:site", "Write the explorer of a dataset for a static host."),
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


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="titin")
def cli() -> None:
    """Turn a single-cell atlas into a dataset that machine learning can use as it is.

    Begin with `titin demo`, or with `titin build ATLAS.h5ad -o DATASET`.

    Settings: flags, then TITIN_… environment variables (TITIN_THREADS), then titin.toml in the working directory.
    Exit codes: 0 fine, 1 problems found, 2 wrong use or input, 3 a bug of titin, 130 interrupted
    (143 and 129 by SIGTERM and SIGHUP).
    """
    check_addresses()


@contextmanager
def _no_folder_trusted() -> Iterator[None]:
    """Keep processes that are started from importing from the working directory, and numba from code that lies there.

    Where the environment says nothing, numba takes settings from a file of the working directory, among them a folder
    of compiled code.
    """
    own = ("NUMBA_CACHE_DIR", "NUMBA_CACHE_LOCATOR_CLASSES", "NUMBA_CHROME_TRACE")
    added = {name: value for name, value in {"PYTHONSAFEPATH": "1", **dict.fromkeys(own, "")}.items()
             if name not in os.environ}  # fmt: skip
    os.environ.update(added)
    try:
        yield
    finally:  # whoever calls `main` from Python goes on
        for name in added:
            os.environ.pop(name, None)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    try:
        with _no_folder_trusted():
            _run(arguments)
    except MemoryError:  # not even what is wrong could be said, until what it took was given back
        complain("out of memory", "allow more (ulimit -v), or close other programs")
        sys.exit(2)


def _run(arguments: list[str] | None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    guard()
    _clear_up_when_stopped()
    try:
        cli.main(arguments, standalone_mode=False, default_map=read_settings(COMMANDS, _load))
    except TitinError as error:
        _fail(str(error.args[0]), error.hint, error.exit_code, debug)
    except (KeyboardInterrupt, click.exceptions.Abort) as error:  # click makes the one of the other, and of EOFError
        if isinstance(error.__cause__, EOFError):
            _fail(f"a file ends too early: {error.__cause__}", "it is empty or cut off; restore it", 2, debug)
        hint = "`titin build … --resume` goes on from the steps that were finished"
        number = getattr(error.__cause__ or error, "number", signal.SIGINT)
        _fail("interrupted", hint if arguments[:1] == ["build"] else None, 128 + number, False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        explain_usage(error)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except ModuleNotFoundError as error:
        from titin.extras import missing_package

        missing = missing_package(error)
        if missing is None:
            raise
        _fail(str(missing.args[0]), missing.hint, missing.exit_code, debug)
    except OSError as error:
        folder = Path(error.filename).parent if isinstance(error.filename, str) else Path()
        if told := shortage(error) or disk_error(error, folder):
            _fail(str(told.args[0]), told.hint, 2, debug)
        _fail(str(error), "check the path and its permissions; --debug shows where it happened", 2, debug)
    except Exception as error:
        if (short := shortage(error)) is None:
            raise
        _fail(str(short.args[0]), short.hint, 2, debug)


class _StoppedError(KeyboardInterrupt):
    """Somebody has sent a signal that ends programs: what was begun is cleared up, as after Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def _clear_up_when_stopped() -> None:
    """Take SIGTERM and SIGHUP as Ctrl-C is taken, unless whoever started the program has them ignored (nohup)."""

    def stop(number: int, _: Any) -> None:
        raise _StoppedError(number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL and threading.current_thread() is threading.main_thread():
            signal.signal(number, stop)


def _fail(message: str, hint: str | None, code: int, debug: bool) -> None:
    if debug:
        import traceback

        say(traceback.format_exc().rstrip("\n"), err=True)
    complain(message, hint)
    sys.exit(code)
