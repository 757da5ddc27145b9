"""Every unusable input has its own message: what is wrong, where, and what to do."""

import gzip
import json
import warnings
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr
from source_files import random_counts, small_atlas, write

from titin.errors import SourceError
from titin.source import open_source
from titin.source.names import check_columns
from titin.source.reading import reading


@pytest.fixture
def h5ad(tmp_path):
    return write(small_atlas(), tmp_path / "atlas", "h5ad")


@pytest.fixture
def change(h5ad):
    """The file, opened for damage."""
    with h5py.File(h5ad, "r+") as file:
        yield file


def refusal(path, **choice):
    """Message and hint of the refusal; the message names the file."""
    with pytest.raises(SourceError) as error:
        open_source(path, **choice)
    message = str(error.value.args[0])
    assert str(path) in message
    assert error.value.hint
    return message.replace(str(path), "FILE"), error.value.hint


def replace(file, name, values, **options):
    attributes = dict(file[name].attrs)
    del file[name]
    file.create_dataset(name, data=values, **options).attrs.update(attributes)


# what is not a source


def test_missing(tmp_path):
    assert refusal(tmp_path / "none.h5ad") == ("FILE does not exist", "Check the name and the folder.")


def test_folder_that_is_not_zarr(tmp_path):
    message, hint = refusal(tmp_path)
    assert message == "FILE is a folder, but not a zarr store"
    assert ".zarr" in hint


def test_folder_of_mtx_files(tmp_path):
    (tmp_path / "matrix.mtx.gz").touch()
    assert "10x folder" in refusal(tmp_path)[1]


def test_folder_around_a_zarr_store(tmp_path):
    write(small_atlas(), tmp_path / "inner", "zarr3")
    assert "inner.zarr" in refusal(tmp_path)[1]


@pytest.mark.parametrize(
    ("content", "hint"),
    [(b"", "empty"), (b"a,b\n1,2\n", "damaged"), (gzip.compress(b"x", mtime=0), "gunzip"), (b"PK\x03\x04xxxx", "zip")],
    ids=["empty", "text", "gzip", "zip"],
)
def test_not_hdf5(tmp_path, content, hint):
    path = tmp_path / "atlas.h5ad"
    path.write_bytes(content)
    message, given = refusal(path)
    assert message == "FILE is not an HDF5 file"
    assert hint in given


@pytest.mark.parametrize("suffix", [".loom", ".rds", ".csv", ".mtx", ".mtx.gz", ".tsv.gz", ".h5seurat"])
def test_other_formats(tmp_path, suffix):
    path = tmp_path / f"atlas{suffix}"
    path.touch()
    message, hint = refusal(path)
    assert f"{suffix.removesuffix('.gz')} files are not read" in message
    assert "AnnData .h5ad and .zarr, 10x Genomics .h5" in message
    assert "onvert" in hint or "write" in hint.lower()


