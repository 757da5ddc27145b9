"""Genes of several studies matched: by stable id, whatever its version, else by symbol, else by alias."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.dataset import layout
from titin.errors import TitinError
from titin.study.alias_matching import MetGene, match_by_alias
from titin.study.gene_aliases import GeneAliases
from titin.text import say_first

_VERSIONED = re.compile(r"(ENS[A-Z]*[0-9]{6,})\.[0-9]+")
_STABLE = re.compile(r"ENS[A-Z]*[0-9]{6,}|(?:FBgn|WBGene)[0-9]{4,}")
_NAMED = 3  # genes named in a sentence


@dataclass
class MatchedGenes:
    """The genes of several studies together.

    Attributes
    ----------
    names
        Name of each gene in var: that of the first study that measured it.
    genes
        Its symbol (``gene``) and stable id (``gene_ids``).
    places
        By study, int64, one a gene here: its position in the study, -1 where the study did not measure it.
    notes
        What people should know of the match.
    unmatched
        By study, names of its genes that some other study has not.
    by_alias
        By study, of its genes that were matched by alias: the name here by its own.
    ambiguous
        By study, names of its genes that were not matched by alias, as they may be another's or none's.
    """

    names: list[str]
    genes: pd.DataFrame
    places: dict[str, NDArray[np.int64]]
    notes: list[str] = field(default_factory=list)
    unmatched: dict[str, list[str]] = field(default_factory=dict)
    by_alias: dict[str, dict[str, str]] = field(default_factory=dict)
    ambiguous: dict[str, list[str]] = field(default_factory=dict)


def bare_id(name: str) -> str:
    """Return a stable id without its version; what is none, as it is.

    Examples
    --------
    >>> bare_id("ENSG00000141510.18"), bare_id("AC011043.1")
    ('ENSG00000141510', 'AC011043.1')
    """
    found = _VERSIONED.fullmatch(name)
    return found[1] if found else name


def match_genes(
    studies: Mapping[str, tuple[pd.Index, pd.DataFrame]], join: str, *, noun: str = "genes",
    aliases: Sequence[GeneAliases] = (),
) -> MatchedGenes:  # fmt: skip
    """Match the genes of studies.

    Two genes are one if their stable ids are, without the version; or, where one of them has no stable id, if their
    symbols are, and only one gene of each study has that symbol; or by alias: see `titin.study.alias_matching`.

    Parameters
    ----------
    studies
        By name: names of the genes in var, and their symbols (``gene``) and ids (``gene_ids``).
    join
        ``inner`` for the genes of all studies, ``outer`` for those of any.
    noun
        What they are called in what is said.
    aliases
        Tables of aliases, those that are believed first at the beginning.

    Raises
    ------
    TitinError
        If no gene is in all studies.
    """
    rows = _MetGenes()
    for study, (own, named) in studies.items():
        rows.add(study, own.astype(str).tolist(), named)
    joined, ambiguous = rows.join(aliases)
    places = {study: np.full(len(rows.names), -1, np.int64) for study in studies}
    for study, found in rows.of_study.items():
        places[study][found] = np.arange(len(found))
    everywhere = np.logical_and.reduce([place >= 0 for place in places.values()])
    if not everywhere.any():
        raise TitinError(
            f"{' and '.join(studies)} have no {noun[:-1]} in common: {_example(studies)}",
            "are they of one species, and their genes named in one way (symbols or Ensembl ids)?",
        )
    kept = np.flatnonzero(everywhere) if join == "inner" else np.arange(len(everywhere))
    names = _unique([rows.names[row] for row in kept], [rows.ids[row] for row in kept])
    unmatched = {
        study: [str(studies[study][0][place]) for place in of_study[(of_study >= 0) & ~everywhere]]
        for study, of_study in places.items()
    }
    genes = pd.DataFrame({layout.GENE: [rows.symbols[row] for row in kept],
                          layout.GENE_IDS: [rows.ids[row] for row in kept]}, dtype=object)  # fmt: skip
    notes = [f"{len(names):,} {noun}: {int(everywhere.sum()):,} are in all studies"]
    notes += [_said(study, without, join, noun) for study, without in unmatched.items() if without]
    if rows.by_symbol:
        notes.append(
            f"{_count(rows.by_symbol, noun)} matched by symbol, as one of the studies has no stable id of them"
        )
    if rows.ambiguous:
        notes.append(f"{_count(rows.ambiguous, noun)} not matched, as several {noun} of a study have that symbol")
    place_of = {row: place for place, row in enumerate(kept.tolist())}
    by_alias = {study: {own: names[place_of[row]] for own, row in found.items() if row in place_of}
                for study, found in joined.items()}  # fmt: skip
    notes += _about_aliases(by_alias, ambiguous, noun)
    places = {study: place[kept] for study, place in places.items()}
    return MatchedGenes(names, genes, places, notes, unmatched, by_alias, ambiguous)


class _MetGenes:
    """Genes that were met so far, a row each."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.symbols: list[str] = []
        self.ids: list[str] = []
        self.of_study: dict[str, NDArray[np.int64]] = {}
        self.by_symbol: list[str] = []
        self.ambiguous: list[str] = []
        self._own_names: dict[str, list[str]] = {}
        self._spellings: list[set[str]] = []
        self._by_id: dict[str, int] = {}
        self._of_symbol: dict[str, list[int]] = {}

    def add(self, study: str, names: list[str], genes: pd.DataFrame) -> None:
        """Take the genes of a study: each is that of a row, or a new one."""
        symbols, ids = genes[layout.GENE].astype(str).tolist(), genes[layout.GENE_IDS].astype(str).tolist()
        stable = [bare_id(one) if _STABLE.fullmatch(bare_id(one)) else None for one in ids]
        often = Counter(symbols)
        found: list[int] = [self._by_id.get(one, -1) if one else -1 for one in stable]
        taken = set(found)
        for place, symbol in enumerate(symbols):
            if found[place] < 0:
                row = self._by_symbol(symbol, stable[place], often[symbol], taken)
                found[place] = row
                taken.add(row)
        for place, row in enumerate(found):
            if row < 0:
                found[place] = len(self.names)
                self.names.append(names[place])
                self.symbols.append(symbols[place])
                self.ids.append(ids[place])
                self._spellings.append(set())
            self._spellings[found[place]].add(symbols[place])
            own, one = found[place], stable[place]
            if one:
                if not _STABLE.fullmatch(bare_id(self.ids[own])):
                    self.ids[own] = ids[place]
                self._by_id.setdefault(one, own)
        self.of_study[study], self._own_names[study] = np.array(found, np.int64), names
        for row in found:
            known = self._of_symbol.setdefault(self.symbols[row], [])
            if row not in known:
                known.append(row)

    def join(self, aliases: Sequence[GeneAliases]) -> tuple[dict[str, dict[str, int]], dict[str, list[str]]]:
        """Make one row of those that are one gene by their aliases.

        Returns
        -------
        joined
            By study, of its genes that came to a row of other studies: the row by its name.
        ambiguous
            By study, names of its genes whose alias may be another's.
        """
        if not aliases:
            return {}, {}
        studies: list[set[str]] = [set() for _ in self.names]
        for study, own in self.of_study.items():
            for row in own:
                studies[row].add(study)
        stable = [bare_id(one) if _STABLE.fullmatch(bare_id(one)) else None for one in self.ids]
        met = [MetGene(frozenset(symbols), gene_id, frozenset(own))
               for symbols, gene_id, own in zip(self._spellings, stable, studies, strict=True)]  # fmt: skip
        match = match_by_alias(met, aliases)
        ambiguous = self._of_rows(dict.fromkeys(match.ambiguous, 0))
        first_of = {row: group[0] for group in match.groups for row in group[1:]}
        for row, first in first_of.items():
            if stable[row] and not stable[first]:
                self.ids[first] = self.ids[row]
        left = np.array([row not in first_of for row in range(len(self.names))], bool)
        new = np.cumsum(left) - 1
        moved = {row: int(new[first]) for row, first in first_of.items()}
        joined = self._of_rows(moved)
        new[list(moved)] = list(moved.values())
        self.names, self.symbols, self.ids = (
            [value for value, keep in zip(values, left, strict=True) if keep]
            for values in (self.names, self.symbols, self.ids)
        )
        self.of_study = {study: new[own] for study, own in self.of_study.items()}
        return joined, {study: list(found) for study, found in ambiguous.items()}

    def _of_rows(self, told: Mapping[int, int]) -> dict[str, dict[str, int]]:
        """By study, of its genes in some rows: what is told of the row by the gene's name."""
        found = {
            study: {self._own_names[study][place]: told[row] for place, row in enumerate(own.tolist()) if row in told}
            for study, own in self.of_study.items()
        }
        return {study: own for study, own in found.items() if own}

    def _by_symbol(self, symbol: str, stable: str | None, often: int, taken: set[int]) -> int:
        """Row of a symbol that can be that of this gene, where it is one; else -1."""
        fitting = [
            row for row in self._of_symbol.get(symbol, [])
            if row not in taken and not (stable and _STABLE.fullmatch(bare_id(self.ids[row])))
        ]  # fmt: skip
        if not fitting:
            return -1
        if len(self._of_symbol[symbol]) > 1 or often > 1:
            self.ambiguous.append(symbol)
            return -1
        if stable or _STABLE.fullmatch(bare_id(self.ids[fitting[0]])):
            self.by_symbol.append(symbol)
        return fitting[0]


