"""Several datasets as one to train on: what the loader of their merge hands out, each cell once, or by weight."""

import pickle
from collections import Counter

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import titin
from titin.errors import TitinError
from titin.load import (
    DistributedSampler,
    LeaveOneDonorOut,
    Loader,
    ProtocolTransfer,
    StratifiedDonorKFold,
    Studies,
    StudySampler,
)
from titin.load.tokens import tokens

SIZES = {"lund": 700, "kiel": 260, "oslo": 90}
GENES = {"lund": range(70), "kiel": range(85, 20, -1), "oslo": range(30, 110)}
WEIGHTS = {"lund": 1, "kiel": 2.5, "oslo": 1}


def make(name: str, values: str) -> ad.AnnData:
    """A study with genes, barcodes and donors that others have, and labels of its own."""
    rng = np.random.default_rng(len(name) + SIZES[name])
    n, genes = SIZES[name], list(GENES[name])
    counts = rng.poisson(rng.gamma(0.4, 2.0, len(genes)), (n, len(genes))).astype(np.float32)
    counts[:, 0] += 1
    total = counts.sum(1, keepdims=True)
    X = counts if values == "counts" else np.log1p(counts / total * 1e4).astype(np.float32)
    donor = rng.choice(["D1", "D2", f"{name}3"], n)
    obs = pd.DataFrame({"age": np.where(donor == "D1", 30, 60), "protocol": rng.choice(["cells", "nuclei"], n)},
                       index=[f"c{i}" for i in range(n)])  # fmt: skip
    obs["person" if name == "kiel" else "donor"] = donor
    obs["cell_type"] = pd.Categorical(rng.choice(["T cell", f"{name} cell"], n))
    obs["score"] = rng.random(n) if name != "oslo" else rng.choice(["high", "low"], n)
    if name == "lund":
        obs["stage"] = rng.choice(["early", "late"], n)
    var = pd.DataFrame({"gene_ids": [f"ENSG{g:011d}.{len(name) + g % 3}" for g in genes]},
                       index=[f"G{g}" for g in genes])  # fmt: skip
    return ad.AnnData(sparse.csr_matrix(X), obs=obs, var=var)


@pytest.fixture(scope="session")
def built(made_once):
    """By kind of values, the folder of the three studies, and of their merges by inner and outer join."""

    def write(folder):
        for values in ("counts", "log1p"):
            for name in SIZES:
                (folder / values).mkdir(exist_ok=True, parents=True)
                make(name, values).write_h5ad(folder / values / f"{name}.h5ad")
                roles = {"donor": "person" if name == "kiel" else "donor", "age": "age", "protocol": "protocol",
                         "cell_type": ["cell_type"]}  # fmt: skip
                titin.build(folder / values / f"{name}.h5ad", folder / values / name, roles=roles, project=[])
            parts = [folder / values / name for name in SIZES]
            for join in ("inner", "outer"):
                titin.merge(parts, folder / values / join, join=join, preset=None)

    return made_once("load-studies", write)


def open_all(folder, values="log1p"):
    return {name: titin.open(folder / values / name) for name in SIZES}


def rows_of(loader):
    """By name of a cell, the rows of X that were handed out for it, and its obs."""
    found = {}
    for X, obs in loader:
        rows = X.toarray() if sparse.issparse(X) else X.copy()
        labels = obs.to_frame().astype(object).where(obs.to_frame().notna(), None)
        for name, row, label in zip(obs.index, rows, labels.to_dict("records"), strict=True):
            found.setdefault(name, []).append((row.tobytes(), label))
    return found


