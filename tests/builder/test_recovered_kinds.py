"""The kind that a build finds, what it says of counts beside X, and that readers and checks agree on every kind."""

import json

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import titin
from titin.ageing.gene_statistics import gene_statistics
from titin.builder import build
from titin.builder.evidence import common_unit
from titin.builder.terminal import describe_report, report_document
from titin.check import validate
from titin.errors import DatasetError, TitinError
from titin.exporter import export
from titin.features.highly_variable import highly_variable
from titin.load import Loader

N_CELLS, N_GENES = 60, 150


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(3)
    rates = rng.dirichlet(np.full(N_GENES, 0.3), N_CELLS) * 0.5 + rng.dirichlet(np.full(N_GENES, 0.3)) * 0.5
    found = rng.poisson(rates * rng.lognormal(6.5, 0.5, (N_CELLS, 1)))
    found[:, 0] = 1
    return sparse.csr_matrix(found.astype(np.int64))


def totals_of(counts):
    return np.repeat(np.asarray(counts.sum(axis=1), np.float64).ravel(), np.diff(counts.indptr))


def make(tmp_path, X, layers=None, uns=None, **options):
    obs = pd.DataFrame({"donor": np.repeat(["A", "B", "C"], N_CELLS // 3)}, index=[f"c{i}" for i in range(X.shape[0])])
    adata = ad.AnnData(X, obs, pd.DataFrame(index=[f"g{j}" for j in range(X.shape[1])]), layers=layers, uns=uns)
    adata.write_h5ad(tmp_path / "source.h5ad")
    return build(tmp_path / "source.h5ad", tmp_path / "dataset", force=True, **options)


def like(counts, data, dtype="f4"):
    return sparse.csr_matrix((np.asarray(data, dtype), counts.indices, counts.indptr), counts.shape)


LOGS = {"2": np.log2, "10": np.log10}


def normalised(counts, base, target=1e4, dtype="f4"):
    linear = counts.data / totals_of(counts) * target
    if base is None:
        return like(counts, linear, dtype)
    return like(counts, np.log1p(linear) if base == "e" else LOGS[base](linear + 1), dtype)


@pytest.mark.parametrize("base", [None, "e", "2", "10"])
def test_every_reader_agrees_with_the_source(tmp_path, counts, base):
    X = normalised(counts, base)
    report = make(tmp_path, X, uns={"log1p": {"base": float(base)}} if base in LOGS else None)
    manifest, atlas = report.manifest, titin.open(report.path)
    assert manifest.kind == ("normalized" if base is None else "log1p")
    assert (manifest.recovery["target_sum"], manifest.recovery.get("base")) == (1e4, base)
    cells = atlas.obs_names
    source = ad.read_h5ad(tmp_path / "source.h5ad")[cells].X.toarray()
    own_counts = counts[[int(name[1:]) for name in cells]].toarray()
    assert atlas.X[:].toarray().tobytes() == source.tobytes()
    assert atlas.counts[:].toarray().tolist() == own_counts.tolist()
    for gene in (0, 7, 30):
        assert atlas[f"g{gene}"].to_numpy().tobytes() == source[:, gene].tobytes()
        assert atlas.counts_of(f"g{gene}").tolist() == own_counts[:, gene].tolist()
    lognorm = source if base else np.log1p(own_counts / own_counts.sum(1, keepdims=True) * 1e4)
    batch = np.concatenate([values for values, _ in Loader(atlas, 20, shuffle=False, dense=True)])
    np.testing.assert_allclose(batch, lognorm, rtol=2e-6)
    assert np.array_equal(batch, source) == (base is not None)
    panel = pd.read_parquet(report.path / f"{manifest.prefix}_expression_panel.parquet")
    for gene in [name for name in panel if name.startswith("g")][:5]:
        np.testing.assert_allclose(panel[gene], lognorm[:, int(gene[1:])], rtol=2e-6)
    statistics = gene_statistics(atlas, "donor").table.query("donor == 'A' and gene == 'g7'")
    of_donor = lognorm[(atlas.obs["donor"] == "A").to_numpy(), 7]
    np.testing.assert_allclose(statistics[["mean", "variance"]], [[of_donor.mean(), of_donor.var(ddof=1)]], rtol=1e-5)


@pytest.mark.parametrize("base", [None, "2", "10"])
def test_validation_knows_every_kind(tmp_path, counts, base):
    report = make(tmp_path, normalised(counts, base))
    found = validate(report.path, source=tmp_path / "source.h5ad", checks=["integrity", "matrix", "metadata", "source"])
    assert not [finding.message for _, finding in found.findings("error")]
    assert not found["matrix.levels"].outcome.skipped
    assert found["matrix.levels"].outcome.facts["worst_ulp"] == report.manifest.recovery["worst_ulp"]


def with_base(path, base):
    document = json.loads((path / "titin.json").read_text())
    document["recovery"]["base"] = base
    (path / "titin.json").write_text(json.dumps(document))
    return path


def test_validation_notices_another_base(tmp_path, counts):
    path = with_base(make(tmp_path, normalised(counts, "2")).path, "10")
    found = validate(path, checks=["matrix.levels"])
    assert [result.check.name for result, _ in found.findings("error")]


@pytest.mark.parametrize(("base", "written"), [("2", "two"), ("10", None), ("e", "1")])
def test_what_is_no_base_is_refused(tmp_path, counts, base, written):
    path = with_base(make(tmp_path, normalised(counts, base)).path, written)
    with pytest.raises(DatasetError, match=r"recovery\.base is"):
        validate(path, checks=["matrix.levels"])


@pytest.mark.parametrize("column", ["scale", "levels"])
def test_validation_notices_a_changed_number(tmp_path, counts, column):
    report = make(tmp_path, normalised(counts, None))
    path = report.path / f"{report.manifest.prefix}_expression.parquet"
    cells = pq.read_table(path)
    values = cells[column].to_pylist()
    if column == "scale":
        values[7] *= 1 + 1e-5
    else:
        values[7][0] *= 1 + 1e-5
    field = cells.schema.field(column)
    pq.write_table(cells.set_column(cells.column_names.index(column), field, pa.array(values, field.type)), path)
    assert list(validate(report.path, checks=["matrix.levels"]).findings("error"))


@pytest.mark.parametrize("base", [None, "2"])
def test_exports_give_the_source_back(tmp_path, counts, base):
    X = normalised(counts, base)
    report = make(tmp_path, X)
    assert (ad.read_h5ad(export(report.path, "h5ad", tmp_path / "back.h5ad")).X != X).nnz == 0
    assert (counts != ad.read_h5ad(export(report.path, "h5ad", tmp_path / "counts.h5ad", counts=True)).X).nnz == 0


def test_highly_variable_genes_do_not_depend_on_the_base(tmp_path, counts):
    tables = {}
    for base in (None, "e", "2", "10"):
        report = make(tmp_path, normalised(counts, base, dtype="f8"))
        tables[base] = highly_variable(titin.open(report.path), 20)
    for base in (None, "2", "10"):
        np.testing.assert_allclose(tables[base]["means"], tables["e"]["means"], rtol=1e-5)
        np.testing.assert_allclose(tables[base]["dispersions"], tables["e"]["dispersions"], rtol=1e-4, atol=1e-6)


# what is no normalised matrix of counts

NOTHING = {
    "scaled": lambda x, c, r: np.log1p(x) / r.uniform(0.2, 3, N_GENES)[c.indices],
    "clipped": lambda x, c, r: np.minimum(np.log1p(x), 4.0),
    "imputed": lambda x, c, r: np.log1p(x) + r.gamma(1, 0.05, len(x)),
    "fractions of counts": lambda x, c, r: c.data * r.uniform(0.6, 1, len(x)),
    "fractions to 2 decimals": lambda x, c, r: np.round(c.data * r.uniform(0.6, 1, len(x)), 2),
    "log1p of fractions to 2 decimals": lambda x, c, r: np.log1p(np.round(c.data * r.uniform(0.6, 1, len(x)), 2)),
    "normalised fractions to 2 decimals": lambda x, c, r: (
        np.log1p(np.round(c.data * r.uniform(0.6, 1, len(x)), 2) / totals_of(c) * 1e4)
    ),
    "halves and thirds": lambda x, c, r: c.data / r.choice([1, 1, 2, 3], len(x)),
    "half of each count": lambda x, c, r: c.data / 2,
    "log1p to 2 decimals": lambda x, c, r: np.round(np.log1p(x), 2),
    "to 1 decimal": lambda x, c, r: np.round(x, 1) + 0.1,
    "TPM": lambda x, c, r: x / r.uniform(300, 9000, N_GENES)[c.indices],
    "log2 of TPM to 2 decimals": lambda x, c, r: (
        np.log2(np.round(x / r.uniform(0.3, 9, N_GENES)[c.indices] + 0.01, 2) + 1)
    ),
    "square root": lambda x, c, r: np.sqrt(c.data),
    "half of the cells logged": lambda x, c, r: np.where(np.arange(len(x)) < len(x) // 2, np.log1p(x), x),
    "float16": lambda x, c, r: np.log1p(x).astype(np.float16),
    "8 bits": lambda x, c, r: np.maximum(np.round(np.log1p(x) * 25), 1) / 255,
}  # fmt: skip


QUICK_DOUBLES = {"scaled", "imputed", "halves and thirds", "TPM"}


@pytest.mark.parametrize(("name", "dtype"), [
    pytest.param(name, dtype, marks=[] if dtype == "f4" or name in QUICK_DOUBLES else pytest.mark.slow)
    for name in NOTHING for dtype in ("f4", "f8")
])  # fmt: skip
def test_what_is_not_made_of_counts_is_real(tmp_path, counts, name, dtype):
    data = NOTHING[name](counts.data / totals_of(counts) * 1e4, counts, np.random.default_rng(0))
    report = make(tmp_path, like(counts, data, dtype))
    assert report.manifest.kind == "real", report.manifest.recovery
    assert "no integer counts lie behind the values" in report.manifest.notes[0]
    assert len(report.manifest.recovery["refused"]) == 5


@given(st.integers(2, 10_000), st.lists(st.integers(1, 500), min_size=8, max_size=40))
def test_a_common_unit_is_found(unit, multiples):
    factors = np.array([1] * len(multiples) + multiples)
    assert common_unit((unit / factors).astype(np.float32)) == unit


@given(st.lists(st.integers(500, 60_000), min_size=12, max_size=60, unique=True), st.sampled_from([1, 1500, 1e4, 1e6]))
def test_totals_of_cells_are_no_common_unit(totals, target):
    assert common_unit((np.array(totals) / target).astype(np.float32)) is None


# counts beside X


def test_counts_beside_what_is_not_made_of_them_are_pointed_to(tmp_path, counts):
    data = NOTHING["imputed"](counts.data / totals_of(counts) * 1e4, counts, np.random.default_rng(0))
    report = make(tmp_path, like(counts, data), layers={"counts": counts.astype("f4")})
    manifest, text = report.manifest, describe_report(report_document(report))
    assert (manifest.kind, manifest.recovery["witness"]) == ("real", None)
    assert manifest.recovery["counts_beside"] == "layers/counts"
    assert manifest.notes[0].startswith("layers/counts holds integer counts, but X is not made from them")
    assert "--layer counts" in manifest.notes[0]
    assert manifest.left_out["layers/counts"].endswith("build with --layer counts to store them")
    assert "witness" not in text
    assert "no integer" not in text
    assert "no integer" not in (report.path / "README.md").read_text()
    with pytest.raises(TitinError, match="titin build --layer counts"):
        titin.open(report.path).counts  # noqa: B018
    again = build(tmp_path / "source.h5ad", tmp_path / "again", layer="counts")
    assert again.manifest.kind == "counts"


@pytest.mark.parametrize("name", ["rawCounts", "UMIs", "counts_raw", "X_raw", "raw_data"])
def test_counts_beside_go_by_many_names(tmp_path, counts, name):
    report = make(tmp_path, normalised(counts * 2, "2"), layers={name: (counts * 2).astype("f4")})
    assert report.manifest.recovery["witness"] == f"layers/{name}"


def test_raw_beside_scaled_values_is_pointed_to(tmp_path, counts):
    scaled = np.log1p(counts.toarray()) * np.random.default_rng(0).uniform(0.2, 3, N_GENES)
    adata = ad.AnnData(
        sparse.csr_matrix(scaled.astype("f4")), var=pd.DataFrame(index=[f"g{j}" for j in range(N_GENES)])
    )
    adata.raw = ad.AnnData(counts.astype("f4"), adata.obs, adata.var)
    adata.write_h5ad(tmp_path / "source.h5ad")
    manifest = build(tmp_path / "source.h5ad", tmp_path / "dataset").manifest
    assert manifest.kind == "real"
    assert "--raw" in manifest.notes[0]
    assert manifest.left_out["raw"].endswith("build with --raw to store them")


@pytest.mark.parametrize("base", [None, "e", "2"])
def test_counts_beside_that_fit_are_taken(tmp_path, counts, base):
    report = make(tmp_path, normalised(counts * 3, base), layers={"counts": (counts * 3).astype("f4")})
    manifest = report.manifest
    assert manifest.recovery["witness"] == "layers/counts"
    assert manifest.left_out == {"layers/counts": "witness for count recovery; not stored"}
    assert titin.open(report.path).counts[:].data.min() == 3


def test_few_distinct_values_are_counts_only_where_counts_beside_prove_it(tmp_path):
    counts = sparse.csr_matrix((np.random.default_rng(0).random((N_CELLS, 20)) < 0.3).astype(np.int64))
    X = normalised(counts, "2")
    assert make(tmp_path, X).manifest.kind == "real"
    assert make(tmp_path, X, layers={"counts": counts.astype("f4")}).manifest.kind != "real"


def test_values_that_are_no_logarithms_are_announced(tmp_path, counts):
    report = make(tmp_path, normalised(counts, None))
    assert "no logarithms" in report.manifest.notes[0]
    assert "log1p(10,000 × count / total of the cell)" in report.manifest.what_models_see
    x = counts.data / totals_of(counts) * 1e4
    linear = make(tmp_path, like(counts, x * np.random.default_rng(0).uniform(0.5, 2, len(x))))
    assert linear.manifest.recovery["linear"]
    assert "too large for logarithms" in linear.manifest.what_models_see
    assert "seem to be no logarithms" in (linear.path / "README.md").read_text()
    assert any("seem to be no logarithms" in note for note in linear.manifest.notes)
    logs = make(tmp_path, like(counts, np.log1p(x * np.random.default_rng(0).uniform(0.5, 2, len(x)))))
    assert not logs.manifest.recovery["linear"]
    assert logs.manifest.what_models_see is None


def test_a_column_that_is_the_same_in_all_cells_is_no_target(tmp_path, counts):
    obs = pd.DataFrame({"years": 35.0}, index=[f"c{i}" for i in range(N_CELLS)])
    adata = ad.AnnData(like(counts, np.log1p(counts.data)), obs)
    adata.write_h5ad(tmp_path / "source.h5ad")
    manifest = build(tmp_path / "source.h5ad", tmp_path / "dataset").manifest
    assert (manifest.kind, manifest.recovery["target_of"]) == ("log1p", None)
    assert manifest.recovery["target_column"] is None


def test_size_factors_of_obs_are_named(tmp_path, counts):
    factors = np.random.default_rng(0).lognormal(0, 0.3, N_CELLS)
    X = like(counts, np.log2(counts.data / np.repeat(factors, np.diff(counts.indptr)) + 1), "f8")
    adata = ad.AnnData(X, pd.DataFrame({"sizeFactor": factors}, index=[f"c{i}" for i in range(N_CELLS)]))
    adata.write_h5ad(tmp_path / "source.h5ad")
    report = build(tmp_path / "source.h5ad", tmp_path / "dataset")
    assert (report.manifest.recovery["base"], report.manifest.recovery["target_of"]) == ("2", "obs/sizeFactor")
    assert report.manifest.recovery["target_column"] == "sizeFactor"
    assert "divided by obs/sizeFactor" in describe_report(report_document(report))


WRONG = {  # what is wrong with the counts beside X: cells that then differ, counts whose values are zero
    "nothing": (lambda beside, _: None, 0, 0),
    "one count": (lambda beside, rng: _add(beside, rng, 1), 1, 0),
    "one count, far off": (lambda beside, rng: _add(beside, rng, 1000), 1, 0),
    "a count that is missing": (lambda beside, rng: _add(beside, rng, None), 1, 0),
    "a count where the value is zero": (lambda beside, rng: _put(beside, rng), 0, 1),
}


def _add(beside, rng, more):
    """Change one count, among those of a cell with several of its kind."""
    at = int(rng.choice(np.flatnonzero(beside.data > 1)))
    beside.data[at] = 0 if more is None else beside.data[at] + more


def _put(beside, rng):
    cell = int(rng.integers(beside.shape[0]))
    gene = next(j for j in range(beside.shape[1]) if beside[cell, j] == 0)
    beside[cell, gene] = 3


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("wrong", WRONG)
def test_that_counts_agree_is_said_of_those_that_do(tmp_path, counts, wrong, seed):
    spoil, differ, more = WRONG[wrong]
    beside = counts.astype(np.float32).tolil() if more else counts.astype(np.float32)
    spoil(beside, np.random.default_rng(seed))
    beside = sparse.csr_matrix(beside)
    beside.eliminate_zeros()
    report = make(tmp_path, normalised(counts, "e"), {"counts": beside}, project=())
    found = report.manifest.recovery["witnessed"]
    assert found == {"cells": N_CELLS - differ, "of": N_CELLS, "more": more}
    card = (report.path / "README.md").read_text("utf-8")
    assert ("All counts in `layers/counts` were compared, and agree." in card) == (not differ and not more)
    if differ:
        assert f"behind the values in {N_CELLS - 1:,} of {N_CELLS:,} cells; in 1 they differ" in card
    if more:
        assert "1 of the counts in `layers/counts` has a value of zero, and has no place in the dataset." in card
    assert any("layers/counts" in note for note in report.manifest.notes) == bool(differ or more)
    np.testing.assert_array_equal(titin.open(report.path).counts[:].toarray()[0], open_counts(report, counts)[0])


def open_counts(report, counts):
    """The counts behind X, in the order of the dataset."""
    order = [int(name[1:]) for name in titin.open(report.path).obs_names]
    return counts.toarray()[order]
