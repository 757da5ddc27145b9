"""What a source declares is counted before it is read: no small file takes the memory, and no walk goes on for ever."""

import json
import os
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numcodecs
import numpy as np
import pytest
import scipy.sparse as sp
import zarr
from source_files import random_counts, small_atlas, write

from titin.errors import SourceError
from titin.resources import DEFAULT_MEMORY, current_memory
from titin.source import Source, budget, open_source, structure
from titin.source.budget import Budget
from titin.source.reading import DEEPEST, MOST_ELEMENTS, UnboundedError

HUGE = 3 * 10**9
SECONDS, BYTES = 20, 400 << 20  # of a processor and of memory, that a refusal may take
NOT_READ = ("varm", "obsp", "varp", "layers", "raw", "obsm/X_umap", "obsm/frame/_index")
STREAMED = ("X/data", "X/indices", "layers/counts/data", "layers/counts/indices", "raw/X/data", "raw/X/indices")


@pytest.fixture(autouse=True)
def chunks_count_as_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays that declare anything are never written here; that this is refused too is another subject."""
    monkeypatch.setattr(structure, "_count_chunks", lambda _dataset, _plist: (0, 0))


def everything_read(path: Path) -> Source:
    """Open a source and read all that a build reads."""
    with open_source(path) as source:
        for key in source.obsm:
            source.obsm[key]
        source.skipped_obs()
        return source


def ends(path: Path) -> str:
    """What was said of a source, if it was refused; soon and within the memory in either case."""
    began, before = time.process_time(), current_memory()
    try:
        everything_read(path)
        said = ""
    except SourceError as error:
        said = str(error)
    assert not said or str(path) in said.partition("\n")[0]
    assert time.process_time() - began < SECONDS
    assert current_memory() - before < BYTES
    return said


def atlas_of_all_parts() -> Any:
    counts = sp.csr_matrix(random_counts())
    atlas = small_atlas(counts.copy(), layers={"counts": counts})
    atlas.raw = atlas.copy()
    atlas.varm["loadings"] = np.zeros((atlas.n_vars, 2))
    atlas.obsp["graph"] = sp.csr_matrix((atlas.n_obs, atlas.n_obs))
    return atlas


@pytest.fixture(scope="module")
def h5ad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(atlas_of_all_parts(), tmp_path_factory.mktemp("source") / "atlas", "h5ad")


@pytest.fixture(scope="module")
def zarr_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(atlas_of_all_parts(), tmp_path_factory.mktemp("source") / "atlas", "zarr3")


def places(file: Any, of: type) -> list[str]:
    found: list[str] = []
    file.visititems(lambda name, node: found.append(name) if isinstance(node, of) else None)
    return found


def with_attributes(old: Any, make: Callable[[], Any]) -> None:
    attributes = dict(old.attrs)
    make().attrs.update(attributes)


def test_every_array_of_a_file_may_declare_any_size(h5ad: Path, tmp_path: Path) -> None:
    """Chunks that were never written cost nothing on disk; reading them would take the memory of any machine."""
    with h5py.File(h5ad) as file:
        arrays = places(file, h5py.Dataset)
    assert len(arrays) > 35
    path = tmp_path / "huge.h5ad"
    refused = []
    for name in arrays:
        shutil.copy(h5ad, path)
        with h5py.File(path, "r+") as file:
            old, dtype = file[name], file[name].dtype
            shape = (HUGE, *old.shape[1:])
            chunks = (1 << 16, *old.shape[1:])
            del file[name]
            with_attributes(
                old,
                lambda: file.create_dataset(name, shape, dtype, chunks=chunks, compression="gzip"),  # noqa: B023
            )
        if said := ends(path):
            refused.append(name)
            assert "of memory" in said or "damaged" in said or "values for" in said or name in STREAMED, (name, said)
    assert {"obs/n_counts", "obs/donor/codes", "obs/donor/categories", "var/gene_id", "X/indptr", "uns/a/array",
            "obs/maybe_int/mask", "obsm/frame/x"} <= set(refused)  # fmt: skip
    assert not [name for name in arrays if name not in refused and not name.startswith(NOT_READ)]


@pytest.mark.parametrize("place", ["obs/n_counts", "X/data", "obsm/X_umap", "uns/a/array", "obs/donor/codes"])
def test_a_chunk_may_declare_any_size(place: str, h5ad: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(h5ad, tmp_path / "chunk.h5ad"))
    with h5py.File(path, "r+") as file:
        old = file[place]
        of_a_chunk = {"chunks": (1 << 29, *old.shape[1:]), "maxshape": (None,) * old.ndim, "compression": "gzip"}
        del file[place]
        with_attributes(old, lambda: file.create_dataset(place, old.shape, old.dtype, **of_a_chunk))
    assert "of memory" in ends(path)


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_every_array_of_a_zarr_store_may_declare_any_size(every: int, zarr_store: Path, tmp_path: Path) -> None:
    arrays = [path.parent.relative_to(zarr_store).as_posix() for path in zarr_store.rglob("zarr.json")
              if path.parent != zarr_store and '"node_type": "array"' in path.read_text()]  # fmt: skip
    assert len(arrays) > 35
    path = tmp_path / "huge.zarr"
    for name in sorted(arrays)[::every]:
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(zarr_store, path)
        document = path / name / "zarr.json"
        text = document.read_text()
        shape = zarr.open_array(path / name, mode="r").shape
        if not shape:
            continue
        told = json.loads(text)
        told["shape"] = told["chunk_grid"]["configuration"]["chunk_shape"] = [HUGE, *shape[1:]]
        document.write_text(json.dumps(told))
        said = ends(path)
        assert said or name.startswith(NOT_READ), name


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_every_group_may_lead_back_to_what_holds_it(every: int, h5ad: Path, tmp_path: Path) -> None:
    with h5py.File(h5ad) as file:
        groups = ["/", *places(file, h5py.Group)][::every]
    path = tmp_path / "circle.h5ad"
    for name in groups:
        for hard in (True, False):
            for key in ("x", "categories", "values", "data", "obs"):
                shutil.copy(h5ad, path)
                with h5py.File(path, "r+") as file:
                    group = file[name]
                    if key in group:
                        continue
                    if group.attrs.get("encoding-type") == "dataframe":
                        group.attrs["column-order"] = [*group.attrs["column-order"], key]
                    group[key] = group if hard else h5py.SoftLink(group.name)
                ends(path)


CIRCLES: dict[str, Callable[[h5py.File], Any]] = {
    "itself": lambda file: file["uns"].__setitem__("x", file["uns"]),
    "the root": lambda file: file["uns"].__setitem__("x", file["/"]),
    "one that holds it": lambda file: file["uns/a/b"].__setitem__("x", file["uns/a"]),
    "each other": lambda file: (
        file["uns"].create_group("p").__setitem__("q", file["uns"].create_group("q")),
        file["uns/q"].__setitem__("p", file["uns/p"]),
    ),
}


@pytest.mark.parametrize("circle", CIRCLES)
def test_groups_in_a_circle_are_told(circle: str, h5ad: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(h5ad, tmp_path / "circle.h5ad"))
    with h5py.File(path, "r+") as file:
        CIRCLES[circle](file)
    assert "leads back to" in ends(path)


@pytest.mark.parametrize("depth", [DEEPEST + 1, 1500, 20_000])
@pytest.mark.parametrize("place", ["uns", "varm", "obsm", "layers", "obs", "extra"])
def test_groups_nested_deep_are_told(depth: int, place: str, h5ad: Path, tmp_path: Path) -> None:
    if depth > 1500 and place != "uns":
        pytest.skip("one of them shows it")
    path = Path(shutil.copy(h5ad, tmp_path / "deep.h5ad"))
    with h5py.File(path, "r+") as file:
        group = file.require_group(place)
        for _ in range(depth):
            group = group.create_group("d")
        group["x"] = 1
    assert f"more than {DEEPEST} " in ends(path)


def test_links_that_double_at_every_step_end(h5ad: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty groups, and a million million ways to the last."""
    monkeypatch.setattr(budget, "MOST_ELEMENTS", 2000)
    for place in ("uns", "varm", "obsm"):
        path = Path(shutil.copy(h5ad, tmp_path / "double.h5ad"))
        with h5py.File(path, "r+") as file:
            group = file[place]
            for _ in range(40):
                inner = group.create_group("l")
                group["r"] = inner
                group = inner
            group["x"] = 1
        assert "2,000 elements" in ends(path)


