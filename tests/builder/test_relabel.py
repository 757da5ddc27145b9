"""Labels and roles changed in a dataset: it is then the one that a build of the changed atlas gives."""

import json
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

import titin
from titin.ageing.pseudobulk import write_pseudobulk
from titin.builder import label_tables
from titin.check import validate
from titin.cli import main
from titin.dataset import layout
from titin.dataset.replace import revise
from titin.errors import OutputError, TitinError

PROVENANCE = {"README.md", "titin.json"}  # these name the source, which is another file


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name not in PROVENANCE}


def manifest(folder: Path) -> dict:
    document = json.loads((folder / "titin.json").read_text("utf-8"))
    document["obs"].pop("relabelled", None)
    del document["source"]
    document["files"] = {name: entry for name, entry in document["files"].items() if name not in PROVENANCE}
    return document


def assert_same(relabelled: Path, built: Path) -> None:
    assert list(files(relabelled)) == list(files(built))
    for name, content in files(built).items():
        assert files(relabelled)[name] == content, name
    assert json.dumps(manifest(relabelled), indent=1) == json.dumps(manifest(built), indent=1)


def changed(obs: pd.DataFrame, **columns: object) -> pd.DataFrame:
    """obs as a user would have changed it before a build; None drops a column."""
    obs = obs.copy()
    for name, values in columns.items():
        if values is None:
            obs = obs.drop(columns=name)
        else:
            obs[name] = values
    return obs


@pytest.fixture
def rebuild(build_atlas, tmp_path) -> Callable[..., Path]:
    """A function that builds an atlas under the name of the first."""

    def write_and_build(atlas, **options):
        (tmp_path / "atlas.h5ad").unlink()
        return build_atlas(atlas, out="new", force=True, **options).path

    return write_and_build


