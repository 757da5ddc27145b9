"""Builds on the workers of a Dask cluster: the bytes of those in threads, whoever is lost meanwhile."""

import os
import pickle
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from titin.builder import build
from titin.cli import main
from titin.compose import merge
from titin.dataset import layout, spill
from titin.errors import SourceError, TitinError
from titin.progress import Progress
from titin.resources import Resources
from titin.source import open_source

distributed = pytest.importorskip("distributed", reason="needs `pip install 'titin[cluster]'`")

N_CELLS, N_GENES = 17_500, 60  # more than a row group of the panel has


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many ranges, buckets and strips; their sizes are chosen where the build runs."""
    monkeypatch.setattr(Resources, "scan_values", property(lambda _: 20_000))
    monkeypatch.setattr(Resources, "bucket_values", property(lambda _: 40_000))
    monkeypatch.setattr(layout, "ROW_GROUP_NONZEROS", 20_000)


def counts(n_cells: int = N_CELLS) -> sp.csr_matrix:
    rng = np.random.default_rng(0)
    rates = np.exp(rng.normal(-1.5, 1.2, N_GENES))
    dense = rng.poisson(rates, (n_cells, N_GENES))
    dense[:, 0] += 1
    return sp.csr_matrix(dense.astype(np.float32))


def log1p(X: sp.csr_matrix) -> sp.csr_matrix:
    totals = np.repeat(np.asarray(X.sum(axis=1)).ravel(), np.diff(X.indptr))
    return sp.csr_matrix((np.log1p(X.data / totals * np.float32(1e4)), X.indices, X.indptr), X.shape)


def annotated(X: Any) -> anndata.AnnData:
    rows = np.arange(X.shape[0])
    obs = pd.DataFrame(index=[f"AAC-{i}" for i in rows])
    obs["donor_id"] = pd.Categorical([f"D{i % 4}" for i in rows])
    obs["cell_type"] = pd.Categorical(np.array(["T cell", "B cell", "myocyte"])[rows % 3])
    obs["sex"] = np.array(["female", "male"])[rows % 2]
    obs["age"] = np.where(rows % 7 == 0, np.nan, 20.0 + rows % 60)
    return anndata.AnnData(X, obs, pd.DataFrame(index=[f"GENE{i}" for i in range(X.shape[1])]))


def of_counts(path: Path) -> dict[str, Any]:
    annotated(counts()).write_h5ad(path, compression="gzip")
    return {}


def log_normalised(path: Path) -> dict[str, Any]:
    """With the counts beside it as a witness, a layer that is kept, and raw of more genes."""
    adata = annotated(log1p(counts()))
    adata.layers["counts"] = counts()
    adata.layers["spliced"] = counts().multiply(0.5).tocsr()
    adata.raw = annotated(sp.hstack([counts(), counts()[:, :5]]).tocsr())
    adata.write_h5ad(path)
    return {"layers": ["spliced"], "with_raw": True}


def real(path: Path) -> dict[str, Any]:
    X = counts(3_000)
    X.data = np.random.default_rng(1).normal(size=len(X.data))
    annotated(X).write_h5ad(path)
    return {"allow_negative": True}


def by_column(path: Path) -> dict[str, Any]:
    annotated(counts(3_000).tocsc()).write_h5ad(path)
    return {}


def dense(path: Path) -> dict[str, Any]:
    annotated(counts(3_000).toarray()).write_h5ad(path)
    return {}


def tenx(path: Path) -> dict[str, Any]:
    """Genes and antibodies."""
    X = counts(3_000).astype(np.int32)
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["barcodes"] = [f"ACGT-{i}" for i in range(X.shape[0])]
        for part in ("data", "indices", "indptr"):
            group.create_dataset(part, data=getattr(X, part), compression="gzip", chunks=(3_001,))
        group["shape"] = [N_GENES, X.shape[0]]
        names = [f"GENE{i}" for i in range(N_GENES)]
        kinds = ["Antibody Capture" if i % 6 == 5 else "Gene Expression" for i in range(N_GENES)]
        for name, values in (("name", names), ("id", [f"ENSG{i:011d}" for i in range(N_GENES)]),
                             ("feature_type", kinds), ("genome", ["GRCh38"] * N_GENES)):  # fmt: skip
            group[f"features/{name}"] = values
    return {"modalities": ["prot"]}


def zarr(path: Path) -> dict[str, Any]:
    with warnings.catch_warnings(), anndata.settings.override(zarr_write_format=3):
        warnings.simplefilter("ignore")  # of the writer, about defaults to come
        annotated(counts(3_000)).write_zarr(path)
    return {}


SOURCES = {
    "counts.h5ad": of_counts, "log1p.h5ad": log_normalised, "cells.h5": tenx, "real.h5ad": real,
    "by_column.h5ad": by_column, "dense.h5ad": dense, "atlas.zarr": zarr,
}  # fmt: skip


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def tasks_left(client: Any) -> list[str]:
    """Tasks that are still there after a while: workers say a moment later that they have forgotten theirs."""
    until = time.monotonic() + 60
    while (
        found := client.run_on_scheduler(lambda dask_scheduler: list(map(str, dask_scheduler.tasks)))
    ) and time.monotonic() < until:
        time.sleep(0.05)
    return list(found)


QUICK = ("counts.h5ad", "cells.h5")


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in SOURCES if n not in QUICK)]
)
def test_the_bytes_are_those_of_threads(name: str, client: Any, small_parts: None, tmp_path: Path) -> None:
    options = {"project": (), "threads": 2, **SOURCES[name](tmp_path / name)}
    own = build(tmp_path / name, tmp_path / "threads" / "x", **options)
    other = build(tmp_path / name, tmp_path / "cluster" / "x", cluster=client, **options)
    assert own.manifest == other.manifest
    assert files(tmp_path / "threads" / "x") == files(tmp_path / "cluster" / "x")
    assert [path.name for path in (tmp_path / "cluster").iterdir()] == ["x"]


@pytest.mark.slow
def test_so_are_those_of_buckets_in_runs(
    client: Any, small_parts: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_counts(tmp_path / "atlas.h5ad")
    build(tmp_path / "atlas.h5ad", tmp_path / "threads", project=(), threads=2)
    monkeypatch.setattr(spill, "MOST_AT_ONCE", 4)
    build(tmp_path / "atlas.h5ad", tmp_path / "cluster", project=(), cluster=client)
    assert files(tmp_path / "threads") == files(tmp_path / "cluster")


@pytest.mark.slow
def test_so_are_those_of_a_merge_whoever_is_lost(client: Any, small_parts: None, tmp_path: Path, losses: Any) -> None:
    of_counts(tmp_path / "one.h5ad")
    build(tmp_path / "one.h5ad", tmp_path / "one", project=(), threads=2)
    annotated(counts(3_000)[:, :40]).write_h5ad(tmp_path / "other.h5ad")
    sources = [tmp_path / "one", tmp_path / "other.h5ad"]
    merge(sources, tmp_path / "threads" / "x", join="outer", threads=2)
    for number in range(2):  # buckets and panel; strips of genes
        losses.prepare(number)
        merge(sources, tmp_path / "cluster" / "x", join="outer", cluster=client, force=True)
        assert losses.killed, losses.passes
        assert len(losses.passes) == 2
        assert files(tmp_path / "threads" / "x") == files(tmp_path / "cluster" / "x")
        assert [path.name for path in (tmp_path / "cluster").iterdir()] == ["x"]
    assert tasks_left(client) == []


class Killing(Progress):
    """Kills a worker when the first part of a step is done."""

    def __init__(self, client: Any, step: str) -> None:
        self.client, self.step = client, step
        self.now, self.victim = "", 0

    def start(self, what: str, *rest: Any) -> None:
        self.now = what

    def advance(self, amount: int) -> None:
        if self.now == self.step and not self.victim:
            self.victim = next(iter(self.client.run(os.getpid).values()))
            os.kill(self.victim, signal.SIGKILL)


@pytest.mark.parametrize(
    "step", ["write expression", *(pytest.param(step, marks=pytest.mark.slow)
                                  for step in ("read and encode", "write expression by gene"))],
)  # fmt: skip
def test_what_a_lost_worker_had_is_done_again(step: str, client: Any, small_parts: None, tmp_path: Path) -> None:
    of_counts(tmp_path / "atlas.h5ad")
    build(tmp_path / "atlas.h5ad", tmp_path / "threads" / "x", project=(), threads=2)
    killing = Killing(client, step)
    build(tmp_path / "atlas.h5ad", tmp_path / "cluster" / "x", project=(), cluster=client, progress=killing)
    assert killing.victim
    assert files(tmp_path / "threads" / "x") == files(tmp_path / "cluster" / "x")
    assert [path.name for path in (tmp_path / "cluster").iterdir()] == ["x"]
    assert tasks_left(client) == []


def test_the_command_takes_an_address(
    workers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dense(tmp_path / "atlas.h5ad")
    given = ["build", str(tmp_path / "atlas.h5ad"), "--no-project", "-q", "-o"]
    main([*given, str(tmp_path / "threads")])
    main([*given, str(tmp_path / "cluster"), "--cluster", workers.scheduler_address])
    monkeypatch.setenv("TITIN_CLUSTER", "tcp://127.0.0.1:1")
    monkeypatch.setattr("titin.cluster._CONNECT", 0.3)
    with pytest.raises(SystemExit):
        main([*given, str(tmp_path / "none")])
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in capsys.readouterr().err
    assert files(tmp_path / "threads") == files(tmp_path / "cluster")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("bad", "said"),
    [(np.nan, "the value is NaN"), pytest.param(-1.0, "negative value -1", marks=pytest.mark.slow)],
)
def test_errors_name_the_same_cell(bad: float, said: str, client: Any, small_parts: None, tmp_path: Path) -> None:
    X = counts(3_000)
    X.data[X.indptr[2_900]] = bad
    annotated(X).write_h5ad(tmp_path / "atlas.h5ad")
    told = []
    for where in ({"threads": 2}, {"cluster": client}):
        with pytest.raises(SourceError, match=rf"at cell 'AAC-2900', gene 'GENE0'.*: {said}") as caught:
            build(tmp_path / "atlas.h5ad", tmp_path / "x", project=(), **where)
        told.append(str(caught.value))
    assert told[0] == told[1]
    assert [path.name for path in tmp_path.iterdir()] == ["atlas.h5ad"]


def test_a_kind_is_refused_by_cells_that_workers_read(client: Any, small_parts: None, tmp_path: Path) -> None:
    """The first cells are counts; a later one is not, which makes the matrix one of real values."""
    X = counts(3_000)
    X.data[X.indptr[2_900]] = 0.123
    annotated(X).write_h5ad(tmp_path / "atlas.h5ad")
    own = build(tmp_path / "atlas.h5ad", tmp_path / "threads", project=(), threads=2)
    other = build(tmp_path / "atlas.h5ad", tmp_path / "cluster", project=(), cluster=client)
    assert own.manifest.kind == other.manifest.kind == "real"
    assert files(tmp_path / "threads") == files(tmp_path / "cluster")


BLIND = {
    "the source": (
        "from titin.source.inventory import Inventory\n"
        "def look(self):\n    raise FileNotFoundError('no such file')\nInventory._look = look\n",
        r"does not see .*atlas.h5ad as this machine does: no such file",
    ),
    "the output": (
        "import titin.builder.sight\ntitin.builder.sight._read = lambda path: ''\n",
        r"does not see .*, where the dataset is built",
    ),
}


@pytest.mark.parametrize("what", BLIND)
def test_workers_that_do_not_see_it_are_named(what: str, tmp_path: Path) -> None:
    code, said = BLIND[what]
    (tmp_path / "prepared.py").write_text(code)
    dense(tmp_path / "atlas.h5ad")
    with distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as empty:
        command = [sys.executable, "-m", "distributed.cli.dask_worker", empty.scheduler_address, "--no-nanny",
                   "--no-dashboard", "--nthreads", "1", "--preload", str(tmp_path / "prepared.py"),
                   "--local-directory", str(tmp_path / "scratch")]  # fmt: skip
        worker = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with distributed.Client(empty, set_as_default=False) as own, pytest.raises(TitinError, match=said):
                build(tmp_path / "atlas.h5ad", tmp_path / "out" / "x", project=(), cluster=own)
        finally:
            worker.kill()
            worker.wait()
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["counts.h5ad", "cells.h5", "log1p.h5ad"])
def test_a_pickled_reader_reads_the_same_cells(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SOURCES[name](tmp_path / name)
    monkeypatch.chdir(tmp_path)
    with open_source(Path(name)) as source:
        (block,) = source.X.blocks(1 << 30, tmp_path)
        rows = source.X.distant_rows()
        assert rows is not None
        pickled = pickle.dumps(rows.reader)
        monkeypatch.chdir("/")
        read = pickle.loads(pickled).read(1_000, rows.indptr[1_000:2_001])
    part = block.part(1_000, 2_000)
    assert read.start == 1_000
    for field in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(read, field), getattr(part, field))


@pytest.mark.parametrize("name", ["by_column.h5ad", "dense.h5ad", "atlas.zarr"])
def test_what_only_one_process_can_read_is_not_sent(name: str, tmp_path: Path) -> None:
    SOURCES[name](tmp_path / name)
    with open_source(tmp_path / name) as source:
        assert source.X.distant_rows() is None