def test_many_elements_and_long_attributes_are_told(h5ad: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(h5ad, tmp_path / "many.h5ad"))
    with h5py.File(path, "r+", libver="latest") as file:
        for i in range(MOST_ELEMENTS + 1):
            file[f"uns/s{i}"] = h5py.SoftLink("/nowhere")
    assert f"more than {MOST_ELEMENTS:,} elements" in ends(path)
    for place, name in (("obs", "column-order"), ("obs", "_index"), ("X", "encoding-type"), ("uns/a", "encoding-type")):
        shutil.copy(h5ad, path)
        with h5py.File(path, "r+", libver="latest") as file:
            file[place].attrs.create(name, np.zeros(60_000, "S1"))
        assert f"more than {MOST_ELEMENTS:,} values" in ends(path)


@pytest.mark.parametrize("packing", ["zstd", "blosc", "zip"])
def test_a_chunk_that_unpacks_to_any_size_is_told(packing: str, zarr_store: Path, tmp_path: Path) -> None:
    """Of an array that declares to be small."""
    zeros = bytes(200 << 20)
    path = Path(shutil.copytree(zarr_store, tmp_path / "packed.zarr"))
    if packing == "blosc":
        with zarr.config.set({"array.target_shard_size_bytes": None}):
            root = zarr.open_group(path, mode="r+")
            attributes, values = dict(root["obs/n_counts"].attrs), root["obs/n_counts"][:]
            del root["obs/n_counts"]
            made = root.create_array("obs/n_counts", data=values, compressors=zarr.codecs.BloscCodec())
            made.attrs.update(attributes)
    chunk = path / "obs/n_counts/c/0"
    assert chunk.is_file()
    if packing == "zip":
        shutil.rmtree(path)
        with zipfile.ZipFile(path.with_suffix(".zarr.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
            for file in (file for file in zarr_store.rglob("*") if file.is_file()):
                name = file.relative_to(zarr_store).as_posix()
                archive.writestr(name, zeros if name == "obs/n_counts/c/0" else file.read_bytes())
        path = path.with_suffix(".zarr.zip")
    else:
        chunk.write_bytes({"zstd": numcodecs.Zstd(), "blosc": numcodecs.Blosc()}[packing].encode(zeros))
    with pytest.raises(SourceError, match=r"obs/n_counts/c/0 would take 200\.0 MiB of memory"):
        open_source(path, memory=400 << 20)


# 10x


def tenx(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        group, counts = file.create_group("matrix"), sp.csr_matrix(random_counts(dtype="int32"))
        group["shape"] = np.array(counts.shape[::-1])
        group["barcodes"] = [f"c{i}".encode() for i in range(counts.shape[0])]
        for part in ("data", "indices", "indptr"):
            group[part] = getattr(counts, part)
        names = [f"g{i}".encode() for i in range(counts.shape[1])]
        for column in ("name", "id", "genome"):
            group[f"features/{column}"] = names
        group["features/feature_type"] = [b"Gene Expression"] * counts.shape[1]
        group["features/target_sets/panel"] = np.arange(3)
    return path


def test_every_array_of_a_10x_file_may_declare_any_size(tmp_path: Path) -> None:
    path = tenx(tmp_path / "matrix.h5")
    assert ends(path) == ""
    with h5py.File(path) as file:
        arrays = places(file, h5py.Dataset)
    for name in arrays:
        with h5py.File(tenx(path), "r+") as file:
            dtype = file[name].dtype
            del file[name]
            file.create_dataset(name, (HUGE,), dtype, chunks=(1 << 16,), compression="gzip")
        said = ends(path)
        assert said or name.startswith("matrix/features/"), name


# what is legal


def test_a_file_may_take_what_its_bytes_can_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten million cells with 200 columns, in a file of 2 GB and the default memory."""
    path = tmp_path / "large.h5"
    with h5py.File(path, "w") as file:
        for name in ("codes", "numbers"):
            file.create_dataset(name, (10**7,), {"codes": "i1", "numbers": "f4"}[name], chunks=(1 << 16,))
        for stored, fits in ((2 << 30, True), (10 << 20, False)):
            claims = Budget(path, DEFAULT_MEMORY)
            monkeypatch.setattr(budget, "available_memory", lambda: 1 << 40)
            vars(claims)["_stored"] = stored
            for i in range(200):
                try:
                    claims.claim(file["codes" if i % 4 else "numbers"], f"obs/{i}")
                except UnboundedError:
                    assert not fits
                    break
            else:
                assert fits


def test_more_memory_is_what_the_hint_asks_for(h5ad: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(h5ad, tmp_path / "large.h5ad"))
    with h5py.File(path, "r+") as file:
        file["obsm"].create_dataset("wide", (40, 2 * 10**6), "f8", chunks=(40, 10**4), compression="gzip")
    with open_source(path) as source, pytest.raises(SourceError, match="give --memory 2GiB"):
        source.obsm["wide"]
    with open_source(path, memory=2 << 30) as source:
        assert source.obsm["wide"].shape == (40, 2 * 10**6)


def test_holes_of_a_file_are_no_bytes_that_it_has(tmp_path: Path) -> None:
    path = tmp_path / "hole"
    path.write_bytes(b"x" * 5000)
    os.truncate(path, 1 << 30)
    assert Budget(path, 0)._stored < 1 << 20
