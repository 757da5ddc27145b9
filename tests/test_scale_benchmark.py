"""What the benchmark of scale stands on: an atlas several times over is that, and the model of costs adds up."""

import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

import titin
from titin.demo import write_demo_atlas

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
CELLS, GENES, TIMES = 90, 150, 3
SETTINGS = {"machine_cores": 16, "machine_memory": "64GiB", "network": 10.0}


@pytest.fixture
def modules(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import _cost
    import _tiled

    yield _cost, _tiled
    for name in ("_cost", "_tiled", "_measure"):
        sys.modules.pop(name, None)


@pytest.fixture
def tiled(modules, tmp_path):
    source = write_demo_atlas(tmp_path / "twin.h5ad", n_cells=CELLS, n_genes=GENES)
    modules[1].tile(source, tmp_path / "tiled.h5ad", TIMES, ("DonorID", "SampleID"))
    return source, tmp_path / "tiled.h5ad"


def test_an_atlas_several_times_over_has_donors_and_barcodes_of_its_own(tiled) -> None:
    one, many = (ad.read_h5ad(path) for path in tiled)
    assert many.shape == (TIMES * CELLS, one.n_vars)
    assert many.obs_names.is_unique
    assert many.obs["DonorID"].nunique() == TIMES * one.obs["DonorID"].nunique()
    for turn in range(TIMES):
        copy = many[turn * CELLS : (turn + 1) * CELLS]
        assert (copy.X != one.X).nnz == 0
        assert copy.obs_names.tolist() == [f"{name}-t{turn}" for name in one.obs_names]
        assert copy.obs["DonorID"].tolist() == [f"{name}-t{turn}" for name in one.obs["DonorID"]]
        assert copy.obs["Sex"].tolist() == one.obs["Sex"].tolist()
        assert all(np.array_equal(copy.obsm[key], one.obsm[key]) for key in one.obsm)
    assert tiled[1].stat().st_size < tiled[0].stat().st_size * TIMES


def test_it_is_built_as_it_is(tiled, tmp_path) -> None:
    titin.build(tiled[1], tmp_path / "d", project=(), follow_links=True)
    built = titin.open(tmp_path / "d").to_anndata()
    source = ad.read_h5ad(tiled[1])
    assert (built[source.obs_names].X != source.X).nnz == 0


def _of_cell(model):
    built = {"cells": 1000, "nnz": 1_400_000, "read_bytes": 5e7, "written_bytes": 1.5e7, "cpu_seconds": 0.5,
             "cpu_steps": {"scan": 0.2, "cells": 0.1, "genes": 0.1, "metadata": 0.05}}  # fmt: skip
    used = {"bytes": {"all": 2_300_000, "by_cell": 1_100_000}, "footer_bytes": 7000, "load_cpu_us": 12.0}
    return model.constants([{"build": built, "use": used, "validate": {"cpu_seconds": 0.3}}], [])


def test_costs_are_those_of_one_cell_times_the_cells(modules) -> None:
    model = modules[0]
    of_cell = _of_cell(model)
    assert of_cell["values"] == 1400
    assert of_cell["CPU_µs_of_the_passes"] + of_cell["CPU_µs_of_opening_and_tables"] == pytest.approx(500)
    one = model.costs(of_cell, 10**7, 1, SETTINGS)
    assert one["read"] == 10**7 * 8 * 1400
    assert one["build_cpu"] == pytest.approx(5000)
    assert one["moved"] == 0
    assert one["build"] == pytest.approx(4000 / 16 + 1000)
    ten = model.costs(of_cell, 10**7, 10, SETTINGS)
    assert ten["moved"] == pytest.approx(10**7 * (11_200 + 0.9 * (15_000 - 2300) + 2300))
    assert ten["build_cpu"] == one["build_cpu"]


def test_what_bounds_a_build_is_said(modules) -> None:
    model = modules[0]
    of_cell = _of_cell(model)
    assert model.costs(of_cell, 10**6, 1, SETTINGS)["bound"] == "tables, on one core"
    assert model.costs(of_cell, 10**6, 1, SETTINGS | {"machine_cores": 1})["bound"] == "processors"
    assert model.costs(of_cell, 10**6, 10, SETTINGS | {"network": 0.001})["bound"] == "network"
    assert model.costs(of_cell, 10**9, 1, SETTINGS | {"machine_memory": "8GiB"})["bound"] == "memory for obs"
    table = model.cost_table(of_cell, SETTINGS, markdown=True)
    assert len(table.splitlines()) == 2 + 9


@pytest.mark.slow
def test_the_script_prints_what_it_measured(tiled, tmp_path) -> None:
    words = [sys.executable, str(BENCHMARKS / "scale.py"), "--twin", str(tiled[0]), "--cells", "--times", "1", "2",
             "--threads", "1", "--load", "1", "--work", str(tmp_path / "work"), "--markdown"]  # fmt: skip
    (tmp_path / "work").mkdir()
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n### ") == 3
    assert f"| {2 * CELLS} |" in done.stdout
    assert not list((tmp_path / "work").iterdir())
