"""X, y and groups for scikit-learn: what is learnt from, what is learnt, and the donors to hold out together."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas import Atlas, AtlasView, UnknownNameError
from titin.atlas.row_groups import Positions
from titin.errors import TitinError
from titin.learn.cells import read_units
from titin.learn.tasks import Level
from titin.learn.units import make_units
from titin.resources import available_threads
from titin.study.design import CELL_TYPE, OBS, add_obs_column, atlas_design, levels_of

_LEVELS = ("pseudobulk", "pseudocell", "donor", "cell")
_SAMPLE = "unit"


class Xy(NamedTuple):
    """What scikit-learn takes: ``cross_val_score(model, X, y, groups=groups, cv=LeaveOneGroupOut())``.

    Attributes
    ----------
    X
        Samples × genes: a DataFrame (float32), or a CSR matrix where samples are cells. log1p of the mean over a
        sample's cells of count / total × 10,000; the source's values of cells, and their mean where it has no counts.
    y
        Series, one a sample: what is to be predicted.
    groups
        Series, one a sample: its donor. Whoever does not hold donors out together measures how well they are
        recognised.
    """

    X: Any
    y: pd.Series
    groups: pd.Series

    def __repr__(self) -> str:
        n, m = self.X.shape
        found = f"{self.y.min():g} to {self.y.max():g}" if pd.api.types.is_numeric_dtype(self.y) else (
            f"{self.y.nunique():,} classes")  # fmt: skip
        return f"Xy of {n:,} samples × {m:,} genes; y: {self.y.name}, {found}; groups: {self.groups.nunique():,} donors"


def make_Xy(  # noqa: N802 - scikit-learn's names
    atlas: Atlas | AtlasView, target: str = "age", *, level: Level = "pseudobulk", genes: Sequence[str] | None = None,
    types: str | Sequence[str] | None = None, seed: int = 0, threads: int | None = None,
) -> Xy:  # fmt: skip
    """Make X, y and groups of an atlas, or a part of one.

    Parameters
    ----------
    atlas
        `titin.Atlas`, or ``atlas[cells, genes]``.
    target
        ``age`` (years), ``young_old``, ``age_bin``, ``sex``, ``protocol``, ``chemistry``, ``cell_type`` (the coarsest
        level), or a column of obs.
    level
        What a sample is: ``pseudobulk``, all cells of a donor, type, protocol and chemistry; ``pseudocell``, some 30 of
        them; ``donor``; or ``cell``.
    genes
        Which genes, in this order; all that the studies of the cells all measured, where not given.
    types
        Cells of these types only, of any level of labels.
    seed
        Of the draw of pseudocells.
    threads
        For reading; all processors where not given.

    Raises
    ------
    TitinError
        If no sample has a donor and a target, or a target differs among the cells of a sample.
    UnknownNameError
        If there is no such target, gene or type.
    MemoryLimitError
        If X would not fit the memory limit.

    Examples
    --------
    >>> X, y, groups = atlas.Xy("age", types="B cell")  # doctest: +SKIP
    >>> cross_val_predict(RidgeCV(), X, y, groups=groups, cv=LeaveOneGroupOut())  # doctest: +SKIP
    """
    if level not in _LEVELS:
        raise TitinError(f"there are no samples of level {level!r}", f"levels: {', '.join(_LEVELS)}")
    whole: Atlas = atlas.atlas if isinstance(atlas, AtlasView) else atlas
    design, column = _target(whole, atlas_design(whole), target)
    chosen = np.zeros(whole.n_obs, bool)
    chosen[atlas.cell_positions()] = True
    if types is not None:
        chosen &= _of_types(design, [types] if isinstance(types, str) else list(types))
    if "donor" not in design:
        raise TitinError("the dataset has no donors: nothing can be held out", "build it with --donor COLUMN")
    known = chosen & design[column].notna().to_numpy()
    design = design.assign(donor=design["donor"].where(known))
    units = make_units(design, level, seed=seed)
    if not len(units):
        raise TitinError(f"no {level} has a donor and {target}", "choose more cells, or another level")
    y = _values(design, units.of_cell, column, target, len(units))
    own = whole.comparable(units.of_cell >= 0)
    wanted = _comparable_genes(whole.var_names[atlas.gene_positions(genes)], own, genes is not None)
    order = np.unique(wanted)
    found = read_units(own, {level: (units, order)}, threads=threads or available_threads())[level]
    X = found[:, np.searchsorted(order, wanted)]
    index = _names(whole, units.obs, units.of_cell, level)
    if level != "cell":
        X = pd.DataFrame(X, index, own.var_names[wanted] if genes is None else list(genes), copy=False)
    groups = pd.Series(units.obs["donor"].astype(str).to_numpy(), index, name="donor")
    return Xy(X, pd.Series(y, index, name=target), groups)


def _comparable_genes(names: pd.Index, own: Atlas, asked: bool) -> Positions:
    """Positions in ``own`` of genes by their names in var; those that not all studies measured are refused if asked."""
    measured = names.isin(own.var_names)
    if asked and not measured.all():
        raise UnknownNameError(f"the gene {names[~measured][0]!r} was not measured by all studies of the cells",
                               "leave it out, or choose cells of studies that did: see atlas.measured")  # fmt: skip
    return own.gene_positions(list(names[measured]))


def _target(atlas: Atlas, design: pd.DataFrame, target: str) -> tuple[pd.DataFrame, str]:
    """Find the design's column of a target; a column of obs is added to it."""
    name = f"{CELL_TYPE}0" if target == "cell_type" else target
    if name in design:
        return design, name
    try:
        return add_obs_column(design, atlas.cell_columns(), target), f"{OBS}{target}"
    except TitinError as error:
        known = ", ".join([*map(str, design.columns), *map(str, atlas.obs.columns)])
        raise UnknownNameError(f"there is no target {target!r}", f"targets: {known}") from error


