"""The sections of a preset: one frozen dataclass a table of its TOML file."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class LabelPattern:
    """Labels of cells by what they are called; upper and lower case are alike.

    Attributes
    ----------
    match
        A label is meant where this regular expression is found in it.
    unless
        And this one is not; empty for no exception.
    """

    match: re.Pattern[str]
    unless: re.Pattern[str] | None = None

    def fits(self, label: object) -> bool:
        """Whether a label is meant."""
        text = str(label)
        return bool(self.match.search(text)) and not (self.unless and self.unless.search(text))

    def find(self, labels: Iterable[object]) -> list[str]:
        """Those of some labels that are meant, in their order."""
        return [str(label) for label in labels if self.fits(label)]


@dataclass(frozen=True)
class BuildDefaults:
    """What a build takes where nothing else is chosen.

    Attributes
    ----------
    tissue, method
        Begin the names of the files.
    roles
        Column of obs by role (`titin.dataset.layout.ROLES`); for ``cell_type`` several, the coarsest first.
    """

    tissue: str = ""
    method: str = ""
    roles: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class CardTexts:
    """What a card says that no file of the dataset can tell.

    Everything is optional; without it a card holds nothing but what was computed.

    Attributes
    ----------
    pretty_name, organism, tags
        For the Hub.
    license
        Of the data, as the Hub's identifier; only if it is known.
    licence_note
        What else to know about the licence.
    study
        ``name``, ``url``, ``summary``; ``n_cells``, ``n_genes``, ``n_donors`` to compare the dataset with.
    context
        ``paragraphs``.
    links
        Each with ``name`` and ``url``.
    citations
        Each with ``bibtex``.
    columns, projections, cell_types, glossary
        Meaning by name; only what the dataset has is shown of the first three.
    tasks
        Each with ``text``.
    limits, corrections
        Sentences.
    """

    pretty_name: str = ""
    organism: str = ""
    tags: tuple[str, ...] = ()
    license: str = ""
    licence_note: str = ""
    study: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    links: tuple[Mapping[str, str], ...] = ()
    citations: tuple[Mapping[str, str], ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    projections: Mapping[str, str] = field(default_factory=dict)
    cell_types: Mapping[str, str] = field(default_factory=dict)
    glossary: Mapping[str, str] = field(default_factory=dict)
    tasks: tuple[Mapping[str, str], ...] = ()
    limits: tuple[str, ...] = ()
    corrections: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lineage:
    """Cell types that descend from one another, for the order of figures.

    Attributes
    ----------
    name
        Of the lineage.
    types
        What the labels of its types begin with.
    """

    name: str
    types: tuple[str, ...]


@dataclass(frozen=True)
class GeneSetFile:
    """One file of gene sets.

    Attributes
    ----------
    file
        Its path, from where the preset's TOML file lies.
    source, licence
        Where the sets were published, and the terms under which they may be passed on.
    text
        What the file holds; read from it where it is not given.
    """

    file: str
    source: str = ""
    licence: str = ""
    text: str = ""


@dataclass(frozen=True)
class FibreTyping:
    """How muscle fibres are found by their labels and typed by their myosins.

    Attributes
    ----------
    labels
        Cell types that are fibres, their nuclei or fragments.
    type_1_labels, type_2_labels
        Labels of fibres that name a type; of one that both fit, type 2 is taken.
    type_1_gene, type_2a_gene, type_2x_gene
        Symbols of the myosins of types I, IIA and IIX.
    """

    labels: LabelPattern
    type_1_labels: LabelPattern
    type_2_labels: LabelPattern
    type_1_gene: str
    type_2a_gene: str
    type_2x_gene: str

    @property
    def genes(self) -> tuple[str, str, str]:
        """The myosins of types I, IIA and IIX."""
        return self.type_1_gene, self.type_2a_gene, self.type_2x_gene

    def type_of(self, label: object) -> str | None:
        """``I`` or ``II`` where a fibre's label says so, else None."""
        if self.type_2_labels.fits(label):
            return "II"
        return "I" if self.type_1_labels.fits(label) else None


@dataclass(frozen=True)
class StemCellStates:
    """How stem cells are found by their labels, and what is known of their way to the cells they become.

    Attributes
    ----------
    name
        What they are called in sentences, in the plural.
    fate
        What they become, in the singular.
    labels
        Cell types that are stem cells.
    markers
        Symbols in the order in which they are expressed on the way.
    states
        Names of gene sets that are scored in them.
    resting
        Name of the set of resting cells, where the pseudotime begins.
    first_gene, last_gene
        Expressed where it begins, and where it ends.
    """

    name: str
    fate: str
    labels: LabelPattern
    markers: tuple[str, ...]
    states: tuple[str, ...]
    resting: str
    first_gene: str
    last_gene: str


@dataclass(frozen=True)
class ExpectedAgeing:
    """Genes that a study found to change with age, to be looked up among the results.

    Attributes
    ----------
    title
        Of the table.
    genes
        ``up`` or ``down`` by symbol.
    labels
        Cell types in which they are looked up; all where not given.
    """

    title: str = "Genes that are expected to change with age, with their direction"
    genes: Mapping[str, str] = field(default_factory=dict)
    labels: LabelPattern | None = None


@dataclass(frozen=True)
class ReportChoices:
    """What a report shows.

    Attributes
    ----------
    markers
        Genes that the figure of markers shows beside the first marker of each type.
    leave_out
        Names of sections that it does not have.
    """

    markers: tuple[str, ...] = ("PDGFRA", "PECAM1", "PTPRC")
    leave_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class LearnFeatures:
    """What models of the benchmark see beside what they see of every atlas.

    Attributes
    ----------
    ratios
        Pairs of genes whose log ratio is a feature.
    """

    ratios: tuple[tuple[str, str], ...] = ()
