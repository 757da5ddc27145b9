"""Pieces of Markdown."""

import re
from collections.abc import Iterable, Sequence
from typing import Any


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], numbers: Iterable[int] = ()) -> str:
    """Make a table; columns of ``numbers`` are set to the right.

    Examples
    --------
    >>> print(table(("sex", "cells"), [("F", 2)], numbers=[1]))
    | sex | cells |
    |---|---:|
    | F | 2 |
    """
    right = set(numbers)
    ruler = "".join("|---:" if i in right else "|---" for i in range(len(header))) + "|"
    return "\n".join([_row(header), ruler, *(_row(row) for row in rows)])


def _row(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(escape(cell) for cell in cells) + " |"


def escape(cell: Any) -> str:
    """Text that stays in one cell of a table."""
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(str(cell).split()))


def code(name: Any) -> str:
    """A name as code, whatever is in it."""
    text = str(name).replace("\n", " ")
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def block(language: str, text: str) -> str:
    """A fenced block."""
    return f"```{language}\n{text.strip()}\n```"


def bullets(items: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {' '.join(item.split())}" for item in items)


def section(title: str, *parts: str, level: int = 2) -> str:
    """A section of the parts that are not empty; nothing if all are."""
    kept = [part.strip() for part in parts if part.strip()]
    return "\n\n".join(["#" * level + f" {title}", *kept]) if kept else ""


def percent(part: float, whole: float) -> str:
    """Share, with one decimal."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names, the first few."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


def size(n_bytes: float) -> str:
    """Bytes as people write them.

    Examples
    --------
    >>> size(198_063_396)
    '198 MB'
    """
    value = float(n_bytes)
    for unit in ("B", "kB", "MB"):
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"


def number(value: float) -> str:
    """A number with four digits that count, without needless zeros."""
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.4g}"
