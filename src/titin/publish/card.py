"""The dataset card, every number of it computed."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titin.dataset import layout
from titin.dataset.manifest import Manifest
from titin.publish.facts import Facts
from titin.publish.front_matter import front_matter
from titin.publish.preset import Preset, make_preset, read_preset
from titin.publish.sections import about, distributions, files, overview, quickstart, tasks

if TYPE_CHECKING:
    from titin.atlas import Atlas

CHOICES = "card"  # of the manifest's settings: what was chosen when the card was last written


def card(
    dataset: "Path | str | Atlas", manifest: Manifest | None = None, *, preset: Preset | str | Path | None = None,
    licence: str | None = None, repo_id: str | None = None,
) -> str:  # fmt: skip
    """Return the text of ``README.md``.

    Parameters
    ----------
    dataset
        The folder, whose ``titin.json`` need not be there if ``manifest`` is given; or an open dataset.
    manifest
        With every file but the card described. Read from the folder where not given.
    preset
        Texts of the atlas: a name, a TOML file, or a `Preset`. Where not given, the one that the card was last written
        with; without any, the card holds nothing but what was computed.
    licence
        Identifier as the Hub has it (``cc-by-4.0``). Where not given, the one that was given last.
    repo_id
        Where the dataset will lie on the Hub, to be named in the examples.

    Raises
    ------
    DatasetError
        If the folder is no dataset, or a file of it is damaged.
    TitinError
        If there is no such preset.
    """
    return text_of(make_facts(dataset, manifest, preset=preset, licence=licence, repo_id=repo_id))


def make_facts(
    dataset: "Path | str | Atlas", manifest: Manifest | None = None, *, preset: Preset | str | Path | None = None,
    licence: str | None = None, repo_id: str | None = None,
) -> Facts:  # fmt: skip
    """Gather what a card is made of; parameters as for `card`."""
    folder = Path(dataset) if isinstance(dataset, str | Path) else dataset.folder
    manifest = manifest or Manifest.read(folder)
    chosen: Mapping[str, Any] = manifest.settings.get(CHOICES) or {}
    last = chosen.get("preset")
    if preset is None and last is not None:
        known = make_preset(last) if isinstance(last, Mapping) else read_preset(last)
    else:
        known = preset if isinstance(preset, Preset) else read_preset(preset) if preset else Preset()
    return Facts(folder, manifest, known, licence or chosen.get("license"), repo_id)


def text_of(facts: Facts) -> str:
    """Put the sections together."""
    sections = [
        overview.opening(facts), overview.overview(facts), overview.context(facts),
        quickstart.quickstart(facts), distributions.distributions(facts, design_notes(facts)), files.files(facts),
        tasks.tasks(facts), tasks.evaluation(facts), about.glossary(facts), about.limits(facts),
        overview.provenance(facts), overview.again(), about.licence(facts), about.citation(facts),
        about.ethics(),
    ]  # fmt: skip
    return front_matter(facts) + "\n" + "\n\n".join(part for part in sections if part) + "\n"


def design_notes(facts: Facts) -> list[str]:
    """What the design of the study allows and forbids to conclude; see `titin.check.design`."""
    from titin.check.design import design_facts
    from titin.check.design import design_notes as sentences

    roles: dict[str, Any] = {role: facts.column(role) for role in layout.ROLES if role != "cell_type"}
    return sentences(design_facts(facts.obs, {**roles, "cell_type": facts.cell_types}))