def _unique(names: list[str], ids: list[str]) -> list[str]:
    """Names of genes: the id, and then a number, where a name is that of an earlier one."""
    used: set[str] = set()
    found = []
    for name, gene_id in zip(names, ids, strict=True):
        free, n = name, 0
        if free in used:
            free = gene_id
        while free in used:
            n += 1
            free = f"{name}-{n}"
        used.add(free)
        found.append(free)
    return found


def _said(study: str, own: list[str], join: str, noun: str) -> str:
    what = "left out" if join == "inner" else "kept: zeros of studies that did not measure them say nothing"
    return f"{len(own):,} {noun} of {study} are not in all studies and are {what}: {say_first(own, _NAMED)}"


def _about_aliases(
    by_alias: Mapping[str, Mapping[str, str]], ambiguous: Mapping[str, list[str]], noun: str
) -> list[str]:
    notes = []
    for study, own in by_alias.items():
        if not own:
            continue
        named = say_first([f"{name} is {joined}" for name, joined in own.items()], _NAMED)
        notes.append(f"{len(own):,} {noun} of {study} were matched by alias: {named}")
    for study, names in ambiguous.items():
        named = say_first(names, _NAMED)
        notes.append(f"{len(names):,} {noun} of {study} were not matched by alias, as others may be meant: {named}")
    return notes


def _count(symbols: list[str], noun: str) -> str:
    return f"{len(symbols):,} {noun} ({say_first(symbols, _NAMED)}) were"


def _example(studies: Mapping[str, tuple[pd.Index, pd.DataFrame]]) -> str:
    return ", ".join(f"{study} has {', '.join(map(str, names[:_NAMED]))}" for study, (names, _) in studies.items())
