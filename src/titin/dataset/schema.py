"""What ``titin.json`` may say: the type and range of every key, checked once, so that whoever reads it can trust it."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from titin.dataset import layout
from titin.dataset.kinds import KINDS
from titin.dataset.shapes import (
    Shape,
    ShapeError,
    anything,
    either,
    flag,
    list_of,
    one_of,
    optional,
    real,
    record,
    refuse,
    scalar,
    table_of,
    text,
    whole,
)

_NUMBER = r"[<>=|]?[biuf][1248]|bool|u?int(8|16|32|64)|float(16|32|64)"
_UNIT = r"(s|ms|us|ns)"
_ZONE = r"(?!dateutil)[A-Za-z0-9_+-]{1,40}(/[A-Za-z0-9_+-]{1,40}){0,2}(:[0-9]{2}){0,2}"  # no path of a file
_NULLABLE = r"string|boolean|U?Int(8|16|32|64)|Float(32|64)"
_TIME = rf"(datetime64|timedelta64)\[{_UNIT}(, {_ZONE})?\]|[<>=]?[mM]8\[{_UNIT}\]"
_LABELS = rf"object|str|category|[a-z0-9_]{{1,20}}\[(python|pyarrow)\]|{_NULLABLE}|{_TIME}|{_NUMBER}"

word = text(layout.WORD, said="a plain word of letters and digits")
file_name = text(layout.FILE, said="the name of a file of the dataset")
sha256 = text("[0-9a-f]{64}", said="a sha256 in hexadecimal")
number_dtype = text(_NUMBER, said="a type of numbers")
count = whole(1, 2**48)
texts = list_of(text())
_roles = table_of(either(list_of(scalar), scalar))


def _base(value: Any) -> None:
    """Base of a logarithm, as text."""
    text()(value)
    try:
        good = value == "e" or 1 < float(value) < math.inf
    except ValueError:
        good = False
    if not good:
        raise refuse(value, "the base of a logarithm")


_EXTENSION = record(
    {"dtype": text(_NULLABLE, said="a type of pandas")},
    {"storage": one_of("python", "pyarrow", "pyarrow_numpy"), "missing": one_of("NA", "nan")},
)
_VALUES: dict[str, Shape] = {
    "number": record({"dtype": number_dtype}),
    "extension": _EXTENSION,
    "object": record({}, {"missing": one_of("None", "nan", "NA")}),
    "time": record({"dtype": text(_TIME, said="a type of times")}),
}  # fmt: skip


def _values(kinds: Mapping[str, Shape]) -> Shape:
    """How a column, or its categories, were stored: the keys that its kind has."""
    known = record({"kind": one_of(*kinds)})

    def check(value: Any) -> None:
        known(value)
        kinds[value["kind"]](value)

    return check


_COLUMN = _values({
    **_VALUES,
    "category": record(
        {"ordered": flag, "of": _values(_VALUES), "categories": either(list_of(scalar), one_of("sorted"))},
        {"unused": list_of(scalar)},
    ),
})  # fmt: skip
_PLACED = record({"name": scalar, "column": text()})
_LABELLED = record({"labels": record({"dtype": text(_LABELS, said="a type of labels"), "name": scalar})})


def columns(value: Any) -> None:
    """What restores a table: a record a column, the first that of its index; no two of one name."""
    _COLUMNS(value)
    list_of(_LABELLED)(value[:1])
    for part, own in (("column", value), ("name", value[1:])):
        _refuse_twice((json.dumps(entry[part]) for entry in own), part)


def _placed(value: Any) -> None:
    _PLACED(value)
    _COLUMN(value)


_COLUMNS = list_of(_placed, least=1)


def _refuse_twice(names: Iterable[str], part: str) -> None:
    seen = set[str]()
    for name in names:
        if name in seen:
            raise ShapeError(f"has the {part} {name[:60]} twice")
        seen.add(name)


_COMPUTED = record({"method": text(), "parameters": table_of(either(list_of(scalar), scalar)),
                    "libraries": table_of(text())}, {"seed": optional(whole(-(2**63)))})  # fmt: skip
_EMBEDDING = record({"file": file_name, "columns": columns, "frame": flag},
                    {"dtype": number_dtype, "computed": _COMPUTED})  # fmt: skip
_LOADINGS = record({"file": file_name, "columns": columns, "dtype": number_dtype})
_ARRAY_FORMS: dict[str, Shape] = {
    "sparse": record({"storage": one_of("csr", "csc"), "dtype": number_dtype, "shape": list_of(whole(0, 2**32))}),
    "dense": record({"dtype": number_dtype, "shape": list_of(whole(0, 2**32))}),
    "frame": record({"columns": columns}),
}  # fmt: skip
_ARRAY = record({"file": file_name, "form": one_of(*_ARRAY_FORMS), "n_values": whole()})
_array_place = text(r"(?s)(obsm|varm|obsp|varp|raw/varm)/.+", said="a place of an array of cells or genes")


def _array(value: Any) -> None:
    """An array that is kept beside the matrix: the keys that its form has."""
    _ARRAY(value)
    _ARRAY_FORMS[value["form"]](value)
    if value["form"] == "sparse" and len(value["shape"]) != 1:
        raise refuse(value["shape"], "the number of columns").under("shape")


_AGE_UNIT = one_of("years", "months", "weeks", "days", "unknown")  # of ages
_ORIGIN = record({}, {"from": text(), "column": scalar, "file": optional(text()), "unit": optional(_AGE_UNIT),
                      "species": optional(texts), "within": optional(real(0)),
                      "type": one_of("number", "text")})  # fmt: skip
_RELABELLED = record({"columns": list_of(scalar), "dropped": list_of(scalar)},
                     {"name": text(), "sha256": sha256, "titin": text()})  # fmt: skip
_FILE = record({"bytes": whole(), "sha256": sha256}, {"rows": whole()})
_RECORDED_PRESET = record({"name": text(), "sha256": sha256}, {"document": table_of(anything)})
_FOUND = record({}, {"why": text(), "not_taken": table_of(text()), "given": flag, "warning": optional(text())})
_SET = record({"genes": whole(), "chosen": whole(), "left_out": whole(), "absent": whole()})
_place = text(r"(?s)(layers|mod)/.+|raw", said="a place of a further matrix")
_OF_GENES = {"measured": optional(text()), "names": optional(text()), "by_alias": table_of(text()), "ambiguous": texts}
_STUDY = record(
    {"n_cells": count, "n_genes": count, "suffix": text(), "obs": columns, "var": columns},
    {**_OF_GENES, "roles": table_of(either(list_of(scalar), scalar)),
     "parts": table_of(record({"n_genes": count, "var": columns}, _OF_GENES), keys=_place)},
)  # fmt: skip
_RECOVERY = record({}, {
    "witness": optional(text()),
    "witnessed": optional(record({"cells": whole(), "of": whole(), "more": whole()})),
    "worst_ulp": optional(real(0)), "target_sum": optional(real(0)),
    "target_of": optional(text()), "target_column": optional(text()), "refused": table_of(texts), "base": _base,
    "counts_beside": optional(text()), "linear": flag,
})  # fmt: skip
_VAR = record({"columns": columns}, {"own_names": record({"column": scalar, "name": scalar})})
_PART = record(
    {"file": word, "kind": one_of(*KINDS), "nnz": whole(), "recovery": _RECOVERY,
     "source": record({"matrix": text(), "dtype": number_dtype, "storage": one_of("csr", "csc", "dense")})},
    {"n_genes": count, "var": _VAR},
)  # fmt: skip
_AGEING = record(
    {"file": text(rf"{layout.AGEING}(_level_[1-9]\d{{0,2}})?", said="what tables of ageing are called after")}
)
_CHOSEN = record({"n": whole(), "sha256": sha256})
_MADE_OF = record({"name": text(), "format": text(), "sha256": text()}, {"n_cells": whole(), "n_genes": whole()})


def _preset(value: Any) -> None:
    """A preset, or an empty table for none."""
    if value != {}:
        _RECORDED_PRESET(value)


MANIFEST = record(
    {
        "prefix": word, "tissue": word, "method": word, "kind": one_of(*KINDS),
        "n_cells": count, "n_genes": count, "nnz": whole(),
        "source": record({"name": text(), "format": text(), "sha256": text(), "matrix": text(), "dtype": number_dtype,
                          "storage": one_of("csr", "csc", "dense")}, {"made_of": list_of(_MADE_OF)}),
        "settings": record(
            {"seed": whole(-(2**63)), "shuffle": flag},
            {
                "layer": optional(text()), "raw": flag, "make_unique": flag, "obs": optional(texts), "no_obs": texts,
                "obsm": optional(texts), "no_obsm": texts, "layers": texts, "with_raw": flag, "modalities": texts,
                "keep_all": flag,
                "tissue": optional(text()), "method": optional(text()),
                "roles": _roles, "donors": optional(text()), "age_unit": optional(text()), "allow_negative": flag,
                "project": optional(texts), "preset": optional(either(_preset, text())),
                "merge": record({"join": one_of("inner", "outer"), "counts": flag, "studies": texts},
                                {"gene_aliases": record({"name": text(), "sha256": sha256})}),
                "subset": record({"where": texts, "cells": optional(_CHOSEN), "genes": optional(_CHOSEN)}),
                "card": optional(record({}, {"texts": flag, "license": optional(text()),
                                             "preset": optional(either(table_of(anything), text()))})),
            },
        ),
        "obs": record({"columns": columns}, {
            "labels": texts,
            "derived": table_of(_ORIGIN),
            "relabelled": list_of(_RELABELLED),
        }),
        "var": _VAR,
        "files": table_of(_FILE, keys=file_name),
    },
    {
        "recovery": _RECOVERY, "parts": table_of(_PART, keys=_place), "ageing": table_of(_AGEING),
        "roles": record({}, {role: scalar for role in layout.ROLES if role != "cell_type"}
                        | {"cell_type": optional(list_of(scalar))}),
        "roles_found": table_of(_FOUND, keys=one_of(*layout.ROLES)),
        "obsm": table_of(_EMBEDDING), "varm": table_of(_LOADINGS),
        "arrays": table_of(_array, keys=_array_place),
        "panel": record({}, {"genes": table_of(text()), "sets": table_of(_SET)}),
        "left_out": table_of(text()), "notes": list_of(text(r"(?s).+", said="a sentence")),
        "libraries": table_of(text()), "preset": _preset, "format_minor": whole(), "studies": table_of(_STUDY),
    },
)  # fmt: skip


def check_manifest(document: Mapping[str, Any]) -> None:
    """Refuse what no manifest says: a value of the wrong type or out of range, a name that leads out.

    That it agrees with the files beside it is told by the validation.

    Raises
    ------
    ShapeError
        With the key.
    """
    MANIFEST(document)
    parts = {part: document.get(part, {}) for part in ("obsm", "varm", "arrays")}
    names = layout.Layout(document["prefix"])
    for part, entries in parts.items():
        for key, entry in entries.items():
            if not names.is_table_of(part, entry["file"]):
                raise refuse(entry["file"], f"the name of a file of {part}").under("file").under(key).under(part)
            if part == "obsm" and not entry["frame"] and "dtype" not in entry:
                raise ShapeError("is missing", "dtype").under(key).under(part)
        try:
            _refuse_twice((entry["file"] for entry in entries.values()), "file")
        except ShapeError as error:
            raise error.under(part) from None
    _check_indices(document, parts["obsm"])
    _check_arrays(document, parts["arrays"])
    for name, entry in document["files"].items():
        if name.endswith(".parquet") and "rows" not in entry:
            raise ShapeError("is missing", "rows").under(name).under("files")
    _check_own_names(document["var"])
    _check_parts(document.get("parts", {}))
    try:
        _refuse_twice((entry["file"] for entry in document.get("ageing", {}).values()), "file")
    except ShapeError as error:
        raise error.under("ageing") from None


def _check_own_names(var: Mapping[str, Any]) -> None:
    own = var.get("own_names")
    if own is not None and own["column"] not in [entry["name"] for entry in var["columns"][1:]]:
        raise refuse(own["column"], "a column of var").under("column").under("own_names").under("var")


def _check_parts(parts: Mapping[str, Any]) -> None:
    """Further matrices: no two of one file; those with genes of their own say how many."""
    try:
        _refuse_twice((entry["file"] for entry in parts.values()), "file")
        for place, entry in parts.items():
            try:
                if ("var" in entry) != ("n_genes" in entry):
                    raise ShapeError("is missing", "n_genes" if "var" in entry else "var")
                if "var" in entry:
                    _check_index(entry["var"], ["var"], (layout.GENE, layout.GENE_IDS))
                    _check_own_names(entry["var"])
            except ShapeError as error:
                raise error.under(place) from None
    except ShapeError as error:
        raise error.under("parts") from None


def _check_indices(document: Mapping[str, Any], obsm: Mapping[str, Any]) -> None:
    """The first column of every table of cells or genes is that of their names."""
    indices = [(document["obs"], ["obs"], (layout.CELL_ID,)),
               (document["var"], ["var"], (layout.GENE, layout.GENE_IDS))]  # fmt: skip
    indices += [(entry, [key, "obsm"], (layout.CELL_ID,)) for key, entry in obsm.items()]
    for entry, above, known in indices:
        _check_index(entry, above, known)


def _check_arrays(document: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """What lies between cells, or between genes, has as many columns as there are; a table begins with their names."""
    for place, entry in arrays.items():
        if place.startswith("raw/") and "raw" not in document.get("parts", {}):
            raise refuse(place, "an array of a matrix that is there").under("arrays")
        n = document["n_cells" if place.startswith("obs") else "n_genes"]
        if place.startswith(("obsp/", "varp/")) and entry.get("shape") != [n]:
            raise refuse(entry.get("shape"), f"[{n}]").under("shape").under(place).under("arrays")
        if entry["form"] == "frame":
            known: tuple[str, ...] = (layout.CELL_ID,) if place.startswith("obs") else (layout.GENE, layout.GENE_IDS)
            _check_index(entry, [place, "arrays"], known)


def _check_index(entry: Mapping[str, Any], above: Sequence[str], known: Sequence[str]) -> None:
    try:
        one_of(*known)(entry["columns"][0]["column"])
    except ShapeError as error:
        for name in ("column", 0, "columns", *above):
            error = error.under(name)
        raise error from None
