"""Write ``docs/command-line.md`` from what ``--help`` says."""

from pathlib import Path

import click

from titin.cli import cli

HEAD = """# Command line

Written by `docs/make_command_line.py`; do not edit.

## Completion

The shell completes commands, options, their choices and paths once it is told to, by a line in its own settings:

```text
eval "$(_TITIN_COMPLETE=bash_source titin)"             # in ~/.bashrc
eval "$(_TITIN_COMPLETE=zsh_source titin)"              # in ~/.zshrc
_TITIN_COMPLETE=fish_source titin | source              # in ~/.config/fish/config.fish
```

That runs titin whenever a shell starts. Written to a file once, it does not:

```text
_TITIN_COMPLETE=bash_source titin > ~/.titin-completion.bash    # and in ~/.bashrc: source ~/.titin-completion.bash
```
"""


def page() -> str:
    """Return the page: the help of the group and of every command."""
    context = click.Context(cli, info_name="titin", terminal_width=100, max_content_width=100, **cli.context_settings)
    parts = [HEAD, "## titin\n", _block(cli, context)]
    return "\n".join(parts + _commands(cli, context))


def _commands(group: click.Group, context: click.Context) -> list[str]:
    """The commands of a group, and those of groups among them."""
    parts = []
    for name in group.list_commands(context):
        command = group.get_command(context, name) or group
        nested = click.Context(command, info_name=name, parent=context, terminal_width=100, max_content_width=100)
        parts += [f"## {nested.command_path}\n", _block(command, nested)]
        if isinstance(command, click.Group):
            parts += _commands(command, nested)
    return parts


def _block(command: click.Command, context: click.Context) -> str:
    lines = [line.rstrip() for line in command.get_help(context).splitlines()]
    return "\n".join(["```text", *lines, "```", ""])


if __name__ == "__main__":
    Path(__file__).with_name("command-line.md").write_text(page(), "utf-8")
