"""What sections say of comparisons alike: what was left out, and what they were made with."""

import pandas as pd

from titin.report.sections import Section

ALPHA = 0.05


def unstack(column: pd.Series, level: str) -> pd.DataFrame:
    """A column with two levels of index as a table, that level across."""
    table: pd.DataFrame = column.unstack(level)  # noqa: PD010
    return table


def say_skipped(section: Section, table: pd.DataFrame) -> None:
    """Add what was not compared, by reason."""
    skipped = table.attrs.get("skipped", [])
    by_reason: dict[str, list[str]] = {}
    for entry in skipped:
        where = " in ".join(str(entry[k]) for k in ("cell_type", "protocol") if entry.get(k))
        by_reason.setdefault(entry["reason"], []).append(where or "all")
    lines = [f"{reason}: {', '.join(names)}" for reason, names in by_reason.items()]
    section.list(lines, title=f"Not compared ({len(skipped)})", folded=True)


def settings_of(table: pd.DataFrame) -> dict[str, object]:
    """What a comparison was made with."""
    names = ("method", "formula", "contrast", "unit", "age_cut", "min_cells", "min_donors", "filter", "normalisation",
             "adjustment", "cell_type_level", "min_counts", "min_fibres", "pure", "n_bootstraps", "seed")  # fmt: skip
    return {name: table.attrs[name] for name in names if table.attrs.get(name) is not None}
