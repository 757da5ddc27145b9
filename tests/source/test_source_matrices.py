"""Every storage × type × compression × container gives the same rows, whatever the size of the blocks."""

import shutil
from pathlib import Path

import anndata
import h5py
import hdf5plugin
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from source_files import assert_identical, assert_same, random_counts, rebuilt, small_atlas, write

from titin.errors import SourceError
from titin.source import open_source
from titin.source.reading import row_ranges

STORAGE = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": np.asarray}
COMPRESSION = {
    "plain": {},
    "gzip": {"compression": "gzip"},
    "lzf": {"compression": "lzf"},
    "zstd": {"compression": hdf5plugin.FILTERS["zstd"]},
    "gzip+shuffle": {"compression": "gzip", "shuffle": True},
}
DTYPES = ["float32", "int64", "float64", "int8", "int32", "uint16"]
SIZES = [1, 64, 1000, 10**9]


@pytest.mark.parametrize("storage", STORAGE)
@pytest.mark.parametrize(
    ("container", "dtype"),
    [*(("h5ad", dtype) for dtype in DTYPES), *((z, dtype) for z in ("zarr2", "zarr3") for dtype in DTYPES[:2])],
)
def test_blocks_hold_the_matrix(tmp_path, scratch, storage, container, dtype):
    dense = random_counts(dtype=dtype)
    path = write(anndata.AnnData(STORAGE[storage](dense)), tmp_path / "atlas", container)
    with open_source(path) as source:
        assert source.X.storage == storage
        assert source.X.dtype == np.dtype(dtype)
        assert source.X.shape == dense.shape
        assert source.X.nnz == (None if storage == "dense" else np.count_nonzero(dense))
        for max_bytes in SIZES:
            assert_identical(rebuilt(source.X, max_bytes, scratch), sp.csr_matrix(dense))


@pytest.mark.parametrize("storage", STORAGE)
@pytest.mark.parametrize("compression", COMPRESSION)
def test_compressed_h5ad(tmp_path, scratch, storage, compression):
    atlas = small_atlas(STORAGE[storage](random_counts()), uns={})  # HDF5 has no filters for scalars
    path = write(atlas, tmp_path / "atlas", "h5ad", **COMPRESSION[compression])
    with open_source(path) as source:
        for max_bytes in SIZES:
            assert_identical(rebuilt(source.X, max_bytes, scratch), sp.csr_matrix(random_counts()))
        pd.testing.assert_frame_equal(source.obs, anndata.read_h5ad(path).obs)


@pytest.mark.parametrize("layout", ["contiguous", "chunked", "big-endian"])
def test_uncompressed_layouts(tmp_path, scratch, layout):
    expected = sp.csr_matrix(random_counts(200, 30))
    path = write(anndata.AnnData(expected), tmp_path / "atlas", "h5ad")
    with h5py.File(path, "r+") as file:
        for name in ("data", "indices"):
            values = file["X"][name][()]
            del file["X"][name]
            if layout == "contiguous":
                file["X"].create_dataset(name, data=values)
            elif layout == "big-endian":
                file["X"].create_dataset(name, data=values.astype(values.dtype.newbyteorder(">")))
            else:  # out of order, so that the pieces do not follow each other in the file
                array = file["X"].create_dataset(name, shape=values.shape, dtype=values.dtype, chunks=(7,))
                for start in reversed(range(0, len(values), 7)):
                    array[start : start + 7] = values[start : start + 7]
    with open_source(path) as source:
        for max_bytes in [1, 100, 5000, 10**9]:
            assert_identical(rebuilt(source.X, max_bytes, scratch), expected)


def test_file_with_a_user_block(tmp_path, scratch):
    plain = write(small_atlas(), tmp_path / "plain", "h5ad")
    path = tmp_path / "userblock.h5ad"
    with h5py.File(plain) as old, h5py.File(path, "w", userblock_size=512) as new:
        new.attrs.update(old.attrs)
        for name in old:
            old.copy(name, new)
    with open_source(path) as source:
        assert_identical(rebuilt(source.X, 1000, scratch), sp.csr_matrix(random_counts()))


CHUNKS = [(1, 23), (7, 5), (40, 1), (40, 23), (3, 23)]


@pytest.mark.parametrize(("chunks", "compression"), [(None, None), *((c, z) for c in CHUNKS for z in (None, "gzip"))])
def test_dense_chunks_of_any_shape(tmp_path, scratch, chunks, compression):
    dense = random_counts()
    dense[0, 0], dense[0, 1], dense[3, 4] = -0.0, np.nan, np.inf
    path = write(anndata.AnnData(dense), tmp_path / "atlas", "h5ad")
    with h5py.File(path, "r+") as file:
        attributes = dict(file["X"].attrs)
        del file["X"]
        file.create_dataset("X", data=dense, chunks=chunks, compression=compression).attrs.update(attributes)
    expected = sp.csr_matrix(dense)
    assert np.isnan(expected.data).sum() == 1
    with open_source(path) as source:
        for max_bytes in SIZES:
            assert_identical(rebuilt(source.X, max_bytes, scratch), expected)


