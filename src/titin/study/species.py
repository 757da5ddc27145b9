"""The species of an atlas: as its tables say, or by the identifiers of its genes."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from titin.study.life_span import ANY_SPECIES, life_span, species_of
from titin.study.tallies import code
from titin.study.vocabulary import plain

_NAMES = ("organism", "organismontologytermid", "species", "organismname", "scientificname", "organismid", "taxon",
          "taxonid", "ncbitaxon", "ncbitaxonid", "orgnism")  # fmt: skip
# prefixes of Ensembl's identifiers of genes
_GENES = {
    "ENSG": "Homo sapiens", "ENSMUSG": "Mus musculus", "ENSRNOG": "Rattus norvegicus", "ENSMMUG": "Macaca mulatta",
    "ENSMFAG": "Macaca fascicularis", "ENSCJAG": "Callithrix jacchus", "ENSMICG": "Microcebus murinus",
    "ENSPTRG": "Pan troglodytes", "ENSPPAG": "Pan paniscus", "ENSGGOG": "Gorilla gorilla", "ENSSSCG": "Sus scrofa",
    "ENSCAFG": "Canis lupus familiaris", "ENSFCAG": "Felis catus", "ENSBTAG": "Bos taurus", "ENSECAG": "Equus caballus",
    "ENSOARG": "Ovis aries", "ENSCHIG": "Capra hircus", "ENSOCUG": "Oryctolagus cuniculus",
    "ENSCPOG": "Cavia porcellus",
    "ENSMAUG": "Mesocricetus auratus", "ENSMPUG": "Mustela putorius furo", "ENSHGLG": "Heterocephalus glaber",
    "ENSMODG": "Monodelphis domestica", "ENSGALG": "Gallus gallus", "ENSXETG": "Xenopus tropicalis",
    "ENSDARG": "Danio rerio", "ENSNFUG": "Nothobranchius furzeri", "ENSORLG": "Oryzias latipes",
    "FBGN": "Drosophila melanogaster", "WBGENE": "Caenorhabditis elegans",
}  # fmt: skip
_ID = re.compile(r"([A-Z]+)\d{6,}(?:\.\d+)?", re.I)
_MOST = 0.9  # share of genes that must be of a kind
_ENOUGH = 20  # genes, to say anything by
_SAMPLE = 2000  # genes looked at


@dataclass(frozen=True)
class Species:
    """Which animals an atlas is of.

    Attributes
    ----------
    names
        Scientific names, as stated; none where nothing states them.
    looks_like
        Animals by the way in which the genes are written, a guess; None where nothing is to be guessed.
    """

    names: tuple[str, ...] = ()
    looks_like: str | None = None

    @property
    def life_span(self) -> float:
        """Years that none of them is taken to outlive; `ANY_SPECIES` where they are not known."""
        return max(map(life_span, self.names), default=ANY_SPECIES)

    @property
    def likely_life_span(self) -> float:
        """Likewise, by the guess where there is nothing better."""
        return life_span("Mus musculus") if self.looks_like else self.life_span

    def __str__(self) -> str:
        return " and ".join(self.names) if self.names else "any animal"


def find_species(
    obs: pd.DataFrame,
    uns: Mapping[str, Any] | None = None,
    genes: Iterable[Any] = (),
    ids: Iterable[Any] = (),
    preset: str = "",
) -> Species:
    """Find the species of an atlas.

    Parameters
    ----------
    obs
        Cells' metadata: columns such as ``organism`` come first.
    uns
        Next, entries of such names.
    genes, ids
        Symbols and identifiers: those of Ensembl, FlyBase and WormBase name their species. Symbols such as ``Actb`` and
        ``Gapdh`` only look like those of mouse and rat.
    preset
        The organism of a preset, which may be used for other animals: it counts where nothing speaks against it.

    Examples
    --------
    >>> find_species(pd.DataFrame({"organism": ["Mus musculus"] * 3})).life_span
    5.0
    """
    for column in obs.columns:
        if plain(column) in _NAMES and (names := _stated(_values(obs[column]))):
            return Species(names)
    for key, value in (uns or {}).items():
        if plain(key) in _NAMES and (names := _stated([value])):
            return Species(names)
    if by_id := _of_ids([*_first(ids), *_first(genes)]):
        return Species((by_id,))
    if look := _look(_first(genes)):
        return Species(looks_like=look)
    return Species(_stated([preset]))


def _values(column: Any) -> list[Any]:
    if isinstance(column, pd.DataFrame):  # two columns of one name
        return []
    distinct = code(column).distinct
    return distinct if len(distinct) <= 20 else []


def _stated(values: Iterable[Any]) -> tuple[str, ...]:
    """Names of species, all of them known; nothing where one of them is not."""
    words = [word for word in values if isinstance(word, str | int | float) and str(word).strip()]
    found = [species_of(str(int(word)) if isinstance(word, float) and word.is_integer() else word) for word in words]
    return tuple(sorted({name for name in found if name})) if found and all(found) else ()


def _first(names: Iterable[Any]) -> list[str]:
    return [str(name) for name, _ in zip(names, range(_SAMPLE), strict=False)]


def _of_ids(names: list[str]) -> str | None:
    prefixes = [match[1].upper() for name in names if (match := _ID.fullmatch(name))]
    found = pd.Series([_GENES[prefix] for prefix in prefixes if prefix in _GENES], dtype=object).value_counts()
    if len(found) == 0 or found.iloc[0] < max(_ENOUGH, _MOST * len(prefixes)):
        return None
    return str(found.index[0])


def _look(symbols: list[str]) -> str | None:
    """Symbols in title case, but for those of mitochondria (``mt-Nd1``), are those of rodents."""
    lettered = [name for name in symbols if sum(map(str.isalpha, name)) >= 3]
    titled = sum(bool(re.match(r"[A-Z][a-z0-9]|mt-[A-Z]", name)) for name in lettered)
    return "mouse or rat" if len(lettered) >= _ENOUGH and titled >= _MOST * len(lettered) else None
