"""Tokens of cells: equal to plain implementations of Geneformer's ranks and scGPT's bins, cell by cell."""

import json
import math
from itertools import pairwise

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import titin
from titin.errors import TitinError
from titin.load.tokens import CLS, PAD, Vocabulary, gene_medians, tokens


@pytest.fixture(scope="module")
def atlas(tmp_path_factory) -> titin.Atlas:
    from titin.demo import make_demo
    from titin.progress import Progress

    folder = tmp_path_factory.mktemp("demo")
    report = make_demo(folder, n_cells=1300, n_genes=600, seed=0, force=False, progress=Progress())
    return titin.open(report.path)


@pytest.fixture(scope="module")
def counts(atlas) -> np.ndarray:
    return atlas.counts[:, :].toarray().astype(np.float64)


@pytest.fixture(scope="module")
def ids(atlas) -> list[str]:
    return atlas.var["ENSEMBL"].tolist()


def build_of(tmp_path, X, symbols=None) -> titin.Atlas:
    """A dataset of a given matrix."""
    n_cells, n_genes = X.shape
    var = pd.DataFrame(
        {"symbol": symbols or [f"S{i}" for i in range(n_genes)]}, index=[f"ENSG{i:011d}" for i in range(n_genes)]
    )
    obs = pd.DataFrame(index=[f"c{i}" for i in range(n_cells)])
    ad.AnnData(sparse.csr_matrix(X.astype(np.float32)), obs=obs, var=var).write_h5ad(tmp_path / "source.h5ad")
    return titin.open(titin.build(tmp_path / "source.h5ad", tmp_path / "dataset", shuffle=False).path)


def plain_medians(counts: np.ndarray) -> np.ndarray:
    normalised = counts / counts.sum(axis=1, keepdims=True) * 1e4
    return np.array([np.median(column[column > 0]) if (column > 0).any() else np.nan for column in normalised.T])


def plain_ranks(row: np.ndarray, medians: np.ndarray, known: np.ndarray) -> list[int]:
    """Positions of genes, highest first; Python's sort keeps equals in their order."""
    total = row.sum()
    values = {g: row[g] / total * 1e4 / medians[g] for g in np.flatnonzero((row > 0) & known)}
    return sorted(values, key=lambda g: -values[g])


def splitmix(x: int) -> int:
    x = (x + 0x9E3779B97F4A7C15) % 2**64
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
    return x ^ x >> 31


def uniform(seed: int, purpose: int, cell: int, gene: int) -> float:
    state = splitmix(seed)
    for part in (purpose, cell, gene):
        state = splitmix(state ^ part)
    return (state >> 11) / 2**53


def plain_bins(row: np.ndarray, n_bins: int, cell: int = 0, seed: int | None = None) -> np.ndarray:
    """scGPT's steps on one cell; of one side without a seed."""
    expressed = np.flatnonzero(row)
    edges = np.quantile(row[expressed], np.linspace(0, 1, n_bins - 1))
    left = np.digitize(row[expressed], edges)
    if seed is None:
        return left
    right = np.digitize(row[expressed], edges, right=True)
    random = np.array([uniform(seed, 1, cell, gene) for gene in expressed.tolist()])
    return np.ceil(random * (right - left) + left).astype(int)


# ranks


def test_medians(atlas, counts, ids):
    found = gene_medians(atlas)
    assert found.index.tolist() == ids
    assert found.to_numpy().tobytes() == plain_medians(counts).tobytes()
    cells = np.arange(0, atlas.n_obs, 7)
    of_some = gene_medians(atlas, cells, by="symbols")
    assert of_some.index.tolist() == atlas.var_names.tolist()
    assert np.array_equal(of_some, plain_medians(counts[cells]), equal_nan=True)


