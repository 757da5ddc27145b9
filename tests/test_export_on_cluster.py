"""Exports that the workers of a cluster read: the same files, whoever of them is lost."""

import os
import signal
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest

import titin
from titin.atlas import source_blocks
from titin.cli import main
from titin.demo import write_demo_atlas

pytest.importorskip("distributed", reason="needs `pip install 'titin[cluster]'`")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    atlas = write_demo_atlas(folder / "atlas.h5ad", n_cells=6_000, n_genes=200)
    return Path(titin.build(atlas, folder / "dataset", project=()).path)


@pytest.mark.parametrize("counts", [False, True])
def test_a_table_is_the_same_bytes(dataset: Path, tmp_path: Path, client: Any, counts: bool) -> None:
    own, other = (tmp_path / f"{name}.parquet" for name in ("threads", "cluster"))
    titin.export(dataset, "wide", own, counts=counts)
    titin.export(dataset, "wide", other, counts=counts, cluster=client)
    assert own.read_bytes() == other.read_bytes()


def test_an_atlas_is_the_same_though_a_worker_is_killed(
    dataset: Path, tmp_path: Path, workers: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed, file = [], source_blocks._file

    def kill_first(*given: Any) -> None:
        if not killed:
            killed.append(next(iter(client.run(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)
        file(*given)

    titin.export(dataset, "h5ad", tmp_path / "threads.h5ad")
    monkeypatch.setattr(source_blocks, "_file", kill_first)
    command = ["export", str(dataset), "--format", "h5ad", "-o", str(tmp_path / "cluster.h5ad"), "-q"]
    main([*command, "--cluster", workers.scheduler_address])
    assert killed
    one, other = (ad.read_h5ad(tmp_path / f"{name}.h5ad") for name in ("threads", "cluster"))
    for name in ("data", "indices", "indptr"):
        assert np.array_equal(getattr(one.X, name), getattr(other.X, name))
    assert one.obs.equals(other.obs)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cluster.h5ad", "threads.h5ad"]
