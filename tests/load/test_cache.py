"""A decoded cache that is not as it was made gives right batches or an error; that of others is refused."""

import hashlib
import json
import logging
import os
import shutil
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import titin
from titin import Loader, TitinError
from titin.load import BlockShuffleSampler, SequentialSampler

FILES = ("tokens", "data", "levels", "lengths", "level_lengths", "header.json")


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> titin.Atlas:
    """A small atlas of exact values, in several row groups."""
    folder = tmp_path_factory.mktemp("cached")
    rng = np.random.default_rng(3)
    counts = rng.poisson(rng.uniform(0.2, 30, 40), (2500, 40)).astype(np.float32)
    counts[:, 0] += 1
    X = sparse.csr_matrix(np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4))
    ad.AnnData(X, pd.DataFrame(index=[f"cell{i}" for i in range(2500)])).write_h5ad(folder / "atlas.h5ad")
    return titin.open(titin.build(folder / "atlas.h5ad", folder / "dataset").path)


@pytest.fixture(scope="module")
def truth(atlas: titin.Atlas) -> np.ndarray:
    return whole(Loader(atlas, 100, shuffle=False))


def whole(loader: Loader) -> np.ndarray:
    return np.concatenate([X.toarray() for X, _ in loader])


def cached(atlas: titin.Atlas, home: Path) -> np.ndarray:
    return whole(Loader(atlas, 100, shuffle=False, cache=home))


def folder_of(home: Path) -> Path:
    (folder,) = [path for path in home.iterdir() if path.is_dir()]
    return folder


def write_over(path: Path, change: Callable[[bytearray], object]) -> None:
    """Change a file in place: the same inode, as a bad disk or another program would."""
    data = bytearray(path.read_bytes())
    change(data)
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()


def zero(data: bytearray) -> None:
    data[:] = bytes(len(data))


def flip(data: bytearray) -> None:
    data[len(data) // 3] ^= 0x10


def cut(data: bytearray) -> None:
    del data[len(data) // 2 :]


def lengthen(data: bytearray) -> None:
    data += bytes(4096)


def swap_halves(data: bytearray) -> None:
    half = len(data) // 2
    data[:] = data[half:] + data[:half] + b"\1"


def another_file(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


CONTENT = [zero, flip, cut, lengthen, swap_halves]
KINDS: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: None,
    "a link": lambda path: path.symlink_to("/etc/hostname"),
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "empty": Path.touch,
    "open to all": lambda path: (path.write_bytes(b"x"), path.chmod(0o666)),
}
DAMAGES: dict[str, Callable[[Path], object]] = {
    **{f"{file}: {change.__name__}": lambda f, file=file, change=change: write_over(f / file, change)
       for file in FILES for change in CONTENT},
    **{f"{file}: {kind}": lambda f, file=file, make=make: another_file(f / file, make)
       for file in FILES for kind, make in KINDS.items()},
    "folder open to its group": lambda f: f.chmod(0o770),
    "folder open to all": lambda f: f.chmod(0o777),
    "of another name": lambda f: seal(f, lambda header: {**header, "key": "another"}),
    "fewer checksums": lambda f: seal(f, lambda header: {**header, "tokens": [1, 2]}),
    "no checksums": lambda f: seal(f, lambda _: {}),
    "a list": lambda f: seal(f, lambda _: [1, 2]),
}  # fmt: skip


def seal(folder: Path, change: Callable[[dict], object]) -> None:
    """Write another header, with a checksum that fits."""
    path = folder / "header.json"
    text = json.dumps(change(json.loads(path.read_bytes().partition(b"\n")[2]))).encode()
    path.write_bytes(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)


def try_damage(atlas, truth, home, name, caplog):
    """A damage at rest: the batches are right, somebody is told, and the cache is as good as new afterwards."""
    shutil.rmtree(home, ignore_errors=True)
    np.testing.assert_array_equal(cached(atlas, home), truth)
    DAMAGES[name](folder_of(home))
    caplog.clear()
    np.testing.assert_array_equal(cached(atlas, home), truth, err_msg=name)
    assert any(record.levelno == logging.WARNING and "damaged" in record.message for record in caplog.records), name
    caplog.clear()
    np.testing.assert_array_equal(cached(atlas, home), truth, err_msg=name)
    np.testing.assert_array_equal(cached(atlas, home), truth, err_msg=name)
    assert not caplog.records, name
    assert sorted(path.name for path in folder_of(home).iterdir()) == sorted(FILES)


QUICK = [
    "tokens: zero", "data: flip", "levels: swap_halves", "lengths: zero", "level_lengths: cut", "header.json: flip",
    "tokens: a link", "data: a pipe", "folder open to all", "of another name", "a list",
]  # fmt: skip


@pytest.mark.parametrize("name", QUICK)
def test_a_damaged_cache_gives_right_batches_and_is_made_again(atlas, truth, tmp_path, caplog, name):
    try_damage(atlas, truth, tmp_path / "cache", name, caplog)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(DAMAGES) - set(QUICK)))
def test_any_damaged_cache_gives_right_batches_and_is_made_again(atlas, truth, tmp_path, caplog, name):
    try_damage(atlas, truth, tmp_path / "cache", name, caplog)


# but for a file that is cut short, which ends the process, as with any mapped file
WHILE_OPEN: dict[str, Callable[[Path], object]] = {
    **{f"{file}: {change.__name__}": lambda f, file=file, change=change: write_over(f / file, change)
       for file in ("tokens", "data", "levels") for change in CONTENT if change is not cut},
    "tokens put in another's place": lambda f: shutil.move(shutil.copy(f / "data", f / "new"), f / "tokens"),
    "all removed": shutil.rmtree,
}  # fmt: skip


