"""X, y and groups: the values of samples as counted by hand, their targets, and the donors to hold out."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, LeaveOneGroupOut, cross_val_predict

import titin
from titin.atlas import UnknownNameError
from titin.errors import TitinError


@pytest.fixture(scope="module")
def atlas(demo) -> titin.Atlas:
    return demo


def by_hand(atlas: titin.Atlas, keys: list[str], rows: np.ndarray) -> pd.DataFrame:
    """log1p of the mean over a group's cells of count / total × 10,000, of groups of 15 cells or more."""
    counts = atlas.counts[:].toarray().astype(float)
    linear = pd.DataFrame(counts / counts.sum(axis=1, keepdims=True) * 1e4, columns=atlas.var_names)
    obs = atlas.cell_columns(keys).astype(str).reset_index(drop=True)
    groups = [obs.loc[rows, key] for key in keys]
    means, sizes = linear[rows].groupby(groups).mean(), linear[rows].groupby(groups).size()
    return np.log1p(means[sizes >= 15])


def test_pseudobulks_are_means_of_their_cells(atlas):
    X, y, groups = atlas.Xy("age")
    expected = by_hand(atlas, ["DonorID", "annotation_level0", "batch", "10X_version"], np.ones(atlas.n_obs, bool))
    expected.index = [" / ".join(key) for key in expected.index]
    assert sorted(X.index) == sorted(expected.index)
    np.testing.assert_allclose(X.loc[expected.index], expected, rtol=1e-4, atol=1e-5)
    assert X.columns.tolist() == atlas.var_names.tolist()
    ages = atlas.ages.groupby(atlas.cell_columns("DonorID")["DonorID"].astype(str).to_numpy()).first()
    assert y.tolist() == ages[groups].tolist()
    assert groups.tolist() == [name.split(" / ")[0] for name in X.index]
    assert X.index.equals(y.index)
    assert X.index.equals(groups.index)


def test_cells_are_the_source_s_own_values(atlas):
    genes = ["MYH7", "XIST", "MYH2"]
    X, y, groups = atlas.Xy("sex", level="cell", genes=genes)
    assert sparse.issparse(X)
    np.testing.assert_array_equal(X.toarray(), atlas.X[y.index.tolist(), genes].toarray())
    sexes = atlas.cell_columns("Sex").loc[y.index, "Sex"].astype(str).map({"F": "female", "M": "male"})
    assert y.tolist() == sexes.tolist()
    assert groups.tolist() == atlas.cell_columns("DonorID").loc[y.index, "DonorID"].astype(str).tolist()


@pytest.mark.parametrize("level", ["pseudobulk", "pseudocell", "donor", "cell"])
def test_every_level_gives_samples_with_names_of_their_own(atlas, level):
    X, y, groups = atlas.Xy("young_old", level=level, genes=["MYH7"])
    assert X.shape == (len(y), 1)
    assert len(y) == len(groups) > 10
    assert y.index.is_unique
    assert set(y) == {"young", "old"}


def test_types_and_parts_choose_the_cells(atlas):
    musc = atlas.Xy("age", level="cell", genes=["MYH7"], types="MuSC")
    labels = atlas.cell_columns("annotation_level0")["annotation_level0"]
    assert sorted(musc.y.index) == sorted(labels.index[labels == "MuSC"])
    women = atlas.query('Sex == "F"')[:, ["MYH2", "MYH7"]]
    X, _, groups = women.Xy("age", level="donor")
    assert X.columns.tolist() == ["MYH2", "MYH7"]
    assert set(groups) == set(women.obs["DonorID"].astype(str))
    whole = atlas.Xy("age", level="donor", genes=["MYH2", "MYH7"])
    pd.testing.assert_frame_equal(X, whole.X.loc[X.index])


def test_a_column_of_obs_is_a_target_where_it_is_one_of_the_sample(atlas):
    y = atlas.Xy("Age_group", level="donor", genes=["MYH7"]).y
    groups = atlas.cell_columns(["DonorID", "Age_group"]).astype(str).drop_duplicates().set_index("DonorID")
    assert y.tolist() == groups.loc[y.index, "Age_group"].tolist()
    with pytest.raises(TitinError, match=r"n_counts differs among the cells of 17 of 17 samples\npredict it of cells"):
        atlas.Xy("n_counts", level="donor", genes=["MYH7"])


@pytest.mark.parametrize(("options", "error", "said"), [
    ({"target": "weight"}, UnknownNameError, "no target 'weight'"),
    ({"types": "Neuron"}, UnknownNameError, "no cell type 'Neuron'"),
    ({"genes": ["NOGENE"]}, UnknownNameError, "no gene 'NOGENE'"),
    ({"level": "tissue"}, TitinError, "no samples of level 'tissue'"),
])  # fmt: skip
def test_what_is_not_there_is_named(atlas, options, error, said):
    with pytest.raises(error, match=said):
        atlas.Xy(**options)


def test_without_donors_nothing_can_be_held_out(tmp_path, demo):
    demo[:60].write_h5ad(tmp_path / "a.h5ad")
    report = titin.build(tmp_path / "a.h5ad", tmp_path / "d", roles={"donor": "none"}, project=())
    with pytest.raises(TitinError, match="no donors"):
        titin.open(report.path).Xy("age")


def test_held_out_donors_are_harder_than_held_out_samples(atlas):
    """The reason why groups are given at all."""
    X, y, groups = atlas.Xy("age", level="pseudocell")
    honest = cross_val_predict(RidgeCV(np.logspace(-1, 4, 6)), X, y, groups=groups, cv=LeaveOneGroupOut())
    leaky = cross_val_predict(RidgeCV(np.logspace(-1, 4, 6)), X, y, cv=KFold(5, shuffle=True, random_state=0))
    assert np.abs(leaky - y).mean() < np.abs(honest - y).mean()


def test_a_look_at_it_says_what_it_is(atlas):
    found = atlas.Xy("age", level="donor", genes=["MYH7"])
    assert repr(found) == "Xy of 17 samples × 1 genes; y: age, 19 to 74; groups: 17 donors"
    assert repr(atlas.Xy("sex", level="donor", genes=["MYH7"])).split("; ")[1] == "y: sex, 2 classes"
