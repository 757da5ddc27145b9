"""Values of donors move within sex and protocol, and it is said where they cannot."""

import numpy as np
import pandas as pd
import pytest

from titin.learn.leaderboard import make_leaderboard
from titin.learn.permutations import DonorPermutations, donor_strata
from titin.learn.scoring import Scored, best_of_several

AGES = pd.Series([20.0, 30.0, 40.0, 50.0, 60.0], ["a", "b", "c", "d", "e"])


def test_ages_stay_within_their_strata():
    made = DonorPermutations.of_donors(AGES, ["F", "F", "M", "M", "X"], n=200, seed=1)
    assert made.alone == ("e",)
    assert made.arrangements == 4
    assert {tuple(column) for column in made.dealt.T} == {
        (a, b, c, d, 60.0) for a, b in ((20, 30), (30, 20)) for c, d in ((40, 50), (50, 40))
    }
    assert made.of(["e", "a", "e"])[:, 0].tolist() == [60.0, made.dealt[0, 0], 60.0]


def test_nothing_moves_where_all_are_alone_or_alike():
    assert not DonorPermutations.of_donors(AGES, list("12345"), n=5).can_move
    assert not DonorPermutations.of_donors(AGES * 0, n=5).can_move
    assert DonorPermutations.of_donors(AGES, n=5).arrangements == 120


def test_order_of_donors_changes_nothing():
    one = DonorPermutations.of_donors(AGES, list("xxyyy"), n=9)
    other = DonorPermutations.of_donors(AGES[::-1], list("yyyxx"), n=9)
    np.testing.assert_array_equal(one.dealt, other.dealt)


def test_strata_are_sex_and_all_protocols_of_a_donor():
    cells = pd.DataFrame({
        "donor": ["a", "a", "b", "b", "c"],
        "sex": ["male", "male", "male", "male", None],
        "protocol": ["nucleus", "cell", "cell", "cell", "cell"],
    })  # fmt: skip
    found = donor_strata(cells)
    assert found.to_dict() == {"a": "male · cell + nucleus", "b": "male · cell", "c": "unknown · cell"}
    assert donor_strata(cells[["donor"]]).tolist() == ["", "", ""]


def test_the_best_of_several_is_tested_as_the_best_of_several():
    rng = np.random.default_rng(0)
    chance = {name: rng.uniform(10, 20, 199) for name in "abc"}
    scored = {name: Scored([], error, chance[name]) for name, error in zip("abc", (15.0, 10.4, 16.0), strict=True)}
    best, p = best_of_several(scored)
    assert best == "b"
    alone = (1 + (chance["b"] <= 10.4).sum()) / 200
    together = (1 + (np.min(list(chance.values()), axis=0) <= 10.4).sum()) / 200
    assert p == pytest.approx(together)
    assert together > alone
    assert best_of_several({"b": scored["b"]}) is None
    assert best_of_several({"b": scored["b"], "c": Scored([])}) is None


def test_empty_board_has_no_best():
    made = make_leaderboard(pd.DataFrame(columns=["task"]), pd.DataFrame(), {}, {
        "dataset": "d", "splits_sha256": "0" * 64, "seed": 0}, [])  # fmt: skip
    assert "best of" not in made