@pytest.mark.parametrize("name", WHILE_OPEN)
def test_what_is_damaged_while_it_is_open_gives_no_wrong_batch(atlas, tmp_path, name):
    sampler = BlockShuffleSampler(atlas.n_obs, block_cells=50, buffer_cells=100)
    expected = [X.toarray() for X, _ in Loader(atlas, 50, sampler=sampler)]
    cached(atlas, tmp_path)
    loader = Loader(atlas, 50, sampler=sampler, cache=tmp_path)
    given = []
    with suppress(TitinError):
        for i, (X, _) in enumerate(loader):
            given.append(X.toarray())
            if i == 5:
                WHILE_OPEN[name](folder_of(tmp_path))
    assert len(given) > 5
    for batch, right in zip(given, expected, strict=False):
        np.testing.assert_array_equal(batch, right)
    loader.set_epoch(0)
    again = [X.toarray() for X, _ in loader]
    assert len(again) == len(expected)
    for batch, right in zip(again, expected, strict=True):
        np.testing.assert_array_equal(batch, right)


@pytest.mark.parametrize("from_cache", [False, True])
def test_small_loads_do_not_mix_however_many_are_being_cut(atlas, truth, tmp_path, monkeypatch, from_cache):
    cut = Loader._gather

    def cut_late(loader, piece):
        time.sleep(0.02)
        return cut(loader, piece)

    monkeypatch.setattr(Loader, "_gather", cut_late)
    sampler = BlockShuffleSampler(atlas.n_obs, block_cells=10, buffer_cells=20)
    loader = Loader(atlas, 20, sampler=sampler, cache=tmp_path if from_cache else False, threads=16)
    for epoch in range(2):
        np.testing.assert_array_equal(whole(loader), truth[np.concatenate(list(sampler.loads(epoch)))])


PLANTED: dict[str, Callable[[Path, Path], object]] = {
    "a link": lambda place, target: place.symlink_to(target),
    "a pipe": lambda place, target: os.mkfifo(place),
    "a file of another user": lambda place, target: (place.write_bytes(b"theirs"), os.chown(place, 65_534, 65_534)),
}


@pytest.mark.parametrize("what", PLANTED)
@pytest.mark.parametrize("where", ["lock", "cache"])
def test_what_somebody_has_planted_is_refused_and_left_alone(atlas, truth, tmp_path, what, where):
    if "another user" in what and os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    home, victim = tmp_path / "home", tmp_path / "victim"
    cached(atlas, home)
    key = folder_of(home)
    victim.write_text("precious", "utf-8")
    place = home / f"{key.name}.lock" if where == "lock" else key
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    PLANTED[what](place, victim)
    with pytest.raises(TitinError):
        cached(atlas, home)
    assert victim.read_text("utf-8") == "precious"
    assert os.path.lexists(place)
    place.unlink()
    np.testing.assert_array_equal(cached(atlas, home), truth)


def test_the_cache_of_another_user_is_refused(atlas, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to another user")
    cached(atlas, tmp_path)
    os.chown(folder_of(tmp_path), 65_534, 65_534)
    with pytest.raises(TitinError, match="belongs to another user"):
        cached(atlas, tmp_path)


def test_a_linked_cache_is_refused(atlas, tmp_path):
    cached(atlas, tmp_path / "theirs")
    key = folder_of(tmp_path / "theirs")
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "mine" / key.name).symlink_to(key)
    with pytest.raises(TitinError, match="no folder of yours"):
        cached(atlas, tmp_path / "mine")
    assert sorted(path.name for path in key.iterdir()) == sorted(FILES)


MODES = {0o700: True, 0o755: True, 0o775: False, 0o777: False, 0o1777: True}


@pytest.mark.parametrize(("mode", "fine"), MODES.items())
def test_a_place_where_others_can_put_caches_is_refused(atlas, truth, tmp_path, mode, fine):
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(mode)
    if fine:
        np.testing.assert_array_equal(cached(atlas, home), truth)
        assert folder_of(home).stat().st_mode & 0o777 == 0o700
    else:
        with pytest.raises(TitinError, match="others can write"):
            cached(atlas, home)
        assert not list(home.iterdir())


def test_titins_own_folder_is_closed_to_others(atlas, truth, tmp_path, monkeypatch):
    monkeypatch.delenv("TITIN_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    home = tmp_path / ".cache" / "titin"
    home.mkdir(parents=True)
    home.chmod(0o777)
    np.testing.assert_array_equal(whole(Loader(atlas, 100, shuffle=False, cache=True)), truth)
    assert home.stat().st_mode & 0o022 == 0


def test_what_a_killed_process_has_left_is_removed(atlas, tmp_path):
    cached(atlas, tmp_path)
    key = folder_of(tmp_path)
    left = tmp_path / f".{key.name}.titin-01234567"
    left.mkdir(mode=0o700)
    key.rename(left / key.name)
    (left / "lock").touch()
    cached(atlas, tmp_path)
    assert not left.exists()
    assert folder_of(tmp_path) == key


def test_a_row_group_is_compared_once_with_its_checksum(atlas, tmp_path, monkeypatch):
    cached(atlas, tmp_path)
    compared, crc32 = [], zlib.crc32
    monkeypatch.setattr(zlib, "crc32", lambda data: (compared.append(1), crc32(data))[1])
    whole(Loader(atlas, 10, sampler=SequentialSampler(100, buffer_cells=20), cache=tmp_path))
    assert len(compared) == 2 + 3  # the lengths, and the three files of the one row group
