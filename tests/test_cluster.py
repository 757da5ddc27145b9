"""Passes on the workers of a Dask cluster: the same results as in threads, whoever is lost meanwhile."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import titin
from titin.ageing import pseudobulk
from titin.atlas.passes import BlockReader
from titin.check import validate
from titin.cli import main
from titin.cluster import FOLD, Cluster, connect, spread
from titin.errors import DatasetError, TitinError
from titin.progress import Progress

distributed = pytest.importorskip("distributed", reason="needs `pip install 'titin[cluster]'`")

READING = ("matrix", "integrity")
FOLDERS = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="module")
def dataset(made_once: FOLDERS) -> Path:
    """6 row groups, so that a pass has a middle."""
    from titin.builder import build
    from titin.demo import write_demo_atlas

    def make(folder: Path) -> None:
        build(write_demo_atlas(folder / "atlas.h5ad", n_cells=6_000, n_genes=150), folder / "dataset", project=())

    return made_once("cluster", make) / "dataset"


class Killing(Progress):
    """Kills a worker when the first part of a step is done."""

    def __init__(self, client: Any) -> None:
        self.client, self.victim = client, 0

    def advance(self, amount: int) -> None:
        if not self.victim:
            self.victim = kill_one(self.client)


def kill_one(client: Any) -> int:
    victim = next(iter(client.run(os.getpid).values()))
    os.kill(victim, signal.SIGKILL)
    return victim


def left_over(client: Any) -> list[str]:
    """Tasks that are still there, but for what is sent once for as long as the dataset is open."""

    def names(dask_scheduler: Any) -> list[str]:
        return [str(key) for key in dask_scheduler.tasks]

    end = time.monotonic() + 10
    while (found := [name for name in client.run_on_scheduler(names) if "titin-shared" not in name]) and (
        time.monotonic() < end
    ):
        time.sleep(0.05)
    return found


def multiply(factor: int, item: int) -> int:
    return factor * item


def wait_and_multiply(factor: int, item: int) -> int:
    time.sleep(0.05)
    return factor * item


def who(_factor: int, _item: int) -> int:
    time.sleep(0.02)
    return os.getpid()


def divide(factor: int, item: int) -> float:
    return factor / item


def refuse(name: str, item: int) -> None:
    raise DatasetError(f"{name} is damaged at {item}", "restore it")


def add_pair(total: list[int] | None, item: int) -> list[int]:
    return [*(total or []), item]


@pytest.mark.parametrize("where", ["threads", "cluster"])
def test_results_come_in_order_and_sums_in_the_same_brackets(client: Any, where: str) -> None:
    workers = connect(client) if where == "cluster" else None
    for n in (0, 1, FOLD, 21, 50):  # one task each, or several a task
        told: list[int] = []
        assert list(spread(multiply, (3,), range(n), 2, workers, told=told.append)) == [3 * i for i in range(n)]
        assert told == list(range(n))
        sums = list(spread(multiply, (3,), range(n), 2, workers, add=add_pair))
        assert [len(part) for part in sums] == [min(FOLD, n - first) for first in range(0, n, FOLD)]
        assert [value for part in sums for value in part] == [3 * i for i in range(n)]
    assert list(spread(multiply, (3,), [], 2, workers)) == []


def test_few_items_are_in_flight(client: Any) -> None:
    begun: list[int] = []

    def items() -> Iterator[int]:
        for item in range(1000):
            begun.append(item)
            yield item

    results = spread(multiply, (1,), items(), 2, connect(client))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert len(begun) < 50
    results.close()
    assert left_over(client) == []


def test_what_a_lost_worker_had_is_done_again(client: Any) -> None:
    found = []
    for result in spread(wait_and_multiply, (2,), range(40), 2, connect(client), add=add_pair):
        if not found:
            kill_one(client)
        found += result
    assert found == [2 * i for i in range(40)]
    assert left_over(client) == []


def test_workers_share_a_pass_evenly(client: Any) -> None:
    client.wait_for_workers(2, timeout=60)  # one may have been lost before
    found = list(spread(who, (1,), range(24), 2, connect(client), apart=True))  # what is shared lies with one of them
    counts = sorted(found.count(worker) for worker in set(found))
    assert len(counts) == 2
    assert counts[0] >= 6


def test_errors_of_tasks_are_those_of_threads(client: Any) -> None:
    for workers in (None, connect(client)):
        with pytest.raises(ZeroDivisionError):
            list(spread(divide, (1,), [2, 1, 0, 3], 2, workers))
        with pytest.raises(DatasetError, match="a is damaged at 5") as caught:
            list(spread(refuse, ("a",), [5], 2, workers))
        assert caught.value.hint == "restore it"
    assert left_over(client) == []


def checks_of(report: Any) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in check.items() if key not in ("seconds", "memory_bytes")}
        for check in report.document()["checks"]
    ]


def test_validation_finds_the_same(client: Any, workers: Any, dataset: Path, tmp_path: Path) -> None:
    expected = checks_of(validate(dataset, threads=2, checks=READING))
    assert checks_of(validate(dataset, cluster=client, checks=READING)) == expected
    assert checks_of(validate(dataset, cluster=workers.scheduler_address, checks=READING)) == expected
    killing = Killing(client)
    assert checks_of(validate(dataset, cluster=client, checks=READING, progress=killing)) == expected
    assert killing.victim
    assert left_over(client) == []


def test_validation_finds_the_same_damage(client: Any, dataset: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(dataset, tmp_path / "dataset"))
    file = next(folder.glob("*_expression_by_gene.parquet"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 255
    file.write_bytes(data)
    found = validate(folder, cluster=client, checks=READING)
    assert not found.passed
    assert checks_of(found) == checks_of(validate(folder, checks=READING))


SETS = {"first": slice(0, 12), "others": slice(20, 50)}


def of_pca(solver: str, atlas: Any, threads: int) -> dict[str, Any]:
    from titin.embed.pca import pca

    fit = pca(atlas, 10, svd_solver=solver, threads=threads)
    return {"scores": fit.scores, "loadings": fit.loadings, "mean": fit.mean}


def of_variable_genes(flavor: str, atlas: Any, threads: int) -> dict[str, Any]:
    from titin.features import highly_variable

    chosen = highly_variable(atlas, n_top_genes=40, flavor=flavor, batch_key=atlas.roles["donor"], threads=threads)
    return {"genes": chosen.select_dtypes("number")}


def of_gene_sets(method: str, atlas: Any, threads: int) -> dict[str, Any]:
    from titin.features import score_gene_sets

    sets = {name: list(atlas.var_names[genes]) for name, genes in SETS.items()}
    scored = score_gene_sets(
        atlas, sets, method=method, cells=slice(5, None), n_bins=5, control_size=5, threads=threads
    )
    return {"scores": scored.table}


def of_pseudobulk(atlas: Any, threads: int) -> dict[str, Any]:
    sums = pseudobulk(atlas, threads=threads)
    return {"counts": sums.counts.toarray(), "detected": sums.detected.toarray()}


def of_statistics(atlas: Any, threads: int) -> dict[str, Any]:
    from titin.ageing.gene_statistics import gene_statistics

    return {"table": gene_statistics(atlas, atlas.roles["donor"], threads=threads).table.select_dtypes("number")}


def of_expression(name: str, atlas: Any, threads: int) -> dict[str, Any]:
    expression, some = atlas.expression, atlas.expression.iloc[::-3]
    return {"groups": getattr(expression.groupby(atlas.roles["donor"]), name)(), "all": getattr(expression, name)(),
            "some": getattr(some, name)(), "cells": getattr(some, name)(axis=1)}  # fmt: skip


# what passes over the matrix give, that are to be the same bit for bit
PASSES: dict[str, Callable[[Any, int], dict[str, Any]]] = {
    "pseudobulk": of_pseudobulk, "statistics": of_statistics,
    **{solver: partial(of_pca, solver) for solver in ("covariance_eigh", "randomized")},
    **{flavor: partial(of_variable_genes, flavor) for flavor in ("seurat", "seurat_v3")},
    **{method: partial(of_gene_sets, method) for method in ("score_genes", "ucell", "ulm")},
    **{name: partial(of_expression, name) for name in ("sum", "var", "min", "max")},
}  # fmt: skip


def results(atlas: Any, threads: int, *names: str) -> dict[str, np.ndarray]:
    return {f"{name} {what}": np.asarray(values) for name in names or PASSES
            for what, values in PASSES[name](atlas, threads).items()}  # fmt: skip


def assert_equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_passes_give_the_same_numbers(client: Any, dataset: Path) -> None:
    assert_equal(results(titin.open(dataset, cluster=client), 1), results(titin.open(dataset), 2))
    assert left_over(client) == []


@pytest.mark.parametrize(
    "name", [name if name == "pseudobulk" else pytest.param(name, marks=pytest.mark.slow) for name in PASSES]
)
def test_passes_give_the_same_numbers_whoever_is_lost(name: str, client: Any, dataset: Path, losses: Any) -> None:
    before = sorted(dataset.parent.rglob("*"))
    found = results(titin.open(dataset, cluster=client), 1, name)
    assert losses.killed, losses.passes
    assert_equal(found, results(titin.open(dataset), 2, name))
    assert left_over(client) == []
    assert sorted(dataset.parent.rglob("*")) == before


@pytest.mark.slow
def test_sums_do_not_depend_on_threads(dataset: Path) -> None:
    one, three = (results(titin.open(dataset), threads) for threads in (1, 3))
    assert_equal(three, one)


def test_a_function_within_a_function_is_not_sent(client: Any, dataset: Path) -> None:
    reader = BlockReader(titin.open(dataset, cluster=client))
    assert sum(reader.map(lambda block: block.n_cells, 2)) == 6_000
    with pytest.raises((AttributeError, pickle.PicklingError)):
        list(reader.spread(lambda block: block.n_cells, 2))


@pytest.mark.slow
def test_embed_writes_the_same_bytes(
    workers: Any, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, other = (Path(shutil.copytree(dataset, tmp_path / name)) for name in ("threads", "cluster"))
    main(["embed", str(own), "pca", "--n-comps", "8", "--threads", "2", "-q"])
    main(["embed", str(other), "pca", "--n-comps", "8", "--cluster", workers.scheduler_address])
    (file,) = (path.name for path in own.glob("*projection_X_pca*"))
    assert (own / file).read_bytes() == (other / file).read_bytes()
    assert sorted(path.name for path in own.parent.iterdir()) == ["cluster", "threads"]
    capsys.readouterr()
    main(["embed", str(other), "leiden", "--on", "X_pca", "--cluster", workers.scheduler_address])
    assert "only pca reads the matrix on the cluster: leiden in threads of this machine" in capsys.readouterr().err


@pytest.mark.slow
def test_analyses_take_a_cluster_where_they_read_all(
    workers: Any, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from titin.ageing import ANALYSES

    can = {"de", "programmes", "senescence", "stemcells", "variance"}
    assert {analysis.name for analysis in ANALYSES if analysis.reads_all} == can
    common = ["age", "de", str(dataset), "-q", "--format", "parquet"]
    main([*common, "-o", str(tmp_path / "threads")])
    main([*common, "-o", str(tmp_path / "cluster"), "--cluster", workers.scheduler_address])
    files = sorted(path.name for path in (tmp_path / "threads").glob("*.parquet"))
    assert files
    for name in files:
        assert (tmp_path / "threads" / name).read_bytes() == (tmp_path / "cluster" / name).read_bytes()
    with pytest.raises(SystemExit) as ended:
        main(["age", "composition", str(dataset), "--cluster", workers.scheduler_address])
    assert ended.value.code == 2


def test_the_command_line_takes_an_address(
    workers: Any, dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["validate", str(dataset), "--no-report", "-q", "--check", "matrix", "--cluster", workers.scheduler_address])
    told = capsys.readouterr().out
    monkeypatch.setenv("TITIN_CLUSTER", workers.scheduler_address)
    main(["validate", str(dataset), "--no-report", "-q", "--check", "matrix"])
    assert "no errors" in told
    monkeypatch.setenv("TITIN_CLUSTER", "tcp://127.0.0.1:1")
    monkeypatch.setattr("titin.cluster._CONNECT", 0.3)
    with pytest.raises(SystemExit) as ended:
        main(["validate", str(dataset), "--no-report", "-q", "--check", "matrix"])
    assert ended.value.code == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in capsys.readouterr().err


def test_a_command_without_clusters_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TITIN_CLUSTER", "tcp://127.0.0.1:1")
    with pytest.raises(SystemExit):
        main(["subset", str(tmp_path / "none"), "-o", str(tmp_path / "dataset")])
    assert "subset uses no cluster: it runs in threads of this machine" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["subset", str(tmp_path / "none"), "-o", str(tmp_path / "dataset"), "-q"])
    assert "uses no" not in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["subset", str(tmp_path / "none"), "--cluster", "tcp://127.0.0.1:1"])
    assert ended.value.code == 2


def test_what_is_no_cluster_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connect(None) is None
    with pytest.raises(TitinError, match="int is no cluster"):
        connect(3)
    monkeypatch.setattr("titin.cluster._CONNECT", 0.3)
    for address in ("tcp://127.0.0.1:1", "nonsense://x", "127.0.0.1:1"):
        with pytest.raises(TitinError, match="no Dask scheduler answers"):
            connect(address)


def test_a_scheduler_without_workers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("titin.cluster._PATIENCE", 0.3)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as empty,
        distributed.Client(empty, set_as_default=False) as own,
        pytest.raises(TitinError, match="has no workers"),
    ):
        connect(own)


def test_a_pass_ends_when_all_workers_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("titin.cluster._PATIENCE", 0.3)
    monkeypatch.setattr("titin.cluster._LOOK", 0.2)
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as few,
        distributed.Client(few, set_as_default=False) as own,
    ):
        results = spread(wait_and_multiply, (1,), range(1000), 1, connect(own))
        assert next(results) == 0
        threading.Thread(target=few.scale, args=(0,)).start()
        with pytest.raises(TitinError, match=r"all workers of .* are lost"):
            list(results)


PREPARED = {
    "no titin": ("import sys\nsys.modules['titin'] = None\n", "has no titin"),
    "another version": ("import titin\ntitin.__version__ = '0.0.7'\n", "has titin 0.0.7, this is"),
    "another disk": (
        "from titin.dataset.folder import LocalFolder\n"
        "def mark(self, file):\n    raise FileNotFoundError(file)\nLocalFolder.mark = mark\n",
        "does not see the dataset .* is missing",
    ),
}


@pytest.mark.parametrize("name", PREPARED)
def test_workers_that_cannot_help_are_named(name: str, dataset: Path, tmp_path: Path) -> None:
    code, said = PREPARED[name]
    (tmp_path / "prepared.py").write_text(code)
    with distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as empty:
        command = [sys.executable, "-m", "distributed.cli.dask_worker", empty.scheduler_address, "--no-nanny",
                   "--no-dashboard", "--nthreads", "1", "--preload", str(tmp_path / "prepared.py")]  # fmt: skip
        worker = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )  # fmt: skip
        try:
            with distributed.Client(empty, set_as_default=False) as own, pytest.raises(TitinError, match=said):
                titin.open(dataset, cluster=own)
        finally:
            worker.kill()
            worker.wait()


def test_an_atlas_leaves_its_cluster_when_it_is_pickled(client: Any, dataset: Path) -> None:
    atlas = titin.open(dataset, cluster=client)
    assert isinstance(atlas.reader.resources.cluster, Cluster)
    copy = pickle.loads(pickle.dumps(atlas))
    assert copy.reader.resources.cluster is None
    np.testing.assert_array_equal(copy["XIST"], atlas["XIST"])
