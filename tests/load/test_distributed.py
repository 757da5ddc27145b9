"""Training in two processes: every cell once, the same order with the same seed, and on again after a rank has died."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import titin
from titin.demo import write_demo_atlas

pytest.importorskip("torch")

RANK = Path(__file__).with_name("_rank.py")


def train(dataset: Path, folder: Path, dies: int = -1) -> list[int]:
    """Run both ranks; the second may die before a batch. Their exit codes."""
    folder.mkdir(exist_ok=True)
    (folder / "meeting").unlink(missing_ok=True)
    command = [sys.executable, str(RANK), str(dataset), str(folder)]
    ranks = [subprocess.Popen([*command, str(rank), str(dies if rank else -1)]) for rank in (0, 1)]
    return [rank.wait(240) for rank in ranks]


def found(folder: Path):
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in (0, 1)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("atlas")
    source = write_demo_atlas(folder / "atlas.h5ad", n_cells=304, n_genes=200)
    return titin.build(source, folder / "dataset", project=[]).path


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    assert train(dataset, folder) == [0, 0]
    return found(folder)


@pytest.mark.slow
def test_two_ranks_hand_out_every_cell_once(dataset, trained):
    atlas = titin.open(dataset)
    times = Counter(name for rank in trained for batch in rank["cells"] for name in batch)
    assert set(times) == set(atlas.obs_names)
    assert set(times.values()) == {1}
    assert [len(batch) for batch in trained[0]["cells"]] == [len(batch) for batch in trained[1]["cells"]]
    assert trained[0]["weights"] == trained[1]["weights"]  # gradients were averaged over both


@pytest.mark.slow
def test_the_same_seed_trains_the_same_model(dataset, trained, tmp_path):
    assert train(dataset, tmp_path / "again") == [0, 0]
    assert found(tmp_path / "again") == trained


@pytest.mark.slow
def test_after_a_rank_has_died_training_goes_on_as_if_it_had_not(dataset, trained, tmp_path):
    folder = tmp_path / "died"
    codes = train(dataset, folder, dies=5)
    assert codes[1] == 9
    assert codes[0] not in (0, 9)  # the other cannot average with a rank that is gone
    assert not list(folder.glob("rank-*.json"))
    assert train(dataset, folder) == [0, 0]
    assert found(folder) == trained
