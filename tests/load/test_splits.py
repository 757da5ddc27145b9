"""Splitters: no donor on both sides, every cell tested once, the same on every machine, and at home in scikit-learn."""

import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import titin
from titin.errors import TitinError
from titin.load.splits import LeaveOneDonorOut, ProtocolTransfer, RandomCellSplit, StratifiedDonorKFold

names = st.text("abcdef", min_size=1, max_size=2)
designs = st.lists(st.tuples(names, st.sampled_from(["cells", "nuclei"])), min_size=2, max_size=60)


def columns(design) -> tuple[np.ndarray, np.ndarray]:
    """Donor and protocol of each cell."""
    return np.array([d for d, _ in design]), np.array([p for _, p in design])


@pytest.fixture(scope="module")
def atlas(tmp_path_factory) -> titin.Atlas:
    from titin.demo import make_demo
    from titin.progress import Progress

    folder: Path = tmp_path_factory.mktemp("demo")
    report = make_demo(folder, n_cells=1500, n_genes=300, seed=0, force=False, progress=Progress())
    return titin.open(report.path)


def assert_is_partition(splitter, donors: np.ndarray, n_folds: int) -> None:
    tested = []
    for train, test in splitter.split():
        assert splitter.donors_in_common(train, test) == []
        assert set(donors[train]) & set(donors[test]) == set()
        assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(len(donors)))
        assert (np.diff(test) > 0).all()
        assert (np.diff(train) > 0).all()
        tested.append(test)
    assert len(tested) == splitter.get_n_splits() == n_folds
    assert np.array_equal(np.sort(np.concatenate(tested)), np.arange(len(donors)))


# leave one donor out


@given(designs)
def test_leaves_every_donor_out_once(design):
    donors, _ = columns(design)
    if len(set(donors)) < 2:
        with pytest.raises(TitinError, match="there is only one donor"):
            LeaveOneDonorOut(donors)
        return
    splitter = LeaveOneDonorOut(donors)
    assert_is_partition(splitter, donors, len(set(donors)))
    assert [set(donors[test]) for _, test in splitter.split()] == [{d} for d in sorted(set(donors))]
    assert splitter.folds()["donor"].tolist() == sorted(set(donors))


# stratified


