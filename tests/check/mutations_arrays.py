"""Corruptions of arrays that are kept beside the matrix."""

import pyarrow as pa
from corruptions import as_type, edited, in_manifest, put, put_in_list, swap_columns
from mutations import Mutation

_DISTANCES, _LOADINGS = "muscle_10x_array_obsp_distances.parquet", "muscle_10x_array_varm_PCs.parquet"

MUTATIONS = [
    Mutation(
        "a distance between cells changed",
        "source.arrays",
        r"array_obsp_distances\.parquet: obsp/distances: 1 values differ; the first is \S+ in column \d+, not \S+ in",
        put_in_list(_DISTANCES, "entries", 7, lambda c: [c[0] + 1, *c[1:]]),
        "layers",
        source=True,
    ),
    Mutation(
        "loadings of the source changed",
        "source.arrays",
        r"array_varm_PCs\.parquet: varm/PCs: 1 values differ; the first is \S+, not \S+, in source row \d+",
        put_in_list(_LOADINGS, "entries", 3, lambda c: [c[0] + 1, *c[1:]]),
        "layers",
        source=True,
    ),
    Mutation(
        "a distance to a cell that is not there",
        "integrity.arrays",
        r"array_obsp_distances\.parquet: obsp/distances: .* names column 5,000 of 240",
        put_in_list(_DISTANCES, "columns", 7, lambda c: [*c[:-1], 5000]),
        "layers",
    ),
    Mutation(
        "a distance that is listed twice",
        "integrity.arrays",
        r"obsp/distances: .* columns of a row do not ascend",
        put_in_list(_DISTANCES, "columns", 7, lambda c: [c[1], *c[1:]]),
        "layers",
    ),
    Mutation(
        "a row of loadings that is shorter",
        "integrity.arrays",
        r"varm/PCs: .* a row has not the 4 values",
        put_in_list(_LOADINGS, "entries", 3, lambda c: c[:-1]),
        "layers",
    ),
    Mutation(
        "another number of distances in the manifest",
        "integrity.arrays",
        r"obsp/distances: 2,880 values are stored, titin\.json says 9",
        in_manifest(lambda m: m["arrays"]["obsp/distances"].update(n_values=9)),
        "layers",
    ),
    Mutation(
        "distances of another type",
        "integrity.schema",
        r"array_obsp_distances\.parquet",
        as_type(_DISTANCES, "entries", pa.list_(pa.field("element", pa.float32(), nullable=False))),
        "layers",
    ),
    Mutation(
        "cells of a graph in another order",
        "integrity.cell_ids",
        r"array_obsp_distances\.parquet, row 2: 2 cell_id differ",
        edited(_DISTANCES, lambda t: swap_columns(t, ("cell_id",), 2, 30)),
        "layers",
    ),
    Mutation(
        "a renamed gene of loadings",
        "integrity.genes",
        r"array_varm_PCs\.parquet, column gene, row 4: 1 genes have another name",
        put(_LOADINGS, "gene", 4, "NEW"),
        "layers",
    ),
]
