"""What a dataset holds, in words."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from titin.dataset.manifest import Manifest
from titin.errors import DatasetError
from titin.text import size, table


def document(folder: Path) -> dict[str, Any]:
    """What a dataset holds, JSON-safe: the manifest's facts, and of every Parquet file its columns and their bits.

    Raises
    ------
    DatasetError
        If the folder is no dataset, or a file is missing or damaged.
    """
    manifest = Manifest.read(folder)
    files = {name: {**entry, **_inspect(folder / name, manifest.nnz)} for name, entry in manifest.files.items()}
    return {
        "schema_version": 1, "path": str(folder), "format_version": manifest.format_version, "prefix": manifest.prefix,
        "kind": manifest.kind, "n_cells": manifest.n_cells, "n_genes": manifest.n_genes, "nnz": manifest.nnz,
        "sparsity": manifest.sparsity, "source": manifest.source, "settings": manifest.settings,
        "recovery": manifest.recovery, "roles": manifest.roles,
        "preset": {k: v for k, v in manifest.preset.items() if k != "document"},
        "panel": manifest.panel.get("sets", {}),
        "projections": {key: len(entry["columns"]) - 1 for key, entry in manifest.obsm.items()},
        "computed": {key: entry["computed"] for key, entry in manifest.obsm.items() if "computed" in entry},
        "files": files, "bytes": sum(entry["bytes"] for entry in manifest.files.values()),
        "left_out": manifest.left_out, "notes": manifest.notes, "libraries": manifest.libraries,
    }  # fmt: skip


def _inspect(path: Path, nnz: int) -> dict[str, Any]:
    """Size on disk, and the columns of a Parquet file with the bits a non-zero that each takes."""
    try:
        size_now = path.stat().st_size
        if path.suffix != ".parquet":
            return {"bytes": size_now}
        metadata = pq.read_metadata(path)
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing", "restore it, or build the dataset again") from None
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{path} is damaged: {error}", "restore it, or build the dataset again") from error
    sizes: dict[str, int] = {}
    for g in range(metadata.num_row_groups):
        group = metadata.row_group(g)
        for c in range(group.num_columns):
            column = group.column(c)
            name = column.path_in_schema.split(".list.")[0]
            sizes[name] = sizes.get(name, 0) + column.total_compressed_size
    bits = {name: round(8 * n / max(1, nnz), 4) for name, n in sizes.items()}
    return {"bytes": size_now, "row_groups": metadata.num_row_groups, "bits_per_nonzero": bits}


def describe(facts: dict[str, Any]) -> str:
    """Turn what `document` gives into text."""
    nnz = max(1, facts["nnz"])
    rows = []
    for name, entry in facts["files"].items():
        bits = f"{entry['bytes'] * 8 / nnz:.2f}" if "_expression" in name else ""
        rows.append((name, f"{entry['rows']:,}" if "rows" in entry else "", size(entry["bytes"]), bits))
    source, settings = facts["source"], facts["settings"]
    order = f"shuffled with seed {settings['seed']}" if settings["shuffle"] else "in the source's order"
    lines = [
        f"{facts['path']}: {facts['n_cells']:,} cells × {facts['n_genes']:,} genes, {facts['nnz']:,} non-zeros "
        f"({facts['sparsity']:.2%} zeros), {size(facts['bytes'])}",
        f"source: {source['name']} ({source['format']}, {source['matrix']}, {source['storage']}, {source['dtype']}), "
        f"sha256 {source['sha256'][:16]}…",
        f"values: {facts['kind']}{_recovery(facts['recovery'])}; cells {order}",
        "", table(("file", "rows", "size", "bits per non-zero"), rows), "", _list_columns(facts["files"]),
        "", describe_roles(facts["roles"]),
    ]  # fmt: skip
    projections = (
        f"{k} ({n}{', computed' if k in facts['computed'] else ''})" for k, n in facts["projections"].items()
    )
    lines += [f"preset: {facts['preset']['name']}"] if facts["preset"] else []
    lines += [f"projections: {', '.join(projections) or 'none'}"]
    lines += [f"note: {note}" for note in facts["notes"]]
    lines += [f"left out: {name}: {reason}" for name, reason in facts["left_out"].items()]
    return "\n".join(lines)


def _recovery(recovery: dict[str, Any]) -> str:
    target, worst = recovery.get("target_sum"), recovery.get("worst_ulp")
    known = f", normalised to {target:g} a cell" if target else ""
    return f"{known}, log1p(count / scale) within {worst} ulp" if worst else known


def _list_columns(files: dict[str, Any]) -> str:
    """Bits of the list columns of the two expression files."""
    rows = []
    for name, entry in files.items():
        if "_expression" in name and "_panel" not in name:
            rows += [
                (name, column, f"{bits:.2f}") for column, bits in entry["bits_per_nonzero"].items() if bits >= 0.01
            ]
    return table(("file", "column", "bits per non-zero"), rows)


def describe_roles(roles: dict[str, Any]) -> str:
    """Which columns play which part."""
    shown = []
    for role, column in roles.items():
        names = column if isinstance(column, list) else [column]
        shown.append((role.replace("_", " "), ", ".join(str(n) for n in names if n is not None) or "–"))
    return table(("role", "obs column"), shown)
