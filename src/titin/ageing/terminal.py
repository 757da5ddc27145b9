"""Findings in words and as JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from titin.ageing.analysis import ALPHA, Analysis, Findings, by_reason, hits
from titin.results import Result
from titin.text import json_safe, records_table

_SHOWN = 12
_PLACES = 4  # that are named of those left out for one reason
_COLUMNS = (
    "gene", "measure", "feature", "set", "cell_type", "protocol", "direction", "n_donors", "n_overlap", "odds_ratio",
    "mean", "log2_fold_change", "fold_change", "effect", "ci_low", "ci_high", "fraction_young", "fraction_old",
    "p_value", "adj_p_value", "ltsr",
)  # fmt: skip


def tell(
    analysis: Analysis, findings: Findings, results: Mapping[str, Result], files: Sequence[Path]
) -> dict[str, Any]:
    """What a command found, JSON-safe.

    Parameters
    ----------
    analysis, findings
        What was run, and what it gave.
    results
        By the name of their tables.
    files
        That were written.
    """
    return dict(json_safe({
        "schema_version": 2, "command": f"age {analysis.name}", "statements": analysis.statements(findings),
        "results": {name: {**result.document(), "hits": hits(result.table), "top": top(result.table)}
                    for name, result in results.items()},
        "missing": findings.missing, "files": [str(path) for path in files],
    }))  # fmt: skip


def top(table: pd.DataFrame, n: int = _SHOWN) -> list[dict[str, Any]]:
    """The clearest rows; none where nothing was tested."""
    if "p_value" not in table and "ltsr" not in table:
        return []
    by = table["p_value"] if "p_value" in table else -table["ltsr"]
    best = table.loc[by.sort_values(kind="stable").index[:n], [c for c in _COLUMNS if c in table]]
    return [{str(k): v for k, v in row.items()} for row in best.to_dict("records")]


def describe(document: dict[str, Any]) -> str:
    """The same as text."""
    lines = list(document["statements"])
    for name, result in document["results"].items():
        lines += ["", *_describe_result(name, result)]
    lines += [f"no {part}: {reason}" for part, reason in document["missing"].items()]
    caveats = dict.fromkeys(r["caveat"] for r in document["results"].values() if r.get("caveat"))
    lines += ["", *(f"Note: {caveat}." for caveat in caveats)] if caveats else []
    return "\n".join([*lines, "", *(f"wrote {name}" for name in document["files"])]).lstrip("\n")


def _describe_result(name: str, result: Mapping[str, Any]) -> list[str]:
    settings = result["settings"]
    per = f" (a {settings['unit']})" if settings.get("unit") else ""
    asked = [f"{settings['contrast']}{per}"] if settings.get("contrast") else []
    head = "; ".join([*asked, *(str(settings[k]) for k in ("formula", "method") if settings.get(k))])
    lines = [f"{name}: {head}" if head else name]
    if result["top"]:
        n_tests = f"{len(result['tests'])} comparisons, " if result.get("tests") else ""
        if "adj_p_value" in result["top"][0]:
            lines.append(f"{n_tests}{result['hits']:,} hits at adjusted p < {ALPHA}")
        lines.append(records_table(result["top"]))
    lines += [f"not tested: {_some(places)}: {reason}"
              for reason, places in by_reason(result.get("skipped", [])).items()]  # fmt: skip
    notes = [{**test, "reason": note} for test in result.get("tests", []) for note in test.get("notes", [])]
    lines += [f"{_some(places)}: {note}" for note, places in by_reason(notes).items()]
    return lines


def _some(places: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(places) - _PLACES} more" if len(places) > _PLACES else ""
    return ", ".join(places[:_PLACES]) + more