@pytest.mark.parametrize("max_len", [2048, 100])
@pytest.mark.parametrize("cls", [False, True])
def test_ranks_genes_by_normalised_count(atlas, counts, max_len, cls):
    medians, known = plain_medians(counts), np.ones(atlas.n_vars, bool)
    found = list(tokens(atlas, "rank", max_len, cls=cls))
    assert np.concatenate([batch.cells for batch in found]).tolist() == list(range(atlas.n_obs))
    for batch in found:
        assert batch.tokens.dtype == np.int32
        assert batch.values is None
        for cell, mine, cut, dropped in zip(batch.cells, batch.lists(), batch.cut, batch.dropped, strict=True):
            ranked = [gene + 2 for gene in plain_ranks(counts[cell], medians, known)]
            expected = ([1] if cls else []) + ranked
            assert mine.tolist() == expected[:max_len]
            assert (cut, dropped) == (max(0, len(expected) - max_len), 0)


def test_equal_genes_stand_in_the_sources_order(tmp_path):
    atlas = build_of(tmp_path, np.array([[3, 3, 3, 3], [5, 5, 5, 5], [1, 2, 1, 2]]))
    assert [t.tolist() for t in next(iter(tokens(atlas))).lists()] == [[2, 3, 4, 5], [2, 3, 4, 5], [3, 5, 2, 4]]


def test_takes_medians_of_a_model(atlas, counts, ids):
    table = {name: 0.5 + i for i, name in enumerate(ids) if i % 3}
    known = np.arange(atlas.n_vars) % 3 > 0
    made = tokens(atlas, medians=table, cells=[5, 3, 1200])
    assert made.dropped == ids[::3]
    found = list(made)
    assert np.concatenate([batch.cells for batch in found]).tolist() == [3, 5, 1200]
    for batch in found:
        for cell, mine, dropped in zip(batch.cells, batch.lists(), batch.dropped, strict=True):
            assert mine.tolist() == [g + 2 for g in plain_ranks(counts[cell], 0.5 + np.arange(atlas.n_vars), known)]
            assert dropped == (counts[cell][~known] > 0).sum()


def test_medians_of_training_cells_only(atlas, counts, ids):
    rare = np.flatnonzero((counts > 0).sum(axis=0) == (counts > 0).sum(axis=0).min())[0]
    cells = np.flatnonzero(counts[:, rare] == 0)
    made = tokens(atlas, medians=gene_medians(atlas, cells))
    assert ids[rare] in made.dropped


# bins


@pytest.mark.parametrize("n_bins", [2, 3, 6, 51])
def test_bins_are_those_of_scgpt(atlas, counts, n_bins):
    for batch in tokens(atlas, "binned", n_bins=n_bins, seed=5):
        edges = batch.offsets.tolist()
        for i, cell in enumerate(batch.cells.tolist()):
            mine = slice(edges[i], edges[i + 1])
            assert batch.tokens[mine].tolist() == (np.flatnonzero(counts[cell]) + 2).tolist()
            assert batch.values[mine].tolist() == plain_bins(counts[cell], n_bins, cell, 5).tolist()
            assert batch.values[mine].min() >= 1
            assert batch.values[mine].max() <= n_bins - 1


def test_bins_without_chance_do_not_depend_on_normalisation(atlas, counts):
    for batch in tokens(atlas, "binned", ties="together", cells=slice(0, 300), n_bins=11):
        edges = batch.offsets.tolist()
        for i, cell in enumerate(batch.cells.tolist()):
            mine = batch.values[edges[i] : edges[i + 1]].tolist()
            assert mine == plain_bins(counts[cell], 11).tolist()


@given(st.lists(st.integers(1, 6) | st.integers(1, 10**6), min_size=1, max_size=80), st.integers(2, 60))
def test_any_cell_is_binned_as_numpy_would(values, n_bins):
    from titin.load.kernels import bin_cells

    n = len(values)
    offsets, found, bins = np.empty(2, np.int64), np.empty(n, np.int32), np.empty(n, np.int32)
    bin_cells(
        np.array([0, n]), np.arange(n, dtype=np.int32), np.array(values, np.uint32), np.arange(n, dtype=np.int32),
        np.array([7]), np.linspace(0, 1, n_bins - 1), True, 3, n, -1, offsets, found, bins,
        np.empty(1, np.int32), np.empty(1, np.int32),
    )  # fmt: skip
    assert bins.tolist() == plain_bins(np.array(values, float), n_bins, 7, 3).tolist()


