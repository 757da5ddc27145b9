"""Labels that are wrong are found, by models that have not seen their donor; where nothing is wrong, none is."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typed_cells import ROLES, TYPES, exchange, typed_atlas

import titin
from titin.annotate import check_labels, label_cells, train_label_model
from titin.annotate.confident_learning import alike_types
from titin.annotate.terminal import check_document, describe_check
from titin.errors import TitinError

EVERY_SWAP = 0.8  # of the swapped cells, that the first 3 % of the list hold at least


def _swap(share, seed=0):
    """Labels of a share of the cells replaced by another type at random; ``where`` says of which."""
    where = []

    def change(labels, donors):
        rng = np.random.default_rng(seed)
        at = rng.permutation(len(labels))[: round(share * len(labels))]
        for i in at:
            labels[i] = rng.choice([name for name in TYPES if name != labels[i]])
        where.extend(at.tolist())

    return change, where


def test_no_label_is_flagged_where_none_is_wrong(relabelled):
    check = check_labels(relabelled(), cell_type_level="cell_type")
    assert check.table["flagged"].mean() <= 0.003
    assert check.levels["cell_type"]["agreement"] > 0.97


@pytest.mark.parametrize("seed", range(3))
def test_swapped_labels_head_the_list(relabelled, seed):
    change, where = _swap(0.02, seed)
    check = check_labels(relabelled(change), cell_type_level="cell_type")
    rank = check.table["rank"].to_numpy(float)[where]
    assert (rank <= 0.03 * len(check.table)).mean() >= EVERY_SWAP
    assert set(np.flatnonzero(check.table["flagged"])) <= set(where)


def test_a_rare_type_is_told_though_most_of_its_labels_are_wrong(tmp_path):
    """A type of thirty cells, and 45 cells of other types with its label."""
    source = typed_atlas(donors=8, cells=150, types=(*(f"T{i}" for i in range(9)), "Mast"))
    rng, labels = np.random.default_rng(0), source.obs["cell_type"].astype(str).to_numpy(object)
    rare = np.flatnonzero(labels == "Mast")
    left = np.setdiff1d(np.arange(source.n_obs), rng.permutation(rare)[30:])
    wrong = rng.permutation(np.flatnonzero(labels != "Mast"))[:45]
    labels[wrong] = "Mast"
    source.obs["cell_type"] = pd.Categorical(labels)
    source[left].copy().write_h5ad(tmp_path / "typed.h5ad")
    titin.build(tmp_path / "typed.h5ad", tmp_path / "typed", project=(), roles=ROLES)
    table = check_labels(titin.open(tmp_path / "typed"), cell_type_level="cell_type").table.set_index("cell_id")
    is_wrong = table.index.isin(source.obs_names[wrong])
    assert table["flagged"][is_wrong].mean() >= 0.7
    assert not table["flagged"][~is_wrong].any()


@settings(max_examples=5)
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.5, 0.3, 0.1]))
def test_labels_dealt_at_random_over_one_population_are_said_to_be_one(one_population, seed, share):
    atlas = titin.open(one_population)
    dealt = np.where(np.random.default_rng(seed).random(atlas.n_obs) < share, "Memory", "Naive")
    atlas.obs = atlas.obs.assign(cell_type=pd.Categorical(dealt))
    check = check_labels(atlas, cell_type_level="cell_type")
    assert check.table["flagged"].mean() <= 0.003
    assert check.levels["cell_type"]["alike"] == [["Memory", "Naive"]]
    assert check.types.set_index("cell_type")["alike"].to_dict() == {"Memory": "Naive", "Naive": "Memory"}
    said = describe_check(check_document(check, []))
    assert "too alike to be evaluable: Memory and Naive" in said


@pytest.fixture(scope="module")
def one_population(made_once):
    """A dataset of 6 donors and 720 cells of one type."""

    def make(folder):
        adata = typed_atlas(types=TYPES[:1], cells=120)
        adata.obs["cell_type"] = np.where(np.arange(720) % 2, "Memory", "Naive")
        _build(folder, adata)

    return made_once("one_population", make) / "dataset"


@pytest.mark.parametrize("share", [0.5, 0.3])
def test_swapped_labels_are_found_beside_types_that_cannot_be_told_apart(relabelled, share):
    swap, where = _swap(0.02, seed=4)

    def change(labels, donors):
        swap(labels, donors)
        labels[(labels == "Mast") & (np.random.default_rng(0).random(len(labels)) < share)] = "Mast 2"

    check = check_labels(relabelled(change), cell_type_level="cell_type")
    assert check.levels["cell_type"]["alike"] == [["Mast", "Mast 2"]]
    assert len(set(np.flatnonzero(check.table["flagged"])) - set(where)) <= 0.003 * len(check.table)
    assert (check.table["rank"].to_numpy(float)[where] <= 0.03 * len(check.table)).mean() >= EVERY_SWAP


def _calls(*donors):
    """Labels, predictions and donors of cells, from a confusion matrix a donor (labels × predictions)."""
    cells = [(label, predicted, donor) for donor, matrix in enumerate(donors) for label, row in enumerate(matrix)
             for predicted, n in enumerate(row) for _ in range(n)]  # fmt: skip
    return np.array(cells, np.int64).reshape(-1, 3).T


SURE, COIN, EXCHANGED = [[50, 0], [0, 50]], [[25, 25], [25, 25]], [[0, 50], [50, 0]]


@pytest.mark.parametrize(
    ("donors", "alike"),
    [
        ([SURE] * 3, False), ([COIN] * 3, True), ([SURE, SURE, COIN], False),
        ([SURE, COIN, COIN], False), ([SURE, COIN, COIN, COIN], True),
        ([EXCHANGED, SURE, SURE], False), ([EXCHANGED, SURE], False),
        ([[[95, 5], [5, 95]]] * 3, False),
        ([[[95, 5], [5, 0]]] * 3, True),  # the rare one of two is never called by its name
        ([[[90, 0], [4, 6]]] * 3, True),  # a part of one type lies in the other
        ([[[50, 0], [25, 25]], [[25, 25], [0, 50]]] * 2, True),  # each donor leans to one of the two
        ([[[50, 0], [0, 0]], [[0, 0], [0, 50]]], False),  # no donor has both
        ([[[0, 50], [0, 0]], [[0, 0], [50, 0]]], True),
    ],
)  # fmt: skip
def test_types_are_alike_where_most_donors_have_both_of_them_confused(donors, alike):
    found = alike_types(*_calls(*donors), 2)
    assert found.tolist() == [[False, alike], [alike, False]]


def test_types_that_no_cell_is_called_are_alike_to_none():
    assert not alike_types(*_calls([[5, 0, 0], [0, 5, 0], [0, 0, 0]]), 3).any()
    assert not alike_types(*(np.full(4, -1) for _ in range(3)), 2).any()


def test_two_types_exchanged_in_one_donor_are_named_first(relabelled):
    review = check_labels(relabelled(exchange), cell_type_level="cell_type").review
    first = review.head(2)
    assert set(zip(first["label"], first["suggested"], first["donor"], strict=True)) == {
        ("B cell", "Mast", "D2"), ("Mast", "B cell", "D2")}  # fmt: skip
    assert first["exchanged"].tolist() == [True, True]
    own = {name: {f"GENE{8 * k + i}" for i in range(8)} for k, name in enumerate(TYPES)}
    for row in first.itertuples():
        named = {marker.split()[0] for marker in row.markers_for.split(", ")}
        assert named
        assert named <= own[row.suggested]


@settings(max_examples=4)
@given(seed=st.integers(0, 1000))
def test_labels_of_a_donor_do_not_reach_the_model_that_judges_it(typed_folder, seed):
    plain, scrambled = titin.open(typed_folder), titin.open(typed_folder)
    obs = scrambled.obs.copy()
    mine = (obs["donor"].astype(str) == f"D{seed % 6}").to_numpy()
    for level in ("lineage", "cell_type"):
        labels = obs[level].astype(object).to_numpy()
        rng = np.random.default_rng(seed)
        labels[mine] = rng.choice([*dict.fromkeys(labels), None, "Made up"], mine.sum())
        obs[level] = pd.Categorical(labels)
    scrambled.obs = obs
    own = np.tile(mine, 2)
    before, after = (check_labels(atlas).table.loc[own, ["predicted", "p_predicted", "entropy"]]
                     for atlas in (plain, scrambled))  # fmt: skip
    pd.testing.assert_frame_equal(before.astype({"predicted": str}), after.astype({"predicted": str}), check_exact=True)


@pytest.fixture(scope="module")
def typed_folder(typed):
    return typed


def test_threads_and_row_groups_change_nothing(relabelled):
    one, three = (check_labels(relabelled(), threads=n).table for n in (1, 3))
    pd.testing.assert_frame_equal(one, three, check_exact=True)


def test_a_table_has_a_row_for_each_cell_and_level(relabelled):
    atlas = relabelled()
    check = check_labels(atlas)
    table = check.table
    assert table["level"].tolist() == ["lineage"] * atlas.n_obs + ["cell_type"] * atlas.n_obs
    for level in ("lineage", "cell_type"):
        own = table[table["level"] == level]
        assert own["cell_id"].tolist() == list(atlas.obs_names)
        assert own["label"].astype(str).tolist() == atlas.cell_columns([level])[level].astype(str).tolist()
        assert sorted(own["rank"]) == list(range(1, atlas.n_obs + 1))
        assert own[["p_label", "p_predicted", "entropy"]].apply(lambda values: values.between(0, 1)).all(axis=None)
    assert set(check.types["cell_type"]) == {*TYPES, "immune", "stroma"}
    assert check.confusion.groupby("level")["n_cells"].sum().tolist() == [atlas.n_obs, atlas.n_obs]
    assert set(check.groups["by"]) == {"donor", "protocol"}


def test_folds_hold_several_donors_out_at_once(relabelled):
    change, where = _swap(0.02)
    check = check_labels(relabelled(change), cell_type_level="cell_type", folds=3)
    assert check.settings["folds"] == 3
    assert (check.table["rank"].to_numpy(float)[where] <= 0.03 * len(check.table)).mean() >= EVERY_SWAP


def _build(folder, adata, **roles):
    adata.write_h5ad(folder / "atlas.h5ad")
    titin.build(folder / "atlas.h5ad", folder / "dataset", roles={**ROLES, **roles})
    return titin.open(folder / "dataset")


def test_types_that_few_have_are_not_evaluable(tmp_path):
    check = check_labels(_build(tmp_path, typed_atlas(rare=1)), cell_type_level="cell_type")
    assert check.not_evaluable["cell_type"] == {"Rare": "1 donor, fewer than 3"}
    rare = check.table[check.table["label"] == "Rare"]
    assert len(rare) == 1
    assert rare["p_label"].isna().all()
    assert not rare["flagged"].any()
    row = check.types.set_index("cell_type").loc["Rare"]
    assert not row["evaluable"]
    assert np.isnan(row["recall"])


def test_many_types(tmp_path):
    names = [f"type {i}" for i in range(82)]
    adata = typed_atlas(donors=4, cells=820)
    rng = np.random.default_rng(1)
    kinds = np.tile(np.arange(82), 40)
    mean = np.full((3280, 400), 0.3)
    mean[np.arange(3280)[:, None], kinds[:, None] * 4 + np.arange(4)] = 8
    wide = ad.AnnData(rng.poisson(mean).astype(np.float32), obs=adata.obs,
                      var=pd.DataFrame(index=[f"G{i}" for i in range(400)]))  # fmt: skip
    wide.obs["cell_type"] = pd.Categorical(np.array(names, object)[kinds])
    check = check_labels(_build(tmp_path, wide), cell_type_level="cell_type", min_cells=5)
    assert not check.not_evaluable["cell_type"]
    assert check.levels["cell_type"]["agreement"] > 0.9


@pytest.mark.parametrize(("kind", "change"), [("normalized", lambda X: X), ("log1p", np.log1p)])
def test_probabilities_are_those_of_the_counts_behind_the_values(tmp_path, kind, change):
    counts = typed_atlas(donors=3, cells=120)
    total = np.asarray(counts.X.sum(axis=1), np.float64)
    values = counts.copy()
    values.X = counts.X.multiply(3_000 / total).tocsr()  # of another sum than models see
    values.X.data = change(values.X.data).astype(np.float32)
    found = []
    for name, adata in ("counts", counts), (kind, values):
        (tmp_path / name).mkdir()
        atlas = _build(tmp_path / name, adata)
        assert atlas.kind == name
        model = train_label_model(atlas, cell_type_level="cell_type")
        found.append((check_labels(atlas).table, label_cells(atlas, model).table))
    for ours, others in zip(*found, strict=True):
        pd.testing.assert_frame_equal(ours, others, check_exact=True)


def test_values_without_counts(tmp_path):
    adata = typed_atlas()
    adata.X = adata.X.toarray() * 0.731 + np.random.default_rng(0).normal(0, 1e-3, adata.shape).astype(np.float32) ** 2
    atlas = _build(tmp_path, adata)
    assert atlas.kind == "real"
    assert check_labels(atlas, cell_type_level="cell_type").levels["cell_type"]["agreement"] > 0.95


@pytest.mark.parametrize(
    ("change", "roles", "said"),
    [
        (lambda obs: obs.assign(donor="D0"), {}, "one donor"),
        (lambda obs: obs.assign(cell_type="B cell", lineage="immune"), {}, "one cell type"),
        (lambda obs: obs.drop(columns="donor"), {"donor": "none"}, "no donors"),
        (lambda obs: obs.drop(columns=["cell_type", "lineage"]), {"cell_type": []}, "no cell types"),
        (lambda obs: obs.assign(cell_type=np.where(np.arange(360) < 355, "B cell", "Mast"), lineage="immune"), {},
         "no level has two types"),
    ],
)  # fmt: skip
def test_what_cannot_be_checked_is_said(tmp_path, change, roles, said):
    adata = typed_atlas()
    adata.obs = change(adata.obs)
    own = {role: column for role, column in ROLES.items() if role != "protocol"} | roles
    adata.write_h5ad(tmp_path / "atlas.h5ad")
    titin.build(tmp_path / "atlas.h5ad", tmp_path / "dataset", roles=own)
    with pytest.raises(TitinError, match=said):
        check_labels(titin.open(tmp_path / "dataset"))
