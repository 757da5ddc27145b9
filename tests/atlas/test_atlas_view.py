"""``atlas[cells, genes]`` is a part of an atlas that answers as a view of the AnnData does, reading nothing before."""

import pickle
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from open_datasets import N_CELLS, N_GENES, Opened, make, reopen

import titin
from titin.atlas import AtlasView, MemoryLimitError, SelectionError, UnknownNameError
from titin.errors import TitinError


@pytest.fixture(scope="module")
def opened(tmp_path_factory) -> Opened:
    return make(tmp_path_factory.mktemp("view"), "log1p")


def selectors(names: pd.Index) -> st.SearchStrategy:
    """What AnnData takes on an axis of these names: slices, positions, masks and names."""
    n = len(names)
    ends = st.none() | st.integers(-n - 2, n + 2)
    places = st.lists(st.sampled_from(range(-n, n)), unique_by=lambda i: i % n, max_size=5) if n else st.just([])
    words = st.lists(st.sampled_from(names.tolist()), unique=True, max_size=5) if n else st.just([])
    return st.one_of(
        st.builds(slice, ends, ends, st.none() | st.integers(1, 3)),
        st.lists(st.booleans(), min_size=n, max_size=n).map(lambda mask: np.array(mask, bool)),
        places.map(lambda found: np.array(found, int)), words,
    )  # fmt: skip


def chosen(names: pd.Index, selector: object) -> pd.Index:
    return pd.Index(selector, dtype=object) if isinstance(selector, list) else names[selector] if len(names) else names


@given(st.data())
@settings(max_examples=25)
def test_parts_of_parts_are_what_was_chosen(opened, data):
    part, source = opened.atlas, opened.source
    whole = pd.DataFrame(opened.dense, source.obs_names, source.var_names)
    cells, genes = source.obs_names, source.var_names
    for _ in range(2):
        key = data.draw(selectors(cells)), data.draw(selectors(genes))
        part, cells, genes = part[key], chosen(cells, key[0]), chosen(genes, key[1])
    expected = whole.loc[cells, genes]
    assert part.shape == expected.shape == part.X.shape == part.expression.shape
    assert part.obs_names.tolist() == cells.tolist()
    assert part.var_names.tolist() == genes.tolist()
    np.testing.assert_array_equal(np.asarray(part.X), expected)
    pd.testing.assert_frame_equal(part.to_df(), expected, check_names=False)
    for column in ("donor", "score"):
        assert part.obs[column].tolist() == source.obs.loc[cells, column].tolist()
    np.testing.assert_array_equal(part.obsm["X_umap"], source.obsm["X_umap"][source.obs_names.get_indexer(cells)])
    read = part.to_memory()
    assert isinstance(read, ad.AnnData)
    np.testing.assert_array_equal(read.X.toarray(), expected)
    assert read.var_names.tolist() == genes.tolist()
    if len(cells) and len(genes):
        np.testing.assert_array_equal(part.obs_vector(genes[0]), expected[genes[0]])
        np.testing.assert_array_equal(part.obs_vector("score"), source.obs.loc[cells, "score"])
        np.testing.assert_array_equal(part.var_vector(cells[-1]), expected.loc[cells[-1]])
        assert part[genes[0]].tolist() == expected[genes[0]].tolist()
        assert genes[0] in part


def test_counts_of_a_part_are_a_layer_of_it(opened):
    part = opened.atlas[5:50, ["G3", "G1"]]
    counts = opened.counts.toarray()[5:50][:, [3, 1]]
    for found in (part.counts[:], part.layers["counts"][:]):
        np.testing.assert_array_equal(found.toarray(), counts)
    np.testing.assert_array_equal(part.to_df("counts").to_numpy(), counts)
    np.testing.assert_array_equal(part.obs_vector("G1", layer="counts"), counts[:, 1])
    np.testing.assert_array_equal(part.to_anndata(layers=["counts"]).layers["counts"].toarray(), counts)
    assert list(part.layers) == ["counts"]
    assert part.raw is None


@pytest.mark.parametrize(("question", "mask"), [
    ('donor == "D1"', lambda obs: obs["donor"] == "D1"),
    ("score > 0 and kind in ['a', 'b']", lambda obs: (obs["score"] > 0) & obs["kind"].isin(["a", "b"])),
    ('not donor in ["D1"]', lambda obs: obs["donor"] != "D1"),
])  # fmt: skip
def test_cells_are_chosen_by_a_question(opened, question, mask):
    part = opened.atlas.query(question)
    assert part.obs_names.tolist() == opened.source.obs_names[mask(opened.source.obs)].tolist()
    again = part[:, "G2"].query("score < 0")
    assert again.n_vars == 1
    assert (again.obs["score"] < 0).all()


@pytest.mark.parametrize(("question", "said"), [
    ("sx == 'F'", "obs has no column 'sx'"), ("score + 1", "is no condition"), ("", "is no condition"),
    ("donor ==", "is no condition"), ("1 < 2", "obs has no column '1'"),
    ("__import__('os').system('true') == 1", "obs has no column"), ("@pd.io.common == 1", "obs has no column"),
])  # fmt: skip
def test_what_is_no_question_is_refused(opened, question, said):
    with pytest.raises(SelectionError, match=said):
        opened.atlas.query(question)


