"""The file of terms: for every value of a study's columns the term that the CELLxGENE schema wants, each confirmed.

A question mark before an entry says that it is a guess, or, alone, that nothing is known. It is a person who takes it
away.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from titin.errors import TitinError
from titin.exporter.cellxgene_schema import FIELDS, VERSION
from titin.files import read_text

MARK = "?"
LEAVE_OUT = "leave out"
_GENES = ("column", "without_id", "leave_out")
_FIELD = ("column", "every_cell", "missing", "terms")
_HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
_HEAD = f"""\
# Terms for the schema of CELLxGENE, version {VERSION}. `titin export --format cellxgene --terms` with this file takes
# them from it once all are confirmed.
#
# A question mark says that titin has guessed, or does not know. Correct what is wrong, fill in what is missing, and
# take the question mark away: "? CL:0000084" is a guess, "CL:0000084" is confirmed. Terms are looked for at
# https://www.ebi.ac.uk/ols4. A section says where its values come from: from a column of obs (column, with a term for
# each of its values below), or they are the same for all cells (every_cell).
"""


class Entry(NamedTuple):
    """What stands in the file for one value, and the comment beside it."""

    text: str
    why: str = ""

    @property
    def confirmed(self) -> bool:
        """Whether it has no question mark, and says something."""
        return bool(self.text.strip()) and not self.text.lstrip().startswith(MARK)

    @property
    def term(self) -> str:
        """What it says, without the mark; empty where nothing is known."""
        return self.text.strip().removeprefix(MARK).strip()


UNSAID = Entry(MARK)
INDEX = Entry("")


def guess(term: str, why: str = "") -> Entry:
    """An entry that is to be confirmed; of an empty term one that is not known."""
    return Entry(f"{MARK} {term}".strip(), why)


@dataclass(frozen=True)
class FieldTerms:
    """Terms of one field.

    Attributes
    ----------
    column
        Of obs, whose values are mapped; None where all cells have the same.
    every_cell
        The term of all cells, without a column.
    missing
        That of cells without a value, if there are any.
    terms
        By value, as text. Donors without one are called as in the column.
    """

    column: Entry | None = None
    every_cell: Entry | None = None
    missing: Entry | None = None
    terms: Mapping[str, Entry] = field(default_factory=dict)


@dataclass(frozen=True)
class TermsFile:
    """All that a file of terms says.

    Attributes
    ----------
    title, organism
        Of the dataset.
    gene_column
        Column of var with the ids of the genes; empty for its index.
    without_id
        What becomes of genes without an id: `LEAVE_OUT`; None where it is not said.
    leave_out
        Ids or names of genes that are not exported.
    fields
        By name, of `titin.exporter.cellxgene_schema.FIELDS`.
    """

    title: Entry = UNSAID
    organism: Entry = UNSAID
    gene_column: Entry = INDEX
    without_id: Entry | None = None
    leave_out: tuple[str, ...] = ()
    fields: Mapping[str, FieldTerms] = field(default_factory=dict)

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Every entry that is to be confirmed, with where it stands."""
        yield "title", self.title
        yield "organism", self.organism
        if self.without_id is not None:
            yield "genes.without_id", self.without_id
        for name, own in self.fields.items():
            for key, entry in (("column", own.column), ("every_cell", own.every_cell), ("missing", own.missing)):
                if entry is not None:
                    yield f"{name}.{key}", entry
            for value, entry in own.terms.items():
                yield f"{name} of {value!r}", entry


