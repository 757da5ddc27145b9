"""A source may call its columns what it likes: every name that titin uses itself, in every dtype, changes no result."""

import contextlib
import io
import warnings
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import titin
from titin.check import validate
from titin.check.comparison import frame_difference
from titin.cli import main
from titin.dataset import layout
from titin.learn import atlas_design
from titin.load import Loader
from titin.study.design import level_name

N_CELLS, N_GENES, N_DONORS = 640, 70, 8
FORMAT = {value for name, value in vars(layout).items() if name.isupper() and isinstance(value, str)} - {"titin"}
NAMES = sorted({
    *FORMAT, *layout.ROLES, "titin_age_numeric", "source_age_numeric", "source_source_age_numeric", "AGE_NUMERIC",
    "Cell_ID", "Age", "n_genes", "index", "__index_level_0__", "cell_type_0", "young_old", "age_bin", "_bin", "_donor",
    "total_counts", "pct_counts_mt", "percent_mito", "doublet", "is_doublet", "predicted_doublet", "batch", "kind",
    "group", "feature", "name", "fold", "value", "effect", "p_value", "n_donors", "share", "score", "old", "young",
    "weight", "UMAP1", "UMAP2", "X", "obs:age", "PAX7", "condition", "units", "label", "column", " ", "é",
})  # fmt: skip
COLUMNS = {"donor": "who", "sample": "run", "age": "life", "sex": "gender", "protocol": "prep", "chemistry": "version",
           "cell_type": "what"}  # fmt: skip
AGES = np.array([22, 25, 31, 35, 62, 66, 71, 78])
ANALYSES = ("composition", "de", "fibres", "programmes", "senescence", "stemcells", "variance")
MODELS = ("--task", "age", "--task", "sex", "--model", "ridge", "--model", "logistic", "--permutations", "20")
KNOWN_GENES = ("MYH7", "MYH2", "MYH1", "TNNT1", "PAX7", "MYF5", "COL1A1", "PECAM1", "CDKN1A", "CDKN2A", "IL6", "MT-ND1")


def columns_of_every_dtype(n: int, seed: int = 7) -> dict[str, object]:
    """What anndata writes, with gaps; some look like ages, counts or calls, and are none."""
    rng = np.random.default_rng(seed)
    codes, gaps = rng.integers(0, 3, n), rng.random(n) < 0.2
    text = np.array(["a", "b", "unknown"], object)[codes]
    return {
        "int": rng.integers(0, 900, n), "small int": codes.astype(np.uint8), "negative": -codes.astype(np.int16),
        "float": np.where(gaps, np.nan, 900 * rng.random(n)), "empty": np.full(n, np.nan),
        "bool": codes == 0, "text": text, "text with gaps": np.where(gaps, None, text),
        "unique": np.array([f"u{i}" for i in range(n)], object),
        "categories": pd.Categorical.from_codes(np.where(gaps, -1, codes), ["x", "na", "z"]),
        "ordered": pd.Categorical.from_codes(codes, ["low", "mid", "high"], ordered=True),
        "numbers": pd.Categorical.from_codes(codes, [20, 300, 7]),
        "flags": pd.Categorical.from_codes(codes % 2, [True, False]),
        "Int64": pd.array(np.where(gaps, None, codes), dtype="Int64"),
        "boolean": pd.array(np.where(gaps, None, codes == 0), dtype="boolean"),
    }  # fmt: skip


DTYPES = list(columns_of_every_dtype(1))
OF_AGES = ("Age", "age", "age_years")  # numbers under these names are ages, and would contradict those of the role


def ages_of_every_dtype() -> dict[str, object]:
    """The numbers among these columns, as the ages that the cells have."""
    ages = AGES[np.arange(N_CELLS) % N_DONORS]
    gaps = np.random.default_rng(7).random(N_CELLS) < 0.2
    return {
        "int": ages, "small int": ages.astype(np.uint8), "negative": ages.astype(np.int16),
        "float": np.where(gaps, np.nan, ages), "numbers": pd.Categorical(ages),
        "Int64": pd.array(np.where(gaps, None, ages), dtype="Int64"),
    }  # fmt: skip


def plain() -> ad.AnnData:
    """Counts of eight donors, four of them young, in two protocols, with names that mean nothing."""
    rng = np.random.default_rng(0)
    donor, kind = np.arange(N_CELLS) % N_DONORS, rng.integers(0, 3, N_CELLS)
    profiles = rng.gamma(0.6, 1, (3, N_GENES))
    of_donor = 1 + 0.4 * rng.random((N_DONORS, N_GENES))
    means = (profiles / profiles.sum(axis=1, keepdims=True))[kind] * 700 * of_donor[donor]
    late = np.arange(N_CELLS) >= N_CELLS // 2
    obs = pd.DataFrame({
        "who": pd.Categorical([f"D{d}" for d in donor]),
        "run": [f"S{d}{int(b)}" for d, b in zip(donor, late, strict=True)],
        "life": AGES[donor], "gender": np.where(donor % 2, "female", "male"), "prep": np.where(late, "nuclei", "cells"),
        "version": np.where(donor < 4, "v2", "v3"), "what": np.array(["MuSC", "MF", "CapEC"])[kind],
    }, index=[f"c{i}" for i in range(N_CELLS)])  # fmt: skip
    var = pd.DataFrame(index=[*KNOWN_GENES, *(f"G{i}" for i in range(N_GENES - len(KNOWN_GENES)))])
    umap = rng.normal(size=(N_CELLS, 2)).astype(np.float32)
    return ad.AnnData(sp.csr_matrix(rng.poisson(means).astype(np.float32)), obs, var, obsm={"X_umap": umap})


