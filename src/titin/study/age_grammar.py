"""The grammar of ages: a text is read whole, as one age or one closed range, or it is not read and the reason is said.

A text is split into numbers, words and signs from left to right, and the forms below take it from there. None of them
skips what it does not understand, so that no text becomes another number of years than the one it states::

    45 · 45.5 · 1,5 years · 20-29 · 20 to 29 yrs · [20, 30) · between 20 and 30     a number, or a range and its middle
    3m · 12 wks · 45yo · 45-year-old human stage · 7 days postnatal                 with a unit
    67y 3m · 2 years and 3 months · P40Y5M                                          of two units and more, ISO 8601
    P28 · PND7 · postnatal day 7                                                    days since birth
    sixth decade stage · 6th decade of life                                         a range of ten years
    ~45 · ca. 45 · 89 ± 4.5 · Age: 45 · aged 45 · adult (8 weeks)                   with a word before or a spread after
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

import pandas as pd

from titin.study.age_reasons import BEYOND, CALENDAR, NO_UNIT, REVERSED, SENTINEL_NUMBERS, why_unread
from titin.study.age_units import OLD_UNIT_OF, PER_YEAR, SINCE_BIRTH, UNIT_OF, UNITS, YEARS
from titin.study.life_span import ANY_SPECIES

_LONGEST = 100  # characters; nobody writes an age in more
_TOKEN = re.compile(r"([0-9]+(?:\.[0-9]+)?|(?<![a-z0-9])\.[0-9]+)|([a-z]+)|(\S)")
# of a column that says M for male, as likely as of one in months; young animals are given in months, by 24M
_MAN = re.compile(r"(?:3[7-9]|[4-9]\d)\s?M")
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—―−﹣－", "-"))

_TO_NINETEEN = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_NUMBER_WORDS = {word: n for n, word in enumerate(_TO_NINETEEN)} | {word: 10 * n for n, word in enumerate(_TENS, 2)}
_ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
)  # fmt: skip

_ABOUT = ("ca", "circa", "about", "around", "approx", "approximately", "roughly", "estimated", "est")
_GROUPS = {"adult", "young", "old", "aged", "juvenile", "mature", "geriatric", "middle", "neonate", "neonatal", "pup"}
# who is of that age, after the unit: "8 week old mice", "2-5 year-old child stage"
_WHO = {
    "human", "mouse", "mice", "murine", "rat", "rats", "child", "adult", "infant", "stage", "male", "female", "man",
    "woman", "boy", "girl", "donor", "patient", "subject", "individual", "person",
}  # fmt: skip


@dataclass(frozen=True)
class Age:
    """What a text says of an age.

    Attributes
    ----------
    low, high
        Years; the same for one age, the ends of a range; both None for what names no single age or closed range.
    why
        A word or two on why it is not read, such as ``prenatal``, ``open-ended``, ``missing``, ``several ages``,
        ``not an age``; None where it is.
    """

    low: float | None = None
    high: float | None = None
    why: str | None = None

    @property
    def years(self) -> float | None:
        """The age, or the middle of its range."""
        return None if self.low is None or self.high is None else (self.low + self.high) / 2


def read_age(entry: object, *, unit: str = YEARS, life_span: float = ANY_SPECIES) -> Age:
    """Read one entry of a column of ages.

    Parameters
    ----------
    entry
        Text or a number; all else is no age.
    unit
        Of a number without one: one of `titin.study.age_units.UNITS`, or ``unknown``, and it is no age.
    life_span
        Years beyond which nothing is an age.

    Raises
    ------
    ValueError
        If there is no such unit.

    Examples
    --------
    >>> read_age("20-29 yo").years, read_age("12 wks").why, read_age("PCW 12")
    (24.5, None, Age(low=None, high=None, why='prenatal'))
    """
    if unit not in PER_YEAR:
        raise ValueError(f"unit {unit!r} is none of {', '.join(UNITS)}")
    if isinstance(entry, str):
        return _read_text(entry, unit, life_span)
    if _is_nothing(entry):
        return Age(why="missing")
    if isinstance(entry, bool) or not isinstance(entry, Real):
        return Age(why="not an age")
    try:
        number = float(entry)
    except OverflowError:
        number = math.inf
    if number < 0:
        return Age(why="missing")  # -1 and -9 are common words for unknown
    return _judged(_Span(number / PER_YEAR[unit], number / PER_YEAR[unit], bare=number), life_span)


def _is_nothing(entry: Any) -> bool:
    """Whether an entry is None, NaN or another of pandas' words for nothing."""
    return bool(pd.api.types.is_scalar(entry) and pd.isna(entry))


