"""The dataset of a report, and what its sections share, computed once."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from titin.ageing import Findings, Inputs
from titin.ageing.analysis import main_result
from titin.ageing.comparison import Comparisons
from titin.atlas import Atlas
from titin.network import PriorNetwork
from titin.results import Result
from titin.study.design import Study


@dataclass
class ReportData:
    """A dataset and what was asked of it.

    Attributes
    ----------
    inputs
        The dataset, and what analyses take from it.
    folder
        Where it lies.
    parameters
        What was computed with, by section; for the methods.
    network
        A network of regulators that was given; None where there is none.
    findings, missing
        What each section's analysis has found, or why it could not be run, by anchor.
    """

    inputs: Inputs
    folder: Path
    network: PriorNetwork | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    findings: dict[str, Findings] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def result(self, anchor: str) -> Comparisons | None:
        """The main result of a section, where it compares something and has a test."""
        if anchor not in self.findings:
            return None
        found = main_result(self.findings[anchor], Result)
        return found if isinstance(found, Comparisons) and "p_value" in found.table and len(found.table) else None

    @property
    def atlas(self) -> Atlas:
        """The dataset."""
        return self.inputs.atlas

    @cached_property
    def keys(self) -> pd.DataFrame:
        """Donor, protocol, sex, age … of every cell."""
        return self.study.keys()

    @cached_property
    def study(self) -> Study:
        """What part each column of obs plays."""
        return Study.of(self.atlas)

    @cached_property
    def level(self) -> str | None:
        """The coarsest level of labels."""
        column = self.study.column("cell_type")
        return None if column is None else str(column)

    @cached_property
    def labels(self) -> pd.Series | None:
        """Coarsest label of every cell."""
        return None if self.level is None else self.study.values("cell_type").astype("category")

    @cached_property
    def donors_by_age(self) -> list[str]:
        """Donors, the youngest first; by name where ages are not known."""
        return self.study.donors_by_age

    def lines(self, gene: str) -> pd.DataFrame:
        """Share of cells that express a gene, and its mean value, by coarsest label."""
        values = self.atlas[self.atlas.main_names([gene])[gene]].to_numpy(np.float64)
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
