"""The difference of two datasets in words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from titin.text import count, number, say_first, table

_NAMES = 5  # of cells, genes or columns that are named
_PAIRS = 12  # rows of a cross table that are shown


def describe_difference(document: Mapping[str, Any]) -> str:
    """Turn what `titin.check.difference.DatasetDifference.document` gives into text."""
    lines = [f"a: {document['a']}", f"b: {document['b']}", ""]
    if not document["differ"]:
        cells, genes = document["cells"]["common"], document["genes"]["common"]
        lines.append(f"no difference: {count(cells, 'cell')}, {count(genes, 'gene')}, labels, projections, roles and "
                     "settings are the same")  # fmt: skip
    parts = (_names(document, "cells"), _names(document, "genes"), _values(document["values"], "values"),
             _layers(document), _columns(document, "obs"), _columns(document, "var"), _others(document))  # fmt: skip
    lines += [line for part in parts for line in part]
    lines += [f"beside: {said}" for said in document["beside"]]
    return "\n".join(lines).rstrip()


def _names(document: Mapping[str, Any], part: str) -> Iterator[str]:
    found = document[part]
    for side in ("a", "b"):
        if names := found[f"only_{side}"]:
            yield f"{part}: {len(names):,} of {found[side]:,} are in {side} only: {say_first(names, _NAMES)}"


def _values(found: Mapping[str, Any], what: str) -> Iterator[str]:
    if kinds := found.get("kinds"):
        yield f"{what}: a stores {kinds[0]}, b stores {kinds[1]}"
    if found["cells"]:
        yield (f"{what}: {count(found['cells'], 'cell')} and {count(found['genes'], 'gene')} differ: "
               f"{say_first(found['first_cells'], _NAMES)}; {say_first(found['first_genes'], _NAMES)}")  # fmt: skip


def _layers(document: Mapping[str, Any]) -> Iterator[str]:
    for place, found in document["layers"].items():
        if found is None:
            yield f"{place} is in one of them only"
            continue
        if only := found.get("genes_only"):
            yield f"{place}: {count(only, 'gene')} in one of them only"
        yield from _values(found, place)


def _columns(document: Mapping[str, Any], part: str) -> Iterator[str]:
    for side, names in document[f"{part}_only"].items():
        yield f"{part}: columns in {side} only: {', '.join(names)}"
    unit = "cell" if part == "obs" else "gene"
    for name, found in document[part].items():
        said = [f"{count(found['n'], unit)} {'has' if found['n'] == 1 else 'have'} another entry"] if found["n"] else []
        if found["largest"] is not None:
            said.append(f"by at most {number(found['largest'])}")
        if found["types"]:
            said.append(f"a holds {found['types'][0]}, b {found['types'][1]}")
        yield f"{part}: {name}: {'; '.join(said)}"
        if found["changes"]:
            yield from _cross_table(found["changes"])


def _cross_table(changes: Sequence[Sequence[Any]]) -> Iterator[str]:
    rows = [(_entry(a), _entry(b), f"{n:,}") for a, b, n in changes[:_PAIRS]]
    yield from (f"    {line}" for line in table(("in a", "in b", "cells"), rows).splitlines())
    if len(changes) > _PAIRS:
        yield f"    … and {len(changes) - _PAIRS:,} more; --json has them"


def _entry(value: Any) -> str:
    return "–" if value is None else str(value)


def _others(document: Mapping[str, Any]) -> Iterator[str]:
    for key, n in document["projections"].items():
        yield f"projection {key}: " + ("in one of them only, or of other dimensions" if n is None else
                                       f"{count(n, 'cell')} with other coordinates")  # fmt: skip
    for part, word in (("roles", "role"), ("settings", "setting")):
        for key, (before, now) in document[part].items():
            yield f"{word} {key}: {_listed(before)} in a, {_listed(now)} in b"
    yield from document["parts"]


def _listed(value: Any) -> str:
    return ", ".join(map(_entry, value)) if isinstance(value, list) else _entry(value)
