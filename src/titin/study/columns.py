"""What each column of obs holds, with examples, and which role it has or might be given: for whoever names roles."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from titin.study.roles import RoleChoice

_EXAMPLES = 3
_LONGEST = 24  # letters of an example
_ROWS = 2_000_000  # cells that are looked at; more would tell nothing else of a column


def describe_columns(obs: pd.DataFrame, choices: Mapping[str, RoleChoice]) -> list[dict[str, Any]]:
    """Describe the columns of obs, in their order.

    Parameters
    ----------
    obs
        One row a cell.
    choices
        The column of each role, from `titin.study.roles.choose_roles`.

    Returns
    -------
    list of dict
        JSON-safe. ``column``; ``kind``: labels, numbers, whole numbers, yes or no, text, or nothing; ``values``, how
        many different ones; ``missing``, how many cells have none; ``examples``, text, the most frequent first, of
        numbers the least and the greatest; ``role``, or None; ``guess``: roles that it was looked at for, and why it
        has none of them.
    """
    head = obs.iloc[:_ROWS]
    return [_describe(str(name), head.iloc[:, place], choices) for place, name in enumerate(obs.columns)]


def _describe(name: str, column: pd.Series, choices: Mapping[str, RoleChoice]) -> dict[str, Any]:
    known = column.dropna()
    values = int(known.nunique())
    kind = _kind(known, values)
    if kind in ("numbers", "whole numbers"):
        examples = [f"{value:.6g}" for value in dict.fromkeys((known.min(), known.max()))]
    else:
        counts = known.value_counts()
        examples = [_short(str(value)) for value in counts.index[counts > 0][:_EXAMPLES]]
    role = next((role for role, choice in choices.items() if name in _names(choice.column)), None)
    guess = {other: choice.others[name] for other, choice in choices.items() if name in choice.others}
    return {"column": name, "kind": kind, "values": values, "missing": len(column) - len(known), "examples": examples,
            "role": role, "guess": guess}  # fmt: skip


def _names(column: Any) -> list[str]:
    return [str(name) for name in (column if isinstance(column, list) else [column]) if name is not None]


def _kind(known: pd.Series, values: int) -> str:
    if known.empty:
        return "nothing"
    if pd.api.types.is_bool_dtype(known.dtype):
        return "yes or no"
    if pd.api.types.is_integer_dtype(known.dtype):
        return "whole numbers"
    if pd.api.types.is_numeric_dtype(known.dtype) and not pd.api.types.is_complex_dtype(known.dtype):
        return "numbers"
    return "text" if values > 1 and values == len(known) else "labels"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def rows_of_columns(columns: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    """The same as rows for a table: column, what it holds, examples, and its role or what it may be."""
    rows = []
    for one in columns:
        missing = f", {one['missing']:,} missing" if one["missing"] else ""
        between = " to " if one["kind"] in ("numbers", "whole numbers") else ", "
        more = " …" if one["kind"] not in ("numbers", "whole numbers") and one["values"] > len(one["examples"]) else ""
        guess = "; ".join(f"not {role.replace('_', ' ')}: {why}" for role, why in one["guess"].items())
        role = one["role"].replace("_", " ") if one["role"] else guess
        holds = f"{one['kind']} ({one['values']:,}{missing})" if one["values"] else one["kind"]
        rows.append((one["column"], holds, f"{between.join(one['examples'])}{more}", role))
    return rows
