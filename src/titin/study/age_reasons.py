"""Why an age is not read: the words by which prenatal, open-ended and other ages are known."""

import re
from itertools import pairwise

from titin.study.vocabulary import is_missing_word

REVERSED = "reversed range"
BEYOND = "beyond the life span"
NO_UNIT = "in no known unit"
CALENDAR = "a calendar year"
SENTINEL_NUMBERS = (99.9, 888.0, 999.0, 9999.0, 99999.0)

_PRENATAL = {
    "pcw", "wpc", "dpc", "gw", "ga", "gd", "gestation", "gestational", "conception", "postconception", "conceptional",
    "postconceptional", "conceptual", "fetal", "foetal",
    "fetus", "foetus", "embryo", "embryonic", "carnegie", "lmp", "prenatal", "antenatal", "trimester", "blastocyst",
    "zygote", "coitum", "hpf", "gastrula", "blastula", "somite", "somites",
}  # fmt: skip
_PRENATAL_BEFORE_NUMBER = {"e", "ed", "cs", "hh"}
_BORN = 27  # the first stage of Theiler's after birth
_DATE = re.compile(r"\s*\d{1,4}([-./])\d{1,2}\1\d{1,4}\s*")
_FERTILISED = {"dpf", "wpf", "mpf", "fertilization", "fertilisation"}
_HOURS = {"h", "hr", "hrs", "hour", "hours", "hph", "min", "minute", "minutes"}
_OPEN = {
    "+", ">", "<", "≥", "≤", "over", "under", "older", "younger", "above", "below", "least", "most", "more", "less",
    "plus", "greater", "up", "inf", "infinity", "minimum", "maximum", "onwards", "beyond",
}  # fmt: skip
_BETWEEN_SEVERAL = {";", ",", "/", "|", "&", "+", "and", "or"}


def why_unread(text: str, tokens: list[str]) -> str:
    """Say in a word or two why a text names no age.

    Parameters
    ----------
    text
        As it is written.
    tokens
        Its numbers, words and signs, in lower case.

    Examples
    --------
    >>> why_unread("PCW 12", ["pcw", "12"]), why_unread("90+", ["90", "+"]), why_unread("45;46", ["45", ";", "46"])
    ('prenatal', 'open-ended', 'several ages')
    """
    words = set(tokens)
    numbers = [token for token in tokens if token[-1:].isdecimal()]
    starts = zip(["", *tokens], tokens, tokens[1:], strict=False)
    before = {one for zero, one, two in starts if two[:1].isdecimal() and not zero[-1:].isdecimal()}
    if is_missing_word(text, "age") or re.fullmatch(r"\s*[-−–]\s*\d+(\.\d+)?\s*", text):
        return "missing"
    theiler = words & {"ts", "theiler"} and numbers and float(numbers[-1]) < _BORN
    if words & _PRENATAL or before & _PRENATAL_BEFORE_NUMBER or theiler:
        return "prenatal"
    if words & _FERTILISED:
        return "counted from fertilisation"
    if not numbers:
        return "no number"
    if words & _HOURS:
        return "counted in hours"
    if _DATE.fullmatch(text) and any(len(number) == 4 for number in re.findall(r"\d+", text)):
        return "a date"
    added = any(one == "+" and two[:1].isdecimal() for one, two in pairwise(tokens))
    if words & _OPEN and not added:
        return "open-ended"
    if "stage" in words:
        return "a stage of life"
    return "several ages" if len(numbers) > 1 and words & _BETWEEN_SEVERAL else "not an age"
