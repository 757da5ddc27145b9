"""Direct identifiers stop a publish; exact ages go up in bins, the same in every file."""

import json
import shutil
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy import sparse

import titin
from titin.builder import build
from titin.check import validate
from titin.cli import cli
from titin.dataset.manifest import Manifest
from titin.publish import PublicationRefusedError, publish, write_card
from titin.publish import upload as to_hub
from titin.publish.privacy import age_bins, bin_middles, find_exact_ages, find_identifiers
from titin.publish.upload import public_copy

N = 24
_PEOPLE = ["Ada Lovelace", "Alan Turing", "Grace Hopper", "Emmy Noether", "Kurt Godel", "Carl Gauss"]


def obs_with(**columns: object) -> pd.DataFrame:
    """A table of cells of six donors."""
    labels = {"donor": [f"D{i % 6}" for i in range(N)], "cell_type": ["T cell", "Smooth Muscle"] * (N // 2)}
    frame = pd.DataFrame(labels, index=[f"AAAC{i}-1" for i in range(N)])
    return frame.assign(**columns)


def by_donor(values: list[object]) -> list[object]:
    return [values[i % 6] for i in range(N)]


def found(frame: pd.DataFrame, **options: object) -> dict[str, str]:
    return {i.where: i.what for i in find_identifiers(frame, {}, donor="donor", **options)}


# by name


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("patient_name", "names of people"), ("Last Name", "names of people"), ("donor.initials", "names of people"),
        ("DOB", "dates of birth or death"), ("date_of_birth", "dates of birth or death"),
        ("birth_year", "dates of birth or death"), ("admission_date", "dates of a person's care"),
        ("MRN", "hospital or insurance numbers"), ("hospital_no", "hospital or insurance numbers"),
        ("medical_record_number", "hospital or insurance numbers"), ("NHS number", "hospital or insurance numbers"),
        ("e-mail", "e-mail addresses"), ("patient_phone", "telephone numbers"), ("home_address", "addresses"),
        ("zip", "addresses"), ("latitude", "addresses"), ("photo_url", "pictures or prints of people"),
    ],
)  # fmt: skip
def test_names_of_columns_that_identify(name, what):
    assert found(obs_with(**{name: 1})) == {name: what}


@pytest.mark.parametrize(
    "name",
    [
        "sample", "SampleID", "patient_id", "donor_id", "cell_type_name", "library_name", "gene_name", "n_counts",
        "location", "diagnosis", "visit", "surgery", "phase", "name_of_run", "barcode", "10X_version", "emission",
        "cell_number", "telomere", "Well", "Media", "RD1",
    ],
)  # fmt: skip
def test_names_of_columns_that_do_not(name):
    assert found(obs_with(**{name: by_donor(["a", "b", "c", "d", "e", "f"])})) == {}


# by content


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (["x@hospital.org", "none", "-", "?", "n", "m"], "e-mail addresses"),
        (["+44 20 7946 0001", "+44 20 7946 0002", "+44 20 7946 0003", "(030) 123 4567", "-", "?"], "telephone numbers"),
        (["123-45-6789", "223-45-6789", "323-45-6789", "423-45-6789", "523-45-6789", "623-45-6789"],
         "social security numbers"),
        (["12 High Street", "3 Mill Lane", "77 Park Avenue", "5 Queens Road", "9 Low Court", "-"], "addresses"),
        (["1931-02-03", "1955-12-24", "1960-06-01", "1948-01-31", "1972-07-07", "1990-10-10"], "dates of birth"),
        (["3.2.1931", "24.12.1955", "1.6.1960", "31.1.1948", "7.7.1972", "10.10.1990"], "dates of birth"),
        (_PEOPLE, "names of people"),
        (["Lovelace, Ada", "Turing, Alan", "Hopper, Grace M", "Noether, Emmy", "Godel, Kurt", "Gauss, Carl"],
         "names of people"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["object", "category"])
def test_what_columns_hold(values, what, dtype):
    frame = obs_with(notes=by_donor(values)).astype({"notes": dtype})
    assert found(frame) == {"notes": what}
    (identifier,) = find_identifiers(frame, {}, donor="donor")
    assert not any(str(value) in identifier.why for value in values if len(str(value)) > 2)


@pytest.mark.parametrize(
    "values",
    [
        ["2021-03-01", "2021-03-02", "2021-04-01", "2021-05-01", "2022-01-01", "2022-02-01"],  # days of an experiment
        ["Smooth Muscle", "Natural Killer", "Smooth Muscle", "Natural Killer", "Smooth Muscle", "Natural Killer"],
        ["5386STDY7600836", "WS_A_SKM9426501", "mus_SNuc7468111", "AAACCTGAGAAACCAT-1", "10x-3", "run 12 (a)"],
        ["1772-062-103", "1772-062-104", "1772-062-105", "1772-062-106", "1772-062-107", "1772-062-108"],
        ["15-20", "20-25", "25-30", "30-35", "35-40", "40-45"],
    ],
)  # fmt: skip
def test_what_is_no_identifier(values):
    assert found(obs_with(notes=by_donor(values))) == {}


