import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from titin.demo import donor_table, make_demo_atlas, write_demo_atlas
from titin.demo.design import read_table
from titin.errors import TitinError
from titin.features import gene_sets

OBS = {
    "SampleID": "category",
    "DonorID": "category",
    "Age_group": "category",
    "Age_bin": "category",
    "Sex": "category",
    "batch": "category",
    "10X_version": "category",
    "annotation_level0": "category",
    "annotation_level1": "category",
    "annotation_level2": "category",
    "n_counts": "float32",
    "n_genes": "int64",
    "percent_mito": "float32",
    "percent_ribo": "float32",
    "scrublet_score": "float64",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_demo_atlas(tmp_path_factory.mktemp("demo") / "new" / "atlas.h5ad")


@pytest.fixture(scope="module")
def atlas(written):
    return ad.read_h5ad(written)


@pytest.fixture(scope="module")
def per_10k(atlas):
    """Return counts per 10,000 of each cell, by gene."""
    return pd.DataFrame(np.expm1(atlas.X.toarray()), index=atlas.obs_names, columns=atlas.var_names)


def same(one, other):
    pd.testing.assert_frame_equal(one.obs, other.obs)
    pd.testing.assert_frame_equal(one.var, other.var)
    return (one.X != other.X).nnz == 0 and all(np.array_equal(one.obsm[k], other.obsm[k]) for k in one.obsm)


def test_has_the_columns_and_types_of_the_release(atlas):
    assert atlas.shape == (3000, 3000)
    assert atlas.obs.dtypes.astype(str).to_dict() == OBS
    assert list(atlas.var) == ["ENSEMBL", "SYMBOL", "n_cells"]
    assert atlas.var_names.tolist() == atlas.var["SYMBOL"].tolist()
    assert {key: value.shape[1] for key, value in atlas.obsm.items()} == {"X_scVI": 30, "X_umap": 2}
    assert all(value.dtype == np.float32 for value in atlas.obsm.values())
    assert isinstance(atlas.X, sparse.csr_matrix)
    assert atlas.X.dtype == np.float32
    assert atlas.X.has_canonical_format


def test_names_are_unique_and_real(atlas):
    assert atlas.obs_names.is_unique
    assert atlas.var_names.is_unique
    assert atlas.var["ENSEMBL"].is_unique
    assert atlas.var["ENSEMBL"].str.fullmatch(r"ENSG\d{11}").all()
    assert atlas.var.loc["MYH7", "ENSEMBL"] == "ENSG00000092054"
    barcodes = atlas.obs_names.str.extract(r"^(.+)-([ACGT]{16})-1$")
    assert barcodes[0].tolist() == atlas.obs["SampleID"].tolist()


def test_the_same_seed_writes_the_same_bytes(written, tmp_path):
    assert write_demo_atlas(tmp_path / "again.h5ad").read_bytes() == written.read_bytes()


def test_another_seed_gives_another_atlas_of_the_same_design():
    one, other = (make_demo_atlas(n_cells=400, n_genes=300, seed=seed) for seed in (1, 2))
    assert (one.X != other.X).nnz > 0
    counts = [a.obs["annotation_level2"].value_counts().to_dict() for a in (one, other)]
    assert counts[0] == counts[1]


def test_what_is_read_back_is_what_was_made(atlas):
    assert same(make_demo_atlas(), atlas)


def test_values_are_the_logarithm_of_integer_counts_bit_for_bit(atlas):
    total = np.repeat(atlas.obs["n_counts"].to_numpy(), np.diff(atlas.X.indptr))
    counts = np.rint(np.expm1(atlas.X.data.astype(np.float64)) * total / 1e4).astype(np.float32)
    assert counts.min() == 1
    rebuilt = np.log1p(counts / total * np.float32(1e4))
    assert rebuilt.tobytes() == atlas.X.data.tobytes()
    assert np.array_equal(np.add.reduceat(counts, atlas.X.indptr[:-1]), atlas.obs["n_counts"])


def test_counted_columns_are_counted_from_the_matrix(atlas, per_10k):
    assert atlas.obs["n_genes"].tolist() == np.diff(atlas.X.indptr).tolist()
    assert atlas.var["n_cells"].tolist() == (per_10k > 0).sum().tolist()
    mito = per_10k.loc[:, per_10k.columns.str.startswith("MT-")].sum(axis=1) / 1e4
    np.testing.assert_allclose(atlas.obs["percent_mito"], mito, rtol=1e-3, atol=1e-6)


def test_every_donor_has_the_age_and_sex_of_the_donor_table(atlas):
    donors = donor_table().set_index("DonorID")
    seen = atlas.obs.groupby("DonorID", observed=True)[["Sex", "Age_group", "Age_bin"]].agg(lambda v: "|".join(set(v)))
    assert sorted(seen.index) == sorted(donors.index)
    assert seen["Sex"].to_dict() == donors["Sex"].to_dict()
    low = seen["Age_group"].str.split("-").str[0].astype(int)
    assert (low <= donors["age_years"].reindex(low.index)).all()
    assert (donors["age_years"].reindex(low.index) < low + 5).all()
    young = {d for d in donors.index if donors.loc[d, "age_years"] <= 38}
    assert set(seen.index[seen["Age_bin"] == "young"]) == young


def test_samples_donors_and_protocols_belong_together_as_published(atlas):
    published = read_table("samples").set_index("SampleID")
    columns = ["DonorID", "batch", "10X_version"]
    seen = atlas.obs[["SampleID", *columns]].astype(str).drop_duplicates().set_index("SampleID")
    assert len(seen) == 43
    assert seen.equals(published.loc[seen.index, columns])
    assert atlas.obs.groupby("batch", observed=True)["DonorID"].nunique().to_dict() == {"cells": 12, "nuclei": 13}


def test_labels_have_their_published_shares_and_parents(atlas):
    types = read_table("cell_types")
    for level, n in (("level0", 36), ("level1", 43), ("level2", 82)):
        label = atlas.obs[f"annotation_{level}"]
        published = types.groupby(level)[["cells", "nuclei"]].sum().sum(axis=1)
        assert label.nunique() == n
        share = label.value_counts(normalize=True)
        assert (share - published / published.sum()).abs().max() < 0.005
        assert label.value_counts().min() >= 3
    pairs = set(zip(types["level2"], types["level1"], types["level0"], strict=True))
    seen = atlas.obs[["annotation_level2", "annotation_level1", "annotation_level0"]].drop_duplicates()
    assert set(seen.itertuples(index=False, name=None)) <= pairs


def test_types_keep_to_their_protocol(atlas):
    table = pd.crosstab(atlas.obs["annotation_level0"], atlas.obs["batch"])
    assert (table.loc[["MF-I", "MF-II", "Hyb", "Adipocyte"], "cells"] == 0).all()
    assert (table.loc[["MF-Isc(fg)", "MF-IIsc(fg)", "Neutrophil", "pDC"], "nuclei"] == 0).all()
    assert (table.loc[["FB", "MuSC", "Macrophage"]] > 0).all(axis=None)


def test_the_full_size_has_exactly_the_published_numbers():
    from titin.demo.design import design

    cells = design(183_161, np.random.default_rng(0))
    assert cells["batch"].value_counts().to_dict() == {"nuclei": 92_259, "cells": 90_902}
    labels = cells["annotation_level0"].value_counts()
    assert [labels[t] for t in ("MF-I", "MuSC", "RBC")] == [42_052, 20_215, 26]
    assert (cells["DonorID"] == "398B").sum() == 398


def test_sex_genes_tell_the_sex_of_every_donor(atlas, per_10k):
    mean = per_10k.groupby(atlas.obs["DonorID"], observed=True).mean()
    sex = atlas.obs.groupby("DonorID", observed=True)["Sex"].first()
    assert (np.where(mean["XIST"] > mean["RPS4Y1"], "F", "M") == sex).all()
    assert (mean.loc[sex == "F", list(gene_sets()["sex_male"].genes)] == 0).all(axis=None)
    assert (mean.loc[sex == "M", "XIST"] == 0).all()


def test_markers_are_highest_in_their_type(atlas, per_10k):
    label = atlas.obs["annotation_level0"]
    for level0, markers in atlas.uns["truth"]["markers"].items():
        inside = per_10k.loc[label == level0, markers].mean()
        assert (inside > 4 * per_10k.loc[:, markers].median()).all()
        assert (inside > 1.5 * per_10k.loc[label != level0, markers].mean()).all(), level0


def test_nuclei_have_less_mitochondrial_rna_and_more_malat1(atlas, per_10k):
    nuclei = (atlas.obs["batch"] == "nuclei").to_numpy()
    mito = atlas.obs["percent_mito"].to_numpy()
    assert np.median(mito[nuclei]) < np.median(mito[~nuclei]) / 4
    assert per_10k["MALAT1"][nuclei].mean() > 3 * per_10k["MALAT1"][~nuclei].mean()


def test_the_planted_effect_of_age_shows_in_the_donors(atlas, per_10k):
    truth = pd.Series(atlas.uns["truth"]["age_log_fold_change"])
    expressed = truth[per_10k[truth.index].mean() > 3]
    assert len(expressed) >= 30
    mean = np.log(per_10k[expressed.index].groupby(atlas.obs["DonorID"], observed=True).mean() + 0.1)
    big = atlas.obs["DonorID"].value_counts() > 50
    age = donor_table().set_index("DonorID")["age_years"][big[big].index]
    slope = mean.loc[age.index].apply(lambda gene: np.polyfit((age - 47) / 27, gene, 1)[0])
    assert (np.sign(slope) == np.sign(expressed)).mean() > 0.85
    assert np.corrcoef(slope, expressed)[0, 1] > 0.8
    assert (slope[["CDKN1A", "GDF15", "PDK4"]] > 0).all()
    assert (slope[["NPM1", "NCL", "FBL"]] < 0).all()


def test_without_an_effect_of_age_there_is_none_to_find():
    atlas = make_demo_atlas(n_cells=300, n_genes=300, age_effect=False)
    assert atlas.uns["truth"]["age_log_fold_change"] == {}


def test_named_genes_come_first_when_there_are_few():
    genes = set(make_demo_atlas(n_cells=50, n_genes=150).var_names)
    named = [g for name, s in gene_sets().items() if name.startswith(("markers_", "sex_")) for g in s.genes]
    assert {*named, "CDKN1A", "NPM1", "MALAT1"} <= genes
    most = set(read_table("genes")["SYMBOL"])
    assert set(gene_sets()["SenMayo"].genes) < most
    assert len(set(gene_sets()["GenAge_human"].genes) - most) <= 4


@pytest.mark.parametrize("n_cells", [1, 60, 300])
def test_small_atlases_are_whole(n_cells):
    atlas = make_demo_atlas(n_cells=n_cells, n_genes=200)
    assert atlas.shape == (n_cells, 200)
    assert (np.diff(atlas.X.indptr) > 0).all()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"n_cells": 0}, "at least one cell, not 0"),
        ({"n_genes": 100}, "150 to 3,200 genes, not 100"),
        ({"n_genes": 4000}, "not 4,000"),
    ],
)
def test_sizes_out_of_range_are_refused(options, complaint, tmp_path):
    with pytest.raises(TitinError, match=complaint):
        write_demo_atlas(tmp_path / "no.h5ad", **options)
    assert not (tmp_path / "no.h5ad").exists()
