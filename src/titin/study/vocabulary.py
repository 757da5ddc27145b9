"""The words of a study: of sex, of protocol, and those that say that something is not known."""

import re
from collections.abc import Collection
from typing import Any

SEX_NAMES = {"F": "female", "M": "male"}
_SEXES = {
    **dict.fromkeys(("f", "female", "females", "woman", "women", "girl", "girls", "pato:0000383", "♀"), "F"),
    **dict.fromkeys(("m", "male", "males", "man", "men", "boy", "boys", "pato:0000384", "♂"), "M"),
}
PROTOCOL_WORDS = {
    **dict.fromkeys(("cell", "cells", "singlecell", "singlecells", "scrnaseq", "sc"), "cells"),
    **dict.fromkeys(("nucleus", "nuclei", "singlenucleus", "singlenuclei", "snrnaseq", "sn"), "nuclei"),
}


def plain(name: object) -> str:
    """Lower case without spaces, dots, dashes and underscores.

    Examples
    --------
    >>> plain("Single-Cell RNA_seq")
    'singlecellrnaseq'
    """
    return re.sub(r"[\s._-]+", "", str(name)).lower()


def sex_of(name: object) -> str | None:
    """``F`` or ``M`` by a recorded sex; None for anything else.

    Examples
    --------
    >>> sex_of("women"), sex_of("Male"), sex_of("PATO:0000383"), sex_of("unknown")
    ('F', 'M', 'F', None)
    """
    return _SEXES.get(plain(name))


def protocol_of(name: object) -> str | None:
    """``cells`` or ``nuclei`` by the name of a protocol, also where it is part of a longer name; None for neither.

    Examples
    --------
    >>> protocol_of("snRNA-seq"), protocol_of("single cell"), protocol_of("3' v2")
    ('nuclei', 'cells', None)
    """
    word = plain(name)
    if word in PROTOCOL_WORDS:
        return PROTOCOL_WORDS[word]
    if re.search(r"nucle|^snrna", word):
        return "nuclei"
    return "cells" if re.search(r"cell|^scrna", word) else None


def _words(text: str) -> frozenset[str]:
    """Words as letters and digits in lower case."""
    return frozenset(text.split())


_MISSING = _words(
    """unknown unk notknown na nan none null nil nat missing unavailable notavailable notapplicable inapplicable
    notreported unreported notprovided notcollected notdetermined undetermined notspecified unspecified notrecorded
    unrecorded notassigned unassigned undefined notdefined undisclosed notdisclosed withheld nodata noinformation noinfo
    tobedetermined tbd"""
)
_OF_SEVERAL = _words(
    """pooled pool pools pooleddonors pooledsamples poolofdonors multiple multipledonors mixed mixeddonors mix
    mixture"""
)
_NO_SINGLE_CELL = _words(  # what tools say that give the cells of a pool back to donors by genotype or hashtag
    """doublet doublets multiplet multiplets dbl ambiguous amb unhashed untagged nohash nohashtag"""
)
_MISSING_OF_ROLE = {
    "donor": _OF_SEVERAL | _NO_SINGLE_CELL,
    "sample": _NO_SINGLE_CELL,
    "sex": _OF_SEVERAL | _words("u nd ambiguous indeterminate both malefemale femalemale"),
    "cell_type": _words("unannotated notannotated unclassified unlabeled unlabelled nolabel"),
}
STATUS_WORDS = _words(  # what is said of a donor, not who it is
    """case cases control controls ctrl ctl patient patients healthy hc disease diseased sick normal donor donors
    recipient host graft treated untreated treatment vehicle placebo positive negative pos neg responder nonresponder
    wt ko het wildtype knockout mutant mut tumor tumour adjacent young old adult aged fetal foetal human mouse yes no
    true false"""
)
_NOUNS = {
    "donor": "donor|patient|individual|subject|sample|id", "sample": "sample|library|id", "age": "age|stage",
    "sex": "sex|gender", "protocol": "protocol|suspensiontype", "chemistry": "chemistry|assay|protocol",
    "study": "study|dataset|cohort|id",
    "cell_type": "celltype|type|cell|cells|label|annotation",
}  # fmt: skip
_NOTHING = re.compile(r"[\s\-–—_.?/*#<>()\[\]]*")  # no letter and no digit, nor a sign that means something
_REASONED = re.compile(r"missing\s*:.*|(?:pooled|pool of)\s*[\[(:].*|pool of\s.*", re.I | re.S)
_BETWEEN = ("/", ",", "+", ";", "&", "|", "_")


def is_missing_word(value: object, role: str) -> bool:
    """Whether an entry says that something is not known, or is of no one in particular.

    Parameters
    ----------
    value
        Entry of a column of obs.
    role
        Of the column, of `titin.dataset.layout.ROLES`: a pool is no donor, but may well be a sample.

    Examples
    --------
    >>> [is_missing_word(word, "donor") for word in ("unknown", "N/A", "pooled [D1,D2]", "NA12878", "D1")]
    [True, True, True, False, False]
    >>> is_missing_word("doublet", "cell_type"), is_missing_word("Unassigned", "cell_type")
    (False, True)
    """
    if not isinstance(value, str):
        return False
    if _NOTHING.fullmatch(value):
        return True
    if match := _REASONED.fullmatch(value.strip()):
        return role == "donor" or match[0].lower().startswith("missing")
    word = re.sub(r"[\W_]+", "", value).lower()
    without_noun = re.sub(rf"^(?:{_NOUNS[role]})(?=\w)|(?<=\w)(?:{_NOUNS[role]})$", "", word)
    of_role = _MISSING_OF_ROLE.get(role, frozenset())
    return bool({word, without_noun} & _MISSING) or word in of_role


def missing_words(values: Collection[Any], role: str) -> list[Any]:
    """Of the distinct entries of a column, those that say that something is not known.

    Beyond `is_missing_word`, these are clear among their like only: ``negative``, as those cells of a pool are called
    that no hashtag was found in, unless there are ``positive`` ones; and of donors ``D1/D2``, beside D1 and D2.

    Parameters
    ----------
    values
        Distinct entries.
    role
        Of the column.

    Examples
    --------
    >>> missing_words(["D1", "D2", "D1/D2", "Negative"], "donor")
    ['D1/D2', 'Negative']
    """
    found = {value for value in values if is_missing_word(value, role)}
    if role in ("donor", "sample"):
        by_word = {plain(value): value for value in values if isinstance(value, str)}
        if "negative" in by_word and not {"positive", "pos"} & set(by_word):
            found.add(by_word["negative"])
    if role == "donor":
        known = {str(value) for value in values if value not in found}
        found |= {value for value in values if isinstance(value, str) and _names_several(value, known)}
    return [value for value in values if value in found]


def _names_several(value: str, known: Collection[str]) -> bool:
    parts = [[part.strip() for part in value.split(sign)] for sign in _BETWEEN if sign in value]
    return any(len(set(names)) > 1 and all(name in known for name in names) for names in parts)
