"""``titin network``: one document, the files that it names, and contradictions in words."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from titin.cli import main
from titin.network import Activities, Networks

Captured = pytest.CaptureFixture[str]


def test_the_command_writes_what_it_says(planted: Path, tmp_path: Path, capsys: Captured) -> None:
    dataset, edges = str(planted / "dataset"), str(planted / "edges.csv")
    arguments = ["network", dataset, "--network", edges, "-o", str(tmp_path / "out")]
    main([*arguments, "--evaluate", "--bootstraps", "2", "--edges", "40", "--json", "-q"])
    told = json.loads(capsys.readouterr().out)
    assert sorted(map(str, (tmp_path / "out").iterdir())) == sorted(told["files"])
    assert told["networks"]["verdict"].startswith("1 of 4 regulators changes in strength between young and old")
    assert told["networks"]["settings"]["network"] == "edges.csv"
    assert len(told["networks"]["evaluation"]) == 4
    assert told["activities"]["n_regulators"] == 4
    assert len(Activities.read(tmp_path / "out" / "activity_cell_type.parquet").table) == 8
    assert len(Networks.read(tmp_path / "out" / "network_cell_type.parquet").table) == 80
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code == 2
    assert "is there already" in capsys.readouterr().err


def test_words_name_donors_units_and_what_was_not_tested(planted: Path, tmp_path: Path, capsys: Captured) -> None:
    main(["network", str(planted / "dataset"), "--network", str(planted / "edges.csv"), "-o", str(tmp_path),
          "--compare", "age", "--bootstraps", "0", "--min-donors", "7", "--format", "parquet", "-q"])  # fmt: skip
    said = capsys.readouterr().out
    assert "n donors" in said
    assert "Not evaluable" in said
    assert "12 donors with enough cells, fewer than 14" in said
    assert "note: an edge says that two genes go together" in said


def test_a_run_without_a_network_takes_regulators_alone(planted: Path, tmp_path: Path, capsys: Captured) -> None:
    main(["network", str(planted / "dataset"), "--regulators", "TF0,TF1", "--bootstraps", "0", "-o", str(tmp_path),
          "--where", "cell_type=T cell", "--json", "-q"])  # fmt: skip
    told = json.loads(capsys.readouterr().out)
    assert told["activities"] is None
    assert told["networks"]["settings"]["n_regulators"] == 2
    assert [test["cell_type"] for test in told["networks"]["tests"]] == ["T cell"]


def test_figures_are_those_of_the_report(planted: Path, tmp_path: Path, capsys: Captured) -> None:
    arguments = ["network", str(planted / "dataset"), "--network", str(planted / "edges.csv"), "--bootstraps", "0",
                 "-o", str(tmp_path), "--format", "parquet", "--figures", "-q"]  # fmt: skip
    main(arguments)
    said = capsys.readouterr().out
    names = {folder.name: sorted(file.name for file in folder.iterdir()) for folder in tmp_path.glob("*_figures")}
    assert names == {
        "activity_cell_type_figures": ["01_clearest.png", "02_by_age_TF1.png", "03_by_age_TF0.png", "04_by_age_TF3.png",
                                       "05_types.png"],
        "network_cell_type_figures": ["01_strengths.png", "02_network_T_cell.png", "03_network_B_cell.png"],
    }  # fmt: skip
    assert f"wrote {tmp_path / 'network_cell_type_figures'}: 3 figures" in said
    for file in [*tmp_path.glob("*.json"), *tmp_path.glob("*.parquet")]:
        file.unlink()
    with pytest.raises(SystemExit):
        main(arguments)
    assert "activity_cell_type_figures is there already" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "said"), [
    ([], "there is no network to tell regulators by"),
    (["--regulators", "TF0", "--per-cell"], "--per-cell is of activities, which need a known network"),
    (["--backend", "none", "--regulators", "TF0"], "--regulators is of networks, and --backend none leaves them out"),
    (["--regulators", "TF0", "--evaluate"], "there is no reference to evaluate against"),
    (["--regulators", "@none.txt"], "--regulators: none.txt cannot be read"),
    (["--network", "EDGES", "--backend", "scprint"], "the backend scprint needs weights"),
])  # fmt: skip
def test_contradictions_are_told(
    options: list[str], said: str, planted: Path, tmp_path: Path, capsys: Captured
) -> None:
    words = [str(planted / "edges.csv") if word == "EDGES" else word for word in options]
    with pytest.raises(SystemExit) as done:
        main(["network", str(planted / "dataset"), *words, "-o", str(tmp_path), "-q"])
    assert done.value.code == 2
    assert said in capsys.readouterr().err


def test_only_what_cannot_be_evaluated_is_left_out() -> None:
    from titin.ageing.design import NotTestableError
    from titin.errors import DatasetError
    from titin.network.commands import _compute

    def refuse(error: type[Exception]) -> Callable[[], object]:
        def make() -> object:
            raise error("why", "what to do")

        return make

    kinds = ["activity", "network"]
    found, missing = _compute({"activity": lambda: 1, "network": refuse(NotTestableError)}, kinds)
    assert (found, missing) == ({"activity": 1}, {"network": "why"})
    for error in (DatasetError, MemoryError):
        with pytest.raises(error):
            _compute({"activity": lambda: 1, "network": refuse(error)}, kinds)


def test_a_network_of_no_genes_has_activities_alone(planted: Path, tmp_path: Path, capsys: Captured) -> None:
    known = pd.read_csv(planted / "edges.csv")
    known.assign(source="pathway of " + known["source"]).to_csv(tmp_path / "pathways.csv", index=False)
    main(["network", str(planted / "dataset"), "--network", str(tmp_path / "pathways.csv"), "-o", str(tmp_path / "out"),
          "--json", "-q"])  # fmt: skip
    told = json.loads(capsys.readouterr().out)
    assert told["missing"] == {"network": "none of the 4 regulators is a gene of this dataset"}
    assert told["activities"]["n_regulators"] == 4


def test_a_reference_of_other_genes_leaves_the_networks_there(planted: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "reference.csv").write_text("source,target,weight\nTF0,elsewhere,1\n")
    main(["network", str(planted / "dataset"), "--network", str(planted / "edges.csv"), "--bootstraps", "0",
          "--evaluate", "--reference", str(tmp_path / "reference.csv"), "-o", str(tmp_path / "out"), "--json",
          "-q"])  # fmt: skip
    networks = json.loads(capsys.readouterr().out)["networks"]
    assert networks["evaluation"] == []
    assert all("reference.csv has no edge between" in test["notes"][-1] for test in networks["tests"])
