"""Where a dataset lies, and what happens when its files are missing, damaged or replaced."""

import os
import pickle
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from open_datasets import Opened, damage, make

import titin
from titin.dataset import layout
from titin.dataset.row_group import RowGroup
from titin.dataset.store import Store
from titin.errors import DatasetError, TitinError


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Opened:
    return make(tmp_path_factory.mktemp("built"), "log1p")


@pytest.fixture
def copy(built, tmp_path) -> Path:
    """A dataset to spoil."""
    return shutil.copytree(built.atlas.folder, tmp_path / "copy")


def names(folder: Path) -> layout.Layout:
    return titin.open(folder).layout


# reading


def test_a_table_is_read_over_its_shards(sharded):
    store = Store(sharded.dataset)
    name = store.manifest.layout.expression
    assert len(store.manifest.shards(name)) > 2
    table = store.table(name, [layout.SOURCE_ROW])
    assert table.column_names == [layout.SOURCE_ROW]
    assert sorted(table.column(0).to_pylist()) == list(range(1300))
    assert store.column(name, layout.SOURCE_ROW).equals(table.column(0))


def test_row_groups_follow_each_other(sharded):
    store = Store(sharded.dataset)
    groups = store.row_groups(store.manifest.layout.expression)
    assert all(isinstance(group, RowGroup) for group in groups)
    assert groups[0].first_row == 0
    for before, after in pairwise(groups):
        assert after.first_row == before.first_row + before.n_rows
    assert groups[-1].first_row + groups[-1].n_rows == 1300
    assert {group.index for group in groups} >= {0}
    part = store.read_group(groups[1], [layout.CELL_ID, layout.SOURCE_ROW])
    whole = store.table(store.manifest.layout.expression, [layout.CELL_ID, layout.SOURCE_ROW])
    assert part.equals(whole.slice(groups[1].first_row, groups[1].n_rows).combine_chunks())


def test_a_footer_is_parsed_once(built, monkeypatch):
    store = Store(built.atlas.folder)
    parsed = []
    read = pq.read_metadata
    monkeypatch.setattr(pq, "read_metadata", lambda *args: (parsed.append(1), read(*args))[1])
    shard = store.manifest.layout.expression
    first, second = store.parquet(shard), store.parquet(shard)
    assert first is not second
    assert len(parsed) == 1


@pytest.mark.parametrize("url", ["file://{}", "{}/"])
def test_a_local_folder_by_any_name(built, url):
    atlas = titin.open(url.format(built.atlas.folder))
    assert atlas.folder == built.atlas.folder
    np.testing.assert_array_equal(atlas.X[:].toarray(), built.dense)


def test_a_store_can_be_pickled(built):
    store = Store(built.atlas.folder)
    store.table(store.manifest.layout.sample_metadata)
    again = pickle.loads(pickle.dumps(store))
    assert again.row_groups(again.manifest.layout.expression) == store.row_groups(store.manifest.layout.expression)


# not there, or not whole


def test_no_dataset(tmp_path):
    with pytest.raises(DatasetError, match=r"is not a titin dataset: it has no titin\.json"):
        titin.open(tmp_path)
    with pytest.raises(DatasetError, match="nowhere is not a titin dataset: there is nothing"):
        titin.open(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("file", "ask"),
    [
        ("expression", lambda atlas: atlas.X[:]),
        ("expression_by_gene", lambda atlas: atlas["G3"]),
        ("sample_metadata", lambda atlas: atlas.obs),
        ("feature_metadata", lambda atlas: atlas.var_names),
        ("unstructured_metadata", lambda atlas: atlas.uns),
    ],
)
def test_a_missing_file_is_named(copy, file, ask):
    path = copy / getattr(names(copy), file)
    path.unlink()
    with pytest.raises(DatasetError, match=f"{path.name} is missing"):
        ask(titin.open(copy))


def test_a_missing_embedding_is_named(copy):
    path = copy / names(copy).projection("X_umap")
    path.unlink()
    with pytest.raises(DatasetError, match=f"{path.name} is missing"):
        titin.open(copy).obsm["X_umap"]


@pytest.mark.parametrize("column", ["genes", "counts", "levels"])
def test_a_damaged_page_of_the_cells_is_named(copy, column):
    path = copy / names(copy).expression
    damage(path, column)
    atlas = titin.open(copy)
    for ask in (lambda: atlas.X[:], lambda: list(atlas.iter_blocks()), lambda: atlas.expression.sum()):
        with pytest.raises(DatasetError, match=f"{path.name} is damaged"):
            ask()


