"""Tables computed from a dataset are checked like what came with it."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import titin
from titin.ageing import write_pseudobulk
from titin.check import validate
from titin.dataset import layout
from titin.dataset.manifest import Manifest, describe_file
from titin.demo import make_demo
from titin.features import GeneSetScores, write_gene_set_scores
from titin.progress import Progress
from titin.publish import refresh_card


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """The demo with pseudobulk and scores."""
    folder = tmp_path_factory.mktemp("demo")
    path = make_demo(folder, n_cells=600, n_genes=300, seed=0, force=False, progress=Progress()).path
    atlas = write_pseudobulk(titin.open(path))
    scores = pd.DataFrame({"set": np.linspace(0, 1, atlas.n_obs)}, index=atlas.obs_names)
    write_gene_set_scores(path, GeneSetScores(scores, settings={"method": "given"}), last=refresh_card)
    return path


@pytest.fixture
def corrupt(dataset, tmp_path):
    """Change one file of a copy and sign it again; gives the report of a full validation."""

    def change(name, column, function):
        copy = tmp_path / "copy"
        shutil.copytree(dataset, copy)
        file = copy / getattr(Manifest.read(copy).layout, name)
        table = pq.read_table(file)
        at = table.column_names.index(column)
        changed = function(table.column(at).combine_chunks())
        schema = table.schema
        pq.write_table(table.set_column(at, schema.field(at), pa.chunked_array([changed])), file, store_schema=True)
        manifest = Manifest.read(copy)
        manifest.files[file.name] = describe_file(file)
        manifest.write(copy)
        return validate(copy, checks=["derived"])

    return change


def test_they_are_files_of_the_format(dataset):
    report = validate(dataset)
    assert [finding.message for result, finding in report.findings() if finding.severity == "error"] == []
    assert not report["derived.pseudobulk"].outcome.skipped
    assert not report["derived.gene_set_scores"].outcome.skipped
    assert "config_name: pseudobulk" in (dataset / layout.CARD).read_text("utf-8")


def test_a_changed_sum_is_found_by_gene(corrupt):
    def more(lists: pa.ListArray) -> pa.ListArray:
        values = lists.values.to_numpy().copy()
        values[0] += 1
        return pa.ListArray.from_arrays(lists.offsets, pa.array(values), type=lists.type)

    report = corrupt("pseudobulk", layout.COUNTS, more)
    (finding,) = report["derived.pseudobulk"].outcome.findings
    assert "1 of 300 genes have other sums of counts" in finding.message


def test_a_score_that_is_no_number_is_found(corrupt):
    def hole(column: pa.Array) -> pa.Array:
        values = column.to_numpy().copy()
        values[7] = np.nan
        return pa.array(values, from_pandas=False)

    report = corrupt("gene_set_scores", "set", hole)
    (finding,) = report["derived.gene_set_scores"].outcome.findings
    assert finding.where.endswith("column set, row 7")
