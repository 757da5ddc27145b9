"""A report, and the activities of regulators, with the workers of a Dask cluster: the numbers of threads."""

import json
from pathlib import Path
from typing import Any

import pytest

from titin.cli import main
from titin.errors import ClusterError
from titin.report import write_report

distributed = pytest.importorskip("distributed", reason="needs `pip install 'titin[cluster]'`")


@pytest.mark.slow
def test_a_report_has_the_same_numbers(
    workers: Any, demo: tuple[dict[str, Any], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told, dataset = demo
    main(["report", str(dataset), "-o", str(tmp_path / "report.html"), "-q", "--cluster", workers.scheduler_address])
    capsys.readouterr()
    here, there = Path(told["folder"]), tmp_path / "report_files"
    files = sorted(path.name for path in here.iterdir())
    assert files == sorted(path.name for path in there.iterdir())
    assert len([name for name in files if name.endswith(".csv")]) > 20
    assert [n for n in files if n != "metrics.json" and (here / n).read_bytes() != (there / n).read_bytes()] == []
    facts = [json.loads((folder / "metrics.json").read_text("utf-8")) for folder in (here, there)]
    assert facts[0]["sections"] == facts[1]["sections"]
    assert facts[0]["answers"] == facts[1]["answers"]


@pytest.mark.slow
def test_a_report_does_not_do_without_what_a_lost_cluster_had(
    demo: tuple[dict[str, Any], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titin.cluster._PATIENCE", 0.3)
    monkeypatch.setattr("titin.cluster._LOOK", 0.2)
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as few,
        distributed.Client(few, set_as_default=False) as own,
    ):

        def lose(*_: Any, **__: Any) -> Any:
            few.scale(0)
            return original(*_, **__)

        import titin.report.write as write

        original = write.Files
        monkeypatch.setattr(write, "Files", lose)
        with pytest.raises(ClusterError, match=r"all workers of .* are lost"):
            write_report(demo[1], tmp_path / "report.html", cluster=own)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_activities_are_the_same(
    workers: Any, demo: tuple[dict[str, Any], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = demo[1]
    common = ["network", str(dataset), "--network", str(dataset.parent / "edges.csv"), "--per-cell",
              "--backend", "none"]  # fmt: skip
    main([*common, "-q", "-o", str(tmp_path / "threads")])
    main([*common, "-q", "-o", str(tmp_path / "cluster"), "--cluster", workers.scheduler_address])
    capsys.readouterr()
    files = sorted(path.name for path in (tmp_path / "threads").glob("*.parquet"))
    assert "activity_of_cells.parquet" in files
    assert len(files) > 1
    for name in files:
        assert (tmp_path / "threads" / name).read_bytes() == (tmp_path / "cluster" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "cluster").glob("*.parquet")) == files
