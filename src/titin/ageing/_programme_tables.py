"""Results of the muscle and programme commands as files, and in words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from titin.dataset.manifest import write_json

_SHOWN = 12
_LEVEL = 0.05
_COLUMNS = ("measure", "feature", "cell_type", "protocol", "n_donors", "mean", "effect", "ci_low", "ci_high", "p_value",
            "adj_p_value", "set", "direction", "n_overlap", "odds_ratio", "marker", "centre")  # fmt: skip


def folder_for(dataset: Path, output: Path | None) -> Path:
    """Where tables go: beside the dataset, unless told otherwise."""
    whole = dataset.absolute()
    return output or whole.with_name(f"{whole.name}.ageing")


def write_tables(
    name: str, tables: Mapping[str, pd.DataFrame], main: str, folder: Path, table_format: str, **more: Any
) -> dict[str, Any]:
    """Write tables and a JSON of what they rest on.

    Parameters
    ----------
    name
        What file names begin with.
    tables
        By what follows it.
    main
        The table whose attrs and clearest rows are told.
    folder, table_format
        Where to, and ``parquet`` or ``csv``.
    **more
        To be told as well.

    Returns
    -------
    dict
        JSON-safe: what is to be said, and ``files``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for key, table in tables.items():
        path = folder / f"{name}_{key}.{table_format}"
        bare = pd.DataFrame(table)
        bare.attrs = {}
        bare.to_csv(path, index=False) if table_format == "csv" else bare.to_parquet(path, index=False)
        files.append(str(path))
    told = tables[main]
    adjusted = told["adj_p_value"] if "adj_p_value" in told else pd.Series(dtype=float)
    document = json_safe({
        "schema_version": 1, "command": name, **{str(k): v for k, v in told.attrs.items()}, **more,
        "hits": int((adjusted < _LEVEL).sum()), "top": top(told), "files": [*files, str(folder / f"{name}.json")],
    })  # fmt: skip
    write_json(folder / f"{name}.json", document)
    return dict(document)


def top(table: pd.DataFrame, n: int = _SHOWN) -> list[dict[str, Any]]:
    """The clearest rows."""
    columns = [c for c in _COLUMNS if c in table]
    best = table.sort_values("p_value", kind="stable").head(n) if "p_value" in table else table.head(n)
    return [{str(k): v for k, v in row.items()} for row in best[columns].to_dict("records")]


def describe(document: dict[str, Any]) -> str:
    """Text of what a command found."""
    lines = list(document.get("statements", []))
    if document["top"]:
        lines += ["", *align(document["top"])]
    elif not lines:
        lines.append("nothing could be compared")
    skipped = document.get("skipped", [])
    reasons = pd.Series([s["reason"] for s in skipped], dtype=object).value_counts()
    lines += ["", *(f"not compared ({n}): {reason}" for reason, n in reasons.items())] if skipped else []
    lines += [f"Note: {document['caveat']}."] if document.get("caveat") else []
    return "\n".join([*lines, "", *(f"wrote {name}" for name in document["files"])])


def align(rows: list[dict[str, Any]]) -> list[str]:
    """Rows as aligned text, with their names on top."""
    shown = [[_short(value) for value in row.values()] for row in rows]
    heads = [{"adj_p_value": "adjusted p", "p_value": "p"}.get(k, k.replace("_", " ")) for k in rows[0]]
    widths = [max(map(len, column)) for column in zip(heads, *shown, strict=True)]
    return ["  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
            for row in [heads, *shown]]  # fmt: skip


def json_safe(value: Any) -> Any:
    """Plain numbers and text; no NaN."""
    if isinstance(value, Mapping):
        return {str(k): json_safe(v) for k, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [json_safe(v) for v in value]
    if isinstance(value, np.generic):
        return json_safe(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2e}" if value and abs(value) < 1e-3 else f"{value:.4g}"
    return "" if value is None else str(value)
