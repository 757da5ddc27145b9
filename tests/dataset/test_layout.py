"""Names, types and encodings of the format, as its specification has them."""

import json

import pyarrow as pa
import pytest

from titin.dataset import layout
from titin.dataset.layout import Layout


def test_file_names():
    names = Layout("skeletal_muscle_10x")
    assert [
        names.expression, names.expression_by_gene, names.expression_panel, names.sample_metadata,
        names.feature_metadata, names.unstructured_metadata, layout.STRUCTURE, layout.MANIFEST, layout.CARD,
    ] == [
        "skeletal_muscle_10x_expression.parquet", "skeletal_muscle_10x_expression_by_gene.parquet",
        "skeletal_muscle_10x_expression_panel.parquet", "skeletal_muscle_10x_sample_metadata.parquet",
        "skeletal_muscle_10x_feature_metadata.parquet", "skeletal_muscle_10x_unstructured_metadata.json",
        "detailed_structure.json", "titin.json", "README.md",
    ]  # fmt: skip


@pytest.mark.parametrize(("key", "name"), [
    ("X_umap", "a_projection_X_umap.parquet"),
    ("X_scVI", "a_projection_X_scVI.parquet"),
    ("my umap/2", "a_projection_my_umap_2.parquet"),
    ("../évil", "a_projection_..__vil.parquet"),
])  # fmt: skip
def test_projections_have_plain_file_names(key, name):
    assert Layout("a").projection(key) == name


@pytest.mark.parametrize(("key", "n", "columns"), [
    ("X_umap", 2, ["UMAP1", "UMAP2"]),
    ("X_scVI", 1, ["SCVI1"]),
    ("harmony", 1, ["HARMONY1"]),
    ("X_", 1, ["X_1"]),
    ("X_pca", 11, [f"PCA{i}" for i in range(1, 12)]),
])  # fmt: skip
def test_projection_columns(key, n, columns):
    assert layout.projection_columns(key, n) == columns


def test_shards():
    assert layout.shard("a.parquet", 0, 1) == "a.parquet"
    assert [layout.shard("a.parquet", i, 12) for i in (0, 11)] == [
        "a-00000-of-00012.parquet", "a-00011-of-00012.parquet",
    ]  # fmt: skip


@pytest.mark.parametrize(("n_genes", "dtype"), [(1, pa.uint16()), (65_535, pa.uint16()), (65_536, pa.uint16()),
                                                (65_537, pa.uint32())])  # fmt: skip
def test_tokens_take_16_bits_while_they_fit(n_genes, dtype):
    assert layout.gene_type(n_genes) == dtype
    assert n_genes - 1 <= 2**dtype.bit_width - 1


def test_every_file_says_what_it_is():
    metadata = layout.file_metadata()
    assert json.loads(metadata[b"titin"]) == {"format_version": 1}
    for key in (b"use_content_defined_chunking", b"content_defined_chunking"):
        assert set(json.loads(metadata[key])) == {"min_chunk_size", "max_chunk_size", "norm_level"}


def test_dictionaries_are_for_labels_and_booleans_only():
    schema = pa.schema({
        "cell_id": pa.string(), "donor": pa.dictionary(pa.int32(), pa.string()), "doublet": pa.bool_(),
        "genes": layout.list_of(pa.uint16()), "scale": pa.float32(),
    })  # fmt: skip
    assert layout.parquet_options(schema)["use_dictionary"] == ["donor", "doublet"]
    assert layout.parquet_options(pa.schema({"x": pa.float32()}))["use_dictionary"] is False
