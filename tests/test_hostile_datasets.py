"""A dataset from a stranger: whatever its manifest and its files are, commands end in words and touch nothing else."""

import json
import os
import random
import re
import shutil
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hostile_manifests import NAMES, OTHERS, all_changes, changed, places, renamed
from small_clock import write_small_clock
from titin.builder import add_embeddings
from titin.cli import main
from titin.dataset.manifest import Manifest
from titin.demo import make_demo
from titin.errors import DatasetError
from titin.progress import Progress

PREFIX = "skeletal_muscle_10x"
# what a command is given after the dataset; OUT is a folder for what it writes
COMMANDS: dict[str, list[str]] = {
    "info": ["info", "DATASET"],
    "embed": ["embed", "DATASET", "pca", "--force", "--n-comps", "2", "-q"],
    "relabel": ["relabel", "DATASET", "--drop", "SampleID", "-q"],
    "roles": ["roles", "DATASET", "--chemistry", "none", "-q"],
    "card": ["card", "DATASET", "--force", "--no-images", "-q"],
    "publish": ["publish", "DATASET", "user/name", "--dry-run", "--license", "mit", "--exact-ages", "-q"],
    "validate": ["validate", "DATASET", "--level", "quick", "--check", "integrity", "-q"],
    "age": ["age", "de", "DATASET", "--save-pseudobulk", "--force", "-o", "OUT/age", "-q"],
    "tables": ["age", "tables", "DATASET", "-q"],
    "h5ad": ["export", "DATASET", "--format", "h5ad", "-o", "OUT/x.h5ad", "-q"],
    "h5mu": ["export", "DATASET", "--format", "h5mu", "-o", "OUT/x.h5mu", "-q"],
    "wide": ["export", "DATASET", "--format", "wide", "--genes", "MYH8", "-o", "OUT/x.csv", "-q"],
    "mtx": ["export", "DATASET", "--format", "mtx", "--force", "-q"],
    "subset": ["subset", "DATASET", "--genes", "MYH8", "-o", "OUT/part", "-q"],
    "bench": ["bench", "DATASET", "--task", "sex", "--model", "logistic", "--permutations", "0", "--no-figures", "-o",
              "OUT/bench", "-q"],
    "predict": ["predict", "DATASET", "--clock", "OUT/../b/mine.clock", "-o", "OUT/ages.csv", "-q"],
    "annotate": ["annotate", "DATASET", "--cell-type-level", "0", "--folds", "2", "--force", "-q"],
    "network": ["network", "DATASET", "--network", "OUT/../b/edges.csv", "--min-targets", "1", "--bootstraps", "1",
                "-o", "OUT/net", "-q"],
    "report": ["report", "DATASET", "-o", "OUT/report.html", "-q"],
    "site": ["site", "DATASET", "-o", "OUT/site", "-q"],
}  # fmt: skip
IN_A_SMALL_STUDY = {"age": ["--min-cells", "2", "--min-donors", "4"]}  # that it finds what to do, however few the cells
LONG = ("bench", "report", "age", "annotate", "network", "tables", "site")  # take seconds over what they can read


