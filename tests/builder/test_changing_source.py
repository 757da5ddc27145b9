"""A source that changes while it is read makes no dataset: its checksum would not be of what was read."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import anndata
import pytest

import titin
from titin.builder import dry_run, pipeline, plan
from titin.check import run
from titin.demo import write_demo_atlas
from titin.errors import OutputError, SourceError

Change = Callable[[Path], None]


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_atlas(tmp_path_factory.mktemp("atlas") / "atlas.h5ad", n_cells=300, n_genes=150)


@pytest.fixture(scope="module")
def store(atlas: Path) -> Path:
    path = atlas.with_suffix(".zarr")
    with pytest.warns():
        anndata.read_h5ad(atlas).write_zarr(path)
    return path


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(bytes(8))


def rewrite(path: Path) -> None:
    """Another byte, and nothing else, but that the time tells."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000))


def exchange(path: Path) -> None:
    """Another file under the same name, of the same size and time."""
    copy = path.with_suffix(".copy")
    shutil.copy2(path, copy)
    copy.replace(path)


def a_chunk(change: Change) -> Change:
    return lambda folder: change(next(file for file in sorted((folder / "X" / "data").rglob("*")) if file.name == "0"))


def chunk_comes(folder: Path) -> None:
    (folder / "obs" / "late").touch()


def chunk_goes(folder: Path) -> None:
    a_chunk(lambda file: file.unlink())(folder)


CHANGES = {
    "h5ad": (grow, rewrite, exchange),
    "zarr": (a_chunk(grow), a_chunk(rewrite), a_chunk(exchange), chunk_comes, chunk_goes),
}
CASES = [(kind, change) for kind, changes in CHANGES.items() for change in changes]


def copy_of(kind: str, atlas: Path, store: Path, folder: Path) -> Path:
    source, copy = (atlas if kind == "h5ad" else store), folder / f"copy.{kind}"
    return Path(shutil.copy(source, copy) if source.is_file() else shutil.copytree(source, copy))


def after(patch: pytest.MonkeyPatch, module: object, name: str, work: Callable[[], None]) -> None:
    """Do something once, when a function of a module has been called."""
    original = getattr(module, name)

    def called(*given: object, **more: object) -> object:
        result = original(*given, **more)
        patch.undo()
        work()
        return result

    patch.setattr(module, name, called)


@pytest.mark.parametrize(("kind", "change"), CASES)
@pytest.mark.parametrize("moment", ["scan", pytest.param("write_genes", marks=pytest.mark.slow)])
def test_a_build(
    kind: str, change: Change, moment: str, atlas: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy_of(kind, atlas, store, tmp_path)
    after(monkeypatch, pipeline, moment, lambda: change(path))
    with pytest.raises(SourceError, match="changed while it was read") as error:
        titin.build(path, tmp_path / "out", project=())
    assert "begin again" in str(error.value.hint)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [path.name]


@pytest.mark.parametrize(("kind", "change"), [CASES[0], CASES[-1]])
def test_a_dry_run(
    kind: str, change: Change, atlas: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy_of(kind, atlas, store, tmp_path)
    after(monkeypatch, dry_run, "scan", lambda: change(path))
    with pytest.raises(SourceError, match="changed while it was read"):
        plan(path, tmp_path / "out", project=())


@pytest.mark.parametrize(("kind", "change"), [CASES[0], pytest.param(*CASES[-1], marks=pytest.mark.slow)])
def test_a_validation(
    kind: str, change: Change, atlas: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy_of(kind, atlas, store, tmp_path)
    titin.build(path, tmp_path / "out", project=())
    assert titin.validate(tmp_path / "out", source=path, checks=["source"]).passed
    after(monkeypatch, run, "_run", lambda: change(path))
    with pytest.raises(SourceError, match="changed while it was read"):
        titin.validate(tmp_path / "out", source=path, checks=["source"])


def test_a_reader_that_fails_meanwhile_says_why(atlas: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That the file is damaged is what it looks like, and not what it is."""
    path = copy_of("h5ad", atlas, atlas, tmp_path)

    def cut(*_given: object) -> object:
        os.truncate(path, 5000)
        raise SourceError("X cannot be read", "copy it again")

    monkeypatch.setattr(pipeline, "scan", cut)
    with pytest.raises(SourceError, match=r"changed while it was read: copy\.h5ad had"):
        titin.build(path, tmp_path / "out", project=())


def test_an_interrupted_build_is_not_gone_on_with_another_chunk(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder's own time does not tell of a chunk that is rewritten deep in it."""
    path = copy_of("zarr", store, store, tmp_path)
    before = path.stat().st_mtime_ns

    def interrupt(*_given: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "write_genes", interrupt)
    with pytest.raises(KeyboardInterrupt):
        titin.build(path, tmp_path / "out", project=())
    monkeypatch.undo()
    a_chunk(rewrite)(path)
    assert path.stat().st_mtime_ns == before
    with pytest.raises(OutputError, match="cannot be resumed: source changed"):
        titin.build(path, tmp_path / "out", project=(), resume=True)


def test_the_checksum_is_of_the_bytes_that_were_read(atlas: Path, tmp_path: Path) -> None:
    report = titin.build(atlas, tmp_path / "out", project=())
    assert report.manifest.source["sha256"] == hashlib.sha256(atlas.read_bytes()).hexdigest()
