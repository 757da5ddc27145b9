"""Genes that studies call otherwise, found to be one by aliases, where only one gene can be meant."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

from titin.study.gene_aliases import GeneAliases


@dataclass(frozen=True)
class MetGene:
    """A gene that some studies measured and have matched by id or symbol.

    Attributes
    ----------
    symbols
        By which these studies know it.
    stable_id
        Its id without the version; None where none of them has one.
    studies
        Their names.
    """

    symbols: frozenset[str]
    stable_id: str | None
    studies: frozenset[str]

    def may_be(self, other: "MetGene") -> bool:
        """Whether both can be one gene: no study has both, and they are not told apart by their ids."""
        return not self.studies & other.studies and not self._has_other_id(other)

    def is_missed_beside(self, other: "MetGene") -> bool:
        """Whether each is of a study that lacks the other, though not by its id: one may be meant by the other."""
        own, theirs = self.studies, other.studies
        return not (own <= theirs or theirs <= own) and not self._has_other_id(other)

    def _has_other_id(self, other: "MetGene") -> bool:
        return None not in (self.stable_id, other.stable_id) and self.stable_id != other.stable_id


@dataclass
class AliasMatch:
    """Outcome.

    Attributes
    ----------
    groups
        Positions of genes that are one, ascending.
    ambiguous
        Positions of genes that may be another's, and may not: their alias is of two genes, or a symbol itself.
    """

    groups: list[list[int]] = field(default_factory=list)
    ambiguous: list[int] = field(default_factory=list)


def match_by_alias(genes: Sequence[MetGene], tables: Sequence[GeneAliases]) -> AliasMatch:
    """Find genes that are one by their aliases.

    A gene is what its stable id says, else what its symbol is an alias of. Genes of one meaning are one if no study has
    two of them and their ids do not differ. An alias of two genes, or one that is a symbol as well, stands for itself.

    Parameters
    ----------
    genes
        Each in the studies that have matched it already.
    tables
        Aliases, those that are believed first at the beginning.
    """
    if not tables:
        return AliasMatch()
    meanings = [_meanings(gene, tables) for gene in genes]
    places: dict[str, list[int]] = defaultdict(list)
    for place, meant in enumerate(meanings):
        if len(meant) == 1:
            places[next(iter(meant))].append(place)
    match, doubtful = AliasMatch(), set[int]()
    for own in places.values():
        if len(own) < 2 or len({genes[place].symbols for place in own}) < 2:
            continue
        pairs = list(combinations(own, 2))
        if all(genes[one].may_be(genes[other]) for one, other in pairs):
            match.groups.append(own)
        else:
            doubtful.update(*(pair for pair in pairs if genes[pair[0]].is_missed_beside(genes[pair[1]])))
    found = {place: _united([genes[one] for one in group]) for group in match.groups for place in group}
    for place, gene in enumerate(genes):
        if place not in found:
            others = {one for name in _other_meanings(gene, meanings[place], tables) for one in places.get(name, ())}
            if any(gene.is_missed_beside(found.get(one, genes[one])) for one in others):
                doubtful.add(place)
    match.ambiguous = sorted(doubtful)
    return match


def _united(genes: Sequence[MetGene]) -> MetGene:
    """Genes that are one, as one."""
    return MetGene(
        frozenset[str]().union(*(gene.symbols for gene in genes)),
        next((gene.stable_id for gene in genes if gene.stable_id), None),
        frozenset[str]().union(*(gene.studies for gene in genes)),
    )


def _meanings(gene: MetGene, tables: Sequence[GeneAliases]) -> frozenset[str]:
    """Symbols of the genes that it may be; one where it is clear."""
    for table in tables:
        if gene.stable_id in table.of_id:
            return frozenset({table.of_id[str(gene.stable_id)]})
    return frozenset[str]().union(*(_meant(symbol, tables) for symbol in gene.symbols))


def _meant(symbol: str, tables: Sequence[GeneAliases]) -> frozenset[str]:
    """Genes that a symbol stands for; what a table says, those before it may call otherwise."""
    for n, table in enumerate(tables):
        known = table.meant(symbol)
        if known:
            return frozenset[str]().union(*(_meant(one, tables[:n]) for one in known))
    return frozenset({symbol})


def _other_meanings(gene: MetGene, meanings: frozenset[str], tables: Sequence[GeneAliases]) -> set[str]:
    """Genes that it may be as well, and is not taken for: it has several meanings, or its symbol is an alias, too."""
    if any(gene.stable_id in table.of_id for table in tables):
        return set()
    others = set(meanings) if len(meanings) > 1 else set()
    for symbol in gene.symbols:
        others.update(*(table.of_alias.get(symbol, ()) for table in tables))
    return others - meanings if len(meanings) == 1 else others
