"""``titin.toml``: defaults of options, from the working directory, which may be a stranger's.

It cannot do what its reader has not asked for: options that let something be lost, run or passed unseen are given by
hand (`titin.options.ByHand`), and what it names lies in its own folder.
"""

import difflib
import os
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from titin.errors import TitinError
from titin.files import read_text
from titin.options import ByHand

FILE = "titin.toml"


def read_settings(commands: Iterable[str], load: Callable[[str], click.Command]) -> dict[str, dict[str, Any]]:
    """Read the defaults of every command from ``titin.toml`` in the working directory.

    Parameters
    ----------
    commands
        Names of all commands.
    load
        Gives a command by its name.

    Raises
    ------
    TitinError
        If the file cannot be read, or sets what is no option, what is given by hand only, or what lies elsewhere.
    """
    path, names = Path(FILE), list(commands)
    if not path.exists():
        return {}
    try:
        settings = tomllib.loads(read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise TitinError(f"{path} cannot be read: {error}", "mend it or remove it") from error
    for name in names:
        if not isinstance(settings.get(name, {}), dict):
            raise TitinError(f"{path}: {name!r} is a command, not a setting", f"put its settings under [{name}]")
    common = {k: v for k, v in settings.items() if not isinstance(v, dict)}
    _check(common, map(load, names), "")
    for section, own in settings.items():
        if isinstance(own, dict):
            if section not in names:
                raise TitinError(f"{path}: there is no command {section!r}", f"commands: {', '.join(names)}")
            _check(own, [load(section)], f" of {section}")
    return {name: _as_given_by_hand({**common, **settings.get(name, {})}) for name in names}


def _as_given_by_hand(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers as text, which the option reads: a path that is a number would be taken for an open file."""

    def text(value: Any) -> Any:
        return value if isinstance(value, bool) or not isinstance(value, int | float) else str(value)

    return {name: [*map(text, value)] if isinstance(value, list) else text(value) for name, value in settings.items()}


def _check(settings: Mapping[str, Any], commands: Iterable[click.Command], where: str) -> None:
    """Refuse what is no setting of these commands, which are imported one by one until all settings are known."""
    unknown, known = set(settings), set[str]()
    by_hand, options = dict[str, str](), dict[str, click.Option]()
    for command in commands:
        if not unknown:
            break
        for parameter in _parameters(command):
            name = str(parameter.name)
            known.add(name)
            if not isinstance(parameter, click.Option):
                by_hand[name] = parameter.human_readable_name
            elif isinstance(parameter, ByHand):
                by_hand[name] = parameter.opts[0]
            else:
                options[name] = parameter
        unknown -= known
    for name, value in settings.items():
        if name in by_hand:
            raise TitinError(f"{FILE}: {name!r}{where} is no setting: it is given by hand", f"give {by_hand[name]}")
        if name not in unknown:
            _check_value(name, value, options[name], where)
    for name in unknown:
        near = difflib.get_close_matches(name, known - set(by_hand), n=1)
        hint = f"did you mean {near[0]}?" if near else "see `titin COMMAND --help` for what there is"
        raise TitinError(f"{FILE}: there is no setting {name!r}{where}", hint)


def _check_value(name: str, value: Any, option: click.Option, where: str) -> None:
    """Refuse what is no value or list of values, as the option takes them, and paths that lead out of the folder."""
    values = value if isinstance(value, list) else [value]
    fits = all(isinstance(own, bool) == bool(option.is_flag) and isinstance(own, str | int | float) for own in values)
    if isinstance(value, list) != option.multiple or not fits:
        what = "a list of values" if option.multiple else "true or false" if option.is_flag else "one value"
        raise TitinError(
            f"{FILE}: {name!r}{where} is not {what}",
            "write it as the option takes it; `titin COMMAND --help` tells",
        )
    for text in values:
        if isinstance(text, str) and not _stays(text.removeprefix("@")):
            raise TitinError(f"{FILE}: {name!r}{where} names {text!r}, which lies in another folder",
                             "settings name what lies beside them; give other paths by hand")  # fmt: skip


def _stays(text: str) -> bool:
    """Whether a text, if it is a path, leads to a place within the working directory."""
    home = os.path.realpath(".")
    try:
        target = os.path.realpath(Path(text).expanduser())
    except (ValueError, RuntimeError):  # a NUL, an unknown user: no path at all
        return True
    return target == home or target.startswith(os.path.join(home, ""))  # noqa: PTH118


def _parameters(command: click.Command) -> Iterator[click.Parameter]:
    """What can be given to a command, or to any command of a group."""
    yield from command.params
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            yield from _parameters(inner)