@pytest.mark.parametrize("chunk", [1, 7, 100, 10_000])
@pytest.mark.parametrize("container", ["h5ad", "zarr2"])
def test_chunks_larger_than_blocks_are_unpacked_once(tmp_path, scratch, monkeypatch, container, chunk):
    monkeypatch.setattr("titin.source.stored._CHUNK_CACHE", 0)
    expected = sp.csr_matrix(random_counts())
    path = write(anndata.AnnData(expected), tmp_path / "atlas", container)
    root = h5py.File(path, "r+") if container == "h5ad" else zarr.open_group(path, mode="r+", use_consolidated=False)
    for name in ("data", "indices"):
        values = root["X"][name][:]
        del root["X"][name]
        create = root["X"].create_dataset if container == "h5ad" else root["X"].create_array
        options = {"compression": "gzip"} if container == "h5ad" else {}
        create(name, data=values, chunks=(min(chunk, len(values)),), **options)
    if container == "h5ad":
        root.close()
    else:
        zarr.consolidate_metadata(root.store)
    reads = []
    with open_source(path) as source:
        assert type(source.X._data).__name__ == "_LargeChunks"
        inner = source.X._data._vector
        original = inner.read
        monkeypatch.setattr(inner, "read", lambda *span: reads.append(span) or original(*span))
        assert_identical(rebuilt(source.X, 200, scratch), expected)
    assert sum(stop - start for start, stop in reads) == expected.nnz


@pytest.mark.parametrize("storage", STORAGE)
def test_true_and_false(tmp_path, scratch, storage):
    path = write(anndata.AnnData(STORAGE[storage](random_counts(dtype="bool"))), tmp_path / "atlas", "h5ad")
    with open_source(path) as source:
        assert source.X.dtype == bool
        assert_identical(rebuilt(source.X, 100, scratch), sp.csr_matrix(random_counts(dtype="bool")))


def test_names_written_as_bytes_by_other_languages(tmp_path):
    path = write(small_atlas(), tmp_path / "atlas", "h5ad")
    expected = anndata.read_h5ad(path)
    with h5py.File(path, "r+") as file:
        for table in ("obs", "var"):
            attributes = file[table].attrs
            attributes["column-order"] = np.array([name.encode() for name in attributes["column-order"]])
            attributes["_index"] = np.bytes_(attributes["_index"])
        file["X"].attrs["encoding-type"] = np.bytes_("csr_matrix")
    with open_source(path) as source:
        pd.testing.assert_frame_equal(source.obs, expected.obs)
        assert source.left_out == {}


def test_zarr_in_a_zip_file(tmp_path, scratch):
    folder = write(small_atlas(), tmp_path / "atlas", "zarr3")
    path = Path(shutil.make_archive(str(folder), "zip", folder))
    with open_source(path) as source:
        assert source.format == "zarr"
        assert_identical(rebuilt(source.X, 1000, scratch), sp.csr_matrix(random_counts()))
        assert list(source.obsm) == ["X_umap", "frame"]
        assert len(source.sha256()) == 64


def test_nullable_strings(tmp_path):
    atlas = small_atlas()
    atlas.obs["text"] = pd.array([None, *(["x"] * 39)], dtype="string")
    with anndata.settings.override(allow_write_nullable_strings=True):
        path = write(atlas, tmp_path / "atlas", "h5ad")
    with open_source(path) as source:
        pd.testing.assert_frame_equal(source.obs, anndata.read_h5ad(path).obs)


def test_big_endian_dense_zarr(tmp_path, scratch):
    path = write(anndata.AnnData(random_counts()), tmp_path / "atlas", "zarr2")
    group = zarr.open_group(path, mode="r+", zarr_format=2)
    attributes = dict(group["X"].attrs)
    del group["X"]
    array = group.create_array("X", shape=(40, 23), chunks=(7, 5), dtype=">f4")
    array[:] = random_counts()
    array.attrs.update(attributes)
    zarr.consolidate_metadata(group.store)
    with open_source(path) as source:
        assert_identical(rebuilt(source.X, 500, scratch), sp.csr_matrix(random_counts()))


