"""Batches hold the dataset's values, every cell once, in a planned order, and errors name what is wrong."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import titin
from titin.errors import TitinError
from titin.load import BalancedSampler, BlockShuffleSampler, DistributedSampler, Loader, SequentialSampler


def whole(loader):
    """All batches as one dense matrix, and the names of their cells."""
    batches = list(loader)
    X = [b.X.toarray() if sparse.issparse(b.X) else b.X.copy() for b in batches]
    return np.concatenate(X), np.concatenate([b.obs.index for b in batches])


def in_order(atlas, names):
    return atlas.obs_names.get_indexer(names)


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("kind", ["counts", "log1p", "real"])
def test_values_are_the_sources_bit_for_bit(kinds, tmp_path, kind, dense, cache):
    atlas, X, counts = kinds[kind]
    loader = Loader(atlas, 100, dense=dense, cache=tmp_path if cache else False, buffer_cells=300)
    got, names = whole(loader)
    rows = in_order(atlas, names)
    assert sorted(rows) == list(range(1500))
    if kind == "counts":
        total = np.maximum(counts.sum(1, keepdims=True), 1)
        np.testing.assert_allclose(got, np.log1p(counts * (1e4 / total))[rows], rtol=1e-6)
    else:
        assert got.tobytes() == np.ascontiguousarray(X[rows]).tobytes()


@pytest.mark.parametrize("kind", ["counts", "log1p"])
def test_counts_are_the_counts(kinds, kind):
    atlas, _, counts = kinds[kind]
    got, names = whole(Loader(atlas, 64, values="counts"))
    np.testing.assert_array_equal(got, counts[in_order(atlas, names)])
    assert got.dtype == np.float32


def test_counts_of_real_values_are_refused(kinds):
    with pytest.raises(TitinError, match="no counts"):
        Loader(kinds["real"][0], values="counts")


@pytest.mark.parametrize("dense", [False, True])
def test_genes_are_columns_in_the_order_asked_for(demo, dense):
    atlas, source = demo
    genes = [source.var_names[i] for i in (200, 3, 77)]
    loader = Loader(atlas, 256, genes=genes, dense=dense)
    got, names = whole(loader)
    assert list(loader.genes) == genes
    np.testing.assert_array_equal(got, source[names, genes].X.toarray())


def test_a_gene_that_is_not_there_is_named(demo):
    with pytest.raises(TitinError, match="NOSUCH"):
        Loader(demo[0], genes=["NOSUCH"])


@settings(max_examples=12)
@given(
    batch=st.integers(1, 900),
    buffer=st.integers(1, 3000),
    drop=st.booleans(),
    shuffle=st.booleans(),
    take=st.integers(0, 9),
)
def test_every_chosen_cell_comes_once_in_batches_of_one_size(demo, batch, buffer, drop, shuffle, take):
    atlas, _ = demo
    chosen = np.flatnonzero(np.arange(atlas.n_obs) % 10 >= take)
    loader = Loader(atlas, batch, cells=chosen, buffer_cells=buffer, drop_last=drop, shuffle=shuffle, obs=[])
    batches = [b.obs.index for b in loader]
    assert len(batches) == len(loader)
    assert all(len(b) == batch for b in batches[: len(batches) if drop else -1])
    names = np.concatenate(batches) if batches else np.array([])
    rows = in_order(atlas, names)
    assert len(set(rows)) == len(rows) == (len(chosen) // batch * batch if drop else len(chosen))
    assert set(rows) <= set(chosen)
    if not shuffle:
        assert rows.tolist() == sorted(rows)


@settings(max_examples=20)
@given(batch=st.integers(20, 700), stop=st.integers(0, 30), seed=st.integers(0, 3))
def test_an_epoch_can_be_gone_on_with_where_it_was_left(demo, batch, stop, seed):
    atlas, _ = demo
    loader = Loader(atlas, batch, seed=seed, buffer_cells=700, obs=[])
    loader.set_epoch(4)
    all_names = [tuple(b.obs.index) for b in loader]
    stop = min(stop, len(all_names) - 1)
    loader.set_epoch(4)
    state = loader.state_dict()
    for i, _ in enumerate(loader):
        if i + 1 == stop:
            state = loader.state_dict()
            break
        if stop == 0:
            break
    again = Loader(atlas, batch, seed=seed, buffer_cells=700, obs=[])
    again.load_state_dict(state)
    assert [tuple(b.obs.index) for b in again] == all_names[stop:]
    # and the epoch after it is whole
    assert len([1 for _ in again]) == len(all_names)


def test_epochs_differ_and_repeat(demo):
    atlas, _ = demo
    loader = Loader(atlas, 500, obs=[])
    first, second = whole(loader)[1], whole(loader)[1]
    assert first.tolist() != second.tolist()
    loader.set_epoch(0)
    assert whole(loader)[1].tolist() == first.tolist()


def test_a_state_of_other_batches_is_refused(demo):
    loader = Loader(demo[0], 100)
    with pytest.raises(TitinError, match="batches of 7 cells"):
        loader.load_state_dict({"epoch": 0, "batches": 1, "batch_size": 7})


@pytest.mark.parametrize("state", [
    {}, None, [1], {"epoch": -1, "batches": 0, "batch_size": 100}, {"epoch": 0, "batches": "3", "batch_size": 100},
    {"epoch": 0, "batches": 1.5, "batch_size": 100},
])  # fmt: skip
def test_what_is_no_state_is_refused(demo, state):
    with pytest.raises(TitinError, match="no state of a Loader"):
        Loader(demo[0], 100).load_state_dict(state)


def test_a_state_of_other_cells_is_refused(demo):
    atlas, _ = demo
    part = Loader(atlas, 100, cells=range(300))
    with pytest.raises(TitinError, match=f"of an epoch of {atlas.n_obs:,} cells, not 300"):
        part.load_state_dict(taken(Loader(atlas, 100)))
    rank = Loader(atlas, 100, sampler=DistributedSampler(BlockShuffleSampler(atlas.n_obs), rank=0, world_size=2))
    with pytest.raises(TitinError, match="as many ranks and workers"):
        rank.load_state_dict(taken(Loader(atlas, 100)))
    before_cells_were_told = {key: n for key, n in taken(part).items() if key != "cells"}
    part.load_state_dict(before_cells_were_told)
    assert len(list(part)) == 2


@pytest.mark.parametrize("other", [{"seed": 1}, {"shuffle": False}])
def test_a_state_of_another_order_is_refused(demo, other):
    atlas, _ = demo
    first = Loader(atlas, 100, buffer_cells=700)
    state = taken(first)
    loader = Loader(atlas, 100, **{"buffer_cells": 700, **other})
    loader.load_state_dict(state)
    with pytest.raises(TitinError, match="cells come in another order than when the state was taken"):
        list(loader)
    again = Loader(atlas, 100, buffer_cells=700)
    again.load_state_dict(state)
    assert again.state_dict() == state
    assert len(list(again)) == len(again) - 1
    assert len(list(again)) == len(again)


def taken(loader):
    """The state after a batch."""
    batches = iter(loader)
    next(batches)
    return loader.state_dict()


@pytest.mark.parametrize("cells", [[-1, 3], [0, 10**9]])
def test_a_sampler_of_more_cells_than_there_are_is_refused(demo, cells):
    with pytest.raises(TitinError, match="the sampler has cells from"):
        list(Loader(demo[0], 100, sampler=SequentialSampler(np.array(cells))))


@pytest.mark.parametrize("size", [1.5, "8", None, True])
def test_a_batch_has_a_whole_number_of_cells(demo, size):
    with pytest.raises(TitinError, match="a batch of"):
        Loader(demo[0], size)


def test_donors_choose_cells(demo):
    atlas, source = demo
    donors = source.obs["DonorID"].unique()[:3].tolist()
    _, names = whole(Loader(atlas, 300, donors=donors))
    assert sorted(names) == sorted(source.obs_names[source.obs["DonorID"].isin(donors)])
    with pytest.raises(TitinError, match="no donor 'nobody'"):
        Loader(atlas, donors=["nobody"])


def test_obs_are_those_of_the_cells(demo):
    atlas, source = demo
    loader = Loader(atlas, 333)
    for _, obs in loader:
        expected = source.obs.loc[obs.index]
        assert list(obs["annotation_level0"]) == list(expected["annotation_level0"])
        assert list(obs.to_frame()["DonorID"]) == list(expected["DonorID"])
        assert "age_numeric" in obs.columns
        assert "n_counts" not in obs
    chosen = next(iter(Loader(atlas, 10, obs=["n_counts"]))).obs
    assert list(chosen) == ["n_counts"]
    with pytest.raises(TitinError, match="no column 'nothing'"):
        Loader(atlas, obs=["nothing"])


def test_a_sampler_decides(demo):
    atlas, _ = demo
    labels = atlas.obs["annotation_level0"].astype(str)
    loader = Loader(atlas, 250, sampler=BalancedSampler(labels, seed=3))
    drawn = np.concatenate([b.obs["annotation_level0"] for b in loader])
    assert len(drawn) == atlas.n_obs
    share = np.unique(drawn, return_counts=True)[1] / len(drawn)
    assert share.max() < 3 / labels.nunique()
    with pytest.raises(TitinError, match="sampler's to choose"):
        Loader(atlas, sampler=BlockShuffleSampler(10), cells=[1])


def test_a_kept_batch_is_not_overwritten(demo):
    atlas, source = demo
    kept = list(Loader(atlas, 50, buffer_cells=200))
    for X, obs in kept:
        np.testing.assert_array_equal(X.toarray(), source[obs.index].X.toarray())


def test_leaving_the_loop_stops_the_threads(demo):
    before = threading.active_count()
    for _ in Loader(demo[0], 10, buffer_cells=100):
        break
    assert threading.active_count() <= before


@pytest.mark.parametrize("bad", [{"batch_size": 0}, {"values": "logs"}, {"cells": [1, 1]}])
def test_wrong_use_is_refused(demo, bad):
    with pytest.raises(TitinError):
        Loader(demo[0], **bad)


def damaged_copy(atlas, folder, change):
    import shutil

    copy = folder / "copy"
    shutil.copytree(atlas.folder, copy)
    path = copy / atlas.layout.expression
    change(path)
    return copy, path


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize("cache", [False, True])
def test_a_corrupted_page_is_an_error_that_names_the_file(demo, tmp_path, cache):
    copy, path = damaged_copy(demo[0], tmp_path, flip)
    with pytest.raises(TitinError, match=path.name):
        whole(Loader(titin.open(copy), 100, cache=tmp_path / "cache" if cache else False))


def test_a_missing_file_is_an_error_that_names_it(demo, tmp_path):
    copy, path = damaged_copy(demo[0], tmp_path, lambda path: path.unlink())
    with pytest.raises(TitinError, match=f"{path.name} is missing"):
        whole(Loader(titin.open(copy), 100))


def test_a_file_replaced_in_an_epoch_is_an_error_that_names_it(demo, tmp_path):
    copy, path = damaged_copy(demo[0], tmp_path, lambda path: None)
    many_loads = BlockShuffleSampler(demo[0].n_obs, block_cells=10, buffer_cells=20)
    batches = iter(Loader(titin.open(copy), 10, sampler=many_loads))
    next(batches)
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)
    with pytest.raises(TitinError, match=f"{path.name} was replaced"):
        list(batches)


def test_a_cache_is_made_once_and_by_content(demo, tmp_path):
    atlas, _ = demo
    first = whole(Loader(atlas, 400, cache=tmp_path))
    made = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("tokens")}
    second = whole(Loader(atlas, 400, cache=tmp_path))
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("tokens")} == made
    assert len(made) == 1
    np.testing.assert_array_equal(first[0], second[0])


def test_two_that_want_the_cache_at_once_get_the_same(demo, tmp_path):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(whole(Loader(demo[0], 500, cache=tmp_path)))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2
    np.testing.assert_array_equal(results[0][0], results[1][0])
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_cache_that_cannot_be_written_is_refused(demo, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TitinError, match=r"cache .* cannot be made"):
        whole(Loader(demo[0], cache=tmp_path / "file" / "below"))