@pytest.mark.parametrize("column", ["cells", "counts"])
def test_a_damaged_page_of_the_genes_is_named(copy, column):
    path = copy / names(copy).expression_by_gene
    damage(path, column)
    with pytest.raises(DatasetError, match=f"{path.name} is damaged"):
        titin.open(copy)["G3"]


def test_a_file_cut_short_is_named(copy):
    path = copy / names(copy).expression
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DatasetError, match=rf"{path.name} is damaged or not of this dataset: it has [\d,]+ bytes"):
        titin.open(copy).X[:]


def test_a_damaged_footer_is_named(copy):
    path = copy / names(copy).expression
    content = bytearray(path.read_bytes())
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    content[footer : footer + 100] = b"\xff" * 100
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=f"{path.name} is damaged"):
        titin.open(copy).X[:]


def test_json_that_is_none_is_named(copy):
    path = copy / names(copy).unstructured_metadata
    path.write_text("{")
    with pytest.raises(DatasetError, match=f"{path.name} cannot be read"):
        titin.open(copy).uns  # noqa: B018


def test_a_column_that_is_missing_is_named(built):
    store = Store(built.atlas.folder)
    group = store.row_groups(store.manifest.layout.expression)[0]
    with pytest.raises(DatasetError, match="it has no column velocity"):
        store.read_group(group, ["genes", "velocity"])


# replaced while it is open


@pytest.fixture(scope="module")
def other(built, tmp_path_factory) -> Path:
    """The same source in another order: files of other content, and much the same size."""
    folder = tmp_path_factory.mktemp("other") / "dataset"
    titin.build(built.atlas.folder.parent / "source.h5ad", folder, roles={"donor": "donor"}, seed=1)
    return folder


def test_a_file_replaced_after_it_was_read_is_refused(copy, other):
    atlas = titin.open(copy)
    atlas.X[:5]
    path = copy / atlas.layout.expression
    shutil.copy(other / path.name, copy / "new")
    (copy / "new").replace(path)
    for ask in (lambda: atlas.X[:5], lambda: list(atlas.iter_blocks()), lambda: atlas.expression.sum()):
        with pytest.raises(DatasetError, match=f"{path.name} was replaced after the dataset was opened"):
            ask()


def test_a_file_written_over_in_place_is_refused(copy):
    atlas = titin.open(copy)
    atlas["G3"]
    path = copy / atlas.layout.expression_by_gene
    content = path.read_bytes()
    path.write_bytes(content)  # the same bytes: it cannot be told
    os.utime(path, ns=(1, 1))
    with pytest.raises(DatasetError, match=f"{path.name} was replaced"):
        atlas["G3"]


def test_a_dataset_replaced_before_a_file_was_read_is_refused(copy, other):
    atlas = titin.open(copy)
    assert atlas.obs.shape == (230, 3)
    shutil.rmtree(copy)
    shutil.copytree(other, copy)
    with pytest.raises(DatasetError, match=r"titin\.json was replaced after the dataset was opened"):
        atlas["G3"]
    with pytest.raises(DatasetError, match="was replaced after the dataset was opened"):
        atlas.expression.sum()


def test_a_dataset_replaced_during_an_epoch_is_refused(sharded, tmp_path):
    folder = shutil.copytree(sharded.dataset, tmp_path / "copy")
    atlas = titin.open(folder, threads=1)
    blocks = atlas.iter_blocks()
    next(blocks)
    for path in folder.glob("*_expression-*.parquet"):
        os.utime(path, ns=(1, 1))
    with pytest.raises(DatasetError, match="was replaced"):
        list(blocks)


def test_a_pickled_atlas_refuses_what_was_replaced(copy):
    atlas = titin.open(copy)
    atlas["G3"]
    data = pickle.dumps(atlas)
    os.utime(copy / atlas.layout.expression_by_gene, ns=(1, 1))
    with pytest.raises(DatasetError, match="was replaced"):
        pickle.loads(data)["G3"]


# elsewhere