N = 120
WAYS = {
    "a cell type is corrected": {
        "cell_type": pd.Categorical(np.array(["T cell", "B cell", "satellite"])[np.arange(N) % 3])},
    "labels of other cells": {"cell_type": pd.Categorical(np.array(["T cell", "B cell"])[np.arange(N) // 60])},
    "a missing label": {"cell_type": pd.Categorical([None, "T cell", "B cell", "myocyte"] * 30)},
    "another donor": {"donor_id": pd.Categorical([f"P{i % 6}" for i in range(N)])},
    "a column that plays no part": {"batch": pd.Categorical(["a", "b"] * 60)},
    "a column that comes to play a part": {"sample_id": pd.Categorical([f"D{i % 4}_{i % 8 // 4}" for i in range(N)])},
    "ages in years": {"development_stage": np.arange(N) % 4 + 40.5},
    "ages that are not known": {"development_stage": pd.Categorical(["young", "old"] * 60)},
    "no ages": {"development_stage": None},
    "no donor": {"donor_id": None, "score": None},
    "numbers": {"n_umi": np.arange(N) * 7, "score": np.arange(N, dtype="f4") / 7},
    "booleans": {"doublet": np.arange(N) % 2 == 0},
    "a label of the name of a gene": {"GENE7": pd.Categorical(["x", "y"] * 60), "sex": None},
}  # fmt: skip
AS_TEXT = ("a missing label", "numbers", "booleans")  # which a CSV says as well


@pytest.mark.parametrize(("way", "typed"), [
    pytest.param(way, typed, marks=pytest.mark.slow if not typed and way != AS_TEXT[0] else [])
    for way in WAYS for typed in (True, False) if typed or way in AS_TEXT
])  # fmt: skip
def test_it_is_what_a_build_of_the_changed_atlas_gives(atlas, build_atlas, rebuild, tmp_path, way, typed):
    roles = {"sex": "GENE7"} if "GENE7" in WAYS[way] else {}
    old = build_atlas(atlas, out="old").path
    columns = {name: values for name, values in WAYS[way].items() if values is not None}
    dropped = [name for name, values in WAYS[way].items() if values is None]
    table = pd.DataFrame(columns, index=atlas.obs_names)[::-1]
    if not typed:
        table.to_csv(tmp_path / "new.csv")
    done = titin.relabel(old, (table if typed else tmp_path / "new.csv") if columns else None, drop=dropped)
    if roles:
        titin.set_roles(old, roles)
    assert done.changed
    assert set(done.change.added) | set(done.change.replaced) == set(columns)
    assert done.change.dropped == dropped
    atlas.obs = changed(atlas.obs, **WAYS[way])
    assert_same(old, rebuild(atlas, roles=roles))
    found = validate(old, checks=["integrity", "matrix.panel"])
    assert [f.message for _, f in found.findings("error")] == []


def test_columns_are_matched_by_barcode_and_the_rest_stays(atlas, build_atlas, tmp_path):
    old = build_atlas(atlas).path
    before = titin.open(old).obs
    (tmp_path / "some.tsv").write_text("cell_id\tcell_type\tnote\nAAC-3\tsatellite\tx\nnobody\tT cell\ty\nAAC-7\t\tx\n")
    done = titin.relabel(old, tmp_path / "some.tsv")
    assert (done.change.replaced, done.change.added) == (["cell_type"], ["note"])
    assert (done.change.n_matched, done.change.unmatched, len(done.change.unlisted)) == (2, ["nobody"], 118)
    after = titin.open(old).obs
    expected = before["cell_type"].astype(object)
    expected["AAC-3"], expected["AAC-7"] = "satellite", np.nan
    pd.testing.assert_series_equal(after["cell_type"], expected.astype("category"))
    assert after["note"].dropna().to_dict() == {"AAC-3": "x", "AAC-7": "x"}
    for name in before.columns.drop("cell_type"):
        pd.testing.assert_series_equal(after[name], before[name])


def test_a_table_that_says_the_same_changes_nothing(atlas, build_atlas, tmp_path):
    old = build_atlas(atlas).path
    before = files(old) | {name: (old / name).read_bytes() for name in PROVENANCE}
    titin.open(old).obs.to_csv(tmp_path / "same.csv")
    done = titin.relabel(old, tmp_path / "same.csv")
    assert not done.changed
    assert set(done.change.unchanged) == {*atlas.obs.columns, "age_numeric"}
    assert files(old) | {name: (old / name).read_bytes() for name in PROVENANCE} == before


ROLES = {
    "another donor": {"donor": "sex"},
    "no donor": {"donor": "none"},
    "another age": {"age": "n_umi"},
    "no age": {"age": "none"},
    "two levels of types": {"cell_type": ["sex", "cell_type"]},
    "a protocol": {"protocol": "doublet"},
}


@pytest.mark.parametrize("way", ROLES)
def test_roles_are_those_of_a_build(atlas, build_atlas, rebuild, way):
    atlas.obs["n_umi"] = atlas.obs["development_stage"] = np.arange(N) % 4 + 20
    old = build_atlas(atlas, out="old").path
    done = titin.set_roles(old, ROLES[way])
    assert_same(old, rebuild(atlas, roles=ROLES[way]))
    assert set(done.roles) >= set(ROLES[way])
    again = titin.set_roles(old, ROLES[way])
    assert not again.changed
    assert titin.set_roles(old).roles == {}  # those that were given stay


def test_a_unit_of_ages_and_a_table_of_donors(atlas, build_atlas, rebuild, tmp_path):
    atlas.obs["development_stage"] = np.arange(N) % 4 + 20
    old = build_atlas(atlas, out="old").path
    (tmp_path / "donors.csv").write_text(
        "donor,age,smoker\nD0,20.5 months,yes\nD1,1.8 years,no\nD2,22.5 months,\nD3,23.5 months,no\n"
    )
    titin.set_roles(old, age_unit="months", donors=tmp_path / "donors.csv")
    assert_same(old, rebuild(atlas, age_unit="months", donors=tmp_path / "donors.csv"))
    labels = pd.DataFrame({"cell_type": pd.Categorical(["a", "b"] * 60)}, index=atlas.obs_names)
    titin.relabel(old, labels)  # each donor keeps what the table had said
    atlas.obs["cell_type"] = labels["cell_type"]
    assert_same(old, rebuild(atlas, age_unit="months", donors=tmp_path / "donors.csv"))


def test_what_was_made_with_former_labels_is_named(atlas, build_atlas, tmp_path):
    old = build_atlas(atlas).path
    write_pseudobulk(titin.open(old))
    with revise(old) as draft:  # as one that harmony has made
        draft.manifest.obsm["X_pca"]["computed"] = {
            "method": "harmony", "parameters": {"batch_key": "donor_id"}, "libraries": {}
        }  # fmt: skip
    (tmp_path / f"{old.name}.validation").mkdir()
    (tmp_path / f"{old.name}.network").mkdir()
    labels = pd.DataFrame({"donor_id": pd.Categorical(["a", "b"] * 60)}, index=atlas.obs_names)
    done = titin.relabel(old, labels)
    said = " / ".join(done.stale)
    assert "the pseudobulk was summed by the former labels" in said
    assert "X_pca has the effect of 'donor_id' as it was taken out" in said
    assert "dataset.validation, dataset.network: made of the dataset as it was" in said
    assert not any("pseudobulk" in name for name in done.manifest.files)
    assert [f.message for _, f in validate(old).findings("error")] == []


def test_the_source_is_compared_but_for_what_was_relabelled(atlas, build_atlas, tmp_path):
    report = build_atlas(atlas)
    labels = pd.DataFrame({"cell_type": pd.Categorical(["a", "b"] * 60), "new": np.arange(N)}, index=atlas.obs_names)
    titin.relabel(report.path, labels, drop=["score"])
    source = next(tmp_path.glob("*.h5ad"))
    found = validate(report.path, source=source)
    assert [f.message for _, f in found.findings("error")] == []
    outcome = next(result for result in found.results if result.check.name == "source.obs")
    assert "3 columns relabelled since" in outcome.outcome.read
    assert titin.open(report.path).manifest.obs["relabelled"] == [
        {"name": "a table", "columns": ["cell_type", "new"], "dropped": ["score"], "titin": titin.__version__}
    ]


def test_card_and_info_say_which_labels_are_not_the_sources(atlas, build_atlas, tmp_path, capsys):
    old = build_atlas(atlas).path
    (tmp_path / "new.csv").write_text("cell_id,cell_type\nAAC-3,satellite\n")
    titin.relabel(old, tmp_path / "new.csv", drop=["score"])
    card = (old / "README.md").read_text("utf-8")
    assert "labels were changed: `cell_type` as in `new.csv`; without `score`." in card
    main(["info", str(old)])
    assert "relabelled: cell_type as in new.csv; without score" in capsys.readouterr().out


def write_table(text: str, folder: Path) -> Path:
    (folder / "t.csv").write_text(text)
    return folder / "t.csv"


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("cell,x\nnobody,1\n", r"no barcode of .*t\.csv is that of a cell: it has 'nobody'", "atlas.obs_names"),
        ("cell,x\nAAC-1,1\nAAC-1,2\n", r"has the barcode 'AAC-1' twice", "one row a cell"),
        ("cell,x\n,1\n", r"row 1 has no barcode", "name every cell"),
        ("cell\nAAC-1\n", r"no column of labels", "added or replaced"),
        ("", r"cannot be read as a table", "CSV, TSV or Parquet"),
        ("cell,n_umi\nAAC-1,many\n", r"'n_umi' holds numbers, and .* gives text for some cells only", "all cells"),
        ("cell,age_numeric\nAAC-1,3\n", r"'age_numeric' is made by titin", "read from"),
    ],
)
def test_errors_speak(atlas, build_atlas, tmp_path, text, said, hint):
    old = build_atlas(atlas).path
    before = files(old)
    with pytest.raises(TitinError, match=said) as error:
        titin.relabel(old, write_table(text, tmp_path))
    assert hint in (error.value.hint or "")
    assert files(old) == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: titin.relabel(d), "nothing is to be changed"),
        (lambda d: titin.relabel(d, drop=["doner_id"]), "obs has no column 'doner_id' to drop"),
        (lambda d: titin.set_roles(d, {"doner": "x"}), "there is no role 'doner'"),
        (lambda d: titin.set_roles(d, {"donor": "doner_id"}), "obs has no column 'doner_id'"),
        (lambda d: titin.set_roles(d, {"age": "cell_type"}), "holds no age that can be read"),
        (lambda d: titin.relabel("hf://datasets/a/b", drop=["x"]), "is not on this machine"),
    ],
)
def test_what_cannot_be_is_said(atlas, build_atlas, change, said):
    old = build_atlas(atlas).path
    with pytest.raises(TitinError, match=said):
        change(old)


