"""Whatever the studies are: merged, each is got back by its name, bit for bit, with its layers, in its types."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse
from small_studies import assert_same, exported, make_study

import titin

KINDS = ("counts", "log1p", "real", "dense")
N_GENES = 24


@st.composite
def studies(draw: st.DrawFn) -> dict[str, ad.AnnData]:
    """Two or three studies of one kind: genes partly the same, in any order; barcodes perhaps the same; layers."""
    kind = draw(st.sampled_from(KINDS))
    made = {}
    for number, name in enumerate(["lund", "kiel", "oslo"][: draw(st.integers(2, 3))]):
        genes = draw(st.permutations(range(N_GENES)))[: draw(st.integers(N_GENES * 2 // 3, N_GENES))]
        prefix = draw(st.sampled_from(["c", f"{name}-"]))
        study = make_study(kind, [f"G{i}" for i in genes], draw(st.integers(12, 40)), seed=number, prefix=prefix)
        del study.obsm["X_umap"]  # coordinates of one study are no others'
        rng = np.random.default_rng(number)
        study.layers["spliced"] = sparse.csr_matrix(rng.poisson(0.6, study.shape).astype(np.int32))
        study.layers["scaled"] = rng.normal(size=study.shape)
        for column in draw(st.sets(st.sampled_from(["score", "flag", "maybe"]))):
            del study.obs[column]
        made[name] = study
    return made


def check(made: dict[str, ad.AnnData], join: str, folder: Path) -> None:
    datasets = []
    for name, study in made.items():
        study.write_h5ad(folder / f"{name}.h5ad")
        titin.build(folder / f"{name}.h5ad", folder / name, layers="all", project=(), threads=1)
        datasets.append(folder / name)
    titin.merge(datasets, folder / "all", join=join, threads=1)
    merged = titin.open(folder / "all")
    common = set.intersection(*(set(study.var_names) for study in made.values()))
    for name, study in made.items():
        titin.subset(folder / "all", folder / f"{name}-back", where=f"study={name}", threads=1)
        kept = study.var_names if join == "outer" else [gene for gene in study.var_names if gene in common]
        wanted, found = study[:, kept].copy(), exported(folder / f"{name}-back", folder)
        assert set(found.var_names) == set(kept)
        found = found[:, kept].copy()
        assert_same(found, wanted, uns=False)
        assert found.uns["how"] == wanted.uns["how"]
        for layer in ("spliced", "scaled"):
            ours, theirs = (np.asarray(one.layers[layer].todense() if sparse.issparse(one.layers[layer])
                                       else one.layers[layer]) for one in (found, wanted))  # fmt: skip
            assert (ours.dtype, ours.tobytes()) == (theirs.dtype, theirs.tobytes()), (name, layer)
    assert sum(study.n_obs for study in made.values()) == merged.n_obs
    measured = pd.DataFrame({name: merged.var_names.isin(study.var_names) for name, study in made.items()})
    np.testing.assert_array_equal(merged.measured.to_numpy(), measured.to_numpy())


CASES = {"suppress_health_check": list(HealthCheck), "deadline": None, "database": None, "derandomize": True}


@pytest.mark.slow
@settings(max_examples=15, **CASES)
@given(made=studies(), join=st.sampled_from(["outer", "inner"]))
def test_a_study_comes_back_out_of_any_merge(made, join, tmp_path_factory):
    check(made, join, tmp_path_factory.mktemp("merge"))