@pytest.mark.parametrize("join", ["inner", "outer"])
@pytest.mark.parametrize(("values", "wanted"), [("log1p", "lognorm"), ("log1p", "counts"), ("counts", "counts")])
@pytest.mark.parametrize("dense", [False, True])
def test_it_hands_out_what_the_loader_of_the_merge_does(built, join, values, wanted, dense):
    joint = Loader(open_all(built, values), 64, join=join, values=wanted, dense=dense, buffer_cells=2048)
    merged = Loader(built / values / join, 64, values=wanted, dense=dense)
    assert list(joint.genes) == list(merged.genes)
    assert set(joint.obs.columns) == set(merged.obs.columns)
    ours, theirs = rows_of(joint), rows_of(merged)
    assert ours == theirs
    assert {len(rows) for rows in ours.values()} == {1}
    assert len(ours) == sum(SIZES.values())
    pd.testing.assert_frame_equal(joint.measured, merged.measured, check_names=False)


@pytest.mark.parametrize("join", ["inner", "outer"])
def test_labels_are_those_of_the_union(built, join):
    studies, merged = Studies(open_all(built), join), titin.open(built / "log1p" / join)
    assert studies.roles == merged.roles
    assert set(studies.obs.columns) == set(merged.obs.columns)
    names = list(merged.obs_names)
    for column in merged.obs:
        ours = studies.obs.loc[names, column].astype(object)
        theirs = merged.obs[column].astype(object)
        assert ours.where(ours.notna(), None).tolist() == theirs.where(theirs.notna(), None).tolist(), column
    assert set(studies.obs["cell_type"].cat.categories) == {"T cell", "lund cell", "kiel cell", "oslo cell"}
    assert studies.obs["study"].value_counts().to_dict() == SIZES
    assert studies.obs["stage"].isna().sum() == SIZES["kiel"] + SIZES["oslo"]
    assert "Studies lund, kiel, oslo: 1,050 cells" in repr(studies)
    assert any("'score'" in note for note in studies.notes)


def test_the_total_of_a_cell_is_that_of_all_genes_of_its_dataset(built):
    atlases = open_all(built, "counts")
    got = {name: np.frombuffer(rows[0][0], np.float32) for name, rows in rows_of(Loader(atlases, 100)).items()}
    counts = atlases["oslo"].counts[:].toarray().astype(float)
    wanted = np.log1p(1e4 * counts / counts.sum(1, keepdims=True))
    genes = Loader(atlases).genes
    places = atlases["oslo"].gene_positions(list(genes))
    for name, row in zip(atlases["oslo"].obs_names, wanted[:, places], strict=True):
        np.testing.assert_allclose(got[f"{name}-oslo"], row, rtol=1e-6)


def test_what_was_not_measured_is_said_of_each_batch(built):
    atlases = open_all(built)
    loader = Loader(atlases, 50, join="outer", dense=True)
    for X, obs in loader:
        mask = loader.mask(obs)
        assert mask.shape == X.shape
        assert mask.dtype == bool
        assert not X[~mask].any()
        for name, own in zip(obs["study"], mask, strict=True):
            assert set(loader.genes[own]) == set(atlases[name].var_names)
    some = Loader(atlases, 50, join="outer", genes=["G100", "G5", "G40"])
    assert some.measured.to_dict("list") == {"lund": [False, True, True], "kiel": [False, False, True],
                                             "oslo": [True, False, True]}  # fmt: skip
    inner = Loader(atlases, 50)
    assert inner.mask(next(iter(inner)).obs).all()
    merged = Loader(built / "log1p" / "outer", 50, obs=["cell_type"])
    with pytest.raises(TitinError, match="does not hand out"):
        merged.mask(next(iter(merged)).obs)


@settings(max_examples=10)
@given(batch=st.integers(1, 500), buffer=st.integers(1, 3000), take=st.integers(0, 9), shuffle=st.booleans(),
       cache=st.booleans())  # fmt: skip
