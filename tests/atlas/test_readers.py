"""pandas, polars, duckdb, pyarrow and `datasets` read every file of a dataset, and agree."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from scipy import sparse

from titin.builder import build
from titin.dataset import layout

# the files of the demo, by Hub config, and the column that pandas has as the index
FILES = {
    "expression": ("expression", "cell_id"),
    "expression_by_gene": ("expression_by_gene", "gene"),
    "panel": ("expression_panel", "cell_id"),
    "sample_metadata": ("sample_metadata", "cell_id"),
    "feature_metadata": ("feature_metadata", "gene"),
    "projection_X_scVI": ("projection_X_scVI", "cell_id"),
    "projection_X_umap": ("projection_X_umap", "cell_id"),
}

Columns = dict[str, list[Any]]


def with_pyarrow(paths: list[Path], columns: list[str] | None = None) -> Columns:
    return pa.concat_tables(pq.read_table(path, columns=columns) for path in paths).to_pydict()


def with_pandas(paths: list[Path], columns: list[str] | None = None) -> Columns:
    """The index is read along with whatever columns; it is left away again where it was not asked for."""
    frame = pd.concat(pd.read_parquet(path, columns=columns) for path in paths).reset_index()
    return {name: _plain(frame[name].tolist()) for name in columns or frame.columns}


def with_polars(paths: list[Path], columns: list[str] | None = None) -> Columns:
    return pl.read_parquet(paths, columns=columns).to_dict(as_series=False)


def with_polars_lazily(paths: list[Path], columns: list[str] | None = None) -> Columns:
    frame = pl.scan_parquet(paths)
    return (frame.select(columns) if columns else frame).collect().to_dict(as_series=False)


def with_duckdb(paths: list[Path], columns: list[str] | None = None) -> Columns:
    chosen = ", ".join(f'"{name}"' for name in columns) if columns else "*"
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT {chosen} FROM read_parquet($files)", {"files": [str(p) for p in paths]})
        names = [column[0] for column in found.description]
        return {name: list(values) for name, values in zip(names, zip(*found.fetchall(), strict=True), strict=True)}


READERS: dict[str, Callable[..., Columns]] = {
    "pandas": with_pandas,
    "polars": with_polars,
    "polars, lazily": with_polars_lazily,
    "duckdb": with_duckdb,
}


def _plain(values: list[Any]) -> list[Any]:
    return [value.tolist() if isinstance(value, np.ndarray) else value for value in values]


def assert_same_values(found: Columns, expected: Columns) -> None:
    """Equal in names, order and every value; missing numbers may be None or NaN."""
    assert list(found) == list(expected)
    for name, values in expected.items():
        if found[name] != values:
            assert [_known(v) for v in found[name]] == [_known(v) for v in values], name


def _known(value: Any) -> Any:
    missing = value is pd.NA or (isinstance(value, float) and math.isnan(value))
    return None if missing else value


def paths_of(demo: Any, file: str) -> list[Path]:
    return [demo.dataset / name for name in demo.manifest.shards(f"{demo.manifest.prefix}_{file}.parquet")]


def test_every_file_is_read_here(demo):
    parquet = {name for name in demo.manifest.files if name.endswith(".parquet")}
    assert parquet == {path.name for file, _ in FILES.values() for path in paths_of(demo, file)}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("config", FILES)
def test_reads_every_value(demo, config, reader):
    paths = paths_of(demo, FILES[config][0])
    assert_same_values(READERS[reader](paths), with_pyarrow(paths))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("config", FILES)
def test_reads_some_columns(demo, config, reader):
    paths = paths_of(demo, FILES[config][0])
    names = pq.read_schema(paths[0]).names
    chosen = [names[-1], names[len(names) // 2]]  # in another order than that of the file
    assert_same_values(READERS[reader](paths, chosen), with_pyarrow(paths, chosen))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("config", FILES)
def test_reads_shards(demo, sharded, config, reader):
    paths = paths_of(sharded, FILES[config][0])
    if config.startswith("expression"):
        assert len(paths) > 1
        assert [path.name[-14:-8] for path in paths] == [f"-{len(paths):05d}"] * len(paths)
    whole = with_pyarrow(paths_of(demo, FILES[config][0]))
    assert_same_values(READERS[reader](paths), whole)


# `datasets`, as the card of the folder tells it


@pytest.mark.parametrize("form", ["whole", "sharded"])
@pytest.mark.parametrize("config", FILES)
def test_datasets_reads_every_value_of_a_config(request, datasets, tmp_path, config, form):
    demo = request.getfixturevalue("demo" if form == "whole" else "sharded")
    found = datasets.load_dataset(str(demo.dataset), config, split="train", cache_dir=str(tmp_path))
    assert_same_values(found[:], with_pyarrow(paths_of(demo, FILES[config][0])))


@pytest.mark.parametrize("form", ["whole", "sharded"])
@pytest.mark.parametrize("config", FILES)
def test_datasets_streams_every_value_of_a_config(request, datasets, config, form):
    demo = request.getfixturevalue("demo" if form == "whole" else "sharded")
    paths = paths_of(demo, FILES[config][0])
    stream = datasets.load_dataset(str(demo.dataset), config, split="train", streaming=True)
    assert stream.num_shards == len(paths)
    found = pa.concat_tables(stream.with_format("arrow").iter(batch_size=1024)).to_pydict()
    assert_same_values(found, with_pyarrow(paths))


def test_datasets_selects_columns_and_rows(demo, datasets, tmp_path):
    sex = demo.source().obs["Sex"]
    found = datasets.load_dataset(
        str(demo.dataset), split="train", columns=["genes", "Sex"], filters=[("Sex", "==", sex.iloc[0])],
        cache_dir=str(tmp_path), verification_mode="no_checks",  # the card's number of rows is that of all rows
    )  # fmt: skip
    assert found.column_names == ["Sex", "genes"]
    assert len(found) == (sex == sex.iloc[0]).sum()


def test_datasets_takes_expression_where_no_config_is_named(demo, datasets):
    stream = datasets.load_dataset(str(demo.dataset), split="train", streaming=True)
    assert stream.column_names == pq.read_schema(paths_of(demo, "expression")[0]).names


def test_configs_are_those_of_the_card(demo, datasets):
    assert sorted(datasets.get_dataset_config_names(str(demo.dataset))) == sorted(FILES)


# one gene


def one_gene_with_pyarrow(path: Path, gene: str) -> tuple[list[int], list[int]]:
    table = pq.read_table(path, columns=["cells", "counts"], filters=[("gene", "==", gene)])
    return table.column("cells")[0].as_py(), table.column("counts")[0].as_py()


def one_gene_with_pandas(path: Path, gene: str) -> tuple[list[int], list[int]]:
    row = pd.read_parquet(path, columns=["cells", "counts"], filters=[("gene", "==", gene)]).loc[gene]
    return row["cells"].tolist(), row["counts"].tolist()


def one_gene_with_polars(path: Path, gene: str) -> tuple[list[int], list[int]]:
    row = pl.scan_parquet(path).filter(pl.col("gene") == gene).select("cells", "counts").collect().row(0)
    return row[0], row[1]


def one_gene_with_duckdb(path: Path, gene: str) -> tuple[list[int], list[int]]:
    with duckdb.connect() as connection:
        found = connection.execute("SELECT cells, counts FROM read_parquet(?) WHERE gene = ?", [str(path), gene])
        row = found.fetchall()[0]
    return row[0], row[1]


@pytest.mark.parametrize(
    "one_gene", [one_gene_with_pyarrow, one_gene_with_pandas, one_gene_with_polars, one_gene_with_duckdb]
)
@pytest.mark.parametrize("gene", ["MYH7", "PAX7", "TNMD"])
def test_one_gene_over_all_cells_is_its_column_of_x(demo, gene, one_gene):
    cells, counts = one_gene(paths_of(demo, "expression_by_gene")[0], gene)
    column = np.zeros(demo.manifest.n_cells)
    column[cells] = counts
    source = demo.source()
    total = source.obs["n_counts"].to_numpy(np.float64)
    values = source[:, gene].X.toarray().ravel().astype(np.float64)
    in_source_order = np.empty_like(column)
    in_source_order[pq.read_table(paths_of(demo, "expression")[0])["source_row"].to_numpy()] = column
    np.testing.assert_array_equal(in_source_order, np.rint(np.expm1(values) * total / 1e4))
    assert len(cells) == np.count_nonzero(values)


def test_one_gene_touches_one_row_group(demo):
    file = pq.ParquetFile(paths_of(demo, "expression_by_gene")[0])
    groups = [file.read_row_group(i, ["token", "cells"]) for i in range(file.num_row_groups)]
    assert sum(group.num_rows for group in groups) == demo.manifest.n_genes
    for group in groups:
        nonzeros = pc.sum(pc.list_value_length(group["cells"])).as_py()
        assert nonzeros <= layout.ROW_GROUP_NONZEROS or group.num_rows == 1


# how pandas sees the tables


@pytest.mark.parametrize("config", FILES)
def test_pandas_has_names_as_the_index_whatever_columns_it_reads(demo, config):
    file, index = FILES[config]
    path = paths_of(demo, file)[0]
    schema = pq.read_schema(path)
    names = pq.read_table(path, columns=[index]).column(0).to_pylist()
    assert "__index_level_0__" not in schema.names
    whole = pd.read_parquet(path)
    assert whole.index.tolist() == names
    assert whole.index.name == index
    assert whole.columns.tolist() == [name for name in schema.names if name != index]
    some = pd.read_parquet(path, columns=[schema.names[-1]])
    assert some.index.tolist() == names
    assert some.columns.tolist() == [schema.names[-1]]


def test_files_of_cells_have_the_same_cells_in_the_same_order(demo):
    files = [file for file, index in FILES.values() if index == "cell_id"]
    names = [pq.read_table(paths_of(demo, file)[0], columns=["cell_id"]).column(0).to_pylist() for file in files]
    assert all(pq.read_schema(paths_of(demo, file)[0]).names[0] == "cell_id" for file in files)
    assert all(other == names[0] for other in names[1:])
    rows = pq.read_table(paths_of(demo, "expression")[0])["source_row"].to_numpy()
    assert names[0] == demo.source().obs_names[rows].tolist()
    assert names[0] != demo.source().obs_names.tolist()


def test_pandas_has_the_dtypes_of_the_source(tmp_path):
    n = 6
    columns = {
        "integer": pd.array([1, None, *range(4)], dtype="Int64"),
        "small": pd.array([1, None, *range(4)], dtype="UInt8"),
        "flag": pd.array([True, None, *[False] * 4], dtype="boolean"),
        "text": pd.array(["a", None, *"bcde"], dtype="string"),
        "label": pd.Categorical(["b", "a", None, "a", "b", "b"], categories=["b", "a"]),
        "stage": pd.Categorical(["old", "young"] * 3, categories=["young", "old"], ordered=True),
        "plain": np.arange(n, dtype="int16"),
        "float": np.arange(n, dtype="float32"),
        "bool": np.arange(n) > 2,
    }
    obs = pd.DataFrame(columns, index=[f"cell-{i}" for i in range(n)])
    with ad.settings.override(allow_write_nullable_strings=True):
        ad.AnnData(sparse.csr_matrix(np.eye(n, dtype="float32")), obs=obs).write_h5ad(
            tmp_path / "atlas.h5ad", convert_strings_to_categoricals=False
        )
    report = build(tmp_path / "atlas.h5ad", tmp_path / "dataset", shuffle=False)
    found = pd.read_parquet(report.path / report.manifest.layout.sample_metadata)
    assert found.drop(columns=["label", "stage"]).dtypes.astype(str).to_dict() == {
        name: str(obs[name].dtype) for name in obs.columns if name not in ("label", "stage")
    }
    # a reader that knows nothing of titin has the labels and their order
    assert found["label"].astype(object).where(found["label"].notna(), None).tolist() == ["b", "a", None, "a", "b", "b"]
    assert found["label"].cat.categories.tolist() == ["b", "a"]
    assert found["stage"].cat.categories.tolist() == ["young", "old"]
    assert found["stage"].cat.ordered
    assert found["integer"].isna().tolist() == [False, True, False, False, False, False]


# what the files are made of


def test_expression_is_as_the_format_says(demo):
    file = pq.ParquetFile(paths_of(demo, "expression")[0])
    schema = file.schema_arrow
    assert schema.names[-5:] == ["source_row", "scale", "genes", "counts", "levels"]
    assert [str(schema.field(name).type) for name in schema.names[-5:]] == [
        "int64", "float", "list<element: uint16 not null>", "list<element: uint16 not null>",
        "list<element: float not null>",
    ]  # fmt: skip
    assert pa.types.is_string(schema.field("cell_id").type)
    labels = [f for f in schema if pa.types.is_dictionary(f.type)]
    assert {"annotation_level2", "DonorID", "Age_group", "Sex", "batch"} <= {field.name for field in labels}
    assert all(pa.types.is_string(field.type.value_type) for field in labels)
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [1024, 1300 - 1024]
    encodings = {}
    for c in range(file.metadata.num_columns):
        column = file.metadata.row_group(0).column(c)
        encodings[column.path_in_schema] = set(column.encodings)
        assert column.compression == "ZSTD"
    assert "DELTA_BINARY_PACKED" in encodings["genes.list.element"]
    assert "BYTE_STREAM_SPLIT" in encodings["counts.list.element"]


def test_tokens_ascend_and_levels_are_as_many_as_distinct_counts(demo):
    table = pq.read_table(paths_of(demo, "expression")[0], columns=["genes", "counts", "levels", "scale"])
    for cell in table.to_pylist():
        assert cell["genes"] == sorted(set(cell["genes"]))
        assert len(cell["genes"]) == len(cell["counts"])
        distinct = sorted(set(cell["counts"]))
        assert len(cell["levels"]) == len(distinct)
        np.testing.assert_allclose(cell["levels"], np.log1p(np.array(distinct) / cell["scale"]), rtol=1e-6)


@pytest.mark.parametrize("form", ["whole", "sharded"])
@pytest.mark.parametrize("config", FILES)
def test_pages_are_indexed_and_chunked_by_content(request, config, form):
    demo = request.getfixturevalue("demo" if form == "whole" else "sharded")
    for path in paths_of(demo, FILES[config][0]):
        metadata = pq.read_metadata(path)
        for g in range(metadata.num_row_groups):
            for c in range(metadata.num_columns):
                assert metadata.row_group(g).column(c).has_offset_index
        # the Hub looks for the first of these, `datasets` writes the second
        assert {b"use_content_defined_chunking", b"content_defined_chunking"} <= set(metadata.metadata)


@pytest.mark.parametrize("form", ["whole", "sharded"])
@pytest.mark.parametrize("config", FILES)
def test_the_hub_can_show_every_file(request, config, form):
    """Rules of its viewer that are about files: see hub.md, 1.1 to 1.3."""
    demo = request.getfixturevalue("demo" if form == "whole" else "sharded")
    paths = paths_of(demo, FILES[config][0])
    schema = pq.read_schema(paths[0])
    assert all(pq.read_schema(path).equals(schema, check_metadata=True) for path in paths)
    names = [name.casefold() for name in schema.names]
    assert len(names) <= 1000
    assert len(set(names)) == len(names)
    assert all(0 < len(name) <= 500 for name in names)
    assert not {"__hf_index_id", "__hf_fts_score", "__index_level_0__"} & set(names)
    assert not [name for name in names if name.endswith(".length") and name.removesuffix(".length") in names]
    table = pa.concat_tables(pq.read_table(path) for path in paths)
    for field in schema:
        element = field.type.value_type if pa.types.is_list(field.type) else field.type
        assert not pa.types.is_nested(element), field  # no map, list_view, fixed_size_list, struct
        assert not any(
            check(element) for check in (pa.types.is_string_view, pa.types.is_duration, pa.types.is_decimal)
        ), field
        assert not isinstance(element, pa.BaseExtensionType), field
        if pa.types.is_floating(element):
            column = table.column(field.name)
            values = pc.list_flatten(column) if pa.types.is_list(field.type) else column
            assert not pc.any(pc.is_inf(values)).as_py(), field


def test_the_panel_is_named_uniquely_even_without_case(tmp_path):
    """Genes whose symbols differ in case alone, or are the name of another column."""
    symbols = ["Myh7", "MYH7", "CELL_ID", "donor", "MYH7_1", "myh7"]
    atlas = ad.AnnData(
        np.random.default_rng(0).poisson(2.0, (50, 6)).astype("float32"),
        obs=pd.DataFrame({"donor": ["a", "b"] * 25}, index=[f"cell-{i}" for i in range(50)]),
        var=pd.DataFrame(index=symbols),
    )
    atlas.write_h5ad(tmp_path / "atlas.h5ad", convert_strings_to_categoricals=False)
    report = build(tmp_path / "atlas.h5ad", tmp_path / "dataset", roles={"donor": "donor"})
    names = pq.read_schema(report.path / report.manifest.layout.expression_panel).names
    assert len(names) == 8
    assert len({name.casefold() for name in names}) == 8
    card = (report.path / "README.md").read_text("utf-8")
    assert yaml.safe_load(card.split("---\n")[1])["configs"]
