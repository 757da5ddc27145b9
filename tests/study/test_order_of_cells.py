"""Whatever a user does to ``atlas.obs`` in place, metadata goes with the cells that it is of, or it is refused."""
# ruff: noqa: PD002 - what users may do

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import titin
from titin.ageing import cell_counts, pseudobulk
from titin.ageing.gene_statistics import gene_statistics
from titin.atlas import Atlas, SelectionError, UnknownNameError
from titin.demo import write_demo_atlas
from titin.errors import TitinError
from titin.features import highly_variable
from titin.learn import atlas_design
from titin.load import BalancedSampler, DistributedSampler, Loader
from titin.load.splits import LeaveOneDonorOut, ProtocolTransfer, RandomCellSplit, StratifiedDonorKFold
from titin.load.tokens import gene_medians
from titin.study.groups import cell_keys

TYPES, DONOR = "annotation_level0", "DonorID"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("order")
    write_demo_atlas(path / "demo.h5ad", n_cells=600, n_genes=150)
    titin.build(path / "demo.h5ad", path / "demo", preset="muscle")
    return path / "demo"


def assign(atlas: Atlas, obs: pd.DataFrame) -> None:
    atlas.obs = obs  # type: ignore[misc] - nothing keeps a user from it


# after these it is known which row is of which cell
REORDERED: dict[str, Callable[[Atlas], Any]] = {
    "sorted": lambda atlas: atlas.obs.sort_values([TYPES, DONOR], inplace=True),
    "sorted by name": lambda atlas: atlas.obs.sort_index(inplace=True),
    "reversed": lambda atlas: assign(atlas, atlas.obs.iloc[::-1]),
    "shuffled": lambda atlas: assign(atlas, atlas.obs.sample(frac=1, random_state=0)),
    "a column more": lambda atlas: atlas.obs.insert(0, "mine", np.arange(atlas.n_obs)),
}
# after these it is not, or not of every cell
LOST: dict[str, Callable[[Atlas], Any]] = {
    "names reset": lambda atlas: atlas.obs.reset_index(drop=True, inplace=True),
    "names made a column": lambda atlas: atlas.obs.reset_index(inplace=True),
    "sorted, names reset": lambda atlas: atlas.obs.sort_values(DONOR, inplace=True, ignore_index=True),
    "another index": lambda atlas: atlas.obs.set_index(DONOR, inplace=True, drop=False),
    "rows dropped": lambda atlas: atlas.obs.drop(index=atlas.obs.index[:7], inplace=True),
    "rows chosen": lambda atlas: assign(atlas, atlas.obs[atlas.obs["Sex"] == "F"]),
    "a row twice": lambda atlas: assign(atlas, atlas.obs.iloc[[0, *range(atlas.n_obs - 1)]]),
}


def cells_of(atlas: Atlas, positions: Any) -> list[str]:
    return sorted(atlas.obs_names[positions])


def loaded(atlas: Atlas, **options: Any) -> list[Any]:
    rows: list[Any] = []
    for X, obs in Loader(atlas, 64, obs=[TYPES, DONOR], threads=1, **options):
        sums = np.asarray(X.sum(axis=1)).ravel().round(3)
        rows += zip(obs.index, sums, obs[TYPES].astype(str), obs[DONOR].astype(str), strict=True)
    return sorted(rows)


def splits(splitter: Any, atlas: Atlas) -> list[Any]:
    return [(cells_of(atlas, train), cells_of(atlas, test)) for train, test in splitter.split()]


def torch_targets(atlas: Atlas) -> list[Any]:
    pytest.importorskip("torch")
    from titin.load.torch import TorchDataset

    dataset = TorchDataset(Loader(atlas, 64, shuffle=False, threads=1), target=TYPES)
    return [(X.to_dense().sum(1).tolist(), y.tolist()) for X, y in dataset]


def scvi_batches(atlas: Atlas) -> list[Any]:
    pytest.importorskip("torch")
    from titin.embed.scvi import _Data

    data = _Data(atlas, list(atlas.var_names[:20]), DONOR, 0, 1)
    # the number of a batch is of no account, its donor is
    codes = np.concatenate([batch["batch"].ravel().numpy() for batch in data.inference()])
    return data.batches[codes].tolist()


