"""Builds, dry runs and added projections described in words and as JSON."""

from collections.abc import Iterable, Mapping
from typing import Any

from titin.builder.embeddings import Embedded
from titin.builder.pipeline import BuildReport
from titin.builder.relabelling import Relabelled
from titin.dataset.description import describe_roles, describe_values
from titin.dataset.manifest import Manifest
from titin.embed.methods import METHODS
from titin.study.columns import rows_of_columns
from titin.text import count, say_first, size, table

_SHOWN = 3  # barcodes that are named


def report_document(report: BuildReport) -> dict[str, Any]:
    """Describe a finished build as JSON-safe values."""
    manifest = report.manifest
    return {
        "schema_version": 1, "path": str(report.path), "prefix": manifest.prefix, "kind": manifest.kind,
        "n_cells": manifest.n_cells, "n_genes": manifest.n_genes, "nnz": manifest.nnz, "recovery": manifest.recovery,
        "roles": manifest.roles, "roles_found": manifest.roles_found, "files": manifest.files,
        "bytes": sum(f["bytes"] for f in manifest.files.values()),
        "left_out": manifest.left_out, "notes": manifest.notes, "resumed": report.resumed,
        "license": manifest.settings["card"]["license"],
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
        f"values: {describe_values(document['kind'], document['recovery'])}",
        "", files, "", describe_roles(document["roles"], document["roles_found"]),
    ]  # fmt: skip
    unstated = "no licence is stated, so nobody may use the data; `titin card … --license ID` states one"
    lines += _remarks(document["notes"] + [unstated] * (document["license"] is None), document["left_out"])
    resumed = ", resumed" if document["resumed"] else ""
    lines += ["", f"{document['seconds']['total']:.1f} s{resumed}, peak memory {size(document['peak_bytes'])}, "
                  f"{size(document['bytes'])} written"]  # fmt: skip
    return "\n".join(lines)