def test_hdf5_without_obs(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["table"] = 1
    message, hint = refusal(path)
    assert message == "FILE is not AnnData: it has no obs and var (found: table)"
    assert "10x Genomics" in hint


def test_mudata_without_a_modality(tmp_path):
    path = tmp_path / "multi.h5"
    with h5py.File(path, "w") as file:
        file.create_group("mod")
    message, hint = refusal(path)
    assert "MuData, with the modalities none" in message
    assert ".h5mu" in hint


def test_zarr_that_is_not_anndata(tmp_path):
    zarr.open_group(tmp_path / "other.zarr", mode="w", zarr_format=3)
    assert "it has no obs and var (found: nothing)" in refusal(tmp_path / "other.zarr")[0]


def test_damaged_zarr_metadata(tmp_path):
    path = write(small_atlas(), tmp_path / "atlas", "zarr3")
    (path / "zarr.json").write_text("{")
    assert "the root cannot be read" in refusal(path)[0]


def test_columns_listed_twice(change, h5ad):
    change["obs"].attrs["column-order"] = ["donor", "age", "donor"]
    change.close()
    message, hint = refusal(h5ad)
    assert message == "FILE: obs lists 1 columns more than once, for example 'donor'"
    assert "column-order" in hint


# damage


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_truncated(h5ad, share):
    h5ad.write_bytes(h5ad.read_bytes()[: int(h5ad.stat().st_size * share)])
    message, hint = refusal(h5ad)
    assert "truncated" in message
    assert "download it again" in hint


def test_file_ends_in_the_values(tmp_path, scratch):
    """The header promises more than there is, as after a copy that left a hole: only reading tells."""
    path = write(anndata.AnnData(sp.csr_matrix(random_counts())), tmp_path / "a", "h5ad", compression="gzip")
    with h5py.File(path) as file:
        chunk = file["X/data"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(content)
    with open_source(path) as source, pytest.raises(SourceError, match=r"X/data\[0:\d+\] cannot be read") as error:
        list(source.X.blocks(10**6, scratch))
    assert "download it again" in error.value.hint


def test_file_shrinks_while_it_is_read(tmp_path, scratch):
    path = write(anndata.AnnData(sp.csr_matrix(random_counts(400, 40))), tmp_path / "a", "h5ad")
    with open_source(path) as source:
        with path.open("r+b") as file:
            file.truncate(3000)
        with pytest.raises(SourceError, match=r"cannot be read \(the file ends early\)"):
            list(source.X.blocks(10**6, scratch))


@pytest.mark.parametrize("part", ["indptr", "indices", "data"])
def test_sparse_part_missing(h5ad, change, part):
    del change[f"X/{part}"]
    change.close()
    message, _ = refusal(h5ad)
    assert message.startswith("FILE: X cannot be read (missing: ")
    assert part in message


@pytest.mark.parametrize("part", ["indices", "data"])
def test_sparse_part_short(h5ad, change, part):
    replace(change, f"X/{part}", change[f"X/{part}"][:-3])
    change.close()
    assert "FILE: X is damaged: indptr ends at " in refusal(h5ad)[0]


@pytest.mark.parametrize(
    ("position", "value", "what"),
    [(0, 1, "indptr starts at 1, not at 0"), (7, 10_000, "indptr falls from 10,000"), (-1, 10_000, "ends at 10,000")],
)
def test_indptr_wrong(h5ad, change, position, value, what):
    indptr = change["X/indptr"][()]
    indptr[position] = value
    change["X/indptr"][...] = indptr
    change.close()
    message, hint = refusal(h5ad)
    assert what in message
    assert "damaged or incomplete" in hint


def test_indptr_short(h5ad, change):
    replace(change, "X/indptr", change["X/indptr"][:-1])
    change.close()
    assert "indptr has 40 entries, 41 were expected" in refusal(h5ad)[0]


def test_indices_are_not_integers(h5ad, change):
    replace(change, "X/indices", change["X/indices"][()].astype("f4"))
    change.close()
    assert "indices holds float32 values, not integers" in refusal(h5ad)[0]


def test_x_of_unknown_encoding(h5ad, change):
    change["X"].attrs["encoding-type"] = "coo_matrix"
    change.close()
    assert "X is coo_matrix, not a CSR, CSC or dense matrix" in refusal(h5ad)[0]


def test_obs_cannot_be_read(h5ad, change):
    del change["obs/n_counts"]
    change.close()
    message, _ = refusal(h5ad)
    assert message.startswith("FILE: obs/n_counts cannot be read (missing: ")
    assert "n_counts" in message


# X


def test_no_x(tmp_path):
    atlas = small_atlas(layers={"counts": random_counts(), "spliced": random_counts()})
    atlas.raw = atlas.copy()
    atlas.X = None
    path = write(atlas, tmp_path / "a", "h5ad")
    assert refusal(path) == ("FILE has no X", "This file offers --layer counts, --layer spliced, --raw.")


@pytest.mark.parametrize("container", ["h5ad", "zarr3"])
def test_no_x_and_nothing_else(tmp_path, container):
    atlas = small_atlas()
    atlas.X = None
    assert refusal(write(atlas, tmp_path / "a", container)) == ("FILE has no X", "It has no layers and no raw either.")


def test_layer_that_does_not_exist(tmp_path, h5ad):
    path = write(small_atlas(layers={"spliced": random_counts()}), tmp_path / "b", "h5ad")
    assert refusal(path, layer="count") == ("FILE has no layer 'count'", "Layers in this file: spliced.")
    assert refusal(h5ad, layer="count")[1] == "This file has no layers."


def test_raw_that_does_not_exist(h5ad):
    assert refusal(h5ad, raw=True)[0] == "FILE has no raw"


def test_layer_and_raw(h5ad):
    assert refusal(h5ad, layer="a", raw=True)[0] == "FILE: --layer and --raw cannot both be X"


def test_shape_disagrees(h5ad, change):
    change["X"].attrs["shape"] = [40, 22]
    change.close()
    assert refusal(h5ad)[0] == "FILE: X is 40 × 22, but obs has 40 rows and var 23"


@pytest.mark.parametrize("container", ["h5ad", "zarr3"])
@pytest.mark.parametrize("convert", [sp.csr_matrix, sp.csc_matrix, np.asarray])
@pytest.mark.parametrize(("shape", "what"), [((0, 5), "cells"), ((5, 0), "genes"), ((0, 0), "cells")])
def test_nothing_in_it(tmp_path, container, convert, shape, what):
    path = write(anndata.AnnData(convert(np.zeros(shape, "f4"))), tmp_path / "a", container)
    message, _ = refusal(path)
    assert message.startswith(f"FILE has no {what}")


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (random_counts().astype(complex), "complex128"),
        (np.full((40, 23), "x", dtype=h5py.string_dtype()), "object"),
        (np.zeros((40, 23), [("a", "f4"), ("b", "f4")]), "'a'"),
        (random_counts().astype(np.longdouble), str(np.dtype(np.longdouble))),
    ],
)
def test_values_that_are_no_numbers(h5ad, change, values, what):
    del change["X"]
    change["X"] = values
    change.close()
    message, _ = refusal(h5ad)
    assert message.startswith("FILE: X h")
    assert what in message


