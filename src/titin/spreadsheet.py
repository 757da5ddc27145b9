"""CSV for people: a spreadsheet opens it, and takes no text in it for a formula.

Tables that people read are written so: those of ``titin age --format csv`` and those beside a report. Files for
programs are lossless and written as they are: Parquet, the wide tables and the 10x matrices of ``titin export``.
"""

import re
from pathlib import Path
from typing import Any

import pandas as pd

from titin.visible import visible

_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20"  # with those of full width, which some spreadsheets take for the same
_FORMULA = re.compile(rf"'*(?:[\t\r\n]|[\s\x00-\x20\u200b\ufeff]*[{_SIGNS}])")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")


def neutral(value: Any) -> Any:
    """Put an apostrophe before text that a spreadsheet would compute; numbers, also those in text, stay as they are.

    Examples
    --------
    >>> neutral("=1+1"), neutral("-5"), neutral("CD4+ T"), neutral(-5)
    ("'=1+1", '-5', 'CD4+ T', -5)
    """
    if not isinstance(value, str) or not _FORMULA.match(value) or _NUMBER.fullmatch(value):
        return value
    return f"'{value}"


def restored(value: Any) -> Any:
    """Take off what `neutral` has put before a text.

    Examples
    --------
    >>> restored(neutral("=1+1")), restored("'quoted'")
    ('=1+1', "'quoted'")
    """
    return value[1:] if isinstance(value, str) and value[:1] == "'" and _FORMULA.match(value[1:]) else value


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table for people only: `neutral`, numbers with six digits, a line a row whatever is in the texts."""
    neutral_table(_each(table, _seen)).to_csv(path, index=False, float_format="%.6g")


def _seen(value: Any) -> Any:
    return visible(value) if isinstance(value, str) else value


def neutral_table(table: pd.DataFrame) -> pd.DataFrame:
    """Make a table's headings and texts `neutral`; categories become texts."""
    return _each(table, neutral)


def restored_table(table: pd.DataFrame) -> pd.DataFrame:
    """Take off what `neutral_table` has put before headings and texts."""
    return _each(table, restored)


def _each(table: pd.DataFrame, change: Any) -> pd.DataFrame:
    columns = [column.astype(object).map(change) if _is_text(column.dtype) else column for _, column in table.items()]
    changed = pd.concat(columns, axis=1) if columns else table.copy()
    changed.columns = pd.Index([change(str(name)) for name in table.columns], dtype=object)
    return changed


def _is_text(dtype: Any) -> bool:
    of = dtype.categories.dtype if isinstance(dtype, pd.CategoricalDtype) else dtype
    return bool(pd.api.types.is_object_dtype(of) or pd.api.types.is_string_dtype(of))
