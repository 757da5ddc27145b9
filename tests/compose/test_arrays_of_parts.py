"""obsp, varm, varp and sparse obsm of a part of a dataset, and of several as one: those of anndata, bit for bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_studies import build_study, exported, make_study

import titin
from kept_values import assert_same, random_sparse
from titin.atlas import kept_arrays
from titin.dataset.manifest import Manifest
from titin.dataset.row_group import RowGroup
from titin.errors import TitinError

GENES = [f"G{i}" for i in range(24)]
GROUPS = ("obsm", "varm", "obsp", "varp")


def study(n: int = 0, genes: list[str] = GENES, n_cells: int = 50) -> ad.AnnData:
    """Counts with arrays of every form between cells, of genes and between these; what is of genes is that of all."""
    whole = make_study("counts", genes, n_cells, seed=n, prefix=f"s{n}-")
    rng, (n_cells, n_genes) = np.random.default_rng(n), whole.shape
    own = np.array([int(gene[1:]) for gene in genes])
    whole.obsp["distances"] = random_sparse((n_cells, n_cells), "csr", n, "float32")
    whole.obsp["near"] = random_sparse((n_cells, n_cells), "csc", n + 1, "bool")
    whole.obsp["dense"] = rng.normal(size=(n_cells, n_cells))
    whole.obsm["sparse"] = random_sparse((n_cells, 11), "csr", n)
    whole.obsm["cube"] = rng.normal(size=(n_cells, 2, 2))
    whole.varm["PCs"] = np.random.default_rng(99).normal(size=(len(GENES), 5))[own]
    whole.varm["own"] = rng.normal(size=(n_genes, 2)).astype(np.float16)
    whole.varm["sparse"] = random_sparse((len(GENES), 9), "csc", 5)[own].tocsc()
    whole.varm["table"] = pd.DataFrame(
        {"weight": own / 7, "kind": pd.Categorical(np.array(["b", "a"])[own % 2])}, genes
    )
    between = random_sparse((len(GENES), len(GENES)), "csr", 4, "int64")[own][:, own]
    between.sort_indices()
    whole.varp["of genes"] = between
    whole.varp["dense"] = np.add.outer(own, own).astype(np.float64)
    whole.raw = whole.copy()
    return whole


@pytest.fixture(scope="module")
def dataset(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    return made_once("with arrays", lambda folder: build_study(study(), folder, "d", keep_all=True, project=())) / "d"


def assert_arrays(found: ad.AnnData, wanted: ad.AnnData, groups: tuple[str, ...] = GROUPS) -> None:
    for group in groups:
        assert set(getattr(found, group)) == set(getattr(wanted, group))
        for key, value in getattr(wanted, group).items():
            assert_same(getattr(found, group)[key], value, f"{group}/{key}")


def check_part(dataset: Path, cells: list[int], genes: list[int], folder: Path) -> None:
    whole = study()
    titin.subset(dataset, folder / "part", cells=whole.obs_names[cells], genes=whole.var_names[genes], threads=1)
    wanted = whole[sorted(cells), sorted(genes)].copy()
    assert_arrays(exported(folder / "part", folder), wanted)
    manifest = Manifest.read(folder / "part")
    assert not {place for place in manifest.left_out if place.startswith(("obs", "var"))}
    assert set(manifest.arrays) == set(Manifest.read(dataset).arrays)


def test_those_of_a_part_are_anndatas(dataset: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    check_part(dataset, rng.permutation(50)[:19].tolist(), rng.permutation(24)[:9].tolist(), tmp_path)
    assert titin.validate(tmp_path / "part").passed
    back = ad.read_h5ad(tmp_path / "part.back.h5ad")
    assert_same(back.raw.varm["PCs"], study().varm["PCs"], "raw has all of its genes")
    again = titin.subset(tmp_path / "part", tmp_path / "again", cells=[0], genes=[0]).manifest
    assert again.arrays["obsp/dense"]["n_values"] == 1


@pytest.mark.slow
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(cells=st.sets(st.integers(0, 49), min_size=1), genes=st.sets(st.integers(0, 23), min_size=1))
def test_those_of_any_part_are_anndatas(
    dataset: Path, cells: set[int], genes: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    check_part(dataset, list(cells), list(genes), tmp_path_factory.mktemp("part"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=st.lists(st.integers(0, 49), max_size=70), size=st.integers(1, 60))
def test_any_rows_are_read_from_row_groups_of_any_size(
    dataset: Path, chosen: list[int], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows in any order and more than once; each row group read once at most, and none where none of its rows is."""
    atlas = titin.open(dataset)
    whole = {
        place: kept_arrays.read_array(atlas.store, place) for place in ("obsp/distances", "obsp/dense", "obsm/cube")
    }
    order = np.array(chosen, np.int64)
    groups = [RowGroup("file", n, first, min(size, 50 - first)) for n, first in enumerate(range(0, 50, size))]
    read: list[int] = []
    for place, value in whole.items():
        table = atlas.store.table(atlas.manifest.arrays[place]["file"])

        def read_group(group: Any, columns: list[str], table: Any = table) -> Any:
            read.append(group.index)
            return table.slice(group.first_row, group.n_rows).select(columns)

        monkeypatch.setattr(atlas.store, "row_groups", lambda _: groups)
        monkeypatch.setattr(atlas.store, "read_group", read_group)
        found = kept_arrays.read_array(atlas.store, place, order)
        wanted = value[order][:, order] if place.startswith("obsp") else value[order]
        if sp.issparse(wanted):
            wanted.sort_indices()
        assert_same(found, wanted, place)
        assert read == sorted({row // size for row in chosen})
        read.clear()
    monkeypatch.undo()


def test_one_that_would_not_fit_the_memory_is_refused(dataset: Path, tmp_path: Path) -> None:
    manifest = Manifest.read(dataset)
    for path in dataset.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    manifest.arrays["obsp/distances"]["n_values"] = 10**9
    manifest.write(tmp_path)
    with pytest.raises(TitinError, match=r"obsp/distances of .* would take .* MiB of memory") as told:
        titin.subset(tmp_path, tmp_path / "part", where="flag=True", memory="1GiB")
    assert str(told.value.hint).startswith("give --memory ")
    assert not (tmp_path / "part").exists()


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, ad.AnnData], Path]:
    """One with all genes, one with most of them in another order."""
    folder = tmp_path_factory.mktemp("studies with arrays")
    made = {"one": study(), "other": study(1, GENES[20:2:-1], 30)}
    for name, source in made.items():
        build_study(source, folder, name, keep_all=True, project=())
    return made, folder


