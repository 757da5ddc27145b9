"""The page of regulators: the numbers of Python, and the way from a regulator to its targets and to the map."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from window import Window, static_host

import titin
from titin.cli import main
from titin.demo import write_demo_atlas
from titin.explore import write_site
from titin.network.regulator_tables import read_results

CLOSE = {"rtol": 1e-6, "atol": 1e-9}
CHANGE = {"effect": "effect", "low": "ci_low", "high": "ci_high", "p": "p_value", "adjusted": "adj_p_value",
          "overAll": "adj_p_value_across_types"}  # fmt: skip


@pytest.fixture(scope="module")
def regulated(made_once: Callable[[str, Callable[[Path], object]], Path]) -> SimpleNamespace:
    """The site of a demo with ten planted regulators, what Python found of them, and what was planted."""

    def make(folder: Path) -> None:
        write_demo_atlas(folder / "demo.h5ad", n_cells=2500, n_genes=600, regulators=True)
        truth = ad.read_h5ad(folder / "demo.h5ad", backed="r").uns["truth"]
        truth["regulation"].to_csv(folder / "edges.csv", index=False)
        (folder / "type.json").write_text(json.dumps(truth["regulation_changes_in"]), "utf-8")
        titin.build(folder / "demo.h5ad", folder / "dataset", preset="muscle", project=())
        main(["network", str(folder / "dataset"), "--network", str(folder / "edges.csv"), "--bootstraps", "2",
              "--compare", "age", "--edges", "2000", "--format", "parquet", "-q"])  # fmt: skip
        write_site(folder / "dataset", folder / "site")

    folder = made_once("regulated", make)
    activities, networks = read_results(folder / "dataset")
    return SimpleNamespace(site=folder / "site", activities=activities, networks=networks, dataset=folder / "dataset",
                           planted=pd.read_csv(folder / "edges.csv"),
                           changes_in=json.loads((folder / "type.json").read_text("utf-8")))  # fmt: skip


def place(row: Any) -> tuple[str, str, str]:
    return str(row.regulator), str(row.cell_type), str(row.protocol)


def numbers(one: dict[str, Any], names: list[str]) -> list[float]:
    return [np.nan if one[name] is None else one[name] for name in names]  # JSON has no NaN


def test_the_table_has_the_numbers_of_python(window: Window, regulated: SimpleNamespace) -> None:
    with static_host(regulated.site) as address:
        window.open(address)
        rows = window.run("titin.regulators()")
    shown = {(row["regulator"], row["type"], row["protocol"]): row for row in rows}
    expected = regulated.activities.table
    expected = expected[expected["n_donors"] > 0]
    assert set(shown) == set(map(place, expected.itertuples()))
    tested = 0
    for row in expected.itertuples():
        mine = shown[place(row)]
        assert (mine["donors"], mine["cells"], mine["targets"]) == (row.n_donors, row.n_cells, row.n_targets)
        np.testing.assert_allclose(numbers(mine["change"], list(CHANGE)), [getattr(row, c) for c in CHANGE.values()],
                                   **CLOSE)  # fmt: skip
        np.testing.assert_allclose(numbers(mine, ["activity"]), [row.activity], **CLOSE)
        tested += pd.notna(row.p_value)
    assert tested >= 10
    for row in regulated.networks.regulators.itertuples():
        mine = shown[place(row)]["strengthChange"]
        known = [row.difference, *(getattr(row, c) for c in list(CHANGE.values())[1:])]
        np.testing.assert_allclose(numbers(mine, list(CHANGE)), known, **CLOSE)


def test_donors_and_targets_of_every_regulator_are_python_s(window: Window, regulated: SimpleNamespace) -> None:
    donors, edges = regulated.activities.donors, regulated.networks.table
    with static_host(regulated.site) as address:
        window.open(address)
        for regulator in donors["feature"].unique():
            found = window.run("name => titin.regulator(name)", regulator)
            own = donors[(donors["feature"] == regulator) & donors["mean"].notna()]
            dots = {(dot["donor"], dot["type"], dot["protocol"]): dot for dot in found["dots"]}
            keys = list(zip(own["donor"], own["cell_type"], own["protocol"], strict=True))
            assert set(keys) == {key for key, dot in dots.items() if dot["activity"] is not None}
            told = [[dots[key][name] for name in ("activity", "age", "cells")] for key in keys]
            np.testing.assert_allclose(np.array(told, float), own[["mean", "age", "n_cells"]].to_numpy(float), **CLOSE)
            mine = pd.DataFrame(found["edges"], columns=["target", "type", "protocol", "weight", "stability", "prior",
                                                         "correlation", "effect", "p"])  # fmt: skip
            mine = mine.set_index(["target", "type", "protocol"]).astype(float).sort_index()
            known = edges[edges["regulator"] == regulator].set_index(["target", "cell_type", "protocol"]).sort_index()
            assert mine.index.tolist() == known.index.tolist()
            for name, column in (("weight",) * 2, ("stability",) * 2, ("prior",) * 2, ("correlation",) * 2,
                                 ("effect", "difference"), ("p", "p_value")):  # fmt: skip
                np.testing.assert_allclose(mine[name], known[column].astype(float), **CLOSE)


def test_planted_regulators_show_their_targets_and_the_sign_of_their_change(
    window: Window, regulated: SimpleNamespace
) -> None:
    with static_host(regulated.site) as address:
        window.open(address)
        rows = window.run("titin.regulators()")
        planted = regulated.planted
        falling = set(planted.loc[planted["changes"], "source"])
        own = [row for row in rows if row["type"] == regulated.changes_in and row["regulator"] in falling
               and row["strength"] is not None]  # fmt: skip
        assert {row["regulator"] for row in own} == falling
        assert all(row["strengthChange"]["effect"] < 0 for row in own)
        regulator = min(own, key=lambda row: row["strengthChange"]["p"])["regulator"]
        found = window.run("name => titin.regulator(name)", regulator)
        heavy = [one for one in found["edges"] if one["type"] == regulated.changes_in][:10]
        targets = planted.set_index(["source", "target"])["weight"]
        right = [one for one in heavy if (regulator, one["target"]) in targets.index]
        assert len(right) >= 3  # of ten; by chance one in two tries
        assert all(np.sign(targets[regulator, one["target"]]) == one["sign"] == one["prior"] for one in right)


def test_from_the_table_to_a_target_and_to_the_map(window: Window, regulated: SimpleNamespace) -> None:
    with static_host(regulated.site) as address:
        window.open(address)
        window.page.click("#page-regulators")
        window.until("document.querySelectorAll('[aria-label=\"Regulators\"] tbody tr').length > 0")
        said = window.page.inner_text("#sheet")
        assert "regulators change" in said or "regulator changes" in said or "None of 10 regulators" in said
        clearest = regulated.activities.table.sort_values("p_value").iloc[0]
        first = window.page.query_selector_all("[aria-label='Regulators'] tbody tr >> nth=0 >> th, td")
        cells = [cell.inner_text() for cell in first]
        assert cells[0] == clearest["regulator"]
        assert cells[1] == f"{clearest['cell_type']} · {clearest['protocol']}"
        assert int(cells[2]) == clearest["n_donors_tested"]
        window.page.click("[aria-label='Regulators'] tbody .link >> nth=0")
        window.until("document.querySelector('#all-regulators') !== null")
        state = window.run("titin.state()")
        assert (state["page"], state["regulator"]) == ("regulators", clearest["regulator"])
        drawn = len(window.page.query_selector_all("#sheet .chart >> nth=0 >> circle"))
        assert drawn >= clearest["n_donors_tested"]
        heaviest = regulated.networks.table.query("weight > 0").iloc[0]
        window.run("regulator => titin.setState({page: 'regulators', regulator})", heaviest["regulator"])
        window.until("name => document.querySelector('#sheet h2').textContent === name", heaviest["regulator"])
        target = window.page.inner_text("[aria-label='Targets'] tbody .link >> nth=0")
        window.page.click("[aria-label='Targets'] tbody .link >> nth=1")
        window.until("!location.hash.includes('page=')")  # once the map is in the history
        assert window.run("titin.state()")["colours"] == [{"gene": target}]
        window.page.go_back()
        window.until("titin.state().page === 'regulators'")
        window.page.click("#targets-map")
        window.until("!location.hash.includes('page=')")
        assert len(window.run("titin.state()")["colours"][0]["genes"]) > 1
        window.page.go_back()
        window.until("titin.state().page === 'regulators'")
        window.page.click("[aria-label='Targets'] tbody .link >> nth=0")
        window.until("titin.state().page === 'gene'")
        card = window.run("titin.state()")["card"]
        assert card.upper() == target.upper()
        assert window.said == []


def test_a_table_is_saved_with_what_it_is_of(window: Window, regulated: SimpleNamespace, tmp_path: Path) -> None:
    regulator = str(regulated.networks.table["regulator"].iloc[0])
    with static_host(regulated.site) as address:
        window.open(f"{address}#page=regulators&regulator={regulator}")
        window.until("document.querySelector('[aria-label=\"Targets\"]') !== null")
        with window.page.expect_download() as saved:
            window.page.click("[aria-label='Targets'] ~ button")
        saved.value.save_as(tmp_path / "targets.csv")
    lines = (tmp_path / "targets.csv").read_text("utf-8").splitlines()
    about = json.loads(lines[0].removeprefix("# "))
    assert (about["regulator"], about["contrast"], about["backend"]) == (regulator, "age", "ridge")
    rows = list(csv.DictReader(lines[1:]))
    table, first = regulated.networks.table, rows[0]
    own = table[(table["regulator"] == regulator) & (table["cell_type"] == first["cell_type"])
                & (table["protocol"] == first["protocol"])].set_index("target")  # fmt: skip
    assert len(rows) == len(own)
    np.testing.assert_allclose([float(row["weight"]) for row in rows], own.loc[[row["target"] for row in rows],
                                                                              "weight"], **CLOSE)  # fmt: skip


def test_a_dataset_without_them_says_how_to_get_them(
    window: Window, regulated: SimpleNamespace, tmp_path: Path
) -> None:
    shutil.copytree(
        regulated.dataset, tmp_path / "dataset"
    )  # nothing lies beside it, and it has not been asked to keep
    done = write_site(tmp_path / "dataset", tmp_path / "site")
    with static_host(done.path) as address:
        window.open(f"{address}#page=regulators")
        window.until("document.querySelector('#sheet .verdict') !== null")
        said = window.page.inner_text("#sheet")
        assert re.search(r"does not hold regulators of genes\s+`titin network DATASET --network FILE --keep`", said)
        assert window.said == []


def test_a_regulator_that_is_none_is_told(window: Window, regulated: SimpleNamespace) -> None:
    with static_host(regulated.site) as address:
        window.open(f"{address}#page=regulators&regulator=%3Cb%3ENOBODY")
        window.until("document.querySelector('#sheet .verdict') !== null")
        assert "<b>NOBODY is none of the regulators" in window.page.inner_text("#sheet")
        assert window.said == []