@pytest.mark.parametrize("cls", [False, True])
def test_too_many_genes_are_sampled(atlas, counts, cls):
    whole = {int(c): t for b in tokens(atlas, "binned") for c, t in zip(b.cells, pairs(b), strict=True)}
    some = list(tokens(atlas, "binned", 50, cls=cls))
    kept = np.zeros(atlas.n_vars)
    for batch in some:
        for cell, mine in zip(batch.cells, pairs(batch), strict=True):
            if cls:
                assert mine.pop(0) == (1, 0)
            assert set(mine) <= set(whole[int(cell)])
            assert mine == sorted(mine)
            assert len(mine) == min(50 - cls, len(whole[int(cell)]))
            kept[[token - 2 for token, _ in mine]] += 1
    expected = (50 - cls) / np.maximum(50 - cls, (counts > 0).sum(axis=1)) @ (counts > 0)
    often = expected > 200
    assert often.sum() > 20
    assert (np.abs(kept - expected)[often] < 5 * np.sqrt(expected[often])).all()  # no gene is favoured


def test_chance_depends_on_seed_cell_and_gene_only(atlas):
    def some(**settings) -> dict[int, list]:
        made = tokens(atlas, "binned", 80, **settings)
        return {int(c): t for b in made for c, t in zip(b.cells, pairs(b), strict=True)}

    whole = some(seed=1, threads=1)
    assert some(seed=1, threads=3) == whole
    assert some(seed=1, cells=[1200, 4, 40]) == {cell: whole[cell] for cell in (4, 40, 1200)}
    assert some(seed=2) != whole


def pairs(batch) -> list[list[tuple[int, int]]]:
    """Tokens with bins, a list a cell."""
    edges = batch.offsets.tolist()
    both = list(zip(batch.tokens.tolist(), batch.values.tolist(), strict=True))
    return [both[a:b] for a, b in pairwise(edges)]


# vocabularies


def test_vocabularies_by_id_and_by_symbol(atlas, ids):
    by_id, by_symbol = (tokens(atlas, vocabulary=by).vocabulary for by in ("ids", "symbols"))
    assert list(by_id.tokens) == [PAD, CLS, *ids]
    assert list(by_symbol.tokens) == [PAD, CLS, *atlas.var_names]
    assert list(by_id.tokens.values()) == list(by_symbol.tokens.values()) == list(range(602))
    assert json.loads(by_symbol.to_json())["MYH7"] == by_symbol["MYH7"] == atlas.var_names.get_loc("MYH7") + 2


def test_a_symbol_of_several_genes_gives_way_to_their_ids(tmp_path):
    atlas = build_of(tmp_path, np.array([[1, 2, 3]]), symbols=["A", "B", "A"])
    assert list(Vocabulary.of(atlas, "symbols").tokens)[2:] == ["ENSG00000000000", "B", "ENSG00000000002"]


@pytest.mark.parametrize("style", ["rank", "binned"])
def test_a_models_vocabulary_drops_and_counts_what_it_lacks(tmp_path, atlas, counts, style):
    symbols = atlas.var_names.tolist()
    given = Vocabulary({CLS: 9, **{name: 1000 + 2 * i for i, name in enumerate(reversed(symbols[:300]))}}, "symbols")
    (tmp_path / "vocab.json").write_text(given.to_json())
    made = tokens(atlas, style, vocabulary=Vocabulary.from_json(tmp_path / "vocab.json", "symbols"), cls=True)
    assert made.dropped == symbols[300:]
    known = np.arange(600) < 300
    medians = plain_medians(counts)
    for batch in made:
        assert np.array_equal(batch.dropped, (counts[batch.cells][:, 300:] > 0).sum(axis=1))
        for i, (cell, mine) in enumerate(zip(batch.cells, batch.lists(), strict=True)):
            genes = plain_ranks(counts[cell], medians, known)
            if style == "binned":
                genes = sorted(genes)
                bins = batch.values[batch.offsets[i] + 1 : batch.offsets[i + 1]]
                row = np.where(known, counts[cell], 0)
                assert bins.tolist() == (plain_bins(row, 51, int(cell), 0).tolist() if genes else [])
            assert mine.tolist() == [9] + [given[symbols[g]] for g in genes]


