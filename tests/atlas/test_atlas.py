"""titin.open: everything equals the source, whatever is asked for, and what cannot be answered says why."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from open_datasets import N_CELLS, N_GENES, Opened, make, open_beside, reopen
from scipy import sparse

import titin
from titin.atlas import MemoryLimitError, SelectionError, UnknownNameError
from titin.dataset.unstructured import said_synthetic
from titin.errors import TitinError

KINDS = ("counts", "integers", "log1p", "double", "huge", "real")


@pytest.fixture(scope="module", params=KINDS)
def opened(request, tmp_path_factory) -> Opened:
    return make(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def log1p(tmp_path_factory) -> Opened:
    return make(tmp_path_factory.mktemp("one"), "log1p")


@pytest.fixture(scope="module")
def muscle(demo) -> Opened:
    return open_beside(demo.dataset, demo.source())


@pytest.fixture(scope="module")
def shards(sharded) -> Opened:
    return open_beside(sharded.dataset, sharded.source())


def assert_same(found: sparse.csr_matrix, dense: np.ndarray) -> None:
    """CSR, canonical, and equal to the last bit."""
    assert isinstance(found, sparse.csr_matrix)
    assert found.shape == dense.shape
    assert found.dtype == dense.dtype
    assert found.has_sorted_indices
    fresh = sparse.csr_matrix((found.data, found.indices, found.indptr), found.shape)
    assert fresh.has_canonical_format  # checked anew, not believed
    assert (found.data != 0).all()
    assert found.toarray().tobytes() == np.ascontiguousarray(dense).tobytes()


# what a dataset says of itself


def test_data_that_are_made_up_say_so(muscle, log1p):
    assert muscle.atlas.synthetic == muscle.source.uns["demo"]["about"]
    assert muscle.atlas[:10].synthetic == muscle.atlas.synthetic
    assert log1p.atlas.synthetic is None


@pytest.mark.parametrize(
    ("demo", "said"),
    [({"synthetic": np.bool_(True), "about": "Drawn."}, "Drawn."), ({"synthetic": True}, ""), ("synthetic", None),
     ({"synthetic": "yes"}, None), ({"synthetic": np.ones(3, bool)}, None), ({"synthetic": False}, None)],
)  # fmt: skip
def test_only_a_plain_yes_makes_data_synthetic(demo, said):
    assert said_synthetic({"demo": demo}) == said


def test_opening_reads_the_manifest_only(demo, monkeypatch):
    import pyarrow.parquet as pq

    def refuse(*_, **__):
        raise AssertionError("a file was opened")

    monkeypatch.setattr(pq, "ParquetFile", refuse)
    monkeypatch.setattr(pq, "read_metadata", refuse)
    atlas = titin.open(demo.dataset)
    assert atlas.shape == (1300, 600)
    assert (atlas.n_obs, atlas.n_vars, len(atlas)) == (1300, 600, 1300)
    assert atlas.kind == "log1p"
    assert atlas.roles["donor"] == "DonorID"
    assert atlas.layout.prefix == atlas.manifest.prefix == "skeletal_muscle_10x"
    assert list(atlas.obsm) == ["X_scVI", "X_umap"]


def test_what_is_in_hand_is_shown(demo):
    atlas = titin.open(demo.dataset)
    text, page = repr(atlas), atlas._repr_html_()
    assert text.startswith("Atlas with 1,300 cells × 600 genes, log1p, ages 19 to 74 years, in ")
    assert "'annotation_level0'" in text
    assert "obsm: 'X_scVI', 'X_umap'" in text
    assert "<p>Atlas with 1,300 cells × 600 genes, log1p, ages 19 to 74 years, in " in page
    assert repr(atlas[:5, ["XIST"]]).startswith("View of 5 cells × 1 gene,")
    assert text.splitlines()[0].endswith("; synthetic")
    assert "'age_numeric'" in text
    assert "'age_years'" in text


def test_figures_of_what_is_made_up_say_so(demo):
    pytest.importorskip("matplotlib", reason="needs `pip install matplotlib`")
    figures = titin.open(demo.dataset).plot
    for color in ("Sex", None):
        axes = figures.umap(color=color)
        assert axes.get_title(loc="left") == (color or "")
        assert [text.get_text() for text in axes.figure.texts] == ["synthetic data"]
    assert figures.umap(title="mine").get_title(loc="left") == "mine"


def test_public_names_are_lazy():
    assert titin.open is titin.atlas.open_atlas
    assert titin.Atlas is titin.atlas.Atlas
    assert {"open", "Atlas"} <= set(dir(titin))


@pytest.mark.parametrize("which", ["muscle", "shards"])
def test_tables_are_those_of_the_source(which, request):
    opened = request.getfixturevalue(which)
    atlas, source = opened.atlas, opened.source
    ours = atlas.obs.drop(columns=["age_numeric", "age_years"])
    pd.testing.assert_frame_equal(ours, source.obs)
    pd.testing.assert_index_equal(atlas.obs.index, atlas.obs_names)
    assert atlas.obs["age_numeric"].between(15, 75).all()
    pd.testing.assert_frame_equal(atlas.var, source.var)
    pd.testing.assert_index_equal(atlas.var_names, source.var_names)
    for key in source.obsm:
        np.testing.assert_array_equal(atlas.obsm[key], source.obsm[key])
        assert atlas.obsm[key].dtype == source.obsm[key].dtype
    assert atlas.uns["truth"]["age_log_fold_change"] == source.uns["truth"]["age_log_fold_change"]
    with pytest.raises(KeyError):
        atlas.obsm["X_none"]


def test_the_names_of_the_cells_come_without_the_other_columns(muscle):
    pd.testing.assert_index_equal(reopen(muscle).obs_names, muscle.source.obs_names)


# one gene


def test_every_gene_is_exact(opened):
    for i, name in enumerate(opened.atlas.var_names):
        gene = opened.atlas[name]
        assert gene.name == name
        assert gene.dtype == opened.dense.dtype
        assert gene.to_numpy().tobytes() == np.ascontiguousarray(opened.dense[:, i]).tobytes()
    pd.testing.assert_index_equal(gene.index, opened.atlas.obs_names)


def test_genes_are_exact_when_levels_do_not_fit_in_memory(log1p, monkeypatch):
    from titin.atlas import gene_values as _columns

    monkeypatch.setattr(_columns, "_CACHE_SHARE", 2**60)
    atlas = reopen(log1p)
    for i in (0, 5, 11):
        np.testing.assert_array_equal(atlas.X[:, i].toarray().ravel(), log1p.dense[:, i])
        np.testing.assert_array_equal(atlas[atlas.var_names[i]], log1p.dense[:, i])


def test_counts_of_a_gene(opened):
    if opened.counts is None:
        with pytest.raises(TitinError, match="no counts"):
            opened.atlas.counts_of("G0")
        with pytest.raises(TitinError, match="no counts"):
            _ = opened.atlas.counts
        with pytest.raises(TitinError, match="no counts"):
            opened.atlas.iter_blocks(counts=True)
        return
    found = opened.atlas.counts_of("G3")
    assert found.dtype == opened.atlas.counts.dtype
    assert found.dtype.kind == "u"
    np.testing.assert_array_equal(found, opened.counts[:, 3].toarray().ravel())


def test_a_gene_by_symbol_or_id(muscle):
    ensembl = muscle.source.var.loc["MYH7", "ENSEMBL"]
    by_id = muscle.atlas[ensembl]
    assert by_id.name == ensembl
    np.testing.assert_array_equal(by_id, muscle.atlas["MYH7"])
    assert "MYH7" in muscle.atlas
    assert "MYH" not in muscle.atlas
    assert 7 not in muscle.atlas


@pytest.mark.parametrize(("wrong", "hint"), [("myh7", "MYH7"), ("MYH77", "MYH7"), ("zzzzz", "symbols or ids")])
def test_an_unknown_gene_says_what_is_near(muscle, wrong, hint):
    with pytest.raises(UnknownNameError, match=f"no gene '{wrong}'") as error:
        muscle.atlas[wrong]
    assert hint in error.value.hint
    assert isinstance(error.value, KeyError)
    assert isinstance(error.value, TitinError)
    assert str(error.value).startswith("the dataset has no gene")  # not a KeyError's repr


def test_a_symbol_of_several_genes_asks_for_an_id(tmp_path):
    names = [f"ENSG{i:011d}" for i in range(4)]
    var = pd.DataFrame({"symbol": ["A", "TWICE", "TWICE", "B"]}, index=names)
    X = sparse.csr_matrix(np.arange(1, 13, dtype=np.float32).reshape(3, 4))
    ad.AnnData(X, pd.DataFrame(index=["x", "y", "z"]), var).write_h5ad(tmp_path / "s.h5ad")
    titin.build(tmp_path / "s.h5ad", tmp_path / "d")
    atlas = titin.open(tmp_path / "d")
    with pytest.raises(UnknownNameError, match="2 genes have the symbol 'TWICE'") as error:
        atlas["TWICE"]
    assert error.value.hint.endswith(f"{names[1]}, {names[2]}")
    assert atlas[names[2]].sum() == 3 + 7 + 11
    assert atlas["B"].sum() == 4 + 8 + 12


# the matrix


def test_the_whole_matrix_is_exact(opened):
    assert_same(opened.atlas.X[:], opened.dense)
    assert_same(opened.atlas.X[:, :], opened.dense)
    assert opened.atlas.X.shape == opened.dense.shape
    assert opened.atlas.X.dtype == opened.dense.dtype
    if opened.counts is not None:
        counts = opened.atlas.counts
        assert_same(counts[:], opened.counts.toarray().astype(counts.dtype))


@pytest.mark.parametrize("which", ["muscle", "shards"])
def test_the_matrix_across_row_groups_and_shards(which, request):
    opened = request.getfixturevalue(which)
    assert_same(opened.atlas.X[:], opened.dense)
    rows = np.array([1299, 0, 1024, 1023, 1024, 5])
    assert_same(opened.atlas.X[rows], opened.dense[rows])
    genes = ["MYH7", "MYH2", "PAX7"]
    columns = opened.source.var_names.get_indexer(genes)
    assert_same(opened.atlas.X[:, genes], opened.dense[:, columns])


SELECTIONS = {
    "slice": slice(3, 40),
    "steps": slice(50, 3, -7),
    "number": 5,
    "negative": -1,
    "numpy number": np.int64(4),
    "numbers": [9, 2, 2, -1],
    "array": np.array([60, 1, 1, 0]),
    "unsigned": np.array([3, 4], np.uint8),
    "empty": [],
    "empty array": np.array([], np.int64),
    "everything": slice(None),
    "nothing": slice(5, 5),
    "None": None,
}


@pytest.mark.parametrize("columns", SELECTIONS)
@pytest.mark.parametrize("rows", SELECTIONS)
def test_selections(log1p, rows, columns):
    chosen_rows = np.arange(N_CELLS)[[SELECTIONS[rows]] if isinstance(SELECTIONS[rows], int) else _plain(rows)]
    chosen_columns = np.arange(N_GENES)[
        [SELECTIONS[columns]] if isinstance(SELECTIONS[columns], int) else _plain(columns)
    ]
    expected = log1p.dense[np.ix_(np.atleast_1d(chosen_rows), np.atleast_1d(chosen_columns))]
    assert_same(log1p.atlas.X[SELECTIONS[rows], SELECTIONS[columns]], expected)


def _plain(name: str) -> object:
    found = SELECTIONS[name]
    return slice(None) if found is None else np.array(found, np.int64) if isinstance(found, list) else found


@given(data=st.data())
def test_any_selection_equals_numpy(log1p, data):
    rows = data.draw(st.lists(st.integers(-N_CELLS, N_CELLS - 1), max_size=12))
    columns = data.draw(st.lists(st.integers(-N_GENES, N_GENES - 1), max_size=12))
    expected = log1p.dense[np.ix_(np.array(rows, int), np.array(columns, int))]
    assert_same(log1p.atlas.X[rows, columns], expected)
    counts = log1p.atlas.counts
    expected = log1p.counts.toarray()[np.ix_(np.array(rows, int), np.array(columns, int))]
    assert_same(counts[rows, columns], expected.astype(counts.dtype))


def test_masks_and_names(log1p):
    atlas, obs = log1p.atlas, log1p.atlas.obs
    mask = obs["kind"] == "a"
    expected = log1p.dense[mask.to_numpy()]
    for form in (mask, mask.to_numpy(), mask.tolist(), mask.astype("boolean"), mask.sample(frac=1, random_state=0)):
        assert_same(atlas.X[form], expected)
    assert_same(atlas.X[obs.index[mask]], expected)
    assert_same(atlas.X[list(obs.index[mask])], expected)
    assert_same(atlas.X[obs.index[mask].astype("string[python]")], expected)
    assert_same(atlas.X["cell7"], log1p.dense[[obs.index.get_loc("cell7")]])
    assert_same(atlas.X[:, atlas.var_names.str.endswith("3")], log1p.dense[:, [3, 13, 23, 33, 43, 53, 63]])
    assert_same(atlas.X[mask, "G4"], expected[:, [4]])
    assert_same(atlas.X[:, ["G4", "ENSG00000000004", "G1"]], log1p.dense[:, [4, 4, 1]])


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ([0, N_CELLS], "there is no cell 230"),
        (-N_CELLS - 1, "there is no cell -231"),
        ((slice(None), [N_GENES]), "there is no gene 70"),
        (np.ones(N_CELLS - 1, bool), "229 entries for 230 cells"),
        (pd.Series(True, index=range(5)), "5 entries for 230 cells"),
        (pd.Series(True, index=[f"other{i}" for i in range(N_CELLS)]), "index is not that of the cells"),
        (pd.array([True, None] * (N_CELLS // 2), dtype="boolean"), "missing entries"),
        (1.5, "cannot be chosen by float"),
        ([1.5], "cannot be chosen by float64"),
        (np.zeros((2, 2), int), "one dimension"),
        (slice("cell1", "cell2"), "cannot be sliced by"),
        ((0, 0, 0), "2 dimensions"),
        ({"cell1"}, "cannot be chosen by set"),
        (True, "cannot be chosen by bool"),
    ],
)
def test_wrong_selections_say_so(log1p, key, message):
    with pytest.raises(SelectionError, match=message) as error:
        log1p.atlas.X[key]
    assert error.value.hint
    assert isinstance(error.value, IndexError)


def test_unknown_names_say_so(log1p):
    with pytest.raises(UnknownNameError, match="no cell 'nobody' and 1 more"):
        log1p.atlas.X[["cell1", "nobody", "none"]]
    with pytest.raises(UnknownNameError, match="no gene 'G700'"):
        log1p.atlas.X[:, ["G1", "G700"]]


def test_only_the_row_groups_needed_are_read(shards, monkeypatch):
    from titin.dataset.store import Store

    atlas = reopen(shards)
    read = []
    whole = Store._read
    monkeypatch.setattr(Store, "_read", lambda self, group, *args: (read.append(group), whole(self, group, *args))[1])
    atlas.X[[0, 3, 255]]
    assert len(read) == 1
    read.clear()
    atlas.counts[:, ["MYH7"]]
    assert [group.shard.count("by_gene") for group in read] == [1]


def test_too_much_for_the_memory_says_how_much_and_what_else(muscle):
    atlas = reopen(muscle, memory=100_000)
    with pytest.raises(MemoryLimitError, match=r"a CSR matrix of 1,300 cells × 600 genes takes .* MiB") as error:
        atlas.X[:]
    assert isinstance(error.value, MemoryError)
    assert "iter_blocks" in error.value.hint
    assert "titin.open(" in error.value.hint
    with pytest.raises(MemoryLimitError):
        atlas.to_anndata()
    assert atlas.X[:10].nnz == np.count_nonzero(muscle.dense[:10])


# blocks


@pytest.mark.parametrize("threads", [1, 3])
def test_blocks_are_the_matrix(shards, threads):
    blocks = list(reopen(shards, threads=threads).iter_blocks())
    assert len(blocks) > 3
    np.testing.assert_array_equal(np.concatenate([b.rows for b in blocks]), np.arange(1300))
    assert_same(sparse.vstack([b.X for b in blocks], format="csr"), shards.dense)
    assert all(len(b.rows) == b.X.shape[0] for b in blocks)


def test_blocks_of_some_cells_and_genes(shards):
    rows = np.array([1200, 4, 4, 700, 3])
    blocks = list(shards.atlas.iter_blocks(cells=rows, genes=["MYH2", "PAX7"]))
    np.testing.assert_array_equal(np.concatenate([b.rows for b in blocks]), [3, 4, 700, 1200])
    columns = shards.source.var_names.get_indexer(["MYH2", "PAX7"])
    assert_same(sparse.vstack([b.X for b in blocks], format="csr"), shards.dense[np.ix_([3, 4, 700, 1200], columns)])
    with pytest.raises(SelectionError, match="'MYH2' is named twice"):
        shards.atlas.iter_blocks(genes=["MYH2", "MYH2"])
    assert list(shards.atlas.iter_blocks(cells=[])) == []


def test_counts_in_blocks(log1p):
    (block,) = log1p.atlas.iter_blocks(counts=True)
    assert_same(block.X, log1p.counts.toarray().astype(log1p.atlas.counts.dtype))


def test_blocks_can_be_left_in_the_middle(shards):
    import threading

    before = threading.active_count()
    blocks = shards.atlas.iter_blocks()
    next(blocks)
    blocks.close()
    assert threading.active_count() == before


# to others


def test_to_anndata(muscle):
    whole = muscle.atlas.to_anndata()
    assert_same(whole.X, muscle.dense)
    pd.testing.assert_frame_equal(whole.obs.drop(columns=["age_numeric", "age_years"]), muscle.source.obs)
    mask = muscle.atlas.obs["Sex"] == "F"
    part = muscle.atlas.to_anndata(mask, ["MYH2", "MYH7"], layers=["counts"])
    expected = muscle.source[mask.to_numpy(), ["MYH2", "MYH7"]].copy()
    assert_same(part.X, expected.X.toarray())
    assert_same(part.layers["counts"], muscle.atlas.counts[mask, ["MYH2", "MYH7"]].toarray())
    pd.testing.assert_frame_equal(part.var, expected.var)
    np.testing.assert_array_equal(part.obsm["X_umap"], expected.obsm["X_umap"])
    assert part.uns.keys() == expected.uns.keys()
    part.obs["Sex"] = "?"
    assert set(muscle.atlas.obs["Sex"]) == {"F", "M"}  # a copy, not a view
    with pytest.raises(TitinError, match="no layer 'raw'"):
        muscle.atlas.to_anndata(layers=["raw"])


def test_to_dask(muscle):
    pytest.importorskip("dask.array")
    array = muscle.atlas.to_dask(rows=500)
    assert array.shape == (1300, 600)
    assert array.chunks[0] == (500, 500, 300)
    assert array.dtype == np.float32
    assert_same(array.compute(scheduler="threads"), muscle.dense)
    assert_same(array[100:120].compute(scheduler="sync"), muscle.dense[100:120])
    assert muscle.atlas.to_dask(counts=True).dtype == muscle.atlas.counts.dtype


def test_without_dask_the_extra_is_named(muscle, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "dask", None)
    with pytest.raises(TitinError, match="dask, which is not installed") as error:
        muscle.atlas.to_dask()
    assert "titin[dask]" in error.value.hint


# as an object


def test_an_atlas_is_shared_between_threads(muscle):
    atlas = reopen(muscle)
    names = atlas.var_names[:40].tolist()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: atlas[name].to_numpy(), names))
    for i, gene in enumerate(found):
        np.testing.assert_array_equal(gene, muscle.dense[:, i])


def test_an_atlas_can_be_pickled_small(muscle):
    muscle.atlas["MYH7"]
    data = pickle.dumps(muscle.atlas)
    assert len(data) < 200_000
    np.testing.assert_array_equal(pickle.loads(data)["MYH7"], muscle.atlas["MYH7"])


def test_an_atlas_is_not_iterated_over(muscle):
    with pytest.raises(TypeError, match="iter_blocks"):
        iter(muscle.atlas)


def test_a_relative_path_holds_when_the_working_directory_changes(muscle, monkeypatch, tmp_path):
    monkeypatch.chdir(muscle.atlas.folder.parent)
    atlas = titin.open(muscle.atlas.folder.name)
    monkeypatch.chdir(tmp_path)
    assert atlas["MYH7"].sum() == muscle.atlas["MYH7"].sum()


def test_an_empty_selection_of_cells_of_one_gene(tmp_path):
    X = sparse.csr_matrix(np.array([[0, 1], [0, 0]], np.float32))
    ad.AnnData(X, pd.DataFrame(index=["x", "y"]), pd.DataFrame(index=["A", "B"])).write_h5ad(tmp_path / "s.h5ad")
    titin.build(tmp_path / "s.h5ad", tmp_path / "d")
    atlas = titin.open(Path(tmp_path / "d"))
    assert atlas["A"].tolist() == [0, 0]
    assert sorted(atlas["B"].tolist()) == [0, 1]
    assert atlas.X[[], ["A"]].shape == (0, 1)


def test_a_value_that_levels_alone_do_not_tell_is_looked_up(tmp_path, monkeypatch):
    from titin.atlas.gene_values import GeneReader

    opened, looked_up = make(tmp_path, "huge"), []
    look_up = GeneReader._look_up
    monkeypatch.setattr(GeneReader, "_look_up", lambda self, *args: (looked_up.append(args[0]), look_up(self, *args)))
    np.testing.assert_array_equal(opened.atlas["G5"], opened.dense[:, 5])
    assert len(looked_up) == 1
    np.testing.assert_array_equal(opened.atlas["G3"], opened.dense[:, 3])
    assert len(looked_up) == 1  # not for others
