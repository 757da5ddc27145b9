"""The table of a batch: a row a dataset, with its source, its output, and options of `titin build` by their names."""

import difflib
import os
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from titin.errors import TitinError
from titin.files import is_url, local_path
from titin.study.table_files import read_table_file

SOURCE, OUTPUT = "source", "output"
_HOLDS = "the columns source and output, and options of titin build"
_MOST_BYTES = 2**26
_FIRST_LINE = 2  # of the rows, below the header


@dataclass(frozen=True)
class BatchRow:
    """A dataset to build.

    Attributes
    ----------
    where
        The table and the row's line, for errors.
    source, output
        Paths.
    options
        Text by name of an option; those that are left empty are not there.
    """

    where: str
    source: Path
    output: Path
    options: dict[str, str]


def read_batch(
    path: Path, known: Collection[str], paths: Collection[str], of_batch: Collection[str], *, anywhere: bool
) -> list[BatchRow]:
    """Read the table of a batch, and refuse it as a whole where a row cannot be meant.

    Parameters
    ----------
    path
        CSV or TSV. Paths in it count from its folder.
    known, paths, of_batch
        Names of the options that a row may have; those of them that may be paths; and those that hold for all rows.
    anywhere
        Take paths that lead out of the folder of the table.

    Raises
    ------
    TitinError
        If it cannot be read, lacks a column or has one that is no option, names no source or output, a path outside, or
        one output twice.
    """
    table = _read(path)
    names = {str(column): _name(str(column)) for column in table.columns}
    _check_columns(path, list(names.values()), known, of_batch)
    rows = []
    for line, values in enumerate(table.fillna("").astype(str).to_dict("records"), _FIRST_LINE):
        given = {names[str(column)]: text.strip() for column, text in values.items()}
        if not any(given.values()):
            continue
        where = f"{path}, line {line}"
        for name in (SOURCE, OUTPUT):
            if not given[name]:
                raise TitinError(f"{where}: there is no {name}", "give every row one")
        own = {name: text for name, text in given.items() if text and name not in (SOURCE, OUTPUT)}
        for name in paths:
            if name in own and _is_path(name, own[name]):
                own[name] = str(_place(path, own[name], where, anywhere))
        source, output = (_place(path, given[name], where, anywhere) for name in (SOURCE, OUTPUT))
        rows.append(BatchRow(where, source, output, own))
    if not rows:
        raise TitinError(f"{path} has no row", f"give a table with {_HOLDS}")
    _check_outputs(path, rows)
    return rows


def _read(path: Path) -> pd.DataFrame:
    """The table as text; pandas only warns of rows that are longer than the header, and drops what they have more."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            return read_table_file(
                path, "MANIFEST", _HOLDS, most=_MOST_BYTES, keep_default_na=False, index_col=False
            )  # fmt: skip
        except pd.errors.ParserWarning:
            said = f"{path} cannot be read as a table: a row has more fields than the header"
            raise TitinError(said, f"give a table with {_HOLDS}") from None


def _name(column: str) -> str:
    """An option's name as in the command line: ``cell_type`` and ``--cell-type`` are ``cell-type``."""
    return column.strip().lstrip("-").replace("_", "-").lower()


def _check_columns(path: Path, names: list[str], known: Collection[str], of_batch: Collection[str]) -> None:
    for name in (SOURCE, OUTPUT):
        if name not in names:
            by = next((mark for mark in (";", "\t", "|") if len(names) == 1 and mark in names[0]), "")
            hint = f"its columns stand between {by!r}: write commas" if by else f"give a table with {_HOLDS}"
            raise TitinError(f"{path} has no column {name}", hint)
    for name in names:
        if name in of_batch:
            raise TitinError(f"{path}: {name} holds for the whole batch, not for a row", "leave that column out")
        if name not in (SOURCE, OUTPUT, *known):
            near = difflib.get_close_matches(name, [SOURCE, OUTPUT, *known], n=1)
            hint = f"did you mean {near[0]}?" if near else "`titin build --help` tells what there is"
            raise TitinError(f"{path}: {name!r} is no option of titin build", hint)
        if names.count(name) > 1:
            raise TitinError(f"{path} has two columns {name}", "leave one out")


def _is_path(name: str, text: str) -> bool:
    """Whether an option's text is a path: a preset may be a name."""
    return name != "preset" or os.sep in text or text.endswith(".toml")


def _place(path: Path, text: str, where: str, anywhere: bool) -> Path:
    """A path of the table, which counts from the folder that it lies in."""
    if is_url(text):
        raise TitinError(
            f"{where}: {text!r} is a URL", "a batch builds folders; `titin build` sends one dataset to a URL"
        )
    home = os.path.realpath(path.parent)
    try:
        found = Path(path.parent, local_path(text))
        target = os.path.realpath(found)
    except TitinError as error:
        raise TitinError(f"{where}: {error.args[0]}", error.hint) from None
    except ValueError:  # a NUL
        raise TitinError(f"{where}: {text!r} is no path", "name a file or folder") from None
    if not anywhere and target != home and not target.startswith(os.path.join(home, "")):  # noqa: PTH118
        raise TitinError(
            f"{where}: {text!r} leads out of the folder of the table", "--anywhere takes it; look at the table first"
        )
    return found


def _check_outputs(table: Path, rows: list[BatchRow]) -> None:
    """Refuse rows that would write in one place, or where one reads."""
    taken: dict[str, str] = {}
    read = {os.path.realpath(table): "the table itself"}
    read |= {os.path.realpath(row.source): f"the source of {row.where}" for row in rows}
    for row in rows:
        place = os.path.realpath(row.output)
        if place in read:
            raise TitinError(f"{row.where}: the output {row.output} is {read[place]}", "choose another output")
        if place in taken:
            raise TitinError(f"{row.where}: {row.output} is the output of {taken[place]}, too", "give each its own")
        taken[place] = row.where
    for row in rows:
        for name, path in ((OUTPUT, row.output), (SOURCE, row.source)):
            above = {str(one) for one in Path(os.path.realpath(path)).parents}
            within = next((place for place in taken if place in above), None)
            if within is not None:
                raise TitinError(
                    f"{row.where}: the {name} {path} lies in the output of {taken[within]}", "choose another output"
                )
