"""Orders of cells, names of genes, and sizes of blocks and buckets."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from titin.builder.job import BuildJob
from titin.builder.options import Options
from titin.dataset.layout import Layout
from titin.progress import Progress
from titin.resources import Resources

IDS = [f"ENSG{i:011d}" for i in range(4)]
SYMBOLS = ["PAX7", "MYH1", "XIST", "ACTB"]


def context(index=SYMBOLS, shape=(10, 4), nnz=None, memory=2**30, options=None, **var):
    X = SimpleNamespace(shape=shape, nnz=nnz, dtype=np.dtype("f4"))
    source = SimpleNamespace(X=X, var=pd.DataFrame(var, index=list(index)), symbols=None, genes=None)
    resources, here = Resources(2, memory), Path()
    return BuildJob(source, options or Options(), resources, Progress(), Layout("a"), {}, here, here)


# cells


def test_the_shuffle_is_a_permutation_and_its_inverse():
    shuffled = context(shape=(1000, 4))
    assert sorted(shuffled.source_rows) == list(range(1000))
    assert shuffled.source_rows[shuffled.positions].tolist() == list(range(1000))
    assert shuffled.source_rows.tolist() != list(range(1000))


def test_the_seed_alone_decides_the_shuffle():
    first, same, other = (
        context(shape=(50, n_genes), options=Options(seed=seed)).source_rows.tolist()
        for n_genes, seed in ((4, 1), (9, 1), (4, 2))
    )
    assert first == same
    assert first != other
    # numpy promises that a bit generator's stream stays, so these stay too
    assert context(shape=(8, 4)).source_rows.tolist() == np.random.Generator(np.random.PCG64(0)).permutation(8).tolist()


def test_no_shuffle():
    plain = context(options=Options(shuffle=False, seed=3))
    assert plain.source_rows.tolist() == plain.positions.tolist() == list(range(10))


@pytest.mark.parametrize(("shape", "nnz"), [
    ((10, 4), 20), ((10, 4), 0), ((10**6, 30_000), 2 * 10**9), ((10**6, 30_000), None), ((10**7, 100), 10**7),
    ((1, 10**6), None),
])  # fmt: skip
@pytest.mark.parametrize("memory", [2**29, 2**30, 2**34])
def test_buckets_are_whole_row_groups_whose_rows_fit_16_bits(shape, nnz, memory):
    cells = context(shape=shape, nnz=nnz, memory=memory).bucket_cells
    assert cells % 1024 == 0
    assert 1024 <= cells <= 65_536


def test_more_memory_makes_larger_buckets():
    sizes = [context(shape=(10**6, 30_000), nnz=2 * 10**9, memory=m).bucket_cells for m in (2**29, 2**31, 2**33)]
    assert sizes == sorted(set(sizes))


# genes


@pytest.mark.parametrize("column", ["gene_ids", "ENSEMBL", "gene_id", "ensembl_id"])
def test_genes_named_by_symbol(column):
    named = context(**{column: IDS})
    assert named.gene_names(np.array([2, 0])).to_pydict() == {"gene": ["XIST", "PAX7"], "gene_ids": [IDS[2], IDS[0]]}
    assert named.var_name_column == "gene"
    assert named.symbols().tolist() == SYMBOLS


@pytest.mark.parametrize("column", ["SYMBOL", "feature_name", "gene_symbols", "symbol"])
def test_genes_named_by_id(column):
    named = context(IDS, **{column: pd.Categorical(SYMBOLS)})
    assert named.gene_names(np.array([2, 0])).to_pydict() == {"gene": ["XIST", "PAX7"], "gene_ids": [IDS[2], IDS[0]]}
    assert named.var_name_column == "gene_ids"
    assert named.symbols().tolist() == SYMBOLS


@pytest.mark.parametrize("index", [SYMBOLS, IDS, ["1", "2", "3", "4"]])
def test_genes_of_one_name_only(index):
    names = context(index).gene_names(np.arange(4))
    assert names.to_pydict() == {"gene": list(index), "gene_ids": list(index)}


def test_versioned_and_mouse_ids_are_ids():
    ids, symbols = ["ENSMUSG00000000001.4", "ENSMUSG00000000002.1", "Gfp"], ["Gnai3", "Pax7", "Gfp"]
    assert context(ids, gene_symbols=symbols).symbols().tolist() == symbols


@pytest.mark.parametrize("missing", [None, np.nan, ""])
def test_a_gene_without_a_symbol_keeps_its_own_name(missing):
    named = context(IDS, feature_name=["PAX7", missing, "XIST", "ACTB"])
    assert named.symbols().tolist() == ["PAX7", IDS[1], "XIST", "ACTB"]


def test_numbers_are_no_symbols():
    assert context(IDS, symbol=[1, 2, 3, 4], gene_name=SYMBOLS).symbols().tolist() == SYMBOLS


def test_columns_of_the_panel_are_unique_without_case():
    named = context(IDS, feature_name=["TWIN", "twin", "TWIN", "Sex"])
    names = named.panel_names(np.arange(4), ["cell_id", "sex"])
    assert names == ["TWIN", f"twin_{IDS[1]}", f"TWIN_{IDS[2]}", f"Sex_{IDS[3]}"]
    taken_too = context(["A", "a"], gene_ids=["x", "A"])
    assert taken_too.panel_names(np.arange(2), ["a_a"]) == ["A", "a_2"]
    assert taken_too.panel_names(np.arange(2), ["a_a", "A_2"]) == ["A", "a_3"]
