"""obs and var as programs other than today's anndata write them: read as they are meant, or refused by name."""

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from source_files import random_counts, write

from titin.errors import SourceError
from titin.source import open_source

N = 12
TYPES = ["B", "T", "NK"]
ASCII = h5py.string_dtype("ascii")


def cells() -> pd.DataFrame:
    obs = pd.DataFrame({"n": np.arange(N), "note": [f"Größe {i}" for i in range(N)]}, index=[f"c{i}" for i in range(N)])
    obs["type"] = pd.Categorical.from_codes(np.arange(N) % 3, TYPES)
    return obs


@pytest.fixture
def h5ad(tmp_path: Path) -> Path:
    var = pd.DataFrame({"features": [f"G{i}" for i in range(23)]}, index=[f"G{i}" for i in range(23)])
    return write(anndata.AnnData(sp.csr_matrix(random_counts(N)), obs=cells(), var=var), tmp_path / "atlas", "h5ad")


def bare(group: h5py.Group, *keep: str) -> None:
    for name in [name for name in group.attrs if name not in keep]:
        del group.attrs[name]


def put(group: h5py.Group, name: str, values: object, **attributes: object) -> None:
    if name in group:
        del group[name]
    if isinstance(values, dict):
        for key, value in values.items():
            group.create_group(name) if name not in group else None
            group[name][key] = value
    else:
        group[name] = values
    group[name].attrs.update(attributes)


def labels_beside(file: h5py.File, codes: np.ndarray) -> None:
    put(file["obs"], "type", codes)
    file["obs/__categories/type"] = np.array(TYPES, dtype=ASCII)


CODES = np.arange(N) % 3
R_MISSING = np.iinfo(np.int32).min

# what a writer does to obs, and the types that the cells then have; None for missing
WRITERS: dict[str, tuple[Callable[[h5py.File], object], list[object]]] = {
    "no encoding on obs": (lambda f: bare(f["obs"], "_index", "column-order"), [TYPES[c] for c in CODES]),
    "no attributes on obs at all": (lambda f: bare(f["obs"]), [TYPES[c] for c in CODES]),
    "no encoding anywhere": (
        lambda f: [bare(f["obs"], "_index"), *(bare(f["obs"][k]) for k in f["obs"])], [TYPES[c] for c in CODES],
    ),
    "labels in __categories": (lambda f: labels_beside(f, CODES.astype("i4")), [TYPES[c] for c in CODES]),
    "labels by reference": (
        lambda f: (labels_beside(f, CODES.astype("i1")),
                   f["obs/type"].attrs.update({"categories": f["obs/__categories/type"].ref})),
        [TYPES[c] for c in CODES],
    ),
    "a factor": (
        lambda f: put(f["obs"], "type", {"levels": np.array(TYPES, "S2"), "values": (CODES + 1).astype("i4")}),
        [TYPES[c] for c in CODES],
    ),
    "a factor with NA": (
        lambda f: put(f["obs"], "type", {"levels": np.array(TYPES, "S2"),
                                         "values": np.where(CODES == 1, R_MISSING, CODES + 1).astype("i4")}),
        [None if c == 1 else TYPES[c] for c in CODES],
    ),
    "codes from 1": (lambda f: labels_beside(f, CODES.astype("i4") + 1), [TYPES[c] for c in CODES]),
    "codes of R with NA": (
        lambda f: labels_beside(f, np.where(CODES == 2, R_MISSING, CODES).astype("i4")),
        [None if c == 2 else TYPES[c] for c in CODES],
    ),
    "codes as doubles with NaN": (
        lambda f: labels_beside(f, np.where(CODES == 2, np.nan, CODES)), [None if c == 2 else TYPES[c] for c in CODES],
    ),
    "codes beyond the labels": (
        lambda f: f["obs/type/codes"].__setitem__(slice(0, 2), [7, -5]), [None, None, *(TYPES[c] for c in CODES[2:])],
    ),
    "unsigned codes with 255": (
        lambda f: (put(f["obs/type"], "codes", np.where(CODES == 0, 255, CODES).astype("u1"))),
        [None if c == 0 else TYPES[c] for c in CODES],
    ),
    "labels of fixed length": (
        lambda f: put(f["obs/type"], "categories", np.array(TYPES, "S2")), [TYPES[c] for c in CODES],
    ),
    "a label twice": (
        lambda f: put(f["obs/type"], "categories", np.array(["B", "B", "NK"], dtype=ASCII)),
        [["B", "B", "NK"][c] for c in CODES],
    ),
}  # fmt: skip


@pytest.mark.parametrize("writer", WRITERS)
def test_labels_of_other_writers(h5ad, writer):
    change, expected = WRITERS[writer]
    with h5py.File(h5ad, "r+") as file:
        change(file)
    with open_source(h5ad) as source:
        found = source.obs["type"]
        assert isinstance(found.dtype, pd.CategoricalDtype)
        assert [None if pd.isna(v) else v for v in found] == expected
        assert list(source.obs.index) == list(cells().index)
        assert list(source.obs["note"]) == list(cells()["note"])