def _of_types(design: pd.DataFrame, types: Sequence[str]) -> NDArray[np.bool_]:
    levels = levels_of(design)
    if not levels:
        raise TitinError("the dataset has no cell types", "build it with --cell-type COLUMN, or give no types")
    known = {str(name) for level in levels for name in design[level].cat.categories}
    if unknown := [name for name in types if name not in known]:
        raise UnknownNameError(f"there is no cell type {unknown[0]!r}", f"cell types: {', '.join(sorted(known))}")
    found = np.zeros(len(design), bool)
    for level in levels:
        found |= design[level].isin(list(types)).to_numpy(bool)
    return found


def _values(design: pd.DataFrame, of_cell: NDArray[np.int64], column: str, target: str, n: int) -> NDArray[Any]:
    """The target of each unit, which all of its cells must agree on."""
    cells = np.flatnonzero(of_cell >= 0)
    grouped = design[column].iloc[cells].groupby(of_cell[cells])
    differ = grouped.nunique()
    if (differ > 1).any():
        raise TitinError(f"{target} differs among the cells of {int((differ > 1).sum()):,} of {n:,} samples",
                         "predict it of cells: level='cell'")  # fmt: skip
    values = grouped.first()
    return values.astype(object).to_numpy() if isinstance(values.dtype, pd.CategoricalDtype) else values.to_numpy()


def _names(atlas: Atlas, obs: pd.DataFrame, of_cell: NDArray[np.int64], level: str) -> pd.Index:
    """Name of each sample: that of the cell, or what it is made of."""
    if level == "cell":
        cells: pd.Index = atlas.obs_names[np.flatnonzero(of_cell >= 0)]
        return cells
    parts = [name for name in ("donor", f"{CELL_TYPE}0", "protocol", "chemistry") if name in obs]
    names = pd.Series([" / ".join(row) for row in obs[parts].astype(str).itertuples(index=False)], dtype=object)
    if level == "pseudocell":
        names = names + " / " + names.groupby(names).cumcount().astype(str)
    return pd.Index(names, name=_SAMPLE)
