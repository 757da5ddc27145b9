"""10x Genomics .h5 as CellRanger writes it."""

import h5py
import numpy as np
import pytest
import scipy.sparse as sp
from source_files import assert_identical, random_counts, rebuilt

from titin.errors import SourceError
from titin.source import open_source

TYPES = ["Gene Expression"] * 20 + ["Antibody Capture"] * 2 + ["CRISPR Guide Capture"]


def write_matrix(group, counts, n_barcodes):
    matrix = sp.csr_matrix(counts)
    group["barcodes"] = np.array([f"ACGT{i}-1" for i in range(n_barcodes)], dtype="S")
    group.create_dataset("data", data=matrix.data.astype("i4"), compression="gzip", shuffle=True, chunks=(50,))
    group.create_dataset("indices", data=matrix.indices.astype("i8"), compression="gzip", shuffle=True, chunks=(50,))
    group.create_dataset("indptr", data=matrix.indptr.astype("i8"), compression="gzip", shuffle=True)
    group["shape"] = np.array([counts.shape[1], counts.shape[0]], "i4")


def write_v3(path, names, types=None):
    with h5py.File(path, "w") as file:
        file.attrs["chemistry_description"] = "Single Cell 3' v3"
        file.attrs["library_ids"] = np.array([b"lib1"])
        file.attrs["version"] = 2
        group = file.create_group("matrix")
        write_matrix(group, random_counts(), 40)
        features = group.create_group("features")
        features["_all_tag_keys"] = np.array([b"genome"])
        features["id"] = np.array([f"ENSG{i}" for i in range(23)], dtype="S")
        features["name"] = np.array(names, dtype="S")
        features["feature_type"] = np.array(types or ["Gene Expression"] * 23, dtype="S")
        features["genome"] = np.array(["GRCh38"] * 23, dtype="S")
    return path


def test_cellranger_3(tmp_path, scratch):
    path = write_v3(tmp_path / "filtered.h5", [f"G{i}" for i in range(23)])
    with open_source(path) as source:
        assert source.format == "10x"
        assert_identical(rebuilt(source.X, 100, scratch), sp.csr_matrix(random_counts(dtype="int32")))
        assert list(source.obs.index[:2]) == ["ACGT0-1", "ACGT1-1"]
        assert source.obs.shape == (40, 0)
        assert list(source.var.index[:2]) == ["G0", "G1"]
        assert list(source.var.columns) == ["gene_ids", "feature_types", "genome"]
        assert source.var.loc["G5"].tolist() == ["ENSG5", "Gene Expression", "GRCh38"]
        assert source.uns["chemistry_description"] == "Single Cell 3' v3"
        assert list(source.uns["library_ids"]) == ["lib1"]
        assert source.left_out == {}
        assert source.counts is None


PROBES = "Chromium Human Transcriptome Probe Set v1.1.0"


def test_probe_sets_say_which_genes_they_aim_at(tmp_path):
    path = write_v3(tmp_path / "flex.h5", [f"G{i}" for i in range(23)])
    with h5py.File(path, "r+") as file:
        file[f"matrix/features/target_sets/{PROBES}"] = np.array([0, 2, 22], "i4")
    with open_source(path) as source:
        assert list(np.flatnonzero(source.var[PROBES])) == [0, 2, 22]
        assert source.left_out == {}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("target_sets/odd", np.array([0, 99])),
        ("target_sets/deep/er", np.array([0])),
        ("more/things", np.arange(3)),
        ("too_short", np.arange(3)),
        ("wide", np.zeros((23, 2))),
        ("records", np.zeros(23, [("a", "f4"), ("b", "i4")])),
        ("one", 3),
    ],
)
def test_what_is_no_column_of_features_is_named_as_left_out(tmp_path, name, values):
    path = write_v3(tmp_path / "odd.h5", [f"G{i}" for i in range(23)])
    with h5py.File(path, "r+") as file:
        file[f"matrix/features/{name}"] = values
    with open_source(path) as source:
        assert list(source.var.columns) == ["gene_ids", "feature_types", "genome"]
        (place,) = source.left_out
        assert f"matrix/features/{name}".startswith(place)