def test_odd_codes_are_said(h5ad):
    with h5py.File(h5ad, "r+") as file:
        file["obs/type/codes"][:2] = [7, -5]
    with open_source(h5ad) as source:
        assert source.notes == ["obs/type: 2 codes name none of its 3 labels, for example 7; they count as missing"]


@settings(max_examples=40, deadline=None)
@given(codes=st.lists(st.integers(-1, 5), min_size=N, max_size=N), dtype=st.sampled_from(["i1", "i4", "f8"]))
def test_sound_codes_are_what_anndata_makes_of_them(tmp_path_factory, codes, dtype):
    """Labels beside the columns, as anndata 0.7 wrote them, with any codes that are in range."""
    labels = [f"label {i}" for i in range(6)]
    path = tmp_path_factory.mktemp("codes") / "a.h5ad"
    atlas = anndata.AnnData(random_counts(N), obs=cells(), var=pd.DataFrame(index=[f"G{i}" for i in range(23)]))
    write(atlas, path.with_suffix(""), "h5ad")
    with h5py.File(path, "r+") as file:
        put(file["obs"], "type", np.array(codes, dtype))
        file["obs/__categories/type"] = np.array(labels, dtype=h5py.string_dtype())
        file["obs"].attrs["encoding-version"] = "0.1.0"
        file["obs/type"].attrs["categories"] = file["obs/__categories/type"].ref
    with open_source(path) as source:
        expected = [None if c < 0 else labels[c] for c in codes]
        assert [None if pd.isna(v) else v for v in source.obs["type"]] == expected


@pytest.mark.parametrize("attributes", [(), ("_index",), ("_index", "column-order")], ids=len)
def test_var_without_encoding_keeps_its_names(h5ad, attributes):
    with h5py.File(h5ad, "r+") as file:
        bare(file["var"], *attributes)
    with open_source(h5ad) as source:
        assert list(source.var.index) == [f"G{i}" for i in range(23)]
        assert list(source.var["features"]) == [f"G{i}" for i in range(23)]


def test_var_without_names_is_refused_and_never_numbered(h5ad):
    with h5py.File(h5ad, "r+") as file:
        bare(file["var"])
        del file["var/_index"]
    with pytest.raises(SourceError, match="var has no names of its rows: it has no attribute _index") as error:
        open_source(h5ad)
    assert "var.attrs['_index']" in error.value.hint


def test_raw_without_encoding_is_a_witness_still(tmp_path):
    counts = random_counts(N)
    atlas = anndata.AnnData(sp.csr_matrix(np.log1p(counts)), obs=cells())
    atlas.raw = anndata.AnnData(sp.csr_matrix(counts), obs=cells(), var=atlas.var)
    path = write(atlas, tmp_path / "a", "h5ad")
    with h5py.File(path, "r+") as file:
        bare(file["raw/var"], "_index")
    with open_source(path) as source:
        assert source.counts is not None
        assert source.counts.name == "raw/X"


@pytest.mark.parametrize("stored", ["ascii", "fixed", "latin-1", "latin-1 fixed"])
@pytest.mark.parametrize("place", ["note", "_index", "type/categories"])
def test_text_in_another_encoding_than_it_says(h5ad, stored, place):
    encoding = "latin-1" if "latin" in stored else "utf-8"
    n = 3 if "type" in place else N
    words = [f"Größe {i}".encode(encoding) for i in range(n)]
    with h5py.File(h5ad, "r+") as file:
        kept = dict(file["obs"][place].attrs)
        del file["obs"][place]
        array = np.array(words) if "fixed" in stored else np.array(words, dtype=object)
        file["obs"].create_dataset(place, data=array, dtype=None if "fixed" in stored else ASCII)
        file["obs"][place].attrs.update(kept)
    with open_source(h5ad) as source:
        found = {"note": source.obs["note"], "_index": source.obs.index, "type/categories": source.obs["type"].dtype}
        values = found[place].categories if "type" in place else found[place]
        assert list(values) == [f"Größe {i}" for i in range(n)]


def test_names_of_columns_in_latin_1(h5ad):
    with h5py.File(h5ad, "r+") as file:
        file["obs"].move("n", b"Gr\xf6\xdfe")
        file["obs"].attrs["column-order"] = np.array([b"Gr\xf6\xdfe", b"note", b"type"], dtype=object)
    with open_source(h5ad) as source:
        assert list(source.obs.columns) == ["Größe", "note", "type"]
        assert list(source.obs["Größe"]) == list(range(N))


def test_an_index_that_is_a_column_too_is_both_as_in_anndata(h5ad):
    with h5py.File(h5ad, "r+") as file:
        file["var"].attrs["_index"] = "features"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = anndata.read_h5ad(h5ad).var
    with open_source(h5ad) as source:
        pd.testing.assert_frame_equal(source.var, expected)


def test_logical_columns_of_r(h5ad):
    """FALSE, TRUE and NA as numbers, as anndata reads them."""
    logical = h5py.enum_dtype({"FALSE": 0, "TRUE": 1, "NA": 2}, "i1")
    with h5py.File(h5ad, "r+") as file:
        put(file["obs"], "n", np.arange(N) % 3)
        del file["obs/n"]
        file["obs"].create_dataset("n", data=(np.arange(N) % 3).astype("i1"), dtype=logical)
    with open_source(h5ad) as source:
        assert list(source.obs["n"]) == list(np.arange(N) % 3)