def _read_text(text: str, unit: str, life_span: float) -> Age:
    text = text.strip()
    if len(text) > _LONGEST:
        return Age(why="not an age")
    if _MAN.fullmatch(text):
        return Age(why="months or a man")
    words = " ".join(text.translate(_DASHES).lower().split())
    reader = _Reader(words, unit)
    for form in _FORMS:
        reader.restart(unit)
        found = form(reader)
        if found is not None and reader.at == len(reader.tokens):
            return _judged(found, life_span)
    return Age(why=why_unread(text, [token.text for token in reader.tokens]))


class _Span(NamedTuple):
    """Ends of an age as they are written, in years; the number itself where it has no unit."""

    low: float
    high: float
    bare: float | None = None


def _judged(span: _Span, life_span: float) -> Age:
    if span.low > span.high:
        return Age(why=REVERSED)
    if not span.high <= life_span:
        if span.bare is not None and 1800 <= span.bare <= 2100:
            return Age(why=CALENDAR)
        if span.bare in SENTINEL_NUMBERS:
            return Age(why="missing")
        return Age(why=NO_UNIT if math.isnan(span.high) else BEYOND)
    return Age(span.low, span.high)


class _Token(NamedTuple):
    text: str
    number: float | None
    glued: bool  # to the token before it


class _Amount(NamedTuple):
    """A number and its unit, which one without a unit may have from the other end of its range."""

    value: float
    unit: str | None
    compound: bool = False  # its value is in years
    spelled: bool = False  # a word such as eight, which is an age only with a unit

    def years(self, unit: str) -> float:
        return self.value / PER_YEAR[self.unit or unit]


