"""Which labels of an atlas stand for muscle fibres and muscle stem cells, by what they are called."""

import re
from collections.abc import Iterable

from titin.atlas import Atlas
from titin.errors import TitinError

_FIBRE = re.compile(
    r"^MF\b|^Hyb\b|^Specialised MF|myofib|myonucle|muscle (?:fib|cell)|fast|slow|type[ _-]?I+|^I+[ABX]?$", re.I
)
_NO_FIBRE = re.compile(r"smooth|stem|satellite|progenitor|fibroblast|^Immune", re.I)
_FAST = re.compile(r"(?:^|[-_ ])II(?![IV])|fast", re.I)
_SLOW = re.compile(r"(?:^|[-_ ])I(?![IVX])(?=$|[-_ (]|sc|sn)|slow", re.I)
_STEM = re.compile(r"musc|satellite|muscle stem|muscle precursor|muscle progenitor", re.I)


def fibre_labels(labels: Iterable[object]) -> list[str]:
    """Labels that stand for muscle fibres or their nuclei or fragments.

    Examples
    --------
    >>> fibre_labels(["MF-I", "MF-IIsc(fg)", "Hyb", "FB", "smooth muscle cell", "type I myofiber", "MuSC"])
    ['MF-I', 'MF-IIsc(fg)', 'Hyb', 'type I myofiber']
    """
    return [str(x) for x in labels if _FIBRE.search(str(x)) and not _NO_FIBRE.search(str(x))]


def fibre_type(label: object) -> str | None:
    """``I`` or ``II`` where a fibre's label says so, else None.

    Examples
    --------
    >>> [fibre_type(x) for x in ("MF-I", "MF-Isn(fg)", "MF-II", "MF-IIsc(fg)", "Hyb", "fast muscle cell", "type IIA")]
    ['I', 'I', 'II', 'II', None, 'II', 'II']
    """
    if _FAST.search(str(label)):
        return "II"
    return "I" if _SLOW.search(str(label)) else None


def stem_labels(labels: Iterable[object]) -> list[str]:
    """Labels that stand for muscle stem cells.

    Examples
    --------
    >>> stem_labels(["MuSC", "FB", "muscle satellite cell"])
    ['MuSC', 'muscle satellite cell']
    """
    return [str(x) for x in labels if _STEM.search(str(x))]


def missing_genes(atlas: Atlas, genes: Iterable[str]) -> list[str]:
    """Those of some genes that a dataset does not have."""
    return [gene for gene in genes if gene not in atlas]


def need_counts(atlas: Atlas, purpose: str) -> None:
    """Refuse a dataset without counts.

    Raises
    ------
    TitinError
        In one sentence.
    """
    if atlas.kind == "real":
        raise TitinError(
            f"this dataset has no counts: {purpose}",
            "build it from a source with counts, or with --layer or --raw if the source has them there",
        )
