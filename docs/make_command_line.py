"""Write ``docs/command-line.md`` from what ``--help`` says."""

from pathlib import Path

import click

from titin.cli import cli

HEAD = """# Command line

Written by `docs/make_command_line.py`; do not edit.
"""


def page() -> str:
    """Return the page: the help of the group and of every command."""
    context = click.Context(cli, info_name="titin", terminal_width=100, max_content_width=100, **cli.context_settings)
    parts = [HEAD, "## titin\n", _block(cli, context)]
    for name, command in cli.commands.items():
        nested = click.Context(command, info_name=name, parent=context, terminal_width=100, max_content_width=100)
        parts += [f"## titin {name}\n", _block(command, nested)]
    return "\n".join(parts)


def _block(command: click.Command, context: click.Context) -> str:
    lines = [line.rstrip() for line in command.get_help(context).splitlines()]
    return "\n".join(["```text", *lines, "```", ""])


if __name__ == "__main__":
    Path(__file__).with_name("command-line.md").write_text(page(), "utf-8")
