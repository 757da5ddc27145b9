"""What changes with age, kept in the dataset: the same numbers as Python gives, and a check that finds others."""

import shutil
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import sparse

import titin
from titin.ageing import composition, differential_expression, pseudobulk, write_ageing_tables, write_pseudobulk
from titin.check import validate
from titin.dataset import layout
from titin.dataset.arrow import list_arrays
from titin.dataset.manifest import Manifest, describe_file
from titin.demo import make_demo
from titin.errors import TitinError
from titin.progress import Progress
from titin.publish import write_public_copy


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo whose fibres can be compared, with its tables."""
    folder = tmp_path_factory.mktemp("ageing_tables")
    made = make_demo(folder, n_cells=1200, n_genes=400, seed=0, force=False, progress=Progress())
    write_ageing_tables(titin.open(made.path))
    return made.path


def file_of(dataset: Path, name: str, level: str = "annotation_level0") -> Path:
    return dataset / getattr(Manifest.read(dataset).ageing_files[level], name)


def read(dataset: Path, name: str, level: str = "annotation_level0") -> pa.Table:
    return pq.read_table(file_of(dataset, name, level))


def test_sums_are_those_of_the_pseudobulk(dataset: Path) -> None:
    groups, genes = read(dataset, "groups").to_pandas(), read(dataset, "by_gene")
    sums = pseudobulk(titin.open(dataset)).aggregate(["protocol", "annotation_level0", "donor", "age"])
    assert groups["donor"].tolist() == sums.groups["donor"].tolist()
    assert groups["n_cells"].tolist() == sums.groups["n_cells"].tolist()
    assert groups["n_counts"].tolist() == np.asarray(sums.counts.sum(axis=1)).ravel().tolist()
    for token in (0, 7, 399):
        of = genes.column("groups")[token].as_py()
        for column, known in (("counts", sums.counts), ("cells", sums.detected)):
            wide = np.zeros(len(groups), np.int64)
            wide[of] = genes.column(column)[token].as_py()
            assert wide.tolist() == known[:, [token]].toarray().ravel().tolist()


def test_tests_are_those_of_the_differential_expression_both_ways(dataset: Path) -> None:
    expected = differential_expression(titin.open(dataset)).table
    tests = read(dataset, "tests").to_pandas()
    assert len(expected) > 100
    assert len(tests) == len(expected)
    for column in layout.AGEING_STATISTICS:
        np.testing.assert_array_equal(tests[column], expected[column])
    genes = read(dataset, "by_gene")
    assert np.array(genes.column("gene"))[tests["token"]].tolist() == expected["gene"].tolist()
    by_gene = tests.sort_values(["token", "comparison"])
    assert list_arrays(genes.column("comparisons")).elements.tolist() == by_gene["comparison"].tolist()
    for column in layout.AGEING_STATISTICS:
        np.testing.assert_array_equal(list_arrays(genes.column(column)).elements, by_gene[column])


def test_dots_by_the_library_average_to_the_mean_of_the_test(dataset: Path) -> None:
    groups, tests = read(dataset, "groups").to_pandas(), read(dataset, "tests").to_pandas()
    told = differential_expression(titin.open(dataset)).tests
    genes = read(dataset, "by_gene")
    for row in tests.groupby("comparison").head(2).itertuples():
        place = told[row.comparison]
        mine = ((groups["cell_type"] == place["cell_type"]) & (groups["protocol"] == place["protocol"])
                & groups["library"].notna()).to_numpy()  # fmt: skip
        assert mine.sum() == len(place["donors"])
        counts = np.zeros(len(groups))
        counts[genes.column("groups")[row.token].as_py()] = genes.column("counts")[row.token].as_py()
        dots = np.log2((counts[mine] + 0.5) / (groups["library"][mine] + 1) * 1e6)
        assert dots.mean() == pytest.approx(row.mean_log_cpm, rel=1e-9)


def test_fractions_are_those_of_the_composition(dataset: Path) -> None:
    expected = composition(titin.open(dataset)).table
    found = read(dataset, "composition").to_pandas()
    assert found["cell_type"].astype(str).tolist() == expected["cell_type"].tolist()
    for column in ("fold_change", "fold_change_low", "fold_change_high", "p_value"):
        np.testing.assert_array_equal(found[column], expected[column])


def test_they_are_files_of_the_format(dataset: Path) -> None:
    report = validate(dataset)
    assert [found.message for _, found in report.findings("error")] == []
    assert "tests" in report["derived.ageing"].outcome.read
    assert "config_name: ageing_by_gene" in (dataset / layout.CARD).read_text("utf-8")


def one_more(column: pa.Array) -> pa.Array:
    if pa.types.is_list(column.type):
        values = column.values.to_numpy().copy()
        values[3] += 1
        return pa.ListArray.from_arrays(column.offsets, pa.array(values), type=column.type)
    values = column.to_numpy(zero_copy_only=False).copy()
    values[3] += 1
    return pa.array(values, column.type)


@pytest.mark.parametrize(("name", "column", "said"), [
    ("by_gene", "counts", "counts are not those of the cells: gene 0"),
    ("by_gene", "cells", "cells are not those of the cells: gene 0"),
    ("by_gene", "log2_fold_change", "its tests are not those of"),
    ("tests", "p_value", "its tests are not those of"), ("tests", "token", "its tests are not those of"),
    ("groups", "n_cells", "1 groups have other numbers of cells"),
    ("groups", "n_counts", "1 groups have other counts in all"), ("groups", "age", "it has no group of"),
])  # fmt: skip
def test_a_changed_value_is_found(dataset: Path, tmp_path: Path, name: str, column: str, said: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    file = file_of(copy, name)
    table = pq.read_table(file)
    at = table.column_names.index(column)
    changed = one_more(table.column(at).combine_chunks())
    pq.write_table(table.set_column(at, table.schema.field(at), pa.chunked_array([changed])), file, store_schema=True)
    manifest = Manifest.read(copy)
    manifest.files[file.name] = describe_file(file)
    manifest.write(copy)
    found = validate(copy, checks=["derived.ageing"])["derived.ageing"].outcome.findings
    assert any(said in finding.message for finding in found), [finding.message for finding in found]


@pytest.fixture(scope="module")
def published(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What would be published, the ages in bins."""
    copy = tmp_path_factory.mktemp("published") / "dataset"
    shutil.copytree(dataset, copy)
    return write_public_copy(copy, "me/atlas", find_ageing=write_ageing_tables)


