"""Donors exchanged between protocols are told from donors who are themselves."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from titin.check.donor_swaps import donor_profiles, match_donors

CALIBRATION = Path(__file__).parents[2] / "benchmarks" / "calibration"


def load():
    """The script of the calibration, by another name than that of the check."""
    if str(CALIBRATION) not in sys.path:
        sys.path.append(str(CALIBRATION))
    spec = importlib.util.spec_from_file_location("calibrate_donor_swaps", CALIBRATION / "donor_swaps.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


alarm, draw_study, exchange, trial = (getattr(load(), name) for name in ("alarm", "draw_study", "exchange", "trial"))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_men_who_are_exchanged_are_named_and_nobody_else(seed):
    rng = np.random.default_rng(seed)
    counts, groups = draw_study(rng)
    alike = trial(counts, groups)
    assert not alarm(alike)
    assert alike.exchanged == {}
    assert alike.separation > 3
    exchanged, truth = exchange(groups, rng)
    match = trial(counts, exchanged)
    assert match.certainty > 0.999
    assert match.strangers == 0
    assert match.exchanged == truth


def test_people_who_do_not_resemble_themselves_are_no_reason_to_warn():
    """Both protocols of unrelated people: the best match is someone else for most, and not by much."""
    rng = np.random.default_rng(5)
    counts, groups = draw_study(rng)
    nuclei = (groups["protocol"] == "nuclei").to_numpy()
    strangers = counts.copy()
    strangers[nuclei] = draw_study(np.random.default_rng(6))[0][nuclei]
    match = trial(strangers, groups)
    assert match.exchanged
    assert match.strangers > 0.05
    assert not alarm(match)


def test_fewer_than_four_donors_in_both_say_nothing():
    counts, groups = draw_study(np.random.default_rng(1))
    few = groups["donor"].isin(["339C", "343B", "362C"]) | (groups["protocol"] == "cells")
    profiles = donor_profiles(counts[few], groups[few].reset_index(drop=True))
    assert list(profiles) == ["cells"]
    assert match_donors(profiles["cells"], (profiles["cells"][0].iloc[:3], profiles["cells"][1])) is None


def test_sexes_and_chemistries_are_taken_out_of_profiles():
    rng = np.random.default_rng(2)
    counts, groups = draw_study(rng)
    louder = counts.copy()
    louder[(groups["sex"] == "F").to_numpy(), :50] *= 20
    one, other = (donor_profiles(c, groups)["nuclei"][0].to_numpy() for c in (counts, louder))
    nuclei = groups[groups["protocol"] == "nuclei"].drop_duplicates("donor").sort_values("donor")
    women = nuclei["sex"].eq("F").to_numpy()
    apart = [abs(p[women][:, :50].mean() - p[~women][:, :50].mean()) for p in (one, other)]
    assert max(apart) < 0.05
