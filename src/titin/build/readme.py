"""A plain dataset card: the facts of the manifest, the Hub's configs, and how to read each file."""

from typing import Any

from titin.dataset import layout
from titin.dataset.manifest import Manifest

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card(manifest: Manifest) -> str:
    """Return the text of ``README.md``, every number of it from the manifest."""
    return f"""{_front_matter(manifest)}
# {manifest.tissue.replace("_", " ").capitalize()} ({manifest.method})

{manifest.n_cells:,} cells × {manifest.n_genes:,} genes, {manifest.nnz:,} non-zeros ({manifest.sparsity:.2%} zeros),
made from `{manifest.source["name"]}` (sha256 `{manifest.source["sha256"]}`).

{_values(manifest)}

## Files

| file | rows | bytes |
|---|---:|---:|
{_file_rows(manifest)}

Cells are in one order in all files{_order(manifest)};
`cell_id` names them and is the index in pandas. Genes are numbered by falling detection: `genes` in the expression
file holds the `{layout.TOKEN}` of the feature metadata.

## Columns by role

{_roles(manifest)}

## Reading it

```python
import pandas as pd

obs = {_read(manifest, manifest.layout.sample_metadata)}
panel = {_read(manifest, manifest.layout.expression_panel)}
```

The whole matrix comes back as AnnData, bit for bit, with `titin export . --to h5ad -o atlas.h5ad`.
{_left_out(manifest)}"""


def _front_matter(manifest: Manifest) -> str:
    configs = [("expression", manifest.layout.expression), ("expression_by_gene", manifest.layout.expression_by_gene),
               ("panel", manifest.layout.expression_panel), ("sample_metadata", manifest.layout.sample_metadata),
               ("feature_metadata", manifest.layout.feature_metadata)]  # fmt: skip
    stem = len(f"{manifest.prefix}_")
    configs += [(entry["file"].removesuffix(".parquet")[stem:], entry["file"]) for entry in manifest.obsm.values()]
    lines = [
        "---",
        "size_categories:",
        f"- {_size(manifest.n_cells)}",
        "tags:",
        "- biology",
        "- single-cell",
        "configs:",
    ]
    for name, file in configs:
        lines.append(f"- config_name: {_safe(name)}")
        if name == "expression":
            lines.append("  default: true")
        lines += ["  data_files:", "  - split: train", "    path:"]
        lines += [f"    - {shard}" for shard in manifest.shards(file)]
    return "\n".join([*lines, "---"])


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name)


def _size(n: int) -> str:
    return next((label for bound, label in _SIZES if n < bound), "1M<n<10M" if n < 10_000_000 else "10M<n<100M")


def _values(manifest: Manifest) -> str:
    matrix = manifest.source["matrix"]
    if manifest.kind == "counts":
        return f"`{layout.COUNTS}` are the integer counts of the source's `{matrix}`."
    if manifest.kind == "real":
        return (f"`{layout.VALUES}` are the values of the source's `{matrix}` as they are: no integer counts lie "
                "behind them.")  # fmt: skip
    target = manifest.recovery.get("target_sum")
    known = f"; each cell was normalised to {target:g} counts" if target else ""
    return (f"The source's `{matrix}` holds log1p(count / scale){known}. `{layout.COUNTS}` are the integers "
            f"recovered and proven, `{layout.SCALE}` is the cell's divisor, and `{layout.LEVELS}` holds the exact "
            "source value of each distinct count, by ascending count.")  # fmt: skip


def _file_rows(manifest: Manifest) -> str:
    return "\n".join(
        f"| `{name}` | {entry['rows']:,} | {entry['bytes']:,} |" if "rows" in entry else
        f"| `{name}` | – | {entry['bytes']:,} |" for name, entry in manifest.files.items()
    )  # fmt: skip


def _read(manifest: Manifest, name: str) -> str:
    """How pandas reads a file, or its shards."""
    n = len(manifest.shards(name))
    if n == 1:
        return f'pd.read_parquet("{name}")'
    stem = name.removesuffix(".parquet")
    return f'pd.concat(pd.read_parquet(f"{stem}-{{i:05d}}-of-{n:05d}.parquet") for i in range({n}))'


def _order(manifest: Manifest) -> str:
    if not manifest.settings["shuffle"]:
        return ", that of the source"
    return f", shuffled once with seed {manifest.settings['seed']} (`{layout.SOURCE_ROW}` restores the source's)"


def _roles(manifest: Manifest) -> str:
    rows = []
    for role, columns in manifest.roles.items():
        shown = ", ".join(f"`{c}`" for c in _as_list(columns)) or "–"
        rows.append(f"| {role.replace('_', ' ')} | {shown} |")
    return "\n".join(["| role | column |", "|---|---|", *rows])


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _left_out(manifest: Manifest) -> str:
    if not manifest.left_out:
        return ""
    rows = "\n".join(f"- `{name}`: {reason}" for name, reason in manifest.left_out.items())
    return f"\n## Left out\n\nThe source has these too; they are not in the dataset.\n\n{rows}\n"
