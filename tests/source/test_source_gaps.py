"""An interrupted copy, of which chunks or metadata are missing, is not taken for zeros: it is refused, or told of."""

import json
import random
import shutil
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr
from anndata.experimental import write_dispatched
from hypothesis import given
from hypothesis import strategies as st
from source_files import files_of, random_counts, rebuilt, small_atlas, write

from titin.errors import SourceError, TitinError
from titin.source import open_source
from titin.source.gaps import Gaps, MissingChunks

ROWS = 8  # of a chunk


def chunked_atlas() -> anndata.AnnData:
    """An atlas with what writers may leave out: constant columns, one label, no missing values."""
    atlas = small_atlas(layers={"dense": random_counts() + 1})
    n = atlas.n_obs
    atlas.obs["one_label"] = pd.Categorical(["10x"] * n)
    atlas.obs["nothing"] = 0.0
    atlas.obs["never"] = False
    atlas.obs["empty"] = ""
    atlas.uns["zero"] = 0
    return atlas


def write_chunked(
    atlas: anndata.AnnData, path: Path, version: int, *, per_shard: int = 0, write_empty: bool = False
) -> Path:
    """Write as zarr in chunks of few rows, as large atlases are."""

    def with_chunks(write: Any, group: Any, key: str, element: Any, *, dataset_kwargs: Any, iospec: Any) -> None:
        options, shape = dict(dataset_kwargs), getattr(element, "shape", ())
        n = len(shape) if iospec.encoding_type == "array" else 1
        if shape and iospec.encoding_type not in ("dataframe", "anndata", "dict"):
            options["chunks"] = (ROWS,) * n
            if per_shard:
                options["shards"] = (ROWS * per_shard,) * n
        write(group, key, element, dataset_kwargs=options)

    with warnings.catch_warnings(), zarr.config.set({"array.write_empty_chunks": write_empty}):
        warnings.simplefilter("ignore")
        root = zarr.open_group(path, mode="w", zarr_format=version)
        write_dispatched(root, "/", atlas, with_chunks)
        zarr.consolidate_metadata(root.store)
    return path


STORES = {"zarr2": (2, 0, False), "zarr3": (3, 0, False), "sharded": (3, 3, False)}


@pytest.fixture(scope="module", params=list(STORES))
def store(request, tmp_path_factory):
    version, per_shard, write_empty = STORES[request.param]
    path = tmp_path_factory.mktemp("store") / "atlas.zarr"
    return write_chunked(chunked_atlas(), path, version, per_shard=per_shard, write_empty=write_empty)


def told(path: Path) -> int:
    """Number of chunks that the notes tell of."""
    with open_source(path) as source:
        notes = [note for note in source.notes if note.startswith("not stored")]
    assert len(notes) < 2
    return int(notes[0].removeprefix("not stored, and so read as zeros: ").split(" ")[0]) if notes else 0


def read_all(path: Path) -> None:
    with open_source(path) as source:
        list(source.X.blocks(10**6, path.parent))
        dict(source.obsm)


def lose(folder: Path, name: str, expected: int) -> str:
    """Remove a file, see that this is refused or told of, and put it back; return how."""
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    try:
        found = told(folder)
    except SourceError as error:
        return str(error.args[0]).replace(str(folder), "FILE")
    finally:
        (folder / name).write_bytes(content)
    assert found > expected, f"{name} is missing, and nothing tells"
    return "told"


NOT_READ = ("obsp", "varp", "varm", "layers", "raw", ".zmetadata")


def chunks_of(folder: Path) -> list[str]:
    return [name for name in files_of(folder) if not name.endswith(("zarr.json", ".zarray", ".zattrs"))]


def losable(folder: Path) -> list[str]:
    return [name for name in files_of(folder) if name.partition("/")[0] not in NOT_READ]


def test_whatever_is_missing_is_refused_or_told(store):
    expected = told(store)
    assert expected > 5
    names = losable(store)
    for name in random.Random(0).sample(names, 6):
        lose(store, name, expected)
    assert told(store) == expected


