"""Checks of labels, and labels by a model, on the workers of a Dask cluster: the same as in threads."""

import os
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import titin
from titin.annotate import LabelCheck, check_labels, label_cells, train_label_model
from titin.cli import main
from titin.progress import Progress

distributed = pytest.importorskip("distributed", reason="needs `pip install 'titin[cluster]'`")
FORMS = ("table", "review", "types", "groups", "confusion", "calibration")


class Killing(Progress):
    """Kills a worker in the middle of each of some steps."""

    def __init__(self, client: Any, *steps: str) -> None:
        self.client, self.steps, self.step, self.advanced = client, list(steps), "", dict[str, int]()

    def start(self, name: str, total: int, unit: str) -> None:
        self.step = name

    def advance(self, amount: int) -> None:
        self.advanced[self.step] = self.advanced.get(self.step, 0) + amount
        if self.step in self.steps:
            self.steps.remove(self.step)
            os.kill(next(iter(self.client.run(os.getpid).values())), signal.SIGKILL)


def assert_same(found: LabelCheck, expected: LabelCheck) -> None:
    for name in FORMS:
        pd.testing.assert_frame_equal(getattr(found, name), getattr(expected, name), check_exact=True)
    assert (found.settings, found.levels, found.not_evaluable) == (
        expected.settings, expected.levels, expected.not_evaluable
    )  # fmt: skip


@pytest.mark.parametrize("folds", [pytest.param(None, marks=pytest.mark.slow), 3])
def test_labels_are_judged_alike_whoever_is_lost(client: Any, typed: Path, folds: int | None) -> None:
    expected = check_labels(titin.open(typed), folds=folds, threads=2)
    killing = Killing(client, "models", "label check")
    before = sorted(typed.parent.rglob("*"))
    found = check_labels(titin.open(typed, cluster=client), folds=folds, progress=killing)
    assert not killing.steps
    assert killing.advanced["models"] == 2 * (folds or 6)
    assert killing.advanced["label check"] == 360
    assert_same(found, expected)
    assert sorted(typed.parent.rglob("*")) == before


def test_a_model_labels_alike(client: Any, typed: Path) -> None:
    model = train_label_model(titin.open(typed), cell_type_level="cell_type")
    expected = label_cells(titin.open(typed), model, threads=2)
    found = label_cells(titin.open(typed, cluster=client), model)
    pd.testing.assert_frame_equal(found.table, expected.table, check_exact=True)


def test_the_command_takes_an_address(
    workers: Any, typed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = os.fspath(typed)
    address = ["--cluster", workers.scheduler_address]
    main(["annotate", folder, "--save-model", str(tmp_path / "m.npz"), *address])
    assert "a model of all donors is trained in threads of this machine" in capsys.readouterr().err
    common = ["annotate", folder, "--model", str(tmp_path / "m.npz"), "-q"]
    main([*common, "-o", str(tmp_path / "threads.parquet")])
    main([*common, "-o", str(tmp_path / "cluster.parquet"), *address])
    assert (tmp_path / "threads.parquet").read_bytes() == (tmp_path / "cluster.parquet").read_bytes()
