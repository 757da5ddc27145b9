"""Activities are those that decoupler computes, and what a plain regression gives."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from activity_case import draw_case
from scipy import sparse, stats

from titin.errors import TitinError
from titin.network.prior_network import PriorNetwork
from titin.network.scoring import METHODS, activity_scores

GOLDEN = json.loads((Path(__file__).parent / "results_activities.json").read_text())


@pytest.mark.parametrize("method", METHODS)
def test_scores_are_those_of_decoupler(method: str) -> None:
    values, edges = draw_case()
    names, weights = PriorNetwork(edges).matrix(list(values.columns))
    kept = np.flatnonzero(np.diff(weights.indptr) >= 5)
    assert [names[i] for i in kept] == GOLDEN[method]["regulators"]
    scores = activity_scores(values.to_numpy(), weights[kept], method)
    np.testing.assert_allclose(scores, GOLDEN[method]["scores"], rtol=1e-6, atol=1e-6)


def test_ulm_is_the_t_of_a_regression() -> None:
    values, edges = draw_case()
    names, weights = PriorNetwork(edges).matrix(list(values.columns))
    found = activity_scores(values.to_numpy(), weights)
    for i in range(len(names)):
        line = stats.linregress(weights[i].toarray()[0], values.to_numpy()[2])
        assert found[2, i] == pytest.approx(line.slope / line.stderr, rel=1e-9)


def test_a_common_level_changes_no_ulm() -> None:
    values, edges = draw_case()
    _, weights = PriorNetwork(edges).matrix(list(values.columns))
    plain = activity_scores(values.to_numpy(), weights)
    np.testing.assert_allclose(activity_scores(values.to_numpy() + 1e6, weights), plain, rtol=1e-7, atol=1e-7)


def test_what_cannot_be_scored_is_said() -> None:
    with pytest.raises(TitinError, match="there is no method 'viper'"):
        activity_scores(np.ones((1, 3)), sparse.csr_matrix(np.ones((1, 3))), "viper")  # type: ignore[arg-type]
    with pytest.raises(TitinError, match="2 genes are too few"):
        activity_scores(np.ones((1, 2)), sparse.csr_matrix(np.ones((1, 2))))


def test_a_sample_that_is_all_alike_has_no_activity() -> None:
    flat = activity_scores(np.ones((2, 5)), sparse.csr_matrix([[1.0, 1, 0, 0, 0]]), "consensus")
    assert np.isfinite(flat).all()
    assert pd.DataFrame(activity_scores(np.zeros((2, 5)), sparse.csr_matrix([[1.0, 1, 0, 0, 0]]))).eq(0).all(axis=None)