def test_a_column_of_one_wide_dimension_is_a_column(h5ad):
    with h5py.File(h5ad, "r+") as file:
        put(file["obs"], "n", np.arange(N).reshape(N, 1))
    with open_source(h5ad) as source:
        assert list(source.obs["n"]) == list(range(N))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: put(f["obs"], "n", {"x": np.arange(3), "y": np.arange(2)}), "obs/n is a group of x, y"),
        (lambda f: put(f["obs"], "n", np.arange(N - 1)), "obs/n has 11 values for 12 rows"),
        (lambda f: put(f["obs"], "n", np.zeros(N, [("a", "f4"), ("b", "f4")])), "obs/n is an array of structures"),
        (lambda f: labels_beside(f, np.arange(N) / 7), "obs/type cannot be read"),
        (lambda f: f["obs"].attrs.update({"column-order": ["n", "gone"]}), "obs/gone cannot be read"),
    ],
)
def test_a_column_that_nobody_can_read_is_named_with_a_way_out(h5ad, change, says):
    with h5py.File(h5ad, "r+") as file:
        change(file)
    with pytest.raises(SourceError) as error:
        open_source(h5ad)
    assert says in str(error.value.args[0])
    assert "--no-obs" in error.value.hint
    assert "download" not in error.value.hint


# names with slashes, and names that differ in case only


def test_slashes_in_names(h5ad, tmp_path):
    with h5py.File(h5ad, "r+") as file:
        file["obs"].move("n", "pct/mt/total")
        file["obs"].move("type", "B/T")
        file["obs/B/stray"] = 1
        file["obs"].attrs["column-order"] = ["pct/mt/total", "note", "B/T"]
        file["obsm/X/umap"] = np.zeros((N, 2))
        file["layers/a/b"] = random_counts(N)
    with open_source(h5ad) as source:
        assert list(source.obs.columns) == ["pct/mt/total", "note", "B/T"]
        assert list(source.obsm) == ["X/umap"]
        assert set(source.left_out) == {"layers/a/b", "obs/B/stray"}
    with open_source(h5ad, layer="a/b") as source:
        assert source.X.name == "layers/a/b"


@pytest.mark.parametrize("container", ["zarr2", "zarr3"])
def test_names_that_differ_in_case_in_zarr(tmp_path, container):
    obs = cells().assign(TYPE=np.arange(N), Note="x")
    atlas = anndata.AnnData(random_counts(N), obs=obs)
    path = write(atlas, tmp_path / "a", container)
    with open_source(path) as source:
        pd.testing.assert_frame_equal(source.obs, obs)


def test_a_column_lost_from_a_zarr_folder_is_named(tmp_path):
    path = write(anndata.AnnData(random_counts(N), obs=cells()), tmp_path / "a", "zarr2")
    shutil.rmtree(path / "obs" / "note")
    with pytest.raises(SourceError, match=r"is incomplete: obs/note/\.z.* is not there"):
        open_source(path)
    (path / ".zmetadata").unlink()
    with pytest.raises(SourceError, match=r"obs/note cannot be read \(missing"):
        open_source(path)
    with open_source(path, no_obs=["note"]) as source:
        assert "note" not in source.obs


def refusal(path: Path) -> bool:
    """Whether a file is refused, in words that name it and say what would do."""
    try:
        open_source(path).close()
    except SourceError as error:
        said, hint = str(error.args[0]), error.hint
    else:
        return False
    assert str(path) in said
    assert hint
    return True


def test_no_change_of_a_part_ends_in_a_traceback(h5ad, tmp_path):
    """Every element of a file deleted, stripped, emptied or replaced: read, or refused in words that name the file."""
    changes: list[Callable[[h5py.File, str], object]] = [
        lambda f, n: f.__delitem__(n),
        lambda f, n: bare(f[n]),
        lambda f, n: (f.__delitem__(n), f.create_group(n)),
        lambda f, n: (f.__delitem__(n), f.__setitem__(n, "text")),
        lambda f, n: (f.__delitem__(n), f.__setitem__(n, np.array([b"\xff\xfe", b"x"]))),
        lambda f, n: (f.__delitem__(n), f.__setitem__(n, h5py.SoftLink("/nowhere"))),
        lambda f, n: f[n].attrs.update({"encoding-type": "of the future"}),
        lambda f, n: f[n].attrs.update(dict.fromkeys(f[n].attrs, 7)),
    ]
    with h5py.File(h5ad) as file:
        names: list[str] = []
        file.visit(names.append)
    outcomes = {"read": 0, "refused": 0}
    for name in names:
        for change in changes:
            path = tmp_path / "changed.h5ad"
            shutil.copy(h5ad, path)
            with h5py.File(path, "r+") as file:
                change(file, name)
            outcomes["refused" if refusal(path) else "read"] += 1
    assert min(outcomes.values()) > 20
