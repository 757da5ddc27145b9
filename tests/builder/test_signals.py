"""Whatever signal ends a command, whenever: nothing half-written, nothing left after the next use, all repeatable."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_power_cuts import COMMANDS, Tree, place, tree

import titin
from titin.builder import build
from titin.demo import write_demo_atlas

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGKILL: -9}
WRITING = {
    **COMMANDS,
    "relabel": (("relabel", "dataset", "--obs", "labels.csv"), "dataset", ()),  # which may be said twice
    "report": (("report", "dataset"), "dataset.report.html", ("--force",)),
    "bench": (("bench", "dataset", "--task", "sex", "--model", "majority", "--no-figures", "-o", "benched"), "benched",
              ()),
    "demo": (("demo", "-o", "demo", "--n-cells", "200", "--n-genes", "150"), "demo/atlas.h5ad", ("--force",)),
}  # fmt: skip
ONE_STEP = set(COMMANDS) - {"validate"}  # all that they write takes its place at once, and is the same each time
SLOW, TRIALS = 18, 60


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an atlas, an old dataset and an old table."""
    folder = tmp_path_factory.mktemp("base")
    atlas = write_demo_atlas(folder / "atlas.h5ad", n_cells=1_100, n_genes=200)
    build(atlas, folder / "dataset", project=())
    (folder / "old.csv").write_text("cell_id,A\nx,1\n")
    labels = titin.open(folder / "dataset").obs[["annotation_level0"]].astype(str) + " (corrected)"
    labels.to_csv(folder / "labels.csv")
    return folder


@pytest.fixture(scope="module")
def undisturbed(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[float, Tree]]:
    """Seconds of each command and what it writes, found when first asked for."""

    class Known(dict[str, tuple[float, Tree]]):
        def __missing__(self, name: str) -> tuple[float, Tree]:
            folder = place(name, base, tmp_path_factory.mktemp("undisturbed"))
            began = time.monotonic()
            assert wait(start(name, base, folder)) == 0, (folder.parent / "said").read_text("utf-8")
            self[name] = time.monotonic() - began, tree(folder / WRITING[name][1])
            return self[name]

    return Known()


def start(name: str, base: Path, folder: Path, *more: str) -> subprocess.Popen[bytes]:
    words = [part.format(atlas=base / "atlas.h5ad") for part in WRITING[name][0]]
    with (folder.parent / "said").open("wb") as said:
        return subprocess.Popen([sys.executable, "-m", "titin", *words, *more], cwd=folder, stdout=said, stderr=said)


def wait(process: subprocess.Popen[bytes]) -> int:
    return process.wait(600)


def hidden(folder: Path) -> list[str]:
    """What titin has left beside what it writes; zarr has hidden files of its own."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".*") if not path.name.startswith(".z"))


def trials() -> list[object]:
    names, found = list(WRITING), []
    for seed in range(TRIALS):
        mark = pytest.mark.slow if seed < SLOW else pytest.mark.long
        found.append(pytest.param(names[seed % len(names)], list(SIGNALS)[seed % len(SIGNALS)], seed, marks=mark))
    return found


@pytest.mark.parametrize(("name", "number", "seed"), trials())
def test_a_signal_at_a_random_moment(
    name: str, number: signal.Signals, seed: int, base: Path, undisturbed: dict[str, tuple[float, Tree]],
    tmp_path: Path,
) -> None:  # fmt: skip
    seconds, whole = undisturbed[name]
    folder = place(name, base, tmp_path)
    target, again = folder / WRITING[name][1], WRITING[name][2]
    before = tree(target) if target.exists() else {}
    process = start(name, base, folder)
    time.sleep(random.Random(seed).uniform(0.3, 1.0) * seconds)
    process.send_signal(number)
    code = wait(process)
    said = (folder.parent / "said").read_text("utf-8")
    # before Python has begun, or at its end, it dies of the signal itself
    assert code in (0, SIGNALS[number], -number), said
    if code not in (0, -number):
        assert "Traceback" not in said
        assert name.startswith("build") or hidden(folder) == []
    if name in ONE_STEP:
        assert (tree(target) if target.exists() else {}) in (before, whole)
    code = wait(start(name, base, folder, *(again if again == ("--resume",) else ())))
    if code == 2 and again:
        assert "--force" in (folder.parent / "said").read_text("utf-8")
        code = wait(start(name, base, folder, *again, *(("--force",) if "--force" not in again else ())))
    assert code == 0, (folder.parent / "said").read_text("utf-8")
    assert hidden(folder) == []
    if name in ONE_STEP:
        assert tree(target) == whole
    else:
        assert tree(target).keys() == whole.keys()
