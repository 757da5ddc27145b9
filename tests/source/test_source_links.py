"""A source draws on no other file of the machine, wherever a link lies in it, unless that is asked for."""

import os
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest
import scipy.sparse as sp
from source_files import files_of, random_counts, small_atlas, write

from titin.errors import SourceError
from titin.source import open_source
from titin.source.inventory import Inventory


def whole_atlas():
    """An atlas with a part of every kind."""
    counts = random_counts()
    return small_atlas(
        X=sp.csr_matrix(counts),
        layers={"dense": counts, "counts": sp.csc_matrix(counts)},
        varm={"loadings": np.ones((counts.shape[1], 3))},
        obsp={"distances": sp.csr_matrix(np.eye(len(counts)))},
    )


PARTS = (
    "X", "X/data", "X/indptr", "layers/dense", "layers/counts/indices", "obs", "obs/n_counts", "obs/donor",
    "obs/donor/codes", "obs/note", "obs/_index", "var/symbol", "uns", "uns/a", "uns/a/array", "uns/colors",
    "obsm/X_umap", "varm/loadings", "obsp/distances/data",
)  # fmt: skip
ARRAYS = ("X/data", "X/indptr", "layers/dense", "obs/n_counts", "obs/donor/codes", "uns/a/array", "obsm/X_umap")


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    return write(whole_atlas(), tmp_path_factory.mktemp("atlas") / "atlas", "h5ad")


@pytest.fixture
def copy(atlas, tmp_path):
    """A file to be changed, beside a whole one that it may draw on."""
    shutil.copy(atlas, tmp_path / "whole.h5ad")
    return Path(shutil.copy(atlas, tmp_path / "atlas.h5ad"))


def refusal(path: Path) -> str:
    with pytest.raises(SourceError) as error:
        open_source(path)
    assert "follow" in str(error.value.hint) or "zip" in str(error.value.hint)
    assert str(path) in error.value.args[0]
    return str(error.value.args[0]).replace(str(path), "FILE")


def external_link(file: h5py.File, part: str, named: str) -> str:
    del file[part]
    file[part] = h5py.ExternalLink(named, f"/{part}")
    return "an external link to"


def external_storage(file: h5py.File, part: str, named: str) -> str:
    """The bytes lie in a file of their own, for which HDF5 looks in the working directory."""
    values, attributes = file[part][()], dict(file[part].attrs)
    raw = Path(file.filename).with_name(f"{named}.raw")
    raw.write_bytes(values.tobytes())
    del file[part]
    stored = [(str(raw), 0, values.nbytes)]
    file.create_dataset(part, values.shape, values.dtype, external=stored).attrs.update(attributes)
    return "external storage in"


def virtual_dataset(file: h5py.File, part: str, named: str) -> str:
    shape, dtype, attributes = file[part].shape, file[part].dtype, dict(file[part].attrs)
    del file[part]
    layout = h5py.VirtualLayout(shape, dtype)
    layout[...] = h5py.VirtualSource(named, part, shape)
    file.create_virtual_dataset(part, layout).attrs.update(attributes)
    return "a virtual dataset of parts of"


HDF5 = [(external_link, part) for part in PARTS] + [
    (change, part) for part in ARRAYS for change in (external_storage, virtual_dataset)
]


@pytest.mark.parametrize(("change", "part"), HDF5)
def test_hdf5(copy, change: Callable[[h5py.File, str, str], str], part: str):
    named = "whole.h5ad"
    with h5py.File(copy, "r+") as file:
        what = change(file, part, named)
    assert f"FILE: {part} is {what} " in refusal(copy)
    assert named in refusal(copy)


QUICK = ("X", "X/data", "obs/donor", "obsm/X_umap")


