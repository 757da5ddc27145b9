"""A proposal of the file of terms: what a dataset's columns let guess, each guess marked and with its reason."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from titin.dataset.manifest import Manifest
from titin.exporter.cellxgene_genes import Genes, find_genes
from titin.exporter.cellxgene_ontologies import Ontologies
from titin.exporter.cellxgene_schema import (
    FIELDS,
    HUMAN,
    MOUSE,
    NORMAL,
    NOT_APPLICABLE,
    ORGANISMS,
    SEXES,
    UNKNOWN,
    misfit,
    ontology_of,
)
from titin.exporter.cellxgene_terms import (
    LEAVE_OUT,
    MARK,
    UNSAID,
    Entry,
    FieldTerms,
    TermsFile,
    distinct,
    guess,
    text_of,
)
from titin.study.age_grammar import read_age
from titin.study.age_units import YEARS, unit_of_column
from titin.study.species import find_species
from titin.study.vocabulary import SEX_NAMES, is_missing_word, plain, protocol_of, sex_of
from titin.text import count

_ROLES = {"assay": "chemistry", "cell_type": "cell_type", "development_stage": "age", "sex": "sex",
          "suspension_type": "protocol", "donor_id": "donor"}  # fmt: skip
_NAMES = {  # of columns of obs without a role
    "assay": ("assay",), "disease": ("disease", "diagnosis", "condition"), "tissue": ("tissue", "organ"),
    "self_reported_ethnicity": ("selfreportedethnicity", "ethnicity"), "tissue_type": ("tissuetype",),
    "is_primary_data": ("isprimarydata",),
}  # fmt: skip
_ASSAYS = {  # as people write them, plain
    **dict.fromkeys(("10x3'v1", "10x3v1", "v1"), ("EFO:0009901", "10x 3' v1")),
    **dict.fromkeys(("10x3'v2", "10x3v2", "10xv2", "v2"), ("EFO:0009899", "10x 3' v2")),
    **dict.fromkeys(("10x3'v3", "10x3v3", "10xv3", "v3", "v31", "10x3'v31"), ("EFO:0009922", "10x 3' v3")),
    **dict.fromkeys(("10x3'v4", "10x3v4", "10xv4", "v4"), ("EFO:0022604", "10x 3' v4")),
    **dict.fromkeys(("10x5'v1", "10x5v1"), ("EFO:0011025", "10x 5' v1")),
    **dict.fromkeys(("10x5'v2", "10x5v2"), ("EFO:0009900", "10x 5' v2")),
    **dict.fromkeys(("10xmultiome", "multiome"), ("EFO:0030059", "10x multiome")),
    **dict.fromkeys(("smartseq2", "smartseqii", "ss2"), ("EFO:0008931", "Smart-seq2")),
    **dict.fromkeys(("smartseq3", "ss3"), ("EFO:0022488", "Smart-seq3")),
    "dropseq": ("EFO:0008722", "Drop-seq"), "indrop": ("EFO:0008780", "inDrop"),
    "indrops": ("EFO:0008780", "inDrop"), "celseq2": ("EFO:0010010", "CEL-seq2"),
    "marsseq": ("EFO:0008796", "MARS-seq"), "seqwell": ("EFO:0008919", "Seq-Well"),
    "splitseq": ("EFO:0009919", "SPLiT-seq"),
}  # fmt: skip
_HEALTHY = {"normal", "healthy", "control", "ctrl", "none", "nodisease", "hc", "healthycontrol"}
_ORDINALS = ("third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh")
_RANGES = [(f"{word} decade stage", 10 * n, 10 * n + 9) for n, word in enumerate(_ORDINALS, 2)] + [
    ("child stage (1-4 yo)", 1, 4), ("2-4 year-old child stage", 2, 4), ("juvenile stage (5-14 yo)", 5, 14),
    ("15-19 year-old", 15, 19), ("60-79 year-old stage", 60, 79),
]  # fmt: skip
_NO_WORDS = "no term has this name"


@dataclass(frozen=True)
class StudyTables:
    """What a proposal is made from: tables as the source has them, var of the counts; where notes go.

    There are no ontologies where their package is not installed.
    """

    obs: pd.DataFrame
    var: pd.DataFrame
    uns: Mapping[str, Any]
    manifest: Manifest
    ontologies: Ontologies | None
    note: Callable[[str], None]

    def genes(self, column: str | None) -> Genes:
        """Ids of the genes; of the column that has most of them, where none is given."""
        return find_genes(self.var, column)

    def organism(self) -> Entry:
        """Term of the species, if it is one of the schema's."""
        ids = [own for own in find_genes(self.var).ids if own is not None]
        names = find_species(self.obs, self.uns, self.var.index, ids).names
        known = ORGANISMS.get(names[0]) if len(names) == 1 else None
        return guess(known, names[0]) if known else Entry(MARK, ", ".join(names) or "term of the NCBI taxonomy")


