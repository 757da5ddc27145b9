"""Edges are ranked against a reference, and shuffled references keep every degree."""

import numpy as np
import pandas as pd
import pytest
from planted import edges, genes

from titin.errors import TitinError
from titin.network.evaluation import evaluate_weights
from titin.network.prior_network import PriorNetwork, shuffled

REFERENCE = PriorNetwork(pd.DataFrame({"source": ["A", "A", "B"], "target": ["C", "D", "C"], "weight": 1.0}), "known")
REGULATORS, GENES = ["A", "B", "E"], ["A", "B", "C", "D", "F"]


def found(weights: list[list[float]]) -> pd.Series:
    matrix = np.array(weights, np.float32)
    return evaluate_weights({"own": matrix}, REGULATORS, GENES, REFERENCE, n_shuffles=3).iloc[0]


def test_a_ranking_by_hand() -> None:
    """Of A and B: A–C first, then B–F, A–D, then the others by place; self edges do not count."""
    row = found([[9, 0, -5, 3, 0], [0, 9, 0, 0, 4], [9, 9, 9, 9, 9]])
    assert (row["n_regulators"], row["n_candidates"], row["n_reference"]) == (2, 8, 3)
    # ranks: AC 1, BF 2, AD 3, AB 4, AF 5, BA 6, BC 7, BD 8
    assert row["aupr"] == pytest.approx((1 + 2 / 3 + 3 / 7) / 3)
    assert row["aupr_ratio"] == pytest.approx(row["aupr"] / (3 / 8))
    assert row["early_precision"] == pytest.approx(2 / 3)
    assert row["early_precision_ratio"] == pytest.approx(2 / 3 / (3 / 8))


def test_what_is_found_whole_has_an_area_of_one() -> None:
    row = found([[0, 0, 3, 3, 0], [0, 0, -3, 0, 0], [1, 1, 1, 1, 1]])
    assert (row["aupr"], row["early_precision"]) == (1, 1)


def test_shuffled_networks_keep_every_degree_and_little_else() -> None:
    network = PriorNetwork(pd.DataFrame([(s, t) for i, s in enumerate("ABCDEFGH") for t in genes()[i * 7 : i * 7 + 20]],
                                        columns=["source", "target"]))  # fmt: skip
    other = shuffled(network, np.random.default_rng(0))
    for column in ("source", "target"):
        assert other.edges[column].value_counts().to_dict() == network.edges[column].value_counts().to_dict()
    same = set(map(tuple, other.edges.iloc[:, :2].to_numpy())) & set(map(tuple, network.edges.iloc[:, :2].to_numpy()))
    assert len(same) < 0.8 * len(network.edges)


def test_a_reference_of_other_genes_is_told() -> None:
    with pytest.raises(TitinError, match="known has no edge between"):
        evaluate_weights({"own": np.ones((1, 5), np.float32)}, ["E"], GENES, REFERENCE)
    assert len(PriorNetwork(edges()).sources) == 4
