"""What the entries of a column of obs say of a role: words for missing are missing, spellings of one sex are one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from titin.study.tallies import count_missing, spread_out
from titin.study.vocabulary import PROTOCOL_WORDS, SEX_NAMES, missing_words, plain, sex_of

_NAMED = 5  # most words in a sentence


@dataclass(frozen=True)
class Gap:
    """Cells of which a role is not known.

    Attributes
    ----------
    cells
        How many, whatever the reason.
    words
        How many of them have each word that counts as missing, the commonest first; the others have no entry.
    """

    cells: int = 0
    words: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        """Say it, such as ``80 cells (40 'unknown', 12 'pooled')``."""
        cells = f"{self.cells:,} cell{'s' if self.cells != 1 else ''}"
        named = [f"{n:,} {word!r}" for word, n in list(self.words.items())[:_NAMED]]
        more = len(self.words) - len(named)
        return cells + (f" ({', '.join(named)}{f' and {more} more words' if more else ''})" if named else "")


def read_entries(column: pd.Series, role: str) -> pd.Series:
    """The entries of a column by what they mean for its role.

    Missing are all that `titin.study.vocabulary.missing_words` finds. Blanks around a name are none of it, and where a
    sex or a protocol is spelled in several ways, all are called ``female`` and ``male``, or ``cells`` and ``nuclei``.

    Parameters
    ----------
    column
        One entry a cell.
    role
        Of `titin.dataset.layout.ROLES`.

    Returns
    -------
    Series
        In the same order and of the same kind: the column itself where nothing is to change.
    """
    distinct = _distinct(column)
    meant = _meanings(distinct, role)
    changed = {value: meant[value] for value in distinct if meant[value] != value}
    return _renamed(column, changed) if changed else column


def find_gap(column: pd.Series, role: str) -> Gap:
    """Count the cells of which a role is not known, from its column as obs has it."""
    words = missing_words(_distinct(column), role)
    counts = {word: int((column == word).sum()) for word in words}
    number = {word: n for word, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if n}
    return Gap(count_missing(column) + sum(number.values()), number)


def _distinct(column: pd.Series) -> list[Any]:
    """The different entries of a column of text, of any order; of numbers none, which are no words."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return [value for value in column.cat.categories if isinstance(value, str)]
    if column.dtype == object or isinstance(column.dtype, pd.StringDtype):
        return [value for value in column.dropna().unique() if isinstance(value, str)]
    return []


def _meanings(distinct: Sequence[str], role: str) -> dict[str, str | None]:
    """What each entry stands for; None for missing."""
    nothing = set(missing_words(distinct, role))
    meant: dict[str, str | None] = {value: None if value in nothing else value.strip() for value in distinct}
    known = [value for value in distinct if value not in nothing]
    if role == "sex":
        one = {value: SEX_NAMES.get(sex_of(value) or "") for value in known}
    elif role == "protocol":
        one = {value: PROTOCOL_WORDS.get(plain(value)) for value in known}
    else:
        return meant
    spellings = {(name, meant[value]) for value, name in one.items() if name}
    if len(spellings) > len({name for name, _ in spellings}):
        meant |= {value: name for value, name in one.items() if name}
    return meant


def _renamed(column: pd.Series, names: Mapping[str, str | None]) -> pd.Series:
    if isinstance(column.dtype, pd.CategoricalDtype):
        new = [names.get(value, value) for value in column.cat.categories]
        kept = list(dict.fromkeys(name for name in new if name is not None))
        place = {name: number for number, name in enumerate(kept)}
        least = np.min_scalar_type(-max(len(kept), 1))
        codes = spread_out(np.array([*(place.get(name, -1) for name in new), -1], least), column.cat.codes.to_numpy())
        dtype = pd.CategoricalDtype(kept, ordered=column.cat.ordered)
        return pd.Series(pd.Categorical.from_codes(codes, dtype=dtype), column.index, name=column.name)
    codes, distinct = pd.factorize(column)
    entries = np.array([*(names.get(value, value) for value in distinct), None], object)[codes]
    return pd.Series(entries, column.index, dtype=column.dtype, name=column.name)
