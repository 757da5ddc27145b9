"""Corruptions of files and of their schemas."""

import pyarrow as pa
from corruptions import (
    as_type,
    drop_row,
    edited,
    extra,
    forget_shard,
    in_manifest,
    item,
    nullable,
    panel_gene,
    removed,
    renamed,
    reordered,
    swap_files,
    truncated,
    with_version,
)
from mutations import Mutation, flip_byte, path_of

from titin.dataset import layout

_FILES = {
    "expression": "expression",
    "expression_by_gene": "by_gene",
    "expression_panel": "panel",
    "sample_metadata": "sample_metadata",
    "feature_metadata": "feature_metadata",
    "X_umap": "X_umap",
    "unstructured_metadata": "unstructured",
    layout.STRUCTURE: "structure",
    layout.CARD: "README",
}

FILES = [
    Mutation(
        f"a flipped byte in {name}",
        "integrity.checksums",
        rf"{name}.*sha256",
        lambda f, p=part: flip_byte(f, p),
        sign=False,
    )
    for part, name in _FILES.items()
] + [
    Mutation(
        "a flipped byte in the footer of expression",
        "integrity.checksums",
        r"expression\.parquet, footer: .*sha256",
        lambda f: flip_byte(f, "expression", 0.995),
        sign=False,
    ),
    Mutation(
        "a truncated expression file",
        "integrity.checksums",
        r"expression\.parquet: it has [\d,]+ bytes, titin\.json",
        truncated("expression"),
        sign=False,
    ),
    Mutation(
        "a truncated expression file, signed",
        "integrity.rows",
        r"expression\.parquet: its footer cannot be read",
        truncated("expression"),
        sign=False,
    ),
    Mutation(
        "a stale checksum",
        "integrity.checksums",
        r"feature_metadata.*its sha256 is .* titin\.json says 0000",
        in_manifest(lambda m: m["files"]["muscle_10x_feature_metadata.parquet"].update(sha256="0" * 64)),
        sign=False,
    ),
    Mutation(
        "a missing panel",
        "integrity.files",
        r"expression_panel\.parquet: the file is missing",
        removed("expression_panel"),
        sign=False,
    ),
    Mutation(
        "a missing panel, no longer listed",
        "integrity.manifest",
        r"titin\.json: the dataset has no .*_panel",
        removed("expression_panel"),
    ),
    Mutation(
        "an extra Parquet file",
        "integrity.files",
        r"strange\.parquet: the file is not in titin\.json",
        extra("strange.parquet"),
    ),
    Mutation(
        "an extra shard of another build",
        "integrity.files",
        r"expression-00000-of-00002\.parquet: the file is not",
        extra("muscle_10x_expression-00000-of-00002.parquet"),
    ),
    Mutation(
        "a missing shard",
        "integrity.files",
        r"expression-00001-of-0000\d\.parquet: the file is missing",
        removed("expression", 1),
        "sharded",
        sign=False,
    ),
    Mutation(
        "a forgotten shard",
        "integrity.files",
        r"expression-00001-of-0000\d\.parquet: shard 2 of \d is not in titin",
        forget_shard,
        "sharded",
        sign=False,
    ),
    Mutation(
        "two shards swapped",
        "integrity.cell_ids",
        r"expression\.parquet, row 0: .*in another order",
        lambda f: swap_files(path_of(f, "expression", 0), path_of(f, "expression", 1)),
        "sharded",
    ),
    Mutation(
        "wrong rows in the manifest",
        "integrity.rows",
        r"by_gene\.parquet: it has 60 rows, titin\.json says 61",
        in_manifest(lambda m: m["files"]["muscle_10x_expression_by_gene.parquet"].update(rows=61)),
        sign=False,
    ),
    Mutation(
        "a cell missing from a projection",
        "integrity.rows",
        r"X_umap\.parquet: it has 239 rows for 240 cells",
        edited("X_umap", drop_row),
    ),
    Mutation(
        "a gene missing from by_gene",
        "integrity.rows",
        r"by_gene\.parquet: it has 59 rows for 60 genes",
        edited("expression_by_gene", drop_row),
    ),
    Mutation(
        "n_cells edited in the manifest",
        "integrity.rows",
        r"expression\.parquet: it has 240 rows for 241 cells",
        in_manifest(item("n_cells", 241)),
    ),
    Mutation(
        "nnz edited in the manifest",
        "matrix.values",
        r"expression\.parquet: [\d,]+ values are stored, titin\.json",
        in_manifest(lambda m: m.update(nnz=m["nnz"] - 1)),
    ),
    Mutation(
        "kind edited in the manifest",
        "integrity.schema",
        r"expression\.parquet: column .*scale.*does not belong|"
        r"expression\.parquet: column \d+ is 'scale'",
        in_manifest(item("kind", "counts")),
    ),
    Mutation(
        "more values than cells × genes",
        "integrity.manifest",
        r"titin\.json: nnz is 14,401, more than 240 cells",
        in_manifest(item("nnz", 14_401)),
    ),
    Mutation(
        "a role without its column",
        "integrity.manifest",
        r"titin\.json: obs has no column 'donor'",
        in_manifest(lambda m: m["roles"].update(donor="donor")),
    ),
]


SCHEMAS = [
    Mutation(
        "counts as 32-bit integers in by_gene alone",
        "integrity.schema",
        r"by_gene\.parquet: column 'counts' is list<.*uint32",
        as_type("expression_by_gene", "counts", layout.list_of(pa.uint32())),
    ),
    Mutation(
        "source_row as 32-bit integers",
        "integrity.schema",
        r"expression\.parquet: column 'source_row' is int32",
        as_type("expression", "source_row", pa.int32()),
    ),
    Mutation(
        "a renamed column of obs",
        "integrity.schema",
        r"sample_metadata\.parquet: column \d+ is 'score2'.*'score'",
        edited("sample_metadata", renamed),
    ),
    Mutation(
        "columns in another order",
        "integrity.schema",
        r"feature_metadata\.parquet: column \d+ is",
        edited("feature_metadata", reordered),
    ),
    Mutation(
        "a panel column that may be missing",
        "integrity.schema",
        r"panel\.parquet: column .* may have missing values",
        lambda f: nullable("expression_panel", panel_gene(f))(f),
    ),
    Mutation(
        "pandas' index lost",
        "integrity.schema",
        r"X_umap\.parquet: pandas would take \['score'\]",
        edited("X_umap", with_version),
    ),
]


MUTATIONS: list[Mutation] = [*FILES, *SCHEMAS]