def test_a_change_by_somebody_else_meanwhile_is_not_lost(atlas, build_atlas, monkeypatch):
    old = build_atlas(atlas).path
    from titin.builder import relabelling as room

    def late(*args, **settings):
        table = original(*args, **settings)
        monkeypatch.setattr(room, "make_cell_table", original)
        titin.set_roles(old, {"sample": "sex"})
        return table

    original = room.make_cell_table
    monkeypatch.setattr(room, "make_cell_table", late)
    with pytest.raises(OutputError, match=r"changed .* meanwhile"):
        titin.relabel(old, drop=["score"])
    assert titin.open(old).manifest.roles["sample"] == "sex"


def test_shards_are_written_as_a_build_writes_them(atlas, build_atlas, monkeypatch):
    from titin.dataset import splice

    monkeypatch.setattr(splice.splice_columns, "__kwdefaults__", {"shard_bytes": 1})
    old = build_atlas(atlas).path
    titin.relabel(old, pd.DataFrame({"cell_type": ["a", "b"] * 60}, index=atlas.obs_names))
    opened = titin.open(old)
    assert len(opened.manifest.shards(opened.layout.expression)) == 1  # of one row group
    rows = opened.obs_names.map(atlas.obs_names.get_loc).to_numpy()
    assert (opened.X[:, :].toarray() == atlas.X[rows].toarray()).all()