def propose(tables: StudyTables, known: TermsFile | None = None) -> TermsFile:
    """Make a proposal of the file of terms.

    Parameters
    ----------
    known
        What a person has said already: its columns are those that are mapped.
    """
    organism = tables.organism()
    if known is not None and known.organism.term:
        organism = known.organism
    title = tables.uns.get("title")
    genes = find_genes(tables.var, known.gene_column.text if known else None)
    lacking = genes.without_id()
    named = ", ".join(map(str, lacking[:3])) + (", …" if len(lacking) > 3 else "")
    return TermsFile(
        guess(title, "title in uns") if isinstance(title, str) and title.strip() else Entry(MARK, "of the dataset"),
        organism,
        Entry(genes.column, "column of var with the ids of the genes; empty for its index"),
        guess(LEAVE_OUT, f"{count(len(lacking), 'gene')} without an id: {named}") if lacking else None,
        (),
        {name: _field(tables, name, organism.term, (known.fields if known else {}).get(name)) for name in FIELDS},
    )


def _field(tables: StudyTables, name: str, organism: str, known: FieldTerms | None) -> FieldTerms:
    """Terms of a field by the column that fits best, or one for all cells."""
    obs = tables.obs
    if known is not None and known.column is None:
        return known
    column = known.column.term if known and known.column else _column(tables, name)
    if column is None or column not in obs.columns:
        return FieldTerms(every_cell=_every_cell(tables, name, organism))
    values, n_missing = distinct(obs[column])
    missing = guess(UNKNOWN if misfit(FIELDS[name], UNKNOWN) is None else "", f"{count(n_missing, 'cell')} without one")
    if name == "donor_id":
        return FieldTerms(guess(column, count(len(values), "donor")), missing=missing if n_missing else None)
    guesser = _GUESSERS[name]
    entries = {text_of(value): _guessed(tables, name, value, column, organism, guesser) for value in values}
    return FieldTerms(Entry(column, _others(tables, name, column)), None, missing if n_missing else None, entries)


def _column(tables: StudyTables, name: str) -> str | None:
    """Column of obs for a field: that of the schema itself, of the role, or of such a name."""
    texts = [column for column in tables.obs.columns if isinstance(column, str)]
    if FIELDS[name].column in texts:
        return FIELDS[name].column
    role = tables.manifest.known_roles.get(_ROLES.get(name, ""))
    if isinstance(role, list):
        role = role[-1] if role else None  # the finest labels
    if isinstance(role, str):
        return role
    by_name = {plain(column): column for column in reversed(texts)}
    return next((by_name[word] for word in _NAMES.get(name, ()) if word in by_name), None)


def _others(tables: StudyTables, name: str, column: str) -> str:
    levels = tables.manifest.known_roles.get("cell_type") if name == "cell_type" else None
    others = [str(own) for own in levels or [] if own != column] if isinstance(levels, list) else []
    return f"or {', '.join(others)}" if others else ""


def _every_cell(tables: StudyTables, name: str, organism: str) -> Entry:
    """One term for all cells, where no column says any."""
    if name == "tissue":
        tissue = tables.manifest.tissue.replace("_", " ")
        found = _looked_up(tables, tissue, "UBERON")
        return found if found.term or not tissue else Entry(MARK, tissue)
    if name == "tissue_type":
        return guess("tissue", "no column says it")
    if name == "self_reported_ethnicity" and organism:
        return guess(UNKNOWN if organism == HUMAN else NOT_APPLICABLE)
    if name in ("sex", "development_stage", "donor_id", "cell_type"):
        return guess(UNKNOWN, "no column says it")
    return UNSAID


Guesser = Callable[[StudyTables, Any, str, str], Entry]


def _guessed(tables: StudyTables, name: str, value: Any, column: str, organism: str, guesser: Guesser) -> Entry:
    """What one value means: a term as it is, a word of the schema, nothing, or what the field's own guesser says."""
    own, text = FIELDS[name], str(value).strip()
    if own.ontologies and ontology_of(text):
        return _as_it_is(tables, text)
    if own.ontologies and organism and organism != HUMAN and name == "self_reported_ethnicity":
        return guess(NOT_APPLICABLE, "for other animals than humans")
    if text in own.words:
        return guess(text)
    if UNKNOWN in own.words and is_missing_word(value, _ROLES.get(name, "study")):
        return guess(UNKNOWN)
    return guesser(tables, value, column, organism)


def _as_it_is(tables: StudyTables, term: str) -> Entry:
    """A value that is a term: itself, or what has taken its place."""
    if tables.ontologies is None:
        return guess(term)
    current = tables.ontologies.successor(term)
    if current is None:
        return Entry(MARK, tables.ontologies.label(term) or "no such term")
    label = tables.ontologies.label(current)
    return guess(current, label if current == term else f"{label}, for a term that is deprecated")


