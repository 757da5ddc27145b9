"""The terminal: all that is printed passes here, and no text from a file is taken for a command of the terminal."""

import io
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO

import click

from titin.masking import mask
from titin.visible import visible

if TYPE_CHECKING:
    from rich.console import Console

_LINES = "\n\t"  # of a text of several lines


class Styled(str):
    """Text with colours of ours, from `make_console`; what is joined to it is plain text again."""

    __slots__ = ()


def say(text: str, *, err: bool = False, file: TextIO | None = None) -> None:
    """Print lines: to stdout, to stderr, or to a stream.

    All but `Styled` text is made visible (`titin.visible.visible`); what the stream's encoding lacks is written out.
    """
    shown = text if isinstance(text, Styled) else visible(mask(text) if err else text, keep=_LINES)
    stream = file or (sys.stderr if err else sys.stdout)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    click.echo(shown.encode(encoding, "backslashreplace").decode(encoding), file=stream)


def complain(message: str, hint: str | None = None) -> None:
    """Print an error to stderr: one line that says what is wrong, one that says what to do."""
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    say(visible(mask(message)), err=True)
    if hint:
        say(f"  {visible(hint)}", err=True)


def explain_usage(error: click.ClickException) -> None:
    """Print to stderr what click says of a wrong use, which repeats what was given."""
    said = io.StringIO()
    error.show(said)
    say(said.getvalue().rstrip("\n"), err=True)


def guard() -> None:
    """Make visible, too, what Python and click print by themselves: help, warnings, log records, bugs."""
    click.Context.formatter_class = _Formatter
    warnings.formatwarning = _warning
    sys.excepthook = _bug
    import logging

    if logging.lastResort is not None:
        logging.lastResort.format = lambda record: visible(mask(logging.Formatter().format(record)), keep=_LINES)  # type: ignore[method-assign]


class _Formatter(click.HelpFormatter):
    """Help, in which defaults from ``titin.toml`` stand."""

    def getvalue(self) -> str:
        return visible(super().getvalue(), keep=_LINES)


def _warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> str:
    return f"{category.__name__}: {visible(mask(message), keep=_LINES)}\n"


def _bug(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    import traceback

    say("".join(traceback.format_exception(kind, error, trace)).rstrip("\n"), err=True)


def make_console(**options: Any) -> "Console":
    """Return a console of rich whose texts are visible whatever they hold; ``options`` as for rich's."""
    return _kind()(**options)


@cache
def _kind() -> type["Console"]:
    from rich.console import Console
    from rich.segment import Segment

    class VisibleConsole(Console):
        """Every text passes here on its way out, that of tables and bars too."""

        def render(self, renderable: Any, options: Any = None) -> Iterator[Segment]:
            for text, style, control in super().render(renderable, options):
                yield Segment(text if control else visible(text, keep="\n"), style, control)

    return VisibleConsole
