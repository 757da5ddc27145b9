"""Pictures for the report: each map of the cells by age, type, sex, donor, protocol and density; cells by donor."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from titin.atlas.tables import read_column
from titin.check.dataset import CheckedDataset
from titin.dataset.layout import projection_columns
from titin.plot import alt_text, density, embedding, noted, stacked_bars, synthetic_note, to_png
from titin.plot.palettes import AGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_SIZE = (5.2, 4.2)
_LABELLED = (5.2, 5.2)  # names need room, a legend does not


@dataclass(frozen=True)
class ValidationFigure:
    """A picture with its words.

    Attributes
    ----------
    name
        Unique among the figures; fit for a file name.
    title
        What it shows, in a few words.
    png
        The picture: transparent, with ink that reads on light and dark pages.
    alt
        What it shows in a sentence with numbers, for those who cannot see it.
    """

    name: str
    title: str
    png: bytes
    alt: str


def make_figures(dataset: CheckedDataset) -> list[ValidationFigure]:
    """Draw what the dataset has: what it lacks, a role or a projection, has no figure.

    Parameters
    ----------
    dataset
        The dataset under validation.

    Returns
    -------
    list of ValidationFigure
        Of each projection its first two dimensions by age, coarsest cell type, sex, donor, protocol, and its density;
        then the cells of each donor by type.
    """
    with noted(synthetic_note(dataset.atlas.synthetic)):
        return list(_figures(dataset))


def _figures(dataset: CheckedDataset) -> Iterator[ValidationFigure]:
    columns = _columns(dataset)
    for key in dataset.manifest.projections:
        table, x, y = _coordinates(dataset, key, columns)
        if table is None:
            continue
        stem = key.removeprefix("X_")
        for role, column in columns.items():
            palette = AGE if role == "age" else None
            title = f"{stem} by {role.replace('_', ' ')}"
            size = _LABELLED if role == "cell_type" else _SIZE
            axes = embedding(table, x=x, y=y, color=str(column.name), palette=palette, title=title, figsize=size)
            yield _figure(f"{stem}_{role}", title, axes)
        title = f"{stem}, density of cells"
        yield _figure(f"{stem}_density", title, density(table, x=x, y=y, title=title, figsize=_SIZE))
    if "donor" in columns and "cell_type" in columns:
        title = "Cells of each donor, by type"
        yield _figure("cells_by_donor", title, _bars(dataset, columns, title))


def _figure(name: str, title: str, axes: "Axes") -> ValidationFigure:
    return ValidationFigure(name, title, to_png(axes), alt_text(axes))


def _columns(dataset: CheckedDataset) -> dict[str, pd.Series]:
    """Columns to colour by, by role; ages as numbers, exact ones if there are any; types at the coarsest level."""
    columns: dict[str, pd.Series] = {}
    for role in ("age", "cell_type", "sex", "donor", "protocol"):
        if dataset.missing(role) is not None:
            continue
        column = dataset.study.values(role)
        if role == "age":
            column = column if dataset.study.ages is None else dataset.study.ages.rename("age (years)")
        if role != "age" and column.dtype.name != "category":
            column = column.astype("string")
        columns[role] = column
    return columns


def _coordinates(
    dataset: CheckedDataset, key: str, columns: dict[str, pd.Series]
) -> tuple[pd.DataFrame | None, str, str]:
    """Table of the first two dimensions beside the columns; None if there are not two."""
    entry = dataset.manifest.obsm[key]
    if len(entry["columns"]) < 3:  # the first is that of the names
        return None, "", ""
    places = [np.asarray(read_column(dataset.atlas.store, entry["file"], record)) for record in entry["columns"][1:3]]
    x, y = projection_columns(key, 2)
    table = pd.DataFrame({column.name: column.array for column in columns.values()})
    return table.assign(**{x: places[0], y: places[1]}), x, y


def _bars(dataset: CheckedDataset, columns: dict[str, pd.Series], title: str) -> "Axes":
    """Donors by age where it is known, else by name."""
    donor = columns["donor"].astype("string")
    table = pd.DataFrame({"donor": donor.array, "type": columns["cell_type"].astype("string").array})
    names = dataset.study.donors_by_age
    axes = stacked_bars(
        table, group="donor", part="type", order=names, title=title, figsize=(max(6.0, 3.6 + 0.26 * len(names)), 4.2)
    )
    axes.set_xlabel("donor" if dataset.study.donor_ages is None else "donor, by age")
    return axes