def test_x_of_one_dimension(h5ad, change):
    del change["X"]
    change["X"] = np.zeros(40)
    change.close()
    assert "X has shape (40,) and type float64, not cells × genes" in refusal(h5ad)[0]


# names and columns


def test_duplicate_barcodes(h5ad, change):
    change["obs/_index"][10:20] = [f"cell-{i}" for i in range(10)]
    change.close()
    message, hint = refusal(h5ad)
    assert message == "FILE: duplicate barcodes: 10 names occur more than once (cell-0, cell-1, cell-2, …)"
    assert "obs_names_make_unique" in hint


def test_duplicate_genes(h5ad, change):
    change["var/gene_id"][1:3] = "ENSG0"
    change.close()
    message, hint = refusal(h5ad)
    assert message == "FILE: duplicate genes: 1 names occur more than once (ENSG0)"
    assert "var_names_make_unique, or Ensembl ids" in hint


@pytest.mark.parametrize(("table", "index", "kind"), [("obs", "_index", "cell"), ("var", "gene_id", "gene")])
def test_empty_name(h5ad, change, table, index, kind):
    change[table][index][5] = ""
    change.close()
    message, hint = refusal(h5ad)
    assert message == f"FILE: 1 {kind}s have no name; the first is {kind} 5"
    assert table in hint


def test_nan_among_the_names(h5ad, change):
    names = np.arange(40.0)
    names[[3, 8]] = np.nan
    replace(change, "obs/_index", names)
    change["obs/_index"].attrs["encoding-type"] = "array"
    change.close()
    assert refusal(h5ad)[0] == "FILE: 2 cells have no name; the first is cell 3"


