"""After a power cut nothing wrong stands under a final name, and the same command ends as if nothing had happened."""

import gzip
import random
from pathlib import Path

import power
import pytest
from _interrupt import Kill, Server

import titin
from titin.demo import write_demo_atlas

SMALL = ("small_blocks",)
Tree = dict[str, bytes]

BUILD = ("build", "{atlas}", "-o", "dataset", "--seed", "1", "--project", "pca", "--threads", "1")
# command, what it writes, and what is added when it is given again
COMMANDS = {
    "build": (BUILD, "dataset", ("--resume",)),
    "build over an old one": ((*BUILD, "--force"), "dataset", ("--resume",)),
    "embed": (("embed", "dataset", "pca", "--threads", "1"), "dataset", ("--force",)),
    "relabel": (("relabel", "dataset", "--obs", "labels.csv", "--drop", "SampleID"), "dataset", ()),
    "roles": (("roles", "dataset", "--donor", "none", "--age", "none"), "dataset", ()),
    "card": (("card", "dataset", "--license", "cc-by-4.0", "--no-images"), "dataset", ()),
    "h5ad": (("export", "dataset", "--format", "h5ad", "-o", "out.h5ad"), "out.h5ad", ("--force",)),
    "zarr": (("export", "dataset", "--format", "zarr", "-o", "out.zarr"), "out.zarr", ("--force",)),
    "mtx": (("export", "dataset", "--format", "mtx", "-o", "out_mtx"), "out_mtx", ("--force",)),
    "wide": (("export", "dataset", "--format", "wide", "-o", "out.csv"), "out.csv", ("--force",)),
    "wide over an old one": (("export", "dataset", "--format", "wide", "-o", "old.csv", "--force"), "old.csv", ()),
    "pseudobulk": (("age", "de", "dataset", "--save-pseudobulk", "-o", "ageing"), "dataset", ("--force",)),
    "validate": (("validate", "dataset", "--level", "quick", "-o", "checked"), "checked", ("--force",)),
}  # fmt: skip
QUICK = {"build": 1, "build over an old one": 1, "embed": 1, "wide over an old one": 1}
SLOW, TRIALS = 22, 66


def tree(path: Path) -> Tree:
    """Every file below a folder, or a file, but for times."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    found = {}
    for file in files:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        if file.name in ("titin.json", "validation_report.json", "validation_report.html"):
            content = b"seconds are in it"
        found[str(file.relative_to(path.parent))] = content
    return found


@pytest.fixture(scope="module")
def base(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an atlas, an old dataset and an old table."""
    folder = tmp_path_factory.mktemp("base")
    atlas = write_demo_atlas(folder / "atlas.h5ad", n_cells=2_600, n_genes=200)
    assert server.run(folder, "build", atlas, "-o", "dataset", "--project", "none") == 0
    (folder / "old.csv").write_text("cell_id,A\nx,1\n")
    labels = titin.open(folder / "dataset").obs[["annotation_level0"]].astype(str) + " (corrected)"
    labels.to_csv(folder / "labels.csv")
    return folder


def given(name: str, base: Path) -> list[str]:
    return [part.format(atlas=base / "atlas.h5ad") for part in COMMANDS[name][0]]


@pytest.fixture(scope="module")
def undisturbed(base: Path, server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Tree, int]]:
    """By command: what it leaves, and how many flushes and renames it makes; made when first asked for."""

    class Known(dict[str, tuple[Tree, int]]):
        def __missing__(self, name: str) -> tuple[Tree, int]:
            folder = place(name, base, tmp_path_factory.mktemp("undisturbed"))
            assert server.run(folder, *given(name, base), patch=(*SMALL, "power")) == 0, said(folder)
            n_events = len(power.events(folder.parent / "journal" / "events"))
            self[name] = tree(folder / COMMANDS[name][1]), n_events
            return self[name]

    return Known()


def place(name: str, base: Path, parent: Path) -> Path:
    """A folder to work in; beside it lies what is written down."""
    (parent / "journal").mkdir()
    folder = power.copy_tree(base, parent / "work")
    if name in ("build",):
        power.shutil.rmtree(folder / "dataset")
    return folder


def said(folder: Path) -> str:
    return (folder / "stderr").read_text("utf-8")


def trials() -> list[object]:
    """Cases with a seed each; the first of some commands are quick."""
    names = list(COMMANDS)
    found = []
    for seed in range(TRIALS):
        name, turn = names[seed % len(names)], seed // len(names)
        quick = turn < QUICK.get(name, 0)
        marks = [] if quick else [pytest.mark.slow if seed < SLOW else pytest.mark.long]
        found.append(pytest.param(name, seed, id=f"{name} {turn}", marks=marks))
    return found


@pytest.mark.parametrize(("name", "seed"), trials())
def test_a_power_cut(
    name: str, seed: int, base: Path, undisturbed: dict[str, tuple[Tree, int]], server: Server, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    whole, n_events = undisturbed[name]
    command, target, again = given(name, base), COMMANDS[name][1], COMMANDS[name][2]
    folder = place(name, base, tmp_path)
    before, safe = tree(folder / target) if (folder / target).exists() else {}, power.identities(folder)
    kill = Kill("power:note", call=rng.randint(1, n_events), after=rng.random() < 0.5)
    assert server.run(folder, *command, kill=kill, patch=(*SMALL, "power")) in (-9, 0), said(folder)  # 0: ended before
    done = power.cut(folder, folder.parent / "journal" / "events", safe, rng)

    after = tree(folder / target) if (folder / target).exists() else {}
    if name != "validate":  # two files, each whole or not at all
        assert after in (before, whole), done
    code = server.run(folder, *command, *(again if again == ("--resume",) or after == whole else ()), patch=SMALL)
    if code == 2 and "--force" in said(folder):
        code = server.run(folder, *command, *again, patch=SMALL)
    assert code == 0, (done, said(folder))
    assert tree(folder / target) == whole, done
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == [], done