@given(designs, st.integers(2, 5), st.integers(1, 3), st.integers(0, 5), st.randoms(use_true_random=False))
def test_deals_whole_donors_evenly(design, n_splits, n_repeats, seed, random):
    donors, protocol = columns(design)
    sex_of = {d: random.choice("MF") for d in sorted(set(donors))}
    strata = pd.DataFrame({"arm": protocol, "sex": [sex_of[d] for d in donors]})
    if len(set(donors)) < n_splits:
        with pytest.raises(TitinError, match="cannot be dealt"):
            StratifiedDonorKFold(donors, strata, n_splits)
        return
    splitter = StratifiedDonorKFold(donors, strata, n_splits, n_repeats, seed)
    arms = {d: "+".join(sorted(set(protocol[donors == d]))) for d in sex_of}
    folds = splitter.folds()
    assert len(folds) == n_repeats * len(sex_of)
    for repeat in range(n_repeats):
        mine = folds[folds["fold"] // n_splits == repeat]
        assert sorted(mine["donor"]) == sorted(sex_of)
        of_fold = mine["fold"] % n_splits
        for stratum in (mine["donor"].map(lambda _: ""), mine["donor"].map(arms),
                        mine["donor"].map(arms) + mine["donor"].map(sex_of)):  # fmt: skip
            table = pd.crosstab(stratum, of_fold).reindex(columns=range(n_splits), fill_value=0)
            assert ((table.max(axis=1) - table.min(axis=1)) <= 1).all()
    if n_repeats == 1:
        assert_is_partition(splitter, donors, n_splits)
    for train, test in splitter.split():
        assert not set(donors[train]) & set(donors[test])


@given(designs, st.integers(0, 3), st.randoms(use_true_random=False))
def test_folds_do_not_depend_on_the_order_of_cells(design, seed, random):
    donors, protocol = columns(design)
    if len(set(donors)) < 2:
        return
    shuffled = random.sample(range(len(donors)), len(donors))
    once = StratifiedDonorKFold(donors, protocol, 2, 2, seed)
    again = StratifiedDonorKFold(donors[shuffled], protocol[shuffled], 2, 2, seed)
    assert once.digest == again.digest
    assert once.folds().equals(again.folds())


def test_repeats_and_seeds_deal_anew_and_stay_what_they_are():
    donors = [f"D{i}" for i in range(12)]
    splitter = StratifiedDonorKFold(donors, ["M"] * 6 + ["F"] * 6, n_splits=3, n_repeats=2, seed=1)
    tests = [tuple(donors[i] for i in test) for _, test in splitter.split()]
    assert len(set(tests)) == 6
    other = StratifiedDonorKFold(donors, ["M"] * 6 + ["F"] * 6, n_splits=3, n_repeats=2, seed=2)
    assert splitter.digest != other.digest
    # frozen: sha256 decides, not a generator that a library may change
    assert tests[0] == FROZEN


# from cells to nuclei


@given(designs, st.integers(0, 3))
def test_transfers_between_protocols_with_donors_disjoint(design, seed):
    donors, protocol = columns(design)
    in_cells, in_nuclei = (set(donors[protocol == p]) for p in ("cells", "nuclei"))
    both = in_cells & in_nuclei
    possible = in_cells and in_nuclei and len(in_nuclei) > -(-len(both) // 2)
    if not possible:
        with pytest.raises(TitinError):
            ProtocolTransfer(donors, protocol, seed=seed)
        return
    splitter = ProtocolTransfer(donors, protocol, seed=seed)
    ((train, test),) = splitter.split()
    assert set(protocol[train]) == {"cells"}
    assert set(protocol[test]) == {"nuclei"}
    assert splitter.donors_in_common(train, test) == []
    trained = set(donors[train])
    assert in_cells - in_nuclei <= trained <= in_cells
    assert set(donors[test]) == in_nuclei - trained
    assert len(trained & both) == -(-len(both) // 2)
    assert sum(splitter.left_out.values()) == len(donors) - len(train) - len(test)
    again = ProtocolTransfer.from_json(splitter.to_json(), donors, protocol)
    assert np.array_equal(next(again.split())[1], test)
    assert again.left_out == splitter.left_out


def test_counts_what_is_on_neither_side():
    donors = ["a", "a", "b", "b", "c", "d", "d"]
    protocol = ["cells", "nuclei", "cells", "nuclei", "cells", "nuclei", "spatial"]
    splitter = ProtocolTransfer(donors, protocol)
    assert splitter.left_out == {"nuclei of training donors": 1, "cells of test donors": 1, "of other protocols": 1}
    with pytest.raises(TitinError, match="cannot train on 'cells' and test on 'nucleus'\nprotocols: 'cells', 'nuclei'"):
        ProtocolTransfer(donors, protocol, test="nucleus")


# the leaky one


def test_says_that_it_leaks():
    donors = np.repeat(["a", "b", "c"], 30)
    splitter = RandomCellSplit(5, seed=3, donors=donors)
    assert splitter.leaky
    assert RandomCellSplit.__doc__.startswith("LEAKY")
    assert not any(cls.leaky for cls in (LeaveOneDonorOut, StratifiedDonorKFold, ProtocolTransfer))
    tests = [test for _, test in splitter.split(np.empty((90, 2)))]
    assert np.array_equal(np.sort(np.concatenate(tests)), np.arange(90))
    assert [splitter.donors_in_common(*fold) for fold in splitter.split()] == [["a", "b", "c"]] * 5
    assert len(splitter.folds()) == 15
    again = RandomCellSplit.from_json(splitter.to_json(), donors)
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(splitter.split(), again.split(), strict=True))
    assert [test.tolist() for _, test in RandomCellSplit(5, seed=3).split(donors)] == [test.tolist() for test in tests]
    with pytest.raises(TitinError, match="the donors are not known"):
        RandomCellSplit().folds()
    with pytest.raises(TitinError, match="would not be in the folds"):
        RandomCellSplit.from_json(splitter.to_json(), donors[:-1])


# written down


def test_comes_back_from_json():
    donors = np.array(list("abcdeabcde"))
    for splitter in (LeaveOneDonorOut(donors), StratifiedDonorKFold(donors, donors == "a", 2, 2, 7)):
        text = splitter.to_json()
        assert json.loads(text)["digest"] == splitter.digest
        assert len(splitter.digest) == 64
        again = type(splitter).from_json(text, donors)
        assert again.digest == splitter.digest
        assert again.to_json() == text
        assert again.folds().equals(splitter.folds())
        fewer = type(splitter).from_json(text, donors[:5])
        assert [t.tolist() for _, t in fewer.split()] == [t[t < 5].tolist() for _, t in splitter.split()]


def test_refuses_what_was_changed_or_is_another():
    donors = ["a", "b", "c"]
    text = LeaveOneDonorOut(donors).to_json()
    with pytest.raises(TitinError, match="not what they were"):
        LeaveOneDonorOut.from_json(text.replace('"a"', '"z"'), donors)
    with pytest.raises(TitinError, match="this is a LeaveOneDonorOut, not a StratifiedDonorKFold"):
        StratifiedDonorKFold.from_json(text, donors)
    with pytest.raises(TitinError, match="no split that was written down"):
        LeaveOneDonorOut.from_json("[]", donors)
    with pytest.raises(TitinError, match="donor 'd' is in no fold"):
        LeaveOneDonorOut.from_json(text, ["a", "b", "c", "d"])
    with pytest.raises(TitinError, match="fold 2 has no cell to test on"):
        LeaveOneDonorOut.from_json(text, ["a", "b"])


# what is refused


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LeaveOneDonorOut(["a", None, "b", np.nan]), "2 of 4 cells have no donor, the first at position 1"),
        (lambda: LeaveOneDonorOut([]), "there are no cells"),
        (lambda: StratifiedDonorKFold(["a", "b"], ["x", None], 2), "1 of 2 cells have no stratum"),
        (lambda: StratifiedDonorKFold(["a", "b"], ["x"], 2), "1 values of stratum for 2 cells"),
        (lambda: StratifiedDonorKFold(["a", "b"], ["x", "x"]), "2 donors cannot be dealt to 5 folds"),
        (lambda: StratifiedDonorKFold(["a", "b"], ["x", "x"], 1), "give n_splits 2 or more"),
        (lambda: ProtocolTransfer(["a", "b"], ["cells", None]), "1 of 2 cells have no protocol"),
        (lambda: ProtocolTransfer(["a", "b"], ["cells"]), "1 values of protocol for 2 cells"),
        (lambda: ProtocolTransfer(["a", "a"], ["cells", "nuclei"]), "fold 0 has no cell to test on"),
        (lambda: RandomCellSplit(1), "give n_splits 2 or more"),
        (lambda: next(RandomCellSplit().split()), "the number of cells is not known"),
        (lambda: next(RandomCellSplit().split([1, 2])), "2 cells cannot be dealt to 5 folds"),
        (lambda: next(LeaveOneDonorOut(["a", "b"]).split(np.empty((3, 1)))), "X has 3 cells, the splitter was made"),
    ],
)  # fmt: skip
def test_refuses(make, message):
    with pytest.raises(TitinError, match=message):
        make()


