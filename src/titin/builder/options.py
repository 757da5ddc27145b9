"""The options of a build, given by a user or by a preset."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from titin.embed.methods import DEFAULTS
from titin.errors import TitinError
from titin.presets import Preset, choose_preset
from titin.publish import check_licence
from titin.source import Source
from titin.source.choice import OPTIONS, Choice
from titin.source.names import without_names
from titin.study.age_units import UNITS
from titin.study.roles import RoleChoice, choose_roles
from titin.study.tallies import code

DEFAULT_PROJECTIONS = DEFAULTS


@dataclass(frozen=True)
class Options(Choice):
    """Choices of one build: what of the source is read, as `titin.source.choice.Choice` has it, and what is made of it.

    Attributes
    ----------
    tissue, method
        Make the file names' prefix; found in the source where not given.
    seed, shuffle
        Order of the cells.
    roles
        Column of obs for each role given by hand or by the preset (`titin.dataset.layout.ROLES`); for ``cell_type`` a
        list, coarsest first; ``none`` for a role that nothing is to have.
    asked
        Those of the roles that were given by hand.
    donors
        Table of donors with their exact ages.
    age_unit
        Of ages without a unit, of `titin.study.age_units.UNITS`; where not given, the one that the column's name states
        (``age_months``), else years.
    allow_negative
        Keep negative values instead of refusing them.
    project
        Which projections are computed if the source lacks them (`titin.embed.methods.METHODS`); None for
        ``DEFAULT_PROJECTIONS``.
    licence
        Of the data, as the Hub names it (``cc-by-4.0``), for the card.
    preset
        What is known of the atlas beforehand.
    texts
        Whether the card has the preset's texts: those of the study the atlas comes from.
    follow_links
        Read what the source draws from other files; see `titin.source.open_source`. It is no setting of the dataset:
        whoever validates that with the source decides anew.
    derivation
        What was chosen of datasets, or how they were put together, JSON-safe; see `titin.compose`.
    """

    tissue: str | None = None
    method: str | None = None
    seed: int = 0
    shuffle: bool = True
    roles: Mapping[str, Any] = field(default_factory=dict)
    donors: Path | None = None
    age_unit: str | None = None
    allow_negative: bool = False
    project: Sequence[str] | None = None
    licence: str | None = None
    preset: Preset = field(default_factory=Preset)
    texts: bool = True
    follow_links: bool = False
    asked: frozenset[str] = field(default=frozenset(), compare=False)
    derivation: Mapping[str, Any] = field(default_factory=dict)

    @property
    def projections(self) -> list[str]:
        """Names of the projections that are computed if the source lacks them."""
        return list(DEFAULT_PROJECTIONS if self.project is None else self.project)

    def of_source(self) -> dict[str, Any]:
        """What of the source is read, JSON-safe: the arguments of `titin.source.open_source`."""
        chosen = {name: getattr(self, name) for name in OPTIONS}
        return {name: value if isinstance(value, bool | str | None) else list(value) for name, value in chosen.items()}

    def choose_roles(self, obs: pd.DataFrame) -> dict[str, RoleChoice]:
        """Column of each role in a source, and why; see `titin.study.roles.choose_roles`.

        Where only the preset says which column it is, and obs has no such column, or that column says nothing, another
        is looked for: a preset for many atlases cannot know.
        """
        of_preset = [role for role in self.roles if role not in self.asked and role in self.preset.build.roles]
        given = {role: column for role, column in self.roles.items() if role not in of_preset}
        return choose_roles(obs, given, {role: self.roles[role] for role in of_preset})

    def deciding(self) -> dict[str, Any]:
        """Return what the dataset's bytes depend on, JSON-safe."""
        return {
            **self.of_source(),
            "tissue": self.tissue,
            "method": self.method,
            "seed": self.seed,
            "shuffle": self.shuffle,
            "roles": {role: list(c) if isinstance(c, tuple) else c for role, c in self.roles.items()},
            "donors": self.donors.name if self.donors else None,
            "age_unit": self.age_unit,
            "allow_negative": self.allow_negative,
            "project": self.projections,
            "preset": {"name": self.preset.name, "sha256": self.preset.digest} if self.preset != Preset() else None,
            "card": {"texts": self.texts, "license": self.licence},
            **self.derivation,
        }


def make_options(
    preset: Preset | str | Path | None = None, roles: Mapping[str, Any] | None = None, **chosen: Any
) -> Options:
    """Options from a preset and what was chosen beside it; the choice wins.

    Raises
    ------
    TitinError
        If there is no such preset, licence or unit of ages, or the preset has a mistake.
    """
    for name in ("obs", "no_obs", "obsm", "no_obsm", "layers", "modalities"):
        if isinstance(chosen.get(name), str):
            chosen[name] = [chosen[name]]
    if chosen.get("licence"):
        chosen["licence"] = check_licence(chosen["licence"])
    if chosen.get("age_unit") not in (None, *UNITS):
        raise TitinError(f"ages are in no unit {chosen['age_unit']!r}", f"units: {', '.join(UNITS)}")
    known = choose_preset(preset)
    merged = {role: list(c) if isinstance(c, tuple) else c for role, c in known.build.roles.items()}
    merged |= {role: column for role, column in (roles or {}).items() if column}
    chosen["tissue"] = chosen.get("tissue") or known.build.tissue or None
    chosen["method"] = chosen.get("method") or known.build.method or None
    asked = frozenset(role for role, column in (roles or {}).items() if column)
    return Options(roles=merged, preset=known, asked=asked, **chosen)


def choose_prefix(source: Source, roles: dict[str, Any], options: Options) -> tuple[str, str, str]:
    """Tissue, method and ``{tissue}_{method}``: as given, else from obs, else from the file's name.

    Raises
    ------
    TitinError
        If a given tissue or method has no letter or digit to make a file name of.
    """
    obs = without_names(source.obs)
    tissue = _slug(options.tissue) if options.tissue else _only(obs, "tissue") or _slug(source.path.stem)
    method = _slug(options.method) if options.method else _method(obs, roles)
    for option, given, made in (("--tissue", options.tissue, tissue), ("--technology", options.method, method)):
        if given and not made:
            raise TitinError(f"{option} {given!r} cannot begin a file name", "use letters and digits")
    return tissue or "atlas", method, f"{tissue or 'atlas'}_{method}"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:60]


def _only(obs: pd.DataFrame, column: str) -> str | None:
    entries = code(obs[column]).distinct if column in obs.columns else []
    return _slug(str(entries[0]).lower()) if len(entries) == 1 else None


def _method(obs: pd.DataFrame, roles: dict[str, Any]) -> str:
    """``10x`` where the chemistry says so, else ``scrna``."""
    column = roles["chemistry"]
    if column is None:
        return "scrna"
    values = [str(v).lower() for v in code(obs[column]).distinct]
    tenx = "10x" in str(column).lower() or all("10x" in v for v in values)
    return "10x" if values and tenx else "scrna"
