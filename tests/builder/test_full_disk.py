"""A disk that fills up while a dataset is being written: a clear error, and nothing left half-written.

The disk is a tmpfs of a few megabytes, mounted where no other process sees it.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from _interrupt import Kill, Server

from titin.builder import build
from titin.demo import write_demo_atlas

SMALL = ("small_blocks",)


@dataclass(frozen=True)
class Outcome:
    code: int
    stdout: str
    stderr: str
    left: dict[str, str]  # files and folders on the disk afterwards, and their checksums


class Disk:
    """A small disk, at ``disk`` in a folder."""

    def __init__(self, server: Server, folder: Path, kilobytes: int) -> None:
        self.server, self.folder = server, folder
        (folder / "disk").mkdir()
        if server.shell(folder, f"mount -t tmpfs -o size={kilobytes}k none disk"):
            pytest.skip("a small disk needs the right to mount one")

    def holds(self, file: Path) -> None:
        """Put a copy of a file or folder on it."""
        assert self.server.shell(self.folder, f"cp -r '{file}' disk/") == 0

    def fill(self, leaving: int) -> None:
        """Fill it up but for some kilobytes."""
        command = "head -c $((($(df --output=avail -k disk | tail -n 1) - {}) * 1024)) /dev/zero > disk/filler"
        assert self.server.shell(self.folder, command.format(leaving)) == 0

    def run(self, *arguments: str | Path, kill: Kill | None = None) -> Outcome:
        code = self.server.run(self.folder, *arguments, kill=kill, patch=SMALL)
        listing = "cd disk && find . -mindepth 1 -type d -printf '- %P/\\n' && find . -type f -exec sha256sum {} +"
        assert self.server.shell(self.folder, f"({listing}) > left") == 0
        pairs = (line.split(maxsplit=1) for line in (self.folder / "left").read_text("utf-8").splitlines())
        left = {name.removeprefix("./"): checksum for checksum, name in pairs if name != "./filler"}
        return Outcome(code, *((self.folder / name).read_text("utf-8") for name in ("stdout", "stderr")), left)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("a small disk needs Linux and the right to mount one: unshare -m fails")
    server = Server(unshare, "-m")
    yield server
    server.close()


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_atlas(tmp_path_factory.mktemp("atlas") / "atlas.h5ad", n_cells=2_600, n_genes=200)


@pytest.fixture(scope="module")
def dataset(atlas: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(atlas, tmp_path_factory.mktemp("dataset") / "dataset").path


def check_message(outcome: Outcome, disk: Path) -> None:
    """What is wrong, where, and what to do."""
    assert outcome.code == 2, outcome
    assert outcome.stdout == ""
    assert "Traceback" not in outcome.stderr
    *_, message, hint = outcome.stderr.rstrip("\n").split("\n")
    assert message.startswith("error: ")
    assert re.search(rf"the disk of {re.escape(str(disk))}(/[\w.]+)? is full", message)
    assert ".titin-" not in message
    assert "free some space" in hint


# kilobytes, and the last step that such a disk lets begin
SIZES = {0: "", 40: "", 600: "read and encode", 2_000: "read and encode", 2_800: "write expression"}


@pytest.mark.parametrize("threads", [pytest.param(1, marks=pytest.mark.slow), 2])
@pytest.mark.parametrize("kilobytes", SIZES)
def test_a_build_on_a_small_disk(kilobytes: int, threads: int, atlas: Path, tmp_path: Path, server: Server) -> None:
    disk = Disk(server, tmp_path, max(kilobytes, 40))
    if not kilobytes:
        disk.fill(leaving=0)
    outcome = disk.run("build", atlas, "-o", "disk/dataset", "--threads", str(threads))
    check_message(outcome, tmp_path / "disk")
    begun = [line.split(":")[0] for line in outcome.stderr.splitlines() if line.endswith((" cells", " genes"))]
    assert (begun or [""])[-1] == SIZES[kilobytes]
    assert outcome.left == {}


RECORD = "titin.builder.workspace:Workspace.record"
WRITE = "titin.dataset.arrow:ParquetFile.write"


@pytest.mark.parametrize("leaving", [0, pytest.param(24, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "begun",
    [
        Kill(WRITE, match="_expression_by_gene.parquet"),
        pytest.param(Kill(RECORD, call=3, after=True), marks=pytest.mark.slow),
        pytest.param(Kill(WRITE, match="_projection_X_umap"), marks=pytest.mark.slow),
        Kill(RECORD, call=5, after=True),
    ],
    ids=["by gene", "metadata", "projections", "manifest"],
)
def test_a_disk_that_is_full_when_a_build_is_resumed(
    begun: Kill, leaving: int, atlas: Path, dataset: Path, tmp_path: Path, server: Server
) -> None:
    disk = Disk(server, tmp_path, 12_000)
    disk.holds(dataset)
    command = ("build", atlas, "-o", "disk/dataset", "--seed", "1", "--force")
    untouched = {f"dataset/{p.name}" for p in dataset.iterdir()} | {"dataset/"}
    assert disk.run(*command, kill=begun).code < 0
    disk.fill(leaving)
    outcome = disk.run(*command, "--resume")
    check_message(outcome, tmp_path / "disk")
    assert set(outcome.left) == untouched
    server.shell(tmp_path, "rm disk/filler && cp -r disk/dataset after")
    assert {p.name: p.read_bytes() for p in (tmp_path / "after").iterdir()} == {
        p.name: p.read_bytes() for p in dataset.iterdir()
    }
    assert disk.run(*command).code == 0


@pytest.mark.parametrize("kilobytes", [40, 900, 2_800])
def test_an_old_dataset_is_untouched(
    kilobytes: int, atlas: Path, dataset: Path, tmp_path: Path, server: Server
) -> None:
    disk = Disk(server, tmp_path, 12_000)
    disk.holds(dataset)
    before = disk.run("--version").left
    disk.fill(leaving=kilobytes)
    outcome = disk.run("build", atlas, "-o", "disk/dataset", "--force")
    check_message(outcome, tmp_path / "disk")
    assert outcome.left == before
    assert "dataset/titin.json" in before


@pytest.mark.parametrize("kilobytes", [700, *(pytest.param(k, marks=pytest.mark.slow) for k in (40, 1_600))])
@pytest.mark.parametrize("to", ["h5ad", "zarr", "h5mu", "mtx", "wide"])
def test_an_export_to_a_small_disk(kilobytes: int, to: str, dataset: Path, tmp_path: Path, server: Server) -> None:
    disk = Disk(server, tmp_path, kilobytes)
    outcome = disk.run("export", dataset, "--format", to, "-o", "disk/out")
    check_message(outcome, tmp_path / "disk")
    assert outcome.left == {}


@pytest.mark.parametrize("to", ["h5ad", "zarr", "h5mu", "mtx", "wide"])
def test_what_an_export_would_replace_is_untouched(to: str, dataset: Path, tmp_path: Path, server: Server) -> None:
    disk = Disk(server, tmp_path, 20_000)
    assert disk.run("export", dataset, "--format", to, "-o", "disk/out").code == 0
    before = disk.run("--version").left
    disk.fill(leaving=300)
    outcome = disk.run("export", dataset, "--format", to, "-o", "disk/out", "--force")
    check_message(outcome, tmp_path / "disk")
    assert outcome.left == before


OTHERS = {
    "report": ("report", "disk/dataset", "--force"),
    "embed": ("embed", "disk/dataset", "pca"),
    "validate": ("validate", "disk/dataset", "--level", "quick", "--force"),
    "age": ("age", "composition", "disk/dataset", "--force"),
    "card": ("card", "disk/dataset", "--license", "cc-by-4.0", "--no-images"),
    "demo": ("demo", "-o", "disk/demo", "--n-cells", "2000", "--force"),
}


@pytest.mark.parametrize("command", ["card", *(pytest.param(c, marks=pytest.mark.slow) for c in OTHERS if c != "card")])
def test_every_other_command_on_a_full_disk_and_again_with_room(
    command: str, dataset: Path, tmp_path: Path, server: Server
) -> None:
    disk = Disk(server, tmp_path, 30_000)
    disk.holds(dataset)
    before = disk.run("--version").left
    disk.fill(leaving=4)
    outcome = disk.run(*OTHERS[command])
    check_message(outcome, tmp_path / "disk")
    assert {name: outcome.left.get(name) for name in before} == before
    assert not [name for name in outcome.left if ".titin-" in name]
    server.shell(tmp_path, "rm disk/filler")
    assert disk.run(*OTHERS[command]).code == 0
