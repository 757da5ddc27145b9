"""What lies where titin is about to write: links, pipes and files of others are neither followed nor written to."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import sparse

import titin
from titin.dataset import layout
from titin.dataset.arrow import ParquetFile
from titin.dataset.leftovers import make_place, open_lock, own_folder
from titin.dataset.replace import revise
from titin.dataset.spill import Spill
from titin.dataset.swap import put, scratch, whole, write_json, write_text
from titin.errors import OutputError


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "atlas.h5ad"
    X = sparse.csr_matrix(np.random.default_rng(0).poisson(1.0, (40, 12)).astype(np.float32))
    ad.AnnData(X, pd.DataFrame(index=[f"c{i}" for i in range(40)])).write_h5ad(path)
    return path


@pytest.fixture(scope="module")
def dataset(source: Path) -> Path:
    return titin.build(source, source.with_name("dataset")).path


def theirs(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give something to another user")
    os.chown(path, 65_534, 65_534)


def file_of_another(place: Path, _: Path) -> None:
    place.write_text("precious", "utf-8")
    theirs(place)


def folder_of_another(place: Path, _: Path) -> None:
    place.mkdir()
    theirs(place)


def folder_open_to_all(place: Path, _: Path) -> None:
    place.mkdir()
    place.chmod(0o777)


# each puts something in a place; ``home`` is a folder with a file and a folder that must stay as they are
PLANTS: dict[str, Callable[[Path, Path], object]] = {
    "a link to a file": lambda place, home: place.symlink_to(home / "file"),
    "a link to a folder": lambda place, home: place.symlink_to(home / "folder"),
    "a link to what is not there": lambda place, home: place.symlink_to(home / "new"),
    "a pipe": lambda place, _: os.mkfifo(place),
    "a file of another user": file_of_another,
    "a folder of another user": folder_of_another,
    "a folder open to all": folder_open_to_all,
}


def as_it_is(folder: Path) -> dict[str, object]:
    return {
        str(path.relative_to(folder)): (path.lstat().st_mode, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
    }


def _schema() -> pa.Schema:
    return pa.schema([pa.field("n", pa.int64())])


def write_parquet(folder: Path) -> None:
    file = ParquetFile(folder, "table.parquet", _schema())
    file.write(pa.table({"n": [1, 2]}))
    file.close()


def write_whole(path: Path) -> None:
    with whole(path) as file:
        file.write_bytes(b"new")


def revise_dataset(copy: Path) -> None:
    with revise(copy) as draft:
        draft.replace(layout.CARD).write_text("a card", "utf-8")


def _spill(path: Path) -> None:
    with Spill(path, 1) as spill:
        spill.append(0, np.arange(3))
        spill.finish()


# by place: what is written, given a folder; the place is a name in it, or in a folder within
PLACES: dict[str, tuple[str, Callable[[Path, Path, Path], object]]] = {
    "the folder of a build": (".ds.titin-build", lambda at, source, _: titin.build(source, at / "ds")),
    "the folder of a build gone on with": (
        ".ds.titin-build", lambda at, source, _: titin.build(source, at / "ds", resume=True)),
    "the lock of a build": (".ds.titin-build/lock", lambda at, source, _: titin.build(source, at / "ds")),
    "the state of a build": (
        ".ds.titin-build/state.json", lambda at, source, _: titin.build(source, at / "ds", resume=True)),
    "where a build's files go": (".ds.titin-build/out", lambda at, source, _: titin.build(source, at / "ds")),
    "where a build's scratch goes": (".ds.titin-build/work", lambda at, source, _: titin.build(source, at / "ds")),
    "a part of a table": ("table.parquet.part0", lambda at, *_: write_parquet(at)),
    "a table": ("table.parquet", lambda at, *_: write_parquet(at)),
    "set aside": ("spill", lambda at, *_: _spill(at / "spill")),
    "the index of what is set aside": ("spill.index.npz", lambda at, *_: _spill(at / "spill")),
    "a document": ("a.json", lambda at, *_: write_json(at / "a.json", {})),
    "a document as it was begun by older ones": (".a.json.partial", lambda at, *_: write_json(at / "a.json", {})),
    "a text": ("a.md", lambda at, *_: write_text(at / "a.md", "text")),
    "a file": ("a.csv", lambda at, *_: write_whole(at / "a.csv")),
    "a lock": ("lock", lambda at, *_: os.close(open_lock(at / "lock"))),
    "an own folder": ("own", lambda at, *_: own_folder(at / "own")),
    "the card of a dataset": ("ds/README.md", lambda at, *_: revise_dataset(at / "ds")),
    "beside the manifest": ("ds/.titin.json.partial", lambda at, *_: revise_dataset(at / "ds")),
    "a part in a dataset": ("ds/atlas_scrna_pseudobulk.parquet.part0", lambda at, *_: revise_dataset(at / "ds")),
    "an export": ("back.h5ad", lambda at, _, ds: titin.export(ds, "h5ad", at / "back.h5ad", force=True)),
}  # fmt: skip
SLOW = ("build", "export")


def plant_and_write(place: str, plant: str, folder: Path, source: Path, dataset: Path) -> None:
    home, at = folder / "home", folder / "at"
    (home / "folder").mkdir(parents=True)
    (home / "file").write_text("precious", "utf-8")
    (home / "folder" / "out").mkdir()
    (home / "folder" / "out" / "kept").write_text("precious", "utf-8")
    at.mkdir()
    name, write = PLACES[place]
    if name.startswith("ds/"):
        shutil.copytree(dataset, at / "ds")
    (at / name).parent.mkdir(mode=0o700, exist_ok=True)
    if os.path.lexists(at / name):
        (at / name).unlink()
    PLANTS[plant](at / name, home)
    before = as_it_is(home)
    with suppress(titin.TitinError, OSError):
        write(at, source, dataset)
    assert as_it_is(home) == before


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("place", [place for place in PLACES if not any(word in place for word in SLOW)])
def test_nothing_is_written_through_what_lies_there(place, plant, tmp_path, source, dataset):
    plant_and_write(place, plant, tmp_path, source, dataset)


@pytest.mark.slow
@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("place", [place for place in PLACES if any(word in place for word in SLOW)])
def test_no_command_writes_through_what_lies_there(place, plant, tmp_path, source, dataset):
    plant_and_write(place, plant, tmp_path, source, dataset)


@pytest.mark.parametrize("plant", PLANTS)
def test_what_is_not_ones_own_is_refused_in_words(plant, tmp_path):
    home = tmp_path / "home"
    (home / "folder").mkdir(parents=True)
    (home / "file").touch()
    PLANTS[plant](tmp_path / "place", home)
    with pytest.raises(OutputError, match="of yours"):
        own_folder(tmp_path / "place")
    with pytest.raises(OutputError, match="of yours"):
        os.close(open_lock(tmp_path / "place"))


def test_what_is_ones_own_is_taken(tmp_path):
    own_folder(tmp_path / "own")
    own_folder(tmp_path / "own")
    assert (tmp_path / "own").stat().st_mode & 0o777 == 0o700
    for _ in range(2):
        os.close(open_lock(tmp_path / "own" / "lock"))
    with scratch(tmp_path / "a") as place:
        assert place.stat().st_mode & 0o777 == 0o700
        (place / "a").write_text("text", "utf-8")
        put(place / "a", tmp_path / "a")
    place, lock = make_place(tmp_path / "b")
    assert place.stat().st_mode & 0o777 == 0o700
    os.close(lock)