def test_those_of_a_merge_are_anndatas(studies: tuple[dict[str, ad.AnnData], Path], tmp_path: Path) -> None:
    made, folder = studies
    report = titin.merge([folder / name for name in made], tmp_path / "both")
    found = exported(report.path, tmp_path)
    wanted = ad.concat(made, join="inner", pairwise=True, merge="same")
    assert found.obs_names.tolist() == wanted.obs_names.tolist()
    assert found.var_names.tolist() == wanted.var_names.tolist()
    assert found.varm["sparse"].nnz == made["other"][:, found.var_names].varm["sparse"].nnz  # anndata drops zeros
    for one in (found, wanted):
        one.varm["sparse"] = one.varm["sparse"].toarray()
        one.varp["of genes"] = one.varp["of genes"].toarray()
    assert_arrays(found, wanted, ("varm", "obsp", "varp"))
    assert {"PCs", "table"} <= set(found.varm)
    assert_same(found.raw.varm["table"], found.varm["table"], "of raw")
    left_out = report.manifest.left_out
    assert left_out["varm/own"] == "other says otherwise than one"
    assert left_out["obsm/sparse"] == left_out["obsm/cube"]
    assert titin.validate(report.path).passed
    for name, source in made.items():
        titin.subset(report.path, tmp_path / name, where=f"study={name}")
        back = exported(tmp_path / name, tmp_path)
        shared = source[:, back.var_names].copy()
        for key in ("distances", "near"):
            np.testing.assert_array_equal(back.obsp[key].toarray(), source.obsp[key].toarray())
            assert back.obsp[key].nnz == source.obsp[key].nnz
        for key in back.varm:
            assert_same(back.varm[key], shared.varm[key], key)


def test_those_of_genes_are_left_out_where_a_study_did_not_measure_all(
    studies: tuple[dict[str, ad.AnnData], Path], tmp_path: Path
) -> None:
    made, folder = studies
    report = titin.merge([folder / name for name in made], tmp_path / "both", join="outer")
    assert set(report.manifest.arrays) == {"obsp/distances", "obsp/near", "obsp/dense"}
    assert report.manifest.left_out["varm/PCs"] == "other did not measure all of the genes"
    assert report.manifest.left_out["raw/varm/PCs"] == "other did not measure all of the genes"
    without = study(2)
    del without.obsp["near"]
    build_study(without, tmp_path, "without", keep_all=True, project=())
    third = titin.merge([report.path, tmp_path / "without"], tmp_path / "three").manifest
    assert third.left_out["obsp/near"] == "of one, other alone"
    assert "obsp/distances" in third.arrays
