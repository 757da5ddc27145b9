"""Turns the document of a preset into dataclasses and back, and says what is wrong with it, where."""

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from titin.errors import TitinError

T = TypeVar("T")
_SAID = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a table",
         Mapping: "a table", tuple: "a list", re.Pattern: "text"}  # fmt: skip
_HINT = "mend the preset; docs/presets.md lists its keys"


def from_document(cls: type[T], document: Any, file: str, key: str = "") -> T:
    """A dataclass from what TOML or JSON has of it; keys are its fields, types are checked.

    Raises
    ------
    TitinError
        If a key does not exist or is missing, or a value is of the wrong type; names the file and the key.
    """
    if not isinstance(document, Mapping):
        raise _wrong(file, key, document, "a table")
    hints = get_type_hints(cls)
    known = {f.name: f for f in fields(cast(Any, cls))}
    for name in document:
        if name not in known:
            hint = f"keys of {key or 'a preset'}: {', '.join(known)}"
            raise TitinError(f"{file}: there is no key {_below(key, name)!r}", hint)
    needed = [f.name for f in known.values() if f.default is MISSING and f.default_factory is MISSING]
    for name in needed:
        if name not in document:
            raise TitinError(f"{file}: the key {_below(key, name)!r} is missing", _HINT)
    return cls(**{name: _value(hints[name], value, file, _below(key, name)) for name, value in document.items()})


def to_document(value: Any) -> Any:
    """What `from_document` takes back, JSON-safe; without what is empty or as it is without a preset."""
    if is_dataclass(value) and not isinstance(value, type):
        set_ = ((f, getattr(value, f.name)) for f in fields(value))
        return {f.name: to_document(own) for f, own in set_ if own != _default(f)}
    if isinstance(value, Mapping):
        return {str(name): to_document(own) for name, own in value.items()}
    if isinstance(value, tuple | list):
        return [to_document(own) for own in value]
    return value.pattern if isinstance(value, re.Pattern) else value


def _default(entry: Any) -> Any:
    return entry.default_factory() if entry.default_factory is not MISSING else entry.default


def _value(hint: Any, value: Any, file: str, key: str) -> Any:
    """A value as a type hint has it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, UnionType):
        options = [option for option in arguments if option is not NoneType]
        fitting = [option for option in options if isinstance(value, _raw(option))]
        return _value(fitting[0] if fitting else options[0], value, file, key)
    if is_dataclass(hint):
        return from_document(cast(type, hint), value, file, key)
    if not isinstance(value, _raw(hint)) or (isinstance(value, bool) and hint is not bool):
        raise _wrong(file, key, value, _SAID[origin or hint])
    if origin is re.Pattern:
        return _pattern(value, file, key)
    if origin is tuple:
        return _items(arguments, value, file, key)
    if origin is Mapping:
        return {str(name): _value(arguments[1], own, file, _below(key, name)) for name, own in value.items()}
    return value


def _items(arguments: tuple[Any, ...], value: Any, file: str, key: str) -> tuple[Any, ...]:
    several = arguments[-1] is Ellipsis
    if not several and len(value) != len(arguments):
        raise TitinError(f"{file}: {key} has {len(value)} entries, not {len(arguments)}", _HINT)
    hints = [arguments[0]] * len(value) if several else list(arguments)
    return tuple(_value(h, v, file, f"{key}[{i + 1}]") for i, (h, v) in enumerate(zip(hints, value, strict=True)))


def _pattern(text: str, file: str, key: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise TitinError(f"{file}: {key} is no regular expression: {error}", _HINT) from error


def _raw(hint: Any) -> Any:
    """Types that a value of a hint may have in a document."""
    origin = get_origin(hint) or hint
    if is_dataclass(origin) or origin is Mapping:
        return Mapping
    if origin is re.Pattern:
        return str
    return (list, tuple) if origin is tuple else origin


def _wrong(file: str, key: str, value: Any, wanted: str) -> TitinError:
    is_ = _SAID.get(type(value), type(value).__name__)
    return TitinError(f"{file}: {key or 'the preset'} is {is_}, not {wanted}", _HINT)


def _below(key: str, name: object) -> str:
    return f"{key}.{name}" if key else str(name)