def test_every_chosen_cell_comes_once(built, tmp_path_factory, batch, buffer, take, shuffle, cache):
    studies = Studies(open_all(built))
    chosen = np.flatnonzero(np.arange(studies.n_obs) % 10 >= take)
    home = tmp_path_factory.getbasetemp() / "studies-cache"
    loader = Loader(studies, batch, cells=chosen, buffer_cells=buffer, shuffle=shuffle, cache=home if cache else False)
    names = np.concatenate([batch.obs.index for batch in loader])
    assert sorted(names) == sorted(studies.obs_names[chosen])
    assert len(loader) == -(-len(chosen) // batch)
    if not shuffle:
        assert list(names) == list(studies.obs_names[chosen])


@settings(max_examples=10)
@given(batch=st.integers(20, 400), stop=st.integers(1, 20), seed=st.integers(0, 3), weighted=st.booleans())
def test_an_epoch_can_be_gone_on_with_exactly(built, batch, stop, seed, weighted):
    studies = Studies(open_all(built))
    options = {"batch_size": batch, "seed": seed, "weights": WEIGHTS if weighted else None, "buffer_cells": 1024}
    whole = Loader(studies, **options)
    whole.set_epoch(3)
    wanted = [(tuple(obs.index), X.toarray().tobytes()) for X, obs in whole]
    stop = min(stop, len(wanted))
    stopped = Loader(studies, **options)
    stopped.set_epoch(3)
    state = next(stopped.state_dict() for i, _ in enumerate(stopped, 1) if i == stop)
    again = Loader(pickle.loads(pickle.dumps(studies)), **options)
    again.load_state_dict(state)
    assert [(tuple(obs.index), X.toarray().tobytes()) for X, obs in again] == wanted[stop:]


@pytest.mark.parametrize("weights", [None, "equal", WEIGHTS])
def test_ranks_share_an_epoch(built, weights):
    whole = Loader(open_all(built), weights=weights, buffer_cells=1024)
    shares = [Loader(whole.atlas, sampler=DistributedSampler(whole.sampler, rank=rank, world_size=3, drop=True))
              for rank in range(3)]  # fmt: skip
    drawn = [Counter(name for batch in share for name in batch.obs.index) for share in shares]
    assert len({sum(own.values()) for own in drawn}) == 1
    together, planned = sum(drawn, Counter()), Counter(name for batch in whole for name in batch.obs.index)
    assert together <= planned
    assert sum(planned.values()) - sum(together.values()) < 3 * 1024
    if weights is None:
        assert max(together.values()) == 1


@pytest.mark.parametrize("weights", ["proportional", "equal", WEIGHTS])
def test_an_epoch_draws_studies_by_weight(built, weights):
    studies = Studies(open_all(built))
    loader = Loader(studies, 35, weights=weights, buffer_cells=1024)
    total = sum(SIZES.values())
    own = {"proportional": SIZES, "equal": dict.fromkeys(SIZES, 1)}.get(weights if isinstance(weights, str) else "",
                                                                       WEIGHTS)  # fmt: skip
    epochs = [[tuple(batch.obs.index) for batch in loader] for _ in range(2)]
    assert epochs[0] != epochs[1]
    for epoch in epochs:
        times = Counter(name for batch in epoch for name in batch)
        assert sum(times.values()) == total == len(loader.sampler)
        for name, size in SIZES.items():
            share = total * own[name] / sum(own.values())
            drawn = [times[cell] for cell in studies.obs_names[studies.obs["study"] == name]]
            assert abs(sum(drawn) - share) < 1
            assert set(drawn) <= {int(share // size), int(-(-share // size))}


@given(
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=5),
    weights=st.lists(st.floats(0.01, 100), min_size=5, max_size=5),
    block=st.integers(1, 80),
    seed=st.integers(0, 9),
)
def test_a_sampler_draws_shares_evenly(sizes, weights, block, seed):
    labels = np.repeat([f"s{i}" for i in range(len(sizes))], sizes)
    given_ = dict(zip(dict.fromkeys(labels), weights, strict=False))
    sampler = StudySampler(labels, given_, block_cells=block, buffer_cells=4 * block, seed=seed)
    loads = list(sampler.loads(0))
    again = list(StudySampler(labels, given_, block_cells=block, buffer_cells=4 * block, seed=seed).loads(0))
    assert [load.tolist() for load in loads] == [load.tolist() for load in again]
    assert all(len(load) <= 4 * block for load in loads)
    times = np.bincount(np.concatenate(loads), minlength=len(labels))
    assert times.sum() == len(labels) == len(sampler)
    for name, weight in given_.items():
        own = times[labels == name]
        assert abs(own.sum() - len(labels) * weight / sum(given_.values())) < 1
        assert own.max() - own.min() <= 1


def test_studies_are_mixed_all_through_an_epoch():
    sampler = StudySampler(np.repeat(["a", "b"], [40_000, 8_000]), "equal", block_cells=256, buffer_cells=4096)
    for load in sampler.loads(0):
        share = (load < 40_000).mean()
        assert 0.35 < share < 0.65


def test_donors_are_held_out_of_all_studies(built):
    studies = Studies(open_all(built))
    donors = studies.obs[studies.roles["donor"]].astype(str)
    assert donors.nunique() == 9  # three of each study, whatever they are called
    folds = list(LeaveOneDonorOut.from_atlas(studies).split())
    assert len(folds) == 9
    for train, test in folds[:2]:
        loader = Loader(studies, 100, cells=train, weights="equal")
        met = {name for batch in loader for name in batch.obs["donor_of_study"].astype(str)}
        assert met == set(donors.iloc[train])
        assert not met & set(donors.iloc[test])
    held_out = sorted(donors.unique())[0]
    by_name = Loader(studies, donors=[held_out])
    assert {name for batch in by_name for name in batch.obs["donor_of_study"]} == {held_out}
    assert StratifiedDonorKFold.from_atlas(studies, "study", n_splits=3).get_n_splits() == 3
    train, test = next(ProtocolTransfer.from_atlas(studies).split())
    assert not set(donors.iloc[train]) & set(donors.iloc[test])


def test_a_merge_and_a_part_are_studies_too(built):
    folder = built / "log1p"
    titin.merge([folder / "lund", folder / "kiel"], folder / "two", join="outer", force=True)
    oslo = titin.open(folder / "oslo")
    few = oslo[[80, 3, 41], :].obs_names
    studies = Studies({"two": titin.open(folder / "two"), "oslo": oslo[[80, 3, 41], [f"G{g}" for g in range(30, 60)]]})
    assert studies.studies == ["lund", "kiel", "oslo"]
    assert list(studies.measured.index) == [f"G{g}" for g in range(30, 60)]
    assert studies.measured.to_numpy().all()
    assert sorted(studies.obs_names[studies.obs["study"] == "oslo"]) == sorted(few)
    got = rows_of(Loader(studies, 50, genes=["G31", "G44"]))
    wanted = oslo.X[list(few), ["G31", "G44"]].toarray()
    assert [got[name][0][0] for name in few] == [row.tobytes() for row in wanted]
    sampler = Loader(studies, weights="equal").sampler
    assert set(sampler.draws.values()) == {studies.n_obs // 3, -(-studies.n_obs // 3)}
    within = Loader(folder / "two", weights={"lund": 3, "kiel": 1}).sampler
    assert within.draws == {"lund": 720, "kiel": 240}


def test_genes_are_matched_by_alias(built, tmp_path):
    source = make("oslo", "log1p")[:40].copy()
    source.var_names = [{"G35": "OLD35"}.get(name, name) for name in source.var_names]
    del source.var["gene_ids"]
    source.write_h5ad(tmp_path / "older.h5ad")
    older = titin.open(titin.build(tmp_path / "older.h5ad", tmp_path / "older", project=[]).path)
    (tmp_path / "aliases.csv").write_text("symbol,alias\nG35,OLD35\n")
    both = [built / "log1p" / "lund", older]
    assert "G35" not in Studies(both).var_names
    matched = Studies(both, gene_aliases=tmp_path / "aliases.csv")
    assert "G35" in matched.var_names
    got = rows_of(Loader(matched, 64, genes=["G35"]))
    wanted = np.asarray(older["OLD35"], np.float32)
    names = [f"{name}-older" for name in older.obs_names]
    assert [got[name][0][0] for name in names] == [value.tobytes() for value in wanted]


def test_what_cannot_be_one_is_refused_in_words(built, kinds):
    atlases = open_all(built)
    one, other = atlases["lund"], atlases["kiel"]
    mixed = {"one": kinds["log1p"][0], "other": kinds["counts"][0]}
    cases = {
        "not two datasets": lambda: Studies([one]),
        "a sequence, or a dict": lambda: Studies(one),
        "one and the same": lambda: Studies({"a": one, "b": one}),
        "are called 'lund'": lambda: Studies([one, one]),
        "cannot be joined by 'left'": lambda: Loader([one, other], join="left"),
        "nothing to be joined with": lambda: Loader(one, join="outer"),
        "joined already": lambda: Loader(Studies([one, other]), join="outer"),
        "no gene in common": lambda: Studies({"one": one, "other": kinds["log1p"][0]}),
        "different kinds: one log1p, other counts": lambda: Loader(mixed),
        "no study 'kile' to weight": lambda: Loader([one, other], weights={"lund": 1, "kile": 1}),
        "study 'kiel' has no weight": lambda: Loader([one, other], weights={"lund": 1}),
        "weight of 'kiel' is 0": lambda: Loader([one, other], weights={"lund": 1, "kiel": 0}),
        "weight of 'kiel' is nan": lambda: Loader([one, other], weights={"lund": 1, "kiel": float("nan")}),
        "no weights 'even'": lambda: Loader([one, other], weights="even"),
        "no cell of the study 'kiel'": lambda: Loader([one, other], weights={"lund": 1, "kiel": 1}, cells=[0, 1]),
        "of one study": lambda: Loader(one, weights="equal"),
        "at random": lambda: Loader([one, other], weights="equal", shuffle=False),
        "sampler's to choose": lambda: Loader(
            [one, other], weights="equal", sampler=StudySampler(["a"] * (one.n_obs + other.n_obs))
        ),
        "'score' is not one over all studies: that of oslo": lambda: Loader(atlases, obs=["score"]),
        "has a column 'nothing'": lambda: Loader(atlases, obs=["nothing"]),
        "no gene 'G100'": lambda: Loader(atlases, genes=["G100"]),
        "has a cell 'c1'": lambda: Loader(atlases, cells=["c1"]),
        "one dataset at a time": lambda: tokens([one, other]),
    }
    for said, act in cases.items():
        with pytest.raises(TitinError, match=said):
            act()
    assert Loader(mixed, values="counts").obs["study"].nunique() == 2
    with pytest.raises(TitinError) as found:
        Loader([one, other], weights={"lund": 1, "kile": 1})
    assert "did you mean 'kiel'" in found.value.hint


def test_torch_takes_several(built):
    torch = pytest.importorskip("torch")
    from titin.load.torch import MISSING, TorchDataset

    atlases = open_all(built)
    loader = Loader(atlases, 64, join="outer", obs=["stage", "cell_type"], dense=True)
    dataset = TorchDataset(loader, "dense", "stage", mask=True)
    n_missing = n_cells = 0
    for X, y, mask in torch.utils.data.DataLoader(dataset, batch_size=None):
        assert X.shape == mask.shape
        assert not X[~mask].any()
        n_missing += int((y == MISSING).sum())
        n_cells += len(y)
    assert (n_cells, n_missing) == (1050, SIZES["kiel"] + SIZES["oslo"])
    types = TorchDataset(Loader(atlases, 64), target="cell_type")
    assert set(types.classes) == {"T cell", "lund cell", "kiel cell", "oslo cell"}
    assert sum(len(y) for _, y in types) == 1050
    with pytest.raises(TitinError, match="does not hand out"):
        TorchDataset(Loader(built / "log1p" / "outer", obs=["cell_type"]), mask=True)
