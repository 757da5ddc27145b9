"""UMAP keeps as many neighbours as scanpy's, is the same for the same seed, and says what it cannot do."""

import sys

import numpy as np
import pytest

from preservation import kept, real_scores, scanpy_of
from titin.embed.neighbors import neighbors
from titin.embed.umap import umap
from titin.errors import TitinError
from titin.progress import Progress


@pytest.fixture(scope="module")
def scores():
    return real_scores()


@pytest.fixture(scope="module")
def near(scores):
    return neighbors(scores, 15)


@pytest.fixture(scope="module")
def scanpys(scores):
    return kept(scores, scanpy_of(scores, "umap"))


@pytest.mark.parametrize(
    "how",
    [{}, pytest.param({"deterministic": False, "threads": 2}, marks=pytest.mark.slow)],
    ids=["deterministic", "parallel"],
)
def test_keeps_as_many_neighbours_as_scanpys(how, scores, scanpys):
    layout = umap(scores, **how)
    assert layout.shape == (700, 2)
    assert layout.dtype == np.float32
    assert kept(scores, layout) >= scanpys


def test_from_a_spectral_beginning_too(scores, near, scanpys):
    assert kept(scores, umap(near)) >= scanpys


def test_the_same_seed_gives_the_same_bits_whatever_the_threads(scores, near):
    one = umap(near, init=scores, n_epochs=50, threads=1)
    assert np.array_equal(one, umap(near, init=scores, n_epochs=50, threads=2))
    assert not np.array_equal(one, umap(near, init=scores, n_epochs=50, random_state=1))


def test_three_dimensions(near):
    layout = umap(near, n_components=3, n_epochs=20)
    assert layout.shape == (700, 3)
    assert (layout.std(axis=0) > 0).all()


class Heard(Progress):
    def __init__(self):
        self.step, self.done, self.told = None, 0, 0

    def start(self, step, total, unit):
        self.step = (step, total, unit)

    def advance(self, amount):
        assert amount >= 0
        self.done += amount
        self.told += 1


def test_progress_counts_the_epochs_and_nothing_is_printed(near, scores, capfd):
    heard = Heard()
    umap(near, init=scores, n_epochs=300, progress=heard)
    assert heard.step == ("UMAP", 300, "epochs")
    assert heard.done == 300
    assert heard.told > 100
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("n_cells", [5, 12, 30])
def test_few_cells(n_cells, scores):
    layout = umap(scores[:n_cells])
    assert layout.shape == (n_cells, 2)
    assert np.isfinite(layout).all()


def test_one_column_and_repeated_cells(scores):
    column = np.repeat(scores[:100, :1], 3, axis=0)
    layout = umap(column, n_epochs=50)
    assert np.isfinite(layout).all()
    assert (layout.std(axis=0) > 0.1).all()


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.eye(4, dtype=np.float32), "4 cells are too few for a UMAP"),
        (np.ones((30, 5), np.float32), "all cells have the same scores"),
        (np.full((30, 5), np.nan, np.float32), "NaN or infinity"),
        (np.zeros(30, np.float32), "no table of cells × dimensions"),
    ],
)
def test_what_cannot_be_laid_out(scores, message):
    with pytest.raises(TitinError, match=message) as error:
        umap(scores)
    assert error.value.hint


def test_without_umap_learn_one_line_says_what_to_install(monkeypatch, scores):
    monkeypatch.setitem(sys.modules, "umap.umap_", None)
    with pytest.raises(TitinError, match="UMAP needs the package umap-learn") as error:
        umap(scores)
    assert error.value.hint == "pip install 'titin[embed]'"
