"""Corruptions that only the source shows, and ones of metadata."""

import numpy as np
from corruptions import (
    edited,
    everywhere,
    in_json,
    in_manifest,
    item,
    level_off,
    put,
    put_in_list,
    same_change,
    swap_columns,
    two_ages,
    two_sexes,
    wrong_parent,
)
from mutations import Mutation, set_values

SOURCE = [
    Mutation(
        "another source's checksum",
        "source.sha256",
        r"atlas\.h5ad: the source's sha256 is .* titin\.json says 0000",
        in_manifest(lambda m: m["source"].update(sha256="0" * 64)),
        source=True,
    ),
    Mutation(
        "a count changed in both files",
        "source.matrix",
        r"expression\.parquet, row \d+: 1 cells differ.*in the source",
        lambda f: same_change(f),
        "counts",
        source=True,
    ),
    Mutation(
        "a level changed within what is allowed",
        "source.matrix",
        r"expression\.parquet, row 18: 1 cells differ",
        put_in_list("expression", "levels", 18, level_off(1)),
        source=True,
    ),
    Mutation(
        "a source row named twice",
        "source.order",
        r"expression\.parquet, column source_row, row \d+: source_row does not",
        edited("expression", lambda t: set_values(t, "source_row", [9], [t.column("source_row")[2].as_py()])),
        source=True,
    ),
    Mutation(
        "two source rows swapped",
        "source.order",
        r"expression\.parquet, row 2: 2 cells have another name",
        edited("expression", lambda t: swap_columns(t, ("source_row",), 2, 30)),
        source=True,
    ),
    Mutation(
        "a changed number in obs",
        "source.obs",
        r"sample_metadata\.parquet, column score, cell or gene CELL\d+-1",
        put("sample_metadata", "score", 40, 0.123),
        source=True,
    ),
    Mutation(
        "a label changed in every file",
        "source.obs",
        r"sample_metadata\.parquet, column annotation_level1",
        everywhere("annotation_level1", 41, "T cell X"),
        source=True,
    ),
    Mutation(
        "a changed flag in var",
        "source.var",
        r"feature_metadata\.parquet, column highly_variable, cell or gene",
        edited(
            "feature_metadata",
            lambda t: set_values(t, "highly_variable", [3], [not t.column("highly_variable")[3].as_py()]),
        ),
        source=True,
    ),
    Mutation(
        "a projection moved by a unit in the last place",
        "source.obsm",
        r"X_umap\.parquet, dimension 2, source row",
        edited(
            "X_umap",
            lambda t: set_values(
                t, "UMAP2", [5], [float(np.nextafter(np.float32(t.column("UMAP2")[5].as_py()), np.float32(99)))]
            ),
        ),
        source=True,
    ),
    Mutation(
        "mutated uns",
        "source.uns",
        r"unstructured_metadata\.json, title: it is 'another atlas'",
        in_json("unstructured_metadata", item("title", "another atlas")),
        source=True,
    ),
    Mutation(
        "a key lost from uns",
        "source.uns",
        r"unstructured_metadata\.json, list: it is missing",
        in_json("unstructured_metadata", lambda d: d.pop("list")),
        source=True,
    ),
]


METADATA = [
    Mutation(
        "a role whose column is gone",
        "metadata.roles",
        r"titin\.json: obs has no column 'gender'",
        in_manifest(lambda m: m["roles"].update(sex="gender")),
    ),
    Mutation(
        "a donor with two sexes",
        "metadata.donors",
        r"sample_metadata\.parquet, column sex: donor D\d has several entries",
        two_sexes,
    ),
    Mutation(
        "a donor with two ages",
        "metadata.donors",
        r"sample_metadata\.parquet, column age: donor D\d has several entries",
        two_ages,
    ),
    Mutation(
        "an age in years that is not that of its bin",
        "metadata.ages",
        r"column age_numeric, row 6: 1 cells have another",
        everywhere("age_numeric", 6, 31.25),
    ),
    Mutation(
        "an age that cannot be read",
        "metadata.ages",
        r"column age: 1 cell has no age that can be read from 'age': no number: 'adult'",
        everywhere("age", 6, "adult"),
    ),
    Mutation(
        "an age in days",
        "metadata.ages",
        r"column age: .age. has numbers up to 9000, and .*are they days",
        everywhere("age", 6, "9000"),
    ),
    Mutation(
        "a range of ages that is not that of the donor table",
        "metadata.age_columns",
        r"columns Age_group and age_years: .* on 1 cells: \w+ \(95-100 and \d\d\)",
        everywhere("Age_group", 6, "95-100"),
        dataset="demo",
    ),
    Mutation(
        "an age before birth",
        "metadata.life_span",
        r"column age_numeric, row 6: 1 cells have an age that nobody reaches; the first -1 years",
        everywhere("age_numeric", 6, -1.0),
    ),
    Mutation(
        "an age in days taken for years",
        "metadata.life_span",
        r"column age_numeric, row 6: 1 cells have an age that nobody reaches; the first 700 years",
        everywhere("age_numeric", 6, 700.0),
    ),
    Mutation(
        "ages of people for those of mice",
        "metadata.life_span",
        r"column age_numeric, row 0: 240 cells have an age that nobody reaches; .* Mus musculus lives 5 at most",
        in_manifest(lambda m: m["obs"]["derived"]["age_numeric"].update(species=["Mus musculus"])),
    ),
    Mutation(
        "a cell under two parents",
        "metadata.hierarchy",
        r"column annotation_level1: 1 of 240 cells have another annotation_level0",
        wrong_parent,
    ),
    Mutation(
        "a category of one cell",
        "metadata.categories",
        r"column annotation_level1: 1 categories have one cell: odd one",
        everywhere("annotation_level1", 6, "odd one"),
    ),
    Mutation(
        "a missing donor",
        "metadata.missing",
        r"sample_metadata\.parquet, column donor_id, row 5: 1 of 240 cells have no",
        everywhere("donor_id", 5, None),
    ),
    Mutation(
        "n_counts of a cell",
        "metadata.quality",
        r"column n_counts, row 7: 1 of 240 cells have another n_counts",
        put("sample_metadata", "n_counts", 7, 5.0),
    ),
    Mutation(
        "n_genes of a cell",
        "metadata.quality",
        r"column n_genes, row 8: 1 of 240 cells have another n_genes",
        put("sample_metadata", "n_genes", 8, 5),
    ),
    Mutation(
        "percent_mito of a cell",
        "metadata.quality",
        r"column percent_mito, row 9: 1 of 240 cells have another",
        put("sample_metadata", "percent_mito", 9, 99.0),
    ),
    Mutation(
        "a symbol of two genes",
        "metadata.symbols",
        r"feature_metadata\.parquet, column gene: 1 symbols name several genes",
        edited("feature_metadata", lambda t: set_values(t, "gene", [4], [t.column("gene")[5].as_py()])),
    ),
]


MUTATIONS: list[Mutation] = [*SOURCE, *METADATA]
