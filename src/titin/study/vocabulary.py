"""The words of sex and of protocol, whatever spelling a study has for them."""

import re

SEX_NAMES = {"F": "female", "M": "male"}
_SEXES = {
    **dict.fromkeys(("f", "female", "females", "woman", "women", "girl", "girls", "pato:0000383"), "F"),
    **dict.fromkeys(("m", "male", "males", "man", "men", "boy", "boys", "pato:0000384"), "M"),
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
