"""What the sections of a report share, computed once."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from titin.ageing import Pseudobulk, cell_counts, differential_expression, pseudobulk
from titin.ageing.composition import CellCounts
from titin.atlas import Atlas
from titin.features import read_gene_set_scores, score_gene_sets
from titin.progress import Progress
from titin.study.groups import cell_keys

MAX_STEM_CELLS = 8_000


@dataclass
class Context:
    """A dataset and what was asked of it.

    Attributes
    ----------
    atlas, folder
        The dataset.
    seed, threads, progress
        For everything that is computed.
    parameters
        What was computed with, by section; for the methods.
    """

    atlas: Atlas
    folder: Path
    seed: int
    threads: int
    progress: Progress
    parameters: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def keys(self) -> pd.DataFrame:
        """Donor, protocol, sex, age … of every cell."""
        return cell_keys(self.atlas)

    @cached_property
    def level(self) -> str | None:
        """The coarsest level of labels."""
        labels = self.atlas.roles.get("cell_type") or []
        return str(labels[0]) if labels else None

    @cached_property
    def labels(self) -> pd.Series | None:
        """Coarsest label of every cell."""
        return None if self.level is None else self.atlas.cell_columns(self.level)[self.level].astype("category")

    @cached_property
    def donors_by_age(self) -> list[str]:
        """Donors, the youngest first; by name where ages are not known."""
        if "donor" not in self.keys:
            return []
        names = self.keys["donor"].dropna()
        if "age" not in self.keys:
            return sorted(names.unique())
        ages = self.keys.groupby("donor")["age"].median()
        return sorted(ages.index, key=lambda name: (np.nan_to_num(ages[name], nan=np.inf), name))

    @cached_property
    def pseudobulk(self) -> Pseudobulk:
        """Counts by donor and type."""
        return pseudobulk(self.atlas, threads=self.threads, progress=self.progress)

    @cached_property
    def counts(self) -> CellCounts:
        """Cells by sample and type."""
        return cell_counts(self.atlas)

    @cached_property
    def expression(self) -> pd.DataFrame:
        """Differential expression with age."""
        return differential_expression(self.pseudobulk)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Gene-set scores: those of the dataset, or computed."""
        stored = read_gene_set_scores(self.atlas)
        if stored is not None:
            stored.attrs = {"method": "the scores that the dataset has", "parameters": {}}
            return stored
        return score_gene_sets(self.atlas, seed=self.seed, threads=self.threads, progress=self.progress)

    def lines(self, gene: str) -> pd.DataFrame:
        """Share of cells that express a gene, and its mean value, by coarsest label."""
        values = self.atlas[gene].to_numpy(np.float64)
        assert self.labels is not None  # noqa: S101 - callers have looked
        codes = self.labels.cat.codes.to_numpy()
        known = codes >= 0
        n_types = len(self.labels.cat.categories)
        cells = np.bincount(codes[known], minlength=n_types)
        sums = np.bincount(codes[known], values[known], n_types)
        found = np.bincount(codes[known], values[known] > 0, n_types)
        some = np.maximum(cells, 1)
        return pd.DataFrame({
            "gene": gene, "cell_type": self.labels.cat.categories.astype(str), "n_cells": cells, "mean": sums / some,
            "fraction": found / some,
        })[cells > 0]  # fmt: skip
