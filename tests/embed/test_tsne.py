"""t-SNE keeps as many neighbours as scanpy's, is the same for the same seed, and says what it cannot do."""

import sys

import numpy as np
import pytest

from preservation import kept, real_scores, scanpy_of
from titin.embed.neighbors import neighbors
from titin.embed.tsne import check_perplexity, tsne
from titin.errors import TitinError
from titin.progress import Progress


@pytest.fixture(scope="module")
def scores():
    return real_scores()


@pytest.fixture(scope="module")
def layout(scores):
    return tsne(scores, threads=1)


def test_keeps_as_many_neighbours_as_scanpys(scores, layout):
    assert layout.shape == (700, 2)
    assert layout.dtype == np.float32
    assert kept(scores, layout) >= kept(scores, scanpy_of(scores, "tsne"))


def test_the_same_seed_gives_the_same_bits_whatever_the_threads(scores):
    one, two = (tsne(scores[:150], n_iter=20, threads=threads) for threads in (1, 3))
    assert np.array_equal(one, two)


def test_by_interpolation_the_same_bits_too_whatever_the_threads():
    """From 10,000 cells on."""
    scores = np.random.default_rng(0).normal(size=(10_000, 2)).astype(np.float32)
    scores[:5_000] += 4
    near = neighbors(scores, 7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["titin.embed.tsne"], "EARLY_ITERATIONS", 10)
        one, two = (tsne(scores, perplexity=2, n_iter=5, neighbors=near, threads=threads) for threads in (1, 3))
    assert np.array_equal(one, two)


def test_neighbours_found_before_are_as_good_as_those_it_searches(scores):
    some = scores[:100]
    near = neighbors(some, 9)
    searched, given = (tsne(some, perplexity=5, n_iter=5, threads=1, neighbors=n) for n in (None, near))
    assert np.array_equal(searched, given)
    with pytest.raises(TitinError, match=r"a perplexity of 6 takes 10 neighbours.*; 9 were given"):
        tsne(some, perplexity=6, neighbors=near)


def test_begins_with_the_first_two_columns(scores, layout):
    correlation = np.corrcoef(layout.T, scores[:, :2].T)[:2, 2:]
    assert np.abs(correlation).max() > 0.5


class Heard(Progress):
    def __init__(self):
        self.step, self.done = None, 0

    def start(self, step, total, unit):
        self.step = (step, total, unit)

    def advance(self, amount):
        self.done += amount


def test_progress_counts_the_iterations_and_nothing_is_printed(scores, capfd):
    heard = Heard()
    tsne(scores[:60], n_iter=50, threads=1, progress=heard)
    assert heard.step == ("t-SNE", 300, "iterations")
    assert heard.done == 300
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("n_cells", [5, 12, 30])
def test_few_cells(n_cells, scores):
    layout = tsne(scores[:n_cells], n_iter=100, threads=1)
    assert layout.shape == (n_cells, 2)
    assert np.isfinite(layout).all()
    assert len(np.unique(layout, axis=0)) == n_cells


def test_one_column_and_repeated_cells(scores):
    layout = tsne(np.repeat(scores[:60, :1], 3, axis=0), n_iter=100, threads=1)
    assert np.isfinite(layout).all()
    assert (layout.std(axis=0) > 0.1).all()


def test_perplexity_is_at_most_a_third_of_the_cells():
    assert check_perplexity(30, 700) == (30, 46)
    assert check_perplexity(30, 31) == (10.0, 16)
    assert check_perplexity(30, 30) == (pytest.approx(29 / 3), 16)


@pytest.mark.parametrize(
    ("scores", "how", "message"),
    [
        (np.eye(4, dtype=np.float32), {}, "4 cells are too few for a t-SNE"),
        (np.ones((30, 5), np.float32), {}, "all cells have the same scores"),
        (np.eye(30, dtype=np.float32), {"perplexity": 0.5}, "a perplexity of 0.5 is no number of neighbours"),
    ],
)
def test_what_cannot_be_laid_out(scores, how, message):
    with pytest.raises(TitinError, match=message) as error:
        tsne(scores, **how)
    assert error.value.hint


def test_without_opentsne_one_line_says_what_to_install(monkeypatch, scores):
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    with pytest.raises(TitinError, match="t-SNE needs the package openTSNE") as error:
        tsne(scores)
    assert error.value.hint == "pip install 'titin[embed]'"