def test_what_is_published_in_bins_is_found_by_the_bins(dataset: Path, published: Path) -> None:
    exact, public = (read(folder, "groups").to_pandas()["age"] for folder in (dataset, published))
    middles = titin.open(published).ages.unique()
    assert set(public) <= set(middles)
    assert set(exact) - set(middles)
    report = validate(published, checks=["derived.ageing", "integrity"])
    assert [found.message for _, found in report.findings("error")] == []
    script = (published / "data_processing.py").read_text("utf-8")
    assert script.index("write_ageing_tables(titin.open(output), levels=['annotation_level0'])") < script.index(
        "write_public_copy(output"
    )
    assert "find_ageing=titin.ageing.write_ageing_tables" in script


def test_without_that_sums_by_exact_age_are_left_out(dataset: Path, tmp_path: Path) -> None:
    copy = tmp_path / "dataset"
    shutil.copytree(dataset, copy)
    write_pseudobulk(titin.open(copy))
    public = Manifest.read(write_public_copy(copy, "me/atlas"))
    assert public.ageing == {}
    assert not [name for name in public.files if "_ageing_" in name or "_pseudobulk" in name]


def test_other_labels_take_the_tables_away(dataset: Path, tmp_path: Path) -> None:
    copy = tmp_path / "dataset"
    shutil.copytree(dataset, copy)
    atlas = titin.open(copy)
    labels = pd.DataFrame({"annotation_level0": atlas.obs["annotation_level0"].astype(str).replace("FB", "Fibro")})
    done = titin.relabel(copy, labels)
    assert any("`titin age tables` finds it anew" in said for said in done.stale)
    assert done.manifest.ageing == {}
    assert not [name for name in done.manifest.files if "_ageing_" in name]


@pytest.mark.parametrize("lacking", ["donor", "age"])
def test_without_donors_or_ages_they_are_refused_in_words(tmp_path: Path, lacking: str) -> None:
    obs = pd.DataFrame({"donor": ["A", "B"] * 15, "age": ["30", "70"] * 15}, index=[f"c{i}" for i in range(30)])
    counts = sparse.csr_matrix(np.random.default_rng(0).poisson(2.0, (30, 20)).astype("f4"))
    ad.AnnData(counts, obs.drop(columns=lacking), pd.DataFrame(index=[f"G{i}" for i in range(20)])).write_h5ad(
        tmp_path / "a.h5ad"
    )
    roles = {role: role for role in ("donor", "age") if role != lacking}
    titin.build(tmp_path / "a.h5ad", tmp_path / "dataset", tissue="t", method="m", roles=roles)
    with pytest.raises(TitinError, match="donors" if lacking == "donor" else "ages"):
        write_ageing_tables(titin.open(tmp_path / "dataset"))
