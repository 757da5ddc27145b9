"""Every regular expression of titin, found in its code, and text over which one that backtracks takes for ever."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import titin

try:
    from re import _parser  # type: ignore[attr-defined]
except ImportError:  # Python 3.10 and before
    import sre_parse as _parser  # type: ignore[no-redef]

SOURCES = Path(titin.__file__).parent
FUNCTIONS = {"match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"}
OF_PANDAS = {"match", "fullmatch", "contains", "replace", "extract", "extractall", "findall", "count", "split"}
UNITS = (
    " ", "1", "a", "A", "é", "-", ".", ",", "@", "/", "_", "(", "[", "|", "\\", "\n", "\t", "#", "'", ":", "+",
    "1 ", "1-", "1.", "a ", "a.", "a@", "a-", "a_", "a1", "Aa", "A ", "A.", "aA", "a@a.", "a, ", "--", "- ", "\n ",
    "---\n", "1,", "[x](", "missing:", "pooled ", "pool of ", "1 a ", "a\n", " \n",
)  # fmt: skip
BEFORE = ("", "1", "a", "+1", "ab@a.", "1 a ", "1-2")
AFTER = ("\x00!", "")


WAYS = ("fullmatch", "match", "search", "sub", "subn", "split", "findall", "finditer", "contains", "replace")


def plainly(way: str) -> str:
    """How a function looks: at the whole text, at its beginning, anywhere."""
    return way if way in ("fullmatch", "match") else "search"


@dataclass(frozen=True)
class Used:
    """A pattern, and how it is asked: ``match``, ``fullmatch``, or ``search`` for all that look anywhere."""

    where: str
    pattern: str
    flags: int
    way: str

    def __str__(self) -> str:
        return f"{self.where} {self.pattern[:40]!r}"


@cache
def used_patterns() -> list[Used]:
    """Patterns that stand in calls as text, and those that modules keep, wherever in tuples and dictionaries.

    The first call imports and reads the whole package.
    """
    found = dict.fromkeys([*_in_modules(), *_in_calls()])
    return list(found)


def _in_modules() -> Iterator[Used]:
    for info in pkgutil.walk_packages(titin.__path__, "titin."):
        if info.name.endswith("__main__"):
            continue
        try:
            module = importlib.import_module(info.name)
        except ImportError:  # of an extra that is not installed; what stands in its calls is found all the same
            continue
        text = Path(str(module.__file__)).read_text("utf-8")
        for name, value in vars(module).items():
            for pattern in _patterns_in(value):
                asked = [way for way in WAYS if re.search(rf"\b{name}\.{way}\b|\b{way}\([^()]*\b{name}\b", text)]
                for way in dict.fromkeys(map(plainly, asked)) or ["fullmatch"]:
                    yield Used(f"{info.name}.{name}", pattern.pattern, pattern.flags, way)


def _patterns_in(value: Any, depth: int = 4) -> Iterator[re.Pattern[str]]:
    if isinstance(value, re.Pattern):
        if isinstance(value.pattern, str):
            yield value
    elif depth and isinstance(value, dict):
        for inner in (*value, *value.values()):
            yield from _patterns_in(inner, depth - 1)
    elif depth and isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from _patterns_in(inner, depth - 1)


def _in_calls() -> Iterator[Used]:
    for path in sorted(SOURCES.rglob("*.py")):
        source = path.read_text("utf-8")
        for call in ast.walk(ast.parse(source)) if re.search(r"\bre\b|\bstr\b", source) else ():
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or not call.args:
                continue
            function, of = call.func.attr, call.func.value
            of_re = isinstance(of, ast.Name) and of.id == "re" and function in FUNCTIONS
            of_pandas = isinstance(of, ast.Attribute) and of.attr == "str" and function in OF_PANDAS
            text = call.args[0]
            if (of_re or of_pandas) and isinstance(text, ast.Constant) and isinstance(text.value, str):
                where = f"{path.relative_to(SOURCES)}:{call.lineno}"
                yield Used(where, text.value, 0, plainly(function))


def hostile_texts(pattern: str, length: int) -> Iterator[str]:
    """Texts that repeat what a pattern repeats, and end as it does not expect."""
    units = dict.fromkeys([*UNITS, *_literals(_parser.parse(pattern))])
    for unit in units:
        body = unit * (length // len(unit))
        for before in BEFORE:
            for after in AFTER:
                yield before + body + after


def _literals(parsed: Iterable[Any]) -> Iterator[str]:
    """Runs of letters that stand in a pattern, and single letters."""
    run = ""
    for code, value in parsed:
        if str(code) == "LITERAL":
            run += chr(value)
            continue
        if run:
            yield run
            yield run + " "
            run = ""
        for inner in value if isinstance(value, list | tuple) else ():
            for part in inner if isinstance(inner, list | tuple) else [inner]:
                if isinstance(part, _parser.SubPattern):
                    yield from _literals(part)
    if run:
        yield run
        yield run + " "