# an atlas, and scikit-learn


def test_takes_columns_of_an_atlas_by_role(atlas):
    obs = atlas.obs
    assert LeaveOneDonorOut.from_atlas(atlas).digest == LeaveOneDonorOut(obs["DonorID"]).digest
    nuclei = np.flatnonzero(obs["batch"] == "nuclei")
    of_nuclei = LeaveOneDonorOut.from_atlas(atlas, nuclei)
    assert of_nuclei.donors.tolist() == obs["DonorID"].iloc[nuclei].tolist()
    by_role = StratifiedDonorKFold.from_atlas(atlas, n_splits=4, seed=1)
    assert by_role.digest == StratifiedDonorKFold(obs["DonorID"], obs[["batch", "Sex"]], 4, seed=1).digest
    one = StratifiedDonorKFold.from_atlas(atlas, "Age_bin", n_splits=4)
    assert one.digest == StratifiedDonorKFold(obs["DonorID"], obs["Age_bin"], 4).digest
    transfer = ProtocolTransfer.from_atlas(atlas)
    assert transfer.digest == ProtocolTransfer(obs["DonorID"], obs["batch"]).digest
    assert RandomCellSplit.from_atlas(atlas).leaky
    with pytest.raises(TitinError, match="several columns have the role 'cell_type'"):
        StratifiedDonorKFold.from_atlas(atlas, "cell_type")
    with pytest.raises(TitinError, match="the dataset has no weather column"):
        StratifiedDonorKFold.from_atlas(atlas, "weather")