def test_names_of_people_as_donors():
    frame = obs_with().drop(columns="donor")
    frame["donor"] = by_donor(
        ["Ada Lovelace", "Alan Turing", "Grace Hopper", "Emmy Noether", "Kurt Godel", "Carl Gauss"]
    )
    assert found(frame) == {"donor": "names of people"}


def test_births_as_times():
    times = pd.to_datetime(
        by_donor(["1931-02-03", "1955-12-24", "1960-06-01", "1948-01-31", "1972-07-07", "1990-10-10"])
    )
    assert found(obs_with(when=times)) == {"when": "dates of birth"}


def test_index_uns_and_what_is_allowed():
    frame = obs_with(mrn=1)
    frame.index = [f"cell{i}@lab.org" for i in range(N)]
    uns = {"contact": {"email": "x"}, "params": {"name": "pca"}}
    assert [i.where for i in find_identifiers(frame, uns)] == ["the names of the cells", "uns/contact/email", "mrn"]
    allow = ["mrn", "uns/contact/email", "the names of the cells"]
    assert find_identifiers(frame, uns, allow=allow) == []


def test_the_demo_and_real_files_hold_none(built, shared):
    assert find_identifiers(titin.open(built).obs, {}, donor="DonorID") == []
    for path in sorted((shared / "data" / "h5ad").glob("*.h5ad")):
        assert find_identifiers(ad.read_h5ad(path, backed="r").obs, {}) == []


# ages


def test_bins():
    years = pd.Series([0.0, 4.99, 5.0, 89.9, 90.0, 101.0, np.nan])
    assert age_bins(years).tolist()[:6] == ["0-5", "0-5", "5-10", "85-90", "90+", "90+"]
    assert age_bins(years).isna().tolist() == [False] * 6 + [True]
    assert list(age_bins(years).cat.categories) == ["0-5", "5-10", "85-90", "90+"]
    assert bin_middles(years).tolist()[:4] == [2.5, 2.5, 7.5, 87.5]
    assert bin_middles(years).isna().tolist() == [False] * 4 + [True] * 3


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"age": by_donor([31, 45, 52, 60, 71, 80])}, ["age"]),
        ({"development_stage": by_donor(["31-year-old stage"] * 6), "development_stage_ontology_term_id": "HsapDv:1"},
         ["development_stage", "development_stage_ontology_term_id"]),
        ({"development_stage": by_donor(["sixth decade "
                                         "stage"] * 6), "development_stage_ontology_term_id": "HsapDv:1"}, []),
        ({"age_group": by_donor(["15-20", "20-25", "25-30", "30-35", "35-40", "40-45"])}, []),
        ({"Age_years": by_donor([31, 45, 52, 60, 71, 80]), "stage": "I"}, ["Age_years"]),
        ({"percentage": 0.3, "language": "en", "stage": "3"}, []),
    ],
)  # fmt: skip
def test_columns_of_exact_ages(built, columns, expected):
    manifest = Manifest.read(built)
    manifest.roles["age"], manifest.obs["derived"] = None, {}
    assert find_exact_ages(obs_with(**columns), manifest).columns == expected


@pytest.fixture
def atlas_of_ages(tmp_path: Path) -> Path:
    """A dataset whose age column is exact, with a term that says the same."""
    obs = obs_with(age=by_donor([31, 45, 52, 60, 71, 93]), sex=by_donor(["F", "M"] * 3))
    X = sparse.random(N, 40, 0.5, format="csr", dtype="float32", rng=np.random.default_rng(0))
    X.data = np.ceil(X.data * 9)
    ad.AnnData(X, obs, pd.DataFrame(index=[f"G{i}" for i in range(40)])).write_h5ad(tmp_path / "atlas.h5ad")
    table = pd.DataFrame({"donor": [f"D{i}" for i in range(6)], "age": [31.4, 45.2, 52.9, 60.1, 71.0, 93.3]})
    table.to_csv(tmp_path / "donors.csv", index=False)
    build(tmp_path / "atlas.h5ad", tmp_path / "set", donors=tmp_path / "donors.csv", project=())
    write_card(tmp_path / "set", licence="cc0-1.0", images=False)
    return tmp_path / "set"


