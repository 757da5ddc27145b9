"""Studies as people have them, drawn at random: obs with any names, types, gaps and words for what is not known."""

from dataclasses import dataclass
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from hypothesis import strategies as st
from scipy import sparse

MARKERS = ["MYH7", "MYH2", "MYH1", "TNNT1", "TNNT3", "PAX7", "APOE", "DLK1", "COL1A1", "DCN", "PECAM1", "XIST",
           "RPS4Y1", "DDX3Y", "UTY", "CDKN1A", "CDKN2A", "IL6", "MT-ND1", "MT-CO1", "MALAT1", "RPL3"]  # fmt: skip
NAMES = {
    "donor": ["donor_id", "donor", "patient", "Subject.ID", "individual", "mouse.id", "who"],
    "sample": ["sample_id", "sample", "library", "orig.ident", "batch"],
    "age": ["age", "Age_group", "development_stage", "age_months", "age_days", "age_numeric", "age_years", "AgeYears"],
    "sex": ["sex", "Gender", "donor_sex"],
    "protocol": ["suspension_type", "protocol", "batch", "modality"],
    "chemistry": ["assay", "chemistry", "10X_version"],
    "cell_type": ["cell_type", "annotation", "predicted.celltype.l1", "annotation_level0", "Cell Type"],
}
SENTINELS = ["unknown", "na", "NA", "N/A", "nan", "None", "", " ", "pooled", "not reported", "-", "-9", "unassigned"]
RESERVED = ["cell_id", "source_row", "scale", "genes", "counts", "values", "levels", "token", "n_cells", "n_counts",
            "mean", "variance", "gene", "gene_ids", "source_column", "age_bin", "young_old", "donor", "sample", "age",
            "sex", "source_age_numeric", "cells", "index", "AGE_NUMERIC", "x/y", "a b", "0", "é\u202e",
            "=1+1"]  # fmt: skip