class _Reader:
    """Tokens of a text, and how far they are read; each method takes what it names, or nothing."""

    def __init__(self, text: str, unit: str) -> None:
        self.tokens = [
            _Token(
                found[0], float(found[1]) if found[1] else None, found.start() > 0 and text[found.start() - 1] != " "
            )
            for found in _TOKEN.finditer(text)
        ]
        self.restart(unit)

    def restart(self, unit: str) -> None:
        """Go back to the first token."""
        self.unit = unit  # of numbers without one
        self.stated = False  # whether a unit was written
        self.at = 0

    def peek(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.tokens[at].text if at < len(self.tokens) else ""

    def glued(self, ahead: int = 0) -> bool:
        at = self.at + ahead
        return at < len(self.tokens) and self.tokens[at].glued

    def take(self, *sequence: str) -> bool:
        """The tokens of a sequence, all of them or none."""
        if all(self.peek(i) == text for i, text in enumerate(sequence)):
            self.at += len(sequence)
            return True
        return False

    def take_any(self, *texts: str) -> str:
        found = self.peek()
        return found if found in texts and self.take(found) else ""

    def joint(self, before: Callable[[str], Any]) -> None:
        """A dash or underscore, where what comes after it goes on with what was before."""
        if self.peek() in ("-", "_") and before(self.peek(1)):
            self.at += 1

    def number(self) -> float | None:
        """A number; a comma is its decimal point if one or two digits follow without a space."""
        if not self.peek() or self.tokens[self.at].number is None:
            return None
        number = self.tokens[self.at].number
        self.at += 1
        digits = self.peek(1)
        if self.peek() == "," and digits.isdecimal() and self.glued() and self.glued(1) and "." not in self.peek(-1):
            if len(digits) > 2:
                return math.nan  # thousands, of which there are none among ages
            number = float(f"{self.peek(-1)}.{digits}")
            self.at += 2
        return number

    def number_word(self) -> float | None:
        """``eight``, ``forty-five``."""
        word = self.peek()
        if word not in _NUMBER_WORDS:
            return None
        self.at += 1
        number = _NUMBER_WORDS[word]
        if number >= 20:
            self.joint(lambda after: 0 < _NUMBER_WORDS.get(after, 0) < 10)
            if 0 < _NUMBER_WORDS.get(self.peek(), 0) < 10:
                number += _NUMBER_WORDS[self.peek()]
                self.at += 1
        return float(number)

    def amount(self) -> _Amount | None:
        """A number with or without a unit, or several in descending units: ``67y 3m``, ``2 years and 3 months``."""
        number = self.number()
        spelled = number is None
        if spelled:
            number = self.number_word()
        if number is None or math.isnan(number):
            return None
        unit = self.units()
        if unit is None:
            return _Amount(number, None, spelled=spelled)
        years, last, parts = number / PER_YEAR[unit], unit, 1
        while True:
            start = self.at
            self.take_any("and", ",")
            smaller = self.number()
            next_unit = None if smaller is None or math.isnan(smaller) else self.units()
            whole = next_unit is not None and UNITS.index(next_unit) > UNITS.index(last)
            if smaller is None or next_unit is None or not whole or smaller * PER_YEAR[last] >= PER_YEAR[next_unit]:
                self.at = start
                break
            years, last, parts = years + smaller / PER_YEAR[next_unit], next_unit, parts + 1
        return _Amount(number, unit) if parts == 1 else _Amount(years, YEARS, compound=True)

    def units(self) -> str | None:
        """A unit with what may follow it: ``-year-old``, `` y.o.``, `` (years)``, `` years of age``."""
        start = self.at
        # 3_M is the third man as likely as three months
        self.joint(lambda after: len(after) > 1 and (after in UNIT_OF or after in OLD_UNIT_OF))
        bracket = {"(": ")", "[": "]"}.get(self.peek()) if self.peek(1) in UNIT_OF else None
        self.at += bracket is not None
        word = self.peek()
        unit = UNIT_OF.get(word) or OLD_UNIT_OF.get(word) or SINCE_BIRTH.get(word)
        if unit is None:
            self.at = start
            return None
        self.at += 1
        self.stated = True
        if bracket is not None:
            if not self.take(bracket):
                self.at = start
                return None
            return unit
        self.take("(", "s", ")") if len(word) > 2 else None
        if word in UNIT_OF:
            self._old()
        elif word in OLD_UNIT_OF:
            self.take(".")
        return unit

    def _old(self) -> None:
        if self.take(".", "o", ".") or self.take(".", "o") or self.take("/", "o"):
            return
        self.take(".")
        self.joint(lambda after: after in ("old", "of"))
        if not self.take("old"):
            self.take("of", "age") or self.take("of", "-", "age")

    def separator(self) -> bool:
        """What stands between the ends of a range: ``-``, ``to``, also of ``6-to-8`` and ``6- to 8``."""
        dashed = bool(self.take_any("-", "_"))
        if not self.take_any("to", "through", "thru", "until"):
            return dashed or self.take("~")
        if dashed:
            self.take_any("-", "_")
        return True

    def since_birth(self) -> bool:
        """``postnatal``, ``after birth``, ``post-hatch``, after the unit."""
        start = self.at
        if self.take_any("postnatal", "postpartum"):
            return True
        if self.take_any("post", "after"):
            self.take("-")
            if self.take_any("natal", "birth", "partum", "hatch", "hatching"):
                return True
        self.at = start
        return False

    def who(self) -> None:
        """The words that may follow an age with a unit."""
        if self.stated:
            self.since_birth()
            self.joint(lambda after: after in _WHO)
            while self.take_any(*_WHO):
                pass


def _labelled(form: Callable[[_Reader], _Span | None]) -> Callable[[_Reader], _Span | None]:
    """The same form with ``Age:``, ``aged`` or ``approx.`` before it."""

    def read(reader: _Reader) -> _Span | None:
        if reader.take("age"):
            reader.take_any("group", "bin", "range", "in")
            named = reader.peek(-1)
            unit = reader.units()
            if named == "in" and unit is None:
                return None
            reader.unit = unit or reader.unit
            reader.take_any(":", "=", "_", "-")
        else:
            reader.take("aged")
        if not (reader.take_any("~", "≈") or reader.take("c", ".") or reader.take_any(*_ABOUT)):
            return form(reader)
        reader.take(".")
        # C57 and ca4 are names, and no "about 57"
        return None if reader.glued() and reader.peek(-1) not in "~≈." else form(reader)

    return read


def _span(reader: _Reader) -> _Span | None:
    """A number or a range, or a number and its spread."""
    closing = {"between": ("and",), "from": ("to",)}.get(reader.take_any("between", "from"))
    low = reader.amount()
    if low is None:
        return None
    if closing is None and (reader.take("±") or reader.take("+", "/", "-") or reader.take("+", "-")):
        return _spread(reader, low)
    if reader.take_any(*closing) if closing else reader.separator():
        high = reader.amount()
        if high is None or (low.unit and not high.unit) or (high.compound and not low.unit):
            return None
    elif closing:
        return None
    else:
        high = low
    reader.who()
    if not high.unit and (low.spelled or high.spelled):
        return None
    unit = high.unit or reader.unit
    return _Span(low.years(unit), high.years(unit), None if high.unit else high.value)


def _spread(reader: _Reader, middle: _Amount) -> _Span | None:
    """The middle of ``89 ± 4.5 years``: how far others lie from it is no part of the age."""
    around = reader.amount()
    if around is None or middle.spelled or (middle.unit and around.unit not in (None, middle.unit)):
        return None
    reader.who()
    unit = middle.unit or around.unit
    years = middle.years(unit or reader.unit)
    return _Span(years, years, None if unit else middle.value)


def _interval(reader: _Reader) -> _Span | None:
    """``[20, 30)``, ``(20-30] years``: within brackets, a comma parts the ends."""
    if not reader.take_any("[", "("):
        return None
    low = _plain_number(reader)
    if not (reader.take_any(",", ";") or reader.separator()):
        return None
    high = _plain_number(reader)
    if low is None or high is None or not reader.take_any("]", ")"):
        return None
    unit = reader.units()
    reader.who()
    per_year = PER_YEAR[unit or reader.unit]
    return _Span(low / per_year, high / per_year, None if unit else high)


def _plain_number(reader: _Reader) -> float | None:
    if not reader.peek() or reader.tokens[reader.at].number is None:
        return None
    reader.at += 1
    return reader.tokens[reader.at - 1].number


def _postnatal(reader: _Reader) -> _Span | None:
    """``P28``, ``P7-P10``, ``PND 7``, ``postnatal day 7``, ``postnatal week 3``."""
    unit = _postnatal_prefix(reader)
    low = reader.number() if unit else None
    if unit is None or low is None:
        return None
    high = low
    if reader.separator():
        again = _postnatal_prefix(reader)
        end = reader.number()
        if end is None or again not in (None, unit):
            return None
        high = end
    return _Span(low / PER_YEAR[unit], high / PER_YEAR[unit])


def _postnatal_prefix(reader: _Reader) -> str | None:
    if reader.take_any("p", "pn", "pnd", "pd"):
        return "days"
    start = reader.at
    if reader.since_birth():
        word = reader.peek()
        if word in UNIT_OF and len(word) > 1:
            reader.at += 1
            reader.take("p")
            return UNIT_OF[word]
    reader.at = start
    return None


def _since_birth(reader: _Reader) -> _Span | None:
    """``postnatal 8 weeks``."""
    found = _span(reader) if reader.since_birth() else None
    return found if reader.stated else None


def _iso_duration(reader: _Reader) -> _Span | None:
    """``P12W``, ``P40Y5M``, ``P20Y-P30Y``: durations of ISO 8601, but for those with hours."""
    low = _iso_amount(reader)
    high = low
    if low is not None and reader.take_any("-", "/"):
        high = _iso_amount(reader)
    return None if low is None or high is None else _Span(low, high)


def _iso_amount(reader: _Reader) -> float | None:
    if not reader.take("p"):
        return None
    start = reader.at
    amount = reader.amount()
    written = reader.tokens[start : reader.at]
    if amount is None or not amount.unit or not all(token.glued and len(token.text) < 9 for token in written):
        return None
    if any(token.text not in ("y", "m", "w", "d", ",") for token in written if token.number is None):
        return None
    return amount.years(YEARS)


def _decade(reader: _Reader) -> _Span | None:
    """``sixth decade stage``, ``6th decade of life``: the years from 50 to 60."""
    nth = _ORDINALS.index(reader.take_any(*_ORDINALS)) if reader.peek() in _ORDINALS else None
    if nth is None and reader.peek(1) in ("st", "nd", "rd", "th") and reader.glued(1) and reader.peek().isdecimal():
        nth = int(reader.peek()) - 1
        reader.at += 2
    if nth is None or not 0 <= nth < len(_ORDINALS) or not reader.take("decade"):
        return None
    reader.take("of", "life")
    reader.stated = True
    reader.who()
    return _Span(10.0 * nth, 10.0 * nth + 10)


def _group(reader: _Reader) -> _Span | None:
    """``adult (8 weeks)``, ``Old_24m``, ``adult P60``: one age, with a unit, beside a word for a group of them."""
    if reader.peek() not in _GROUPS:
        return None
    reader.at += 1
    bracket = bool(reader.take("("))
    if not bracket:
        reader.take_any(":", ",", "_", "-")
    start = reader.at
    for form in (_postnatal, _span):
        reader.at = start
        found = form(reader)
        if found and found.low == found.high and found.bare is None and (not bracket or reader.take(")")):
            return found
    return None


_FORMS = (*map(_labelled, (_span, _interval, _postnatal, _since_birth, _iso_duration, _decade)), _group)
