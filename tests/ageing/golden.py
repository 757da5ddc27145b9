"""What R made of the data in ``r/``, read for tests of parity."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

R = Path(__file__).parent / "r"


@cache
def table(name: str) -> pd.DataFrame:
    """One of the tables; number columns that R calls Inf are infinite."""
    return pd.read_csv(R / f"{name}.csv")


def units() -> pd.DataFrame:
    """The pseudobulks: ``age`` in decades, ``male``, ``donor``, ``nuclei``, ``cells``."""
    return pd.read_csv(R / "units.csv", index_col=0)


def counts() -> pd.DataFrame:
    """Genes × pseudobulks."""
    return pd.read_csv(R / "counts.csv", index_col=0)


def of_cells() -> tuple[pd.DataFrame, np.ndarray]:
    """Counts, genes × pseudobulks of cells, as ``limma.R`` takes them; the design: constant, sex, age."""
    kept = units()["nuclei"].to_numpy() == 0
    own = counts().loc[:, kept]
    design = np.column_stack([np.ones(kept.sum()), units().loc[kept, ["male", "age"]]])
    return own[own.sum(axis=1) > 0], design


def matrix(name: str, column: str) -> np.ndarray:
    """A column of a table of genes and units, as genes × units in their order."""
    found = table(name)
    wide = found.pivot(index="gene", columns="unit", values=column)  # noqa: PD010
    return wide.loc[found["gene"].unique(), found["unit"].unique()].to_numpy()
