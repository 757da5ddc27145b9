"""A gene is read from the pages that hold it; an index that lies about them is told, and never believed."""

import json
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import sparse

import titin
from titin.check import validate
from titin.dataset import layout, opened_files, row_group
from titin.dataset.folder import LocalFolder
from titin.dataset.manifest import Manifest, describe_file
from titin.dataset.page_index import find_page_indexes
from titin.dataset.pages import find_chunk
from titin.dataset.row_group import PageReader
from titin.dataset.store import Store
from titin.errors import DatasetError

CELLS, GENES = 400, 120
LISTS = (layout.TOKEN, f"{layout.CELLS}.list.element", f"{layout.COUNTS}.list.element")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset whose genes lie on many small pages; some are in no cell, some in one."""
    folder = tmp_path_factory.mktemp("pages")
    rng = np.random.default_rng(0)
    X = rng.poisson(np.r_[0, 0, np.full(30, 0.003), rng.gamma(0.3, 2.0, GENES - 32)], (CELLS, GENES)).astype("f4")
    X[:, -1] += 1
    obs = pd.DataFrame(index=[f"c{i}" for i in range(CELLS)])
    var = pd.DataFrame(index=[f"G{i}" for i in range(GENES)])
    ad.AnnData(sparse.csr_matrix(X), obs, var).write_h5ad(folder / "a.h5ad")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "GENE_PAGE_BYTES", 256)
        patch.setattr(layout, "ROW_GROUP_NONZEROS", 4_000)
        titin.build(folder / "a.h5ad", folder / "dataset", tissue="t", method="m")
    return folder / "dataset"


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """No column is so small that it is read whole."""
    monkeypatch.setattr(row_group, "_SMALL", 0)


def by_gene(dataset: Path) -> Path:
    return dataset / Manifest.read(dataset).layout.expression_by_gene


def matrix(dataset: Path) -> np.ndarray:
    """Cells × genes, from the matrix by cell."""
    return titin.open(dataset).X[:].toarray()


def test_every_gene_is_found_by_its_pages(made: Path) -> None:
    file = pq.ParquetFile(by_gene(made))
    assert file.num_row_groups > 1
    atlas, X = titin.open(made), matrix(made)
    for g, gene in enumerate(atlas.var_names):
        np.testing.assert_array_equal(atlas[gene], X[:, g])
    for some in ([5, 90, 2, 91], range(GENES), [119], [0]):
        np.testing.assert_array_equal(atlas.X[:, list(some)].toarray(), X[:, list(some)])


def test_no_more_than_its_pages_is_read(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    atlas = titin.open(made)
    names = atlas.var_names[np.argsort(atlas.reader.genes.token)]
    _ = atlas[names[0]], atlas[names[40]]
    monkeypatch.setattr(opened_files, "_GAP", 0)
    read, own = [], LocalFolder.read_range
    monkeypatch.setattr(LocalFolder, "read_range", lambda *of: read.append(of[3]) or own(*of))
    _ = atlas[names[1]], atlas[names[41]]
    assert 0 < sum(read) < by_gene(made).stat().st_size / 10


def test_pages_are_as_small_as_the_format_says(made: Path) -> None:
    """A page holds more than one gene only while it is below its size."""
    opened, reader = Store(made), PageReader()
    for group in opened.row_groups(opened.manifest.layout.expression_by_gene):
        lists = opened.read_lists(group, [layout.COUNTS])[0]
        chunk = find_chunk(opened.footer(group.shard), group.index, layout.COUNTS, lists.elements.dtype)
        places = reader.places_of(opened, group, chunk)
        n, lengths = np.diff(lists.indptr[places.first_row]), np.diff(lists.indptr)
        longest = np.maximum.reduceat(lengths, places.first_row[:-1])
        assert len(n) > 3
        assert (4 * (n - longest) <= 256 + 4 * 16).all()  # but for one gene, and a batch of the writer


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """The same dataset, to be spoiled."""
    for path in made.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def index_bytes(path: Path) -> Iterator[int]:
    """Places of all bytes of the page indexes that are used."""
    content = path.read_bytes()
    length = int.from_bytes(content[-8:-4], "little")
    for group in find_page_indexes(content[-8 - length : -8]):
        for column in LISTS:
            at, n = group[column]
            yield from range(at, at + n)


def spoil(dataset: Path, at: int, by: int) -> None:
    """Change a byte of the matrix by gene; the manifest agrees with it."""
    path = by_gene(dataset)
    content = bytearray(path.read_bytes())
    content[at] ^= by
    path.write_bytes(content)
    document = json.loads((dataset / layout.MANIFEST).read_text("utf-8"))
    document["files"][path.name] = describe_file(path)
    (dataset / layout.MANIFEST).write_text(json.dumps(document), "utf-8")


def problem(atlas: titin.Atlas, gene: str, expected: np.ndarray) -> str:
    """What is said of a gene that cannot be read; empty where it is read, and is right."""
    try:
        values = atlas[gene]
    except DatasetError as error:
        return str(error)
    np.testing.assert_array_equal(values, expected)
    return ""


@pytest.mark.parametrize("part", range(8))
def test_an_index_that_lies_is_told_and_never_believed(copy: Path, part: int, pytestconfig: pytest.Config) -> None:
    X, path = matrix(copy), by_gene(copy)
    whole, rng = path.read_bytes(), np.random.default_rng(part)
    places = list(index_bytes(path))
    assert len(places) > 300
    refused = 0
    for at in rng.choice(places, 40 if pytestconfig.getoption("--slow") else 6, replace=False):
        spoil(copy, int(at), 1 << int(rng.integers(8)))
        atlas = titin.open(copy)
        said = [problem(atlas, gene, X[:, g]) for g, gene in enumerate(atlas.var_names)]
        assert all(path.name in text for text in said if text)
        found = validate(copy, checks=["matrix.pages"], threads=1)["matrix.pages"]
        assert not any(said) or found.status == "error"
        refused += found.status == "error"
        path.write_bytes(whole)
    assert refused > 0


def test_files_without_an_index_are_read_whole(copy: Path) -> None:
    X, path = matrix(copy), by_gene(copy)
    table = pq.read_table(path)
    pq.write_table(table, path, **layout.parquet_options(table.schema) | {"write_page_index": False})
    manifest = Manifest.read(copy)
    manifest.files[path.name] = describe_file(path)
    manifest.write(copy)
    atlas = titin.open(copy)
    for g in (0, 7, 60, GENES - 1):
        np.testing.assert_array_equal(atlas[atlas.var_names[g]], X[:, g])
    assert validate(copy, checks=["matrix.pages"])["matrix.pages"].status == "passed"


def test_datasets_of_version_1_0_are_read(made: Path, tmp_path: Path) -> None:
    """Large pages, small row groups, and a manifest that says no minor version."""
    for path in made.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    X, path = matrix(made), by_gene(tmp_path)
    table = pq.read_table(path)
    pq.write_table(table, path, row_group_size=20, **layout.parquet_options(table.schema))
    document = json.loads((tmp_path / layout.MANIFEST).read_text("utf-8"))
    assert document.pop("format_minor") == 2
    document["files"][path.name] = describe_file(path)
    (tmp_path / layout.MANIFEST).write_text(json.dumps(document), "utf-8")
    atlas = titin.open(tmp_path)
    assert atlas.manifest.format_minor == 0
    for g, gene in enumerate(atlas.var_names):
        np.testing.assert_array_equal(atlas[gene], X[:, g])
    report = validate(tmp_path, checks=["integrity.rows", "integrity.schema", "integrity.checksums", "matrix"])
    assert report.count("error") == 0