def test_unsorted_and_repeated_indices_come_as_they_are(tmp_path, scratch):
    X = sp.csr_matrix((np.array([1, 2, 3], "f4"), np.array([2, 0, 0]), np.array([0, 2, 3])), shape=(2, 3))
    path = write(anndata.AnnData(X), tmp_path / "atlas", "h5ad")
    with open_source(path) as source:
        (block,) = source.X.blocks(10**6, scratch)
        assert block.indices.tolist() == [2, 0, 0]
        assert block.data.tolist() == [1, 2, 3]


@pytest.mark.parametrize("storage", ["csc", "dense"])
def test_scratch_is_empty_after_an_early_end(tmp_path, scratch, storage):
    path = write(anndata.AnnData(STORAGE[storage](random_counts())), tmp_path / "a", "h5ad", compression="gzip")
    with open_source(path) as source:
        blocks = source.X.blocks(200, scratch)
        next(blocks)
        assert storage == "dense" or list(scratch.iterdir())
        blocks.close()
        assert not list(scratch.iterdir())


def test_blocks_stay_within_the_limit(tmp_path, scratch):
    dense = random_counts(300, 50)
    dense[200] = 5  # one cell larger than the limit
    for storage, convert in STORAGE.items():
        path = write(anndata.AnnData(convert(dense)), tmp_path / storage, "h5ad")
        with open_source(path) as source:
            for block in source.X.blocks(320, scratch):
                assert block.indices.nbytes + block.data.nbytes <= 320 or block.n_cells == 1


def test_two_matrices_share_a_scratch_folder(tmp_path, scratch):
    X = sp.csc_matrix(random_counts())
    atlas = small_atlas(X, layers={"counts": X.copy()})
    with open_source(write(atlas, tmp_path / "atlas", "h5ad")) as source:
        for a, b in zip(source.X.blocks(500, scratch), source.counts.blocks(500, scratch), strict=True):
            np.testing.assert_array_equal(a.data, b.data)
        assert not list(scratch.iterdir())


def test_csc_index_outside_the_cells(tmp_path, scratch):
    path = write(anndata.AnnData(sp.csc_matrix(random_counts())), tmp_path / "atlas", "h5ad")
    with h5py.File(path, "r+") as file:
        file["X/indices"][5] = 40
    with (
        open_source(path) as source,
        pytest.raises(SourceError, match=r"X is damaged: indices\[5\] names cell 40 of 40"),
    ):
        list(source.X.blocks(1000, scratch))


def test_reading_after_close_is_refused(tmp_path, scratch):
    path = write(small_atlas(), tmp_path / "atlas", "h5ad")
    source = open_source(path)
    source.close()
    source.close()
    with pytest.raises(SourceError, match="X/indices"):
        list(source.X.blocks(1000, scratch))


@pytest.mark.parametrize("container", ["h5ad", "zarr2", "zarr3"])
def test_tables_and_metadata_are_those_of_anndata(tmp_path, container):
    path = write(small_atlas(), tmp_path / "atlas", container)
    expected = (anndata.read_h5ad if container == "h5ad" else anndata.read_zarr)(path)
    with open_source(path) as source:
        assert source.format == container.rstrip("23")
        pd.testing.assert_frame_equal(source.obs, expected.obs, check_column_type=True)
        pd.testing.assert_frame_equal(source.var, expected.var, check_column_type=True)
        assert_same(source.uns, dict(expected.uns))
        assert_same(dict(source.obsm), {k: expected.obsm[k] for k in expected.obsm})
        assert list(source.obs["donor"].cat.categories) == ["D2", "D0", "D1", "unused"]
        assert source.obs["age"].cat.ordered
        assert source.left_out == {}


@given(
    dense=npst.arrays(
        np.float32, st.tuples(st.integers(1, 30), st.integers(1, 20)), elements=st.sampled_from([0, 0, 1, 2.5])
    ),
    max_bytes=st.integers(1, 400),
    storage=st.sampled_from(list(STORAGE)),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_matrix_at_any_block_size(tmp_path, scratch, dense, max_bytes, storage):
    path = write(anndata.AnnData(STORAGE[storage](dense)), tmp_path / "any", "h5ad")
    with open_source(path) as source:
        assert_identical(rebuilt(source.X, max_bytes, scratch), sp.csr_matrix(dense))


@given(lengths=st.lists(st.integers(0, 30), min_size=1, max_size=50), max_bytes=st.integers(1, 500))
def test_row_ranges_cover_all_rows_and_are_as_long_as_can_be(lengths, max_bytes):
    indptr = np.array([0, *np.cumsum(lengths)], np.int64)
    ranges = list(row_ranges(indptr, 8, max_bytes))
    assert [start for start, _ in ranges] == [0, *(stop for _, stop in ranges[:-1])]
    assert ranges[-1][1] == len(lengths)
    for start, stop in ranges:
        assert stop > start
        assert stop == start + 1 or (indptr[stop] - indptr[start]) * 8 <= max_bytes