@pytest.mark.slow
def test_everything_that_can_be_missing_is_refused_or_told(store):
    expected = told(store)
    said = {name: lose(store, name, expected) for name in losable(store)}
    metadata = [name for name in said if name.rpartition("/")[2] in (".zarray", ".zgroup", ".zattrs", "zarr.json")]
    assert all(said[name] != "told" for name in metadata)
    assert {name.split("/")[0] for name, how in said.items() if how == "told"} <= {"obs", "var", "uns", "obsm"}


REFUSED = (
    "X/data", "X/indices", "X/indptr", "obs/_index", "var/gene_id", "obs/donor/categories", "obsm/X_umap",
    "obsm/frame/_index",
)  # fmt: skip


@pytest.mark.parametrize("place", REFUSED)
def test_what_cannot_be_zeros_is_refused(store, place):
    said = lose(store, f"{place}/{random.Random(2).choice(chunks_of(store / place))}", 0)
    assert place in said
    assert "stored" in said


@pytest.mark.parametrize("place", ["obs/n_counts", "obs/is_nucleus", "obs/note", "var/symbol", "uns/a/array"])
def test_what_may_be_zeros_is_told(store, place):
    expected = told(store)
    name = chunks_of(store / place)[0]
    assert lose(store, f"{place}/{name}", expected) == "told"


def test_codes_of_several_labels_are_not_all_the_first(store):
    folder = store / "obs" / "donor" / "codes"
    chunks = chunks_of(folder)
    contents = {name: (folder / name).read_bytes() for name in chunks}
    for name in chunks:
        (folder / name).unlink()
    try:
        with pytest.raises(SourceError, match=r"chunks of obs/donor/codes are not stored for 4 labels") as error:
            open_source(store)
        assert "--no-obs 'donor'" in error.value.hint
        with open_source(store, no_obs=["donor"]) as source:
            assert "donor" not in source.obs
    finally:
        for name, content in contents.items():
            (folder / name).write_bytes(content)


def test_a_store_that_is_whole_says_nothing(tmp_path):
    assert told(write(small_atlas(), tmp_path / "a", "zarr3")) == 0


@pytest.mark.parametrize("version", [2, 3])
def test_a_writer_that_stores_zeros_has_left_out_none(tmp_path, version):
    """One chunk of zeros that is stored shows it; any that is missing is lost."""
    path = write_chunked(chunked_atlas(), tmp_path / "atlas.zarr", version, write_empty=True)
    assert told(path) == 0
    for name in random.Random(1).sample([name for name in losable(path) if name.startswith(("obs/n", "uns/a/"))], 4):
        assert lose(path, name, 0) != "told"
    (chunk,) = (path / "obs" / "n_counts").rglob("1")
    chunk.unlink()
    with pytest.raises(SourceError, match="1 of 5 chunks of obs/n_counts are not stored; its writer stores chunks of"):
        open_source(path)


def test_in_a_zip_file(store, tmp_path):
    path = tmp_path / "atlas.zarr.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in files_of(store):
            archive.write(store / name, name)
    assert told(path) == told(store)
    lost = next(name for name in files_of(store) if name.startswith("X/data/") and name.endswith("2"))
    with zipfile.ZipFile(path, "w") as archive:
        for name in files_of(store):
            if name != lost:
                archive.write(store / name, name)
    with pytest.raises(SourceError, match="chunks of X/data are not stored"):
        open_source(path)


@pytest.mark.parametrize("place", ["obs/donor", "obs", "obsm", "obsm/X_umap", "layers/dense", "uns/a", "var/symbol"])
def test_a_summary_without_what_it_lists(store, place):
    (store / place).rename(store.parent / "removed")
    try:
        with pytest.raises(SourceError, match=rf"is incomplete: {place}/.* is not there") as error:
            open_source(store)
        assert "consolidate_metadata" in error.value.hint
        if place == "obs/donor":
            with open_source(store, no_obs=["donor"]) as source:
                assert "donor" not in source.obs
    finally:
        (store.parent / "removed").rename(store / place)