# batches


def test_pads(atlas):
    batch = next(iter(tokens(atlas, "binned", cells=slice(0, 20))))
    matrix, values = batch.padded()
    lengths = np.diff(batch.offsets)
    assert matrix.shape == values.shape == (20, lengths.max())
    for row, bins, mine, n in zip(matrix, values, pairs(batch), lengths, strict=True):
        assert list(zip(row[:n].tolist(), bins[:n].tolist(), strict=True)) == mine
        assert (row[n:] == 0).all()
        assert (bins[n:] == 0).all()
    shorter, _ = batch.padded(pad=7, length=3)
    assert shorter.tolist() == matrix[:, :3].tolist()
    ranked, none = next(iter(tokens(atlas, cells=[0]))).padded(pad=7, length=1000)
    assert none is None
    assert ranked.shape == (1, 1000)
    assert ranked[0, -1] == 7


@pytest.mark.parametrize("style", ["rank", "binned"])
def test_cells_without_counts_are_empty(tmp_path, style):
    atlas = build_of(tmp_path, np.array([[0, 0, 0], [1, 5, 2], [0, 0, 0]]))
    (batch,) = tokens(atlas, style)
    assert np.diff(batch.offsets).tolist() == [0, 3, 0]
    (batch,) = tokens(atlas, style, cls=True)
    assert [t.tolist() for t in batch.lists()][::2] == [[1], [1]]
    assert batch.padded()[0].shape == (3, 4)


def test_can_be_iterated_again(atlas):
    made = tokens(atlas, cells=slice(100))
    once, again = list(made), list(made)
    assert all(np.array_equal(a.tokens, b.tokens) for a, b in zip(once, again, strict=True))


# what is refused


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"style": "words"}, "there is no style 'words'\ngive rank or binned"),
        ({"max_len": 0}, "max_len 0"),
        ({"max_len": 1, "cls": True}, "give max_len 2 or more"),
        ({"n_bins": 1}, "n_bins 2 or more"),
        ({"ties": "none"}, "ties cannot be 'none'"),
        ({"vocabulary": "names"}, "there are no names 'names' of genes"),
        ({"vocabulary": Vocabulary({"X": 1})}, "the vocabulary has no gene of the dataset\nit is said to be of ids"),
        ({"vocabulary": Vocabulary({"X": 1}), "cls": True}, "the vocabulary has no <cls>"),
        ({"medians": {"X": 1.0}}, "no gene of the dataset has a median"),
        ({"medians": {"ENSG00000092054": 0.0}}, "the median of ENSG00000092054 is 0.0"),
    ],
)
def test_refuses(atlas, settings, message):
    with pytest.raises(TitinError, match=message):
        list(tokens(atlas, **settings))


@pytest.mark.parametrize(("numbers", "message"), [({"A": 1, "B": 1}, "token 1 twice"), ({"A": -1}, "token -1")])
def test_refuses_a_vocabulary_that_is_none(numbers, message):
    with pytest.raises(TitinError, match=message):
        Vocabulary(numbers)


@pytest.mark.parametrize("text", ["[]", "{", '{"A": "1"}'])
def test_refuses_a_file_that_is_no_vocabulary(tmp_path, text):
    (tmp_path / "vocab.json").write_text(text)
    with pytest.raises(TitinError, match=r"vocab\.json"):
        Vocabulary.from_json(tmp_path / "vocab.json")


def test_refuses_values_without_counts(tmp_path):
    rng = np.random.default_rng(0)
    atlas = build_of(tmp_path, rng.normal(5, 1, (30, 20)))
    assert atlas.kind == "real"
    for make in (tokens, gene_medians):
        with pytest.raises(TitinError, match="this dataset has no counts"):
            make(atlas)


def test_splitmix_is_the_published_one():
    state, out = 1234567, []
    for _ in range(2):
        out.append(splitmix(state))
        state += 0x9E3779B97F4A7C15
    assert out == [6457827717110365317, 3203168211198807973]
    assert math.isclose(np.mean([uniform(0, 1, i, 2) for i in range(4000)]), 0.5, abs_tol=0.02)
