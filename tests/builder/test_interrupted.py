"""A build that is killed at any moment leaves the dataset that was there, and ``--resume`` ends with the same bytes."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from _interrupt import Kill, Server, kill_cases

from titin.demo import write_demo_atlas

KILLED = -signal.SIGKILL
SMALL = ("small_blocks",)
NEW = ("--seed", "1")  # same file names as the old dataset, other bytes

Tree = dict[str, bytes]


def tree(folder: Path) -> Tree:
    """Every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def hidden(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name.startswith("."))


def said(folder: Path) -> str:
    return (folder / "stderr").read_text("utf-8")


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three buckets of cells, two row groups of genes."""
    return write_demo_atlas(tmp_path_factory.mktemp("atlas") / "atlas.h5ad", n_cells=2_600, n_genes=200)


@pytest.fixture(scope="module")
def old(atlas: Path, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset to be replaced."""
    folder = tmp_path_factory.mktemp("old")
    assert server.run(folder, "build", atlas, "-o", "dataset") == 0, said(folder)
    return folder / "dataset"


@pytest.fixture(scope="module")
def new(atlas: Path, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """What a build that nothing disturbs writes."""
    folder = tmp_path_factory.mktemp("new")
    assert server.run(folder, "build", atlas, "-o", "dataset", *NEW) == 0, said(folder)
    return tree(folder / "dataset")


@pytest.fixture
def place(old: Path, tmp_path: Path) -> Path:
    """A folder that holds a copy of the old dataset."""
    (tmp_path / "dataset").mkdir()
    for name, content in tree(old).items():
        (tmp_path / "dataset" / name).write_bytes(content)
    return tmp_path


EXPRESSION, PANEL, BY_GENE = "_expression.parquet", "_expression_panel.parquet", "_expression_by_gene.parquet"
RECORD = "titin.builder.workspace:Workspace.record"
WRITE = "titin.dataset.arrow:ParquetFile.write"
CLOSE = "titin.dataset.arrow:ParquetFile.close"
APPEND = "titin.dataset.spill:Spill.append"
STEPS = ("scan", "cells", "genes", "metadata", "checksum", "manifest")

BEFORE_THE_SWAP = {
    "before anything": Kill("titin.builder.workspace:Workspace._open_state"),
    "after the workspace is made": Kill("titin.builder.workspace:Workspace._open_state", after=True),
    "first block": Kill(APPEND),
    "middle of the scan": Kill(APPEND, call=6),
    "scan not yet finished": Kill("titin.dataset.spill:Spill.finish"),
    "scan without its index": Kill("titin.dataset.spill:Spill.finish", after=True),
    "scan not yet saved": Kill("titin.builder.scan:Scan.save"),
    "expression, first row group": Kill(WRITE, match=EXPRESSION),
    "expression, second row group": Kill(WRITE, match=EXPRESSION, call=2, after=True),
    "cells filed by gene": Kill(APPEND, match="work/genes", call=2),
    "expression not yet closed": Kill(CLOSE, match=EXPRESSION),
    "expression closed, panel not": Kill(CLOSE, match=EXPRESSION, after=True),
    "panel": Kill(WRITE, match=PANEL),
    "panel closed": Kill(CLOSE, match=PANEL, after=True),
    "cells thrown away": Kill("pathlib:Path.unlink", match="work/cells", after=True),
    "genes, first row group": Kill(WRITE, match=BY_GENE),
    "genes, second row group": Kill(WRITE, match=BY_GENE, call=2),
    "genes not yet closed": Kill(CLOSE, match=BY_GENE),
    "cell table": Kill(WRITE, match="_sample_metadata"),
    "gene table": Kill(WRITE, match="_feature_metadata", after=True),
    "projections": Kill(CLOSE, match="_projection_X_scVI", after=True),
    "uns": Kill("titin.builder.metadata:write_json", match="_unstructured_metadata", after=True),
    "checksums of the files": Kill("titin.builder.pipeline:describe_file", call=4),
    "card": Kill("titin.builder.pipeline:make_card"),
    "manifest half written": Kill("titin.dataset.swap:put", match="/titin.json"),
    "manifest written": Kill("titin.dataset.manifest:Manifest.write", after=True),
    "flush": Kill("titin.builder.workspace:put"),
    "just before the swap": Kill("titin.dataset.swap:exchange"),
} | {
    f"{step} {'recorded' if after else 'done'}": Kill(RECORD, call=i, after=after)
    for i, step in enumerate(STEPS, 1)
    for after in (False, True)
}

QUICK = (
    "before anything", "scan not yet saved", "expression closed, panel not", "cells thrown away", "metadata recorded",
    "manifest half written", "just before the swap",
)  # fmt: skip


@pytest.mark.parametrize("kill", kill_cases(BEFORE_THE_SWAP, QUICK))
def test_a_killed_build_leaves_the_old_dataset_and_can_be_resumed(
    kill: Kill, place: Path, old: Path, atlas: Path, new: Tree, server: Server
) -> None:
    build = ("build", atlas, "-o", "dataset", *NEW, "--force")
    assert server.run(place, *build, kill=kill, patch=SMALL) == KILLED, said(place)
    assert tree(place / "dataset") == tree(old)
    assert hidden(place) == [".dataset.titin-build"]
    assert server.run(place, *build, "--resume", patch=SMALL) == 0, said(place)
    assert tree(place / "dataset") == new
    assert hidden(place) == []


FRESH = {
    name: BEFORE_THE_SWAP[name]
    for name in ("first block", "cells recorded", "genes, second row group", "manifest recorded", "flush")
}


@pytest.mark.parametrize("kill", kill_cases(FRESH, ["genes, second row group", "flush"]))
def test_a_killed_build_of_a_new_dataset_shows_nothing_of_it(
    kill: Kill, tmp_path: Path, atlas: Path, new: Tree, server: Server
) -> None:
    build = ("build", atlas, "-o", "dataset", *NEW)
    assert server.run(tmp_path, *build, kill=kill, patch=SMALL) == KILLED
    assert not (tmp_path / "dataset").exists()
    assert server.run(tmp_path, *build, "--resume", patch=SMALL) == 0, said(tmp_path)
    assert tree(tmp_path / "dataset") == new
    assert hidden(tmp_path) == []


REMOVE = "titin.builder.workspace:Workspace.remove"
AFTER_THE_SWAP = {
    "just after the swap": Kill("titin.dataset.swap:exchange", after=True),
    "before clearing up": Kill(REMOVE),
    "while clearing up": Kill("shutil:rmtree", match="titin-build/work", after=True),
    "late in clearing up": Kill("pathlib:Path.unlink", match="titin-build/state.json"),
}


WAYS_TO_GO_ON = [
    pytest.param(("--resume",), id="--resume"),
    pytest.param(("--force",), id="--force", marks=pytest.mark.slow),
    pytest.param(("--force", "--resume"), id="--force --resume", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("resume", WAYS_TO_GO_ON)
@pytest.mark.parametrize("kill", kill_cases(AFTER_THE_SWAP, ["just after the swap", "while clearing up"]))
def test_a_build_killed_after_the_swap_has_replaced_the_dataset_for_good(
    kill: Kill, resume: tuple[str, ...], place: Path, atlas: Path, new: Tree, server: Server
) -> None:
    build = ("build", atlas, "-o", "dataset", *NEW)
    assert server.run(place, *build, "--force", kill=kill, patch=SMALL) == KILLED, said(place)
    assert tree(place / "dataset") == new
    assert server.run(place, *build, *resume, patch=SMALL) == 0, said(place)
    assert tree(place / "dataset") == new
    assert hidden(place) == []


@pytest.mark.parametrize("resume", WAYS_TO_GO_ON)
@pytest.mark.parametrize(
    "kill",
    [
        Kill("pathlib:Path.replace", match="titin-build/out'", after=True),
        Kill(REMOVE),
        Kill("shutil:rmtree", match="titin-build/work", after=True),
    ],
    ids=["just after the rename", "before clearing up", "while clearing up"],
)
def test_a_new_dataset_whose_build_was_killed_after_the_rename_is_whole(
    kill: Kill, resume: tuple[str, ...], tmp_path: Path, atlas: Path, new: Tree, server: Server
) -> None:
    build = ("build", atlas, "-o", "dataset", *NEW)
    assert server.run(tmp_path, *build, kill=kill, patch=SMALL) == KILLED, said(tmp_path)
    assert tree(tmp_path / "dataset") == new
    assert server.run(tmp_path, *build, *resume, patch=SMALL) == 0, said(tmp_path)
    assert tree(tmp_path / "dataset") == new
    assert hidden(tmp_path) == []


def test_where_folders_cannot_be_exchanged_a_kill_between_two_renames_is_mended_by_the_next_build(
    place: Path, old: Path, atlas: Path, new: Tree, server: Server
) -> None:
    """The one moment at which the target is absent; the old dataset is safe in the workspace."""
    build, patch = ("build", atlas, "-o", "dataset", *NEW), (*SMALL, "no_exchange")
    kill = Kill("pathlib:Path.rename", match="titin-build/replaced/dataset'", after=True)
    assert server.run(place, *build, "--force", kill=kill, patch=patch) == KILLED, said(place)
    assert not (place / "dataset").exists()
    assert tree(place / ".dataset.titin-build" / "replaced" / "dataset") == tree(old)

    # a build that comes to nothing gives it back, and asks for --force like the first one
    assert server.run(place, *build, patch=patch) == 2
    assert "--force" in said(place)
    assert tree(place / "dataset") == tree(old)

    assert server.run(place, *build, "--force", "--resume", patch=patch) == 0, said(place)
    assert tree(place / "dataset") == new
    assert hidden(place) == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_where_folders_cannot_be_exchanged_the_rest_holds_too(
    when: str, place: Path, old: Path, atlas: Path, new: Tree, server: Server
) -> None:
    build, patch = ("build", atlas, "-o", "dataset", *NEW, "--force"), (*SMALL, "no_exchange")
    kill = Kill("titin.dataset.swap:exchange", after=when == "after")
    assert server.run(place, *build, kill=kill, patch=patch) == KILLED, said(place)
    assert tree(place / "dataset") == (tree(old) if when == "before" else new)
    assert server.run(place, *build, "--resume", patch=patch) == 0, said(place)
    assert tree(place / "dataset") == new
    assert hidden(place) == []


def test_a_build_killed_twice_can_be_resumed(place: Path, old: Path, atlas: Path, new: Tree, server: Server) -> None:
    build = ("build", atlas, "-o", "dataset", *NEW, "--force")
    for name in ("middle of the scan", "expression, second row group", "genes, second row group", "gene table"):
        assert server.run(place, *build, "--resume", kill=BEFORE_THE_SWAP[name], patch=SMALL) == KILLED, said(place)
        assert tree(place / "dataset") == tree(old)
    assert server.run(place, *build, "--resume", patch=SMALL) == 0, said(place)
    assert tree(place / "dataset") == new


@pytest.mark.parametrize("step", ["cells", *(pytest.param(s, marks=pytest.mark.slow) for s in ("scan", "metadata"))])
@pytest.mark.parametrize("patch", [(), SMALL], ids=["large blocks", "small blocks"])
def test_a_build_resumed_with_other_threads_and_memory_gives_the_same_bytes(
    step: str, patch: tuple[str, ...], tmp_path: Path, atlas: Path, new: Tree, server: Server
) -> None:
    build = ("build", atlas, "-o", "dataset", *NEW)
    kill = BEFORE_THE_SWAP[f"{step} recorded"]
    first = SMALL if not patch else ()
    assert server.run(tmp_path, *build, "--threads", "1", "--memory", "2GiB", kill=kill, patch=first) == KILLED
    resumed = (*build, "--resume", "--threads", "3", "--memory", "512MiB")
    assert server.run(tmp_path, *resumed, patch=patch) == 0, said(tmp_path)
    assert tree(tmp_path / "dataset") == new


def test_finished_steps_are_not_done_again(tmp_path: Path, atlas: Path, new: Tree, server: Server) -> None:
    build = ("build", atlas, "-o", "dataset", *NEW)
    assert server.run(tmp_path, *build, kill=BEFORE_THE_SWAP["cells recorded"], patch=SMALL) == KILLED
    written = (tmp_path / ".dataset.titin-build" / "out" / "atlas_10x_expression.parquet").stat()
    assert server.run(tmp_path, *build, "--resume", patch=SMALL) == 0
    assert (tmp_path / "dataset" / "atlas_10x_expression.parquet").stat().st_ino == written.st_ino
    assert "read and encode" not in said(tmp_path)
    assert "write expression by gene" in said(tmp_path)


def test_steps_whose_files_are_gone_are_done_again(tmp_path: Path, atlas: Path, new: Tree, server: Server) -> None:
    build = ("build", atlas, "-o", "dataset", *NEW)
    assert server.run(tmp_path, *build, kill=BEFORE_THE_SWAP["metadata recorded"], patch=SMALL) == KILLED
    (tmp_path / ".dataset.titin-build" / "out" / "atlas_10x_expression_panel.parquet").unlink()
    assert server.run(tmp_path, *build, "--resume", patch=SMALL) == 0, said(tmp_path)
    assert tree(tmp_path / "dataset") == new


def test_without_resume_an_old_workspace_is_discarded(tmp_path: Path, atlas: Path, new: Tree, server: Server) -> None:
    other = ("build", atlas, "-o", "dataset", "--seed", "2")
    assert server.run(tmp_path, *other, kill=BEFORE_THE_SWAP["metadata recorded"], patch=SMALL) == KILLED
    assert server.run(tmp_path, "build", atlas, "-o", "dataset", *NEW) == 0, said(tmp_path)
    assert tree(tmp_path / "dataset") == new
    assert hidden(tmp_path) == []


def test_resume_with_nothing_to_resume_builds(tmp_path: Path, atlas: Path, new: Tree, server: Server) -> None:
    assert server.run(tmp_path, "build", atlas, "-o", "dataset", *NEW, "--resume") == 0, said(tmp_path)
    assert tree(tmp_path / "dataset") == new


@pytest.mark.parametrize("changed", ["source", "settings", "donor table"])
def test_resume_is_refused_after_a_change_and_says_what_changed(
    changed: str, tmp_path: Path, atlas: Path, server: Server
) -> None:
    source, donors = tmp_path / "atlas.h5ad", tmp_path / "donors.csv"
    source.write_bytes(atlas.read_bytes())
    donors.write_text("donor,age\n398B,22\n")
    build = ["build", source, "-o", "dataset", "--donors", donors]
    assert server.run(tmp_path, *build, kill=BEFORE_THE_SWAP["cells recorded"], patch=SMALL) == KILLED
    unfinished = tree(tmp_path / ".dataset.titin-build")
    if changed == "source":
        os.utime(source, ns=(1, 1))
    elif changed == "donor table":
        before = donors.stat()
        donors.write_text("donor,age\n398B,23\n")
        os.utime(donors, ns=(before.st_atime_ns, before.st_mtime_ns))
    else:
        build += ["--tissue", "muscle"]
    assert server.run(tmp_path, *build, "--resume", patch=SMALL) == 2
    others = {"source", "settings", "donor table"} - {changed}
    assert f"cannot be resumed: {changed} changed since" in said(tmp_path)
    assert not any(f"{name} changed" in said(tmp_path) for name in others)
    assert "without --resume" in said(tmp_path)
    assert (tmp_path / "stdout").read_text() == ""
    assert tree(tmp_path / ".dataset.titin-build") == unfinished


# real processes: nothing patched, nothing forked


def start(*arguments: str | Path, folder: Path, **more: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "titin", *map(str, arguments)]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)  # type: ignore[call-overload, no-any-return]


def wait_for(line: str, process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    for got in process.stderr:
        if line in got:
            return
    pytest.fail(f"the build ended before it said {line!r}")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Large enough to be caught at work."""
    return write_demo_atlas(tmp_path_factory.mktemp("large") / "atlas.h5ad", n_cells=6_000, n_genes=1_000)


def test_killed_at_random_moments(place: Path, old: Path, atlas: Path, new: Tree, server: Server) -> None:
    rng = random.Random(20)
    build = ("build", atlas, "-o", "dataset", *NEW, "--force", "--resume")
    began = time.monotonic()
    assert server.run(place, *build) == 0
    usual = time.monotonic() - began
    for name in tree(place / "dataset"):
        (place / "dataset" / name).unlink()
    for name, content in tree(old).items():
        (place / "dataset" / name).write_bytes(content)
    before = tree(old)
    for _ in range(6):
        found = server.run(place, *build, kill_after=rng.uniform(0.1, 0.9) * usual)
        assert found in (KILLED, 0), said(place)
        assert tree(place / "dataset") in (before, new)
        if tree(place / "dataset") == new:
            before = new
    assert server.run(place, *build) == 0, said(place)
    assert tree(place / "dataset") == new
    assert hidden(place) == []


def test_control_c_ends_with_130_and_the_build_can_be_resumed(large: Path, tmp_path: Path) -> None:
    process = start("build", large, "-o", "dataset", folder=tmp_path)
    wait_for("write expression:", process)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stdout == ""
    assert "interrupted" in stderr
    assert "--resume" in stderr
    assert "Traceback" not in stderr
    assert not (tmp_path / "dataset").exists()
    resumed = start("build", large, "-o", "dataset", "--resume", folder=tmp_path)
    stdout, stderr = resumed.communicate(timeout=60)
    assert resumed.returncode == 0, stderr
    assert "resumed" in stdout
    assert hidden(tmp_path) == []


def test_two_builds_of_one_target_at_once(large: Path, tmp_path: Path) -> None:
    first = start("build", large, "-o", "dataset", folder=tmp_path)
    wait_for("read and encode", first)
    first.send_signal(signal.SIGSTOP)
    try:
        second = start("build", large, "-o", "dataset", folder=tmp_path)
        stdout, stderr = second.communicate(timeout=60)
    finally:
        first.send_signal(signal.SIGCONT)
    assert second.returncode == 2
    assert stdout == ""
    assert "another build is writing" in stderr
    assert "wait for it" in stderr
    _, stderr = first.communicate(timeout=60)
    assert first.returncode == 0, stderr
    assert (tmp_path / "dataset" / "titin.json").is_file()
    assert hidden(tmp_path) == []