FORMS = ["object", "category", "unused", "codes", "floats", "string", "bool", "one", "each"]
WORDS = {
    "age": [
        ["22", "25", "35", "48", "61", "66", "74", "79"], ["20-29", "30-39", "60-64", "≥80"],
        ["22-year-old stage", "sixth decade stage", "unknown", "80 year-old and over stage"],
        ["3m", "18m", "24m", "E14.5"], ["young", "old", "adult", "aged"], ["6-8 wks", "12 wks", "1,5 years", "P28"],
        ["-1", "0", "1", "999"], ["1950", "1960", "1970", "2019-2020"],
    ],
    "sex": [["female", "male"], ["F", "M"], ["f ", "Male"], ["0", "1"], ["woman", "intersex"]],
    "protocol": [["cell", "nucleus"], ["scRNA", "snRNA"], ["cell", "na"], ["a", "b"]],
    "chemistry": [["10x 3' v2", "10x 3' v3"], ["v2", "v3"], ["Smart-seq2", "10x 5' v1"]],
    "cell_type": [["myonucleus", "fibroblast", "MuSC"], ["MF-I", "MF-II", "MuSC"], ["T cell", "B/T", "unknown"]],
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """How one column of obs is made.

    Attributes
    ----------
    name, role
        What it is called, and what it says; None for a column that plays no part.
    words
        Entries to choose from.
    form
        How they are stored, see `FORMS`.
    gap
        What is missing: ``none``, ``some`` cells, all of one ``donor``, ``all``.
    missing
        What stands where it is missing: None, or a word.
    """

    name: str
    role: str | None
    words: list[str]
    form: str
    gap: str
    missing: str | None


def _columns(rng: np.random.Generator) -> list[Column]:
    """Columns of an obs, no two of one name: most studies say most, and some say it in odd ways."""
    found: list[Column] = []
    odd = rng.choice([0.0, 0.05, 0.1, 0.4])  # how far a study is from what one would wish for

    def add(name: str, role: str | None, words: list[str]) -> None:
        if name in {column.name for column in found}:
            return
        form = str(rng.choice(FORMS)) if role is None or rng.random() < odd / 2 else str(rng.choice(FORMS[:3]))
        gap = str(rng.choice(["some", "some", "donor", "all"])) if rng.random() < odd else "none"
        missing = str(rng.choice(SENTINELS)) if rng.random() < 0.5 else None
        found.append(Column(name, role, words, form, gap, missing))

    for role, names in NAMES.items():
        if rng.random() < 1 - odd / 2:
            words = WORDS.get(role, [[]])
            add(str(rng.choice(names)), role, words[rng.integers(len(words)) if rng.random() < 2 * odd else 0])
    for name in rng.choice(RESERVED, rng.integers(0, 5), replace=False).tolist():
        add(name, None, [["a", "b"], ["1", "2", "30"], ["=1+1", "<b>", "$x$"]][rng.integers(3)])
    rng.shuffle(found)
    return found


def make_study(rng: np.random.Generator) -> ad.AnnData:
    """Make a small study: counts or what was made of them, with any obs."""
    n_donors = int(rng.choice([1, 3, 8, 10, 10, 10, 12, 12]))
    n_cells = int(rng.choice([1, 5, 90, 600, 900, 900, 900, 900]))
    n_genes = int(rng.choice([len(MARKERS), 150, 150]))
    counts = _counts(rng, n_cells, n_genes)
    donor = np.sort(
        rng.choice(n_donors, n_cells, p=rng.dirichlet(np.full(n_donors, rng.choice([0.5, 20.0, 20.0, 100.0]))))
    )
    obs = pd.DataFrame(index=[f"AAAC{i:05d}-1" for i in range(n_cells)])
    for column in _columns(rng):
        obs[column.name] = _stored(_entries(rng, column, donor), column, rng)
    var = pd.DataFrame(index=[*MARKERS, *(f"GENE{i}" for i in range(n_genes - len(MARKERS)))])
    if rng.random() < 0.5:
        var["mean"], var["token"] = counts.mean(axis=0), [f"t{i}" for i in range(n_genes)]
    adata = ad.AnnData(sparse.csr_matrix(_values(counts, str(rng.choice(VALUES)))), obs=obs, var=var)
    if rng.random() < 0.5:
        adata.obsm["X_umap"] = rng.normal(size=(n_cells, 2)).astype(np.float32)
    return adata


def studies(part: int = 0) -> st.SearchStrategy[ad.AnnData]:
    """Any study of `make_study`; of different parts, different ones."""
    return st.integers(0, 2**64 - 1).map(lambda seed: make_study(np.random.default_rng([part, seed])))


VALUES = ["counts", "counts", "float counts", "log1p", "log2", "cpm", "real"]


def _counts(rng: np.random.Generator, n_cells: int, n_genes: int) -> Any:
    share = rng.gamma(0.5, 1.0, n_genes)
    counts = rng.poisson(np.outer(rng.lognormal(6.0, 0.4, n_cells), share / share.sum()))
    counts[counts.sum(axis=1) == 0, 0] = 1
    return counts


def _values(counts: Any, kind: str) -> Any:
    linear = counts / counts.sum(axis=1, keepdims=True) * 1e4
    return {
        "counts": counts, "float counts": counts.astype(np.float32), "log1p": np.log1p(linear).astype(np.float32),
        "log2": np.log2(linear + 1), "cpm": (linear * 100).astype(np.float32),
        "real": np.where(counts > 0, np.random.default_rng(0).normal(3, 1, counts.shape), 0).astype(np.float32) ** 2,
    }[kind]  # fmt: skip


def _entries(rng: np.random.Generator, column: Column, donor: Any) -> list[str | None]:
    """Text of each cell: of a donor where that is the column's nature, of a cell where it is that."""
    n_donors = int(donor.max()) + 1
    if column.role == "donor":
        text = [f"D{d}" for d in donor]
    elif column.role == "sample":
        text = [f"S{d}{i % 2}" for i, d in enumerate(donor)]
    elif column.role in ("age", "sex", "protocol", "chemistry"):
        text = [column.words[d] for d in rng.permutation(np.arange(n_donors) % len(column.words))[donor]]
    else:
        text = [column.words[i] for i in rng.integers(len(column.words), size=len(donor))]
    gone = {
        "none": np.zeros(len(donor), bool), "some": rng.random(len(donor)) < 0.3,
        "donor": donor == rng.integers(n_donors), "all": np.ones(len(donor), bool),
    }[column.gap]  # fmt: skip
    return [column.missing if lost else word for word, lost in zip(text, gone, strict=True)]


def _stored(entries: list[str | None], column: Column, rng: np.random.Generator) -> Any:
    codes, words = pd.factorize(np.array([*entries, None], object)[:-1])
    numbers = np.where(codes < 0, np.nan, codes.astype(float))
    match column.form:
        case "object" if len(words):
            return np.array([*entries, None], object)[:-1]
        case "object":
            return numbers
        case "category":
            return pd.Categorical(entries)
        case "unused":
            return pd.Categorical(entries, categories=[*words, "never seen"])
        case "codes":
            return codes
        case "floats":
            return numbers if column.role != "age" else numbers * 17 + 1.5
        case "string":
            return pd.array(entries, dtype="string")
        case "bool":
            return codes > 0
        case "one":
            return pd.Categorical(["all"] * len(entries))
    return [f"{word} {i}" for i, word in enumerate(rng.random(len(entries)))]
