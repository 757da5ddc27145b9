"""The dataset card, every number of it computed."""

import importlib.util
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from titin.dataset import layout
from titin.dataset.manifest import Manifest, describe_file
from titin.dataset.replace import Draft, revise
from titin.errors import DatasetError, OutputError
from titin.files import local_folder
from titin.presets import Preset, choose_preset, preset_of, record_preset
from titin.publish import croissant as machine
from titin.publish import licence as licences
from titin.publish import processing
from titin.publish.facts import CardFacts, preview_name
from titin.publish.front_matter import front_matter
from titin.publish.sections import contents as distributions
from titin.publish.sections import contents as tasks
from titin.publish.sections import examples, files, needs, overview, quickstart
from titin.publish.sections import overview as about
from titin.shelf import Shelf
from titin.study.age_grammar import read_age
from titin.visible import visible_json

if TYPE_CHECKING:
    from titin.atlas import Atlas


CHOICES = "card"  # of the manifest's settings: what was chosen when the card was last written


def make_card(
    dataset: "Path | str | Atlas", manifest: Manifest | None = None, *, preset: Preset | str | Path | None = None,
    licence: str | None = None, repo_id: str | None = None, shelf: Shelf | None = None,
) -> str:  # fmt: skip
    """Return the text of ``README.md``.

    Parameters
    ----------
    dataset
        The folder, whose ``titin.json`` need not be there if ``manifest`` is given; or an open dataset.
    manifest
        With every file but the card described. Read from the folder where not given.
    preset
        Whose texts it has: a name, a TOML file, or a `Preset`. Where not given, that of the dataset, if its card had
        texts; without any, the card holds nothing but what was computed.
    licence
        Identifier as the Hub has it (``cc-by-4.0``). Where not given, the one that was given last.
    repo_id
        Where the dataset will lie on the Hub, to be named in the examples.
    shelf
        Where columns of the cells are put away meanwhile; in memory where not given.

    Raises
    ------
    DatasetError
        If the folder is no dataset, or a file of it is damaged.
    TitinError
        If there is no such preset.
    """
    return text_of(make_facts(dataset, manifest, preset=preset, licence=licence, repo_id=repo_id, shelf=shelf))


def make_facts(
    dataset: "Path | str | Atlas", manifest: Manifest | None = None, *, preset: Preset | str | Path | None = None,
    licence: str | None = None, repo_id: str | None = None, space: str | None = None, shelf: Shelf | None = None,
) -> CardFacts:  # fmt: skip
    """Gather what a card is made of; parameters as for `make_card`, and the Space that the card links to."""
    folder = local_folder(dataset) if isinstance(dataset, str | Path) else dataset.folder
    manifest = manifest or Manifest.read(folder)
    chosen: Mapping[str, Any] = manifest.settings.get(CHOICES) or {}
    known = preset_of(manifest) if preset is None else choose_preset(preset)
    texts = preset is not None or chosen.get("texts", True)
    licence = licence or chosen.get("license")
    return CardFacts(folder, manifest, known, licence, repo_id, texts=texts, space=space, shelf=shelf)


def text_of(facts: CardFacts) -> str:
    """Put the sections together."""
    x_and_y = examples.x_and_y(facts)
    sections = [
        overview.opening(facts, x_and_y != ""), overview.overview(facts), x_and_y, overview.context(facts),
        quickstart.quickstart(facts), examples.recipes(facts),
        distributions.distributions(facts, design_notes(facts)), files.files(facts),
        tasks.tasks(facts), tasks.evaluation(facts), needs.memory(facts), needs.troubleshooting(facts),
        about.glossary(facts), about.limits(facts),
        overview.provenance(facts), overview.again(), about.licence(facts), about.citation(facts),
        about.ethics(),
    ]  # fmt: skip
    return front_matter(facts) + "\n" + "\n\n".join(part for part in sections if part) + "\n"


