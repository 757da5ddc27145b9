"""The ontologies of the CELLxGENE schema, looked up where the package that holds them is installed."""

import importlib.util
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from titin.exporter.cellxgene_schema import DELIMITER, VERSION, SchemaField, ontology_of
from titin.extras import quiet, require

MODULE = "cellxgene_ontology_guide"
WITHOUT = ("terms are not looked up, as the package cellxgene-ontology-guide is not installed: "
           "pip install 'titin[cellxgene]' has them proposed by their names, and checked")  # fmt: skip
_FORBIDDEN = {"CL:0000255", "CL:0000257", "CL:0000548"}  # the schema's: too general, or of cells that are none


class Ontologies:
    """Terms by name and synonym, and what is said of a term.

    Names are compared in lower case, with spaces for dashes and underscores. The files come with the package; nothing
    is fetched.

    Attributes
    ----------
    version
        Of the schema whose ontologies these are: `VERSION`, or the package's latest where it has that one no more.
    """

    def __init__(self) -> None:
        module = require(f"{MODULE}.ontology_parser", "looking up terms")
        with quiet():  # it announces which versions it will have no more
            try:
                self._parser: Any = module.OntologyParser(VERSION)
            except ValueError:
                self._parser = module.OntologyParser()
        self.version = str(self._parser.cxg_schema.version)
        self._names: dict[str, dict[str, list[str]]] = {}

    def find(self, name: object, ontology: str) -> list[str]:
        """Terms of a name; those with it as their label where there are any, else those with it as a synonym."""
        known = self._known(ontology)
        spellings = _spellings(str(name))
        found = (known.get(kind + spelling) for spelling in spellings for kind in ("label ", "synonym "))
        return next(filter(None, found), [])

    def label(self, term: str) -> str:
        """Name of a term, or of several; empty for what is none."""
        parts = term.split(DELIMITER)
        return DELIMITER.join(self._parser.get_term_label(part) for part in parts) if self._all_known(parts) else ""

    def successor(self, term: str) -> str | None:
        """The term in whose favour one is deprecated, or the one that has its name now; itself if it is not deprecated.

        None where there is no such term, or nothing has taken its place.
        """
        if not self._all_known([term]):
            return None
        if not self._parser.is_term_deprecated(term):
            return term
        found = self._parser.get_term_replacement(term)
        if found and self._all_known([found]):
            return str(found)
        same = self.find(self.label(term), str(ontology_of(term)))
        return same[0] if len(same) == 1 else None

    def misfit(self, own: SchemaField, term: str) -> str | None:
        """Say why a field does not take a term, by the ontologies; None if it may."""
        parts = [part for part in term.split(DELIMITER) if ontology_of(part)]
        for part in parts:
            if not self._all_known([part]):
                return f"is not known to the ontologies of schema {self.version}"
            if self._parser.is_term_deprecated(part):
                instead = self.successor(part)
                return f"is deprecated{f' in favour of {instead}' if instead else ''}"
            if part in _FORBIDDEN:
                return "is too general for the schema"
            above = self._parser.get_term_ancestors(part, include_self=True)
            if own.ancestors and not set(own.ancestors) & set(above):
                return f"({self.label(part)}) is none of the {own.name.replace('_', ' ')}s that the schema takes"
        return None

    def _all_known(self, terms: Iterable[str]) -> bool:
        return all(ontology_of(term) is not None and self._parser.is_valid_term_id(term) for term in terms)

    def _known(self, ontology: str) -> dict[str, list[str]]:
        """Terms of an ontology, by kind and spelling of a name."""
        if ontology not in self._names:
            found = defaultdict[str, list[str]](list)
            for term, entry in self._parser.cxg_schema.ontology(ontology).items():
                if not entry.get("deprecated"):
                    found["label " + _plain(entry["label"])].append(term)
                    for synonym in dict.fromkeys(map(_plain, entry.get("synonyms") or ())):
                        found["synonym " + synonym].append(term)
            self._names[ontology] = dict(found)
        return self._names[ontology]


def installed() -> bool:
    """Whether there is what `Ontologies` needs."""
    return importlib.util.find_spec(MODULE) is not None


def _plain(name: str) -> str:
    """Lower case, with single spaces for all that parts words.

    Examples
    --------
    >>> _plain("CD4-positive,  alpha-beta T_cell")
    'cd4 positive, alpha beta t cell'
    """
    return " ".join(re.sub(r"[\s_-]+", " ", name).lower().split())


def _spellings(name: str) -> list[str]:
    """A name as it is written, and in the singular."""
    plain = _plain(name)
    return [plain, plain[:-1]] if plain.endswith("s") and not plain.endswith("ss") else [plain]
