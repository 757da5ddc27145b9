"""What a build did, or would do, in words."""

from pathlib import Path
from typing import Any

from titin.build.pipeline import Report
from titin.dataset.summary import describe_roles, size, table

_KINDS = {
    "counts": "integer counts",
    "log1p": "log-normalised; integer counts recovered and proven",
    "real": "real numbers without integer counts behind them",
}


def report_document(report: Report) -> dict[str, Any]:
    """What a build did, JSON-safe."""
    manifest = report.manifest
    return {
        "schema_version": 1, "path": str(report.path), "prefix": manifest.prefix, "kind": manifest.kind,
        "n_cells": manifest.n_cells, "n_genes": manifest.n_genes, "nnz": manifest.nnz, "recovery": manifest.recovery,
        "roles": manifest.roles, "files": manifest.files, "bytes": sum(f["bytes"] for f in manifest.files.values()),
        "left_out": manifest.left_out, "notes": manifest.notes, "resumed": report.resumed,
        "seconds": {k: round(v, 3) for k, v in report.seconds.items()}, "peak_bytes_after": report.peaks,
        "peak_bytes": report.peak_bytes,
    }  # fmt: skip


def describe_report(document: dict[str, Any]) -> str:
    """Turn what `report_document` gives into text."""
    nnz = max(1, document["nnz"])
    rows = [
        (name, f"{entry['rows']:,}" if "rows" in entry else "", size(entry["bytes"]),
         f"{entry['bytes'] * 8 / nnz:.2f}" if "_expression" in name else "")
        for name, entry in document["files"].items()
    ]  # fmt: skip
    files = table(("file", "rows", "size", "bits per non-zero"), rows)
    lines = [
        f"{document['path']}: {document['n_cells']:,} cells × {document['n_genes']:,} genes, "
        f"{document['nnz']:,} non-zeros",
        f"values: {_kind(document['kind'], document['recovery'].get('target_sum'))}",
        "", files, "", describe_roles(document["roles"]),
    ]  # fmt: skip
    lines += _remarks(document["notes"], document["left_out"])
    resumed = ", resumed" if document["resumed"] else ""
    lines += ["", f"{document['seconds']['total']:.1f} s{resumed}, peak memory {size(document['peak_bytes'])}, "
                  f"{size(document['bytes'])} written"]  # fmt: skip
    return "\n".join(lines)


def describe_plan(plan: dict[str, Any]) -> str:
    """Turn what `titin.build.dry_run.plan_build` gives into text."""
    matrix = plan["matrix"]
    about = "about " if plan["nnz_estimated"] else ""
    rows = [(name, f"~{size(n)}") for name, n in plan["files"].items()]
    lines = [
        f"would write {plan['target']}: {plan['n_cells']:,} cells × {plan['n_genes']:,} genes, "
        f"{about}{plan['nnz']:,} non-zeros",
        f"from {plan['source']}: {matrix['name']}, {matrix['storage']}, {matrix['dtype']}",
        f"values (first {plan['sampled_cells']:,} cells): {_kind(plan['kind'], plan['target_sum'])}",
        "", table(("file", "size"), rows), "",
        f"about {size(plan['bytes'])} in all, and {size(plan['scratch_bytes'])} beside it while building; "
        f"{size(plan['free_bytes'])} free",
        "", describe_roles(plan["roles"]),
        f"ages: {', '.join(plan['ages']) or 'none'}",
    ]  # fmt: skip
    return "\n".join(lines + _remarks(plan["notes"], plan["left_out"]))


def _kind(kind: str, target_sum: float | None) -> str:
    return _KINDS[kind] + (f" (normalised to {target_sum:g} a cell)" if target_sum else "")


def _remarks(notes: list[str], left_out: dict[str, str]) -> list[str]:
    lines = [f"note: {note}" for note in notes]
    lines += [f"left out: {name}: {reason}" for name, reason in left_out.items()]
    return ["", *lines] if lines else []


def next_steps(folder: Path, report: Report) -> str:
    """What to try after the demo."""
    manifest, dataset = report.manifest, report.path
    return f"""What to try next:
  titin info {dataset}
  titin export {dataset} --to h5ad -o {folder / "back.h5ad"}
  titin export {dataset} --to wide --genes MYH7,MYH2,PAX7 -o {folder / "genes.parquet"}
  titin build {folder / "atlas.h5ad"} -o {folder / "again"} --preset muscle --donors {folder / "donors.csv"}
  python -c "import pandas as pd; print(pd.read_parquet('{dataset / manifest.layout.expression_panel}'))"
"""