def test_cells_without_a_donor_are_on_neither_side_of_a_split_of_an_atlas(tmp_path):
    obs = pd.DataFrame({
        "donor_id": ["a", "b", "c", "unknown", None, "d"] * 20, "sex": ["F", "M", None, "F", "M", "unknown"] * 20,
        "suspension_type": ["cell", "nucleus", "cell", "cell", "nucleus", "nucleus"] * 20,
    }, index=[f"c{i}" for i in range(120)])  # fmt: skip
    ad.AnnData(np.ones((120, 5), np.float32), obs=obs).write_h5ad(tmp_path / "s.h5ad")
    titin.build(tmp_path / "s.h5ad", tmp_path / "dataset")
    atlas = titin.open(tmp_path / "dataset")
    donor = atlas.cell_columns()["donor_id"].astype(object)
    gone = np.flatnonzero(donor.isna() | (donor == "unknown"))
    for make in (LeaveOneDonorOut, StratifiedDonorKFold, ProtocolTransfer):
        splitter = make.from_atlas(atlas, **({"n_splits": 2} if make is StratifiedDonorKFold else {}))
        assert splitter.n_without_donor == len(gone) == 40
        assert set(splitter.folds()["donor"]) <= set("abcd")
        for train, test in splitter.split(np.empty((120, 1))):
            assert len(train)
            assert len(test)
            assert not set(gone) & {*train, *test}
            assert not splitter.donors_in_common(train, test)
    assert ProtocolTransfer.from_atlas(atlas).left_out["without a donor"] == 40
    assert set(RandomCellSplit.from_atlas(atlas).folds()["donor"]) == set("abcd")


@pytest.mark.parametrize(("cells", "nuclei"), [("cell", "nucleus"), ("scRNA-seq", "snRNA-seq"), ("Cells", "Nuclei")])
def test_protocols_are_understood_as_the_atlas_spells_them(demo, cells, nuclei):
    atlas = titin.open(demo[0].folder)
    expected = next(ProtocolTransfer.from_atlas(atlas).split())
    atlas.obs["batch"] = atlas.obs["batch"].map({"cells": cells, "nuclei": nuclei})
    for one, other in zip(expected, next(ProtocolTransfer.from_atlas(atlas).split()), strict=True):
        np.testing.assert_array_equal(one, other)
    atlas.obs["batch"] = atlas.obs["batch"].astype(str).where(np.arange(atlas.n_obs) % 2 == 0, f"{cells} v3")
    with pytest.raises(TitinError, match="cannot train on 'cells'"):  # two words for cells
        ProtocolTransfer.from_atlas(atlas)


def test_works_in_scikit_learn(atlas):
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_validate

    sums, age, donors, sexes = pseudobulk(atlas)
    splitter = StratifiedDonorKFold(donors, sexes, n_splits=4)
    predicted = cross_val_predict(Ridge(), sums, age, cv=splitter)
    for train, test in splitter.split(sums):
        assert np.allclose(predicted[test], Ridge().fit(sums[train], age[train]).predict(sums[test]))
    assert len(cross_validate(Ridge(), sums, age, cv=LeaveOneDonorOut(donors), scoring="neg_mean_absolute_error")
               ["test_score"]) == len(set(donors))  # fmt: skip
    repeated = StratifiedDonorKFold(donors, sexes, 3, n_repeats=2)
    search = GridSearchCV(Ridge(), {"alpha": [1.0, 100.0]}, cv=repeated).fit(sums, age)
    assert search.n_splits_ == 6
    with pytest.raises(ValueError, match="partitions"):
        cross_val_predict(Ridge(), sums, age, cv=repeated)


def test_works_on_cells_in_scikit_learn(atlas):
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    from sklearn.linear_model import SGDClassifier
    from sklearn.model_selection import cross_val_predict, cross_validate

    X, labels = atlas.X[:, :], atlas.obs["annotation_level0"].astype(str).to_numpy()
    model = SGDClassifier(loss="log_loss", random_state=0, max_iter=20, tol=None)
    splitter = StratifiedDonorKFold.from_atlas(atlas, n_splits=3)
    predicted = cross_val_predict(model, X, labels, cv=splitter)
    assert (predicted == labels).mean() > 0.6
    transfer = ProtocolTransfer.from_atlas(atlas)
    assert len(cross_validate(model, X, labels, cv=transfer)["test_score"]) == 1
    assert len(cross_validate(model, X, labels, cv=RandomCellSplit(2))["test_score"]) == 2


def pseudobulk(atlas) -> tuple[np.ndarray, np.ndarray, list[str], list[str]]:
    """Log counts per million of each donor and arm, with age, donor and sex."""
    obs = atlas.obs
    group = obs["DonorID"].astype(str) + "|" + obs["batch"].astype(str)
    codes, keys = pd.factorize(group, sort=True)
    member = sparse.csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))))
    sums = (member @ atlas.counts[:, :]).toarray()
    first = obs.groupby(group.to_numpy()).first().loc[keys]
    lcpm = np.log1p(1e6 * sums / sums.sum(axis=1, keepdims=True))
    return lcpm, first["age_years"].to_numpy(), [key.split("|")[0] for key in keys], first["Sex"].astype(str).tolist()


FROZEN = ("D3", "D5", "D7", "D10")
