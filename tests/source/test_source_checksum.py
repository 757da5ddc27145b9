"""The checksum names a source by its content."""

import hashlib
import shutil

from source_files import small_atlas, write

from titin.source import open_source


def test_of_a_file(tmp_path):
    path = write(small_atlas(), tmp_path / "a", "h5ad")
    with open_source(path) as source:
        assert source.sha256() == hashlib.sha256(path.read_bytes()).hexdigest()


def checksum(path):
    with open_source(path) as source:
        return source.sha256()


def test_of_a_folder(tmp_path):
    path = write(small_atlas(), tmp_path / "a", "zarr3")
    copy = shutil.copytree(path, tmp_path / "b.zarr")
    before = checksum(path)
    assert checksum(copy) == before
    for added in ("X/data/note", "uns/a/array/note"):
        (path / added).touch()
        assert checksum(path) != before
        (path / added).unlink()
    assert checksum(path) == before
    chunk = path / "uns" / "a" / "array" / "c" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"?")  # what cannot be read in uns is left out
    assert checksum(path) != before


def test_of_a_folder_is_that_of_its_names_and_their_checksums(tmp_path):
    path = write(small_atlas(), tmp_path / "a", "zarr2")
    lines = sorted(
        (file.relative_to(path).as_posix(), hashlib.sha256(file.read_bytes()).hexdigest())
        for file in path.rglob("*")
        if file.is_file()
    )
    assert checksum(path) == hashlib.sha256("".join(f"{sum_}  {name}\n" for name, sum_ in lines).encode()).hexdigest()
