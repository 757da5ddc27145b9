"""What `titin network` has left beside a dataset: read whole, or refused in a sentence with its place."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import titin
from changed_documents import changed
from titin.cli import main
from titin.errors import TitinError
from titin.network import Activities, Networks
from titin.network.report_section import show_activities, show_networks
from titin.network.results_beside import MADE_OF, identify, read_beside
from titin.section import Section

SHOW = {"activity": show_activities, "network": show_networks}
LEVEL = "cell_type"


@pytest.fixture(scope="module")
def left(planted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the command leaves beside the dataset."""
    folder = tmp_path_factory.mktemp("left") / "dataset.network"
    main(["network", str(planted / "dataset"), "--network", str(planted / "edges.csv"), "-o", str(folder), "-q",
          "--bootstraps", "2", "--edges", "40", "--evaluate", "--format", "parquet"])  # fmt: skip
    return folder


@pytest.fixture
def place(left: Path, tmp_path: Path) -> Path:
    shutil.copytree(left, tmp_path / "dataset.network")
    return tmp_path / "dataset.network"


def read(place: Path, kind: str) -> Any:
    return read_beside(place.with_name("dataset"), kind, ["broad", LEVEL, "fine"])


def shown(place: Path, kind: str) -> Section | str:
    """The section of what lies there, or the sentence that refuses it."""
    try:
        found = read(place, kind)
    except TitinError as error:
        return f"{error.args[0]} {error.hint}"
    section = Section("regulators", "Regulators")
    section.attempt(lambda: SHOW[kind](section, found))
    return section


def test_what_the_command_writes_is_read(planted: Path, place: Path) -> None:
    active, inferred = read(place, "activity"), read(place, "network")
    assert isinstance(active, Activities)
    assert isinstance(inferred, Networks)
    pd.testing.assert_frame_equal(active.donors, Activities.read(place / "activity_cell_type.parquet").donors)
    assert len(inferred.table) == 80
    assert len(inferred.evaluation) == 4
    assert active.settings[MADE_OF] == inferred.settings[MADE_OF] == identify(titin.open(planted / "dataset"))
    assert read_beside(place.with_name("other"), "activity", [LEVEL]) is None
    assert read_beside(place.with_name("dataset"), "activity", ["fine", None]) is None


def test_tables_for_spreadsheets_are_read(planted: Path, tmp_path: Path) -> None:
    main(["network", str(planted / "dataset"), "--network", str(planted / "edges.csv"), "--backend", "none", "-q",
          "-o", str(tmp_path / "dataset.network"), "--format", "csv"])  # fmt: skip
    assert len(read(tmp_path / "dataset.network", "activity").table) == 8
    assert read(tmp_path / "dataset.network", "network") is None


def test_the_fingerprint_is_of_values_labels_and_roles_not_of_projections(planted: Path, tmp_path: Path) -> None:
    shutil.copytree(planted / "dataset", tmp_path / "dataset")
    before = identify(titin.open(tmp_path / "dataset"))
    titin.add_embeddings(tmp_path / "dataset", ["pca"], pca={"n_comps": 2})
    atlas = titin.open(tmp_path / "dataset")
    assert identify(atlas) == before
    atlas.manifest.roles = {**atlas.manifest.roles, "age": None}
    assert identify(atlas) != before


@pytest.mark.parametrize("kind", SHOW)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(data=st.data())
def test_a_changed_document_is_shown_or_refused_with_its_place(kind: str, left: Path, place: Path, data: Any) -> None:
    name = f"{kind}_{LEVEL}.json"
    document = json.loads((left / name).read_text())
    (place / name).write_text(json.dumps(data.draw(changed(document))))
    found = shown(place, kind)
    if isinstance(found, str):
        assert found.startswith(f"dataset.network/{name} is not as `titin network` writes it: ")
        assert "remove it, or run `titin network` again" in found


TABLES = [("activity", ""), ("activity", "_donors"), ("network", ""), ("network", "_regulators")]


@pytest.mark.parametrize(("kind", "table"), TABLES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(data=st.data())
def test_a_changed_table_is_shown_or_refused(kind: str, table: str, left: Path, place: Path, data: Any) -> None:
    name = f"{kind}_{LEVEL}{table}.parquet"
    frame = pq.read_table(left / name).to_pandas()
    column = data.draw(st.sampled_from(list(frame)))
    makers: list[Callable[[], pd.DataFrame]] = [
        lambda: frame.drop(columns=column), lambda: frame.assign(**{column: "x"}), lambda: frame.assign(**{column: 7}),
        lambda: frame.assign(**{column: np.nan}), lambda: frame.assign(**{column: np.inf}),
        lambda: frame.assign(**{column: True}), lambda: frame.assign(**{column: [[1]] * len(frame)}),
        lambda: frame.assign(**{column: -1e300}), lambda: frame.head(1), lambda: frame.assign(**{column: None}),
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pandas(data.draw(st.sampled_from(makers))()), place / name)
    found = shown(place, kind)
    assert isinstance(found, Section) or found.startswith(f"dataset.network/{kind}_{LEVEL}.json is not as")


@pytest.mark.parametrize("name", ["activity_cell_type.json", "activity_cell_type_donors.parquet"])
def test_links_pipes_and_folders_are_not_read(name: str, place: Path, tmp_path: Path) -> None:
    path = place / name
    path.rename(tmp_path / "elsewhere")
    for make in (lambda: os.mkfifo(path), path.mkdir, lambda: path.symlink_to(tmp_path / "elsewhere")):
        make()
        with pytest.raises(TitinError, match=name):
            read(place, "activity")
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def test_tables_beyond_all_use_are_not_read(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("titin.network.results_beside._MOST_ROWS", 50)
    with pytest.raises(TitinError, match=r"has [0-9]+ rows"):
        read(place, "network")
    monkeypatch.setattr("titin.network.results_beside._MOST_BYTES", 100)
    with pytest.raises(TitinError, match="has more than 0 MiB"):
        read(place, "activity")
