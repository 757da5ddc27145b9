"""What changes with age by several levels of cell types: each as Python says it of that level, and held as one."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from scipy import sparse

import titin
from titin.ageing import (
    ageing_tables,
    composition,
    differential_expression,
    pseudobulk,
    read_ageing_tables,
    write_ageing_tables,
)
from titin.check import validate
from titin.cli import cli
from titin.dataset import layout
from titin.dataset.manifest import Manifest, describe_file
from titin.demo import make_demo
from titin.errors import DatasetError, TitinError
from titin.progress import Progress
from titin.publish import write_public_copy

LEVELS = ["annotation_level0", "annotation_level1", "annotation_level2"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its labels have three levels."""
    folder = tmp_path_factory.mktemp("levels")
    return make_demo(folder, n_cells=900, n_genes=250, seed=0, force=False, progress=Progress()).path


@pytest.fixture(scope="module")
def dataset(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the tables of all of them."""
    folder = tmp_path_factory.mktemp("all") / "dataset"
    shutil.copytree(demo, folder)
    write_ageing_tables(titin.open(folder), levels="all")
    return folder


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    """One to be changed."""
    shutil.copytree(dataset, tmp_path / "copy")
    return tmp_path / "copy"


def errors(dataset: Path, *checks: str) -> list[str]:
    report = validate(dataset, checks=list(checks) or None)
    return [found.message for _, found in report.findings("error")]


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_has_the_numbers_of_python(dataset: Path, level: str) -> None:
    atlas = titin.open(dataset)
    found = read_ageing_tables(atlas, level)
    assert found.told["cell_type_level"] == level
    sums = pseudobulk(atlas).aggregate(["protocol", level, "donor", "age"])
    assert found.groups["cell_type"].tolist() == sums.groups[level].tolist()
    assert found.groups["n_cells"].tolist() == sums.groups["n_cells"].tolist()
    assert (found.counts != sums.counts).nnz == 0
    assert (found.detected != sums.detected).nnz == 0
    expected = differential_expression(atlas, cell_type_level=level)
    for column in layout.AGEING_STATISTICS:
        np.testing.assert_array_equal(found.tests[column], expected.table[column])
    assert [one["cell_type"] for one in found.told["expression"]["tests"]] == [
        one["cell_type"] for one in expected.tests
    ]
    fractions = composition(atlas, cell_type_level=level).table
    assert found.composition["cell_type"].tolist() == fractions["cell_type"].tolist()
    np.testing.assert_array_equal(found.composition["p_value"], fractions["p_value"])


def test_what_is_read_is_what_was_found(dataset: Path) -> None:
    atlas = titin.open(dataset)
    for level, place in zip(LEVELS, range(3), strict=True):
        read, made = read_ageing_tables(atlas, place), ageing_tables(atlas, cell_type_level=level)
        for name in ("groups", "tests", "composition"):
            pd.testing.assert_frame_equal(getattr(read, name), getattr(made, name), check_dtype=False)
        assert (read.counts != made.counts).nnz == (read.detected != made.detected).nnz == 0
        assert read.told == made.told


def test_the_coarsest_is_the_same_with_others_beside_it(demo: Path, dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(demo, tmp_path / "one")
    one, all_levels = write_ageing_tables(tmp_path / "one").manifest, Manifest.read(dataset)
    assert list(one.ageing) == LEVELS[:1]
    assert list(all_levels.ageing) == LEVELS
    assert one.ageing_files[LEVELS[0]] == all_levels.ageing_files[LEVELS[0]]
    for name in one.ageing_files[LEVELS[0]]:
        assert one.files[name] == all_levels.files[name]


def test_they_are_files_of_the_format_and_of_the_card(dataset: Path) -> None:
    assert errors(dataset) == []
    assert "by 3 levels" in validate(dataset, checks=["derived.ageing"])["derived.ageing"].outcome.read
    card = (dataset / layout.CARD).read_text("utf-8")
    assert "config_name: ageing_level_2_by_gene" in card
    assert "type of `annotation_level2`, one group a row" in card


@pytest.mark.parametrize(("asked", "held"), [
    ([1], ["annotation_level1"]), (["annotation_level2", 0], ["annotation_level0", "annotation_level2"]),
    (None, ["annotation_level0"]), ("annotation_level1", ["annotation_level1"]), (["all", 1], LEVELS),
])  # fmt: skip
def test_the_levels_that_are_asked_for_take_the_place_of_others(copy: Path, asked: Any, held: list[str]) -> None:
    manifest = write_ageing_tables(copy, levels=asked).manifest
    assert list(manifest.ageing) == held
    stored = {name for name in manifest.files if "_ageing_" in name}
    assert stored == {name for names in manifest.ageing_files.values() for name in names}
    # where one looks for them who knows of one level alone
    assert f"{manifest.prefix}_ageing_groups.parquet" in stored
    assert errors(copy, "derived.ageing", "integrity") == []


def test_levels_that_are_not_there_are_refused_by_name(copy: Path) -> None:
    with pytest.raises(TitinError, match="no level 'clusters'") as refused:
        write_ageing_tables(copy, levels=["clusters"])
    assert "annotation_level1" in refused.value.hint
    assert list(Manifest.read(copy).ageing) == LEVELS
    write_ageing_tables(copy)
    with pytest.raises(TitinError, match="by 'annotation_level1'") as refused:
        read_ageing_tables(titin.open(copy), "annotation_level1")
    assert "by annotation_level0;" in refused.value.hint


def test_a_dataset_without_them_says_what_finds_them(demo: Path) -> None:
    with pytest.raises(TitinError, match="does not hold"):
        read_ageing_tables(titin.open(demo))


def test_tables_from_before_levels_were_named_are_those_of_the_coarsest(copy: Path) -> None:
    write_ageing_tables(copy)
    path = copy / layout.MANIFEST
    document = json.loads(path.read_text("utf-8"))
    assert document.pop("ageing") == {"annotation_level0": {"file": "ageing"}}
    document["format_minor"] = 1
    path.write_text(json.dumps(document), "utf-8")
    assert list(Manifest.read(copy).ageing) == ["annotation_level0"]
    assert errors(copy, "derived.ageing", "integrity") == []
    assert len(read_ageing_tables(titin.open(copy)).groups)


def rewrite(copy: Path, level: str, part: str, column: str) -> None:
    """Add one to the fourth value of a column of a table."""
    manifest = Manifest.read(copy)
    path = copy / getattr(manifest.ageing_files[level], part)
    table = pq.read_table(path)
    at = table.column_names.index(column)
    values = table.column(at).to_numpy().copy()
    values[3] += 1
    changed = table.set_column(at, table.schema.field(at), [values])
    pq.write_table(changed, path, store_schema=True)
    manifest.files[path.name] = describe_file(path)
    manifest.write(copy)


@pytest.mark.parametrize("level", LEVELS)
def test_a_changed_value_of_any_level_is_found(copy: Path, level: str) -> None:
    rewrite(copy, level, "groups", "n_counts")
    findings = validate(copy, checks=["derived.ageing"])["derived.ageing"].outcome.findings
    assert [finding.message for finding in findings] == ["1 groups have other counts in all than their cells"]
    assert str(findings[0].where).startswith(Manifest.read(copy).ageing_files[level].groups)


def test_levels_that_were_swapped_are_found(copy: Path) -> None:
    manifest = Manifest.read(copy)
    first, second = LEVELS[:2]
    manifest.ageing[first], manifest.ageing[second] = manifest.ageing[second], manifest.ageing[first]
    manifest.write(copy)
    assert any("it is by 'annotation_level1'" in said for said in errors(copy, "derived.ageing"))


def test_a_level_whose_tables_are_gone_is_found(copy: Path) -> None:
    manifest = Manifest.read(copy)
    names = list(manifest.ageing_files["annotation_level2"])
    for name in names[1:]:
        (copy / name).unlink()
        del manifest.files[name]
    manifest.write(copy)
    assert errors(copy, "derived.ageing") == ["a table is missing that goes with others which are there"]
    (copy / names[0]).unlink()
    del manifest.files[names[0]]
    manifest.write(copy)
    assert errors(copy, "derived.ageing") == [f"{layout.MANIFEST} tells of it, and it is not there"]
    with pytest.raises(DatasetError):
        read_ageing_tables(titin.open(copy), "annotation_level2")


def test_tables_that_no_level_has_are_no_files_of_the_format(copy: Path) -> None:
    manifest = Manifest.read(copy)
    del manifest.ageing["annotation_level2"]
    manifest.write(copy)
    assert errors(copy, "integrity").count("it is no file of the format") == 4


@pytest.mark.parametrize(("ageing", "said"), [
    ({"a": {"file": "ageing"}, "b": {"file": "ageing"}}, "ageing has the file"),
    ({"a": {"file": "../x"}}, r"ageing\.a\.file"), ({"a": {"file": "ageing_level_0"}}, r"ageing\.a\.file"),
    ({"a": {}}, r"ageing\.a\.file"), (["a"], "ageing"),
])  # fmt: skip
def test_a_manifest_that_leads_elsewhere_is_refused(copy: Path, ageing: Any, said: str) -> None:
    path = copy / layout.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"ageing": ageing}), "utf-8")
    with pytest.raises(DatasetError, match=said):
        Manifest.read(copy)


def test_other_labels_take_all_levels_away(copy: Path) -> None:
    atlas = titin.open(copy)
    labels = pd.DataFrame({"annotation_level2": atlas.obs["annotation_level2"].astype(str) + "_"})
    manifest = titin.relabel(copy, labels).manifest
    assert manifest.ageing == {}
    assert not [name for name in manifest.files if "_ageing_" in name]


def test_what_is_published_in_bins_has_the_same_levels_by_the_bins(copy: Path) -> None:
    write_ageing_tables(copy, levels=[0, 2])
    public = write_public_copy(copy, "me/atlas", find_ageing=write_ageing_tables)
    atlas = titin.open(public)
    assert list(atlas.manifest.ageing) == ["annotation_level0", "annotation_level2"]
    for level in atlas.manifest.ageing:
        assert set(read_ageing_tables(atlas, level).groups["age"]) <= set(atlas.ages.unique())
    assert errors(public, "derived.ageing", "integrity") == []
    script = (public / "data_processing.py").read_text("utf-8")
    assert "write_ageing_tables(titin.open(output), levels=['annotation_level0', 'annotation_level2'])" in script


def test_without_types_all_cells_are_one(tmp_path: Path) -> None:
    obs = pd.DataFrame({"donor": list("ABCDEF") * 20, "age": ["20", "30", "40", "60", "70", "80"] * 20},
                       index=[f"c{i}" for i in range(120)])  # fmt: skip
    counts = sparse.csr_matrix(np.random.default_rng(0).poisson(3.0, (120, 30)).astype("f4"))
    ad.AnnData(counts, obs, pd.DataFrame(index=[f"G{i}" for i in range(30)])).write_h5ad(tmp_path / "a.h5ad")
    titin.build(
        tmp_path / "a.h5ad", tmp_path / "dataset", tissue="t", method="m", roles={"donor": "donor", "age": "age"}
    )
    for levels in (None, "all"):
        atlas = write_ageing_tables(tmp_path / "dataset", levels=levels)
        assert atlas.manifest.ageing == {"all cells": {"file": "ageing"}}
        assert set(read_ageing_tables(atlas).groups["cell_type"]) == {"all cells"}
        assert errors(tmp_path / "dataset", "derived.ageing") == []


def test_the_command_says_what_it_has_put_there(copy: Path) -> None:
    run = CliRunner().invoke(
        cli, ["age", "tables", str(copy), "--cell-type-level", "annotation_level1", "--cell-type-level", "2", "--json"]
    )
    assert run.exit_code == 0, run.output
    document = json.loads(run.stdout)
    assert list(document["levels"]) == ["annotation_level1", "annotation_level2"]
    assert document["groups"] == sum(own["groups"] for own in document["levels"].values())
    assert sum(document["files"].values()) == sum(own["bytes"] for own in document["levels"].values())
    run = CliRunner().invoke(cli, ["age", "tables", str(copy), "--cell-type-level", "all", "--quiet"])
    assert run.exit_code == 0, run.output
    assert re.search(r"by annotation_level0 \(.* by annotation_level2 \(", run.stdout.replace("\n", " "))
    refused = CliRunner().invoke(cli, ["age", "tables", str(copy), "--cell-type-level", "clusters"]).exception
    assert "no level 'clusters'" in str(refused)
