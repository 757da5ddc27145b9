"""What a dataset holds, in words."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from titin.dataset.kinds import Kind, ValueKind
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
        "recovery": manifest.recovery, "roles": manifest.roles, "roles_found": manifest.roles_found,
        "derived": manifest.derived, "relabelled": manifest.obs.get("relabelled", []),
        "preset": {k: v for k, v in manifest.preset.items() if k != "document"},
        "panel": manifest.panel.get("sets", {}),
        "projections": {key: len(entry["columns"]) - 1 for key, entry in manifest.obsm.items()},
        "parts": {place: {name: entry[name] for name in ("kind", "nnz", "recovery", "source")}
                  for place, entry in manifest.parts.items()},
        "arrays": {place: [entry["form"], entry["n_values"]] for place, entry in manifest.arrays.items()},
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
        metadata = pq.read_metadata(path.absolute())  # pyarrow takes a:b for an address
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


def describe(facts: dict[str, Any], about: Sequence[tuple[str, str]] = ()) -> str:
    """Turn what `document` gives into text: first what it is of, then its columns, then its files and their bits.

    Parameters
    ----------
    facts
        From `document`, with ``synthetic`` where the source says that it is made up.
    about
        What else there is to be said of it first, each with its name.
    """
    lines = [
        f"{facts['path']}: {facts['n_cells']:,} cells × {facts['n_genes']:,} genes, {facts['nnz']:,} non-zeros "
        f"({facts['sparsity']:.2%} zeros), {size(facts['bytes'])}"
    ]  # fmt: skip
    lines += [f"synthetic data: {facts['synthetic']}"] if facts.get("synthetic") is not None else []
    projections = (
        f"{k} ({n}{', computed' if k in facts['computed'] else ''})" for k, n in facts["projections"].items()
    )
    stated = [*about, ("values", describe_values(facts["kind"], facts["recovery"])),
              ("projections", ", ".join(projections) or "none"), ("licence", _licence(facts["settings"]))]  # fmt: skip
    stated += [(place, f"{describe_values(part['kind'], part['recovery'])}, {part['nnz']:,} non-zeros")
               for place, part in facts["parts"].items()]  # fmt: skip
    stated += [(place, f"{form}, {n:,} values") for place, (form, n) in facts["arrays"].items()]
    wide = min(40, max(13, *(len(name) + 1 for name, _ in stated)))
    lines += ["", *(f"{name:<{wide}}{said}" for name, said in stated), ""]
    lines += [describe_roles(facts["roles"], facts["roles_found"])]
    lines += [f"preset: {facts['preset']['name']}"] if facts["preset"] else []
    lines += [f"note: {note}" for note in facts["notes"]]
    lines += [f"left out: {name}: {reason}" for name, reason in facts["left_out"].items()]
    return "\n".join([*lines, "", *_describe_storage(facts)])


def _licence(settings: Mapping[str, Any]) -> str:
    return settings.get("card", {}).get("license") or "none is stated, so nobody may use the data"


def _describe_storage(facts: Mapping[str, Any]) -> list[str]:
    """Where it is from, and what each file and column takes."""
    source, settings, nnz = facts["source"], facts["settings"], max(1, facts["nnz"])
    rows = []
    for name, entry in facts["files"].items():
        bits = f"{entry['bytes'] * 8 / nnz:.2f}" if "_expression" in name else ""
        rows.append((name, f"{entry['rows']:,}" if "rows" in entry else "", size(entry["bytes"]), bits))
    order = f"shuffled with seed {settings['seed']}" if settings["shuffle"] else "in the source's order"
    return [
        f"source: {source['name']} ({source['format']}, {source['matrix']}, {source['storage']}, {source['dtype']}), "
        f"sha256 {source['sha256'][:16]}…",
        *(f"relabelled: {said}" for said in describe_relabelled(facts)),
        f"stored: {facts['kind']}{_recovery(facts['kind'], facts['recovery'])}; cells {order}",
        "", table(("file", "rows", "size", "bits per non-zero"), rows), "", _list_columns(facts["files"]),
    ]  # fmt: skip


def _recovery(kind: Kind, recovery: dict[str, Any]) -> str:
    worst = recovery.get("worst_ulp")
    known = normalised_to(recovery)
    formula = ValueKind(kind, recovery.get("base", "e")).formula
    return (f", {known}" if known else "") + (f", {formula} within {worst} ulp" if worst else "")


def describe_relabelled(obs: Mapping[str, Any], name: Callable[[str], str] = str) -> list[str]:
    """Which labels are not the source's, a sentence without its end for each change since the build.

    Parameters
    ----------
    obs
        What the manifest says of it.
    name
        Writes the name of a column or table as text of its kind.

    Examples
    --------
    >>> describe_relabelled({"relabelled": [{"name": "new.csv", "columns": ["type"], "dropped": ["old"]}]})
    ['type as in new.csv; without old']
    """
    found = []
    for change in obs.get("relabelled", []):
        columns, dropped = (", ".join(name(str(c)) for c in change[part]) for part in ("columns", "dropped"))
        said = [f"{columns} as in {name(change.get('name', 'a table'))}"] if columns else []
        found.append("; ".join([*said, f"without {dropped}"] if dropped else said))
    return found


def describe_values(kind: Kind, recovery: dict[str, Any]) -> str:
    """What the values are and how the counts were found, in a line."""
    if kind == "counts":
        return "integer counts"
    if kind == "real":
        beside = recovery.get("counts_beside")
        return f"real numbers, not made from the counts in {beside}" if beside else (
            "real numbers without integer counts behind them"
        )  # fmt: skip
    base = recovery.get("base", "e")
    what = "normalised, no logarithms" if kind == "normalized" else (
        "log-normalised" if base == "e" else f"log-normalised, base {base}"
    )  # fmt: skip
    known = normalised_to(recovery)
    return f"{what}; integer counts recovered and proven" + (f" ({known})" if known else "")


def normalised_to(recovery: dict[str, Any]) -> str:
    """What the cells were normalised to, where it is the same for all; else nothing."""
    target, of = recovery.get("target_sum"), recovery.get("target_of") or "counts"
    if not target:
        return ""
    if of == "counts":
        return f"normalised to {target:,.10g} a cell"
    return f"divided by {of}" if target == 1 else f"normalised to {target:,.10g} of {of}"


def _list_columns(files: dict[str, Any]) -> str:
    """Bits of the list columns of the two expression files."""
    rows = []
    for name, entry in files.items():
        if "_expression" in name and "_panel" not in name:
            rows += [
                (name, column, f"{bits:.2f}") for column, bits in entry["bits_per_nonzero"].items() if bits >= 0.01
            ]
    return table(("file", "column", "bits per non-zero"), rows)


_RUNNERS_UP = 2  # columns of which it is said why they were not taken


def describe_roles(roles: dict[str, Any], found: dict[str, Any]) -> str:
    """Which columns play which part, why, and which others were looked at; ``found`` as in the manifest."""
    shown = []
    for role, column in roles.items():
        names = column if isinstance(column, list) else [column]
        known = found.get(role, {})
        if column is None and found and not known.get("why"):  # which is not looked for
            continue
        others = list(known.get("not_taken", {}).items())
        named = [f"not {name}: {why}" for name, why in others[:_RUNNERS_UP]]
        named += [f"and {len(others) - _RUNNERS_UP} more"] * (len(others) > _RUNNERS_UP)
        why = "; ".join([known.get("why", ""), *named])
        shown.append((role.replace("_", " "), ", ".join(str(n) for n in names if n is not None) or "–", why))
    return table(("role", "obs column", "why" if found else ""), shown)


AGREE = "were compared, and agree"


def describe_witness(recovery: Mapping[str, Any], name: Callable[[str], str] = str) -> str:
    """Say how the counts that the source has beside its values compare with those behind the values.

    Parameters
    ----------
    recovery
        Of the manifest.
    name
        Writes the name of the matrix as text of its kind.

    Returns
    -------
    str
        A sentence without its end; nothing where no such counts were of use.

    Examples
    --------
    >>> describe_witness({"witness": "layers/counts", "witnessed": {"cells": 9, "of": 10, "more": 0}})
    'the counts in layers/counts are those behind the values in 9 of 10 cells; in 1 they differ, and are not stored'
    """
    if not recovery.get("witness"):
        return ""
    counts, found = f"counts in {name(recovery['witness'])}", recovery.get("witnessed")
    if not found:  # of datasets of earlier releases
        return f"{counts} were taken where they are those behind the values"
    told = []
    if found["cells"] < found["of"]:
        told.append(
            f"the {counts} are those behind the values in {found['cells']:,} of {found['of']:,} cells; in "
            f"{found['of'] - found['cells']:,} they differ, and are not stored"
        )
    if found["more"]:
        have = "has" if found["more"] == 1 else "have"
        told.append(f"{found['more']:,} of the {counts} {have} a value of zero, and {have} no place in the dataset")
    return "; ".join(told) or f"all {counts} {AGREE}"
