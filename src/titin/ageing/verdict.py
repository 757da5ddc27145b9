"""The answer of an analysis in one sentence: how many change, which and how much, or that none does beyond chance."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from titin.ageing.analysis import ALPHA
from titin.ageing.linear_models import adjust
from titin.text import count

_NAMED = 3
Row = Mapping[Any, Any]


def clearest_first(table: pd.DataFrame) -> pd.DataFrame:
    """The tests of a table, the clearest first, with p adjusted over all of them: one sentence speaks of them all.

    Parameters
    ----------
    table
        With ``p_value``.

    Returns
    -------
    DataFrame
        The rows that have one, and ``over_all``, adjusted after Benjamini and Hochberg (float64).
    """
    if "p_value" not in table:
        return table.head(0).assign(p_value=0.0, over_all=0.0)
    tested = table.dropna(subset=["p_value"]).sort_values("p_value", kind="stable")
    return tested.assign(over_all=adjust(tested["p_value"].to_numpy(float)))


def join_some(items: Sequence[str], most: int = _NAMED) -> str:
    """The first of some items, and how many more there are.

    Examples
    --------
    >>> join_some(["a", "b"]), join_some(["a", "b", "c", "d", "e"])
    ('a; b', 'a; b; c; and 2 more')
    """
    more = [f"and {len(items) - most} more"] if len(items) > most else []
    return "; ".join([*items[:most], *more])


def say_contrast(settings: Mapping[str, Any]) -> str:
    """What is compared, as the end of a sentence.

    Examples
    --------
    >>> say_contrast({"contrast": "age"}), say_contrast({"contrast": "young_old"}), say_contrast({"contrast": "sex"})
    ('with age', 'between young and old', 'with sex')
    """
    contrast = str(settings.get("contrast", "age"))
    return "between young and old" if contrast == "young_old" else f"with {contrast}"


def say_p(p: float) -> str:
    """An adjusted p for people.

    Examples
    --------
    >>> say_p(0.0312), say_p(0.04996), say_p(1e-9)
    ('0.0312', '0.05', '< 0.0001')
    """
    return "< 0.0001" if p < 1e-4 else f"{p:.3g}"


def say_unit(settings: Mapping[str, Any]) -> str:
    """What an effect is per, as it follows a number: `` a decade`` where ages are compared, else nothing."""
    return f" a {settings['unit']}" if settings.get("unit") else ""


def say_change(row: Row, settings: Mapping[str, Any]) -> str:
    """An effect with its interval; empty for a term of several columns."""
    if not np.isfinite(float(row.get("effect", np.nan))):
        return ""
    return f"{row['effect']:+.2g}{say_unit(settings)}, {row['ci_low']:+.2g} to {row['ci_high']:+.2g}"


def say_where(row: Row, label: str = "") -> str:
    """In which type and protocol a row was tested, but for what its label says already."""
    places = [str(row[name]) for name in ("cell_type", "protocol") if name != label and row.get(name, "all") != "all"]
    return "".join(f" in {place}" for place in places)


def say_changes(
    table: pd.DataFrame, settings: Mapping[str, Any], *, noun: str, label: str, how: str = "",
    amount: Callable[[Row], str] | None = None, name: Callable[[Row], str] | None = None,
) -> str:  # fmt: skip
    """Say which of some features change, the clearest first; or that none does, and how near the nearest is.

    Parameters
    ----------
    table
        One row a test: ``p_value``, ``effect`` (its sign is the direction; none for a term of several columns), and
        ``cell_type`` and ``protocol`` where there are several.
    settings
        Of the result: ``contrast`` and ``unit``.
    noun
        What a feature is, in the singular.
    label
        Column of the features; each is counted once, in however many types and protocols it was tested.
    how
        In what they change, such as "in fraction".
    amount
        How much of a row, in words; by default its effect with the interval.
    name
        Name of a row's feature; by default its label.

    Returns
    -------
    str
        A sentence without its full stop.
    """
    tested = clearest_first(table)
    if tested.empty:
        return f"Not evaluable: no {noun} could be compared {say_contrast(settings)}"
    how_much = amount or (lambda row: say_change(row, settings))
    named = name or (lambda row: str(row[label]))
    clear = tested[tested["over_all"] < ALPHA]
    n, tests = count(tested[label].nunique(), noun), count(len(tested), "test")
    compared = f"{how} {say_contrast(settings)}".lstrip()

    def called(row: Row) -> str:
        return f"{named(row)}{say_where(row, label)}"

    def say_row(row: Row) -> str:
        effect = float(row.get("effect", np.nan))
        moves = f" {'rises' if effect > 0 else 'falls'}" if np.isfinite(effect) else ""
        said = [part for part in (how_much(row), f"adjusted p {say_p(float(row['over_all']))}") if part]
        return f"{called(row)}{moves} ({', '.join(said)})"

    best = clear.drop_duplicates(label)
    rows: Sequence[Row] = best.to_dict("records")
    if rows:
        return (f"{len(rows):,} of {n} change{'s' if len(rows) == 1 else ''} {compared} (adjusted p < {ALPHA} over "
                f"{tests}): {join_some([say_row(row) for row in rows])}")  # fmt: skip
    nearest: Row = tested.head(1).to_dict("records")[0]
    none = f"None of {n}" if tested[label].nunique() > 1 else f"No {noun}"
    return (f"{none} changes {compared} beyond chance: the clearest of {tests} is {called(nearest)}, adjusted p "
            f"{say_p(float(nearest['over_all']))}")  # fmt: skip


def say_genes(table: pd.DataFrame, settings: Mapping[str, Any]) -> str:
    """Say how many genes change, each counted once in however many types it does, and in which types most.

    Parameters
    ----------
    table
        One row a gene, type and protocol: ``gene``, ``cell_type``, ``protocol``, ``p_value`` and, where the contrast is
        one column, ``log2_fold_change``.
    settings
        Of the result.

    Returns
    -------
    str
        A sentence without its full stop.
    """
    tested = clearest_first(table)
    if tested.empty:
        return f"Not evaluable: no gene could be compared {say_contrast(settings)}"
    n_types = tested["cell_type"].nunique()
    compared = len(tested.drop_duplicates(["cell_type", "protocol"]))
    within = f"{count(compared, 'comparison')} of {count(n_types, 'cell type')}"
    clear = tested[tested["over_all"] < ALPHA]
    if clear.empty:
        nearest: Row = tested.head(1).to_dict("records")[0]
        return (f"None of {count(tested['gene'].nunique(), 'gene')} changes its expression {say_contrast(settings)} "
                f"beyond chance in {within}: the clearest is {nearest['gene']}{say_where(nearest)}, adjusted p "
                f"{say_p(float(nearest['over_all']))}")  # fmt: skip
    by_type = count_genes(clear)
    items = [_say_type(row) for row in by_type.to_dict("records")]
    n = clear["gene"].nunique()
    return (f"{count(n, 'gene')} change{'s' if n == 1 else ''} {'its' if n == 1 else 'their'} expression "
            f"{say_contrast(settings)} (each counted once; adjusted p < {ALPHA} over all {within}), most in "
            f"{join_some(items)}")  # fmt: skip


def count_genes(clear: pd.DataFrame) -> pd.DataFrame:
    """Genes that change in each type, once each, and which way.

    Parameters
    ----------
    clear
        Rows of the genes that change: ``gene``, ``cell_type``, ``p_value``, perhaps ``log2_fold_change``.

    Returns
    -------
    DataFrame
        ``cell_type``, ``genes``, ``clearest`` (names), and where there is a direction ``up`` and ``down`` (int64); the
        most genes first. A gene that changes in several protocols goes the way of its clearest test.
    """
    best = clear.sort_values("p_value", kind="stable").drop_duplicates(["cell_type", "gene"])
    grouped = best.groupby(best["cell_type"].astype(str), sort=True)
    table = pd.DataFrame({"genes": grouped.size(), "clearest": grouped["gene"].agg(lambda g: ", ".join(g[:_NAMED]))})
    if "log2_fold_change" in best:
        up = (best["log2_fold_change"] > 0).groupby(best["cell_type"].astype(str)).sum().astype("int64")
        table["up"], table["down"] = up, table["genes"] - up
    return table.sort_values("genes", ascending=False, kind="stable").rename_axis("cell_type").reset_index()


def _say_type(row: Row) -> str:
    ways = f": {row['up']:,} up, {row['down']:,} down" if "up" in row else ""
    return f"{row['cell_type']} ({row['genes']:,}{ways})"