@pytest.fixture
def in_memory(built):
    """The dataset in fsspec's file system in memory."""
    fsspec = pytest.importorskip("fsspec")
    filesystem = fsspec.filesystem("memory")
    for path in built.atlas.folder.iterdir():
        filesystem.pipe_file(f"/atlas/{path.name}", path.read_bytes())
    yield filesystem
    filesystem.rm("/atlas", recursive=True)


def test_any_place_that_fsspec_opens(built, in_memory):
    atlas = titin.open("memory://atlas")
    assert "in memory://atlas" in repr(atlas)
    np.testing.assert_array_equal(atlas.X[:].toarray(), built.dense)
    np.testing.assert_array_equal(atlas["G3"], built.dense[:, 3])
    assert atlas.obs.equals(built.atlas.obs)
    assert atlas.uns == {}
    with pytest.raises(TitinError, match="is no local folder"):
        _ = atlas.folder
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(atlas))["G3"], built.dense[:, 3])


def test_what_is_wrong_elsewhere_is_named(built, in_memory):
    atlas = titin.open("memory://atlas")
    name = atlas.layout.expression
    atlas.X[:3]
    in_memory.pipe_file(f"/atlas/{name}", in_memory.cat_file(f"/atlas/{name}"))
    with pytest.raises(DatasetError, match=f"memory://atlas/{name} was replaced"):
        atlas.X[:3]
    in_memory.rm(f"/atlas/{name}")
    with pytest.raises(DatasetError, match=f"memory://atlas/{name} is missing"):
        titin.open("memory://atlas").X[:3]
    in_memory.rm("/atlas/titin.json")
    with pytest.raises(DatasetError, match=r"memory://atlas is not a titin dataset: it has no titin\.json"):
        titin.open("memory://atlas")
    in_memory.pipe_file("/atlas/titin.json", b"{}")
    with pytest.raises(DatasetError, match=r"memory://atlas.*is not the manifest") as error:
        titin.open("memory://atlas")
    assert "/tmp" not in str(error.value)


def test_a_url_of_no_known_kind(monkeypatch):
    with pytest.raises(TitinError, match="ftpx"):
        titin.open("ftpx://somewhere/atlas")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(TitinError, match="hf:// needs the package huggingface-hub, which is not installed") as error:
        titin.open("hf://datasets/user/repo")
    assert error.value.hint == "pip install 'titin[hub]'"


def test_a_hub_url_that_names_no_dataset():
    pytest.importorskip("huggingface_hub")
    with pytest.raises(TitinError, match="names no dataset"):
        titin.open("hf://datasets/user")


HUB = """
import sys
sys.path.insert(0, sys.argv[2])
import fakehub
server, url = fakehub.start()
import os
os.environ.update(HF_ENDPOINT=url, HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1", HF_TOKEN="t")
from huggingface_hub import HfApi
api = HfApi(endpoint=url, token="t")
api.create_repo("me/muscle", repo_type="dataset")
api.upload_folder(folder_path=sys.argv[1], repo_id="me/muscle", repo_type="dataset")
import titin
from titin.errors import DatasetError
atlas, local = titin.open("hf://datasets/me/muscle"), titin.open(sys.argv[1])
assert atlas.obs.equals(local.obs)
assert atlas["G3"].equals(local["G3"])
assert (atlas.X[:20] != local.X[:20]).nnz == 0
assert fakehub.REPOS["me/muscle"]["sha"] in atlas.store._place._url  # pinned
try:
    titin.open("hf://datasets/me/none")
except DatasetError as error:
    assert "hf://datasets/me/none cannot be opened" in str(error), error
else:
    raise SystemExit("no error")
other = titin.open("hf://datasets/me/muscle")
other.var_names, other.obs_names
del fakehub.LOG[:]
other.counts_of("G3")
fetched = sum(n for kind, _, n in fakehub.LOG if kind == "RANGE")
size = len(fakehub.REPOS["me/muscle"]["files"][other.layout.expression_by_gene]["data"])
assert fetched < 3 * size, (fetched, size)  # of this small file, its footer among it
print("fetched", fetched, "of", size)
"""


def test_a_dataset_on_the_hub(built, shared, tmp_path):
    pytest.importorskip("huggingface_hub")
    tools = shared / "tools"
    if not (tools / "fakehub.py").exists():
        pytest.skip(f"needs {tools / 'fakehub.py'}")
    run = subprocess.run(
        [sys.executable, "-c", HUB, str(built.atlas.folder), str(tools)],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"},
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("fetched ")