def design_notes(facts: CardFacts) -> list[str]:
    """What the design of the study allows and forbids to conclude; see `titin.study.confounding`."""
    from titin.study.confounding import design_facts
    from titin.study.confounding import design_notes as sentences

    told = [f"{warning}." for warning in facts.study.warnings if warning not in facts.manifest.notes]
    return told + sentences(design_facts(facts.study))


_BINS = 20  # most ages to tell apart by colour


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def draw_previews(facts: CardFacts, folder: Path) -> list[str]:
    """Draw up to two pictures into a folder; return their names.

    By the coarsest cell type and by age, on one embedding; none where there is no embedding.
    """
    from titin.plot import embedding

    key = facts.map_key
    if key is None:
        return []
    entry = facts.manifest.obsm[key]
    x, y = facts.axes(key)
    places = facts.table(entry["file"], [x, y])
    if len(places) != len(facts.obs):
        raise DatasetError(f"{entry['file']} has {len(places):,} rows for {len(facts.obs):,} cells",
                           "restore it, or build the dataset again")  # fmt: skip
    drawn = []
    for column, palette in _colours(facts):
        if column in (x, y):
            continue
        name = preview_name(key, column)
        table = places.assign(**{column: facts.obs[column].to_numpy()})
        title = column if facts.synthetic is None else f"{column}; synthetic data"
        embedding(table, x=x, y=y, color=column, palette=palette, title=title, save=folder / name)
        drawn.append(name)
    return drawn


def _colours(facts: CardFacts) -> Iterator[tuple[str, dict[Any, str] | None]]:
    """Columns to colour by: the coarsest cell type, and ages as labels from young to old."""
    from titin.plot import ordered_palette
    from titin.plot.palettes import palette_of

    for column in facts.cell_types[:1]:
        yield column, palette_of(facts.obs[column], facts.preset.colours)
    label = facts.column("age")
    if label is None or pd.api.types.is_numeric_dtype(facts.obs[label]) or facts.obs[label].nunique() > _BINS:
        return
    values = facts.obs[label].dropna().unique()
    yield label, ordered_palette(sorted(values, key=_by_age))


