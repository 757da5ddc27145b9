"""What a message tells a user to do can be done: its options, commands and variables exist, where it says they do."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

import titin
from titin.cli import cli
from titin.dataset import layout

SOURCE = Path(titin.__file__).parent
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")
ELSEWHERE = {("demo", "commands.py"): ("export", "validate")}  # commands of which a file tells word by word
NOT_TITINS = {"--upgrade": "pip install --upgrade"}
OWN = {  # commands whose users see the messages of a room; those of other rooms may be of any command
    "builder": ("build", "batch", "embed", "relabel", "roles"), "source": ("build",), "exporter": ("export",),
    "check": ("validate", "diff"), "publish": ("publish", "card"), "learn": ("bench", "predict"),
    "report": ("report",), "demo": ("demo",), "annotate": ("annotate",), "network": ("network",),
    "ageing": ("age",), "explore": ("explore", "site"), "compose": ("subset", "merge"),
}  # fmt: skip


def commands() -> dict[str, list[click.Command]]:
    """Every command by its first word: one, or all of a group."""
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return {name: list(c.commands.values()) if isinstance(c, click.Group) else [c] for name, c in found.items() if c}


ALL = commands()
OPTIONS = {
    name: {flag for c in of_name for p in c.params for flag in (*p.opts, *p.secondary_opts)} | {"--help"}
    for name, of_name in ALL.items()
}


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and text of every string of a module; what is filled in is an ellipsis, and strings side by side are one."""
    parts: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts |= {id(value) for value in node.values}
            yield node.lineno, "".join(v.value if isinstance(v, ast.Constant) else "…" for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.lineno, node.value


@cache
def messages() -> list[tuple[Path, int, str]]:
    """File, line and text of what may name something of the command line; found when a test asks, once."""
    return [
        (path.relative_to(SOURCE), line, text)
        for path in sorted(SOURCE.rglob("*.py"))
        for line, text in texts(ast.parse(path.read_text("utf-8")))
        if "--" in text or "titin " in text or "TITIN_" in text
    ]


def wrong(path: Path, text: str) -> str:
    """The first thing that a message names and that is not there; empty if there is none."""
    named = [name for name in re.findall(r"\btitin ([a-z]+)", text) if name in ALL]
    near = [
        *OWN.get(path.parts[0], ALL),
        *ELSEWHERE.get(path.parts, ()),
        *named,
        *(["build"] if re.search(r"\bbuil[dt]", text, re.I) else []),
    ]
    for option in OPTION.findall(text):
        if option not in set().union(*(OPTIONS[name] for name in near)) and NOT_TITINS.get(option, "…") not in text:
            return option
    for command in re.findall(r"`titin ([a-z]+)", text):
        if command not in ALL:
            return f"titin {command}"
    for line in re.findall(r"`(titin [^`]+)`", text):
        command = line.split()[1]
        for option in OPTION.findall(line) if command in ALL else ():
            if option not in OPTIONS[command]:
                return f"titin {command} {option}"
    return ""


def test_options_commands_and_variables_of_messages_exist() -> None:
    assert len(messages()) > 100
    found = [(str(path), line, wrong(path, text)) for path, line, text in messages()]
    assert [entry for entry in found if entry[2]] == []


def test_variables_of_messages_exist() -> None:
    known = {f"TITIN_{p.name.upper()}" for of_name in ALL.values() for c in of_name for p in c.params if p.name}
    read = {name for path, _, text in messages() for name in re.findall(r"TITIN_[A-Z_]+", text)}
    assert read - known == {"TITIN_CACHE", "TITIN_SCPRINT_PYTHON"}  # which no option gives
    assert 'environ.get("TITIN_CACHE"' in (SOURCE / "load" / "cache.py").read_text("utf-8")


@pytest.mark.parametrize("role", layout.ROLES)
def test_hints_that_name_the_option_of_a_role_can_be_followed(role: str) -> None:
    assert f"--{role.replace('_', '-')}" in OPTIONS["build"]


@pytest.mark.parametrize(("room", "text", "expected"), [
    ("builder", "give --colour", "--colour"),
    ("exporter", "leave --no-shuffle out", "--no-shuffle"),
    ("exporter", "build it again with --no-shuffle", ""),
    ("atlas", "see `titin explain`", "titin explain"),
    ("publish", "`titin card … --tag NAME` says so", "titin card --tag"),
    ("publish", "publish it with --tag", ""),
])  # fmt: skip
def test_a_hint_that_leads_nowhere_is_noticed(room: str, text: str, expected: str) -> None:
    assert wrong(Path(room, "any.py"), text) == expected