def _looked_up(tables: StudyTables, name: Any, ontology: str) -> Entry:
    """The term of a name by an ontology."""
    if tables.ontologies is None:
        return UNSAID
    found = tables.ontologies.find(name, ontology)
    if len(found) == 1:
        return guess(found[0], tables.ontologies.label(found[0]))
    several = ", ".join(f"{term} {tables.ontologies.label(term)}" for term in found[:4])
    return Entry(MARK, f"one of {several}" if found else _NO_WORDS)


def _in(ontology: str) -> Guesser:
    def look(tables: StudyTables, value: Any, _column: str, _organism: str) -> Entry:
        return _looked_up(tables, value, ontology)

    return look


def _sex(_tables: StudyTables, value: Any, _column: str, _organism: str) -> Entry:
    letter = sex_of(value)
    return guess(SEXES[letter], SEX_NAMES[letter]) if letter else UNSAID


def _disease(tables: StudyTables, value: Any, _column: str, _organism: str) -> Entry:
    return guess(NORMAL, "normal") if plain(value) in _HEALTHY else _looked_up(tables, value, "MONDO")


def assay_of(tables: StudyTables, value: Any, _column: str, _organism: str) -> Entry:
    """The assay of a chemistry: as people write those that are common, else by its name in EFO."""
    text = str(value)
    word = re.sub(r"chromium|singlecell|genomics|geneexpression|chemistry|prime|chem|kit|[()]", "", plain(text))
    word = re.sub(r"^(?=[35]'?v\d)", "10x", word.replace("’", "'").replace("′", "'"))
    known = _ASSAYS.get(word) or _ASSAYS.get(word.replace("'", ""))
    return guess(*known) if known else _looked_up(tables, value, "EFO")


def _suspension(_tables: StudyTables, value: Any, _column: str, _organism: str) -> Entry:
    meant = {"cells": "cell", "nuclei": "nucleus"}.get(protocol_of(value) or "")
    return guess(meant) if meant else UNSAID


def _tissue_type(_tables: StudyTables, value: Any, _column: str, _organism: str) -> Entry:
    meant = {"cellculture": "primary cell culture"}.get(plain(value))
    return guess(meant) if meant else UNSAID


def _primary(_tables: StudyTables, value: Any, _column: str, _organism: str) -> Entry:
    meant = {"true": "true", "1": "true", "yes": "true", "false": "false", "0": "false", "no": "false"}
    found = meant.get(text_of(value).lower())
    return guess(found) if found else UNSAID


def _stage(tables: StudyTables, value: Any, column: str, organism: str) -> Entry:
    """The stage of an age: of a human the year, of one below a year the month; of a mouse the month, or the week."""
    ontology = {HUMAN: "HsapDv", MOUSE: "MmusDv"}.get(organism)
    if ontology is None:
        return UNSAID
    if tables.ontologies is not None and tables.ontologies.find(value, ontology):
        return _looked_up(tables, value, ontology)
    age = read_age(value, unit=unit_of_column(column) or YEARS)
    if age.low is None or age.high is None:
        return Entry(MARK, f"no age: {age.why}" if age.why else "no age")
    name = stage_name(age.low, age.high, mouse=organism == MOUSE)
    return _looked_up(tables, name, ontology) if name else Entry(MARK, "no stage is of just these years")


def stage_name(low: float, high: float, *, mouse: bool = False) -> str | None:
    """Name of the stage that holds an age, or the smallest that holds a range of ages; None where there is none.

    Parameters
    ----------
    low, high
        Years, the last included.
    mouse
        Of a mouse and not of a human.

    Examples
    --------
    >>> stage_name(45.0, 45.0), stage_name(0.25, 0.25), stage_name(20, 29), stage_name(15, 25)
    ('45-year-old stage', '3-month-old stage', 'third decade stage', None)
    >>> stage_name(0.25, 0.25, mouse=True), stage_name(2, 2, mouse=True)
    ('3-month-old stage', '24-month-old stage')
    """
    months, weeks = round(12 * low, 3), round(low * 365.25 / 7, 2)
    if low == high and mouse:
        if months.is_integer():
            return f"{int(months)}-month-old stage"
        return f"{int(weeks)}-week-old stage" if weeks.is_integer() else None
    if mouse:
        return None
    if low == high and low >= 1:
        return f"{int(low)}-year-old stage"
    if low == high:
        return f"{int(months)}-month-old stage" if months >= 1 else "newborn stage (0-28 days)"
    holding = [(last - first, name) for name, first, last in _RANGES if first <= low and high <= last]
    return min(holding)[1] if holding else None


_GUESSERS: dict[str, Guesser] = {
    "assay": assay_of, "cell_type": _in("CL"), "development_stage": _stage, "disease": _disease,
    "self_reported_ethnicity": _in("HANCESTRO"), "sex": _sex, "tissue": _in("UBERON"), "tissue_type": _tissue_type,
    "suspension_type": _suspension, "is_primary_data": _primary,
}  # fmt: skip
