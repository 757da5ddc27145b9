"""Regulators in the report: what lies beside the dataset, or the activities of a network that is given."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import titin
from titin.ageing import Inputs
from titin.cli import cli
from titin.demo import make_demo
from titin.network import PriorNetwork, networks
from titin.progress import Progress
from titin.report.data import ReportData
from titin.report.regulators import regulators
from titin.section import Figure, Heading, Paragraph, Section
from titin.study.conditions import Where


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A small demo and a network of its genes."""
    folder = tmp_path_factory.mktemp("regulators")
    path = make_demo(folder, n_cells=1200, n_genes=300, seed=2, force=False, progress=Progress()).path
    genes = list(titin.open(path).var_names)
    edges = [(genes[i], genes[20 + 8 * i + j], 1.0 if j else -1.0) for i in range(4) for j in range(8)]
    table = pd.DataFrame(edges, columns=["source", "target", "weight"])
    table.to_csv(folder / "edges.csv", index=False)
    return SimpleNamespace(path=path, edges=folder / "edges.csv", network=PriorNetwork(table, "edges.csv"))


def look_for(study: SimpleNamespace, *options: str) -> None:
    of_edges = [] if "--backend" in options else ["--bootstraps", "0", "--edges", "20"]
    words = ["network", str(study.path), "--network", str(study.edges), *of_edges, "--force", "-q", *options]
    CliRunner().invoke(cli, words, catch_exceptions=False)


def made(study: SimpleNamespace, network: PriorNetwork | None = None, where: tuple[str, ...] = ()) -> Section:
    data = ReportData(Inputs(titin.open(study.path), where=Where.of([*where])), study.path, network)
    section = Section("regulators", "Regulators")
    section.attempt(lambda: regulators(section, data))
    section.facts["parameters"] = data.parameters
    return section


def said(section: Section) -> str:
    return " ".join(block.text for block in section.blocks if isinstance(block, Paragraph | Heading))


def figures(section: Section) -> list[str]:
    return [block.name for block in section.blocks if isinstance(block, Figure)]


@pytest.fixture
def alone(study: SimpleNamespace) -> SimpleNamespace:
    shutil.rmtree(study.path.with_name(f"{study.path.name}.network"), ignore_errors=True)
    return study


def test_where_nothing_was_looked_for_this_is_said_and_nothing_computed(
    alone: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titin.report.regulators.activities", None)
    section = made(alone)
    assert section.facts["missing"] == [
        "the regulators of this dataset have not been looked for: `titin network` does it"
    ]
    assert figures(section) == []


def test_a_given_network_has_its_activities_computed_and_no_more(
    alone: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "infer_networks", None)
    section = made(alone, alone.network)
    assert "regulators of edges.csv" in said(section)
    assert "Networks" not in said(section)
    assert figures(section)[-1] == "types"
    assert section.facts["parameters"]["Regulators"]["network"] == "edges.csv"
    assert not alone.path.with_name(f"{alone.path.name}.network").exists()


def test_what_lies_beside_is_shown_with_its_numbers(alone: SimpleNamespace) -> None:
    look_for(alone)
    section = made(alone)
    assert "missing" not in section.facts
    assert section.facts["regulators"] == 4
    assert "Networks" in said(section)
    assert f"Activities are from {alone.path.name}.network." in said(section)
    assert "before it was changed" not in said(section)
    assert "as `titin network` was asked for" not in said(section)
    assert set(section.facts["parameters"]) == {"Regulators: activities", "Regulators: networks"}


def test_cells_that_were_chosen_and_a_dataset_that_has_changed_are_said(alone: SimpleNamespace) -> None:
    look_for(alone, "--backend", "none", "--where", "Sex=F")
    file = next(alone.path.with_name(f"{alone.path.name}.network").glob("activity_*.json"))
    document = json.loads(file.read_text())
    document["settings"]["made_of"] = "0" * 64
    file.write_text(json.dumps(document))
    text = said(made(alone))
    assert "Activities are those of Sex=F, as `titin network` was asked for." in text
    assert "Activities are of the dataset as it was before it was changed" in text


def test_of_several_levels_the_coarsest_is_shown(alone: SimpleNamespace) -> None:
    look_for(alone, "--backend", "none", "--cell-type-level", "1")
    fine = made(alone).facts["parameters"]["Regulators: activities"]
    look_for(alone, "--backend", "none")
    coarse = made(alone).facts["parameters"]["Regulators: activities"]
    levels = titin.open(alone.path).roles["cell_type"]
    assert [fine["cell_type_level"], coarse["cell_type_level"]] == [levels[1], levels[0]]


def test_a_damaged_result_is_told_of_and_the_other_shown(alone: SimpleNamespace) -> None:
    look_for(alone)
    folder = alone.path.with_name(f"{alone.path.name}.network")
    damaged = next(folder.glob("activity_*[!s].json"))
    damaged.write_text("{}")
    section = made(alone)
    assert section.facts["missing"][0].startswith(f"{folder.name}/{damaged.name} is not as `titin network` writes it")
    assert "Networks" in said(section)


def test_a_network_of_other_genes_is_said(alone: SimpleNamespace) -> None:
    other = pd.DataFrame({"source": "A", "target": [f"none{i}" for i in range(9)], "weight": np.ones(9)})
    section = made(alone, PriorNetwork(other, "other.csv"))
    assert section.facts["missing"] == ["no regulator of other.csv has 5 targets among the genes of this dataset"]
