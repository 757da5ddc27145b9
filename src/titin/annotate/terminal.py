"""What a check of labels found, and what a model calls cells, in words and as JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from titin.annotate.label_check import CIRCULAR, LabelCheck
from titin.annotate.linear_model import LabelModel
from titin.annotate.transfer import CellLabels, facts_of
from titin.text import count, json_safe, percent, say_some, table
from titin.visible import visible

_GROUPS, _TYPES, _PAIRS = 12, 10, 5  # lines of each
_NAMED = 4


def check_document(check: LabelCheck, files: Sequence[Path]) -> dict[str, Any]:
    """All that a check found but its table of cells, JSON-safe."""
    told = {name: frame.to_dict("records") for name, frame in check.tables().items() if name != "table"}
    return dict(json_safe({"schema_version": 1, "command": "annotate", "caveat": check.caveat, **check.document(),
                           **told, "files": [str(file) for file in files]}))  # fmt: skip


def describe_check(document: Mapping[str, Any]) -> str:
    """Say first which labels to look at, then which types hold least, then what cannot be said."""
    settings = document["settings"]
    donors = f"{count(settings['donors'], 'donor')} in {count(settings['folds'], 'fold')}"
    lines = [f"{donors}, each judged by models that have not seen it", ""]
    for level, found in document["levels"].items():
        agreed = found["agreement"]
        said = "no label could be judged" if agreed is None else (
            f"{agreed:.1%} of labels found again (mean over donors); {found['n_flagged']:,} of {found['n_cells']:,} "
            f"flagged ({percent(found['n_flagged'], found['n_cells'])})")  # fmt: skip
        lines.append(visible(f"{level}: {said}"))
        if found["alike"]:
            pairs = [" and ".join(pair) for pair in found["alike"]]
            lines.append(visible(f"  too alike to be evaluable: {say_some(pairs, _PAIRS, '; ')}"))
    lines += ["", *_review(document["review"]), *_weakest(document)]
    for level, reasons in document["not_evaluable"].items():
        if reasons:
            named = [f"{name} ({why})" for name, why in reasons.items()]
            lines.append(visible(f"not evaluable, {level}: {say_some(named, _NAMED)}"))
    lines += [visible(f"warning: {said}") for said in settings.get("warnings", [])]
    lines += [f"note: {document['caveat']}", *(visible(f"wrote {file}") for file in document["files"])]
    return "\n".join(lines)


def _review(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    if not groups:
        return ["no label is contradicted with confidence", ""]
    rows = [(group["level"], group["label"], group["suggested"], group["donor"], f"{group['n_cells']:,}",
             f"{group['share']:.0%}", "exchanged" if group["exchanged"] else "", group["markers_for"],
             group["markers_against"]) for group in groups[:_GROUPS]]  # fmt: skip
    head = ("level", "label", "rather", "donor", "cells", "of its", "", "markers for (AUROC)", "against")
    more = f"  and {count(len(groups) - _GROUPS, 'group')} more" if len(groups) > _GROUPS else ""
    return ["look at these first", table(head, rows, indent=2), *([more] if more else []), ""]


def _weakest(document: Mapping[str, Any]) -> list[str]:
    """The types that are found again least; last those that are mostly taken for one too alike."""
    alike = {level: [set(pair) for pair in found["alike"]] for level, found in document["levels"].items()}

    def untold(row: Mapping[str, Any]) -> bool:
        return {row["cell_type"], row["confused_with"]} in alike[row["level"]]

    known = [row for row in document["types"] if row["evaluable"] and row["recall"] is not None]
    worst = sorted(known, key=lambda row: (untold(row), row["recall"]))[:_TYPES]
    if not worst or all(row["recall"] == 1 for row in worst):
        return []
    rows = [(row["level"], row["cell_type"], f"{row['n_donors']}", _share(row, "recall"), _share(row, "precision"),
             "" if row["confused_with"] is None else f"{row['confused_with']} {row['confused_share']:.0%}"
             + (", too alike" if untold(row) else ""))
            for row in worst]  # fmt: skip
    head = ("level", "cell type", "donors", "found again (95 %)", "right where called (95 %)", "taken for")
    return ["types that hold least, on donors that were not seen", table(head, rows, indent=2), ""]


def _share(row: Mapping[str, Any], what: str) -> str:
    if row[what] is None:
        return "–"
    low, high = row[f"{what}_low"], row[f"{what}_high"]
    return f"{row[what]:.0%}" + ("" if low is None else f" ({low:.0%} to {high:.0%})")


def labels_document(labels: CellLabels, files: Sequence[Path]) -> dict[str, Any]:
    """What a model calls the cells, but the cells themselves, JSON-safe."""
    voted = labels.table["voted"].value_counts() if "voted" in labels.table else pd.Series(dtype=int)
    return dict(json_safe({
        "schema_version": 1, "command": "annotate", "n_cells": len(labels.table), **labels.document(),
        "types": labels.types.to_dict("records"), "compared": labels.compared.to_dict("records"),
        "voted": {str(name): int(n) for name, n in voted.items() if n}, "files": [str(file) for file in files],
    }))  # fmt: skip


def describe_labels(document: Mapping[str, Any]) -> str:
    """Say what a model calls the cells, and how that compares with the labels that they have."""
    settings, missing = document["settings"], document["missing_genes"]
    lines = [visible(f"model: {facts_of(settings['model'])}"),
             visible(f"genes: {document['coverage']:.1%} of its {settings['n_genes']:,}"
                     + (f"; not here: {say_some(missing, _NAMED)}" if missing else "")), ""]  # fmt: skip
    called = [row for row in document["types"] if row["n_cells"]]
    rows = [(row["cell_type"], f"{row['n_cells']:,}", f"{row['share']:.1%}",
             f"{row['mean_p']:.2f}", f"{document['voted'].get(row['cell_type'], 0):,}" if document["voted"] else "")
            for row in called[: 2 * _TYPES]]  # fmt: skip
    lines += [table(("called", "cells", "share", "mean p", "by vote" if document["voted"] else ""), rows, indent=2)]
    lines += [f"  and {count(len(called) - 2 * _TYPES, 'type')} more"] * (len(called) > 2 * _TYPES) + [""]
    largest: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in document["compared"]:
        largest.setdefault((row["level"], row["label"]), row)
    first = next((level for level, _ in largest), None)
    shown = [(row["label"], row["predicted"], f"{row['n_cells']:,}", f"{row['share']:.0%}")
             for (level, _), row in largest.items() if level == first]  # fmt: skip
    if shown:
        lines += [visible(f"its own labels ({first}), and what most of their cells are called"),
                  table(("label", "called", "cells", "of the label"), shown[: 2 * _TYPES], indent=2), ""]  # fmt: skip
    lines += [visible(f"warning: {said}") for said in settings.get("warnings", [])]
    lines += [f"note: {CIRCULAR}", *(visible(f"wrote {file}") for file in document["files"])]
    return "\n".join(lines)


def model_document(model: LabelModel, path: Path) -> dict[str, Any]:
    """What a model is, JSON-safe."""
    return dict(json_safe({"schema_version": 1, "command": "annotate", "classes": list(model.classes),
                           "n_genes": len(model.genes), "facts": model.facts, "files": [str(path)]}))  # fmt: skip


def describe_model(document: Mapping[str, Any]) -> str:
    """Say what was trained and written."""
    named = say_some(document["classes"], 2 * _NAMED)
    return "\n".join([
        visible(f"model {facts_of(document['facts'])}: {count(len(document['classes']), 'type')} ({named}), "
                f"{document['n_genes']:,} genes"),
        *(visible(f"wrote {file}") for file in document["files"]),
    ])  # fmt: skip