@pytest.mark.parametrize(
    ("change", "part"), [pytest.param(*case, marks=() if case[1] in QUICK else pytest.mark.slow) for case in HDF5]
)
def test_hdf5_that_is_followed(copy, change: Callable[[h5py.File, str, str], str], part: str):
    named = "whole.h5ad"
    with h5py.File(copy, "r+") as file:
        change(file, part, named)
    with open_source(copy, follow_links=True) as found, open_source(copy.with_name(named)) as expected:
        assert found.sha256() != expected.sha256()
        assert found.notes == [*expected.notes, found.notes[-1]]
        assert found.notes[-1].startswith(f"links to other files were followed (1): {part} (")
        same_parts(found, expected, copy.parent)


def same_parts(found, expected, folder: Path) -> None:
    for name in ("obs", "var"):
        assert getattr(found, name).equals(getattr(expected, name))
    assert sorted(found.uns) == sorted(expected.uns)
    np.testing.assert_array_equal(found.obsm["X_umap"], expected.obsm["X_umap"])
    for block, other in zip(found.X.blocks(10**6, folder), expected.X.blocks(10**6, folder), strict=True):
        np.testing.assert_array_equal(block.data, other.data)
        np.testing.assert_array_equal(block.indices, other.indices)


@pytest.mark.parametrize("change", [external_link, virtual_dataset])
def test_hdf5_through_another_file(copy, change):
    """What is followed may lead on, and is looked at likewise."""
    last = copy.with_name("last.h5ad")
    shutil.copy(copy, last)
    with h5py.File(copy.with_name("whole.h5ad"), "r+") as file:
        external_link(file, "uns/a", "last.h5ad")
    with h5py.File(copy, "r+") as file:
        change(file, "X/data", "whole.h5ad")
    with open_source(copy, follow_links=True) as source:
        assert "last.h5ad" in source.inventory.states
    last.unlink()
    with pytest.raises(SourceError, match=r"uns/a is an external link to last\.h5ad, where no file is"):
        open_source(copy, follow_links=True)


def test_soft_links_stay_in_their_file(copy):
    with h5py.File(copy, "r+") as file:
        file["layers/again"] = h5py.SoftLink("/layers/dense")
        file["uns/nowhere"] = h5py.SoftLink("/not/there")
        file.move("X", "matrix")
        file["X"] = h5py.SoftLink("/matrix")
    with open_source(copy) as found, open_source(copy.with_name("whole.h5ad")) as expected:
        same_parts(found, expected, copy.parent)


def test_a_virtual_dataset_of_its_own_file(copy):
    with h5py.File(copy, "r+") as file:
        file["values"] = file["X/data"][()]
        shape, dtype = file["X/data"].shape, file["X/data"].dtype
        del file["X/data"]
        layout = h5py.VirtualLayout(shape, dtype)
        layout[...] = h5py.VirtualSource(".", "values", shape)
        file.create_virtual_dataset("X/data", layout)
    assert "FILE: X/data is a virtual dataset of parts of the same file" in refusal(copy)
    with open_source(copy, follow_links=True) as found, open_source(copy.with_name("whole.h5ad")) as expected:
        same_parts(found, expected, copy.parent)


def lose_the_file(file, layout, shape):
    layout[:] = h5py.VirtualSource("none.h5", "values", shape)


def lose_the_dataset(file, layout, shape):
    layout[:] = h5py.VirtualSource(".", "none", shape)


def lose_the_end(file, layout, shape):
    file["values"] = np.ones(shape[0] - 5, "f4")
    layout[:] = h5py.VirtualSource(".", "values", shape)


def lose_a_part(file, layout, shape):
    file["values"] = np.ones(shape, "f4")
    layout[7:] = h5py.VirtualSource(".", "values", shape)[7:]


def draw_on_itself(file, layout, shape):
    layout[:] = h5py.VirtualSource(".", "X/data", shape)