@pytest.mark.parametrize(
    "values",
    [np.arange(23) % 2 == 0, np.arange(23.0), [f"é{i}" for i in range(23)], np.array(["é".encode("latin-1")] * 23)],
    ids=["bool", "float", "text", "latin-1"],
)
def test_columns_of_any_type_are_kept(tmp_path, values):
    path = write_v3(tmp_path / "more.h5", [f"G{i}" for i in range(23)])
    with h5py.File(path, "r+") as file:
        file["matrix/features/more"] = values
    with open_source(path) as source:
        expected = ["é"] * 23 if isinstance(values, np.ndarray) and values.dtype.kind == "S" else list(values)
        assert list(source.var["more"]) == expected


def test_repeated_symbols_give_way_to_ids(tmp_path):
    path = write_v3(tmp_path / "filtered.h5", ["TBCE", "TBCE", *(f"G{i}" for i in range(21))])
    with open_source(path) as source:
        assert list(source.var.index[:2]) == ["ENSG0", "ENSG1"]
        assert list(source.var.columns) == ["gene_symbols", "feature_types", "genome"]
        assert source.var["gene_symbols"].tolist()[:3] == ["TBCE", "TBCE", "G0"]


def test_other_feature_types_are_left_out_by_name(tmp_path, scratch):
    path = write_v3(tmp_path / "filtered.h5", [f"G{i}" for i in range(23)], TYPES)
    with open_source(path) as source:
        assert source.X.shape == (40, 20)
        assert_identical(rebuilt(source.X, 100, scratch), sp.csr_matrix(random_counts(dtype="int32")[:, :20]))
        assert len(source.var) == 20
        assert source.left_out == {
            "Antibody Capture": "2 features that are not Gene Expression; --modalities prot keeps them apart",
            "CRISPR Guide Capture": "1 features that are not Gene Expression; --modalities 'CRISPR Guide Capture' "
            "keeps them apart",
        }


def test_several_types_without_expression(tmp_path):
    path = write_v3(tmp_path / "filtered.h5", [f"G{i}" for i in range(23)], ["Peaks"] * 20 + ["Custom"] * 3)
    with pytest.raises(SourceError, match="none of which is Gene Expression"):
        open_source(path)


def write_v2(path, *genomes):
    with h5py.File(path, "w") as file:
        for k, genome in enumerate(genomes):
            group = file.create_group(genome)
            write_matrix(group, random_counts(seed=k), 40)
            group["genes"] = np.array([f"{genome}_{i}" for i in range(23)], dtype="S")
            group["gene_names"] = np.array([f"G{i}" for i in range(23)], dtype="S")
    return path


def test_cellranger_2(tmp_path, scratch):
    with open_source(write_v2(tmp_path / "old.h5", "hg19")) as source:
        assert_identical(rebuilt(source.X, 100, scratch), sp.csr_matrix(random_counts(dtype="int32")))
        assert list(source.var.columns) == ["gene_ids", "genome"]
        assert source.var.loc["G3"].tolist() == ["hg19_3", "hg19"]


def test_cellranger_2_with_two_genomes(tmp_path, scratch):
    path = write_v2(tmp_path / "old.h5", "hg19", "mm10")
    with pytest.raises(SourceError, match="holds 2 genomes: hg19, mm10") as error:
        open_source(path)
    assert "--layer hg19" in error.value.hint
    with open_source(path, layer="mm10") as source:
        assert_identical(rebuilt(source.X, 100, scratch), sp.csr_matrix(random_counts(dtype="int32", seed=1)))
        assert source.left_out == {"hg19": "another genome; --layer chooses it"}


def test_layer_and_raw_of_a_10x_file(tmp_path):
    path = write_v3(tmp_path / "filtered.h5", [f"G{i}" for i in range(23)])
    with pytest.raises(SourceError, match="no layer 'spliced'"):
        open_source(path, layer="spliced")
    with pytest.raises(SourceError, match="has no raw"):
        open_source(path, raw=True)


