"""Whatever changes a dataset leaves a card that the next one may replace: it is still as titin wrote it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import titin
from titin.ageing import write_pseudobulk
from titin.demo import make_demo
from titin.progress import Progress
from titin.publish import write_card

CHANGES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda _: None,
    "a projection": lambda folder: titin.add_embeddings(folder, ["pca"], pca={"n_comps": 3}),
    "pseudobulk": lambda folder: write_pseudobulk(titin.open(folder)),
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    return make_demo(folder, n_cells=200, n_genes=150, seed=0, force=False, progress=Progress()).path


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_card_is_written_again_without_force(change: Callable[[Path], object], small: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(small, tmp_path / "d"))
    write_card(folder, images=False, licence="cc-by-4.0")
    change(folder)
    write_card(folder, images=False)
    card = (folder / "README.md").read_bytes()
    write_card(folder, images=False)
    assert (folder / "README.md").read_bytes() == card
