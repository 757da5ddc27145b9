"""The published tables behind the demo atlas: donors, samples, cell types, genes."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from titin.dataset.swap import whole


def donor_table() -> pd.DataFrame:
    """Return the atlas's 17 donors with their exact ages, youngest first.

    Returns
    -------
    pandas.DataFrame
        ``DonorID`` (string), ``age_years`` (int64, 19 to 74) and ``Sex`` (``F`` or ``M``).

    References
    ----------
    Kedlian et al., Nature Aging 4, 727-744 (2024); notebooks of github.com/Teichlab/SKM_ageing_atlas (Apache-2.0).

    Examples
    --------
    >>> donor_table().head(2).to_numpy().tolist()
    [['470BR', 19, 'M'], ['398B', 22, 'F']]
    """
    return read_table("donors")[["DonorID", "age_years", "Sex"]]


def write_donor_table(path: Path | str) -> Path:
    """Write the donor table as CSV, in the form that ``titin build --donors`` takes.

    Parameters
    ----------
    path
        Where to; its folder is made if need be, and a file there is replaced.

    Returns
    -------
    pathlib.Path
        ``path``.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    path = Path(path)
    with whole(path) as file:
        donor_table().to_csv(file, index=False, lineterminator="\n")
    return path


def read_table(name: str) -> pd.DataFrame:
    """Return the table ``data/{name}.csv``; empty fields are empty strings.

    Parameters
    ----------
    name
        ``donors``, ``samples``, ``cell_types`` or ``genes``; ``data/NOTICE.md`` explains each.
    """
    with (files("titin.demo") / "data" / f"{name}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, keep_default_na=False)


RARE = 3  # cells of the rarest type in an atlas of 500 cells or more


def design(n_cells: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw the cells of an atlas with the published design.

    Cell types, their split between cells and nuclei, and samples have their published share of ``n_cells``, rounded;
    from a few hundred cells on, no type or sample is without a cell. At 183,161 cells the types have exactly their
    published numbers. Which cell goes with which sample is drawn, so composition does not change with age.

    Parameters
    ----------
    n_cells
        Number of cells and nuclei together.
    rng
        Source of randomness.

    Returns
    -------
    pandas.DataFrame
        One row a cell, in random order: ``SampleID``, ``DonorID``, ``age_years``, ``Sex``, ``batch`` (``cells`` or
        ``nuclei``), ``10X_version``, ``annotation_level0`` to ``annotation_level2``; categorical but for the age.
    """
    types, samples = read_table("cell_types"), _sample_weights()
    published = types[["cells", "nuclei"]].sum(axis=1)
    least = min(RARE, n_cells // (2 * len(types)))
    of_type = allot(published, n_cells, np.where(types["level2"].duplicated(), 0, least))
    split = np.array([allot(row, n) for row, n in zip(types[["cells", "nuclei"]].to_numpy(), of_type, strict=True)])
    parts = []
    for batch, n_of_type in zip(("cells", "nuclei"), split.T, strict=True):
        pool = samples[samples["batch"] == batch]
        total = int(n_of_type.sum())
        n_of_sample = allot(pool["weight"], total, np.full(len(pool), min(1, total // (2 * len(pool)))))
        labels = types.loc[np.repeat(types.index, n_of_type), ["level0", "level1", "level2"]].add_prefix("annotation_")
        drawn = pool.loc[rng.permutation(np.repeat(pool.index, n_of_sample))].drop(columns="weight")
        parts.append(pd.concat([drawn.reset_index(drop=True), labels.reset_index(drop=True)], axis=1))
    cells = pd.concat(parts, ignore_index=True)
    cells = cells.iloc[rng.permutation(n_cells)].reset_index(drop=True)
    text = [column for column in cells if column != "age_years"]
    return cells.astype(dict.fromkeys(text, "category"))


def allot(weights: ArrayLike, total: int, at_least: ArrayLike = 0) -> NDArray[np.int64]:
    """Share ``total`` things out in proportion to ``weights``, by largest remainder.

    Parameters
    ----------
    weights
        Not negative, not all 0. Shape ``(n,)``.
    total
        How many to share out.
    at_least
        What each gets first; it may not sum to more than ``total``.

    Returns
    -------
    numpy.ndarray
        int64, shape ``(n,)``; sums to ``total``.

    Examples
    --------
    >>> allot([70, 29, 1], 10).tolist(), allot([70, 29, 1], 10, at_least=1).tolist()
    ([7, 3, 0], [6, 3, 1])
    """
    weight = np.asarray(weights, np.float64)
    first = np.broadcast_to(np.asarray(at_least, np.int64), weight.shape)
    ideal = np.maximum(weight / weight.sum() * total, first) - first
    free = total - int(first.sum())
    share = ideal / ideal.sum() * free if ideal.any() else ideal
    whole = np.floor(share + 1e-9).astype(np.int64)
    remainder = np.argsort(whole - share, kind="stable")[: free - int(whole.sum())]
    whole[remainder] += 1
    return np.asarray(first + whole)


def _sample_weights() -> pd.DataFrame:
    """Return the samples with their donors, weighted by the donor's cells shared equally among its samples."""
    table = read_table("samples").merge(read_table("donors"), on="DonorID", how="left", validate="many_to_one")
    in_batch = table["cells"].where(table["batch"] == "cells", table["nuclei"])
    table["weight"] = in_batch / table.groupby(["DonorID", "batch"])["SampleID"].transform("size")
    return table[["SampleID", "DonorID", "age_years", "Sex", "batch", "10X_version", "weight"]]