def test_numbers_as_names_become_text_as_in_anndata(h5ad, change):
    replace(change, "obs/_index", np.arange(40))
    change["obs/_index"].attrs["encoding-type"] = "array"
    del change["obsm"]
    change.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = anndata.read_h5ad(h5ad).obs
    with open_source(h5ad) as source:
        pd.testing.assert_frame_equal(source.obs, expected)


def test_column_of_two_dimensions(h5ad, change):
    replace(change, "obs/n_counts", np.zeros((40, 2)))
    change.close()
    message, hint = refusal(h5ad)
    assert message == "FILE: column 'n_counts' of obs has shape (40, 2); a column has one value a row"
    assert "obsm" in hint


def test_compound_column_of_two_dimensions(tmp_path):
    path = tmp_path / "old.h5ad"
    with h5py.File(path, "w") as file:
        file["X"] = random_counts(3, 2)
        file["obs"] = np.zeros(3, [("index", "S2"), ("wide", "f4", (2,))])
        file["var"] = np.zeros(2, [("index", "S2")])
    assert "column 'wide' of obs has shape (3, 2)" in refusal(path)[0]


def test_zarr_column_of_python_objects(tmp_path):
    path = write(small_atlas(), tmp_path / "atlas", "zarr2")
    described = json.loads((path / "obs/n_counts/.zarray").read_text()) | {"dtype": "|O", "filters": [{"id": "pickle"}]}
    (path / "obs/n_counts/.zarray").write_text(json.dumps(described))
    (path / ".zmetadata").unlink()
    assert refusal(path)[0].startswith("FILE: obs/n_counts cannot be read (")


@pytest.mark.parametrize(
    ("values", "example"),
    [
        (["a", 1, "b"], r"1 \(int\)"),
        ([{"x": 1}, None, None], r"\{'x': 1\} \(dict\)"),
        ([None, 1.5, "a"], r"1.5 \(float\)"),
        (pd.Categorical([("a", 1), ("b", 2), ("a", 1)]), r"\('a', 1\) \(tuple\)"),
    ],
)
def test_column_of_mixed_objects(values, example):
    """No storage of today brings them through anndata; one of tomorrow may."""
    table = pd.DataFrame({"fine": ["a", None, "b"], "note": values})
    with pytest.raises(
        SourceError, match=f"column 'note' of obs holds objects that are not all strings, for example {example}"
    ) as error:
        check_columns(Path("atlas.h5ad"), table, "obs")
    assert "astype(str)" in error.value.hint


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (OSError("Can't synchronously read data (inflate() failed)"), "download it again"),
        (EOFError("the file ends early"), "download it again"),
        (RuntimeError("error during blosc decompression: -1"), "download it again"),
        (ValueError("Stored and computed checksum do not match"), "download it again"),
        (KeyError("Unable to synchronously open object (bad object header version number)"), "download it again"),
        (KeyError("Unable to synchronously open object (object 'x' doesn't exist)"), "lacks this part"),
        (KeyError("Unable to synchronously open object (component not found)"), "lacks this part"),
        (KeyError("x"), "lacks this part"),
        (AttributeError("'Group' object has no attribute 'dtype'"), "not known here"),
        (UnicodeDecodeError("ascii", b"x", 0, 1, "ordinal not in range(128)"), "not known here"),
        (TypeError("no"), "not known here"),
        (NotImplementedError("no"), "not known here"),
        (OSError("required filter 'x' is not registered"), "hdf5plugin"),
    ],
    ids=str,
)
def test_only_lost_bytes_are_called_damage(tmp_path, error, hint):
    with pytest.raises(SourceError) as raised, reading(tmp_path, "X"):
        raise error
    assert hint in raised.value.hint
    assert ("download" in raised.value.hint) == (hint == "download it again")
