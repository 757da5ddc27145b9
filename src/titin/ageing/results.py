"""Tables of the comparisons as files, and what a command says of them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from titin.ageing.meta_analysis import meta_analysis
from titin.atlas import Atlas
from titin.dataset.manifest import write_json
from titin.errors import TitinError
from titin.study.groups import cell_keys, need
from titin.text import json_safe, records_table

_LEVEL = 0.05
_SHOWN = 10
_MALE = ("m", "male", "man", "men", "males")


def unpack(atlas: Atlas, dataset: Path, chosen: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """Folder to write to, and the arguments of the comparison.

    Raises
    ------
    TitinError
        If only males are asked for and the dataset does not tell them.
    """
    whole = dataset.absolute()
    folder = chosen["output"] or whole.with_name(f"{whole.name}.ageing")
    where = None
    if chosen["males_only"]:
        need([role for role, column in atlas.roles.items() if column], "sex", "only males are asked for")
        sexes = cell_keys(atlas)["sex"].dropna().unique()
        males = [sex for sex in sexes if str(sex).strip().lower() in _MALE]
        if not males:
            raise TitinError(f"no donor is male: the sexes are {', '.join(map(str, sexes))}", "leave --males-only out")
        where = {"sex": males}
    names = ("contrast", "formula", "min_donors", "drop_confounded")
    return folder, {"cell_type_level": chosen["level"], "where": where, **{name: chosen[name] for name in names}}


def write_expression(table: pd.DataFrame, folder: Path, table_format: str, *, males_only: bool) -> dict[str, Any]:
    """Write results by protocol and combined, and what they rest on; return what is to be said of them.

    Raises
    ------
    TitinError
        If no type could be tested.
    """
    attrs = facts_of(table)
    _check_tested(attrs)
    stem = _stem("de", attrs["cell_type_level"], males_only)
    files = [_write(table, folder, stem, table_format)]
    document = {"schema_version": 1, **attrs}
    for test in document["tests"]:
        own = table[(table["cell_type"] == test["cell_type"]) & (table["protocol"] == test["protocol"])]
        test["hits"] = int((own["adj_p_value"] < _LEVEL).sum())
    document["hits"] = int((table["adj_p_value"] < _LEVEL).sum())
    document["top"] = _top(table, "gene")
    try:
        combined = meta_analysis(table)
    except TitinError as nothing:
        document["combined"] = {"reason": str(nothing.args[0])}
    else:
        files.append(_write(combined, folder, f"{stem}_meta", table_format))
        own = {k: v for k, v in facts_of(combined).items() if k not in attrs or k == "adjustment"}
        document["combined"] = {
            **own,
            "hits": int((combined["adj_p_value"] < _LEVEL).sum()),
            "top": _top(combined, "gene"),
        }
    return _finish(document, folder, stem, files)


def write_composition(
    found: Sequence[tuple[str, pd.DataFrame]], folder: Path, table_format: str, *, males_only: bool
) -> dict[str, Any]:
    """Write one table a method, and what they rest on; return what is to be said of them.

    Raises
    ------
    TitinError
        If no protocol could be compared.
    """
    level = found[0][1].attrs["cell_type_level"]
    document: dict[str, Any] = {"schema_version": 1, "cell_type_level": level, "methods": {}}
    if all(table.empty for _, table in found):
        _check_tested({"tests": [], "skipped": facts_of(found[0][1])["skipped"]})
    files = []
    for method, table in found:
        files.append(_write(table, folder, f"{_stem('composition', level, males_only)}_{method}", table_format))
        document["methods"][method] = {**facts_of(table), "top": _top(table, "cell_type")}
        document["caveat"] = table.attrs["caveat"]
    return _finish(document, folder, _stem("composition", level, males_only), files)


def describe(document: dict[str, Any]) -> str:
    """Text of what a command found."""
    lines: list[str] = []
    if "methods" in document:
        for method, own in document["methods"].items():
            told = records_table(own["top"]) or "  not done: " + "; ".join(s["reason"] for s in own["skipped"])
            lines += [f"{method}: {own['method']}", told, ""]
        lines += [f"Note: {document['caveat']}."]
    else:
        per = f" (log2 fold change a {document['unit']})" if document["unit"] else " (log2 fold change)"
        lines += [
            f"{document['contrast']}{per}, {document['formula']}; {document['method']}",
            f"{len(document['tests'])} comparisons, {document['hits']:,} hits at adjusted p < {_LEVEL}",
        ]
        lines += [records_table(document["top"])]
        combined = document["combined"]
        if "hits" in combined:
            lines += ["", f"protocols combined: {combined['hits']:,} hits", records_table(combined["top"])]
            lines += [f"Note: {combined['caveat']}."] if "caveat" in combined else []
        lines += ["", *(f"not tested: {s['cell_type']} in {s['protocol']}: {s['reason']}" for s in document["skipped"])]
        noted = [t for t in document["tests"] if t["notes"]]
        lines += [f"{t['cell_type']} in {t['protocol']}: {'; '.join(t['notes'])}" for t in noted]
    return "\n".join([*lines, "", *(f"wrote {name}" for name in document["files"])])


def facts_of(table: pd.DataFrame) -> dict[str, Any]:
    """What a table says of itself."""
    return {str(k): v for k, v in table.attrs.items()}


def _check_tested(attrs: dict[str, Any]) -> None:
    """Refuse when there is no comparison, with the reason that most have."""
    if not attrs["tests"]:
        reasons = [skipped["reason"] for skipped in attrs["skipped"]] or ["there is no cell type"]
        raise TitinError(
            f"no cell type could be compared: {max(reasons, key=reasons.count)}",
            "see --min-donors, --min-cells and --formula",
        )


def _stem(what: str, level: str, males_only: bool) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", f"{what}_{level}{'_males' if males_only else ''}")


def _write(table: pd.DataFrame, folder: Path, stem: str, table_format: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}.{table_format}"
    bare = pd.DataFrame(table)
    bare.attrs = {}
    if table_format == "csv":
        bare.to_csv(path, index=False)
    else:
        bare.to_parquet(path, index=False)
    return str(path)


def _finish(document: dict[str, Any], folder: Path, stem: str, files: list[str]) -> dict[str, Any]:
    document["files"] = [*files, str(folder / f"{stem}.json")]
    write_json(folder / f"{stem}.json", document)
    return document


def _top(table: pd.DataFrame, subject: str) -> list[dict[str, Any]]:
    """The clearest rows, JSON-safe."""
    by = table["p_value"] if "p_value" in table else -table["ltsr"]
    columns = [c for c in (subject, "cell_type", "protocol", "log2_fold_change", "fold_change", "fraction_young",
                           "fraction_old", "p_value", "adj_p_value", "ltsr") if c in table]  # fmt: skip
    best = table.loc[by.sort_values(kind="stable").index[:_SHOWN], list(dict.fromkeys(columns))]
    rows: list[dict[str, Any]] = json_safe(best.to_dict("records"))
    return rows


_PROGRAMMES_SHOWN = 12
_PROGRAMME_LEVEL = 0.05
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
        "hits": int((adjusted < _PROGRAMME_LEVEL).sum()), "top": top(told),
        "files": [*files, str(folder / f"{name}.json")],
    })  # fmt: skip
    write_json(folder / f"{name}.json", document)
    return dict(document)


def top(table: pd.DataFrame, n: int = _PROGRAMMES_SHOWN) -> list[dict[str, Any]]:
    """The clearest rows."""
    columns = [c for c in _COLUMNS if c in table]
    best = table.sort_values("p_value", kind="stable").head(n) if "p_value" in table else table.head(n)
    return [{str(k): v for k, v in row.items()} for row in best[columns].to_dict("records")]


def describe_programmes(document: dict[str, Any]) -> str:
    """Text of what a command found."""
    lines = list(document.get("statements", []))
    if document["top"]:
        lines += ["", records_table(document["top"])]
    elif not lines:
        lines.append("nothing could be compared")
    skipped = document.get("skipped", [])
    reasons = pd.Series([s["reason"] for s in skipped], dtype=object).value_counts()
    lines += ["", *(f"not compared ({n}): {reason}" for reason, n in reasons.items())] if skipped else []
    lines += [f"Note: {document['caveat']}."] if document.get("caveat") else []
    return "\n".join([*lines, "", *(f"wrote {name}" for name in document["files"])])