@pytest.mark.parametrize("lose", [lose_the_file, lose_the_dataset, lose_the_end, lose_a_part, draw_on_itself])
def test_a_virtual_dataset_without_all_its_sources(copy, lose):
    """HDF5 would read its fill value in their place, without a word."""
    with h5py.File(copy, "r+") as file:
        shape = file["X/data"].shape
        del file["X/data"]
        layout = h5py.VirtualLayout(shape, "f4")
        lose(file, layout, shape)
        file.create_virtual_dataset("X/data", layout, fillvalue=1)
    with pytest.raises(SourceError, match="X/data is a virtual dataset"):
        open_source(copy, follow_links=True)


def test_external_link_in_a_tenx_file(tmp_path):
    """And nothing at all is opened: the file that is named is not even there."""
    path = tmp_path / "filtered.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["shape"] = [3, 2]
        group["barcodes"] = [b"A", b"C"]
        group["data"] = h5py.ExternalLink("/etc/none.h5", "/data")
    assert "FILE: matrix/data is an external link to /etc/none.h5" in refusal(path)


# zarr


@pytest.fixture(params=["zarr2", "zarr3"], scope="module")
def store(request, tmp_path_factory):
    return write(whole_atlas(), tmp_path_factory.mktemp("store") / "atlas", request.param)


@pytest.fixture
def folder(store, tmp_path):
    return shutil.copytree(store, tmp_path / "atlas.zarr")


@pytest.mark.parametrize("part", [*PARTS[:4], *(pytest.param(part, marks=pytest.mark.slow) for part in PARTS[4:])])
def test_a_folder_of_zarr_that_is_a_link(store, folder, part):
    shutil.rmtree(folder / part)
    (folder / part).symlink_to(store / part)
    assert refusal(folder) == f"FILE: {part} is a symbolic link to {store / part}"
    check_followed(folder, store)


def check_followed(folder: Path, store: Path) -> None:
    with open_source(folder, follow_links=True) as found, open_source(store) as expected:
        assert "followed" in found.notes[-1]
        assert found.sha256() == expected.sha256()  # of the content, wherever it lies
        same_parts(found, expected, folder.parent)


def test_any_file_of_zarr_that_is_a_link(store, folder):
    """Chunks, metadata, attributes."""
    names = files_of(folder)
    assert len(names) > 40
    for name in names:
        (folder / name).unlink()
        (folder / name).symlink_to(store / name)
        assert refusal(folder) == f"FILE: {name} is a symbolic link to {store / name}"
        (folder / name).unlink()
        shutil.copy(store / name, folder / name)
    for name in names:
        (folder / name).unlink()
        (folder / name).symlink_to(store / name)
    check_followed(folder, store)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../etc/passwd", "/nonexistent", ".", ".."])
def test_a_link_that_no_part_needs(folder, target):
    for name in ("evil", "uns/evil", "obs/evil", "X/data/evil"):
        (folder / name).symlink_to(target)
        assert refusal(folder) == f"FILE: {name} is a symbolic link to {target}"
        (folder / name).unlink()


@pytest.mark.parametrize("target", [".", "..", "../uns", "../../atlas.zarr"])
def test_a_link_that_leads_round_is_not_followed(folder, target):
    (folder / "uns" / "round").symlink_to(target)
    with pytest.raises(SourceError, match=r"uns/round is a symbolic link to .*, in which it lies itself"):
        open_source(folder, follow_links=True)


def test_a_link_to_nowhere_is_told_where_links_are_followed(folder):
    (folder / "uns" / "evil").symlink_to("/nonexistent")
    with pytest.raises(SourceError, match="uns/evil is a symbolic link to /nonexistent, where nothing is"):
        open_source(folder, follow_links=True)


def test_a_pipe_in_a_folder(folder):
    os.mkfifo(folder / "X" / "data" / "pipe")
    with pytest.raises(SourceError, match="X/data/pipe is neither a file nor a folder"):
        open_source(folder)


def test_a_link_in_a_zip_file(folder, tmp_path):
    """Zip keeps a link as a file whose content is the target's name."""
    path = tmp_path / "atlas.zarr.zip"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        for name in files_of(folder):
            archive.write(folder / name, name)
        link = zipfile.ZipInfo("uns/evil")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert refusal(path) == "FILE: uns/evil is a symbolic link to /etc/passwd"


