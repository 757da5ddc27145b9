"""What is known of an atlas, or of a kind of atlases, beforehand."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from titin.dataset import layout
from titin.dataset.manifest import Manifest
from titin.errors import TitinError
from titin.files import read_text
from titin.presets.gmt import GeneSet, parse_gmt
from titin.presets.sections import (
    BuildDefaults,
    CardTexts,
    ExpectedAgeing,
    FibreTyping,
    GeneSetFile,
    LearnFeatures,
    Lineage,
    ReportChoices,
    StemCellStates,
    from_document,
    to_document,
)

MARKERS = "markers_"  # begins the name of the set of a cell type's markers


@dataclass(frozen=True)
class Preset:
    """What is known of an atlas beforehand; all of it optional, and `Preset()` says nothing.

    Attributes
    ----------
    build
        Tissue, method and role columns.
    card
        Texts of the dataset card.
    lineages
        In the order in which figures show them.
    colours
        Colour (``#rrggbb``) by cell type; types without one have titin's.
    gene_sets
        Files of gene sets. A set ``markers_TYPE`` holds the markers of the cell type with that label.
    shared
        Whether these sets serve atlases without a preset too.
    markers
        Marker genes by cell type, beside those of the files.
    fibres
        How muscle fibres are typed; None where there are none.
    stem_cells
        How stem cells are ordered; None where there are none.
    ageing
        Genes that are expected to change with age.
    report
        What a report shows.
    learn
        Features of models.
    name
        The name of titin's own, or of the file, without ``.toml``.
    """

    build: BuildDefaults = field(default_factory=BuildDefaults)
    card: CardTexts = field(default_factory=CardTexts)
    lineages: tuple[Lineage, ...] = ()
    colours: Mapping[str, str] = field(default_factory=dict)
    gene_sets: tuple[GeneSetFile, ...] = ()
    shared: bool = False
    markers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fibres: FibreTyping | None = None
    stem_cells: StemCellStates | None = None
    ageing: ExpectedAgeing = field(default_factory=ExpectedAgeing)
    report: ReportChoices = field(default_factory=ReportChoices)
    learn: LearnFeatures = field(default_factory=LearnFeatures)
    name: str = ""

    @cached_property
    def sets(self) -> dict[str, GeneSet]:
        """Its gene sets by name: those of its files, then ``markers_TYPE`` for each of `markers`."""
        found: dict[str, GeneSet] = {}
        for entry in self.gene_sets:
            found |= parse_gmt(entry.text, f"{self.name}: {entry.file}", entry.source, entry.licence)
        for label, genes in self.markers.items():
            name = f"{MARKERS}{label}"
            found[name] = GeneSet(name, genes, f"Markers of {label}", f"the preset {self.name}", "")
        return found

    @cached_property
    def digest(self) -> str:
        """sha256 of all that it says, in hexadecimal; its name does not count."""
        text = json.dumps(replace(self, name="").document(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def lineage_of(self, label: str) -> str:
        """Name of the lineage of a cell type; ``other`` where it has none."""
        return next((line.name for line in self.lineages if label.startswith(line.types)), "other")

    def document(self) -> dict[str, Any]:
        """Return what is set, JSON-safe, with the gene sets; `make_preset` takes it back."""
        found: dict[str, Any] = to_document(self)
        return found


def preset_names() -> list[str]:
    """Names of the presets that come with titin."""
    return sorted(entry.name.removesuffix(".toml") for entry in _home().iterdir() if entry.name.endswith(".toml"))


def read_preset(name: str | Path) -> Preset:
    """Read a preset by name, or from a TOML file with its gene sets.

    Raises
    ------
    TitinError
        If there is none, it is no TOML, has keys that do not exist or values of the wrong type, or a file of gene
        sets cannot be read.
    """
    text = str(name)
    if text in preset_names():
        return _own(text)
    path = Path(name)
    if not path.is_file():
        hint = f"presets: {', '.join(preset_names())}; or the path of a TOML file"
        raise TitinError(f"there is no preset {text!r}", hint)
    return _read(path, text, path.name.removesuffix(".toml"))


def choose_preset(preset: "Preset | str | Path | None") -> Preset:
    """A preset as given, by name or file; the empty one for None."""
    if preset is None or isinstance(preset, Preset):
        return preset or Preset()
    return read_preset(preset)


def make_preset(document: Mapping[str, Any], file: str = "preset") -> Preset:
    """Make a preset from its document.

    Raises
    ------
    TitinError
        If it has keys that do not exist, or values of the wrong type; names ``file`` and the key.
    """
    texts = [f.name for f in fields(CardTexts) if f.name in document]
    if texts:
        raise TitinError(
            f"{file}: there is no key {texts[0]!r}", f"texts of the card stand under [card]: card.{texts[0]}"
        )
    preset = from_document(Preset, document, file)
    for label, colour in preset.colours.items():
        if not _is_colour(colour):
            raise TitinError(f"{file}: colours.{label} is {colour!r}, not a colour", "write it as #rrggbb")
    for role in preset.build.roles:
        if role not in layout.ROLES:
            raise TitinError(f"{file}: build.roles.{role} is no role", f"roles: {', '.join(layout.ROLES)}")
    for gene, direction in preset.ageing.genes.items():
        if direction not in ("up", "down"):
            raise TitinError(f"{file}: ageing.genes.{gene} is {direction!r}", "write up or down")
    return preset


def shared_presets() -> list[Preset]:
    """Presets of titin whose gene sets serve every atlas, by name."""
    return [preset for preset in map(_own, preset_names()) if preset.shared]


def record_preset(preset: Preset) -> dict[str, Any]:
    """What a manifest keeps of a preset: name and digest, and its document where it is not one of titin's.

    Returns
    -------
    dict
        ``name``, ``sha256`` and, of a preset that did not come with titin, ``document``. Empty for an empty preset.
    """
    if preset == Preset():
        return {}
    kept = {"name": preset.name, "sha256": preset.digest}
    own = preset.name in preset_names() and _own(preset.name) == preset
    return kept if own else {**kept, "document": preset.document()}


def _recorded(entry: Mapping[str, Any]) -> Preset:
    """The preset that `record_preset` kept; one of titin's is as this titin has it."""
    if "document" in entry:
        return make_preset(entry["document"], f"the dataset's preset {entry.get('name', '')}")
    if entry["name"] not in preset_names():
        raise TitinError(
            f"the dataset's preset {entry['name']!r} is not known to this titin",
            "install the titin that built it, or give another with --preset",
        )
    return _own(entry["name"])


def preset_of(manifest: Manifest) -> Preset:
    """The preset of a dataset; the empty one where it has none.

    Raises
    ------
    TitinError
        If this titin has no preset of the recorded name, or its document has keys that do not exist.
    """
    if manifest.preset:
        return _recorded(manifest.preset)
    card = (manifest.settings.get("card") or {}).get("preset")  # where datasets had it before the manifest did
    if isinstance(card, Mapping):
        return make_preset({"card": card}, "the dataset's preset")
    return _recorded({"name": card}) if card else Preset()


def _home() -> Traversable:
    return resources.files("titin.presets")


@cache
def _own(name: str) -> Preset:
    return _read(_home() / f"{name}.toml", f"{name}.toml", name)


def _read(path: Any, file: str, name: str) -> Preset:
    try:
        document = tomllib.loads(_text_of(path))
    except (OSError, ValueError) as error:
        raise TitinError(f"preset {file} cannot be read: {error}", "mend it; see docs/presets.md") from error
    preset = make_preset({"name": name, **document}, file)
    folder = path.parent if isinstance(path, Path) else _home()
    sets = tuple(_with_text(entry, folder, file) for entry in preset.gene_sets)
    preset = replace(preset, gene_sets=sets)
    preset.sets  # noqa: B018 - a mistake in a file of sets is told now
    return preset


def _with_text(entry: GeneSetFile, folder: Any, file: str) -> GeneSetFile:
    if entry.text:
        return entry
    try:
        return replace(entry, text=_text_of(folder / entry.file))
    except (OSError, ValueError) as error:
        raise TitinError(
            f"{file}: gene_sets.file {entry.file!r} cannot be read: {error}", "give its path from the preset's folder"
        ) from error


def _text_of(file: Path | Traversable) -> str:
    return read_text(file) if isinstance(file, Path) else file.read_text("utf-8")


def _is_colour(text: str) -> bool:
    return len(text) == 7 and text[0] == "#" and all(c in "0123456789abcdefABCDEF" for c in text[1:])