class Stranger:
    """A dataset that may be changed, and what lies around it."""

    def __init__(self, folder: Path, dataset: Path) -> None:
        self.original, self.root = dataset, folder
        self.dataset, self.out, self.home = folder / "a" / "dataset", folder / "out", folder / "a" / "work"
        self.document: dict[str, Any] = json.loads((dataset / "titin.json").read_text("utf-8"))
        self.renew()

    def renew(self) -> None:
        """Lay everything anew."""
        for path in list(self.root.iterdir()):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for folder in (self.home, self.out, self.root / "b"):
            folder.mkdir(parents=True)
        shutil.copytree(self.original, self.dataset)
        for path in (self.root / "notes.txt", self.root / "a" / "notes.txt", self.root / "b" / "mine.parquet"):
            path.write_text("mine")
        write_small_clock(self.root / "b" / "mine.clock", ["MYH8", "XIST", "NOGENE"])
        (self.root / "b" / "edges.csv").write_text("source,target\nTF,MYH8\nTF,XIST\nTF,NOGENE\n")

    def write(self, document: Any) -> None:
        """Write the manifest, as no titin would."""
        self.dataset.joinpath("titin.json").write_text(json.dumps(document), "utf-8")

    def around(self) -> dict[str, tuple[int, int, int, bytes]]:
        """All that lies around the dataset."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            if path.is_relative_to(self.dataset) or path.is_relative_to(self.out):
                continue
            is_file = stat.S_ISREG(path.lstat().st_mode)
            told = path.lstat()
            content = path.read_bytes() if is_file else b""
            found[str(path)] = (told.st_mode, told.st_size, told.st_mtime_ns if is_file else 0, content)
        return found

    def inside(self) -> dict[str, bytes]:
        """Content of the dataset's files."""
        return {str(p): p.read_bytes() for p in sorted(self.dataset.rglob("*")) if stat.S_ISREG(p.lstat().st_mode)}

    def run(self, name: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
        """Run a command; exit code and what it said as errors."""
        given = [one.replace("DATASET", str(self.dataset)).replace("OUT", str(self.out)) for one in COMMANDS[name]]
        code = 0
        try:
            main(given)
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, capsys.readouterr().err


@pytest.fixture(scope="session")
def good(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    def make(folder: Path) -> None:
        report = make_demo(folder, n_cells=240, n_genes=150, seed=0, force=False, progress=Progress())
        add_embeddings(report.path, ["pca"], pca={"n_comps": 2})

    return made_once("hostile", make) / PREFIX


@pytest.fixture
def stranger(tmp_path: Path, good: Path, monkeypatch: pytest.MonkeyPatch) -> Stranger:
    made = Stranger(tmp_path, good)
    monkeypatch.chdir(made.home)
    return made


def refused_or_read(dataset: Path) -> str:
    """What the gate says of a manifest; nothing where it takes it."""
    try:
        Manifest.read(dataset)
    except DatasetError as error:
        return str(error.args[0])
    return ""


# keys that hold names of files or begin them, as places of the manifest
FILES = [("obsm", "X_pca", "file"), ("varm", "PCs", "file"), ("obsm", "X_umap", "file")]
WORDS = [("prefix",), ("tissue",), ("method",)]


@pytest.mark.parametrize("place", [*FILES, *WORDS], ids=str)
def test_no_name_leads_any_command_out(place: tuple[str, ...], stranger: Stranger, capsys) -> None:
    before, inside = stranger.around(), stranger.inside()
    for k, value in enumerate(NAMES):
        if place in WORDS and value == "titin.json":
            continue  # an odd word, and a word
        stranger.write(changed(stranger.document, place, value))
        names = list(COMMANDS) if value.startswith("../") else [list(COMMANDS)[k % len(COMMANDS)]]
        for name in names:
            code, said = stranger.run(name, capsys)
            assert (code, "Traceback" in said) == (2, False), (value, name, said)
            assert "titin.json" in said or place[0] == "format_version"
            assert value == "\ud800" or ".".join(place) in said, said
        assert stranger.around() == before
    stranger.write(stranger.document)
    assert set(stranger.inside()) == set(inside)
    assert not list(stranger.out.iterdir())


@pytest.mark.parametrize("name", COMMANDS)
def test_no_file_of_the_list_leads_out(name: str, stranger: Stranger, capsys) -> None:
    before = stranger.around()
    for value in NAMES:
        listed = f"{PREFIX}_sample_metadata.parquet"
        stranger.write(renamed(stranger.document, ("files", listed), value))
        code, said = stranger.run(name, capsys)
        assert (code, "Traceback" in said) == (2, False), (value, said)
        assert "titin.json" in said
    assert stranger.around() == before


@pytest.mark.parametrize(("role", "column"), [
    ("donor", "x"), ("sex", True), ("age", 3), ("cell_type", [None]), ("cell_type", ["annotation_level0", "x"]),
])  # fmt: skip
def test_a_role_of_a_column_that_is_not_there_is_refused_by_its_name(
    role: str, column: object, stranger: Stranger, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger.write(changed(stranger.document, ("roles", role), column))
    for name in ("age", "bench", "report"):
        code, said = stranger.run(name, capsys)
        assert code == 2
        assert f"roles.{role}" in said


def check_gate(stranger: Stranger, changes: list[tuple[Any, Any]]) -> int:
    """Each change is taken, or refused with its key; return how many were refused."""
    refused = 0
    for place, value in changes:
        stranger.write(changed(stranger.document, place, value))
        said = refused_or_read(stranger.dataset)
        if said and value not in ("\ud800", 10**30):
            assert "titin.json" in said or place[0] == "format_version"
            assert str(place[0]) in said or place[0] in ("format", "format_version", "prefix"), (place, value, said)
        refused += bool(said)
    return refused


def test_keys_of_other_types_are_refused_by_their_names(stranger: Stranger) -> None:
    changes = random.Random(0).sample(list(all_changes(stranger.document)), 400)
    assert check_gate(stranger, changes) > 200


@pytest.mark.slow
def test_every_key_with_every_value_is_taken_or_refused_by_its_name(stranger: Stranger) -> None:
    changes = list(all_changes(stranger.document))
    assert len(changes) > 2685
    assert check_gate(stranger, changes) > len(changes) / 2


def check_commands(stranger: Stranger, changes: list[tuple[Any, Any]], names: list[str], capsys: Any) -> int:
    """Commands over what the gate has taken end in words, or as they should; return over how many."""
    taken, wrong = 0, []
    for place, value in changes:
        stranger.write(changed(stranger.document, place, value))
        if refused_or_read(stranger.dataset):
            continue
        taken += 1
        for name in names:
            stranger.renew()
            os.chdir(stranger.home)
            stranger.write(changed(stranger.document, place, value))
            before = stranger.around()
            try:
                code, said = stranger.run(name, capsys)
            except Exception as error:  # all of them are told, at the end
                wrong.append((name, place, value, error, traceback.extract_tb(error.__traceback__)[-2:]))
                continue
            assert code in (0, 1, 2), (name, place, value, said)
            assert "Traceback" not in said
            assert "bug of titin" not in said, (name, place, value, said)
            written = {path: told for path, told in stranger.around().items() if before.get(path) != told}
            beside = ("dataset.validation", "work/")  # where these commands write, as they always do
            assert all(any(part in path for part in beside) for path in written), (name, place, value, written)
            assert not set(before) - set(stranger.around())
    assert not wrong, "\n".join(map(str, wrong))
    return taken


def test_what_the_gate_takes_is_run_or_refused_in_words(stranger: Stranger, capsys) -> None:
    changes = random.Random(1).sample(list(all_changes(stranger.document)), 60)
    assert check_commands(stranger, changes, ["info", "wide"], capsys) > 3


@pytest.mark.long
@pytest.mark.parametrize("part", range(4))
def test_every_command_runs_what_the_gate_takes_or_refuses_it_in_words(part: int, stranger: Stranger, capsys) -> None:
    """Each key with some values that the gate takes, and every command."""
    rng, changes = random.Random(part), []
    for place in list(places(stranger.document))[part::4]:
        values = [*NAMES, *OTHERS]
        rng.shuffle(values)
        for value in values:
            stranger.write(changed(stranger.document, place, value))
            if not refused_or_read(stranger.dataset):
                changes.append((place, value))
                break
    names = [name for name in COMMANDS if name not in LONG]
    assert check_commands(stranger, changes, names, capsys) == len(changes)
    assert check_commands(stranger, rng.sample(changes, 6), list(LONG), capsys) == 6


@pytest.mark.parametrize(("place", "value"), [
    (("obs", "derived"), {"x": {}}), (("obs", "derived", "age_numeric", "unit"), "x" * 300), (("obs", "labels"), []),
])  # fmt: skip
def test_what_obs_is_made_of_is_read_or_refused(
    place: tuple[str, ...], value: Any, stranger: Stranger, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["info", "card", "relabel", "roles", "subset", "wide"]
    check_commands(stranger, [(place, value)], names, capsys)


@pytest.mark.parametrize("content", [
    b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 200_000, b'{"a":' * 100_000,
    b'{"format": "titin", "format": "titin"}',
    b'{"format": "titin", "format_version": 1e999}', b'{"format": "titin", "format_version": NaN}',
    b'{"format": "titin", "format_version": ' + b"9" * 5000 + b"}", b'{"format": "titin", "format_version": true}',
    b'{"format": "titin", "format_version": [1]}', b"[" + b"[]," * 20_000_000 + b"[]]",
], ids=lambda content: content[:20].decode("latin-1"))  # fmt: skip
def test_what_is_no_manifest_is_refused_in_a_sentence(content: bytes, stranger: Stranger) -> None:
    (stranger.dataset / "titin.json").write_bytes(content)
    assert "titin.json" in refused_or_read(stranger.dataset) or "format version" in refused_or_read(stranger.dataset)


def test_a_giant_manifest_is_not_read(stranger: Stranger) -> None:
    os.truncate(stranger.dataset / "titin.json", 2**31)
    assert "256 MiB" in refused_or_read(stranger.dataset)


def _fifo(path: Path, _: Path) -> None:
    os.mkfifo(path)


STRANGE: dict[str, Callable[[Path, Path], object]] = {
    "a link out": lambda path, other: path.symlink_to(other),
    "a relative link out": lambda path, other: path.symlink_to(os.path.relpath(other, path.parent)),
    "a link to a device": lambda path, _: path.symlink_to("/dev/zero"),
    "a link to a folder": lambda path, other: path.symlink_to(other.parent),
    "a pipe": _fifo,
    "a folder": lambda path, _: path.mkdir(),
}


@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("file", [
    "titin.json", "README.md", f"{PREFIX}_expression.parquet", f"{PREFIX}_projection_X_pca.parquet",
    f"{PREFIX}_unstructured_metadata.json",
])  # fmt: skip
def test_a_file_that_is_not_the_datasets_own_is_refused_by_every_command(
    kind: str, file: str, stranger: Stranger, capsys: pytest.CaptureFixture[str]
) -> None:
    """Even one with the very content that the manifest says."""
    other = stranger.root / "b" / "other"
    path = stranger.dataset / file
    path.rename(other)
    STRANGE[kind](path, other)
    before = stranger.around()
    for name in COMMANDS:
        code, said = stranger.run(name, capsys)
        assert code == 2, (name, said)
        assert file in said
    assert stranger.around() == before


@pytest.mark.parametrize(
    "file", [".titin.json.partial", f"{PREFIX}_pseudobulk.parquet", "preview_X.png", "LICENSE", "x"]
)
@pytest.mark.parametrize("kind", ["a link out", "a pipe"])
def test_nothing_is_written_through_links_that_lie_in_the_folder(
    kind: str, file: str, stranger: Stranger, capsys: pytest.CaptureFixture[str]
) -> None:
    STRANGE[kind](stranger.dataset / file, stranger.root / "notes.txt")
    before = stranger.around()
    for name in ("embed", "relabel", "roles", "card", "age", "publish"):
        code, said = stranger.run(name, capsys)
        assert code == 2, (name, said)
        assert file in said
    assert stranger.around() == before


def test_a_dataset_in_the_cache_of_the_hub_is_read_and_not_changed(
    stranger: Stranger, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its files are links to blobs, which are the repository's own."""
    repository = stranger.root / "hub" / "datasets--user--name"
    snapshot, blobs = repository / "snapshots" / ("0" * 40), repository / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, path in enumerate(sorted(stranger.dataset.iterdir())):
        path.rename(blobs / f"{number:064}")
        (snapshot / path.name).symlink_to(f"../../blobs/{number:064}")
    stranger.dataset.rmdir()
    stranger.dataset.symlink_to(snapshot)
    assert stranger.run("info", capsys)[0] == 0
    assert stranger.run("h5ad", capsys)[0] == 0
    before = stranger.around()
    for name in ("embed", "relabel", "roles", "card", "publish"):
        code, said = stranger.run(name, capsys)
        assert code == 2
        assert "is a link" in said
    assert stranger.around() == before


_CALLS = (
    "open,openat,creat,unlink,unlinkat,rename,renameat,renameat2,mkdir,mkdirat,rmdir,truncate,link,linkat,symlink,"
    "symlinkat"
)
_WRITES = re.compile(
    r"^(?:\d+ +)?(open|openat|creat|unlink|unlinkat|rename\w*|mkdir\w*|rmdir|truncate|link\w*|symlink\w*)\((.*)\) += "
)


@pytest.mark.long
@pytest.mark.parametrize("name", COMMANDS)
def test_the_system_is_asked_to_write_in_known_places_only(name: str, stranger: Stranger, tmp_path: Path) -> None:
    """All that a command opens for writing, makes, moves or removes, as the kernel is asked for it."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    given = [one.replace("DATASET", str(stranger.dataset)).replace("OUT", str(stranger.out))
             for one in COMMANDS[name] + IN_A_SMALL_STUDY.get(name, [])]  # fmt: skip
    scratch = tmp_path.parent / f"{tmp_path.name}-scratch"
    scratch.mkdir()
    log = scratch / "trace"
    environment = {**os.environ, "TMPDIR": str(scratch), "XDG_CACHE_HOME": str(scratch), "HOME": str(scratch),
                   "PYTHONDONTWRITEBYTECODE": "1", "NUMBA_CACHE_DIR": str(scratch)}  # fmt: skip
    traced = ["strace", "-f", "--seccomp-bpf", "-y", "-qq", "-s", "4096", "-e", f"trace={_CALLS}", "-o", str(log)]
    done = subprocess.run(
        [*traced, sys.executable, "-m", "titin", *given], cwd=stranger.home, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    allowed = (str(stranger.dataset.parent), str(stranger.out), str(scratch), "/dev/", "/proc/")
    strange = []
    for line in log.read_text("utf-8", "replace").splitlines():
        asked = _WRITES.match(line)
        if asked is None or (asked[1].startswith("open") and not re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC)", asked[2])):
            continue
        if " = -1 " in line:
            continue
        paths = re.findall(r'"((?:[^"\\]|\\.)*)"', asked[2])
        held = re.findall(r"<(/[^>]*)>", asked[2])
        for path in paths:
            whole = Path(held[0] if held else stranger.home) / path
            if not os.path.normpath(whole).startswith(allowed):
                strange.append(line)
    assert strange == []


def test_every_command_that_takes_a_dataset_is_tried() -> None:
    import click

    from titin.cli import COMMANDS as KNOWN
    from titin.cli import _load

    def takes(command: click.Command) -> bool:
        inner = command.commands.values() if isinstance(command, click.Group) else ()
        return any(one.name == "dataset" for one in command.params) or any(map(takes, inner))

    runs_until_it_is_ended = {"explore"}  # tests/explore/test_server.py
    tried = {given[0] for given in COMMANDS.values()}
    assert {name for name in KNOWN if takes(_load(name))} - runs_until_it_is_ended == tried
