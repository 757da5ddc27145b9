"""A small study whose answers are known: a planted cluster, types within types, names that would overlap."""

from itertools import combinations
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from window import Window, static_host

import titin
from titin.explore import write_site

PLANTED, OTHERS = 37, 400


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of cells around nothing, and of some of one donor far away from all of them."""
    folder, rng = tmp_path_factory.mktemp("planted"), np.random.default_rng(0)
    n = PLANTED + OTHERS
    counts = rng.poisson(1.0, (n, 30)).astype("f4")
    total = counts.sum(axis=1)
    far = np.arange(n) < PLANTED
    obs = pd.DataFrame({
        "coarse": pd.Categorical(np.where(far, "planted", rng.choice(["T", "B"], n))),
        "donor": pd.Categorical(np.where(far, "D0", rng.choice(["D1", "D2"], n))), "total": total.astype("f8"),
    }, index=[f"c{i}" for i in range(n)])  # fmt: skip
    obs["fine"] = pd.Categorical([f"{one} {k}" for one, k in zip(obs["coarse"], rng.integers(0, 3, n), strict=True)])
    values = np.log1p(counts / total[:, None] * 1e4).astype("f4")
    adata = ad.AnnData(sparse.csr_matrix(values), obs, pd.DataFrame(index=[f"G{i}" for i in range(30)]))
    adata.obsm["X_umap"] = np.where(far[:, None], 50, 0) + rng.normal(size=(n, 2))
    adata.write_h5ad(folder / "a.h5ad")
    titin.build(folder / "a.h5ad", folder / "dataset", tissue="t", method="m",
                roles={"cell_type": ["coarse", "fine"], "donor": "donor"})  # fmt: skip
    return write_site(folder / "dataset", folder / "site").path


def test_a_lasso_of_a_planted_cluster_gives_its_exact_count(window: Window, planted: Path) -> None:
    with static_host(planted) as address:
        window.open(address)
        found = window.run("titin.select({polygon: [[40, 40], [60, 40], [60, 60], [40, 60]]})")
        assert (found["cells"], found["donors"], found["types"]) == (PLANTED, 1, {"planted": PLANTED})
        assert found["byDonor"] == {"D0": PLANTED}


def test_scales_come_from_the_column_that_has_the_totals(window: Window, planted: Path) -> None:
    atlas = titin.open(planted / "data")
    assert atlas.manifest.recovery["target_column"] == "total"
    with static_host(planted) as address:
        window.open(address)
        window.run("titin.colour({gene: 'G3'})")
        np.testing.assert_allclose(window.values(), atlas["G3"], rtol=2e-6)
        assert not [url for url in window.requests if url.endswith("_expression.parquet")]
    assert window.said == []


def test_subtypes_have_a_hue_near_that_of_their_type(window: Window, planted: Path) -> None:
    with static_host(planted) as address:
        window.open(address)
        hue = {}
        for column in ("coarse", "fine"):
            window.run("obs => titin.colour({obs})", column)
            for row in window.page.query_selector_all("#legend .row"):
                colour = row.query_selector(".swatch").evaluate("one => getComputedStyle(one).backgroundColor")
                red, green, blue = (int(part) / 255 for part in colour[4:-1].split(","))
                name = row.query_selector(".pick").inner_text()
                hue[name] = np.degrees(np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue))
        for fine, own in hue.items():
            apart = {
                name: abs((own - of + 180) % 360 - 180) for name, of in hue.items() if name in ("T", "B", "planted")
            }
            assert min(apart, key=apart.__getitem__) == fine.split()[0]


def test_names_on_the_map_do_not_overlap(window: Window, planted: Path) -> None:
    with static_host(planted) as address:
        window.open(address)
        window.run("titin.colour({obs: 'fine'})")
        boxes = window.boxes(".name:not(.hidden)")
        assert len(boxes) > 1
        for one, other in combinations(boxes, 2):
            beside = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
            assert beside or one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]


def test_sizes_come_from_the_manifest(window: Window, planted: Path) -> None:
    methods = []
    window.page.on("request", lambda request: methods.append(request.method))
    with static_host(planted) as address:
        window.open(address)
        window.run("titin.colour({gene: 'G3'})")
    assert set(methods) == {"GET"}