CONSUMERS: dict[str, Callable[[Atlas], Any]] = {
    "Loader": loaded,
    "Loader, in order": lambda atlas: loaded(atlas, shuffle=False),
    "Loader, of donors": lambda atlas: loaded(atlas, donors=["470BR", "583B"]),
    "TorchDataset": torch_targets,
    "scVI": scvi_batches,
    "LeaveOneDonorOut": lambda atlas: splits(LeaveOneDonorOut.from_atlas(atlas), atlas),
    "LeaveOneDonorOut, some": lambda atlas: splits(
        LeaveOneDonorOut.from_atlas(atlas, cells=np.arange(590, 0, -1)), atlas
    ),
    "StratifiedDonorKFold": lambda atlas: splits(StratifiedDonorKFold.from_atlas(atlas, n_splits=3), atlas),
    "ProtocolTransfer": lambda atlas: splits(ProtocolTransfer.from_atlas(atlas), atlas),
    "RandomCellSplit": lambda atlas: RandomCellSplit.from_atlas(atlas).donors_in_common(np.arange(9), np.arange(9, 50)),
    "highly_variable": lambda atlas: highly_variable(atlas, 20, batch_key="batch"),
    "gene_medians": lambda atlas: gene_medians(atlas, atlas.obs["Sex"] == "F"),
    "X of a mask": lambda atlas: atlas.X[atlas.obs["Sex"] == "F"].toarray(),
    "Loader of a mask": lambda atlas: loaded(atlas, cells=atlas.obs["Sex"] == "F"),
    "expression of a mask": lambda atlas: atlas.expression[atlas.obs["Sex"] == "F"].sum(),
    "expression.loc of a mask": lambda atlas: atlas.expression.loc[atlas.obs["Sex"] == "F"].sum(),
    "expression.iloc of a mask": lambda atlas: atlas.expression.iloc[atlas.obs["Sex"] == "F"].sum(),
    "iter_blocks of a mask": lambda atlas: [b.rows.tolist() for b in atlas.iter_blocks(cells=atlas.obs["Sex"] == "F")],
    "groupby": lambda atlas: atlas.expression.groupby(["batch", "Sex"]).mean(),
    "groupby labels": lambda atlas: atlas.expression.groupby(atlas.obs["Sex"]).sum(),
    "groupby of some": lambda atlas: atlas.expression.iloc[50:550].groupby("Sex").sum(),
    "to_anndata": lambda atlas: atlas.to_anndata(genes=["MYH7"]).obs[[TYPES, DONOR]],
    "to_anndata of some": lambda atlas: atlas.to_anndata(np.arange(599, 0, -3), ["MYH7"]).obs[[TYPES, DONOR]],
    "cell_keys": lambda atlas: cell_keys(atlas),
    "pseudobulk": lambda atlas: pseudobulk(atlas, threads=1).counts,
    "cell_counts": lambda atlas: cell_counts(atlas).counts,
    "gene_statistics": lambda atlas: gene_statistics(atlas, ["donor"], threads=1).table,
    "atlas_design": lambda atlas: atlas_design(atlas),
    "cell_columns": lambda atlas: atlas.cell_columns([DONOR, TYPES]),
}


def fresh(folder: Path) -> Atlas:
    return titin.open(folder, threads=1)


@pytest.fixture(scope="module")
def expected(folder: Path) -> Callable[[str], Any]:
    known: dict[str, Any] = {}

    def of(name: str) -> Any:
        if name not in known:
            known[name] = CONSUMERS[name](fresh(folder))
        return known[name]

    return of


def assert_same(one: Any, other: Any) -> None:
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other)
    elif isinstance(one, pd.Series):
        pd.testing.assert_series_equal(one, other)
    elif isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
    elif hasattr(one, "toarray"):
        np.testing.assert_array_equal(one.toarray(), other.toarray())
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    else:
        assert one == other


@pytest.mark.parametrize("change", REORDERED)
@pytest.mark.parametrize("name", CONSUMERS)
def test_a_table_in_another_order_goes_with_the_same_cells(folder, expected, name, change):
    atlas = fresh(folder)
    REORDERED[change](atlas)
    assert_same(CONSUMERS[name](atlas), expected(name))


@pytest.mark.parametrize("change", LOST)
@pytest.mark.parametrize("name", CONSUMERS)
def test_a_table_that_lost_its_cells_is_refused_or_still_right(folder, expected, name, change):
    atlas = fresh(folder)
    LOST[change](atlas)
    try:
        found = CONSUMERS[name](atlas)
    except TitinError:
        return
    assert_same(found, expected(name))


@pytest.mark.parametrize("change", LOST)
def test_the_refusal_says_what_happened(folder, change):
    atlas = fresh(folder)
    LOST[change](atlas)
    with pytest.raises(SelectionError, match=r"of 600 cells asked for, \d+ are not once in its index") as error:
        atlas.cell_columns()
    assert "open the dataset again" in error.value.hint


def test_of_the_cells_that_are_left_the_columns_are_known(folder):
    atlas, whole = fresh(folder), fresh(folder).obs
    LOST["rows dropped"](atlas)
    pd.testing.assert_frame_equal(atlas.cell_columns(cells=slice(7, None)), whole.iloc[7:])
    names = whole.index[[30, 9]]
    assert atlas.cell_columns(DONOR, names)[DONOR].tolist() == whole.loc[names, DONOR].tolist()


def test_columns_that_a_user_adds_are_found_by_name(folder):
    atlas = fresh(folder)
    atlas.obs["mine"] = np.arange(600)
    atlas.obs.loc[atlas.obs["Sex"] == "F", "Sex"] = "M"
    REORDERED["sorted"](atlas)
    assert atlas.cell_columns("mine")["mine"].tolist() == list(range(600))
    assert set(atlas.cell_columns(["Sex"])["Sex"]) == {"M"}
    for _, obs in Loader(atlas, 64, obs=["mine"], threads=1):
        assert atlas.obs_names[obs["mine"].to_numpy()].equals(obs.index)


def test_cell_columns_are_a_copy(folder):
    atlas = fresh(folder)
    columns = atlas.cell_columns([DONOR])
    columns[DONOR] = "changed"
    assert "changed" not in set(atlas.obs[DONOR])


def test_a_column_that_is_not_there_is_named(folder):
    with pytest.raises(UnknownNameError, match="obs has no column 'weather'") as error:
        fresh(folder).cell_columns([DONOR, "weather"])
    assert DONOR in error.value.hint


def samplers(labels: pd.Series) -> Iterator[Any]:
    yield BalancedSampler(labels)
    yield DistributedSampler(BalancedSampler(labels), rank=0, world_size=2)


def test_samplers_made_of_a_sorted_column_are_refused(folder):
    atlas = fresh(folder)
    for sampler in samplers(atlas.obs[TYPES]):
        Loader(atlas, sampler=sampler)
    REORDERED["sorted"](atlas)
    for sampler in samplers(atlas.obs[TYPES]):
        with pytest.raises(TitinError, match="in another order"):
            Loader(atlas, sampler=sampler)
    for sampler in samplers(atlas.cell_columns(TYPES)[TYPES]):
        Loader(atlas, sampler=sampler)
