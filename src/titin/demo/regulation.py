"""Planted regulators of the demo atlas: each moves its targets from cell to cell, some of them less in old donors."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.errors import TitinError

REGULATORS, TARGETS, CHANGED = 10, 30, 3
OWN = 0.8  # natural log of a regulator's expression for one standard deviation of its activity
STRENGTH = (0.4, 0.8)  # likewise of a target's, up or down
LEFT, LOST = 0.6, 0.5  # share of a changing strength that is left in the middle of life, and lost in each `YEARS`


@dataclass(frozen=True, eq=False)
class Regulation:
    """Who regulates whom in the demo, and how active each regulator is in each cell.

    Attributes
    ----------
    regulators
        int64: genes, by place.
    targets
        int64, regulators × targets: genes, by place.
    weights
        float64, regulators × targets: natural log of expression for one standard deviation of activity.
    changed
        bool a regulator: its strength falls with age, in cells of ``cell_type``.
    cell_type
        A level 0 type.
    activity
        float64, cells × regulators: standard normal.
    """

    regulators: NDArray[np.int64]
    targets: NDArray[np.int64]
    weights: NDArray[np.float64]
    changed: NDArray[np.bool_]
    cell_type: str
    activity: NDArray[np.float64]

    def add(
        self, log_expression: NDArray[np.float64], cells: slice, level0: NDArray[np.object_], years: NDArray[np.float64]
    ) -> None:
        """Add what regulators do to the natural logs of expression, cells × genes, of some cells.

        Parameters
        ----------
        log_expression
            Changed in place.
        cells
            Which of all cells these are.
        level0, years
            Type of each of them, and age beyond the middle, in `titin.demo.expression.YEARS`.
        """
        active = self.activity[cells]
        log_expression[:, self.regulators] += OWN * active
        left = np.where(level0 == self.cell_type, np.clip(LEFT - LOST * years, 0, None), 1.0)
        for i, own in enumerate(self.targets):
            strength = left if self.changed[i] else 1.0
            log_expression[:, own] += (strength * active[:, i])[:, None] * self.weights[i]

    def edges(self, symbols: pd.Index) -> pd.DataFrame:
        """The planted network: ``source``, ``target``, ``weight``, and whether it ``changes`` with age."""
        return pd.DataFrame({
            "source": np.repeat(symbols[self.regulators], TARGETS), "target": symbols[self.targets.ravel()],
            "weight": self.weights.ravel(), "changes": np.repeat(self.changed, TARGETS),
        })  # fmt: skip


def plant_regulation(
    base: NDArray[np.float64], spared: NDArray[np.bool_], cell_type: str, n_cells: int, seed: int, *, change: bool
) -> Regulation:
    """Draw regulators and targets among the genes that are expressed most, and activities of cells.

    Parameters
    ----------
    base
        Log expression of each gene.
    spared
        Genes that have a role already.
    cell_type
        In which strengths change.
    n_cells
        Cells to draw activities of.
    seed
        Of a generator of its own: cells and other effects are drawn as without.
    change
        Whether the strength of any changes with age.

    Raises
    ------
    TitinError
        If too few genes are left.
    """
    rng = np.random.Generator(np.random.PCG64([seed, REGULATORS]))
    n = REGULATORS * (TARGETS + 1)
    free = np.flatnonzero(~spared)
    if len(free) < n:
        raise TitinError(f"{len(free)} genes without a role are too few for {REGULATORS} regulators of {TARGETS}",
                         "make an atlas of more genes")  # fmt: skip
    chosen = rng.permutation(free[np.argsort(-base[free], kind="stable")[:n]])
    weights = rng.choice([-1.0, 1.0], (REGULATORS, TARGETS), p=[0.25, 0.75]) * rng.uniform(
        *STRENGTH, (REGULATORS, TARGETS)
    )
    return Regulation(
        chosen[:REGULATORS], chosen[REGULATORS:].reshape(REGULATORS, TARGETS), weights,
        (np.arange(REGULATORS) < CHANGED) & change, cell_type, rng.standard_normal((n_cells, REGULATORS)),
    )  # fmt: skip
