"""Places in a tissue are kept, and never drawn or scored as if they were a projection of expression."""

from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import titin
from titin.check.dataset import CheckedDataset
from titin.check.figures import make_figures
from titin.errors import TitinError
from titin.learn.clustering import write_clustering
from titin.learn.store import ResultStore
from titin.publish.facts import CardFacts
from titin.report.atlas_sections import _first_map

N = 120


@pytest.fixture(scope="module")
def slices(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """Two datasets of the same cells: with a projection beside their places, and with the places alone."""

    def fill(folder: Path) -> None:
        rng = np.random.default_rng(0)
        obs = pd.DataFrame({"donor": [f"D{i % 3}" for i in range(N)], "cell_type": np.array(["T", "B"])[
            np.arange(N) % 2]}, [f"spot{i}" for i in range(N)])  # fmt: skip
        whole = ad.AnnData(rng.poisson(1.0, (N, 20)).astype(np.float32), obs)
        whole.obsm["spatial"] = rng.uniform(size=(N, 2))
        whole.write_h5ad(folder / "alone.h5ad")
        whole.obsm["X_pca"] = rng.normal(size=(N, 2))
        whole.write_h5ad(folder / "both.h5ad")
        for name in ("alone", "both"):
            titin.build(folder / f"{name}.h5ad", folder / name, project=(), threads=1)

    return made_once("spatial", fill)


def test_places_are_kept_as_they_are(slices):
    atlas, theirs = titin.open(slices / "both"), ad.read_h5ad(slices / "both.h5ad")
    np.testing.assert_array_equal(atlas.obsm["spatial"], theirs[atlas.obs_names].obsm["spatial"])
    assert list(atlas.manifest.projections) == ["X_pca"]


def test_the_report_the_card_and_the_figures_show_the_projection(slices):
    atlas = titin.open(slices / "both")
    assert _first_map(atlas)[0] == "X_pca"
    assert CardFacts(slices / "both", atlas.manifest).map_key == "X_pca"
    drawn = [figure.name for figure in make_figures(CheckedDataset(slices / "both"))]
    assert any(name.startswith("pca") for name in drawn)
    assert not [name for name in drawn if "spatial" in name]


def test_the_benchmark_scores_the_projection_alone(slices, tmp_path):
    design = titin.open(slices / "both").cell_columns(["cell_type", "donor"])
    design = design.rename(columns={"cell_type": "cell_type_0"}).reset_index(drop=True)
    table = write_clustering(titin.open(slices / "both"), design, ResultStore(tmp_path / "b"), figures=False)
    assert set(table["projection"]) == {"X_pca"}
    assert write_clustering(titin.open(slices / "alone"), design, ResultStore(tmp_path / "a"), figures=False).empty


def test_places_alone_are_no_projection(slices):
    with pytest.raises(TitinError, match="has no projection"):
        _first_map(titin.open(slices / "alone"))
    assert CardFacts(slices / "alone", titin.open(slices / "alone").manifest).map_key is None
