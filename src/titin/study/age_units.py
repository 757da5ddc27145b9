"""Units of age: how they are written, how long they are, and which one the name of a column states."""

import re

YEARS = "years"
UNITS = (YEARS, "months", "weeks", "days")  # longest first
UNKNOWN = "unknown"  # of numbers that are in none of these as far as can be told
PER_YEAR = {YEARS: 1.0, "months": 12.0, "weeks": 365.25 / 7, "days": 365.25, UNKNOWN: float("nan")}

_SPELLINGS = {
    YEARS: ("y", "yr", "yrs", "year", "years"),
    "months": ("m", "mo", "mos", "mon", "mth", "mths", "mnth", "mnths", "month", "months"),
    "weeks": ("w", "wk", "wks", "week", "weeks"),
    "days": ("d", "day", "days"),
}
UNIT_OF = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings}
# the day of birth, or of hatching, counted from: 28 dpp, 6 wph
SINCE_BIRTH = {"dpp": "days", "pnd": "days", "dph": "days", "wph": "weeks"}
# with "old" in the word: 45yo, 8wo
OLD_UNIT_OF = {"yo": YEARS, "yro": YEARS, "wo": "weeks"}

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_GLUED = re.compile(r"age(?:in)?([a-z]+)|([a-z]+)old")


def unit_of_column(name: object) -> str | None:
    """Unit of ages that the name of a column states: one of `UNITS`; None if it states none, or several.

    Examples
    --------
    >>> unit_of_column("age_months"), unit_of_column("Age (weeks)"), unit_of_column("donorAgeInDays")
    ('months', 'weeks', 'days')
    >>> unit_of_column("age"), unit_of_column("ageYears"), unit_of_column("age_group")
    (None, 'years', None)
    """
    words = [word for word in re.split(r"[^a-z0-9]+", _CAMEL.sub(" ", str(name)).lower()) if word]
    found = set()
    for before, word in zip([None, *words], words, strict=False):
        glued = _GLUED.fullmatch(word)
        bare = (glued[1] or glued[2]) if glued else word
        # one letter is a unit only where it follows the word age: age_d, but no d of "donor d"
        if bare in UNIT_OF and (len(bare) > 1 or before == "age" or glued):
            found.add(UNIT_OF[bare])
        elif bare in SINCE_BIRTH:
            found.add(SINCE_BIRTH[bare])
    return found.pop() if len(found) == 1 else None


def without_unit(name: object) -> str:
    """Name of a column without the unit that it states, in lower case and in one word, as roles are known by.

    Examples
    --------
    >>> without_unit("Age (weeks)"), without_unit("donorAgeInDays"), without_unit("age"), without_unit("days_old")
    ('age', 'donorage', 'age', 'age')
    """
    words = [word for word in re.split(r"[^a-z0-9]+", _CAMEL.sub(" ", str(name)).lower()) if word]
    if unit_of_column(name) is None:
        return "".join(words)
    kept = []
    for before, word in zip([None, *words], words, strict=False):
        glued = _GLUED.fullmatch(word)
        if glued and (glued[1] or glued[2]) in UNIT_OF:
            kept.append("age")
        elif (word in UNIT_OF and (len(word) > 1 or before == "age")) or word in ("in", "of"):
            continue
        else:
            kept.append("age" if word == "old" or word in SINCE_BIRTH else word)
    return "".join(kept)
