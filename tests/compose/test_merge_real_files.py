"""Real files of partly different genes, joined: what anndata's own concatenation gives, valid, and got back."""

from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from scipy import sparse

import titin

PAIRS = {
    "two of counts": (("celltypist_sample_559x32786", "pbmc4k_soupx_2170x33694"), False),
    "symbols and ids": (("glioblastoma_lemur_5000x300", "celltypist_sample_559x32786"), False),
    "counts behind logarithms": (("pbmc_3tech_symphony_1200x1767", "celltypist_sample_559x32786"), True),
}


def values(X: object) -> np.ndarray:
    return sparse.csr_matrix(X).toarray()


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.filterwarnings("ignore::UserWarning:anndata")
def test_real_files_merge_validate_and_export(shared: Path, tmp_path: Path, pair: str) -> None:
    names, counts = PAIRS[pair]
    files = [shared / "data" / "h5ad" / f"{name}.h5ad" for name in names]
    taken = (
        [titin.build(file, tmp_path / name).path for name, file in zip(names, files, strict=True)] if counts else files
    )
    report = titin.merge(taken, tmp_path / "both", join="outer", studies=["one", "other"], counts=counts)
    assert titin.validate(report.path).passed
    titin.export(report.path, "h5ad", tmp_path / "both.h5ad")
    found, atlas = ad.read_h5ad(tmp_path / "both.h5ad"), titin.open(report.path)
    assert atlas.measured.to_numpy().all(axis=1).sum() < found.n_vars
    assert atlas.comparable().n_vars == atlas.measured.to_numpy().all(axis=1).sum()
    for name, file in zip(("one", "other"), files, strict=True):
        source = ad.read_h5ad(file)
        rows = (found.obs["study"] == name).to_numpy()
        assert [cell.removesuffix(f"-{name}") for cell in found.obs_names[rows]] == source.obs_names.tolist()
        own = found.var.get(f"name_in_{name}", found.var_names.to_series())
        own = own[atlas.measured[name].reindex(found.var_names).to_numpy()]
        assert sorted(own) == sorted(source.var_names)
        X = values(found.X)[rows]
        if not counts:
            assert X[:, found.var_names.get_indexer(own.index)].tobytes() == values(source[:, list(own)].X).tobytes()
        assert not X[:, ~found.var_names.isin(own.index)].any()


@pytest.mark.filterwarnings("ignore::UserWarning:anndata")
def test_values_are_those_of_anndata(shared: Path, tmp_path: Path) -> None:
    files = [shared / "data" / "h5ad" / f"{name}.h5ad" for name in PAIRS["two of counts"][0]]
    sources = [ad.read_h5ad(file) for file in files]
    for join in ("inner", "outer"):
        wanted = ad.concat(sources, join=join, fill_value=0)
        titin.merge(files, tmp_path / join, join=join)
        titin.export(tmp_path / join, "h5ad", tmp_path / f"{join}.h5ad")
        found = ad.read_h5ad(tmp_path / f"{join}.h5ad")
        assert found.obs_names.tolist() == wanted.obs_names.tolist()
        assert set(found.var_names) == set(wanted.var_names)
        assert (sparse.csr_matrix(found.X) != sparse.csr_matrix(wanted[:, found.var_names].X)).nnz == 0
        assert found.X.dtype == wanted.X.dtype
