"""Regulators, kept in the dataset: the same numbers as the results, and a check that finds others."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import titin
from titin.check import validate
from titin.cli import main
from titin.dataset import layout
from titin.dataset.manifest import Manifest, describe_file
from titin.errors import TitinError
from titin.explore import site, write_site
from titin.network import Activities, Networks, write_regulator_tables
from titin.network.regulator_tables import TOLD, read_results
from titin.publish import write_public_copy

KEYS = ["regulator", "cell_type", "protocol"]
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def left(planted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, and beside it what the command leaves."""
    folder = tmp_path_factory.mktemp("left")
    shutil.copytree(planted / "dataset", folder / "dataset")
    main(["network", str(folder / "dataset"), "--network", str(planted / "edges.csv"), "--bootstraps", "1",
          "--edges", "40", "--format", "parquet", "-q"])  # fmt: skip
    return folder / "dataset"


@pytest.fixture(scope="module")
def kept(left: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same dataset, with the tables."""
    folder = tmp_path_factory.mktemp("kept")
    shutil.copytree(left.parent, folder, dirs_exist_ok=True)
    write_regulator_tables(folder / "dataset")
    return folder / "dataset"


def results(dataset: Path) -> tuple[Activities, Networks]:
    activities, networks = read_results(dataset)
    assert activities is not None
    assert networks is not None
    return activities, networks


def read(dataset: Path, part: str) -> pd.DataFrame:
    return pq.read_table(dataset / getattr(Manifest.read(dataset).layout, part)).to_pandas()


def paired(mine: pd.DataFrame, other: pd.DataFrame, keys: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both in the same order of their keys, which are the same."""
    one, two = (table.assign(**{key: table[key].astype(str) for key in keys}).set_index(keys).sort_index()
                for table in (mine, other))  # fmt: skip
    assert one.index.tolist() == two.index.tolist()
    return one, two


def test_changes_are_those_of_the_results(kept: Path) -> None:
    activities, networks = results(kept)
    table = read(kept, "regulators")
    mine, other = paired(table, activities.table, KEYS)
    for name in ("n_donors", "n_cells", "n_targets", "activity", "effect", "ci_low", "ci_high", "p_value",
                 "adj_p_value", "adj_p_value_across_types", "rank", "n_donors_tested"):  # fmt: skip
        np.testing.assert_array_equal(mine[name].astype(float), other[name].astype(float))
    mine, other = paired(table[table["strength"].notna()], networks.regulators, KEYS)
    for name in ("n_donors", "difference", "ci_low", "ci_high", "p_value", "adj_p_value", "adj_p_value_across_types"):
        np.testing.assert_array_equal(mine[f"strength_{name}"], other[name])
    np.testing.assert_array_equal(mine["strength"], other["strength"])


def _named(activities: Activities) -> pd.DataFrame:
    return activities.donors.rename(columns={"feature": "regulator"}).assign(protocol="all")


def test_donors_and_edges_are_those_of_the_results(kept: Path) -> None:
    activities, networks = results(kept)
    keys = ["regulator", "donor", "cell_type", "protocol"]
    table = read(kept, "regulator_donors")
    mine, other = paired(table, _named(activities), keys)
    np.testing.assert_array_equal(mine["activity"], other["mean"])
    np.testing.assert_array_equal(mine["age"], other["age"])
    mine, other = paired(table[table["strength"].notna()], networks.donors, keys)
    np.testing.assert_array_equal(mine["strength"], other["strength"])
    edges = read(kept, "regulator_edges")
    mine, other = paired(edges, networks.table, [*KEYS, "target"])
    for name in set(layout.REGULATOR_EDGES) - {*KEYS, "target", "token"}:
        np.testing.assert_array_equal(mine[name].astype(float), other[name].astype(float))
    genes = np.array(titin.open(kept).store.table(Manifest.read(kept).layout.feature_metadata).column("gene"))
    assert genes[edges["token"]].tolist() == edges["target"].tolist()
    for _, own in edges.groupby(KEYS, observed=True):
        assert own["weight"].abs().is_monotonic_decreasing


def test_how_they_were_made_is_told(kept: Path) -> None:
    activities, networks = results(kept)
    metadata = pq.read_schema(kept / Manifest.read(kept).layout.regulators).metadata
    told = json.loads(metadata[TOLD])
    assert told["cell_type_level"] == "cell_type"
    assert told["activities"]["settings"]["network"] == activities.settings["network"] == "edges.csv"
    assert told["networks"]["settings"]["backend"] == "ridge"
    assert told["networks"]["verdict"].startswith("1 of 4 regulators changes in strength between young and old")
    assert told["networks"]["caveat"] == networks.caveat


def test_they_are_files_of_the_format(kept: Path) -> None:
    report = validate(kept, checks=["derived.regulators", "integrity"])
    assert [found.message for _, found in report.findings("error")] == []
    assert report["derived.regulators"].outcome.read == "8 changes and 96 values of donors and 80 edges"
    assert "config_name: regulator_edges" in (kept / layout.CARD).read_text("utf-8")


def changed(column: pa.Array, row: int, value: Any) -> pa.Array:
    values = column.to_pylist()
    values[row] = value
    return pa.array(values, column.type.value_type if pa.types.is_dictionary(column.type) else column.type)


@pytest.mark.parametrize(("part", "column", "value", "said"), [
    ("regulators", "p_value", 1.5, "1 numbers are not between 0 and 1"),
    ("regulators", "effect", 1e6, "1 effects lie outside their intervals"),
    ("regulators", "strength_difference", -1e6, "1 effects lie outside their intervals"),
    ("regulators", "regulator", None, "a regulator is missing"),
    ("regulators", "regulator", "zzz", "not in the order of the regulators"),
    ("regulators", "cell_type", "T cell", "is there twice"),
    ("regulator_donors", "n_cells", 10**6, "1 values are of more cells than the donor has"),
    ("regulator_donors", "age", 99.5, "1 values are of another age than the donor's: D00"),
    ("regulator_donors", "donor", "D99", "1 values are of a donor, type and protocol that have no cells: D99"),
    ("regulator_edges", "token", 0, "1 targets are not the genes of their tokens"),
    ("regulator_edges", "token", 10**6, "1 targets are not the genes of their tokens"),
    ("regulator_edges", "stability", -0.5, "1 numbers are not between 0 and 1"),
])  # fmt: skip
def test_a_changed_value_is_found(kept: Path, tmp_path: Path, part: str, column: str, value: Any, said: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(kept, copy)
    file = copy / getattr(Manifest.read(copy).layout, part)
    table = pq.read_table(file)
    at, field = table.column_names.index(column), table.schema.field(column)
    own = changed(table.column(at).combine_chunks(), 0, value)
    own = own.dictionary_encode() if pa.types.is_dictionary(field.type) else own
    pq.write_table(table.set_column(at, field, pa.chunked_array([own])), file, store_schema=True)
    manifest = Manifest.read(copy)
    manifest.files[file.name] = describe_file(file)
    manifest.write(copy)
    found = validate(copy, checks=["derived.regulators"])["derived.regulators"].outcome.findings
    assert any(said in finding.message for finding in found), [finding.message for finding in found]


def test_the_command_keeps_what_lies_beside_or_what_it_finds(left: Path, tmp_path: Path, capsys: Captured) -> None:
    shutil.copytree(left.parent, tmp_path, dirs_exist_ok=True)
    dataset = tmp_path / "dataset"
    main(["network", str(dataset), "--keep", "-q"])
    names = Manifest.read(dataset).layout.regulation
    assert [line.split("/")[-1] for line in capsys.readouterr().out.split()[1::2]] == list(names)
    assert set(names) <= set(Manifest.read(dataset).files)
    main(["network", str(dataset), "--network", str(_edges(tmp_path)), "--backend", "none", "--keep", "--force",
          "--format", "parquet", "--json", "-q"])  # fmt: skip
    told = json.loads(capsys.readouterr().out)
    assert [Path(file).name for file in told["files"][-3:]] == list(names)
    assert len(read(dataset, "regulator_edges")) == 0  # none were inferred this time
    assert read(dataset, "regulators")["regulator"].unique().tolist() == ["TF0"]


def _edges(folder: Path) -> Path:
    pd.DataFrame({"source": "TF0", "target": [f"TF0T{g}" for g in range(6)], "weight": 1.0}).to_csv(
        folder / "few.csv", index=False
    )
    return folder / "few.csv"


def test_nothing_beside_and_a_dataset_that_was_changed_are_said(left: Path, tmp_path: Path, capsys: Captured) -> None:
    shutil.copytree(left, tmp_path / "alone")
    with pytest.raises(SystemExit):
        main(["network", str(tmp_path / "alone"), "--keep"])
    assert "there is nothing of regulators in alone.network" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["network", "hf://datasets/me/atlas", "--keep"])
    assert "--keep writes into the dataset, which is not on this machine" in capsys.readouterr().err
    shutil.copytree(left.parent, tmp_path / "changed")
    titin.set_roles(tmp_path / "changed" / "dataset", {"sample": "donor"})
    with pytest.raises(TitinError, match="as it was before it was changed"):
        write_regulator_tables(tmp_path / "changed" / "dataset")


def test_other_roles_and_bins_of_ages_take_them_away(kept: Path, tmp_path: Path) -> None:
    shutil.copytree(kept, tmp_path / "roles")
    titin.set_roles(tmp_path / "roles", {"sample": "donor"})
    assert not set(Manifest.read(kept).layout.regulation) & set(Manifest.read(tmp_path / "roles").files)
    shutil.copytree(kept, tmp_path / "dataset")
    public = write_public_copy(tmp_path / "dataset", "me/atlas")  # ages in bins
    assert not set(Manifest.read(kept).layout.regulation) & set(Manifest.read(public).files)
    exact = tmp_path / "exact"
    shutil.copytree(kept, exact)
    public = write_public_copy(exact, "me/atlas", exact_ages=True)
    assert set(Manifest.read(kept).layout.regulation) <= set(Manifest.read(public).files)


def test_a_site_takes_what_lies_beside_by_itself(left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "write_ageing_tables", lambda *_, **_more: None)  # other tests are of these
    done = write_site(left, tmp_path / "site")
    assert done.no_regulators == ""
    assert len(read(done.path / "data", "regulators")) == 8
    assert not set(Manifest.read(left).layout.regulation) & set(Manifest.read(left).files)  # the dataset is as it was


def test_a_site_says_why_it_does_not(left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "write_ageing_tables", lambda *_, **_more: None)
    shutil.copytree(left.parent, tmp_path, dirs_exist_ok=True)
    for file in (tmp_path / "dataset.network").glob("activity_*.json"):
        file.write_text("{}", "utf-8")
    done = write_site(tmp_path / "dataset", tmp_path / "site")
    assert "is not as `titin network` writes it" in done.no_regulators
