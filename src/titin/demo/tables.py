"""The published tables behind the demo atlas: donors, samples, cell types, genes."""

from importlib.resources import files
from pathlib import Path

import pandas as pd


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
    path.parent.mkdir(parents=True, exist_ok=True)
    donor_table().to_csv(path, index=False, lineterminator="\n")
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
