"""Texts of one atlas for its card, as data."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any

from titin.errors import TitinError


@dataclass(frozen=True)
class Preset:
    """What a card says that no file of the dataset can tell.

    Everything is optional; without a preset a card holds nothing but what was computed.

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
    tags: list[str] = field(default_factory=list)
    license: str = ""
    licence_note: str = ""
    study: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    links: list[Mapping[str, str]] = field(default_factory=list)
    citations: list[Mapping[str, str]] = field(default_factory=list)
    columns: Mapping[str, str] = field(default_factory=dict)
    projections: Mapping[str, str] = field(default_factory=dict)
    cell_types: Mapping[str, str] = field(default_factory=dict)
    glossary: Mapping[str, str] = field(default_factory=dict)
    tasks: list[Mapping[str, str]] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    corrections: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return what is set, JSON-safe; `make_preset` takes it back."""
        return {key: value for key, value in asdict(self).items() if value}


def preset_names() -> list[str]:
    """Names of the presets that come with titin."""
    folder = resources.files("titin.presets")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def read_preset(name: str | Path) -> Preset:
    """Read a preset by name, or from a TOML file.

    Raises
    ------
    TitinError
        If there is none, it is no TOML, or has settings that do not exist.
    """
    text = str(name)
    if text in preset_names():
        return _parse((resources.files("titin.presets") / f"{text}.toml").read_text("utf-8"), text)
    path = Path(name)
    if not path.is_file():
        hint = f"presets: {', '.join(preset_names())}; or the path of a TOML file"
        raise TitinError(f"there is no preset {text!r}", hint)
    try:
        return _parse(path.read_text("utf-8"), text)
    except (OSError, ValueError) as error:
        raise TitinError(f"preset {text} cannot be read: {error}", "mend it; see docs/publishing.md") from error


def _parse(text: str, name: str) -> Preset:
    return make_preset(tomllib.loads(text), name)


def make_preset(document: Mapping[str, Any], name: str = "preset") -> Preset:
    """Make a preset from its document.

    Raises
    ------
    TitinError
        If it has settings that do not exist, or of the wrong type.
    """
    known = {f.name: f.type for f in fields(Preset)}
    unknown = [key for key in document if key not in known]
    if unknown:
        raise TitinError(f"{name}: there is no setting {unknown[0]!r}", f"settings: {', '.join(known)}")
    empty = Preset()
    for key, value in document.items():
        wanted = dict if isinstance(getattr(empty, key), Mapping) else type(getattr(empty, key))
        if not isinstance(value, wanted):
            raise TitinError(f"{name}: {key} is a {type(value).__name__}, not a {wanted.__name__}", "mend the preset")
    return Preset(**document)
