"""What models see as samples: cells, pseudocells, pseudobulks or donors."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas import Atlas
from titin.learn.tasks import Level
from titin.study.ages import young_or_old
from titin.study.conditions import Where
from titin.study.design import AGE, YOUNG_OLD, Study, atlas_design, design_cut
from titin.study.gaps import CHOSEN, Complete, find_complete

PSEUDOCELL = (15, 30, 50)  # cells: at least, aimed at, at most
PER_GROUP = 20  # pseudocells of one donor, type, protocol and chemistry
_GROUP = ("donor", "protocol", "chemistry", "cell_type_0")
_FACTS = ("sex", "age_numeric", "age_years", "obs:")  # of a donor, which some of its cells may lack


@dataclass(frozen=True)
class BenchmarkUnits:
    """Samples, each of one donor.

    Attributes
    ----------
    level
        What they are.
    obs
        One row a unit, numbered from 0: the columns of the design table, of its first cell, and ``n_cells``.
    of_cell
        int64, the unit of each cell of the dataset; -1 for cells of none.
    """

    level: Level
    obs: pd.DataFrame
    of_cell: NDArray[np.int64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.obs)


def make_units(design: pd.DataFrame, level: Level, *, seed: int = 0, per_group: int = PER_GROUP) -> BenchmarkUnits:
    """Group cells into units.

    A pseudocell is 15 to 50 cells (30 where there are enough) of one donor, cell type, protocol and chemistry, drawn
    without replacement; a pseudobulk is all of them, if they are 15 or more; a donor is all cells of a donor. Cells
    without a donor are of no unit, and neither are, but for cells and donors, those without a type or in small groups.

    Parameters
    ----------
    design
        From `titin.learn.design_table`.
    level
        ``cell``, ``pseudocell``, ``pseudobulk`` or ``donor``.
    seed
        Of the draw.
    per_group
        Most pseudocells of a group.
    """
    known = design["donor"].notna().to_numpy() if "donor" in design else np.zeros(len(design), bool)
    if level == "cell":
        of_cell = np.where(known, np.cumsum(known) - 1, -1)
    elif level == "donor":
        of_cell = np.where(known, design["donor"].cat.codes if known.any() else -1, -1)
    else:
        of_cell = _grouped(design, known, seed, per_group if level == "pseudocell" else None)
    return _units(level, design, _renumbered(of_cell.astype(np.int64)))


def read_design(atlas: Atlas, where: Where | None = None) -> tuple[pd.DataFrame, Complete]:
    """Read the design table of an atlas, in which only cells that are chosen and complete have a donor.

    Raises
    ------
    TitinError
        If a condition names no column, or leaves no cell.
    """
    if not where:
        return leave_out_incomplete(atlas_design(atlas))
    chosen = where.holds(Study.of(atlas, where.columns).keys(where.columns))
    return leave_out_incomplete(atlas_design(atlas), chosen)


def leave_out_incomplete(
    design: pd.DataFrame, chosen: NDArray[np.bool_] | None = None
) -> tuple[pd.DataFrame, Complete]:
    """Take the donor from cells that lack a donor, type, protocol or chemistry, as far as any cell has them.

    A cell without a donor is of no unit and of no sum, so that all is as if the dataset did not have it. What is to be
    predicted is asked task by task.

    Parameters
    ----------
    design
        From `titin.learn.design_table`.
    chosen
        Cells that are to take part; all where not given.
    """
    needed = [name for name in _GROUP if name in design and design[name].notna().any()]
    table = design[needed].rename(columns={"cell_type_0": "cell_type"})
    if chosen is not None:
        table = table.assign(**{CHOSEN: np.where(chosen, np.array("yes", object), None)})  # type: ignore[call-overload]
    complete = find_complete(table, ["cell_type" if name == "cell_type_0" else name for name in needed])
    if complete.rows.all() or "donor" not in design:
        return design, complete
    design = design.assign(donor=design["donor"].where(complete.rows))
    if AGE in design:
        cut = design_cut(design)
        old = None if cut is None else pd.Categorical(young_or_old(design[AGE], cut))
        design = design.drop(columns=YOUNG_OLD, errors="ignore") if old is None else design.assign(**{YOUNG_OLD: old})
    return design, complete


def _grouped(design: pd.DataFrame, known: NDArray[np.bool_], seed: int, per_group: int | None) -> NDArray[np.int64]:
    """Unit of each cell, -1 for none, where groups are cut into units of about equal size."""
    least, aim, most = PSEUDOCELL
    columns = [name for name in _GROUP if name in design and design[name].notna().any()]
    for name in columns:
        known = known & design[name].notna().to_numpy()
    cells = np.flatnonzero(known)
    if not len(cells):
        return np.full(len(design), -1)
    mine = design.iloc[cells]
    gaps = [mine[name].isna().to_numpy() for name in mine if str(name).startswith(_FACTS) and mine[name].isna().any()]
    keys = [*(mine[name] for name in columns), *gaps]  # cells of a unit are alike in what is known of them
    group = mine.groupby(keys, observed=True, sort=True).ngroup().to_numpy()
    sizes = np.bincount(group)
    if per_group is None:
        n_units, size = (sizes >= least).astype(np.int64), np.maximum(sizes, 1)
    else:
        n_units = np.where(sizes >= least, np.clip(sizes // aim, 1, per_group), 0)
        size = np.minimum(most, sizes // np.maximum(n_units, 1)).clip(1)
    shuffled = np.random.Generator(np.random.PCG64(seed)).permutation(len(cells))
    order = shuffled[np.argsort(group[shuffled], kind="stable")]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    within = np.arange(len(order)) - starts[group[order]]
    number = within // size[group[order]]
    first_unit = np.concatenate([[0], np.cumsum(n_units)[:-1]])
    unit = np.where(number < n_units[group[order]], first_unit[group[order]] + number, -1)
    of_cell = np.full(len(design), -1, np.int64)
    of_cell[cells[order]] = unit
    return of_cell


def _renumbered(of_cell: NDArray[np.int64]) -> NDArray[np.int64]:
    found = np.unique(of_cell[of_cell >= 0])
    return np.where(of_cell >= 0, np.searchsorted(found, of_cell), -1)


def _units(level: Level, design: pd.DataFrame, of_cell: NDArray[np.int64]) -> BenchmarkUnits:
    cells = np.flatnonzero(of_cell >= 0)
    _, first, sizes = np.unique(of_cell[cells], return_index=True, return_counts=True)
    obs = design.iloc[cells[first]].reset_index(drop=True)
    if level == "donor":  # of what cells of one donor may differ in, nothing can be said
        names = [str(name) for name in obs.columns]
        facts = [
            name
            for name in names
            if name in ("donor", "sex", "young_old", "age_bin") or name.startswith(("age", "obs:"))
        ]
        obs = obs[facts]
        if obs.isna().to_numpy().any():  # of the donor's first cell: others may know
            first_known = design[facts].iloc[cells].groupby(of_cell[cells]).first()
            obs = first_known.reset_index(drop=True).astype(obs.dtypes)
    return BenchmarkUnits(level, obs.assign(n_cells=sizes), of_cell)


def spread(obs: pd.DataFrame, n: int, by: Sequence[str] = ("donor",)) -> NDArray[np.int64]:
    """Choose at most ``n`` rows, ascending, as evenly over the values of some columns as there are rows for."""
    if len(obs) <= n:
        return np.arange(len(obs))
    group = obs.groupby(list(by), observed=True, dropna=False).ngroup().to_numpy()
    turn = np.random.Generator(np.random.PCG64(0)).permutation(len(obs))
    order = turn[np.argsort(group[turn], kind="stable")]
    within = np.empty(len(obs), np.int64)
    sizes = np.bincount(group)
    within[order] = np.arange(len(obs)) - (np.cumsum(sizes) - sizes)[group[order]]
    return np.sort(np.lexsort((turn, within))[:n])
