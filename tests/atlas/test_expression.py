"""atlas.expression: as the DataFrame of cells × genes would answer, without being one."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from open_datasets import N_CELLS, N_GENES, Opened, make, open_beside, reopen
from scipy import sparse

from titin.atlas import Expression, MemoryLimitError, SelectionError, UnknownNameError

KINDS = ("counts", "integers", "log1p", "double", "real")
STATISTICS = ("sum", "mean", "var", "std", "min", "max")


@pytest.fixture(scope="module", params=KINDS)
def opened(request, tmp_path_factory) -> Opened:
    return make(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def log1p(tmp_path_factory) -> Opened:
    return make(tmp_path_factory.mktemp("one"), "log1p")


@pytest.fixture(scope="module")
def shards(sharded) -> Opened:
    return open_beside(sharded.dataset, sharded.source())


def frame(opened: Opened) -> pd.DataFrame:
    """The DataFrame that the expression acts like."""
    return pd.DataFrame(opened.dense, index=opened.source.obs_names, columns=opened.source.var_names)


def doubles(opened: Opened) -> pd.DataFrame:
    return frame(opened).astype(np.float64)


def assert_close(found: pd.Series | pd.DataFrame, expected: pd.Series | pd.DataFrame) -> None:
    """The same labels and float64 values, but for the order of summation."""
    assert (found.dtypes == np.float64).all() if isinstance(found, pd.DataFrame) else found.dtype == np.float64
    check = pd.testing.assert_series_equal if isinstance(found, pd.Series) else pd.testing.assert_frame_equal
    check(found, expected.astype(np.float64), rtol=1e-9, atol=1e-12)


# as a table


def test_what_it_says_of_itself(opened):
    expression, expected = opened.atlas.expression, frame(opened)
    assert expression.shape == expected.shape
    assert (expression.size, expression.ndim, expression.empty) == (expected.size, 2, False)
    assert len(expression) == len(expected)
    pd.testing.assert_index_equal(expression.index, expected.index)
    pd.testing.assert_index_equal(expression.columns, expected.columns)
    pd.testing.assert_index_equal(expression.keys(), expected.keys())
    pd.testing.assert_series_equal(expression.dtypes, expected.dtypes)
    assert list(expression) == list(expected)
    assert "G3" in expression
    assert "cell3" not in expression
    assert expression.sparsity == pytest.approx((expected == 0).mean().mean())
    assert expected.index.is_unique  # which pandas remembers, and counts
    assert expression.memory_usage(deep=True).sum() == expected.index.memory_usage(deep=True)
    assert expression.memory_usage(index=False).sum() == 0
    assert repr(expression) == f"Expression of 230 cells × 70 genes, {opened.dense.dtype}; not read"


def test_nothing_is_read_before_it_is_asked_for(log1p, monkeypatch):
    from titin.dataset.store import Store

    atlas = reopen(log1p)
    monkeypatch.setattr(Store, "_read", lambda *_: pytest.fail("a matrix was read"))
    expression = atlas.expression
    assert expression.loc[atlas.obs["kind"] == "a"].iloc[:5].loc[:, ["G1", "G2"]].shape == (5, 2)
    assert expression.mean().name is None  # known from the build


def test_one_gene_and_some(opened):
    expression, expected = opened.atlas.expression, frame(opened)
    pd.testing.assert_series_equal(expression["G3"], expected["G3"])
    some = ["G30", "G3", "G3"]
    pd.testing.assert_frame_equal(expression[some], expected[some])
    pd.testing.assert_frame_equal(expression[pd.Index(some[:2])], expected[some[:2]])
    pd.testing.assert_frame_equal(expression.to_frame(some), expected[some])
    pd.testing.assert_frame_equal(expression.to_frame("G3"), expected[["G3"]])
    pd.testing.assert_frame_equal(expression.to_frame(), expected)
    pd.testing.assert_frame_equal(expression[[]], expected[[]])
    assert expression["ENSG00000000003"].tolist() == expected["G3"].tolist()


def test_arrays(opened):
    expression, expected = opened.atlas.expression, frame(opened)
    assert expression.values.tobytes() == np.ascontiguousarray(expected.to_numpy()).tobytes()
    np.testing.assert_array_equal(np.asarray(expression), expected.to_numpy())
    assert expression.to_numpy(np.float64).dtype == np.float64
    assert isinstance(expression.to_scipy(), sparse.csr_matrix)
    np.testing.assert_array_equal(expression.iloc[5:9].to_scipy().toarray(), expected.iloc[5:9])
    with pytest.raises(ValueError, match="always a copy"):
        np.asarray(expression, copy=False)


@pytest.mark.parametrize("n", [0, 3, 500])
def test_head_and_tail(log1p, n):
    pd.testing.assert_frame_equal(log1p.atlas.expression.head(n), frame(log1p).head(n))
    pd.testing.assert_frame_equal(log1p.atlas.expression.tail(n), frame(log1p).tail(n))
    pd.testing.assert_frame_equal(log1p.atlas.expression.head(), frame(log1p).head())


def test_a_sample(log1p):
    sample = log1p.atlas.expression.sample(20, random_state=1)
    assert sample.index.is_unique
    pd.testing.assert_frame_equal(sample.to_frame(), frame(log1p).loc[sample.index])
    assert not sample.index.equals(log1p.atlas.expression.sample(20, random_state=2).index)
    with pytest.raises(SelectionError, match="231 of 230 cells"):
        log1p.atlas.expression.sample(231)


# cells and genes by name and by position

BY_NAME = {
    "names": ["cell9", "cell2", "cell9"],
    "one name in a list": ["cell5"],
    "slice": slice("cell9", None),
    "everything": slice(None),
    "nothing": [],
}
BY_POSITION = {
    "slice": slice(3, 90),
    "backwards": slice(40, 3, -9),
    "positions": [9, 2, -1, 9],
    "nothing": [],
    "past the end": slice(200, 999),
}
GENES = {"names": ["G5", "G1"], "slice": slice("G3", "G8"), "everything": slice(None)}


@pytest.mark.parametrize("columns", GENES)
@pytest.mark.parametrize("rows", BY_NAME)
def test_loc(log1p, rows, columns):
    key = BY_NAME[rows], GENES[columns]
    found = log1p.atlas.expression.loc[key]
    assert isinstance(found, Expression)
    pd.testing.assert_frame_equal(found.to_frame(), frame(log1p).loc[key])
    pd.testing.assert_frame_equal(log1p.atlas.expression.loc[BY_NAME[rows]].to_frame(), frame(log1p).loc[BY_NAME[rows]])


@pytest.mark.parametrize("columns", [slice(2, 9), [5, 1], slice(None), []])
@pytest.mark.parametrize("rows", BY_POSITION)
def test_iloc(log1p, rows, columns):
    key = BY_POSITION[rows], columns
    found = log1p.atlas.expression.iloc[key]
    assert isinstance(found, Expression)
    pd.testing.assert_frame_equal(found.to_frame(), frame(log1p).iloc[key])


def test_masks(log1p):
    expression, expected = log1p.atlas.expression, frame(log1p)
    mask = log1p.atlas.obs["kind"] == "a"
    for found in (expression.loc[mask], expression[mask], expression.iloc[mask.to_numpy()], expression[mask.tolist()]):
        pd.testing.assert_frame_equal(found.to_frame(), expected[mask])
    shuffled = mask.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(expression.loc[shuffled].to_frame(), expected[mask])
    genes = expected.columns.str.endswith("3")
    pd.testing.assert_frame_equal(expression.loc[mask, genes].to_frame(), expected.loc[mask, genes])
    pd.testing.assert_frame_equal(expression[10:20].to_frame(), expected[10:20])


def test_a_row_a_column_a_value(log1p):
    expression, expected = log1p.atlas.expression, frame(log1p)
    pd.testing.assert_series_equal(expression.loc["cell9"], expected.loc["cell9"])
    pd.testing.assert_series_equal(expression.iloc[-1], expected.iloc[-1])
    pd.testing.assert_series_equal(expression.loc[:, "G4"], expected.loc[:, "G4"])
    pd.testing.assert_series_equal(expression.iloc[5:9, 3], expected.iloc[5:9, 3])
    pd.testing.assert_series_equal(expression.loc["cell9", ["G4", "G2"]], expected.loc["cell9", ["G4", "G2"]])
    assert expression.loc["cell9", "G4"] == expected.loc["cell9", "G4"]
    assert expression.iloc[3, 5] == expected.iloc[3, 5]


def test_a_selection_of_a_selection(log1p):
    expression, expected = log1p.atlas.expression, frame(log1p)
    found = expression.iloc[::-3].loc[:, "G10":"G40"].iloc[5:50, ::2]
    chosen = expected.iloc[::-3].loc[:, "G10":"G40"].iloc[5:50, ::2]
    pd.testing.assert_frame_equal(found.to_frame(), chosen)
    pd.testing.assert_series_equal(found["G20"], chosen["G20"])
    pd.testing.assert_frame_equal(found[["G20", "G12"]], chosen[["G20", "G12"]])
    pd.testing.assert_series_equal(found.loc[chosen.index[4]], chosen.iloc[4])
    assert found.sparsity == pytest.approx((chosen == 0).mean().mean())
    for name in STATISTICS:
        assert_close(getattr(found, name)(), getattr(chosen.astype(float), name)())
        assert_close(getattr(found, name)(axis=1), getattr(chosen.astype(float), name)(axis=1))
    with pytest.raises(UnknownNameError, match="'G1' is not among the genes chosen"):
        found["G1"]
    with pytest.raises(UnknownNameError, match="no cell 'cell"):
        found.loc[expected.index.difference(chosen.index)[:1].tolist()]


def test_repeated_cells_stay_repeated(log1p):
    names = ["cell9", "cell2", "cell9"]
    found, chosen = log1p.atlas.expression.loc[names], frame(log1p).loc[names].astype(float)
    for name in STATISTICS:
        assert_close(getattr(found, name)(), getattr(chosen, name)())
    pd.testing.assert_frame_equal(found.loc["cell9"].to_frame(), frame(log1p).loc[names].loc["cell9"])


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda e: e["G99"], UnknownNameError, "no gene 'G99'"),
        (lambda e: e[["G1", "G99"]], UnknownNameError, "no gene 'G99'"),
        (lambda e: e[[1, 2]], SelectionError, "by name"),
        (lambda e: e[3], SelectionError, "by name"),
        (lambda e: e.loc["nobody"], UnknownNameError, "no cell 'nobody' here"),
        (lambda e: e.loc[["cell1", "nobody", "none"]], UnknownNameError, "'nobody' here and 1 more"),
        (lambda e: e.loc[3], SelectionError, "loc goes by name"),
        (lambda e: e.loc[[3, 4]], SelectionError, "loc goes by name"),
        (lambda e: e.loc[np.arange(3)], SelectionError, "loc goes by name"),
        (lambda e: e.loc[:, "G99"], UnknownNameError, "no gene 'G99'"),
        (lambda e: e.loc[:, ["G1", "G1"]], SelectionError, "'G1' is named twice"),
        (lambda e: e.iloc["cell1"], SelectionError, "iloc goes by position"),
        (lambda e: e.iloc[230], SelectionError, "there is no cell 230"),
        (lambda e: e.iloc[:, 70], SelectionError, "there is no gene 70"),
        (lambda e: e.iloc[0, 0, 0], SelectionError, "2 dimensions"),
        (lambda e: e[np.ones(5, bool)], SelectionError, "5 entries for 230 cells"),
        (lambda e: e.sum(axis=2), SelectionError, "no axis 2"),
        (lambda e: e.groupby("nothing"), UnknownNameError, "no column 'nothing'"),
        (lambda e: e.groupby(["kind", "nothing"]), UnknownNameError, "no column 'nothing'"),
        (lambda e: e.groupby(np.zeros(5)), SelectionError, "5 labels for 230 cells"),
        (
            lambda e: e.groupby(pd.Series(1, index=[f"x{i}" for i in range(230)])),
            SelectionError,
            "not that of the cells",
        ),
    ],
)
def test_what_cannot_be_answered_says_why(log1p, ask, error, message):
    with pytest.raises(error, match=message) as caught:
        ask(log1p.atlas.expression)
    assert caught.value.hint


def test_what_a_dataframe_has_and_it_has_not(log1p):
    with pytest.raises(AttributeError, match=r"no corr: take a DataFrame of some genes, expression\[\[…\]\]"):
        log1p.atlas.expression.corr()
    with pytest.raises(AttributeError, match="no frobnicate"):
        log1p.atlas.expression.frobnicate()


# statistics


@pytest.mark.parametrize("axis", [0, 1, "index", "columns"])
@pytest.mark.parametrize("name", STATISTICS)
def test_statistics(opened, name, axis):
    found = getattr(opened.atlas.expression, name)(axis=axis)
    assert_close(found, getattr(doubles(opened), name)(axis=axis))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", STATISTICS)
def test_statistics_over_row_groups_and_shards(shards, name, threads):
    expression = reopen(shards, threads=threads).expression
    rows = np.random.default_rng(0).permutation(1300)[:700]
    assert_close(getattr(expression.iloc[rows], name)(), getattr(doubles(shards).iloc[rows], name)())
    assert_close(getattr(expression.iloc[rows], name)(axis=1), getattr(doubles(shards).iloc[rows], name)(axis=1))


def test_statistics_do_not_depend_on_threads(shards):
    results = [reopen(shards, threads=n).expression.sum() for n in (1, 2, 5)]
    for other in results[1:]:
        assert other.to_numpy().tobytes() == results[0].to_numpy().tobytes()


def test_a_variance_small_beside_the_mean(tmp_path):
    opened = make(tmp_path, "real")  # its values lie around 10,000
    large = opened.atlas.expression
    for found, expected in ((large, doubles(opened)), (large.iloc[:100], doubles(opened).iloc[:100])):
        np.testing.assert_allclose(found.var(), expected.var(), rtol=1e-9)
        np.testing.assert_allclose(found.var(axis=1), expected.var(axis=1), rtol=1e-9)


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize(("rows", "columns"), [([], slice(None)), ([3], slice(None)), (slice(None), []), ([], [])])
def test_statistics_of_next_to_nothing(log1p, name, rows, columns):
    found, chosen = log1p.atlas.expression.iloc[rows, columns], doubles(log1p).iloc[rows, columns]
    for axis in (0, 1):
        expected = getattr(chosen, name)(axis=axis)
        pd.testing.assert_series_equal(
            getattr(found, name)(axis=axis), expected.astype(float), rtol=1e-9, check_index_type=False
        )


def test_statistics_of_few_genes_read_whole_genes(shards, monkeypatch):
    from titin.dataset.store import Store

    expression = reopen(shards).expression.loc[:, ["MYH7", "MYH2"]]
    read, whole = [], Store._read
    monkeypatch.setattr(
        Store, "_read", lambda self, group, *args: (read.append(group.shard), whole(self, group, *args))[1]
    )
    assert_close(expression.max(), doubles(shards)[["MYH7", "MYH2"]].max())
    assert any("by_gene" in shard for shard in read)


def test_ddof(log1p):
    assert_close(log1p.atlas.expression.var(ddof=0), doubles(log1p).var(ddof=0))
    assert_close(log1p.atlas.expression.std(axis=1, ddof=0), doubles(log1p).std(axis=1, ddof=0))


@given(data=st.data())
def test_any_selection_has_the_statistics_of_pandas(log1p, data):
    rows = data.draw(st.lists(st.integers(0, N_CELLS - 1), min_size=1, max_size=15))
    columns = data.draw(st.lists(st.integers(0, N_GENES - 1), min_size=1, max_size=15, unique=True))
    name, axis = data.draw(st.sampled_from(STATISTICS)), data.draw(st.sampled_from([0, 1]))
    found, chosen = log1p.atlas.expression.iloc[rows, columns], doubles(log1p).iloc[rows, columns]
    assert_close(getattr(found, name)(axis=axis), getattr(chosen, name)(axis=axis))


# groups


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("by", ["kind", "donor", ["kind", "donor"]])
def test_groups(opened, name, by):
    keys = [opened.source.obs[key] for key in ([by] if isinstance(by, str) else by)]
    expected = getattr(doubles(opened).groupby(keys, observed=True), name)()
    found = getattr(opened.atlas.expression.groupby(by), name)()
    assert_close(found, expected)


def test_groups_of_chosen_cells_and_genes(log1p):
    rows = [9, 2, 9, 40, 41, 42, 43]
    found = log1p.atlas.expression.iloc[rows, 5:20].groupby("kind")
    expected = doubles(log1p).iloc[rows, 5:20].groupby(log1p.source.obs["kind"].iloc[rows].to_numpy(), observed=True)
    np.testing.assert_allclose(found.mean(), expected.mean().reindex(found.mean().index))
    np.testing.assert_allclose(found.var(), expected.var().reindex(found.mean().index))
    np.testing.assert_array_equal(found.size(), expected.size().reindex(found.mean().index))
    assert len(found) == found.ngroups == len(expected)
    assert "7 cells" in repr(found)


def test_groups_by_labels_of_ones_own(log1p):
    expression, labels = (
        log1p.atlas.expression,
        pd.Series(np.arange(N_CELLS) % 3, index=frame(log1p).index, name="third"),
    )
    expected = doubles(log1p).groupby(labels).mean()
    assert_close(expression.groupby(labels).mean(), expected)
    assert_close(expression.groupby(labels.sample(frac=1, random_state=0)).mean(), expected)  # aligned by name
    np.testing.assert_allclose(expression.groupby(labels.to_numpy()).mean(), expected)
    text = labels.map({0: "x", 1: "y", 2: None})
    assert_close(expression.groupby(text).sum(), doubles(log1p).groupby(text).sum())  # None is no group
    assert expression.groupby(text).size().sum() == (text.notna()).sum()
    assert list(expression.groupby(text.astype(str).tolist()).size().index) == ["None", "x", "y"]


def test_obs_that_was_sorted_in_place_is_still_the_obs_of_the_cells(log1p):
    atlas = reopen(log1p)
    atlas.obs.sort_values("score", inplace=True)  # noqa: PD002 - a user may
    assert_close(atlas.expression.groupby("donor").sum(), log1p.atlas.expression.groupby("donor").sum())
    pd.testing.assert_frame_equal(atlas.to_anndata().obs, log1p.atlas.obs)


# memory


def test_too_much_for_the_memory_says_how_much_and_what_else(log1p):
    expression = reopen(log1p, memory=50_000).expression
    for ask in (
        lambda: expression.values,
        lambda: expression.to_frame(),
        lambda: np.asarray(expression),
        lambda: expression.iloc[:200].to_frame(),
        lambda: expression[[f"G{i}" for i in range(60)]],
    ):
        with pytest.raises(
            MemoryLimitError, match=r"a dense table of 2\d0 cells × [67]0 genes takes [\d.]+ KiB"
        ) as error:
            ask()
        assert "expression.iloc[a:b]" in error.value.hint
    with pytest.raises(MemoryLimitError, match="statistics of 230 groups × 70 genes"):
        expression.groupby(np.arange(N_CELLS)).mean()
    assert_close(expression.sum(), doubles(log1p).sum())
    assert expression.iloc[:20].values.shape == (20, 70)


def test_the_size_of_the_full_table_is_named(log1p):
    atlas = reopen(log1p, memory="1GiB")
    atlas.manifest.n_cells, atlas.manifest.n_genes = 183_161, 29_400
    with pytest.raises(MemoryLimitError, match=r"183,161 cells × 29,400 genes takes 20\.1 GiB .* limit is 1\.0 GiB"):
        _ = atlas.expression.values
