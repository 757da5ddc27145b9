"""Planted regulators of the demo: what is told is what moves, and all other effects are as without."""

import numpy as np
import pandas as pd
import pytest

from titin.demo import make_demo_atlas
from titin.demo.expression import YEARS
from titin.demo.regulation import CHANGED, LEFT, LOST, REGULATORS, TARGETS, plant_regulation
from titin.errors import TitinError


def test_the_network_is_told_and_the_rest_of_the_demo_is_as_without() -> None:
    with_it, without = (make_demo_atlas(n_cells=400, n_genes=800, regulators=one) for one in (True, False))
    edges = with_it.uns["truth"]["regulation"]
    assert len(edges) == REGULATORS * TARGETS
    assert edges["source"].nunique() == REGULATORS
    assert edges.loc[edges["changes"], "source"].nunique() == CHANGED
    assert not set(edges["source"]) & set(edges["target"])
    assert edges["target"].is_unique
    assert "regulation" not in without.uns["truth"]
    kept = ["SampleID", "DonorID", "annotation_level2"]
    pd.testing.assert_frame_equal(with_it.obs[kept].reset_index(drop=True), without.obs[kept].reset_index(drop=True))
    assert with_it.uns["truth"]["age_log_fold_change"] == without.uns["truth"]["age_log_fold_change"]
    largest = with_it.obs["annotation_level0"].value_counts().index[0]
    assert with_it.uns["truth"]["regulation_changes_in"] == largest


def test_a_twin_without_age_has_regulators_that_do_not_change() -> None:
    still = make_demo_atlas(n_cells=300, n_genes=800, regulators=True, age_effect=False)
    assert not still.uns["truth"]["regulation"]["changes"].any()


@pytest.mark.parametrize(("kind", "years", "left"), [
    ("MF", 0.0, LEFT), ("MF", 1.0, LEFT - LOST), ("MF", 5.0, 0.0), ("other", 1.0, 1.0),
])  # fmt: skip
def test_a_strength_falls_with_age_in_its_type_alone(kind: str, years: float, left: float) -> None:
    made = plant_regulation(np.arange(400.0), np.zeros(400, bool), "MF", 3, 0, change=True)
    logs = np.zeros((1, 400))
    made.add(logs, slice(1, 2), np.array([kind], object), np.array([years]))
    for i in range(REGULATORS):
        expected = made.activity[1, i] * made.weights[i] * (left if i < CHANGED else 1)
        np.testing.assert_allclose(logs[0, made.targets[i]], expected)
    assert YEARS == 27


def test_too_few_genes_are_told() -> None:
    with pytest.raises(TitinError, match="too few for 10 regulators of 30"):
        plant_regulation(np.zeros(200), np.zeros(200, bool), "MF", 3, 0, change=True)
