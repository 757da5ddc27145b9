"""What is left of a dataset of several studies when some of its cells are chosen: which studies, and one as it was."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.dataset import layout
from titin.dataset.manifest import Manifest
from titin.source import Source
from titin.study.alignment import restore
from titin.study.roles import RoleChoice


@dataclass(frozen=True)
class StudiesLeft:
    """Studies of which cells are left.

    Attributes
    ----------
    entries
        As in the manifest, with the cells that are left; empty for a dataset of one study.
    whole
        Whether no study is gone.
    """

    entries: dict[str, dict[str, Any]]
    whole: bool = True

    @classmethod
    def of(cls, manifest: Manifest, obs: pd.DataFrame) -> "StudiesLeft":
        """Of a dataset, by the cells that are left."""
        column = manifest.roles.get("study")
        if not manifest.studies or column not in obs:
            return cls({})
        cells = obs[column].astype("string").value_counts()
        left = {name: entry | {"n_cells": int(cells[name])} for name, entry in manifest.studies.items()
                if cells.get(name, 0)}  # fmt: skip
        return cls(left, len(left) == len(manifest.studies))

    def genes(self, var: pd.DataFrame, place: str | None = None) -> NDArray[np.int64] | None:
        """Positions of the genes that one of the studies has measured; None for all.

        Parameters
        ----------
        var
            The table of genes, of X or of a further matrix with genes of its own.
        place
            Of that further matrix.
        """
        measured = [entry["measured"] for entry in self._of(place)]
        if self.whole or None in measured:
            return None
        return np.flatnonzero(var[measured].any(axis=1).to_numpy(bool))

    def restored_genes(self, var: pd.DataFrame, place: str) -> pd.DataFrame:
        """Genes of a further matrix that has its own; where one study is left of several, their table as it was."""
        found = self._of(place)
        if self.whole or len(found) != 1:
            return var
        (entry,) = found
        names = var.index if entry["names"] is None else pd.Index(var[entry["names"]], dtype=object)
        return restore(var, entry["var"], names)

    def _of(self, place: str | None) -> list[dict[str, Any]]:
        """What is known of the genes of each study; nothing of a further matrix of one study."""
        entries = list(self.entries.values())
        return entries if place is None else [entry["parts"][place] for entry in entries if "parts" in entry]

    def restored(self, source: Source, choices: Mapping[str, RoleChoice]) -> tuple[Source, dict[str, RoleChoice]]:
        """The source and its roles; where one study is left of several, with its tables as they were."""
        if self.whole or len(self.entries) != 1:
            return source, dict(choices)
        ((name, entry),) = self.entries.items()
        names = source.obs.index.str.removesuffix(entry["suffix"])
        genes = source.var.index if entry["names"] is None else pd.Index(source.var[entry["names"]], dtype=object)
        uns = {key: value for key, value in source.uns.items() if key != "studies"}
        uns |= source.uns.get("studies", {}).get(name, {})
        own = dict.fromkeys(layout.ROLES) | {"cell_type": []} | entry["roles"]
        roles: dict[str, RoleChoice] = {role: RoleChoice(own[role], f"as {name} had it") for role in layout.ROLES}
        ages = {key: (column.set_axis(names), origin) for key, (column, origin) in (source.ages or {}).items()
                if column.notna().any()}  # fmt: skip
        return replace(
            source, obs=restore(source.obs, entry["obs"], names), var=restore(source.var, entry["var"], genes), uns=uns,
            genes=None if entry["names"] else source.genes, ages=ages, studies={},
        ), roles  # fmt: skip
