"""Text for people and for programs: tables, sizes, numbers, JSON."""

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from datetime import date, time
from itertools import islice
from typing import Any

from titin.visible import visible, visible_json

_WIDE = 100_000  # columns: tables are never wrapped
_MISSING = ("NAType", "NaTType")  # of pandas, which need not be imported to be known


def size(n_bytes: float) -> str:
    """Bytes as people write them.

    Examples
    --------
    >>> size(950), size(198_063_396), size(1_200_000_000)
    ('950 B', '198 MB', '1.2 GB')
    """
    value = float(n_bytes)
    for unit in ("B", "kB", "MB"):
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"


def memory(n_bytes: float) -> str:
    """Memory in the units that ``--memory`` is given in.

    Examples
    --------
    >>> memory(3 * 2**29), memory(100)
    ('1.5 GiB', '100 bytes')
    """
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.1f} {unit}"
    return f"{int(n_bytes)} bytes"


def count(n: int, noun: str) -> str:
    """A number and its noun.

    Examples
    --------
    >>> count(1, "gene"), count(1200, "gene"), count(2, "measure of fibres")
    ('1 gene', '1,200 genes', '2 measures of fibres')
    """
    thing, of, rest = noun.partition(" of ")
    return f"{n:,} {thing}{'' if n == 1 else 's'}{of}{rest}"


def say_some(names: Collection[Any], most: int, between: str = ", ") -> str:
    """The first of some names, and how many more there are.

    Examples
    --------
    >>> say_some(["a", "b", "c"], 2), say_some(["a", "b"], 2)
    ('a, b and 1 more', 'a, b')
    """
    more = len(names) - most
    return between.join(map(str, islice(names, most))) + (f" and {more:,} more" if more > 0 else "")


def say_first(names: Collection[Any], most: int) -> str:
    """The first of some names, with dots for the others.

    Examples
    --------
    >>> say_first(["a", "b", "c"], 2), say_first(["a", "b"], 2)
    ('a, b …', 'a, b')
    """
    return ", ".join(map(str, islice(names, most))) + (" …" if len(names) > most else "")


def number(value: Any) -> str:
    """A number with four digits that count; text as it is, nothing for what is missing.

    Examples
    --------
    >>> number(12345.6), number(0.25), number(1e-9), number(None)
    ('12,346', '0.25', '1e-09', '')
    """
    safe = json_safe(value)
    if safe is None:
        return ""
    if isinstance(safe, bool) or not isinstance(safe, int | float):
        return str(safe)
    return f"{safe:,.0f}" if abs(safe) >= 1000 or float(safe).is_integer() else f"{safe:.4g}"


def percent(part: float, whole: float) -> str:
    """Share, with one decimal.

    Examples
    --------
    >>> percent(1, 8), percent(1, 0)
    ('12.5 %', '–')
    """
    return f"{100 * part / whole:.1f} %" if whole else "–"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, indent: int = 0) -> str:
    """Columns lined up; all but the first to the right if they look like numbers.

    Examples
    --------
    >>> print(table(("file", "rows"), [("obs", "12"), ("expression", "3")]))
    file        rows
    obs           12
    expression     3
    """
    from rich.table import Table
    from rich.text import Text

    from titin.console import make_console

    cells = [[visible(cell) for cell in row] for row in rows]
    lined = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for i, name in enumerate(header):
        right = i > 0 and all(not row[i] or row[i].lstrip("~+-−")[:1].isdigit() for row in cells)
        lined.add_column(Text(visible(name)), justify="right" if right else "left", no_wrap=True)
    for row in cells:
        lined.add_row(*map(Text, row))
    console = make_console(width=_WIDE, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(lined)
    return "\n".join(" " * indent + line.rstrip() for line in capture.get().splitlines())


def records_table(rows: Sequence[Mapping[str, Any]], *, indent: int = 2) -> str:
    """Line up records of the same keys, the keys on top with spaces for underscores; nothing without records."""
    if not rows:
        return ""
    heads = [{"adj_p_value": "adjusted p", "p_value": "p", "ltsr": "LTSR"}.get(k, k.replace("_", " ")) for k in rows[0]]
    return table(heads, [[number(value) for value in row.values()] for row in rows], indent=indent)


def json_safe(value: Any) -> Any:
    """Make a value strict JSON.

    Parameters
    ----------
    value
        Numbers, text, mappings, sequences and sets of Python, NumPy and pandas, at any depth.

    Returns
    -------
    object
        Of dict, list, str, int, float, bool and None. NaN, infinity and missing values are None; dates are ISO text;
        sets are sorted; whatever else, such as a path, is its text.

    Examples
    --------
    >>> json_safe({1: float("nan"), "names": ("a", "b")})
    {'1': None, 'names': ['a', 'b']}
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int | float):
        plain = int(value) if isinstance(value, int) else float(value)
        return plain if math.isfinite(plain) else None
    if type(value).__name__ in _MISSING:
        return None
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(k): json_safe(v) for k, v in value.items()}
    if isinstance(value, Set):
        return sorted((json_safe(v) for v in value), key=str)
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy, columns of pandas
        times = getattr(value.dtype, "kind", "") in "mM"
        return json_safe(_times(value) if times else value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [json_safe(v) for v in value]
    return str(value)


def _times(value: Any) -> Any:
    """Dates of NumPy as text, which as numbers would lose their unit."""
    import numpy as np

    text = np.asarray(value).astype(str).astype(object)
    text[text == "NaT"] = None
    return text.tolist()


def to_json(document: Any) -> str:
    """Write a document as strict JSON, indented, with every letter as it is, and none that a terminal would obey."""
    return visible_json(json.dumps(json_safe(document), indent=2, ensure_ascii=False, allow_nan=False))
