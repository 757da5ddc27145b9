"""Which cells to take: conditions on columns, as in ``sex=M`` or ``age >= 60 and not type == "B cell"``; never run."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.errors import TitinError
from titin.study.vocabulary import protocol_of, sex_of
from titin.text import say_first

_OPPOSITE = {"=": "!=", ">": "<=", ">=": "<"}
_OPPOSITE |= {there: here for here, there in _OPPOSITE.items()}
_NUMBER = r"[-+]?(?:\d++(?:\.(?!\.)\d*+)?+|\.\d++)(?:[eE][-+]?\d++)?"
_SPAN = re.compile(rf"({_NUMBER})?\s*+\.\.\s*+({_NUMBER})?")
_ENTRY = re.compile(r"""(?<![^,])\s*+("[^"]*+"\s*+(?=,|$)|'[^']*+'\s*+(?=,|$)|[^,]++)""")
_HINT = (
    'write COLUMN=VALUE, such as sex=M, "annotation=B cell,T cell", age=20..40, age>=60 or batch!=3; '
    "join them by and, or, not and brackets"
)
_MEANING = {"sex": sex_of, "protocol": protocol_of}
_NAMED = 8  # most entries of a column in a sentence


@dataclass(frozen=True)
class Condition:
    """One condition on one column.

    Attributes
    ----------
    column
        A role (``sex``, ``age`` in years …) or a column of obs.
    relation
        ``=``, ``!=``, ``>``, ``>=``, ``<`` or ``<=``.
    value
        As it was written: an entry, several with commas between them, or a span of numbers, ``20..40``.
    """

    column: str
    relation: str
    value: str

    def __str__(self) -> str:
        return f"{self.column}{self.relation}{self.value}"

    @property
    def columns(self) -> list[str]:
        """The column, as a list of one."""
        return [self.column]

    def negated(self) -> "Condition":
        """The condition that holds where this does not; neither does where the entry is missing."""
        return replace(self, relation=_OPPOSITE[self.relation])

    def holds(self, table: pd.DataFrame) -> NDArray[np.bool_]:
        """Whether it holds, one a row; see `Where.holds`."""
        if self.column not in table:
            known = list(map(str, table))
            near = get_close_matches(self.column, known, n=1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise TitinError(
                f"--where {self}: there is no column {self.column!r}", f"{meant}there are {', '.join(known)}"
            )
        return self._holds_of(table[self.column])

    def _holds_of(self, entries: pd.Series) -> NDArray[np.bool_]:
        """Whether it holds, one a row; never where the entry is missing.

        Raises
        ------
        TitinError
            If the value is none of the column's kind, or one that no row has.
        """
        known = entries.notna().to_numpy(bool)
        if self.relation in ("=", "!="):
            equal = self._among(entries)
            return known & (equal if self.relation == "=" else ~equal)
        if not _is_number(entries) or not re.fullmatch(_NUMBER, self.value):
            raise TitinError(f"--where {self}: {self.column!r} and {self.value!r} cannot be compared as numbers", _HINT)
        numbers, limit = entries.to_numpy(np.float64, na_value=np.nan), float(self.value)
        compare = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}[self.relation]
        found: NDArray[np.bool_] = known & compare(numbers, limit)
        return found

    def _among(self, entries: pd.Series) -> NDArray[np.bool_]:
        if _is_number(entries):
            return self._among_numbers(entries.to_numpy(np.float64, na_value=np.nan))
        meaning = _MEANING.get(self.column, lambda _: None)
        known = list(map(str, entries.dropna().unique()))
        chosen: set[str] = set()
        for value in [self.value] if self.value in known else _listed(self.value):
            meant = meaning(value)
            found = {value} & set(known) or {entry for entry in known if meant and meaning(entry) == meant}
            if not found and self.relation == "=":
                named = say_first(sorted(known), _NAMED)
                raise TitinError(f"--where {self}: no cell has {value!r} in {self.column!r}", f"it has {named}")
            chosen |= found
        return entries.astype("string").isin(sorted(chosen)).to_numpy(bool)

    def _among_numbers(self, numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
        found = np.zeros(len(numbers), bool)
        for value in _listed(self.value):
            span = _SPAN.fullmatch(value)
            if span and (span[1] or span[2]):
                low, high = (float(end) if end else limit for end, limit in zip(span.groups(), (-np.inf, np.inf),
                                                                                 strict=True))  # fmt: skip
                found |= (numbers >= low) & (numbers <= high)
            elif re.fullmatch(_NUMBER, value):
                found |= numbers == float(value)
            else:
                raise TitinError(f"--where {self}: {self.column!r} holds numbers, and {value!r} is none", _HINT)
        return found


@dataclass(frozen=True)
class Joined:
    """Conditions of which all have to hold (``and``), or one (``or``)."""

    word: str
    parts: tuple["Condition | Joined", ...]

    def __str__(self) -> str:
        said = (f"({part})" if isinstance(part, Joined) else str(part) for part in self.parts)
        return f" {self.word} ".join(said)

    @property
    def columns(self) -> list[str]:
        """Columns that they are of."""
        return list(dict.fromkeys(column for part in self.parts for column in part.columns))

    def negated(self) -> "Joined":
        """What holds where this does not; neither does where an entry that decides is missing."""
        return Joined("or" if self.word == "and" else "and", tuple(part.negated() for part in self.parts))

    def holds(self, table: pd.DataFrame) -> NDArray[np.bool_]:
        """Whether all, or one, holds, one a row; see `Where.holds`."""
        combine = np.logical_and if self.word == "and" else np.logical_or
        found: NDArray[np.bool_] = reduce(combine, (part.holds(table) for part in self.parts))
        return found


Expression: TypeAlias = Condition | Joined


@dataclass(frozen=True)
class Where:
    """Conditions that all have to hold; none choose every cell."""

    conditions: tuple[Expression, ...] = ()

    @classmethod
    def of(cls, given: "Where | Mapping[str, Any] | Sequence[str] | None") -> "Where":
        """Read conditions: texts, or the value or list of values of each column, such as ``{"sex": "M"}``.

        A text is one condition, or several with ``and``, ``or``, ``not`` and brackets. ``in [A, B]`` is ``=A,B``.

        Raises
        ------
        TitinError
            If one is not understood.

        Examples
        --------
        >>> print(Where.of(["sex == 'M'", "age>=60"]), "|", Where.of({"sex": ["F", "M"]}))
        sex=M and age>=60 | sex=F,M
        >>> print(Where.of("not (sex == 'M' or age > 60)"))
        sex!=M and age<=60
        """
        if isinstance(given, Where):
            return given
        if isinstance(given, Mapping):
            return cls(tuple(Condition(str(name), "=", _written(value)) for name, value in given.items()))
        found: list[Expression] = []
        for text in [given] if isinstance(given, str) else given or ():
            read = _ConditionReader(text).whole()
            found += read.parts if isinstance(read, Joined) and read.word == "and" else [read]
        return cls(tuple(found))

    def __bool__(self) -> bool:
        return bool(self.conditions)

    def __str__(self) -> str:
        return str(Joined("and", self.conditions))

    @property
    def columns(self) -> list[str]:
        """Columns that they are of."""
        return Joined("and", self.conditions).columns

    def holds(self, table: pd.DataFrame, *, empty: bool = False) -> NDArray[np.bool_]:
        """Whether all hold, one a row.

        Parameters
        ----------
        table
            Has the `columns`, as `titin.study.design.Study.keys` gives them.
        empty
            Whether it may hold of no row.

        Raises
        ------
        TitinError
            If the table has no such column, a value is none of its kind, or no row is chosen.
        """
        found = Joined("and", self.conditions).holds(table) if self.conditions else np.ones(len(table), bool)
        if self and not empty and not found.any():
            raise TitinError(f"no cell is left: --where {self}", "give conditions that hold together")
        return found


_RELATION = re.compile(r"==|!=|>=|<=|=|>|<|\b(?:not\s++)?+in\s*+(?=[\[(])")
_JOIN = re.compile(r"\s(?:and|or)\b")
_NAME = re.compile(r"""\s*+(?:"([^"]++)"|'([^']++)'|`([^`]++)`)\s*+""")
_QUOTED = re.compile(r"""\s*+(?:"[^"]*+"|'[^']*+')\s*+(?=$|,|\)|\]|and\b|or\b)""")
_LIST = re.compile(r"""[\[(]((?:\s*+(?:"[^"]*+"|'[^']*+'|[^"'\[\](),]++)\s*+,?+)++)[\])]""")
_DEEPEST = 50  # brackets within brackets
_LONGEST = 10_000  # characters


class _ConditionReader:
    """Reads one text: conditions, ``and``, ``or``, ``not`` and brackets."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._depth = text, 0, 0

    def whole(self) -> Expression:
        found = self._any() if len(self._text) <= _LONGEST else None
        if found is None or self._text[self._at :].strip():
            raise self._misread()
        return found

    def _any(self) -> Expression:
        return self._joined("or", lambda: self._joined("and", self._one))

    def _joined(self, word: str, read: Any) -> Expression:
        parts = [read()]
        while self._takes(word):
            parts.append(read())
        flat = [own for part in parts for own in (part.parts if getattr(part, "word", "") == word else [part])]
        return flat[0] if len(flat) == 1 else Joined(word, tuple(flat))

    def _one(self) -> Expression:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._misread()
        if self._takes("not"):
            found = self._one().negated()
        elif self._takes("("):
            found = self._any()
            if not self._takes(")"):
                raise self._misread()
        else:
            found = self._condition()
        self._depth -= 1
        return found

    def _takes(self, word: str) -> bool:
        rest = self._text[self._at :]
        own = rest.lstrip()
        after = own[len(word) : len(word) + 1]
        if not own.startswith(word) or (word.isalpha() and not (after == "(" or after.isspace())):
            return False
        self._at += len(rest) - len(own) + len(word)
        return True

    def _condition(self) -> Condition:
        quoted = _NAME.match(self._text, self._at)
        found = _RELATION.match(self._text, quoted.end()) if quoted else _RELATION.search(self._text, self._at)
        if quoted is not None and found is None:  # the whole of COLUMN=VALUE between quotes
            raise self._misread()
        column = next(filter(None, quoted.groups())) if quoted else self._text[self._at : found.start() if found else 0]
        if found is None or not column.strip():
            raise self._misread()
        relation = found[0].strip()
        self._at = found.end()
        if relation.endswith("in"):
            listed = _LIST.match(self._text, self._at)
            if listed is None:
                raise self._misread()
            self._at, value = listed.end(), listed[1].strip().rstrip(",")
        else:
            value = self._value()
        if not value:
            raise self._misread()
        relation = {"==": "=", "in": "="}.get(relation, "!=" if relation.startswith("not") else relation)
        return Condition(column.strip(), relation, _unquoted(value))

    def _value(self) -> str:
        """The text up to what cannot belong to it: a bracket of ours, or a word before another condition."""
        start, opened = self._at, 0
        while self._at < len(self._text):
            quoted = _QUOTED.match(self._text, self._at) if self._begins_entry(start) else None
            if quoted:
                self._at = quoted.end()
                if self._text[self._at : self._at + 1] == ",":
                    self._at += 1
                    continue
                break
            letter = self._text[self._at]
            opened += (letter == "(") - (letter == ")")
            if opened < 0 or (letter.isspace() and self._ends_here()):
                break
            self._at += 1
        return self._text[start : self._at].strip()

    def _begins_entry(self, start: int) -> bool:
        return self._text[start : self._at].rstrip()[-1:] in ("", ",")

    def _ends_here(self) -> bool:
        """Whether ``and`` or ``or`` stands here, and a condition behind it: a value may have such a word too."""
        word = _JOIN.match(self._text, self._at)
        after = _RELATION.search(self._text, word.end()) if word else None
        if word is None or after is None:
            return False
        column = self._text[word.end() : after.start()]
        return bool(column.strip()) and not _JOIN.search(column)

    def _misread(self) -> TitinError:
        return TitinError(f"--where {self._text[:200]!r} is no condition", _HINT)


def _written(value: Any) -> str:
    values = list(map(str, [value] if np.isscalar(value) else list(value)))
    return ",".join(f'"{one}"' if "," in one else one for one in values)


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] in "\"'`" and text.find(text[0], 1) == len(text) - 1 else text


def _listed(text: str) -> list[str]:
    """Values with commas between them; a comma between quotes is part of one."""
    return [_unquoted(part.strip()) for part in _ENTRY.findall(text)]


def _is_number(entries: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(entries.dtype) and not pd.api.types.is_bool_dtype(entries.dtype)
