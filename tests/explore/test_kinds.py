"""Datasets of every kind of values, of several files and row groups: the page shows them as Python does."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from window import Window, static_host

import titin
from titin.dataset import layout
from titin.dataset.arrow import ParquetFile
from titin.explore import show, write_site

N, GENES = 900, 40


def study(kind: str) -> ad.AnnData:
    """Cells in two clumps, with values of one kind, missing labels and numbers, and genes with other names."""
    rng = np.random.default_rng(1)
    counts = rng.poisson(rng.gamma(1.0, 2.0, GENES), (N, GENES)).astype("f4")
    counts[:, 3] = 0
    counts[:, 0] += 1
    scale = counts.sum(axis=1, keepdims=True) / 1e4
    values = {
        "counts": counts, "log1p": np.log1p(counts / scale), "log2": np.log2(1 + counts / scale),
        "normalized": counts / scale, "real": np.where(counts > 0, rng.normal(2, 1, counts.shape), 0),
    }[kind].astype("f4")  # fmt: skip
    types = pd.Series(rng.choice(["T cell", "B cell", "NK"], N)).where(rng.random(N) > 0.1)
    obs = pd.DataFrame({
        "cell_type": pd.Categorical(types, ["unused", "NK", "T cell", "B cell"], ordered=True),
        "donor": pd.Categorical([f"D{k}" for k in rng.integers(0, 5, N)]), "good": rng.random(N) > 0.5,
        "score": np.where(rng.random(N) > 0.2, rng.normal(size=N), np.nan),
        "plate": rng.integers(0, 4, N),
    }, index=[f"cell {i}" for i in range(N)])  # fmt: skip
    var = pd.DataFrame({"aliases": ["", "OTHER|ELSE", *[""] * (GENES - 2)]}, index=[f"GENE{i}" for i in range(GENES)])
    adata = ad.AnnData(sparse.csr_matrix(values), obs, var)
    adata.obsm["X_umap"] = rng.normal(size=(N, 2)).astype("f4")
    adata.obsm["X_tsne"] = rng.normal(size=(N, 3)).astype("f8")
    return adata


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory):
    """Build and host a study: an opened dataset and the address of its page, whose files are many and small."""
    made = {}

    def make(kind: str) -> tuple[titin.Atlas, Path]:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            study(kind).write_h5ad(folder / "a.h5ad")
            with pytest.MonkeyPatch.context() as patch:
                patch.setitem(ParquetFile.__init__.__kwdefaults__, "shard_bytes", 8_000)
                patch.setattr(layout, "TABLE_ROW_GROUP_ROWS", 128)
                patch.setattr(layout, "ROW_GROUP_NONZEROS", 4_000)
                titin.build(folder / "a.h5ad", folder / "dataset", tissue="t", method="m", allow_negative=True)
            made[kind] = titin.open(folder / "dataset"), write_site(folder / "dataset", folder / "site").path
        return made[kind]

    return make


@pytest.mark.parametrize("kind", ["counts", "log1p", "log2", "normalized", "real"])
def test_genes_are_shown_as_python_reads_them(window: Window, build, kind: str) -> None:
    atlas, site = build(kind)
    assert atlas.kind == {"log2": "log1p"}.get(kind, kind)
    assert len(list((site / "data").glob("*expression_by_gene*"))) > 1
    with static_host(site) as address:
        window.open(address)
        for gene in ("GENE0", "GENE3", "GENE17", "GENE39"):
            window.run("gene => titin.colour({gene})", gene)
            expected = atlas.counts[:, gene].toarray().ravel() if kind == "normalized" else atlas[gene].to_numpy()
            np.testing.assert_allclose(window.values(), expected, rtol=2e-6)
            unit = window.page.inner_text("#legend-title")
            wanted = {"counts": "counts", "normalized": "counts", "real": "values"}.get(kind, "log-normalised")
            assert unit == f"{gene} ({wanted})"
    assert window.said == []


def test_columns_of_every_type_are_shown(window: Window, build) -> None:
    atlas, site = build("counts")
    with static_host(site) as address:
        window.open(address)
        listed = window.run("[...document.querySelectorAll('#legend .pick')].map(e => e.textContent)")
        assert listed == ["NK", "T cell", "B cell"]  # the order of the categories, of which one has no cell
        codes = np.array(window.values())
        np.testing.assert_array_equal(codes == 65535, atlas.obs["cell_type"].isna())
        for column in ("score", "plate"):
            window.run("name => titin.colour({obs: name})", column)
            np.testing.assert_array_equal(window.values(), atlas.obs[column])
        window.run("titin.colour({obs: 'good'})")
        listed = window.run("[...document.querySelectorAll('#legend .row')].map(e => e.innerText.split(/\\s+/))")
        assert dict(filter(None, line) for line in listed) == {
            str(value): str(n) for value, n in atlas.obs["good"].value_counts().items()
        }


def test_the_first_cells_are_shown_before_the_last_have_come(window: Window, build) -> None:
    _, site = build("counts")
    with static_host(site) as address:
        window.page.goto(address)
        window.until("window.titin !== undefined")
        window.run("titin.ready")
        first = window.run("titin.traffic()")["bytes"]
        assert window.page.locator(".name:not(.hidden)").count() == 3
        window.run("titin.complete")
        assert first < window.run("titin.traffic()")["bytes"]


def test_another_projection_moves_the_cells(window: Window, build) -> None:
    atlas, site = build("counts")
    with static_host(site) as address:
        window.open(address)
        window.run("titin.setState({projection: 'X_tsne', selection: {where: [{column: 'donor', is: ['D1']}]}})")
        xy = np.asarray(atlas.obsm["X_tsne"])[:, :2]
        found = window.run("polygon => titin.select({polygon})", [[-9, -9], [0, -9], [0, 9], [-9, 9]])
        assert found["cells"] == (xy[:, 0].astype("f4") < 0).sum()
        extent = window.run("titin.extent()")
        assert extent["width"] == pytest.approx(float(np.ptp(xy[:, 0])), rel=1e-6)


def test_other_names_of_genes_are_known(window: Window, build) -> None:
    atlas, site = build("counts")
    with static_host(site) as address:
        window.open(address)
        window.page.fill("#search", "else")
        window.page.wait_for_selector("#suggestion-0")
        assert window.page.inner_text("#suggestion-0").split() == ["GENE1", "also", "ELSE"]
        window.run("titin.colour({gene: 'other'})")
        np.testing.assert_array_equal(window.values(), atlas["GENE1"])


def test_a_notebook_shows_the_page(window: Window, build) -> None:
    pytest.importorskip("uvicorn", reason="needs the extra explore")
    atlas, _ = build("counts")
    frame = atlas.explore(height=500)
    try:
        assert f'src="{frame.address}"' in frame._repr_html_()
        assert repr(frame) == f"explorer at {frame.address}"
        window.open(frame.address)
        assert len(window.values()) == N
    finally:
        frame.stop()
    assert callable(show)
