"""Findings in words and as JSON: the answer, a table of what goes up and down, the clearest rows with their units."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from titin.ageing.analysis import ALPHA, Analysis, Findings, by_reason, hits
from titin.ageing.comparison import name_contrast, say_vif
from titin.ageing.verdict import clearest_first, say_p, say_unit
from titin.results import Result
from titin.study.gaps import say_left_out
from titin.text import count, json_safe, records_table, say_some

_SHOWN, _BRIEF = 12, 3  # rows of the main result, and of each other
_PLACES = 4  # that are named of those left out for one reason
_NOTES = 3  # lines of notes
_NAMED = 3  # of what changes in a type
_LABELS = {"gene": "gene", "feature": "measure", "set": "gene set", "measure": "measure", "cell_type": "cell type"}
_EFFECTS = ("log2_fold_change", "effect")
_COLUMNS = (
    "gene", "measure", "feature", "set", "cell_type", "protocol", "direction", "n_donors", "n_overlap", "odds_ratio",
    "mean", "log2_fold_change", "fold_change", "fold_change_low", "fold_change_high", "effect", "ci_low", "ci_high",
    "fraction_young", "fraction_old", "f", "p_value", "adj_p_value", "adj_p_value_across_types", "over_all", "ltsr",
)  # fmt: skip


@dataclass(frozen=True)
class Narrowed:
    """What is to be shown alone of what was found.

    Attributes
    ----------
    genes
        As they were asked for; all where empty.
    gene_ids
        Their ids.
    cell_types
        All where empty.
    """

    genes: Sequence[str] = ()
    gene_ids: Sequence[str] = ()
    cell_types: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.genes or self.cell_types)

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rows of these genes and types; of a table without them, all."""
        kept = np.ones(len(table), bool)
        for column, wanted in (("gene_id", self.gene_ids), ("cell_type", self.cell_types)):
            if wanted and column in table:
                kept &= table[column].astype(str).isin(list(wanted)).to_numpy(bool)
        return table[kept]

    def entries(self, entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Likewise of what was compared or was not."""
        return [entry for entry in entries if not self.cell_types or entry.get("cell_type") in self.cell_types]

    def document(self) -> dict[str, Any]:
        """What was asked for, JSON-safe; empty where all is shown."""
        asked = {"genes": list(self.genes), "cell_types": list(self.cell_types)}
        return {name: wanted for name, wanted in asked.items() if wanted}


def tell(
    analysis: Analysis, findings: Findings, results: Mapping[str, Result], files: Sequence[Path],
    narrowed: Narrowed | None = None, synthetic: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """What a command found, JSON-safe.

    Parameters
    ----------
    analysis, findings
        What was run, and what it gave.
    results
        By the name of their tables.
    files
        That were written.
    narrowed
        What to show of it; all where not given.
    synthetic
        What the source says of data that are made up.
    """
    only = narrowed or Narrowed()
    return dict(json_safe({
        "schema_version": 2, "command": f"age {analysis.name}", "verdict": analysis.verdict(findings),
        "statements": analysis.statements(findings), "shown": only.document(),
        "synthetic": synthetic,
        "results": {name: {**result.document(), "hits": hits(result.table), "up_and_down": up_and_down(result, only),
                           "top": top(result.table, only), **_in_words(result, only)}
                    for name, result in results.items()},
        "missing": findings.missing, "files": [str(path) for path in files],
    }))  # fmt: skip


def _in_words(result: Result, only: Narrowed) -> dict[str, Any]:
    """What was not tested and what is to be known of what was, each with its types and protocols."""
    skipped, tests = getattr(result, "skipped", []), getattr(result, "tests", [])
    notes = [{**test, "reason": note} for test in only.entries(tests) for note in test.get("notes", [])]
    return {"not_tested": by_reason(only.entries(skipped)), "notes": by_reason(notes)}


def up_and_down(result: Result, only: Narrowed) -> list[dict[str, Any]]:
    """What of each type and protocol goes up and down, at p adjusted over all tests of the result.

    Returns
    -------
    list of dict
        ``cell_type`` and ``protocol`` where there are, ``n_donors``, ``tested``, ``up``, ``down`` (``change`` where the
        contrast has no one direction) and the ``clearest`` of them; the most changes first. Empty where nothing has p.
    """
    label, table = label_of(result.table), only.rows(clearest_first(result.table))
    if label is None or table.empty:
        return []
    places = [column for column in ("cell_type", "protocol") if column in table and column != label]
    effect = next((column for column in _EFFECTS if column in table), None)
    rows = []
    for place, own in table.groupby(places, observed=True, sort=True) if places else [((), table)]:
        clear = own[own["over_all"] < ALPHA]
        up = int((clear[effect] > 0).sum()) if effect else 0
        ways = {"up": up, "down": len(clear) - up} if effect else {"change": len(clear)}
        donors = {"n_donors": int(own["n_donors"].max())} if "n_donors" in own else {}
        names = ", ".join(clear[label].astype(str).head(_NAMED))
        rows.append({**dict(zip(places, map(str, place), strict=True)), **donors, "tested": len(own), **ways,
                     "clearest": names})  # fmt: skip
    return sorted(rows, key=lambda row: -(row.get("up", 0) + row.get("down", 0) + row.get("change", 0)))


def label_of(table: pd.DataFrame) -> str | None:
    """Column that says what a row is a test of; None where there is none."""
    return next((column for column in _LABELS if column in table), None)


def top(table: pd.DataFrame, only: Narrowed | None = None, n: int = _SHOWN) -> list[dict[str, Any]]:
    """The clearest rows, all of genes that are asked for; none where nothing was tested."""
    only = only or Narrowed()
    if "p_value" in table:
        ordered = clearest_first(table)
    elif "ltsr" in table:
        ordered = table.sort_values("ltsr", ascending=False, kind="stable")
    else:
        return []
    rows = only.rows(ordered)
    best = (rows if only.genes else rows.head(n))[[c for c in _COLUMNS if c in rows]]
    return [{str(k): v for k, v in row.items()} for row in best.to_dict("records")]


def describe(document: dict[str, Any]) -> str:
    """The same as text: the answer, the main result, the others in short, what is to know, and what was written."""
    lines = [*([f"{document['verdict']}."] if document["verdict"] else []), *document["statements"]]
    if document["synthetic"] is not None:
        lines.append(f"These data are synthetic. {document['synthetic']}".rstrip())
    if shown := document["shown"]:
        lines.append(f"shown alone: {', '.join(name for names in shown.values() for name in names)}; all are tested")
    known: set[str] = set()
    for i, (name, result) in enumerate(document["results"].items()):
        said = _describe_result(name, result, shown, _SHOWN if i == 0 or shown else _BRIEF)
        lines += ["", *(line for line in said if line not in known)]
        known |= {line for line in said if line.startswith("not evaluable: ")}
    lines += [f"no {part}: {reason}" for part, reason in document["missing"].items()]
    warnings = dict.fromkeys(said for r in document["results"].values() for kind in ("warnings", "depth_warnings")
                             for said in r["settings"].get(kind, []))  # fmt: skip
    lines += ["", *(f"Warning: {said}." for said in warnings)] if warnings else []
    caveats = dict.fromkeys(r["caveat"] for r in document["results"].values() if r.get("caveat"))
    longest = [said for said in caveats if not any(said != other and said in other for other in caveats)]
    lines += ["", *(f"Note: {said}." for said in longest)] if longest else []
    return "\n".join([*lines, "", *say_files(document["files"])]).lstrip("\n")


def _describe_result(name: str, result: Mapping[str, Any], only: Mapping[str, Any], most: int) -> list[str]:
    """Lines of one result: how it was made, what goes up and down, its clearest rows, what was not tested.

    Parameters
    ----------
    name, result
        Of the document of `tell`.
    only
        What is shown alone; empty for all.
    most
        Rows.
    """
    settings = result["settings"]
    asked = [name_contrast(settings)] if settings.get("contrast") else []
    head = "; ".join([*asked, *(str(settings[k]) for k in ("formula", "method") if settings.get(k))])
    vif = say_vif(settings, result.get("tests") or [])
    lines = [f"{name}: {head}" if head else name, *([vif] if vif else [])]
    lines += [f"where {' and '.join(settings['where'])}"] if settings.get("where") else []
    shown = result["top"] if "genes" in only else result["top"][:most]
    if result["up_and_down"] and most == _SHOWN and "genes" not in only:
        lines.append(_head_of_changes(result))
        lines.append(records_table([_place_for_people(row) for row in result["up_and_down"]]))
    elif result["up_and_down"] and not only:
        ways = (sum(row.get(way, 0) for row in result["up_and_down"]) for way in ("up", "down", "change"))
        told = ", ".join(f"{n} {way}" for way, n in zip(("up", "down", "change"), ways, strict=True) if n)
        tested = sum(row["tested"] for row in result["up_and_down"])
        lines.append(f"{told or 'nothing changes'} of {count(tested, 'test')} at adjusted p < {ALPHA}")
    if shown:
        lines += ["the clearest"] if result["up_and_down"] and "genes" not in only else []
        lines.append(records_table([_row_for_people(row, settings) for row in shown]))
    elif only:
        lines.append("of these nothing could be tested: too few counts, or too few donors with such cells")
    lines += _say_skipped(result["not_tested"], each="cell_types" in only)
    lines += say_left_out(result.get("cells_left_out") or {}, result.get("donors_left_out") or [])
    told_notes = [f"{say_some(places, _PLACES)}: {note}" for note, places in result["notes"].items()]
    more = len(told_notes) - _NOTES
    return [*lines, *told_notes[:_NOTES], *([f"and {more} more such notes in {name}.json"] if more > 0 else [])]


def _head_of_changes(result: Mapping[str, Any]) -> str:
    """What the numbers of the table of ups and downs count."""
    label = next((_LABELS[column] for column in _LABELS if result["top"] and column in result["top"][0]), "measure")
    n = len(result.get("tests") or result["up_and_down"])
    over = f"over all {n} comparisons" if n > 1 else "over all tests"
    return f"{label}s that change, at p < {ALPHA} adjusted {over}"


def _place_for_people(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"donors" if key == "n_donors" else key: value for key, value in row.items()}


def _row_for_people(row: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A row under names with units: what it is of, the effect with its interval, and p adjusted over all."""
    unit = say_unit(settings)
    shown = {"donors" if key == "n_donors" else key: value for key, value in row.items()
             if key in (*_LABELS, "protocol", "direction", "n_donors", "n_overlap", "odds_ratio", "mean",
                        "fraction_young", "fraction_old", "f")}  # fmt: skip
    ends = "ci_low", "ci_high"
    if row.get("log2_fold_change") is not None:
        shown[f"log2 fold change{unit}"] = row["log2_fold_change"]
        shown[f"times{unit}"] = 2 ** float(row["log2_fold_change"])
    elif row.get("fold_change") is not None:
        shown[f"times{unit}"], ends = row["fold_change"], (
            ("fold_change_low", "fold_change_high") if "fold_change_low" in row else ends)  # fmt: skip
    elif row.get("effect") is not None:
        shown[f"change{unit}"] = row["effect"]
    if row.get(ends[0]) is not None:
        shown["95 % interval"] = f"{row[ends[0]]:.3g} to {row[ends[1]]:.3g}"
    if row.get("over_all") is not None:
        shown["adjusted p"] = say_p(float(row["over_all"]))
    return shown | ({"ltsr": row["ltsr"]} if "ltsr" in row else {})


def _say_skipped(reasons: Mapping[str, Sequence[str]], *, each: bool) -> list[str]:
    """What was not compared: how many, with the commonest reason; or each reason with its types and protocols."""
    if each or len(reasons) < 2:
        return [f"not evaluable: {say_some(places, _PLACES)}: {reason}" for reason, places in reasons.items()]
    reason, places = max(reasons.items(), key=lambda entry: len(entry[1]))
    n = sum(map(len, reasons.values()))
    return [f"not evaluable: {n} others, {len(places)} of them for: {reason} (the JSON has each with its reason)"]


_ENDINGS = (".parquet", ".csv", ".json")


def say_files(files: Sequence[str]) -> list[str]:
    """What was written: a line for the files of one table, which differ in their ending alone, and one for figures."""
    tables: dict[str, list[str]] = {}
    figures: dict[str, int] = {}
    for path in map(Path, files):
        if path.suffix == ".png":
            figures[str(path.parent)] = figures.get(str(path.parent), 0) + 1
        else:
            own = path.suffix in _ENDINGS
            tables.setdefault(str(path.with_suffix("") if own else path), []).append(path.suffix if own else "")
    lines = [f"wrote {stem}{endings[0]}" + (f" (and {', '.join(endings[1:])})" if endings[1:] else "")
             for stem, endings in tables.items()]  # fmt: skip
    return [*lines, *(f"wrote {folder}: {count(n, 'figure')}" for folder, n in figures.items())]
