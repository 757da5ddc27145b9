"""The source of a build, opened as chosen, and the roles of its columns."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from titin.builder.cell_table import CellTable
from titin.builder.options import Options
from titin.dataset import layout
from titin.errors import TitinError
from titin.heap import give_back
from titin.shelf import Shelf, let_go_of_pages
from titin.source import Source, open_source
from titin.source.names import without_names
from titin.study.roles import RoleChoice, columns_of


def open_chosen(
    path: Path, options: Options, memory: int, shelf: Shelf | None = None
) -> tuple[Source, dict[str, RoleChoice]]:
    """Open a source, its obs put away on a shelf, and find the columns that play a role in it.

    See `Options.choose_roles`.

    Raises
    ------
    TitinError
        If the source cannot be read, or a column that was given for a role is not there or was left out.
    """
    source = open_source(
        path, memory=memory, **options.of_source(), follow_links=options.follow_links, arrow_names=True, shelf=shelf
    )
    try:
        choices = _roles(source, options)
        let_go_of_pages()
    except BaseException:
        source.close()
        raise
    let_go(source)
    return source, choices


def let_go(source: Source) -> None:
    """Free what was needed only to look at the tables of a source: a third of what they take."""
    names = source.obs.index
    source.obs.index = pd.Index(names.array, dtype=names.dtype, name=names.name)  # without what pandas found names by
    give_back()


def keep_numbers(source: Source, cells: CellTable) -> None:
    """Leave of obs the names and the numbers, which may be totals of cells, as they are stored.

    Parameters
    ----------
    source
        Its tables are needed for no more roles.
    cells
        Of all of obs.
    """
    table = cells.rows.table
    stored = {record["name"]: record["column"] for record in cells.records[1:]}
    numbers = {name: _numbers(source.obs[name], table.column(stored[name])) for name in source.obs
               if pd.api.types.is_numeric_dtype(source.obs[name].dtype)}  # fmt: skip
    names = pd.Index(pd.arrays.ArrowExtensionArray(table.column(layout.CELL_ID)), name=source.obs.index.name)
    _replace_obs(source, pd.DataFrame(numbers, index=names, copy=False))


def _numbers(column: pd.Series, stored: pa.ChunkedArray) -> Any:
    """The numbers of a column where they are stored, if they are stored as they are."""
    kept = isinstance(column.dtype, np.dtype) and column.dtype.kind in "iuf" and stored.num_chunks == 1
    if not kept or stored.null_count or stored.type != pa.from_numpy_dtype(column.dtype):
        return column.array
    return stored.chunk(0).to_numpy()


def _replace_obs(source: Source, obs: pd.DataFrame) -> None:
    source.obs, source.skipped_obs = obs, pd.DataFrame
    for part in source.parts.values():
        part.obs = obs
    give_back()


def let_go_of_cells(source: Source) -> None:
    """Free the table of cells of a source, once it is written."""
    source.ages = None
    _replace_obs(source, without_names(source.obs.iloc[:0]).copy())


def _roles(source: Source, options: Options) -> dict[str, RoleChoice]:
    """Roles of the columns that are kept; what else would have had a role is noted in the source."""
    for role, given in options.roles.items():
        for column in given if isinstance(given, list | tuple) else [given]:
            if f"obs/{column}" in source.left_out and column not in source.obs.columns:
                raise TitinError(
                    f"obs column {column!r} is to be the {_word(role)}, but is {source.left_out[f'obs/{column}']}",
                    "keep it, or name another column for that role",
                )
    obs = without_names(source.obs)
    choices = options.choose_roles(obs)
    skipped = source.skipped_obs()
    if skipped.shape[1]:
        everything = columns_of(options.choose_roles(pd.concat([obs, without_names(skipped)], axis=1)))
        for role in layout.ROLES:
            for column in _columns(everything[role]):
                if column in skipped.columns:
                    reason = source.left_out[f"obs/{column}"]
                    source.notes.append(f"obs column {column!r} would be the {_word(role)}; it is {reason}")
    return choices


def _columns(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [] if found is None else [found]


def _word(role: str) -> str:
    return role.replace("_", " ")