def test_numbers_of_text_are_numbers_where_all_are():
    read = label_tables.read_entries_of_text
    assert read(pd.Series(["1", "2"])).tolist() == [1, 2]
    assert read(pd.Series(["1", None, "NA"])).isna().tolist() == [False, True, True]
    assert read(pd.Series(["1", "x"])).tolist() == ["1", "x"]
    assert read(pd.Series(["1", "2"]), pd.CategoricalDtype(["1"])).tolist() == ["1", "2"]
    assert read(pd.Series(["True", "False"])).dtype == bool
    assert read(pd.Series(["NA", "NA"])).tolist() == ["NA", "NA"]


def test_a_table_of_text_gives_back_what_it_was_written_from(atlas, build_atlas, tmp_path):
    rng = np.random.default_rng(0)
    for name, values in {"float": rng.normal(size=N) * 10.0 ** rng.integers(-30, 30, N),
                         "single": rng.normal(size=N).astype("f4"), "large": rng.integers(-(2**62), 2**62, N),
                         "missing": pd.Categorical([None, "NA", "nan", "1.0"] * 30)}.items():  # fmt: skip
        atlas.obs[name] = values
    old = build_atlas(atlas).path
    times = pd.date_range("2020-01-01", periods=N, freq="7h")  # which no .h5ad has
    titin.relabel(old, pd.DataFrame({"time": times}, index=atlas.obs_names))
    titin.open(old).obs.to_csv(tmp_path / "same.csv")
    done = titin.relabel(old, tmp_path / "same.csv")
    assert (done.change.replaced, done.change.added, done.changed) == ([], [], False)


def test_the_labels_of_a_view_that_scanpy_wrote(atlas, build_atlas, tmp_path):
    old = build_atlas(atlas).path
    view = titin.open(old).to_anndata() if hasattr(titin.open(old), "to_anndata") else None
    obs = titin.open(old).obs if view is None else view.obs
    labelled = anndata.AnnData(obs=obs.assign(cell_type="one"))
    labelled.obs.to_parquet(tmp_path / "labels.parquet")
    titin.relabel(old, tmp_path / "labels.parquet")
    assert set(titin.open(old).obs["cell_type"]) == {"one"}
    assert layout.AGE_NUMERIC in titin.open(old).obs
