"""Write the card, its pictures, Croissant and the licence into a dataset, in one step."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from titin.dataset import layout
from titin.dataset.manifest import describe_file
from titin.dataset.revision import Draft, revise
from titin.publish import croissant as machine
from titin.publish import images as pictures
from titin.publish import licence as licences
from titin.publish.card import CHOICES, make_facts, text_of
from titin.publish.facts import Facts
from titin.publish.preset import Preset, preset_names


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
    croissant: bool = True,
) -> Written:  # fmt: skip
    """Write ``README.md`` and what goes with it; the dataset changes in one step, or not at all.

    Parameters
    ----------
    folder
        The dataset.
    preset, licence
        As for `titin.publish.card`. They are kept in the manifest, for the next time.
    images
        Draw pictures of the cells; where matplotlib is installed if None. False removes those that are there.
    croissant
        Write ``croissant.json``; False removes it.

    Raises
    ------
    DatasetError
        If the folder is no dataset, or a file is damaged.
    TitinError
        If there is no such preset or licence.
    OutputError
        If it cannot be written.
    """
    licence = licences.check_licence(licence) if licence else None
    with revise(folder) as draft:
        drawn = pictures.can_draw() if images is None else images
        return write_into(draft, folder, preset=preset, licence=licence, images=drawn, croissant=croissant)


def write_into(
    draft: Draft, folder: Path, *, preset: Preset | str | Path | None, licence: str | None, images: bool | None,
    croissant: bool, repo_id: str | None = None,
) -> Written:  # fmt: skip
    """As `write_card`, into a draft of the dataset; ``images=None`` keeps the pictures that are there."""
    facts = make_facts(draft.folder, draft.manifest, preset=preset, licence=licence, repo_id=repo_id)
    if facts.licence:
        licences.check_licence(facts.licence)
    warnings: list[str] = []
    written = _images(draft, facts, images, warnings)
    written += _document(
        draft, licences.FILE, licences.statement(facts.licence, facts.title) if facts.licence else None
    )
    text = json.dumps(machine.croissant(facts), indent=1, ensure_ascii=False) + "\n" if croissant else None
    written += _document(draft, machine.FILE, text)
    if not facts.licence:
        warnings.append("no licence is stated, so nobody may use the data: --license ID states one")
    draft.manifest.settings[CHOICES] = _choices(facts, preset)
    written += _document(draft, layout.CARD, text_of(facts))
    return Written(folder, written, warnings)


def refresh_card(draft: Draft) -> None:
    """Write the card anew after files of a draft have changed, with what was chosen last."""
    manifest = draft.manifest
    manifest.files.pop(layout.CARD, None)  # a card does not name itself
    for name in draft.changed - {layout.CARD}:
        manifest.files[name] = describe_file(draft.folder / name)
    manifest.files = dict(sorted(manifest.files.items()))
    draft.replace(layout.CARD).write_text(text_of(make_facts(draft.folder, manifest)), "utf-8")


def _choices(facts: Facts, preset: Preset | str | Path | None) -> dict[str, Any]:
    """What the next card is to be written with: a preset of titin's by its name, another in full."""
    last = facts.manifest.settings.get(CHOICES) or {}
    if preset is None:
        chosen = last.get("preset")
    else:
        chosen = str(preset) if str(preset) in preset_names() else facts.preset.document()
    return {"preset": chosen, "license": facts.licence}


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


def _images(draft: Draft, facts: Facts, wanted: bool | None, warnings: list[str]) -> list[str]:
    if wanted is None:
        return facts.images
    if wanted and not pictures.can_draw():
        warnings.append("no pictures: matplotlib is not installed (pip install matplotlib)")
        wanted = False
    for name in facts.images:
        draft.remove(name)
    drawn = pictures.draw_previews(facts, draft.folder) if wanted else []
    for name in drawn:
        draft.changed.add(name)
        draft.manifest.files[name] = describe_file(draft.folder / name)
    draft.manifest.files = dict(sorted(draft.manifest.files.items()))
    return drawn