def parameters_by_method(methods: Iterable[str], chosen: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Sort parameters of projections by the methods that have them; those of one not named only if named by nothing."""
    given = {name: value for name, value in chosen.items() if value is not None}
    wanted = set(methods) or set(METHODS)
    sorted_: dict[str, dict[str, Any]] = {}
    for name, value in given.items():
        having = [method.name for method in METHODS.values() if name in method.parameters]
        for method in [m for m in having if m in wanted] or having:
            sorted_.setdefault(method, {})[name] = value
    return sorted_


def embed_document(done: Embedded) -> dict[str, Any]:
    """Describe added projections as JSON-safe values."""
    return {
        "schema_version": 1, "path": str(done.path),
        "projections": {key: _projection(done.manifest, key) for key in done.keys}, "notes": done.notes,
        "seconds": {k: round(v, 3) for k, v in done.seconds.items()}, "peak_bytes": done.peak_bytes,
    }  # fmt: skip


def _projection(manifest: Manifest, key: str) -> dict[str, Any]:
    entry = manifest.obsm[key]
    return {"file": entry["file"], "dimensions": len(entry["columns"]) - 1, **entry["computed"]}


def describe_embed(document: dict[str, Any]) -> str:
    """Turn what `embed_document` gives into text."""
    if not document["projections"]:
        return f"{document['path']} has the projections already; name one with --force to compute it again"
    rows = [(key, found["file"], f"{found['dimensions']}", f"{found['seconds']:.1f} s")
            for key, found in document["projections"].items()]  # fmt: skip
    lines = [table(("projection", "file", "dimensions", "time"), rows), *_remarks(document["notes"], {})]
    lines += ["", f"{document['seconds']['total']:.1f} s, peak memory {size(document['peak_bytes'])}"]
    return "\n".join(lines)


def relabel_document(done: Relabelled) -> dict[str, Any]:
    """Describe changed labels as JSON-safe values."""
    change, manifest = done.change, done.manifest
    return {
        "schema_version": 1, "path": str(done.path), "changed": done.changed,
        "added": _names(change.added), "replaced": _names(change.replaced), "dropped": _names(change.dropped),
        "unchanged": _names(change.unchanged), "n_matched": change.n_matched,
        "unmatched": change.unmatched, "unlisted": change.unlisted,
        "other_roles": {role: {"former": former, "now": now} for role, (former, now) in done.roles.items()},
        "roles": manifest.roles, "roles_found": manifest.roles_found, "derived": manifest.derived,
        "stale": done.stale, "notes": done.notes, "seconds": round(done.seconds, 3),
    }  # fmt: skip


def _names(columns: Iterable[Any]) -> list[str]:
    return [str(column) for column in columns]


def describe_relabel(document: dict[str, Any]) -> str:
    """Turn what `relabel_document` gives into text."""
    said = [f"{word}: {', '.join(document[word])}" for word in ("added", "replaced", "dropped", "unchanged")
            if document[word]]  # fmt: skip
    if document["n_matched"]:
        said.append(f"{count(document['n_matched'], 'cell')} of the table found in the dataset")
    for word, what in (("unmatched", "of the table that no cell has"), ("unlisted", "that the table has no row of")):
        if names := document[word]:
            noun = "barcode" if word == "unmatched" else "cell"
            said.append(f"{count(len(names), noun)} {what}: {say_first(names, _SHOWN)}")
    for role, found in document["other_roles"].items():
        said.append(f"{role.replace('_', ' ')}: {_columns(found['now'])}, formerly {_columns(found['former'])}")
    lines = [*said, "", describe_roles(document["roles"], document["roles_found"])] if said else [
        describe_roles(document["roles"], document["roles_found"])]  # fmt: skip
    remarks = [f"note: {note}" for note in document["notes"]] + [f"stale: {note}" for note in document["stale"]]
    lines += ["", *remarks] if remarks else []
    written = f"{document['path']} was changed in {document['seconds']:.1f} s"
    lines += ["", written if document["changed"] else f"{document['path']} is as it was"]
    return "\n".join(lines)


def _columns(column: Any) -> str:
    names = column if isinstance(column, list) else [column]
    return ", ".join(str(name) for name in names if name is not None) or "none"


def describe_plan(plan: dict[str, Any]) -> str:
    """Turn what `titin.builder.dry_run.plan_build` gives into text."""
    matrix = plan["matrix"]
    about = "about " if plan["nnz_estimated"] else ""
    rows = [(name, f"~{size(n)}") for name, n in plan["files"].items()]
    lines = [
        f"would write {plan['target']}: {plan['n_cells']:,} cells × {plan['n_genes']:,} genes, "
        f"{about}{plan['nnz']:,} non-zeros",
        f"from {plan['source']}: {matrix['name']}, {matrix['storage']}, {matrix['dtype']}",
        f"values (first {plan['sampled_cells']:,} cells): {describe_values(plan['kind'], plan['recovery'])}",
        "", table(("file", "size"), rows), "",
        f"about {size(plan['bytes'])} in all, and {size(plan['scratch_bytes'])} beside it while building; "
        f"{size(plan['free_bytes'])} free",
        f"about {plan['seconds']:,.0f} s here, projections aside, with {size(plan['memory_bytes'])} of memory",
        "", describe_roles(plan["roles"], plan["roles_found"]), "",
        table(("column of obs", "holds", "examples", "role"), rows_of_columns(plan["obs_columns"])),
        "another column is named by its role, as in --donor COLUMN; none of them by --donor none", "",
        f"ages: {', '.join(plan['ages']) or 'none'}",
        f"projections to compute: {', '.join(plan['projections']) or 'none'}",
    ]  # fmt: skip
    return "\n".join(lines + _remarks(plan["notes"], plan["left_out"]))


def _remarks(notes: list[str], left_out: dict[str, str]) -> list[str]:
    lines = [f"note: {note}" for note in notes]
    lines += [f"left out: {name}: {reason}" for name, reason in left_out.items()]
    return ["", *lines] if lines else []