def test_what_is_not_in_the_part_is_named(opened):
    part = opened.atlas[:10, :5]
    for ask in (lambda: part["G7"], lambda: part[:, "G7"], lambda: part[[str(opened.atlas.obs_names[20])]],
                lambda: part.obs_vector("G7")):  # fmt: skip
        with pytest.raises(UnknownNameError, match="is not among those chosen"):
            ask()
    with pytest.raises(UnknownNameError, match="no gene 'nothing'"):
        part["nothing"]
    with pytest.raises(SelectionError, match="named twice"):
        opened.atlas[:, ["G1", "G1"]]
    with pytest.raises(SelectionError, match="2 dimensions, not 3"):
        opened.atlas[1, 2, 3]
    assert "G7" not in part


@pytest.mark.parametrize(("name", "said"), [
    ("T", r"atlas\.X\[cells, genes\]\.T"), ("copy", "to_memory"), ("chunked", "iter_blocks"),
    ("roles", r"view\.atlas\.roles"), ("preset", r"view\.atlas\.preset"), ("nothing", "has no nothing"),
    ("_sanitize", r"scanpy takes an AnnData: atlas\.to_memory\(\)"),
])  # fmt: skip
def test_what_anndata_has_and_a_part_has_not_names_what_to_take(opened, name, said):
    with pytest.raises(AttributeError, match=said):
        getattr(opened.atlas[:3], name)


def test_nothing_is_read_before_it_is_asked_for(opened, monkeypatch):
    import pyarrow.parquet as pq

    monkeypatch.setattr(pq, "read_metadata", lambda *_, **__: pytest.fail("a file was opened"))
    part = reopen(opened)[10:20]
    assert part.shape == (10, N_GENES)


def test_a_dense_matrix_is_made_only_if_it_fits(opened):
    whole = np.asarray(opened.atlas.X)
    np.testing.assert_array_equal(whole, opened.dense)
    assert np.asarray(opened.atlas.X, np.float64).dtype == np.float64
    with pytest.raises(MemoryLimitError, match="dense array of 230 cells"):
        np.asarray(reopen(opened, memory=1000).X)


def test_a_part_becomes_a_file(opened, tmp_path):
    part = opened.atlas.query('donor == "D2"')[:, :8]
    part.write_h5ad(tmp_path / "part.h5ad", layers=["counts"])
    found = ad.read_h5ad(tmp_path / "part.h5ad")
    np.testing.assert_array_equal(found.X.toarray(), np.asarray(part.X))
    assert list(found.layers) == ["counts"]
    with pytest.raises(TitinError, match="exists"):
        part.write_h5ad(tmp_path / "part.h5ad")


def test_a_part_is_loaded_in_batches(opened):
    part = opened.atlas.query('donor == "D1"')[:, ["G4", "G2", "G9"]]
    loader = titin.Loader(part, 32, shuffle=False)
    np.testing.assert_array_equal(np.concatenate([X.toarray() for X, _ in loader]), np.asarray(part.X))
    again = titin.Loader(part, 32, shuffle=False, cells=[0, 1], genes=["G2"])
    np.testing.assert_array_equal(np.concatenate([X.toarray() for X, _ in again]), np.asarray(part.X)[:2, [1]])


def test_what_takes_a_whole_dataset_says_so(opened):
    with pytest.raises(TitinError, match="a part of an atlas is no dataset"):
        titin.open(opened.atlas[:3])


def test_a_part_goes_to_another_process(opened):
    part = pickle.loads(pickle.dumps(opened.atlas[3:9, ["G5"]]))
    assert isinstance(part, AtlasView)
    np.testing.assert_array_equal(np.asarray(part.X), opened.dense[3:9, [5]])


def test_blocks_of_a_part_are_its_cells_once(opened):
    part = opened.atlas[[40, 3, 3], ["G8", "G0"]]
    blocks = list(part.iter_blocks())
    assert np.concatenate([block.rows for block in blocks]).tolist() == [3, 40]
    np.testing.assert_array_equal(np.concatenate([b.X.toarray() for b in blocks]), opened.dense[[3, 40]][:, [8, 0]])


def test_obs_of_a_part_is_in_order_whatever_was_done_to_obs(opened):
    atlas = reopen(opened)
    atlas.obs = atlas.obs.sort_values("score")
    part = atlas[:20]
    assert part.obs.index.tolist() == part.obs_names.tolist() == opened.source.obs_names[:20].tolist()
    np.testing.assert_array_equal(part.obs_vector("score"), opened.source.obs["score"][:20])


def test_figures_are_drawn_of_a_part(opened, tmp_path: Path):
    part = opened.atlas[: N_CELLS // 2]
    axes = part.plot.umap(color="G3", save=tmp_path / "umap.png")
    assert axes.get_xlabel().startswith("UMAP 1   (n = 115)")
    assert (tmp_path / "umap.png").stat().st_size > 1000
    assert part.plot.embedding("umap", color="donor").get_title(loc="left") == "donor"
    with pytest.raises(TitinError, match="no embedding 'X_tsne'"):
        part.plot.tsne()
    with pytest.raises(TitinError, match="has 2 dimensions"):
        part.plot.embedding("umap", components=(1, 3))
    with pytest.raises(UnknownNameError):
        part.plot.umap(color="nothing")
