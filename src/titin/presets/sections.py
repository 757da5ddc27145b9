"""The sections of a preset: one frozen dataclass a table of its TOML file."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from titin.errors import TitinError
from titin.presets.patterns import Pattern


@dataclass(frozen=True)
class LabelPattern:
    """Labels of cells by what they are called; upper and lower case are alike.

    Attributes
    ----------
    match
        A label is meant where this regular expression (RE2) is found in it.
    unless
        And this one is not; empty for no exception.
    """

    match: Pattern
    unless: Pattern | None = None

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
    asks
        Names of sections whose answers stand at the head, beside those that stand there in every report.
    leave_out
        Names of sections that it does not have.
    """

    markers: tuple[str, ...] = ("PDGFRA", "PECAM1", "PTPRC")
    asks: tuple[str, ...] = ("senescence",)
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


T = TypeVar("T")
_SAID = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a table",
         Mapping: "a table", tuple: "a list", Pattern: "text"}  # fmt: skip
_HINT = "mend the preset; docs/presets.md lists its keys"


def from_document(cls: type[T], document: Any, file: str, key: str = "") -> T:
    """A dataclass from what TOML or JSON has of it; keys are its fields, types are checked.

    Raises
    ------
    TitinError
        If a key does not exist or is missing, or a value is of the wrong type; names the file and the key.
    """
    if not isinstance(document, Mapping):
        raise _wrong(file, key, document, "a table")
    hints = get_type_hints(cls)
    known = {f.name: f for f in fields(cast(Any, cls))}
    for name in document:
        if name not in known:
            hint = f"keys of {key or 'a preset'}: {', '.join(known)}"
            raise TitinError(f"{file}: there is no key {_below(key, name)!r}", hint)
    needed = [f.name for f in known.values() if f.default is MISSING and f.default_factory is MISSING]
    for name in needed:
        if name not in document:
            raise TitinError(f"{file}: the key {_below(key, name)!r} is missing", _HINT)
    return cls(**{name: _value(hints[name], value, file, _below(key, name)) for name, value in document.items()})


def to_document(value: Any) -> Any:
    """What `from_document` takes back, JSON-safe; without what is empty or as it is without a preset."""
    if isinstance(value, Pattern):
        return value.pattern
    if is_dataclass(value) and not isinstance(value, type):
        set_ = ((f, getattr(value, f.name)) for f in fields(value))
        return {f.name: to_document(own) for f, own in set_ if own != _default(f)}
    if isinstance(value, Mapping):
        return {str(name): to_document(own) for name, own in value.items()}
    if isinstance(value, tuple | list):
        return [to_document(own) for own in value]
    return value


def _default(entry: Any) -> Any:
    return entry.default_factory() if entry.default_factory is not MISSING else entry.default


def _value(hint: Any, value: Any, file: str, key: str) -> Any:
    """A value as a type hint has it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, UnionType):
        options = [option for option in arguments if option is not NoneType]
        fitting = [option for option in options if isinstance(value, _raw(option))]
        return _value(fitting[0] if fitting else options[0], value, file, key)
    if is_dataclass(hint) and hint is not Pattern:
        return from_document(cast(type, hint), value, file, key)
    if not isinstance(value, _raw(hint)) or (isinstance(value, bool) and hint is not bool):
        raise _wrong(file, key, value, _SAID[origin or hint])
    if hint is Pattern:
        return _pattern(value, file, key)
    if origin is tuple:
        return _items(arguments, value, file, key)
    if origin is Mapping:
        return {str(name): _value(arguments[1], own, file, _below(key, name)) for name, own in value.items()}
    return value


def _items(arguments: tuple[Any, ...], value: Any, file: str, key: str) -> tuple[Any, ...]:
    several = arguments[-1] is Ellipsis
    if not several and len(value) != len(arguments):
        raise TitinError(f"{file}: {key} has {len(value)} entries, not {len(arguments)}", _HINT)
    hints = [arguments[0]] * len(value) if several else list(arguments)
    return tuple(_value(h, v, file, f"{key}[{i + 1}]") for i, (h, v) in enumerate(zip(hints, value, strict=True)))


def _pattern(text: str, file: str, key: str) -> Pattern:
    try:
        return Pattern(text)
    except ValueError as error:
        raise TitinError(f"{file}: {key} is no regular expression: {error}", _HINT) from error


def _raw(hint: Any) -> Any:
    """Types that a value of a hint may have in a document."""
    origin = get_origin(hint) or hint
    if origin is Pattern:
        return str
    if is_dataclass(origin) or origin is Mapping:
        return Mapping
    return (list, tuple) if origin is tuple else origin


def _wrong(file: str, key: str, value: Any, wanted: str) -> TitinError:
    is_ = _SAID.get(type(value), type(value).__name__)
    return TitinError(f"{file}: {key or 'the preset'} is {is_}, not {wanted}", _HINT)


def _below(key: str, name: object) -> str:
    return f"{key}.{name}" if key else str(name)
