"""The checksum names a source by its content."""

import hashlib
import shutil

from source_files import small_atlas, write

from titin.source import open_source


def test_of_a_file(tmp_path):
    path = write(small_atlas(), tmp_path / "a", "h5ad")
    with open_source(path) as source:
        assert source.sha256() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_of_a_folder(tmp_path):
    path = write(small_atlas(), tmp_path / "a", "zarr3")
    copy = shutil.copytree(path, tmp_path / "b.zarr")
    with open_source(path) as source, open_source(copy) as same:
        assert source.sha256() == same.sha256()
        before = source.sha256()
        (path / "obs" / "zarr.json").rename(path / "obs" / "zarr.jsom")
        assert source.sha256() != before
        (path / "obs" / "zarr.jsom").rename(path / "obs" / "zarr.json")
        chunk = next(
            p for p in sorted(path.rglob("*")) if p.is_file() and p.stat().st_size > 20 and p.suffix != ".json"
        )
        chunk.write_bytes(chunk.read_bytes()[:-1] + b"?")
        assert source.sha256() != before