def _by_age(label: Any) -> tuple[float, str]:
    """From young to old, those of unknown age last."""
    years = read_age(label).years
    return (math.inf if years is None else years, str(label))


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes
    ----------
    folder
        The dataset.
    files
        Names.
    warnings
        What the user should know.
    """

    folder: Path
    files: list[str]
    warnings: list[str] = field(default_factory=list)


def write_card(
    folder: Path, *, preset: Preset | str | Path | None = None, licence: str | None = None, images: bool | None = None,
    croissant: bool = True, force: bool = False,
) -> Written:  # fmt: skip
    """Write ``README.md`` and what goes with it; the dataset changes in one step, or not at all.

    With it go ``data_processing.py``, which makes the dataset again from its source, ``LICENSE``, ``croissant.json``
    and pictures.

    Parameters
    ----------
    folder
        The dataset.
    preset, licence
        As for `titin.publish.make_card`. They are kept in the manifest, for the next time; the preset is then the
        dataset's.
    images
        Draw pictures of the cells; where matplotlib is installed if None. False removes those that are there.
    croissant
        Write ``croissant.json``; False removes it.
    force
        Replace files that are not as titin wrote them.

    Raises
    ------
    DatasetError
        If the folder is no dataset, or a file is damaged.
    TitinError
        If there is no such preset or licence.
    OutputError
        If it cannot be written, or would replace what was changed by hand and ``force`` is not given.
    """
    folder = local_folder(folder)
    if not force:
        _check_unchanged(folder)
    licence = licences.check_licence(licence) if licence else None
    with revise(folder) as draft:
        drawn = can_draw() if images is None else images
        return write_into(draft, folder, preset=preset, licence=licence, images=drawn, croissant=croissant)


def _check_unchanged(folder: Path) -> None:
    """Refuse to replace what is not as the manifest has it: somebody has worked on it."""
    known = Manifest.read(folder).files
    for name in (layout.CARD, licences.FILE, machine.FILE, processing.FILE):
        path = folder / name
        if path.is_file() and describe_file(path)["sha256"] != known.get(name, {}).get("sha256"):
            raise OutputError(
                f"{path} is not as titin wrote it", "give --force to replace it; keep a copy of what is yours"
            )


def write_into(
    draft: Draft, folder: Path, *, preset: Preset | str | Path | None, licence: str | None, images: bool | None,
    croissant: bool, public: processing.PublicCopy | None = None,
) -> Written:  # fmt: skip
    """As `write_card`, into a draft of the dataset; ``images=None`` keeps the pictures that are there."""
    repo_id, space = (None, None) if public is None else (public.repo_id, public.space)
    facts = make_facts(draft.folder, draft.manifest, preset=preset, licence=licence, repo_id=repo_id, space=space)
    if facts.licence:
        licences.check_licence(facts.licence)
    warnings: list[str] = []
    written = _images(draft, facts, images, warnings)
    written += _document(
        draft, licences.FILE, licences.statement(facts.licence, facts.title) if facts.licence else None
    )
    if not facts.licence:
        warnings.append("no licence is stated, so nobody may use the data: --license ID states one")
    draft.manifest.preset = record_preset(facts.preset)
    draft.manifest.settings[CHOICES] = {"texts": facts.texts is facts.preset.card, "license": facts.licence}
    written += _document(draft, processing.FILE, processing.processing_script(draft.manifest, croissant, public))
    written += _write_croissant(draft, facts) if croissant else _document(draft, machine.FILE, None)
    written += _document(draft, layout.CARD, text_of(facts))
    return Written(folder, written, warnings)


def refresh_card(draft: Draft) -> None:
    """Write anew the card, and Croissant and the script where they are there, after files of a draft have changed."""
    manifest = draft.manifest
    manifest.files.pop(layout.CARD, None)  # a card does not name itself
    for name in draft.changed - {layout.CARD}:
        manifest.files[name] = describe_file(draft.folder / name)
    if processing.FILE in manifest.files:
        croissant = machine.FILE in manifest.files
        _document(draft, processing.FILE, processing.processing_script(manifest, croissant))
    facts = make_facts(draft.folder, manifest)
    if machine.FILE in manifest.files:
        _write_croissant(draft, facts)
    manifest.files = dict(sorted(manifest.files.items()))
    draft.replace(layout.CARD).write_text(text_of(facts), "utf-8")


def refresh_documents(draft: Draft) -> None:
    """As `refresh_card`, and with pictures drawn anew where they are there: labels of the cells have changed."""
    for name in draft.changed:
        draft.manifest.files[name] = describe_file(draft.folder / name)
    facts = make_facts(draft.folder, draft.manifest)
    if facts.images:
        _images(draft, facts, can_draw(), [])
    refresh_card(draft)


def _write_croissant(draft: Draft, facts: CardFacts) -> list[str]:
    text = json.dumps(machine.croissant(facts), indent=1, ensure_ascii=False) + "\n"
    return _document(draft, machine.FILE, visible_json(text))


def _document(draft: Draft, name: str, text: str | None) -> list[str]:
    """Write a text, or remove it where there is none to be written; what describes it is known at once."""
    if text is None:
        if name in draft.manifest.files:
            draft.remove(name)
        return []
    path = draft.replace(name)
    path.write_text(text, "utf-8")
    draft.manifest.files[name] = describe_file(path)
    return [name]


def _images(draft: Draft, facts: CardFacts, wanted: bool | None, warnings: list[str]) -> list[str]:
    if wanted is None:
        return facts.images
    if wanted and not can_draw():
        warnings.append("no pictures: matplotlib is not installed (pip install matplotlib)")
        wanted = False
    for name in facts.images:
        draft.remove(name)
    drawn = draw_previews(facts, draft.folder) if wanted else []
    for name in drawn:
        draft.changed.add(name)
        draft.manifest.files[name] = describe_file(draft.folder / name)
    draft.manifest.files = dict(sorted(draft.manifest.files.items()))
    return drawn
