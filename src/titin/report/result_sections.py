"""Sections on what other commands have found: the validation, the benchmark, and the files themselves."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from titin.errors import TitinError
from titin.report.context import Context
from titin.report.sections import Section

_PICTURES, _PICTURE_BYTES = 6, 400_000
_SCORES = ("task", "split", "model", "track", "leaky", "baseline", "of", "metric", "value", "low", "high", "n_donors")
_HEADLINES = (("donor", "mae"), ("donor", "balanced_accuracy"), ("unit", "macro_f1"))


def read_document(path: Path) -> dict[str, Any] | None:
    """JSON of another command, or None where there is none that can be read."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def beside(folder: Path, suffix: str) -> Path:
    """Where a command leaves what it finds of a dataset."""
    whole = folder.absolute()
    return whole.with_name(f"{whole.name}.{suffix}")


def validation_findings(folder: Path) -> tuple[dict[str, Any] | None, list[tuple[str, str]]]:
    """The validation beside a dataset, and its errors and warnings: severity and sentence."""
    document = read_document(beside(folder, "validation") / "validation_report.json")
    if document is None:
        return None, []
    found = [
        (str(finding["severity"]), f"{check['title']} {finding['message']}")
        for check in document.get("checks", []) for finding in check.get("findings", [])
        if finding.get("severity") in ("error", "warning")
    ]  # fmt: skip
    return document, sorted(found)


def validation(section: Section, context: Context) -> None:
    """Add what `titin validate` found."""
    document, _ = validation_findings(context.folder)
    if document is None:
        raise TitinError("this dataset has not been validated: `titin validate` does it")
    summary = document.get("validation_summary", {})
    found = ", ".join(f"{summary.get(name)} {name}" for name in ("errors", "warnings", "notes"))
    section.say(
        f"Level {document.get('level')}, {summary.get('timestamp')}: {found} in {summary.get('total_tests')} checks."
    )
    rows = [
        {"check": check["title"], "status": check["status"], "read": check.get("read") or "",
         "finding": "; ".join(f["message"] for f in check.get("findings", [])[:2])}
        for check in document.get("checks", [])
    ]  # fmt: skip
    section.table("checks", pd.DataFrame(rows), "Checks", rows=100)
    section.facts |= {key: summary.get(key) for key in ("errors", "warnings", "notes")}


def benchmark(section: Section, context: Context) -> None:
    """Add the scores and figures of `titin bench`."""
    folder = beside(context.folder, "benchmark")
    document = read_document(folder / "scores.json")
    if document is None:
        raise TitinError("this dataset has not been benchmarked: `titin bench` does it")
    section.say("Models are compared with donors held out; intervals are over donors.")
    section.list([str(sentence) for sentence in document.get("told", [])], title="What cannot be said", folded=True)
    scores = pd.DataFrame(document.get("scores", []))
    kinds = {str(task["name"]): task for task in document.get("tasks", [])}
    for task, own in scores.groupby("task", sort=False) if set(_SCORES) <= set(scores) else []:
        section.heading(str(task))
        described = kinds.get(str(task), {})
        section.say(f"{str(described.get('description', task)).rstrip('.').capitalize()}.")
        section.list(map(str, described.get("not_evaluable", [])), title="Not evaluable")
        _best(section, str(task), own)
    for path in sorted((folder / "figures").glob("*.png"))[:_PICTURES]:
        png = path.read_bytes()
        if len(png) <= _PICTURE_BYTES:
            name = path.stem.replace("_", " ")
            section.picture(name, png, f"Figure of the benchmark: {name}")
    section.facts |= {"scores": len(scores)}


def _best(section: Section, task: str, scores: pd.DataFrame) -> None:
    """Models by the headline score of a task; those with donors on both sides apart, and called so."""
    for of, metric in _HEADLINES:
        own = scores[(scores["of"] == of) & (scores["metric"] == metric)]
        if len(own):
            break
    else:
        return
    leaky = own["leaky"].astype(bool)
    name = metric.replace("_", " ")
    held = own[~leaky].sort_values(["split", "value"], ascending=[True, metric == "mae"], kind="stable")
    columns = ["split", "model", "baseline", "track", "value", "low", "high", "n_donors"]
    if len(held):
        title = f"{name} over {of}s, with donors held out"
        section.table(f"scores_{task}", held, title, rows=40, folded=False, columns=columns)
    if leaky.any():
        title = f"{name} with cells of every donor on both sides: no performance, to show the leak"
        section.table(f"leaky_{task}", own[leaky].sort_values("value"), title, rows=40, columns=columns)


def files(section: Section, context: Context) -> None:
    """Add what the dataset holds, and how large it is."""
    manifest = context.atlas.manifest
    table = pd.DataFrame(
        [{"file": name, "bytes": int(own["bytes"]), "rows": own.get("rows")} for name, own in manifest.files.items()]
    )
    matrix = table["file"].str.contains("_expression") & ~table["file"].str.contains("panel")
    total, bits = int(table["bytes"].sum()), 8 * table.loc[matrix, "bytes"].sum() / max(1, manifest.nnz)
    section.say(
        f"{total / 1e6:,.1f} MB in {len(table)} files; {manifest.nnz:,} values of {manifest.n_cells:,} × "
        f"{manifest.n_genes:,} are not zero ({manifest.sparsity:.2%} zeros), {bits:.1f} bits for each, in both orders."
    )
    table["rows"] = table["rows"].astype("Int64")
    section.table("files", table, "Files", rows=60)
    source = {k: v for k, v in manifest.source.items() if isinstance(v, str | int | float)}
    section.list([f"{k}: {v}" for k, v in source.items()], title="Source", folded=True)
    section.list([f"{k}: {v}" for k, v in manifest.left_out.items()], title="Left out of the dataset", folded=True)
    section.list(manifest.notes, title="Notes of the build", folded=True)
    section.facts |= {"bytes": total, "nnz": manifest.nnz}


RESULT_SECTIONS = (
    ("benchmark", "Benchmark", benchmark), ("validation", "Validation", validation),
    ("files", "The dataset's files", files),
)  # fmt: skip
