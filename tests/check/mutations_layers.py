"""Corruptions of layers and of raw."""

from corruptions import edited, first_plus_one, in_manifest, put, put_in_list, same_change, swap_columns
from mutations import Mutation

_SPLICED, _SCALED = "muscle_10x_layer_spliced_expression", "muscle_10x_layer_scaled_expression"

MUTATIONS = [
    Mutation(
        "a count of a layer changed in by_gene only",
        "matrix.transpose",
        r"layer_spliced_expression_by_gene\.parquet, gene \S+ \(row 5\): layers/spliced: 1 genes differ",
        put_in_list(f"{_SPLICED}_by_gene.parquet", "counts", 5, first_plus_one),
        "layers",
    ),
    Mutation(
        "a zero in a layer",
        "matrix.values",
        r"layer_spliced_expression\.parquet, row 4: layers/spliced: 1 cells store zeros",
        put_in_list(f"{_SPLICED}.parquet", "counts", 4, lambda c: [0, *c[1:]]),
        "layers",
    ),
    Mutation(
        "a value of a layer that is no number",
        "matrix.values",
        r"layers/scaled: 1 values are not finite",
        put_in_list(f"{_SCALED}.parquet", "values", 4, lambda c: [float("nan"), *c[1:]]),
        "layers",
    ),
    Mutation(
        "another number of values of a layer in the manifest",
        "matrix.values",
        r"layers/spliced: [\d,]+ values are stored, titin\.json says 9,000",
        in_manifest(lambda m: m["parts"]["layers/spliced"].update(nnz=9000)),
        "layers",
    ),
    Mutation(
        "a count of a layer changed in both files",
        "source.matrix",
        r"layer_spliced_expression\.parquet, row \d+: layers/spliced: 1 cells differ.*in the source",
        lambda folder: same_change(folder, f"{_SPLICED}.parquet", f"{_SPLICED}_by_gene.parquet"),
        "layers",
        source=True,
    ),
    Mutation(
        "cells of a layer that are other rows of the source",
        "integrity.cell_ids",
        r"layer_scaled_expression\.parquet, column source_row: 2 cells are other rows of the source than in",
        edited(f"{_SCALED}.parquet", lambda t: swap_columns(t, ("source_row",), 2, 30)),
        "layers",
    ),
    Mutation(
        "cells of a layer in another order",
        "integrity.cell_ids",
        r"layer_scaled_expression\.parquet, row 2: 2 cell_id differ",
        edited(f"{_SCALED}.parquet", lambda t: swap_columns(t, ("cell_id",), 2, 30)),
        "layers",
    ),
    Mutation(
        "a layer whose files are not listed",
        "integrity.manifest",
        r"titin\.json: the dataset has no muscle_10x_layer_scaled_expression\.parquet",
        in_manifest(lambda m: m["files"].pop(f"{_SCALED}.parquet")),
        "layers",
    ),
    Mutation(
        "wrong n_counts of a gene of raw",
        "matrix.statistics",
        r"raw_feature_metadata\.parquet, column n_counts, gene \S+ \(row 6\): raw: 1 genes",
        put("muscle_10x_raw_feature_metadata.parquet", "n_counts", 6, 1),
        "layers",
    ),
    Mutation(
        "a gene of raw of another name",
        "source.order",
        r"raw_feature_metadata\.parquet, row 6: raw: 1 genes have another name",
        put("muscle_10x_raw_feature_metadata.parquet", "gene", 6, "OTHER"),
        "layers",
        source=True,
    ),
]