@pytest.mark.parametrize("part", ["indptr", "indices", "data"])
def test_damaged_10x(tmp_path, part):
    path = write_v3(tmp_path / "filtered.h5", [f"G{i}" for i in range(23)])
    with h5py.File(path, "r+") as file:
        short = file[f"matrix/{part}"][:-1]
        del file[f"matrix/{part}"]
        file[f"matrix/{part}"] = short
    with pytest.raises(SourceError, match="matrix is damaged"):
        open_source(path)
    with h5py.File(path, "r+") as file:
        del file[f"matrix/{part}"]
    with pytest.raises(SourceError, match=f"matrix cannot be read .*{part}"):
        open_source(path)


MULTIPLE = {
    "CITE-seq": ["Antibody Capture"],
    "multiome": ["Peaks"],
    "CRISPR and hashtags": ["CRISPR Guide Capture", "Multiplexing Capture"],
    "BEAM": ["Antigen Capture", "Antibody Capture", "VDJ"],
    "of one's own": ["Custom"],
}


@pytest.mark.parametrize("others", MULTIPLE.values(), ids=MULTIPLE)
def test_files_of_several_kinds_of_features(tmp_path, scratch, others):
    types = ["Gene Expression"] * 20 + [others[i % len(others)] for i in range(3)]
    path = write_v3(tmp_path / "multi.h5", [f"G{i}" for i in range(23)], types)
    with h5py.File(path, "r+") as file:
        file["matrix/features/interval"] = np.array([f"chr1:{i}-{i + 9}" for i in range(23)], "S")
        file["matrix/features/_all_tag_keys"].file["matrix/features/isotype_control"] = np.array(["0"] * 23, "S")
    with open_source(path) as source:
        assert source.X.shape == (40, 20)
        assert_identical(rebuilt(source.X, 100, scratch), sp.csr_matrix(random_counts(dtype="int32")[:, :20]))
        assert set(source.left_out) == set(others[:3])
        assert source.notes == []


def test_the_raw_matrix_is_told_from_the_filtered(tmp_path):
    path = write_v3(tmp_path / "raw_feature_bc_matrix.h5", [f"G{i}" for i in range(23)])
    with open_source(path) as source:
        assert "filtered_feature_bc_matrix.h5" in source.notes[0]


def test_features_that_are_no_genes_are_said(tmp_path):
    path = write_v3(tmp_path / "peaks.h5", [f"chr1:{i}" for i in range(23)], ["Peaks"] * 23)
    with open_source(path) as source:
        assert source.notes == ["the features are Peaks, not Gene Expression"]


def test_what_cellbender_adds_is_named_as_left_out(tmp_path, scratch):
    path = write_v3(tmp_path / "cellbender_filtered.h5", [f"G{i}" for i in range(23)])
    with h5py.File(path, "r+") as file:
        file["droplet_latents/cell_probability"] = np.linspace(0, 1, 40)
        file["droplet_latents/barcode_indices_for_latents"] = np.arange(40)
        file["global_latents/ambient_expression"] = np.full(23, 1 / 23)
        file["metadata/learning_curve/train_elbo"] = np.arange(3.0)
        file["matrix/latent_cell_probability"] = np.linspace(0, 1, 40)  # where its version 2 wrote them
    with open_source(path) as source:
        assert_identical(rebuilt(source.X, 100, scratch), sp.csr_matrix(random_counts(dtype="int32")))
        left_out = " ".join(source.left_out)
    for name in ("droplet_latents", "global_latents", "metadata", "latent_cell_probability"):
        assert name in left_out


def test_the_matrix_of_a_spatial_slide_is_read_as_any(tmp_path, scratch):
    path = write_v3(tmp_path / "feature_slice.h5", [f"G{i}" for i in range(23)])
    with h5py.File(path, "r+") as file:
        file.attrs["chemistry_description"] = "Visium V4 Slide - FFPE v2"
        file.attrs["software_version"] = "spaceranger-3.1.1"
        file["matrix/features/target_sets/Visium Human Transcriptome Probe Set v2.0"] = np.arange(20)
    with open_source(path) as source:
        assert_identical(rebuilt(source.X, 100, scratch), sp.csr_matrix(random_counts(dtype="int32")))
        assert source.var["Visium Human Transcriptome Probe Set v2.0"].sum() == 20
