"""The file of terms held against the dataset: a proposal where there is none, and no term that nobody has confirmed."""

from pathlib import Path

from titin.dataset.swap import write_text
from titin.errors import OutputError, TitinError
from titin.exporter.cellxgene_guesses import StudyTables, propose
from titin.exporter.cellxgene_ontologies import WITHOUT
from titin.exporter.cellxgene_schema import FIELDS, HUMAN, MOUSE, NOT_APPLICABLE, ORGANISMS, misfit, ontology_of
from titin.exporter.cellxgene_terms import (
    LEAVE_OUT,
    FieldTerms,
    TermsFile,
    distinct,
    kept,
    read_terms,
    terms_text,
    text_of,
)
from titin.text import say_some

_SHOWN = 5
_CONFIRM = "look through it, correct what is wrong, take the question mark away from what is right, and export again"


def confirmed_terms(path: Path, tables: StudyTables) -> TermsFile:
    """The terms of a file in which every value of the dataset has one, each confirmed and such as the schema takes.

    Raises
    ------
    TitinError
        If there is no such file: a proposal is then written there. If it says nothing of some values: what it says is
        then written beside it, with proposals for these. If entries are not confirmed, or no terms of their fields.
    """
    if not path.exists():
        _propose(path, propose(tables), "there are no confirmed terms yet", tables)
    terms = read_terms(path)
    if lacking := _lacking(terms, tables):
        beside = path.with_name(f"{path.stem}.new.toml")
        if beside.exists():
            raise OutputError(f"{path} says nothing of {say_some(lacking, _SHOWN)}, and {beside} exists already",
                              "complete the one, or remove the other and export again")  # fmt: skip
        _propose(
            beside, kept(propose(tables, terms), terms), f"{path} says nothing of {say_some(lacking, _SHOWN)}", tables
        )
    open_entries = [where for where, entry in terms.entries() if not entry.confirmed]
    if open_entries:
        raise TitinError(
            f"nothing is exported: {len(open_entries):,} {'entry' if len(open_entries) == 1 else 'entries'} of {path} "
            f"{'is' if len(open_entries) == 1 else 'are'} not confirmed: {say_some(open_entries, _SHOWN)}", _CONFIRM,
        )  # fmt: skip
    if wrong := [*_misfits(terms, tables), *_contradictions(terms)]:
        raise TitinError(f"{path} holds what the schema of CELLxGENE does not take: {'; '.join(wrong[:_SHOWN])}",
                         "correct it and export again")  # fmt: skip
    if tables.ontologies is None:
        tables.note(WITHOUT)
    return terms


def _propose(path: Path, terms: TermsFile, why: str, tables: StudyTables) -> None:
    """Write a proposal, and refuse to go on."""
    write_text(path, terms_text(terms))
    entries = [entry for _, entry in terms.entries()]
    unknown = sum(not entry.term for entry in entries)
    guessed = sum(bool(entry.term) and not entry.confirmed for entry in entries)
    if tables.ontologies is None:
        tables.note(WITHOUT)
    raise TitinError(
        f"nothing is exported: {why}. {path} is a proposal in which {guessed:,} are guessed and {unknown:,} unknown, "
        "each with a question mark", _CONFIRM if path.suffixes[-2:] != [".new", ".toml"] else f"{_CONFIRM} with it",
    )  # fmt: skip


def _lacking(terms: TermsFile, tables: StudyTables) -> list[str]:
    """What the file would have to say of this dataset, and does not."""
    found = [name for name in FIELDS if name not in terms.fields]
    for name, own in terms.fields.items():
        if own.column is None:
            continue
        column = own.column.term
        if column not in tables.obs.columns:
            raise TitinError(f"obs has no column {column!r}, which the file of terms names for {name}",
                             f"columns: {', '.join(map(str, tables.obs.columns))}")  # fmt: skip
        found += _lacking_values(name, own, tables)
    genes = _genes_without_id(terms, tables)
    return [*found, *(["genes.without_id"] if genes and terms.without_id is None else [])]


def _genes_without_id(terms: TermsFile, tables: StudyTables) -> list[str]:
    """Names of the genes without an id, but for those that are left out by name."""
    return [name for name in tables.genes(terms.gene_column.text).without_id() if name not in set(terms.leave_out)]


def _lacking_values(name: str, own: FieldTerms, tables: StudyTables) -> list[str]:
    column = tables.obs[own.column.term] if own.column else None
    if column is None:
        return []
    values, n_missing = distinct(column)
    found = [f"{name} for cells without a value"] if n_missing and own.missing is None else []
    if name == "donor_id":
        return found
    return found + [f"{name} of {text_of(value)!r}" for value in values if text_of(value) not in own.terms]


def _misfits(terms: TermsFile, tables: StudyTables) -> list[str]:
    """Terms that their fields do not take."""
    found = []
    if terms.organism.term not in ORGANISMS.values():
        found.append(f"organism {terms.organism.term!r} is none of {', '.join(ORGANISMS.values())}")
    if terms.without_id is not None and terms.without_id.term != LEAVE_OUT:
        found.append(f"genes.without_id is {terms.without_id.term!r}: all that can be done is {LEAVE_OUT!r}")
    for name, own in terms.fields.items():
        known = tables.ontologies
        for where, term in [*_terms_of(name, own), *_donors(name, own, tables)]:
            why = misfit(FIELDS[name], term) or (known.misfit(FIELDS[name], term) if known is not None else None)
            if why:
                found.append(f"{where}: {term!r} {why}")
    return found


def _donors(name: str, own: FieldTerms, tables: StudyTables) -> list[tuple[str, str]]:
    """Where each donor stands that is called as in the column, and its name."""
    if name != "donor_id" or own.column is None:
        return []
    names = map(text_of, distinct(tables.obs[own.column.term])[0])
    return [(f"{name} of {text!r}", text) for text in names if text not in own.terms]


def _terms_of(name: str, own: FieldTerms) -> list[tuple[str, str]]:
    """Where each term of a field stands, and the term."""
    found = [(f"{name} of {value!r}", entry.term) for value, entry in own.terms.items()]
    return found + [(name, entry.term) for entry in (own.every_cell, own.missing) if entry is not None]


def _contradictions(terms: TermsFile) -> list[str]:
    """Terms that do not go with those of another field."""
    organism, human = terms.organism.term, terms.organism.term == HUMAN
    said = {name: {term for _, term in _terms_of(name, own)} for name, own in terms.fields.items()}
    lines = "cell line" in said["tissue_type"]
    found = []
    ethnicity = said["self_reported_ethnicity"]
    if human and NOT_APPLICABLE in ethnicity and not lines:
        found.append("self_reported_ethnicity is na, which is for other animals than humans, and cell lines")
    if not human and ethnicity != {NOT_APPLICABLE}:
        found.append("self_reported_ethnicity is for humans: for other animals it is na")
    found += [f"{name} is na, which is for cell lines" for name in ("cell_type", "development_stage", "sex")
              if NOT_APPLICABLE in said[name] and not lines]  # fmt: skip
    stages = {ontology_of(term) for term in said["development_stage"]} - {None}
    wanted = {HUMAN: {"HsapDv"}, MOUSE: {"MmusDv"}}.get(organism)
    if wanted and stages - wanted:
        found.append(f"development_stage has terms of {', '.join(sorted(map(str, stages - wanted)))}; those of "
                     f"{organism} are of {', '.join(wanted)}")  # fmt: skip
    return found