@pytest.mark.parametrize("container", ["h5ad", "zarr3"])
def test_the_source_may_be_a_link_itself(tmp_path, container):
    path = write(whole_atlas(), tmp_path / "atlas", container)
    link = tmp_path / f"link{path.suffix}"
    link.symlink_to(path)
    with open_source(link) as found, open_source(path) as expected:
        assert found.sha256() == expected.sha256()
        assert found.notes == expected.notes


# sources that change


def grow(path: Path) -> str:
    with path.open("ab") as file:
        file.write(b"\0")
    return "bytes and has"


def touch(path: Path) -> str:
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1))
    return "was written to"


def replace(path: Path) -> str:
    """Same content, time and size: another file."""
    copy = path.with_name("copy")
    shutil.copy2(path, copy)
    copy.replace(path)
    return "was replaced by another file"


def remove(path: Path) -> str:
    path.unlink()
    return "was removed"


@pytest.mark.parametrize("change", [grow, touch, replace])
def test_a_file_that_changes(copy, change):
    with open_source(copy) as source:
        source.check_unchanged()
        said = change(copy)
        with pytest.raises(SourceError, match=rf"changed while it was read: .*{said}"):
            source.check_unchanged()


@pytest.mark.parametrize("change", [grow, touch, replace, remove])
def test_any_file_of_a_folder_that_changes(store, folder, change):
    for name in files_of(folder)[::7]:
        inventory = Inventory(folder)
        inventory.check_unchanged()
        said = change(folder / name)
        with pytest.raises(SourceError, match=rf"read: {name} .*{said}"):
            inventory.check_unchanged()
        shutil.copy2(store / name, folder / name)


def test_files_that_come_while_a_folder_is_read(folder):
    with open_source(folder) as source:
        (folder / "obs" / "late").touch()
        with pytest.raises(SourceError, match=r"read: obs/late was added\n"):
            source.check_unchanged()
        (folder / "obs" / "later").touch()
        with pytest.raises(SourceError, match=r"read: obs/late was added \(2 files changed in all\)\n"):
            source.check_unchanged()


def test_a_file_that_goes(copy):
    with open_source(copy) as source:
        copy.unlink()
        with pytest.raises(SourceError, match="changed while it was read"):
            source.check_unchanged()


def test_a_file_that_is_followed_and_changes(copy):
    with h5py.File(copy, "r+") as file:
        external_link(file, "X", "whole.h5ad")
    with open_source(copy, follow_links=True) as source:
        touch(copy.with_name("whole.h5ad"))
        with pytest.raises(SourceError, match=r"read: whole\.h5ad was written to"):
            source.check_unchanged()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("command", [["build", "-o", "out"], ["build", "-o", "out", "--dry-run"]])
@pytest.mark.parametrize("change", [external_link, external_storage, virtual_dataset])
def test_nothing_outside_is_opened(copy, change, command):
    """Refused before the file that is named is so much as opened."""
    with h5py.File(copy, "r+") as file:
        change(file, "obs/n_counts", "whole.h5ad")
    trace = copy.with_name("trace")
    titin = [sys.executable, "-m", "titin", command[0], copy.name, *command[1:]]
    traced = ["strace", "-f", "-e", "trace=openat,open,creat", "-o", str(trace), *titin]
    done = subprocess.run(traced, cwd=copy.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "obs/n_counts" in done.stderr
    opened = trace.read_text("utf-8", "replace")
    assert "atlas.h5ad" in opened
    assert "whole.h5ad" not in opened
    assert not copy.with_name("out").exists()


def test_anndata_would_have_followed(copy):
    """The kind is real: what is refused here, others read."""
    with h5py.File(copy, "r+") as file:
        external_storage(file, "uns/a/array", "whole.h5ad")
    assert anndata.read_h5ad(copy).uns["a"]["array"].tolist() == [0, 1, 2]
