"""scVI from minibatches; the tests run where scvi-tools is installed."""

import importlib.util

import numpy as np
import pytest

import titin
from titin.demo.atlas import make_demo
from titin.errors import TitinError
from titin.progress import Progress

needs_scvi = pytest.mark.skipif(importlib.util.find_spec("scvi") is None, reason="needs `pip install titin[scvi]`")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return make_demo(folder, n_cells=1000, n_genes=300, seed=0, force=False, progress=Progress()).path


@needs_scvi
def test_types_come_apart_and_the_same_seed_gives_the_same(demo):
    from sklearn.neighbors import KNeighborsClassifier

    from titin.embed import scvi

    atlas = titin.open(demo)
    found = scvi(atlas, n_latent=6, n_layers=1, n_top_genes=200, max_epochs=15, threads=1)
    assert found.latent.shape == (1000, 6)
    assert found.latent.dtype == np.float32
    assert found.params["batch_key"] == "SampleID"
    curve = found.history["elbo_train"]
    assert len(curve) == 15
    assert curve[-1] < curve[0]
    assert len(found.history["elbo_validation"]) == 15
    labels = atlas.obs["annotation_level0"].astype(str).to_numpy()
    near = KNeighborsClassifier(10).fit(found.latent[:800], labels[:800])
    majority = np.unique(labels, return_counts=True)[1].max() / 1000
    assert near.score(found.latent[800:], labels[800:]) > majority + 0.2
    again = scvi(atlas, n_latent=6, n_layers=1, n_top_genes=200, max_epochs=15, threads=1)
    np.testing.assert_array_equal(again.latent, found.latent)


@needs_scvi
def test_a_dataset_takes_it_up_with_its_training_curve(demo):
    from titin.builder import add_embeddings

    done = add_embeddings(
        demo, ["scvi"], force=True, threads=1, scvi={"n_latent": 3, "max_epochs": 2, "n_top_genes": 50}
    )
    computed = done.manifest.obsm["X_scVI"]["computed"]
    assert computed["parameters"]["n_latent"] == 3
    assert len(computed["history"]["elbo_validation"]) == 2
    assert set(computed["libraries"]) == {"titin", "torch", "scvi-tools"}
    frame = titin.open(demo).obsm["X_scVI"]
    assert np.asarray(frame).shape == (1000, 3)


@pytest.mark.skipif(importlib.util.find_spec("scvi") is not None, reason="scvi-tools is installed")
def test_without_the_extra_one_line_says_what_to_install(demo):
    from titin.builder import add_embeddings
    from titin.embed import scvi

    for attempt in (lambda: scvi(titin.open(demo)), lambda: add_embeddings(demo, ["scvi"], force=True)):
        with pytest.raises(TitinError, match="needs the package scvi-tools") as caught:
            attempt()
        assert "titin[scvi]" in caught.value.hint