def test_a_summary_that_points_elsewhere(store, tmp_path):
    """Names in a summary are names in the store."""
    folder = shutil.copytree(store, tmp_path / "a" / "atlas.zarr")
    shutil.copytree(store / "obs" / "n_counts", tmp_path / "a" / "outside")
    name = ".zmetadata" if (folder / ".zmetadata").exists() else "zarr.json"
    document = json.loads((folder / name).read_text())
    listed = document["metadata"] if name == ".zmetadata" else document["consolidated_metadata"]["metadata"]
    listed |= {key.replace("obs/n_counts", "uns/../../outside"): value for key, value in listed.items()}
    (folder / name).write_text(json.dumps(document))
    with pytest.raises(SourceError, match=r"is incomplete: uns/\.\./\.\./outside"):
        open_source(folder)


@pytest.mark.parametrize("place", ["X/data", "obs/n_counts", "obs/note", "obsm/X_umap"])
def test_chunks_without_content(store, place):
    """As programs leave that make all files first."""
    name = chunks_of(store / place)[0]
    content = (store / place / name).read_bytes()
    try:
        (store / place / name).write_bytes(b"")
        with pytest.raises(SourceError, match=f"chunk {place}/{name} is an empty file"):
            open_source(store)
        (store / place / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(SourceError):
            read_all(store)
    finally:
        (store / place / name).write_bytes(content)


def test_a_truncated_chunk_of_blosc_in_version_3(tmp_path):
    """Its decoder trusts the length in the chunk's header and reads on beyond what is there."""
    path = write(small_atlas(), tmp_path / "atlas", "zarr3")
    root = zarr.open_group(path, mode="r+", use_consolidated=False)
    values, attributes = root["obs/n_counts"][...], dict(root["obs/n_counts"].attrs)
    options = {"chunks": (20,), "compressors": zarr.codecs.BloscCodec(), "overwrite": True}
    array = root.create_array("obs/n_counts", shape=values.shape, dtype=values.dtype, **options)
    array[...] = values
    array.attrs.update(attributes)
    with open_source(path) as source:
        np.testing.assert_array_equal(source.obs["n_counts"], values)
    chunk = path / "obs" / "n_counts" / "c" / "1"
    chunk.write_bytes(chunk.read_bytes()[:-9])
    with pytest.raises(SourceError, match=r"chunk obs/n_counts/c/1 is truncated"):
        open_source(path)


def shard_without(path: Path, number: int, n_inner: int) -> None:
    """Take one chunk out of a shard's index, as its writer would have left it out."""
    import google_crc32c

    raw = bytearray(path.read_bytes())
    index = np.frombuffer(raw[-16 * n_inner - 4 : -4], "<u8").copy()
    index[2 * number : 2 * number + 2] = 2**64 - 1
    raw[-16 * n_inner - 4 : -4] = index.tobytes()
    raw[-4:] = google_crc32c.value(index.tobytes()).to_bytes(4, "little")
    path.write_bytes(raw)


def test_a_chunk_that_a_shard_lacks(tmp_path):
    path = write_chunked(chunked_atlas(), tmp_path / "atlas.zarr", 3, per_shard=3)
    expected = told(path)
    shard_without(path / "obs" / "n_counts" / "c" / "0", 1, 3)
    assert told(path) == expected + 1
    shard_without(path / "X" / "data" / "c" / "1", 2, 3)
    with pytest.raises(SourceError, match="1 of 58 chunks of X/data are not stored"):
        open_source(path)


# matrices


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("convert", [sp.csr_matrix, sp.csc_matrix])
def test_a_single_gene_may_have_indices_of_zeros(tmp_path, scratch, version, convert):
    """Every entry is of gene 0, so the writer leaves the indices out; titin reads what anndata reads."""
    counts = random_counts(40, 1) + 1
    path = write_chunked(anndata.AnnData(convert(counts)), tmp_path / "atlas.zarr", version)
    with open_source(path) as source:
        assert (rebuilt(source.X, 1000, scratch).toarray() == counts).all()
        assert len([note for note in source.notes if "X/indices" in note]) == (convert is sp.csr_matrix)


def test_two_entries_of_a_cell_are_not_both_of_the_first_gene():
    indptr = np.array([0, 1, 2, 2, 4])

    def refused(stored: set[int]) -> bool:
        gap = MissingChunks(4 - len(stored), 4, (4,), (1,), frozenset((number,) for number in stored))
        gaps = Gaps(Path("atlas"), {"X/indices": gap}, {})
        try:
            gaps.check_matrix("X", indptr)
        except SourceError:
            return True
        return False

    assert not refused({1, 2, 3})
    assert not refused({3})
    assert refused({0, 1})
    assert refused(set())


@given(lengths=st.lists(st.integers(0, 4), min_size=1, max_size=12), extent=st.integers(1, 5), data=st.data())
def test_missing_indices_are_refused_where_they_repeat_a_gene(lengths, extent, data):
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    n, n_chunks = int(indptr[-1]), -(-int(indptr[-1]) // extent)
    stored = data.draw(st.sets(st.integers(0, n_chunks - 1), max_size=n_chunks - 1)) if n_chunks else set()
    if len(stored) == n_chunks:
        return
    missing = [entry for entry in range(n) if entry // extent not in stored]
    rows = [int(np.searchsorted(indptr, entry, side="right")) for entry in missing]
    gap = MissingChunks(n_chunks - len(stored), n_chunks, (n,), (extent,), frozenset((number,) for number in stored))
    gaps = Gaps(Path("atlas"), {"X/indices": gap}, {}, lambda: True)
    if len(set(rows)) == len(rows):
        gaps.check_matrix("X", indptr)
        assert gaps.notes()
    else:
        with pytest.raises(SourceError, match="X/indices"):
            gaps.check_matrix("X", indptr)


def test_dense_chunks_of_zeros(tmp_path, scratch):
    """Some genes that some cells do not express may be left out; cells without any value may not."""
    counts = random_counts() + 1
    counts[8:16, 0:8] = 0
    path = write_chunked(anndata.AnnData(counts), tmp_path / "atlas.zarr", 3)
    assert told(path) == 1
    with open_source(path) as source:
        assert (rebuilt(source.X, 1000, scratch).toarray() == counts).all()
    counts[8:16] = 0
    path = write_chunked(anndata.AnnData(counts), tmp_path / "empty.zarr", 3)
    with pytest.raises(SourceError, match="of X are not stored; of cells 8 to 15 nothing is stored"):
        open_source(path)


def test_layers_that_may_witness_the_counts(store):
    """One that is incomplete is no witness, and the reason is told."""
    path = store.parent / "witness.zarr"
    atlas = small_atlas(X=np.log1p(random_counts()), layers={"counts": sp.csr_matrix(random_counts())})
    write_chunked(atlas, path, 3)
    with open_source(path) as source:
        assert source.counts is not None
    (path / "layers" / "counts" / "data" / "c" / "3").unlink()
    with open_source(path) as source:
        assert source.counts is None
        assert "1 of 58 chunks of layers/counts/data are not stored" in source.left_out["layers/counts"]
    with pytest.raises(SourceError, match="layers/counts/data"):
        open_source(path, layer="counts")


def test_a_fill_value_that_is_no_zero(store):
    name = ".zarray" if (store / "obs/n_counts/.zarray").exists() else "zarr.json"
    file = store / "obs" / "nothing" / name
    before = file.read_text()
    file.write_text(before.replace('"fill_value": 0.0', '"fill_value": 7.0'))
    try:
        with pytest.raises(SourceError, match="chunks of obs/nothing are not stored"):
            open_source(store)
    finally:
        file.write_text(before)


# HDF5


def unwritten(file: h5py.File, place: str, *, chunked: bool, n_written: int = 0) -> None:
    """Make an element anew that was never, or not wholly, written."""
    old = file[place]
    values, attributes = old[()], dict(old.attrs)
    dtype, shape = old.dtype, old.shape
    del file[place]
    new = file.create_dataset(place, shape, dtype, chunks=(min(5, shape[0]), *shape[1:]) if chunked else None)
    new.attrs.update(attributes)
    if n_written:
        new[:n_written] = values[:n_written]


@pytest.mark.parametrize(
    "place",
    ["X/data", "X/indices", "X/indptr", "obs/n_counts", "obs/note", "obs/_index", "obs/donor/codes", "var/symbol",
     "obsm/X_umap", "obsm/frame/x", "uns/a/array"],
)  # fmt: skip
@pytest.mark.parametrize(("chunked", "n_written"), [(False, 0), (True, 7)])
def test_hdf5_that_was_not_written_to_its_end(tmp_path, place, chunked, n_written):
    path = write(small_atlas(), tmp_path / "atlas", "h5ad")
    with h5py.File(path, "r+") as file:
        if n_written > len(file[place]) - 5:
            n_written = 0
        unwritten(file, place, chunked=chunked, n_written=n_written)
    with pytest.raises(SourceError, match=f"{place}.* (is|are) not stored") as error:
        open_source(path)
    assert "copy it again" in error.value.hint


@pytest.mark.parametrize("name", ["data", "indices"])
def test_hdf5_whose_first_chunk_would_be_read_as_its_fill_value(tmp_path, name):
    """A fill value may be any, and a chunk of it be meant: no writer of AnnData does so."""
    path = write(anndata.AnnData(sp.csr_matrix(random_counts())), tmp_path / "atlas", "h5ad")
    with h5py.File(path, "r+") as file:
        values = file["X"][name][()]
        del file["X"][name]
        array = file["X"].create_dataset(name, values.shape, values.dtype, chunks=(100,), fillvalue=values[0])
        array[100:] = values[100:]
    with pytest.raises(SourceError, match=f"1 of 5 chunks of X/{name} are not stored"):
        open_source(path)


@pytest.mark.parametrize("alias", ["soft", "hard"])
def test_hdf5_by_another_name(tmp_path, alias):
    """What is read is what the name leads to."""
    path = write(small_atlas(), tmp_path / "atlas", "h5ad")
    with h5py.File(path, "r+") as file:
        unwritten(file, "X/data", chunked=True, n_written=10)
        file.move("X", "hidden")
        file["X"] = h5py.SoftLink("/hidden") if alias == "soft" else file["hidden"]
    with pytest.raises(SourceError, match=r"X/data|hidden/data"):
        open_source(path)


def test_what_is_not_read_may_be_incomplete(tmp_path):
    path = write(small_atlas(varm={"loadings": np.ones((23, 2))}), tmp_path / "atlas", "h5ad")
    with h5py.File(path, "r+") as file:
        unwritten(file, "varm/loadings", chunked=True)
        unwritten(file, "obs/n_counts", chunked=True)
    with open_source(path, no_obs=["n_counts"]) as source:
        assert source.obs.shape[1] == 7
    with pytest.raises(SourceError, match="obs/n_counts") as error:
        open_source(path)
    assert "--no-obs 'n_counts'" in error.value.hint


def test_tenx(tmp_path):
    path = tmp_path / "filtered.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["shape"], group["barcodes"], group["indptr"] = [3, 2], [b"A", b"C"], [0, 1, 2]
        group["features/id"], group["features/name"] = [b"a", b"b", b"c"], [b"A", b"B", b"C"]
        group["data"] = np.ones(2, "i4")
        group.create_dataset("indices", (2,), "i8", chunks=(1,))[1] = 2
    with pytest.raises(SourceError, match="1 of 2 chunks of matrix/indices are not stored"):
        open_source(path)


@pytest.mark.slow
def test_real_atlases(shared, tmp_path):
    """None is refused, as it was written or as zarr; those that lack chunks of zeros are told of."""
    for path in sorted((shared / "data" / "h5ad").glob("*.h5ad")):
        with open_source(path) as source:
            assert not [note for note in source.notes if note.startswith("not stored")]
        atlas = anndata.read_h5ad(path)
        for version in ("zarr2", "zarr3"):
            with open_source(write(atlas, tmp_path / f"{path.stem}{version}", version)) as source:
                assert source.X.shape == atlas.shape
                pd.testing.assert_index_equal(source.obs.index, atlas.obs.index, check_names=False)


def test_no_traceback_of_any_damage(store):
    """A seeded walk: files cut, emptied, exchanged; every end is a sentence, or what anndata reads."""
    rng = random.Random(7)
    for _ in range(8):
        name = rng.choice(losable(store))
        content = (store / name).read_bytes()
        changed = rng.choice([b"", content[: rng.randrange(len(content) + 1)], bytes(len(content)), content[::-1]])
        try:
            (store / name).write_bytes(changed)
            with suppress(TitinError):
                read_all(store)
        finally:
            (store / name).write_bytes(content)