def read_terms(path: Path) -> TermsFile:
    """Read a file of terms.

    Raises
    ------
    TitinError
        If it cannot be read, or is not of this form; with the key.
    """
    try:
        document = tomllib.loads(read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise TitinError(f"{path} cannot be read as a file of terms: {error}",
                         "mend it, or name a file that is not there, for a proposal") from error  # fmt: skip
    reader = _TermsReader(path)
    reader.check_keys(document, ("title", "organism", "genes", *FIELDS), "")
    genes = reader.table(document, "genes", "")
    reader.check_keys(genes, _GENES, "genes.")
    return TermsFile(
        reader.entry(document, "title", "") or UNSAID,
        reader.entry(document, "organism", "") or UNSAID,
        reader.entry(genes, "column", "genes.") or INDEX,
        reader.entry(genes, "without_id", "genes."),
        reader.names(genes.get("leave_out", [])),
        {name: reader.field(document, name) for name in FIELDS if name in document},
    )


class _TermsReader:
    """Takes a document apart, and says where it is not of the form."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def refuse(self, where: str, what: str) -> None:
        raise TitinError(f"{self._path}: {where} {what}", "docs/cellxgene.md tells what a file of terms holds")

    def check_keys(self, table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                meant = f"; did you mean {near[0]}?" if near else ""
                self.refuse(f"{where}{key}", f"is nothing that a file of terms says{meant}")

    def table(self, document: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
        found: Any = document.get(key, {})
        if not isinstance(found, dict):
            self.refuse(f"{where}{key}", "is no section")
        return dict(found)

    def names(self, given: Any) -> tuple[str, ...]:
        """Names in a list, or a line each in a text file beside this one."""
        if isinstance(given, str):
            if given != Path(given).name:
                self.refuse("genes.leave_out", f"is {given!r}: the file is to lie beside this one")
            try:
                given = read_text(self._path.parent / given).split()
            except (OSError, ValueError) as error:
                self.refuse("genes.leave_out", f"is a file that cannot be read: {error}")
        if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
            self.refuse("genes.leave_out", "is neither a list of texts nor a file of them")
        return tuple(given)

    def entry(self, table: Mapping[str, Any], key: str, where: str) -> Entry | None:
        value = table.get(key)
        if isinstance(value, bool):
            value = str(value).lower()
        if value is not None and not isinstance(value, str):
            self.refuse(f"{where}{key}", "is no text: put it in quotation marks")
        return None if value is None else Entry(value)

    def field(self, document: Mapping[str, Any], name: str) -> FieldTerms:
        table, where = self.table(document, name, ""), f"{name}."
        self.check_keys(table, _FIELD, where)
        if ("column" in table) == ("every_cell" in table):
            self.refuse(name, "needs one of column and every_cell")
        if "every_cell" in table and {"missing", "terms"} & set(table):
            self.refuse(name, "has every_cell, to which neither missing nor terms belong")
        terms = self.table(table, "terms", where)
        entries = {value: self.entry(terms, value, f"{name}.terms.") or UNSAID for value in terms}
        column, every, missing = (self.entry(table, key, where) for key in _FIELD[:3])
        return FieldTerms(column, every, missing, entries)


def terms_text(terms: TermsFile) -> str:
    """The file of terms as text, from which `read_terms` reads the same."""
    lines = [_HEAD, _line("title", terms.title), _line("organism", terms.organism), "", "[genes]"]
    lines += [_line("column", terms.gene_column)]
    if terms.without_id is not None:
        lines.append(_line("without_id", terms.without_id))
    lines.append(f'leave_out = [{", ".join(map(_quoted, terms.leave_out))}] # names, or a file of them, as "genes.txt"')
    for name, own in terms.fields.items():
        lines += ["", f"[{name}] # {FIELDS[name].says}"]
        for key, entry in (("column", own.column), ("every_cell", own.every_cell), ("missing", own.missing)):
            if entry is not None:
                lines.append(_line(key, entry))
        if own.terms:
            lines += ["", f"[{name}.terms]", *(_line(_quoted(value), entry) for value, entry in own.terms.items())]
    return "\n".join(lines) + "\n"


def _line(key: str, entry: Entry) -> str:
    comment = re.sub(r"[^\x20-\x7e\u00a1-\ud7ff\ue000-\ufffd]", " ", entry.why)
    return f"{key} = {_quoted(entry.text)}" + (f" # {comment}" if comment else "")


def _quoted(text: str) -> str:
    r"""A basic string of TOML.

    Examples
    --------
    >>> print(_quoted('a "b" \\ c\n'))
    "a \"b\" \\ c\n"
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return '"' + _HIDDEN.sub(lambda match: f"\\u{ord(match[0]):04x}", escaped) + '"'


def text_of(value: Any) -> str:
    """A value of a column as the file calls it: whole numbers without a point.

    Examples
    --------
    >>> text_of("45"), text_of(45.0), text_of(45.5), text_of(True)
    ('45', '45', '45.5', 'True')
    """
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def term_of(name: str, own: FieldTerms, value: Any) -> str:
    """The term of a value of a field's column; of a donor its own name, where the file has no other."""
    text = text_of(value)
    return own.terms.get(text, Entry(text)).term if name == "donor_id" else own.terms[text].term


def distinct(column: pd.Series) -> tuple[list[Any], int]:
    """Distinct values of a column, sorted by their text, each once, and how many cells have none."""
    values = {text_of(value): value for value in column.dropna().unique()}
    return [values[text] for text in sorted(values)], int(column.isna().sum())


def kept(proposed: TermsFile, known: TermsFile) -> TermsFile:
    """A proposal in which what a file says already stands as it says it."""
    fields = {}
    for name, own in proposed.fields.items():
        before = known.fields.get(name)
        if before is None:
            fields[name] = own
            continue
        fields[name] = FieldTerms(
            before.column, before.every_cell, before.missing or own.missing,
            {value: before.terms.get(value, entry) for value, entry in own.terms.items()},
        )  # fmt: skip
    return TermsFile(
        known.title if known.title.term else proposed.title,
        known.organism if known.organism.term else proposed.organism,
        known.gene_column if known.gene_column.text else proposed.gene_column,
        known.without_id or proposed.without_id, known.leave_out, fields,
    )  # fmt: skip
