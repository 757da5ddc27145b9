"""What a study is of: numbers of a study that was made, and their sentences."""

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import titin
from titin.study.overview import describe_overview, overview

DONORS = {"a": (20, "F"), "b": (25, "M"), "c": (70, "M"), "d": (75, "women"), "e": (80, "M")}


def opened(folder: Path, obs: pd.DataFrame, **options: Any) -> titin.Atlas:
    counts = sparse.csr_matrix(np.random.default_rng(0).poisson(2, (len(obs), 4)).astype(np.float32))
    ad.AnnData(counts, obs=obs).write_h5ad(folder / "study.h5ad")
    titin.build(folder / "study.h5ad", folder / "study", project=[], threads=1, **options)
    return titin.open(folder / "study")


def cells_of(donors: str) -> pd.DataFrame:
    """A cell a letter."""
    table = pd.DataFrame({"donor_id": list(donors)}, index=[f"cell{i}" for i in range(len(donors))])
    table["age_years"] = [DONORS[d][0] for d in donors]
    table["sex"] = [DONORS[d][1] for d in donors]
    table["cell_type"] = ["T cell" if i % 3 else "B cell" for i in range(len(donors))]
    table["suspension_type"] = ["nucleus" if d in "ce" else "cell" for d in donors]
    return table


def test_every_number_is_that_of_the_study(tmp_path: Path) -> None:
    found = overview(opened(tmp_path, cells_of("aabbbccdde")))
    assert (found["donors"], found["samples"], found["chemistry"]) == (5, None, None)
    assert found["ages"] == {"lowest": 20, "highest": 80, "donors": 5, "cut": 47.5, "young": 2, "old": 3}
    assert found["sex"] == {"male": {"cells": 6, "donors": 3}, "female": {"cells": 4, "donors": 2}}
    assert found["protocol"] == {"cell": {"cells": 7, "donors": 3}, "nucleus": {"cells": 3, "donors": 2}}
    assert found["cell_types"] == [{"level": "cell_type", "types": 2, "most": {"T cell": 6, "B cell": 4}}]
    assert found["unknown"] == {}
    said = dict(describe_overview(found, 10))
    assert said["donors"] == "5: 3 male, 2 female"
    assert said["ages"] == "20 to 80 years, of 5 donors; 2 young, 3 old (from 47.5 years)"
    assert said["cell types"] == "2 of cell_type: T cell 60.0 %, B cell 40.0 %"
    assert said["protocol"] == "cell (7 cells of 3 donors), nucleus (3 cells of 2 donors)"
    assert said["chemistry"] == "not known"


def test_a_study_of_which_nothing_is_known_says_so(tmp_path: Path) -> None:
    found = overview(opened(tmp_path, pd.DataFrame({"depth": [1.5, 2, 3]}, index=["x", "y", "z"])))
    assert found["donors"] is found["ages"] is found["sex"] is None
    assert {said for _, said in describe_overview(found, 3)} == {"not known"}


def test_cells_of_which_something_is_not_known_are_counted(tmp_path: Path) -> None:
    obs = cells_of("aabbccddee")
    obs.loc[obs.index[:2], "sex"] = "unknown"
    found = overview(opened(tmp_path, obs))
    assert found["unknown"] == {"sex": 2}
    assert dict(describe_overview(found, 10))["not known"] == "sex of 2 cells"


@pytest.mark.parametrize("n", [6, 7, 40])
def test_many_types_are_counted_and_some_named(n: int, tmp_path: Path) -> None:
    obs = cells_of("abcde" * n)
    obs["cell_type"] = [f"type {i % n}" for i in range(len(obs))]
    said = dict(describe_overview(overview(opened(tmp_path, obs)), len(obs)))["cell types"]
    assert said.startswith(f"{n} of cell_type: ")
    assert said.endswith(" …") == (n > 6)
    assert said.count("%") == 6
