"""Atlases of so many buckets and strips that these are filed by runs: the files are the same to the byte."""

from pathlib import Path

import anndata
import numpy as np
import pytest
import scipy.sparse as sp

from titin.dataset import spill
from titin.dataset.spill import Spill, run_length


def matrix_of(kind, counts):
    counts = np.tile(counts, (5, 1)).astype("f4")
    if kind == "wide counts":
        counts[77, 3] = 70_000
    if kind == "log1p":
        counts = np.log1p(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * np.float32(1e4))
    if kind == "real":
        counts *= np.random.default_rng(5).uniform(0.5, 2, counts.shape).astype("f4")
    return anndata.AnnData(sp.csr_matrix(counts))


def files(folder: Path):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(("kind", "cells"), [("counts", 8), ("wide counts", 16), ("log1p", 16), ("real", 16)])
def test_runs_change_no_byte(kind, cells, counts, build_atlas, cut, monkeypatch):
    taken_apart = []
    make = Spill.__init__

    def record(self: Spill, path: Path, n_buckets: int) -> None:
        taken_apart.append((path.name, n_buckets))
        make(self, path, n_buckets)

    monkeypatch.setattr(Spill, "__init__", record)
    adata = matrix_of(kind, counts)
    cut(300, cells)
    at_once = build_atlas(adata, "at_once")
    (n_buckets,), (n_strips,) = ({n for name, n in taken_apart if name == which} for which in ("cells", "genes"))
    assert (n_buckets, "run" in dict(taken_apart)) == (-(-600 // cells), False)
    taken_apart.clear()
    monkeypatch.setattr(spill, "MOST_AT_ONCE", 4)
    by_runs = build_atlas(adata, "by_runs")
    filed = {name: n for name, n in taken_apart if name != "run"}
    apart = [n for name, n in taken_apart if name == "run"]
    assert filed == {name: -(-n // run_length(n)) for name, n in (("cells", n_buckets), ("genes", n_strips))}
    assert len(apart) == sum(filed.values())
    assert sum(apart) == n_buckets + n_strips
    assert files(at_once.path) == files(by_runs.path)


@pytest.mark.parametrize(("n", "length"), [(1, 1), (512, 1), (513, 23), (529, 23), (530, 24), (10**6, 1000)])
def test_runs_are_about_as_many_as_the_buckets_of_one(n, length):
    assert run_length(n) == length
    runs = -(-n // length)
    assert runs <= 512 if length == 1 else runs <= length


def test_a_build_that_fails_while_a_run_is_taken_apart_leaves_nothing(counts, build_atlas, cut, monkeypatch, tmp_path):
    cut(300, 8)
    monkeypatch.setattr(spill, "MOST_AT_ONCE", 4)
    append = Spill.append

    def fail(self: Spill, bucket: int, *arrays: np.ndarray) -> None:
        if self.path.name == "run" and bucket == 1:
            raise OSError(28, "No space left on device")
        append(self, bucket, *arrays)

    monkeypatch.setattr(Spill, "append", fail)
    with pytest.raises(Exception, match=r"(?i)space|disk"):
        build_atlas(matrix_of("counts", counts))
    assert [path.name for path in tmp_path.iterdir()] == ["atlas.h5ad"]
