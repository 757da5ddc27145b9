"""Bad input and wrong use: each has its own message and hint, exit code 2, and leaves nothing behind."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import sparse

from command_line import Outcome, Run
from titin.demo import write_demo_atlas


def everything(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*")}


def refused(titin: Run, *arguments: str | Path, names: tuple[str, ...], hint: str) -> Outcome:
    """Check that a command is refused as it should be; return what it said."""
    before = everything(Path.cwd())
    outcome = titin(*arguments)
    assert outcome.code == 2, outcome
    assert outcome.stdout == ""
    assert "Traceback" not in outcome.stderr
    *_, message, advice = outcome.stderr.rstrip("\n").split("\n")
    assert message.startswith("error: "), outcome.stderr
    assert advice.startswith("  "), outcome.stderr
    for name in names:
        assert name in message
    assert hint in advice
    assert everything(Path.cwd()) == before
    return outcome


def make(n_cells: int = 12, n_genes: int = 8, **more: Any) -> ad.AnnData:
    rng = np.random.default_rng(0)
    counts = sparse.csr_matrix(rng.poisson(1.0, (n_cells, n_genes)).astype(np.float32))
    obs = pd.DataFrame({"donor": ["A", "B"] * (n_cells // 2)}, index=[f"cell{i}" for i in range(n_cells)])
    var = pd.DataFrame(index=[f"GENE{i}" for i in range(n_genes)])
    return ad.AnnData(counts, obs=obs, var=var, **more)


def write(adata: ad.AnnData, name: str = "atlas.h5ad") -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata.write_h5ad(name)
    return Path(name)


def with_value(value: float, how: str = "csr") -> ad.AnnData:
    adata = make()
    X = adata.X.tolil()
    X[7, 3] = value
    adata.X = {"csr": X.tocsr, "csc": X.tocsc, "dense": X.toarray}[how]()
    return adata


# ---- files that are no atlas


def test_no_such_file(titin: Run) -> None:
    refused(titin, "build", "nowhere.h5ad", "-o", "out", names=("nowhere.h5ad", "does not exist"), hint="name")


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"", "empty"),
        (b"not an atlas at all\n" * 50, "damaged"),
        (b"\x1f\x8b\x08\x00" + bytes(100), "gunzip"),
        (b"PK\x03\x04" + bytes(100), "zip"),
    ],
    ids=["empty", "text", "gzip", "zip"],
)
def test_not_an_hdf5_file(content: bytes, hint: str, titin: Run) -> None:
    Path("atlas.h5ad").write_bytes(content)
    refused(titin, "build", "atlas.h5ad", "-o", "out", names=("atlas.h5ad", "not an HDF5 file"), hint=hint)


@pytest.mark.parametrize("share", [0.001, 0.05, 0.3, 0.6, 0.9, 0.999])
def test_truncated(share: float, titin: Run) -> None:
    content = write_demo_atlas("atlas.h5ad", n_cells=300, n_genes=300).read_bytes()
    Path("atlas.h5ad").write_bytes(content[: int(len(content) * share)])
    refused(titin, "build", "atlas.h5ad", "-o", "out", names=("atlas.h5ad",), hint="damaged or incomplete")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_bytes_overwritten_in_the_middle_do_not_pass_in_silence(share: float, titin: Run) -> None:
    content = bytearray(write_demo_atlas("atlas.h5ad", n_cells=300, n_genes=300).read_bytes())
    at = int(len(content) * share)
    content[at : at + 60_000] = b"\xff" * len(content[at : at + 60_000])
    Path("atlas.h5ad").write_bytes(content)
    refused(titin, "build", "atlas.h5ad", "-o", "out", names=("atlas.h5ad",), hint="")


def test_hdf5_that_is_not_anndata(titin: Run) -> None:
    with h5py.File("other.h5", "w") as file:
        file["temperatures"] = np.arange(3)
    refused(titin, "build", "other.h5", "-o", "out", names=("other.h5", "temperatures"), hint=".h5ad")


@pytest.mark.parametrize("name", ["atlas.rds", "atlas.loom", "matrix.mtx.gz", "table.csv"])
def test_other_formats(name: str, titin: Run) -> None:
    Path(name).write_bytes(b"something")
    refused(titin, "build", name, "-o", "out", names=(name,), hint="onvert it")


def test_a_folder_that_is_not_zarr(titin: Run) -> None:
    Path("folder").mkdir()
    refused(titin, "build", "folder", "-o", "out", names=("folder", "zarr"), hint=".h5ad")


def test_no_X(titin: Run) -> None:  # noqa: N802
    adata = make(layers={"counts": make().X})
    adata.X = None
    refused(titin, "build", write(adata), "-o", "out", names=("has no X",), hint="--layer counts")


# ---- values


@pytest.mark.parametrize("how", ["csr", "csc", "dense"])
@pytest.mark.parametrize(
    ("value", "says", "hint"),
    [
        (np.nan, "NaN", "remove"),
        (np.inf, "infinite", "remove"),
        (-np.inf, "infinite", "remove"),
        (-1.5, "-1.5", "--raw"),
    ],
    ids=["NaN", "inf", "-inf", "negative"],
)
def test_impossible_values_are_named_with_cell_and_gene(
    value: float, says: str, hint: str, how: str, titin: Run
) -> None:
    source = write(with_value(value, how))
    refused(titin, "build", source, "-o", "out", names=("atlas.h5ad", "'cell7'", "'GENE3'", says), hint=hint)


def test_a_negative_value_may_be_kept(titin: Run) -> None:
    outcome = titin("build", write(with_value(-1.5)), "-o", "out", "--allow-negative")
    assert outcome.code == 0, outcome
    assert titin("export", "out", "--format", "h5ad", "-o", "back.h5ad").code == 0
    assert ad.read_h5ad("back.h5ad").X[7, 3] == np.float32(-1.5)


def test_a_bad_value_far_into_the_atlas_leaves_an_old_dataset_alone(titin: Run) -> None:
    assert titin("build", write(make(), "good.h5ad"), "-o", "out").code == 0
    before = {p.name: p.read_bytes() for p in Path("out").iterdir()}
    bad = make(3_000)
    bad.X[2_990, 5] = np.nan
    source = write(bad)
    refused(titin, "build", source, "-o", "out", "--force", names=("'cell2990'", "'GENE5'", "NaN"), hint="remove")
    assert {p.name: p.read_bytes() for p in Path("out").iterdir()} == before


def test_a_gene_twice_in_one_cell(titin: Run) -> None:
    source = write(make())
    with h5py.File(source, "r+") as file:
        pointers = file["X/indptr"][:]
        first = pointers[4]
        file["X/indices"][first + 1] = file["X/indices"][first]
    refused(titin, "build", source, "-o", "out", names=("'cell4'", "stored twice"), hint="sum_duplicates")


def test_a_gene_that_does_not_exist(titin: Run) -> None:
    source = write(make())
    with h5py.File(source, "r+") as file:
        file["X/indices"][file["X/indptr"][4]] = 99
    refused(titin, "build", source, "-o", "out", names=("'cell4'", "gene 99"), hint="damaged")


def test_integers_too_large_to_keep(titin: Run) -> None:
    adata = make()
    adata.X = adata.X.astype(np.int64)
    adata.X.data[0] = 2**60 + 1
    refused(titin, "build", write(adata), "-o", "out", names=("X", "2^53"), hint="floating point")


# ---- names and tables


def test_duplicate_barcodes(titin: Run) -> None:
    adata = make()
    adata.obs.index = ["twin", "twin", *adata.obs_names[2:]]
    refused(titin, "build", write(adata), "-o", "out", names=("duplicate barcodes", "twin"), hint="unique")


def test_duplicate_genes(titin: Run) -> None:
    adata = make()
    adata.var.index = ["MYH7", "MYH7", *adata.var_names[2:]]
    refused(titin, "build", write(adata), "-o", "out", names=("duplicate genes", "MYH7"), hint="unique")


@pytest.mark.parametrize(("shape", "says"), [((0, 8), "no cells"), ((12, 0), "no genes")])
def test_nothing_to_build(shape: tuple[int, int], says: str, titin: Run) -> None:
    source = write(make()[: shape[0], : shape[1]].copy())
    refused(titin, "build", source, "-o", "out", names=("atlas.h5ad", says), hint="Nothing to build")


@pytest.mark.parametrize("table", ["obs", "var"])
def test_columns_of_mixed_objects(table: str, titin: Run) -> None:
    adata = make()
    getattr(adata, table)["odd"] = pd.Categorical(["x"] * getattr(adata, table).shape[0])
    source = write(adata)
    with h5py.File(source, "r+") as file:  # anndata itself refuses to write such a column
        del file[f"{table}/odd"]
        file[f"{table}/odd"] = np.zeros((len(adata.obs) if table == "obs" else 8, 2))
    refused(titin, "build", source, "-o", "out", names=("'odd'", table), hint="columns")


def test_a_pickled_object_column_of_an_old_atlas(titin: Run) -> None:
    source = write(make())
    with h5py.File(source, "r+") as file:
        group = file["obs"]
        del group["donor"]
        # what a program other than anndata may write: text and numbers as one categorical
        donor = group.create_group("donor")
        donor.attrs.update({"encoding-type": "categorical", "encoding-version": "0.2.0", "ordered": False})
        donor["codes"] = np.zeros(12, np.int8)
        donor.create_dataset("categories", (1,), h5py.special_dtype(ref=h5py.Reference))
    refused(titin, "build", source, "-o", "out", names=("atlas.h5ad", "obs"), hint="")


def test_tables_and_matrix_of_different_lengths(titin: Run) -> None:
    source = write(make())
    with h5py.File(source, "r+") as file:
        file["X"].attrs["shape"] = [11, 8]
        del file["X/indptr"]
        file["X/indptr"] = np.zeros(12, np.int64)
        for name in ("indices", "data"):
            del file[f"X/{name}"]
            file[f"X/{name}"] = np.zeros(0, np.int32)
    refused(titin, "build", source, "-o", "out", names=("11 × 8", "12 rows"), hint="inconsistent")


# ---- choices


@pytest.mark.parametrize("role", ["cell-type", "donor", "sample", "age", "sex", "protocol", "chemistry"])
def test_a_role_that_does_not_exist(role: str, titin: Run) -> None:
    names = ("'donro'", role.replace("-", " "))
    refused(titin, "build", write(make()), "-o", "out", f"--{role}", "donro", names=names, hint="did you mean donor?")


def test_an_age_column_without_ages(titin: Run) -> None:
    names = ("'donor'", "no age", "'A'")
    refused(titin, "build", write(make()), "-o", "out", "--age", "donor", names=names, hint="15-20")


@pytest.mark.parametrize(
    ("arguments", "names", "hint"),
    [
        (["--layer", "spliced"], ("no layer 'spliced'",), "no layers"),
        (["--raw"], ("no raw",), "--raw"),
        (["--raw", "--layer", "a"], ("--layer", "--raw"), "one of them"),
        (["--memory", "lots"], ("'lots'",), "1GiB"),
        (["--memory", "10MB"], ("10MB", "too little"), "512MiB"),
        (["--memory", "-1GiB"], ("'-1GiB'",), "1GiB"),
        (["--threads", "0"], ("0 threads",), "--threads 1"),
        (["--threads", "-2"], ("-2 threads",), "--threads 1"),
        (["--preset", "heart"], ("no preset 'heart'",), "muscle"),
        (["--preset", "muscle"], ("annotation_level0",), "columns of obs: donor"),
        (["--tissue", "…"], ("--tissue", "'…'"), "letters and digits"),
        (["--technology", "//"], ("--technology", "'//'"), "letters and digits"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_impossible_choices(arguments: list[str], names: tuple[str, ...], hint: str, titin: Run) -> None:
    refused(titin, "build", write(make()), "-o", "out", *arguments, names=names, hint=hint)


def test_an_unknown_layer_is_answered_with_those_there_are(titin: Run) -> None:
    source = write(make(layers={"spliced": make().X, "unspliced": make().X}))
    names = ("no layer 'splced'",)
    refused(titin, "build", source, "-o", "out", "--layer", "splced", names=names, hint="spliced, unspliced")


@pytest.mark.parametrize(
    ("table", "names", "hint"),
    [
        (None, ("donors.csv", "does not exist"), "donor and an age"),
        ("", ("donors.csv", "cannot be read"), "CSV"),
        ("who,age\nA,30\n", ("no donor column", "who, age"), "'donor'"),
        ("donor\nA\n", ("no age column", "it has donor"), "'age'"),
        ("donor,age\nA,30\nA,31\n", ("'A'", "30", "31"), "one age"),
        ("donor,age\nX,30\nY,31\n", ("none of the donors", "'donor'", "A, B"), "--donor COLUMN"),
        ("\x00\x01\x02", ("donors.csv",), ""),
    ],
    ids=["missing", "empty", "no donor", "no age", "two ages", "other donors", "binary"],
)
def test_donor_tables(table: str | None, names: tuple[str, ...], hint: str, titin: Run) -> None:
    if table is not None:
        Path("donors.csv").write_text(table)
    refused(titin, "build", write(make()), "-o", "out", "--donors", "donors.csv", names=names, hint=hint)


def test_a_donor_table_without_a_donor_column_in_obs(titin: Run) -> None:
    adata = make()
    del adata.obs["donor"]
    Path("donors.csv").write_text("donor,age\nA,30\n")
    names = ("--donors", "no donor column")
    refused(titin, "build", write(adata), "-o", "out", "--donors", "donors.csv", names=names, hint="--donor COLUMN")


@pytest.mark.parametrize("name", ["donors.parquet", "donors.csv"])
def test_a_damaged_donor_table(name: str, titin: Run) -> None:
    Path(name).write_bytes(b"PAR1" + bytes(range(128, 256)) * 4)
    refused(titin, "build", write(make()), "-o", "out", "--donors", name, names=(name,), hint="CSV")


# ---- where to write


def test_output_that_is_a_file(titin: Run) -> None:
    Path("out").write_text("mine")
    refused(titin, "build", write(make()), "-o", "out", "--force", names=("out", "not a folder"), hint="--output")
    assert Path("out").read_text() == "mine"


def test_output_below_a_file(titin: Run) -> None:
    Path("file").write_text("mine")
    refused(titin, "build", write(make()), "-o", "file/out", names=("file", "cannot write"), hint="--output")


def test_output_that_is_a_link(titin: Run) -> None:
    Path("elsewhere").mkdir()
    Path("out").symlink_to("elsewhere")
    refused(titin, "build", write(make()), "-o", "out", "--force", names=("out",), hint="--output")


def test_output_that_holds_something_else(titin: Run) -> None:
    Path("out").mkdir()
    Path("out", "thesis.tex").write_text("mine")
    refused(titin, "build", write(make()), "-o", "out", "--force", names=("out", "not be touched"), hint="--output")


def test_output_that_is_a_dataset(titin: Run) -> None:
    source = write(make())
    assert titin("build", source, "-o", "out").code == 0
    refused(titin, "build", source, "-o", "out", names=("out", "dataset already"), hint="--force")
    assert titin("build", source, "-o", "out", "--force").code == 0


def test_an_empty_folder_may_be_filled(titin: Run) -> None:
    Path("out").mkdir()
    assert titin("build", write(make()), "-o", "out").code == 0
    assert Path("out", "titin.json").is_file()


def test_output_in_a_folder_that_may_not_be_written(titin: Run, tmp_path: Path) -> None:
    source = write(make())
    closed = tmp_path / "closed"
    closed.mkdir()
    command = [sys.executable, "-m", "titin", "build", str(source), "-o", "closed/out"]
    if os.geteuid():
        closed.chmod(0o500)
    else:  # root may write anywhere but here
        read_only = 'mount -t tmpfs -o ro none closed || exit 77; exec "$@"'
        command = ["unshare", "-m", "sh", "-c", read_only, "sh", *command]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if done.returncode in (77, 1) and "permitted" in done.stderr:
        pytest.skip(f"no read-only folder can be had here: {done.stderr.strip()}")
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert f"cannot write in {closed}" in done.stderr
    assert "--output" in done.stderr
    assert "Traceback" not in done.stderr
    assert everything(tmp_path) == {"atlas.h5ad", "closed"}


# ---- settings


@pytest.mark.parametrize(
    "text",
    ["threads = = 2", "threads 2", "build = 3", 'threads = "many"', "\x00"],
    ids=["syntax", "no equals sign", "not a table", "wrong type", "binary"],
)
def test_broken_settings(text: str, titin: Run) -> None:
    source = write(make())
    Path("titin.toml").write_text(text)
    outcome = titin("build", source, "-o", "out")
    assert outcome.code == 2, outcome
    assert outcome.stdout == ""
    assert "Traceback" not in outcome.stderr
    assert "titin.toml" in outcome.stderr or "threads" in outcome.stderr
    assert everything(Path.cwd()) == {"atlas.h5ad", "titin.toml"}


@pytest.mark.parametrize("arguments", [["--seed", "x"], ["--threads", "two"], ["--colour"], []])
def test_wrong_use(arguments: list[str], titin: Run) -> None:
    outcome = titin("build", *arguments)
    assert outcome.code == 2
    assert outcome.stdout == ""
    assert "Usage:" in outcome.stderr
    assert "--help" in outcome.stderr


def test_debug_shows_a_traceback(titin: Run) -> None:
    outcome = titin("build", "nowhere.h5ad", "-o", "out", "--debug")
    assert outcome.code == 2
    assert outcome.stdout == ""
    assert "Traceback" in outcome.stderr
    assert "nowhere.h5ad does not exist" in outcome.stderr


def test_dry_run_refuses_the_same(titin: Run) -> None:
    source = write(with_value(np.nan))
    refused(titin, "build", source, "-o", "out", "--dry-run", names=("'cell7'", "'GENE3'", "NaN"), hint="remove")


# ---- what looks bad and is fine


def same(adata: ad.AnnData, titin: Run, *arguments: str) -> dict[str, Any]:
    """Build, export and compare; return the manifest."""
    assert titin("build", write(adata), "-o", "out", *arguments).code == 0
    outcome = titin("export", "out", "--format", "h5ad", "-o", "back.h5ad")
    assert outcome.code == 0, outcome
    back = ad.read_h5ad("back.h5ad")
    assert back.X.dtype == adata.X.dtype
    assert (sparse.csr_matrix(back.X) != sparse.csr_matrix(adata.X)).nnz == 0
    pd.testing.assert_frame_equal(back.obs, ad.read_h5ad("atlas.h5ad").obs)
    pd.testing.assert_frame_equal(back.var, ad.read_h5ad("atlas.h5ad").var)
    return dict(json.loads(Path("out", "titin.json").read_text("utf-8")))


@pytest.mark.parametrize("normalised", [False, True])
def test_an_empty_cell_and_a_gene_nobody_expresses_survive(normalised: bool, titin: Run) -> None:
    adata = make()
    X = adata.X.toarray()
    X[[0, 5, 11]] = 0
    X[:, [0, 6]] = 0
    if normalised:
        total = np.maximum(X.sum(1, keepdims=True), 1)
        X = np.log1p(X / total * np.float32(1e4))
    adata.X = sparse.csr_matrix(X)
    manifest = same(adata, titin)
    assert "3 cells express no gene" in manifest["notes"]
    assert "2 genes are expressed in no cell" in manifest["notes"]


def test_an_atlas_of_zeros_survives(titin: Run) -> None:
    adata = make()
    adata.X = sparse.csr_matrix((12, 8), dtype=np.float32)
    assert same(adata, titin)["nnz"] == 0


def test_one_cell_and_one_gene_survive(titin: Run) -> None:
    adata = make()[:1, :1].copy()
    adata.X = sparse.csr_matrix(np.array([[3.0]], np.float32))
    same(adata, titin)


@pytest.mark.parametrize(
    ("largest", "normalised", "kind"),
    [
        (65_535, False, "counts"),
        (65_536, False, "counts"),
        (4_000_000, False, "counts"),
        (65_535, True, "log1p"),
        (65_536, True, "log1p"),
        (120_000, True, "log1p"),
        (4_000_000, True, "real"),  # neighbouring counts have the same float32: nothing proves which it was
    ],
)
def test_counts_past_16_bits_survive(largest: int, normalised: bool, kind: str, titin: Run) -> None:
    adata = make(20, 30)
    X = adata.X.toarray()
    X[3, 2] = largest
    if normalised:
        X = np.log1p(X / X.sum(1, keepdims=True) * np.float32(1e4))
    adata.X = sparse.csr_matrix(X)
    manifest = same(adata, titin)
    assert manifest["kind"] == kind
    for name in ("atlas_scrna_expression.parquet", "atlas_scrna_expression_by_gene.parquet"):
        stored = pq.read_schema(Path("out", name)).field("values" if kind == "real" else "counts").type.value_type
        assert stored == ("float" if kind == "real" else "uint16" if largest <= 65_535 else "uint32")


@pytest.mark.parametrize("n_genes", [65_536, 65_537, 70_000])
def test_more_genes_than_16_bits_survive(n_genes: int, titin: Run) -> None:
    rng = np.random.default_rng(0)
    X = np.where(rng.random((40, n_genes)) < 0.002, 3, 0).astype(np.float32)
    X[:, -1] = 1
    obs, var = (pd.DataFrame(index=[f"{name}{i}" for i in range(n)]) for name, n in (("c", 40), ("g", n_genes)))
    adata = ad.AnnData(sparse.csr_matrix(X), obs=obs, var=var)
    manifest = same(adata, titin)
    assert manifest["n_genes"] == n_genes
    stored = pq.read_schema(Path("out", "atlas_scrna_expression.parquet")).field("genes").type.value_type
    assert stored == ("uint16" if n_genes <= 65_536 else "uint32")