def test_exact_ages_go_up_in_bins(atlas_of_ages):
    local = titin.open(atlas_of_ages).obs
    with public_copy(atlas_of_ages, "me/x", None, exact_ages=False) as (copy, ages):
        assert ages == "bins"
        atlas = titin.open(copy)
        assert "age_years" not in atlas.obs
        expected = {"31": "30-35", "45": "45-50", "52": "50-55", "60": "60-65", "71": "70-75", "93": "90+"}
        assert atlas.obs["age"].astype(str).tolist() == [expected[str(age)] for age in local["age"]]
        assert atlas.obs["age_numeric"].dropna().isin([32.5, 47.5, 52.5, 62.5, 72.5]).all()
        assert atlas.obs["age_numeric"].isna().sum() == 4
        for file in ("expression", "expression_panel", "sample_metadata"):
            table = pd.read_parquet(copy / f"{atlas.manifest.prefix}_{file}.parquet")
            assert "age_years" not in table
            assert table["age"].astype(str).tolist() == atlas.obs["age"].astype(str).tolist()
        assert (atlas.X[:, :] != titin.open(atlas_of_ages).X[:, :]).nnz == 0
        report = validate(copy, checks=["integrity", "matrix", "metadata", "viewer.dataset_info", "viewer.configs"])
        assert [f.message for _, f in report.findings("error")] == []
        structure = json.loads((copy / "detailed_structure.json").read_text("utf-8"))
        assert structure["category_counts"]["age"] == dict.fromkeys(sorted(expected.values()), 4)
        text = (copy / "README.md").read_text("utf-8")
        assert "| `age_years` |" not in text
        assert "| 90+ | 4 |" in text
        assert "published in bins of 5 years" in text
        for path in copy.iterdir():
            assert b"31.4" not in path.read_bytes()
        assert (copy / f"{atlas.manifest.prefix}_expression_by_gene.parquet").stat().st_nlink > 1
    assert titin.open(atlas_of_ages).obs.equals(local)
    assert not list(atlas_of_ages.parent.glob(".*"))


def test_exact_ages_if_asked_for(atlas_of_ages):
    with public_copy(atlas_of_ages, "me/x", None, exact_ages=True) as (copy, ages):
        assert ages == "exact"
        assert titin.open(copy).obs.equals(titin.open(atlas_of_ages).obs)


def test_ranges_stay_as_they_are(built, tmp_path):
    folder = Path(shutil.copytree(built, tmp_path / "d"))
    with public_copy(folder, "me/x", None, exact_ages=False) as (copy, ages):
        assert ages == "bins"  # of age_years alone
        obs = titin.open(copy).obs
        assert obs.equals(titin.open(folder).obs.drop(columns="age_years"))


def test_shards_are_coarsened_too(sharded, tmp_path):
    folder = Path(shutil.copytree(sharded, tmp_path / "d"))
    with public_copy(folder, "me/x", None, exact_ages=False) as (copy, _):
        assert titin.open(copy).obs.equals(titin.open(folder).obs.drop(columns="age_years"))
        assert [
            f.message for _, f in validate(copy, level="full", checks=["integrity", "matrix"]).findings("error")
        ] == []


# refusals


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Validate at level quick: what level full finds is tested elsewhere."""
    monkeypatch.setattr(to_hub, "_validate", lambda copy, *_: validate(copy, level="quick", checks=["integrity"]))


def refused(folder: Path, *arguments: str) -> str:
    done = CliRunner().invoke(cli, ["publish", str(folder), "me/x", "--dry-run", *arguments], catch_exceptions=False)
    assert done.exit_code == 1
    return done.output


def test_no_licence_no_publish(built, tmp_path, quick):
    assert "refused: no licence is stated for these data" in refused(built)
    with pytest.raises(PublicationRefusedError, match="no licence is stated"):
        publish(built, "me/x", token="hf_x")


def test_identifiers_stop_a_publish_unless_allowed(tmp_path, quick):
    obs = obs_with(contact=by_donor([f"p{i}@clinic.org" for i in range(6)]))
    X = sparse.csr_matrix(np.random.default_rng(0).integers(0, 5, (N, 30)).astype("float32"))
    ad.AnnData(X, obs, pd.DataFrame(index=[f"G{i}" for i in range(30)])).write_h5ad(tmp_path / "atlas.h5ad")
    folder = build(tmp_path / "atlas.h5ad", tmp_path / "set", project=()).path
    output = refused(folder, "--license", "cc0-1.0")
    assert "refused: contact looks like direct identifiers: e-mail addresses (6 of 6 distinct values" in output
    assert "clinic.org" not in output
    arguments = ["publish", str(folder), "me/x", "--dry-run", "--license", "cc0-1.0", "--allow", "contact"]
    assert CliRunner().invoke(cli, arguments).exit_code == 0


def test_what_the_validation_finds_stops_a_publish(built, tmp_path, quick):
    folder = Path(shutil.copytree(built, tmp_path / "d"))
    path = folder / "skeletal_muscle_10x_projection_X_umap.parquet"
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(bytes(content))
    output = refused(folder, "--license", "cc0-1.0")
    assert "refused: the validation found" in output
    assert "X_umap" in output


@pytest.mark.parametrize("repo", ["atlas", "me/", "me/a b", "me/x/y", "../x"])
def test_names_that_are_no_repository(built, repo):
    done = CliRunner().invoke(cli, ["publish", str(built), repo, "--dry-run"])
    assert "names no repository" in str(done.exception)