def dressed(dtypes: dict[str, str]) -> ad.AnnData:
    """The same with a further column of obs and var a name."""
    atlas = plain()
    for table, n in ((atlas.obs, N_CELLS), (atlas.var, N_GENES)):
        values = columns_of_every_dtype(n)
        for name, dtype in dtypes.items():
            ids = dtype == "unique" and name in (
                layout.GENE_ID,
                layout.GENE_IDS,
            )  # names of genes
            table[name] = values["text" if ids else dtype]
    ages = ages_of_every_dtype()
    for name in {*OF_AGES} & dtypes.keys():
        atlas.obs[name] = ages.get(dtypes[name], atlas.obs[name])
    return atlas


def rotated(shift: int) -> dict[str, str]:
    """Every name with a dtype; all dtypes of a name over as many shifts."""
    return {name: DTYPES[(i + shift) % len(DTYPES)] for i, name in enumerate(NAMES)}


def call(*arguments: object, codes: tuple[int, ...] = (0,)) -> str:
    """Run a command in this process; what it says, with a traceback or an unexpected exit code as a failure."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            main([*map(str, arguments), *(() if arguments[0] == "info" else ("-q",))])
            code: object = 0
        except SystemExit as done:
            code = done.code or 0
    assert code in codes, f"titin {' '.join(map(str, arguments))}: exit {code}\n{said.getvalue()}{errors.getvalue()}"
    return said.getvalue()


def build(atlas: ad.AnnData, folder: Path, columns: dict[str, str] = COLUMNS) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anndata's, of names and of strings that become categories
        atlas.write_h5ad(folder / "atlas.h5ad")
    roles = [part for role, column in columns.items() for part in (f"--{role.replace('_', '-')}", column)]
    call("build", folder / "atlas.h5ad", "-o", folder / "set", "--preset", "muscle", "--no-project", *roles)
    return folder / "set"


def assert_comes_back(folder: Path, formats: tuple[str, ...] = ("h5ad",)) -> None:
    theirs = ad.read_h5ad(folder / "atlas.h5ad")
    for name in formats:
        call("export", folder / "set", "--to", name, "-o", folder / f"back.{name}")
        ours = (ad.read_h5ad if name == "h5ad" else ad.read_zarr)(folder / f"back.{name}")
        assert frame_difference(ours.obs, theirs.obs) is None
        assert frame_difference(ours.var, theirs.var) is None
        assert (ours.X != theirs.X).nnz == 0
        np.testing.assert_array_equal(ours.obsm["X_umap"], theirs.obsm["X_umap"])


def errors_of(folder: Path) -> set[str]:
    """Errors of the validation, a check that crashed among them."""
    checks = ["integrity", "metadata", "matrix", "design", "viewer.columns"]
    report = validate(folder / "set", level="quick", checks=checks)
    return {finding.message for _, finding in report.findings("error")}


def assert_ages(folder: Path) -> None:
    opened = titin.open(folder / "set")
    of_cell = dict(zip([f"c{i}" for i in range(N_CELLS)], AGES[np.arange(N_CELLS) % N_DONORS], strict=True))
    expected = [of_cell[cell] for cell in opened.obs_names]
    design = atlas_design(opened)
    assert opened.ages.tolist() == design["age"].tolist() == design["age_numeric"].tolist() == expected
    assert "age_years" not in design
    assert design["donor"].nunique() == N_DONORS
    loader = Loader(folder / "set", batch_size=50)
    assert loader.obs[opened.cells.derived_names["age_numeric"]].tolist() == expected


def results(folder: Path, analyses: tuple[str, ...], models: tuple[str, ...] = ()) -> dict[str, pd.DataFrame]:
    """Tables of the analyses, and the scores of the benchmark."""
    for name in analyses:
        call("age", name, folder / "set", "-o", folder / "results" / f"age_{name}")
    if models:
        call("bench", folder / "set", "--no-figures", "-o", folder / "results" / "bench", *models)
    tables = {}
    for path in sorted((folder / "results").rglob("*.parquet")):
        table = pd.read_parquet(path)
        tables[str(path.relative_to(folder / "results"))] = table.drop(columns=[c for c in table if "seconds" in c])
    return tables


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, pd.DataFrame]]:
    """Results without any of these columns."""
    folder = tmp_path_factory.mktemp("plain")
    build(plain(), folder)
    known: dict[tuple[tuple[str, ...], ...], dict[str, pd.DataFrame]] = {}
    assert errors_of(folder) == set()

    def give(*asked: tuple[str, ...]) -> dict[str, pd.DataFrame]:
        if asked not in known:
            own = folder / str(len(known))
            own.mkdir()
            (own / "set").symlink_to(folder / "set")
            known[asked] = results(own, *asked)
        return known[asked]

    return give


def assert_same(ours: dict[str, pd.DataFrame], theirs: dict[str, pd.DataFrame]) -> None:
    assert ours.keys() == theirs.keys()
    assert theirs
    for name, table in theirs.items():
        pd.testing.assert_frame_equal(ours[name], table, obj=name)


def test_names_of_the_format_are_among_the_names():
    known = {"age_numeric", "age_years", "n_counts", "token", "cell_id", "gene_ids", "levels", "source_row"}
    assert known <= set(NAMES)


@pytest.mark.parametrize("shift", [1])
def test_columns_of_any_name_change_no_result(tmp_path, reference, shift):
    build(dressed(rotated(shift)), tmp_path)
    assert_comes_back(tmp_path)
    assert_ages(tmp_path)
    wanted = ("composition", "de")
    assert_same(results(tmp_path, wanted), reference(wanted))
    assert '"derived"' in call("info", tmp_path / "set", "--json")
    assert errors_of(tmp_path) == set()


@pytest.mark.slow
@pytest.mark.parametrize("shift", range(len(DTYPES)))
def test_columns_of_any_name_and_dtype_change_no_result_of_any_command(tmp_path, reference, shift):
    build(dressed(rotated(shift)), tmp_path)
    assert_comes_back(tmp_path, ("h5ad", "zarr"))
    assert_ages(tmp_path)
    assert_same(results(tmp_path, ANALYSES, MODELS), reference(ANALYSES, MODELS))
    assert errors_of(tmp_path) == set()
    call("report", tmp_path / "set", "-o", tmp_path / "report.html")
    call("card", tmp_path / "set", "--no-images")
    call("publish", tmp_path / "set", "me/x", "--dry-run", "--license", "cc0-1.0", codes=(0, 1))


ROLES_NAMED = {
    "of the format": ["n_cells", "genes", "age_numeric", "cell_id", "counts", "levels", "cells"],
    "of other roles": ["age", "donor", "sex", "sample", "chemistry", "protocol", "cell_type"],
    "of ages": ["age_years", "age_numeric", "donor", "titin_age_numeric", "source_age_numeric", "age_bin", "young_old"],
    "of tables": ["_bin", "_donor", "__index_level_0__", "index", "UMAP1", "X", "UMAP2"],
    "of results": ["feature", "fold", "value", "group", "weight", "kind", "share"],
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "of ages" else pytest.mark.slow) for name in ROLES_NAMED]
)
def test_roles_of_columns_of_any_name(tmp_path, reference, name):
    columns = dict(zip(COLUMNS, ROLES_NAMED[name], strict=True))
    atlas = plain()
    atlas.obs = atlas.obs.rename(columns={old: columns[role] for role, old in COLUMNS.items()})
    build(atlas, tmp_path, columns)
    assert_comes_back(tmp_path)
    assert_ages(tmp_path)
    theirs = reference(("variance",), MODELS)
    level = level_name(columns["cell_type"])
    assert_same(results(tmp_path, ("variance",), MODELS), {k.replace("what", level): v for k, v in theirs.items()})
    assert errors_of(tmp_path) == set()
    call("card", tmp_path / "set", "--no-images")


def test_genes_and_embeddings_of_any_name(tmp_path):
    atlas = plain()
    names = [name for name in NAMES if name not in KNOWN_GENES and name.strip()][: N_GENES - len(KNOWN_GENES)]
    atlas.var.index = [*KNOWN_GENES, *names, *atlas.var_names[len(KNOWN_GENES) + len(names) :]]
    for key in ("index", "cell_id", "X", "pseudobulk", "metadata", "expression", "X_UMAP"):
        atlas.obsm[key] = np.random.default_rng(1).normal(size=(N_CELLS, 3))
    atlas.obsm["frame"] = pd.DataFrame({"cell_id": np.arange(N_CELLS), "index": 0.5, "y": "a"}, atlas.obs_names)
    build(atlas, tmp_path)
    assert_comes_back(tmp_path)
    opened = titin.open(tmp_path / "set")
    for name in names:
        np.testing.assert_array_equal(opened[name], atlas[opened.obs_names, name].X.toarray().ravel())
    for key in atlas.obsm:
        theirs = atlas[opened.obs_names].obsm[key]
        ours = opened.obsm[key]
        assert ours.equals(theirs) if isinstance(theirs, pd.DataFrame) else (ours == theirs).all()
    assert errors_of(tmp_path) == set()
    for name in ("mtx", "wide"):
        call("export", tmp_path / "set", "--to", name, "-o", tmp_path / f"x.{'parquet' if name == 'wide' else name}")


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(dtypes=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(DTYPES), min_size=1))
def test_any_columns_come_back_and_change_no_age(tmp_path_factory, dtypes):
    folder = tmp_path_factory.mktemp("any")
    build(dressed(dtypes), folder)
    assert_comes_back(folder)
    assert_ages(folder)
    assert errors_of(folder) == set()
