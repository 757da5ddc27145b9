"""The torch adapter: the same cells and values as the loader, in one process or in several."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import titin
from titin.errors import DatasetError, TitinError
from titin.load import BlockShuffleSampler, DistributedSampler, Loader

torch = pytest.importorskip("torch", reason="needs `pip install titin[torch]`")

from torch.utils.data import DataLoader  # noqa: E402

from titin.load.torch import TorchDataset  # noqa: E402

N_CELLS = 1300


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from titin.demo import make_demo
    from titin.progress import Progress

    path = tmp_path_factory.mktemp("demo")
    return make_demo(path, n_cells=N_CELLS, n_genes=300, seed=0, force=False, progress=Progress()).path


@pytest.fixture(scope="module")
def atlas(folder) -> titin.Atlas:
    return titin.open(folder)


def small(atlas, **settings) -> Loader:
    """A loader with more loads than workers."""
    sampler = BlockShuffleSampler(atlas.n_obs, block_cells=64, buffer_cells=256, seed=4)
    return Loader(atlas, 100, sampler=sampler, threads=2, **settings)


def gather(loader, atlas) -> tuple[np.ndarray, np.ndarray]:
    """All cells handed out, in order, as positions; and their rows."""
    rows, names = [], []
    for X, obs in loader:
        rows.append(X.to_dense().numpy() if X.layout == torch.sparse_csr else X.numpy())
        names += obs.index.tolist()
    return atlas.obs_names.get_indexer(names), np.concatenate(rows)


def test_sparse_batches_are_those_of_the_loader(atlas):
    loader = small(atlas)
    for epoch in range(2):
        loader.set_epoch(epoch)
        expected = [(X.toarray(), obs.index.tolist()) for X, obs in loader]
        loader.set_epoch(epoch)
        found = list(TorchDataset(loader))
        assert len(found) == len(expected)
        for (X, obs), (dense, names) in zip(found, expected, strict=True):
            assert X.layout == torch.sparse_csr
            assert X.dtype == torch.float32
            assert tuple(X.shape) == dense.shape
            assert X.crow_indices().dtype == X.col_indices().dtype == torch.int32
            assert X.to_dense().numpy().tobytes() == dense.tobytes()
            again = torch.sparse_csr_tensor(  # checks what the adapter did not: sorted, distinct, in range
                X.crow_indices(), X.col_indices(), X.values(), size=X.shape, check_invariants=True
            )
            assert again.shape == X.shape
            assert isinstance(obs, pd.DataFrame)
            assert obs.index.tolist() == names


@pytest.mark.parametrize("layout", ["csr", "dense"])
@pytest.mark.parametrize(("values", "dtype"), [("lognorm", torch.float16), ("lognorm", torch.bfloat16),
                                               ("counts", torch.int32), ("counts", torch.float32)])  # fmt: skip
def test_values_come_in_the_dtype_that_is_asked_for(atlas, layout, values, dtype):
    wide = list(TorchDataset(small(atlas, values=values), layout))
    for (X, obs), (expected, names) in zip(
        TorchDataset(small(atlas, values=values), layout, dtype=dtype), wide, strict=True
    ):
        assert X.dtype == dtype
        assert torch.equal(X.to_dense(), expected.to_dense().to(dtype))
        assert obs.index.equals(names.index)


@pytest.mark.parametrize(("values", "dtype"), [("lognorm", torch.int32), ("counts", torch.float16),
                                               ("counts", torch.bfloat16), ("counts", torch.int16)])  # fmt: skip
def test_a_dtype_that_would_change_values_is_refused(atlas, values, dtype):
    with pytest.raises(TitinError, match="are not given as"):
        TorchDataset(small(atlas, values=values), dtype=dtype)


def test_values_beyond_half_precision_are_refused(atlas):
    dataset = TorchDataset(small(atlas), dtype=torch.float16)
    with pytest.raises(TitinError, match="is beyond"):
        dataset._convert(np.array([1.0, 70_000.0], np.float32))
    assert dataset._convert(np.array([1.0, np.inf], np.float32))[1] == torch.inf  # it was so before


@pytest.mark.parametrize("dense", [True, False])
def test_dense_batches_equal_the_atlas(atlas, dense):
    genes = ["MYH7", "MYH2", "PAX7"]
    cells, rows = gather(TorchDataset(small(atlas, genes=genes, dense=dense), "dense"), atlas)
    assert sorted(cells) == list(range(N_CELLS))
    assert rows.tobytes() == atlas.X[cells, genes].toarray().tobytes()


@pytest.mark.parametrize("buffer_cells", [64, 10_000])  # more loads than workers, and fewer
@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_hand_out_every_cell_once(folder, buffer_cells, context):
    atlas = titin.open(folder)
    sampler = BlockShuffleSampler(atlas.n_obs, block_cells=64, buffer_cells=buffer_cells)
    dataset = TorchDataset(Loader(atlas, 100, sampler=sampler, genes=["MYH7", "MYH2"]))
    loader = DataLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context=context)
    cells, rows = gather(loader, atlas)
    assert sorted(cells) == list(range(N_CELLS))
    assert rows.tobytes() == atlas.X[cells, ["MYH7", "MYH2"]].toarray().tobytes()


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_that_stay_hear_of_a_new_epoch(atlas, context):
    dataset = TorchDataset(small(atlas, genes=["MYH7"]), target="annotation_level0")
    loader = DataLoader(
        dataset, batch_size=None, num_workers=2, persistent_workers=True, multiprocessing_context=context
    )
    orders = []
    for epoch in (0, 1, 0):
        dataset.set_epoch(epoch)
        orders.append(torch.cat([y for _, y in loader]).tolist())
    assert orders[0] != orders[1]
    assert orders[0] == orders[2]
    assert sorted(orders[0]) == sorted(orders[1])
    next(iter(loader))  # left in the middle: nothing hangs, and the next epoch is whole
    assert torch.cat([y for _, y in loader]).tolist() == orders[0]


def test_without_workers_epochs_and_resuming_are_the_loaders(atlas):
    loader = small(atlas, genes=["MYH7"])
    dataset = TorchDataset(loader)
    whole = [gather(DataLoader(dataset, batch_size=None), atlas)[0].tolist() for _ in range(2)]
    assert whole[0] != whole[1]
    dataset.set_epoch(1)
    batches = iter(DataLoader(dataset, batch_size=None))
    begun = [next(batches)[1].index for _ in range(3)]
    state = loader.state_dict()
    del batches
    other = small(atlas, genes=["MYH7"])
    other.load_state_dict(state)
    rest = gather(TorchDataset(other), atlas)[0].tolist()
    assert atlas.obs_names.get_indexer(np.concatenate(begun)).tolist() + rest == whole[1]


@pytest.mark.filterwarnings("ignore")  # torchdata imports names that PyTorch warns of
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_stateful_data_loader_goes_on_where_it_stopped(atlas, workers):
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason="torchdata is not installed")

    def batches():
        return stateful.StatefulDataLoader(
            TorchDataset(small(atlas, genes=["MYH7"])), batch_size=None, num_workers=workers
        )

    def names(some):
        return [obs.index.tolist() for _, obs in some]

    whole = names(batches())
    assert sorted(name for batch in whole for name in batch) == sorted(atlas.obs_names)
    stopped = batches()
    begun = iter(stopped)
    first = names(next(begun) for _ in range(3))
    state = pickle.loads(pickle.dumps(stopped.state_dict()))
    del begun
    resumed = batches()
    resumed.load_state_dict(state)
    assert first + names(resumed) == whole


def test_the_state_of_a_dataset_is_the_loaders(atlas):
    dataset = TorchDataset(small(atlas, genes=["MYH7"]))
    begun = iter(dataset)
    whole = [next(begun)[1].index.tolist() for _ in range(2)]
    state = dataset.state_dict()
    assert state == dataset.loader.state_dict()
    whole += [obs.index.tolist() for _, obs in begun]
    other = TorchDataset(small(atlas, genes=["MYH7"]))
    other.load_state_dict(state)
    assert other.state_dict() == state
    assert [obs.index.tolist() for _, obs in other] == whole[2:]


def test_ranks_and_workers_together_cover_the_cells(atlas):
    found = []
    for rank in range(2):
        whole = BlockShuffleSampler(atlas.n_obs, block_cells=64, buffer_cells=64)
        loader = Loader(atlas, 100, sampler=DistributedSampler(whole, rank=rank, world_size=2), genes=["MYH7"])
        cells, _ = gather(DataLoader(TorchDataset(loader), batch_size=None, num_workers=2), atlas)
        assert len(cells) == len(loader.sampler)
        found.append(cells)
    assert set(np.concatenate(found)) == set(range(N_CELLS))


def test_pickles(atlas):
    dataset = pickle.loads(pickle.dumps(TorchDataset(small(atlas), target="Sex")))
    cells = torch.cat([y for _, y in dataset])
    expected = torch.cat([y for _, y in TorchDataset(small(atlas), target="Sex")])
    assert torch.equal(cells, expected)


# targets


def test_targets(atlas):
    obs = atlas.obs
    for column, dtype in (("annotation_level0", torch.int64), ("age_years", torch.float32), ("n_genes", torch.int64)):
        dataset = TorchDataset(small(atlas, genes=["MYH7"], obs=[column]), target=column)
        y = torch.cat([y for _, y in dataset])
        assert y.dtype == dtype
        assert len(y) == N_CELLS
        names = np.concatenate([part.index for _, part in TorchDataset(small(atlas, genes=["MYH7"], obs=[]))])
        expected = obs.loc[names, column]
        if dataset.classes is None:
            assert np.array_equal(y.numpy(), expected.to_numpy(y.numpy().dtype))
        else:
            assert dataset.classes == list(obs[column].cat.categories)
            assert [dataset.classes[i] for i in y] == expected.astype(str).tolist()


@pytest.mark.parametrize("dtype", ["category", "object"])
def test_missing_classes_are_left_out_by_losses(dtype):
    from titin.load.torch import MISSING, _classes, _numbers

    values = pd.Series(["b", None, "a"], dtype=dtype)
    classes = _classes(values)
    assert classes == ["a", "b"]
    assert _numbers(values, classes).tolist() == [1, MISSING, 0]
    loss = torch.nn.functional.cross_entropy(torch.zeros(3, 2), torch.from_numpy(_numbers(values, classes)))
    assert torch.isclose(loss, torch.log(torch.tensor(2.0)))


# what goes wrong


def test_refuses(atlas):
    with pytest.raises(TitinError, match="obs has no column 'weather'"):
        TorchDataset(small(atlas), target="weather")
    with pytest.raises(TitinError, match="there is no layout 'coo'"):
        TorchDataset(small(atlas), "coo")
    with pytest.raises(TitinError, match="the loader gives dense batches"):
        TorchDataset(small(atlas, dense=True), "csr")
    with pytest.raises(TitinError, match="the loader does not hand out 'n_genes'\nmake it with obs="):
        next(iter(TorchDataset(small(atlas), target="n_genes")))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_missing_file_is_named(tmp_path, folder, num_workers):
    import shutil

    copy = shutil.copytree(folder, tmp_path / "dataset")
    atlas = titin.open(copy)
    dataset = TorchDataset(small(atlas))
    (copy / atlas.layout.expression).unlink()
    with pytest.raises(DatasetError, match=f"{atlas.layout.expression} is missing"):
        list(DataLoader(dataset, batch_size=None, num_workers=num_workers))


def test_says_what_to_install():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from titin.errors import TitinError\n"
        "try: import titin.load.torch\n"
        "except TitinError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = "titin.load.torch needs the package torch, which is not installed"
    assert done.stdout == f"{said}\npip install 'titin[torch]'\n"


def test_nothing_else_imports_torch():
    code = "import sys, titin.load, titin.load.splits; assert not {'torch', 'sklearn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
