"""The source of a build, opened as chosen, and the roles of its columns."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from titin.builder.options import Options
from titin.dataset import layout
from titin.errors import TitinError
from titin.resources import give_back
from titin.source import Source, open_source
from titin.study.roles import RoleChoice, columns_of


def open_chosen(path: Path, options: Options, memory: int) -> tuple[Source, dict[str, RoleChoice]]:
    """Open a source, and find the columns that play a role in it; see `Options.choose_roles`.

    Raises
    ------
    TitinError
        If the source cannot be read, or a column that was given for a role is not there or was left out.
    """
    source = open_source(path, memory=memory, **options.of_source(), follow_links=options.follow_links)
    try:
        choices = _roles(source, options)
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


def keep_names_once(source: Source, names: pa.ChunkedArray) -> None:
    """Let the names of the cells stand in memory once, as Arrow has them: as Python's they take thrice as much.

    Parameters
    ----------
    source
        Its tables are needed for no more roles, so that columns that were not chosen are let go of, too.
    names
        Of the cells, in the order of obs.
    """
    index = source.obs.index
    source.obs.index = pd.Index(pd.arrays.ArrowExtensionArray(names), name=index.name)
    source.skipped_obs = pd.DataFrame
    give_back()


def let_go_of_cells(source: Source) -> None:
    """Free the table of cells of a source, once it is written."""
    source.obs = source.obs.iloc[:0].copy()
    source.ages, source.skipped_obs = None, pd.DataFrame
    for part in source.parts.values():
        part.obs = source.obs
    give_back()


def _roles(source: Source, options: Options) -> dict[str, RoleChoice]:
    """Roles of the columns that are kept; what else would have had a role is noted in the source."""
    for role, given in options.roles.items():
        for column in given if isinstance(given, list | tuple) else [given]:
            if f"obs/{column}" in source.left_out and column not in source.obs.columns:
                raise TitinError(
                    f"obs column {column!r} is to be the {_word(role)}, but is {source.left_out[f'obs/{column}']}",
                    "keep it, or name another column for that role",
                )
    choices = options.choose_roles(source.obs)
    skipped = source.skipped_obs()
    if skipped.shape[1]:
        everything = columns_of(options.choose_roles(pd.concat([source.obs, skipped], axis=1)))
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
