"""Corruptions of tables of cells and genes, projections and documents."""

from corruptions import duplicate_barcode, edited, foreign_projection, in_json, item, put
from mutations import Mutation, edit_card, path_of, set_values, swap_rows

from titin.dataset import layout

TABLES = [
    Mutation(
        "two cells swapped in sample_metadata",
        "integrity.cell_ids",
        r"sample_metadata\.parquet, row 3: 2 cell_id differ",
        edited("sample_metadata", lambda t: swap_rows(t, 3, 90)),
    ),
    Mutation(
        "two cells swapped in the panel",
        "integrity.cell_ids",
        r"panel\.parquet, row 0: 2 cell_id differ",
        edited("expression_panel", lambda t: swap_rows(t, 0, 1)),
    ),
    Mutation(
        "another dataset's projection",
        "integrity.cell_ids",
        r"X_umap\.parquet, row 0: 240 .* in no other file",
        foreign_projection,
    ),
    Mutation(
        "a duplicated barcode",
        "integrity.cell_ids",
        r"row 4.*: 1 cell_id name several cells, 'CELL",
        duplicate_barcode,
    ),
    Mutation(
        "a label changed beside the expression",
        "integrity.labels",
        r"expression\.parquet, column annotation_level1, row 5: 1 cells have another",
        edited("expression", lambda t: set_values(t, "annotation_level1", [5], ["MF-III"])),
    ),
    Mutation(
        "a label changed in the panel",
        "integrity.labels",
        r"panel\.parquet, column donor_id, row 7: 1 cells",
        put("expression_panel", "donor_id", 7, "D9"),
    ),
    Mutation(
        "a label lost in the metadata",
        "integrity.labels",
        r"expression\.parquet, column sex, row 8: .*not None",
        put("sample_metadata", "sex", 8, None),
    ),
    Mutation(
        "a NaN in a projection",
        "integrity.projections",
        r"X_pca\.parquet, column PCA2, row 11: 1 values are not finite",
        put("X_pca", "PCA2", 11, float("nan")),
    ),
    Mutation(
        "an infinity in a projection",
        "integrity.projections",
        r"X_umap\.parquet, column UMAP1, row 0: .*inf",
        put("X_umap", "UMAP1", 0, float("inf")),
    ),
    Mutation(
        "a renamed gene",
        "integrity.genes",
        r"by_gene\.parquet, column gene, row 4: 1 genes have another gene.*'OTHER'",
        put("feature_metadata", "gene", 4, "OTHER"),
    ),
    Mutation(
        "two tokens swapped",
        "integrity.genes",
        r"feature_metadata\.parquet, column token, row 2",
        edited("feature_metadata", lambda t: set_values(t, "token", [2, 3], [3, 2])),
    ),
    Mutation(
        "a source column named twice",
        "integrity.genes",
        r"feature_metadata\.parquet, column source_column",
        edited(
            "feature_metadata", lambda t: set_values(t, "source_column", [2], [t.column("source_column")[3].as_py()])
        ),
    ),
    Mutation(
        "a gene out of the order of detection",
        "integrity.genes",
        r"feature_metadata\.parquet, column n_cells, row \d+",
        put("feature_metadata", "n_cells", 50, 239),
    ),
    Mutation(
        "a category miscounted",
        "integrity.structure",
        r"detailed_structure\.json, annotation_mapping, annotation_level1",
        in_json(layout.STRUCTURE, lambda d: d["annotation_mapping"]["annotation_level1"].update({"T cell": 1})),
    ),
    Mutation(
        "a wrong shape in the structure",
        "integrity.structure",
        r"detailed_structure\.json, shape: .*\[240, 61\]",
        in_json(layout.STRUCTURE, item("shape", [240, 61])),
    ),
    Mutation(
        "uns that is no JSON",
        "integrity.uns",
        r"unstructured_metadata\.json",
        lambda f: path_of(f, "unstructured_metadata").write_text("{", "utf-8") and None,
    ),
    Mutation(
        "wrong rows in the card",
        "integrity.card",
        r"README\.md, line \d+: it gives .* 241 rows",
        lambda f: edit_card(f, "` | `expression` | 240 |", "` | `expression` | 241 |"),
    ),
    Mutation(
        "a wrong size in the card",
        "integrity.card",
        r"README\.md, line \d+: it says '240 cells × 61 genes",
        lambda f: edit_card(f, "240 cells × 60 genes", "240 cells × 61 genes"),
    ),
    Mutation(
        "a config of a file that is gone",
        "integrity.card",
        r"README\.md, config panel: it names gone\.parquet",
        lambda f: edit_card(f, "- muscle_10x_expression_panel.parquet", "- gone.parquet"),
    ),
]


MUTATIONS: list[Mutation] = [*TABLES]
