"""One sentence an analysis: each feature counted once, p over all that it speaks of, and nothing found in nothing."""

import re

import numpy as np
import pandas as pd
import pytest
from small_atlases import AGES, PROGRAMME, build, cells, counts_of

from titin import ageing
from titin.ageing.analysis import Findings
from titin.ageing.cell_counts import CellCounts
from titin.ageing.composition import COMPOSITION
from titin.ageing.verdict import clearest_first, say_changes, say_genes

WITH_AGE = {"contrast": "age", "unit": "decade"}
WIDE = {"ci_low": -1.0, "ci_high": 1.0}


def genes(rows):
    return pd.DataFrame(rows, columns=["gene", "cell_type", "protocol", "p_value", "log2_fold_change"])


def test_a_gene_is_counted_once_in_however_many_types_it_changes():
    found = genes([
        ("A", "FB", "cells", 1e-6, 1.0), ("A", "FB", "nuclei", 1e-5, -1.0), ("A", "T", "cells", 1e-5, 1.0),
        ("B", "FB", "cells", 1e-4, -2.0), ("C", "FB", "cells", 0.9, 0.1), ("C", "T", "cells", 0.8, 0.1),
    ])  # fmt: skip
    assert say_genes(found, WITH_AGE) == (
        "2 genes change their expression with age (each counted once; adjusted p < 0.05 over all 3 comparisons of 2 "
        "cell types), most in FB (2: 1 up, 1 down); T (1: 1 up, 0 down)"
    )


def test_where_no_gene_is_beyond_chance_the_nearest_is_named_with_its_p():
    found = genes([("A", "FB", "cells", 0.02, 1.0), ("B", "FB", "cells", 0.5, 1.0), ("C", "T", "cells", 0.9, 1.0)])
    assert say_genes(found, WITH_AGE) == (
        "None of 3 genes changes its expression with age beyond chance in 2 comparisons of 2 cell types: the clearest "
        "is A in FB in cells, adjusted p 0.06"
    )


def test_p_is_adjusted_over_all_tests_that_a_sentence_speaks_of():
    """Each of twenty protocols has a test at 0.04 that is adjusted by itself: twenty looks, and nothing found."""
    table = pd.DataFrame({"feature": "s", "cell_type": [f"t{i}" for i in range(20)], "protocol": "all", **WIDE,
                          "p_value": [0.04, *np.linspace(0.1, 0.9, 19)], "adj_p_value": 0.04,
                          "effect": 1.0})  # fmt: skip
    said = say_changes(table, WITH_AGE, noun="gene programme", label="feature")
    assert said == (
        "No gene programme changes with age beyond chance: the clearest of 20 tests is s in t0, adjusted p 0.8"
    )
    assert clearest_first(table)["over_all"].iloc[0] == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("rows", "settings", "expected"),
    [
        ([("s", 1e-3, 0.5), ("t", 0.4, -0.2)], WITH_AGE,
         "1 of 2 gene programmes changes with age (adjusted p < 0.05 over 2 tests): s in FB in cells rises (+0.5 a "
         "decade, -1 to +1, adjusted p 0.002)"),
        ([("s", 1e-9, -0.5), ("t", 2e-3, 0.2)], {"contrast": "young_old"},
         "2 of 2 gene programmes change between young and old (adjusted p < 0.05 over 2 tests): s in FB in cells falls "
         "(-0.5, -1 to +1, adjusted p < 0.0001); t in FB in cells rises (+0.2, -1 to +1, adjusted p 0.002)"),
        ([("s", 1e-9, np.nan)], {"contrast": "bs(age, df=3)"},
         "1 of 1 gene programme changes with bs(age, df=3) (adjusted p < 0.05 over 1 test): s in FB in cells (adjusted "
         "p < 0.0001)"),
        ([], WITH_AGE, "Not evaluable: no gene programme could be compared with age"),
    ],
)  # fmt: skip
def test_what_changes_is_said_with_its_amount_interval_and_p(rows, settings, expected):
    table = pd.DataFrame(rows, columns=["feature", "p_value", "effect"])
    table = table.assign(cell_type="FB", protocol="cells", **WIDE)
    assert say_changes(table, settings, noun="gene programme", label="feature") == expected


def test_more_than_three_are_counted_and_each_feature_stands_once():
    rows = [(f"s{i}", kind, 1e-6 * (i + 1)) for i in range(5) for kind in ("A", "B")]
    table = pd.DataFrame(rows, columns=["feature", "cell_type", "p_value"]).assign(effect=1.0, protocol="all", **WIDE)
    said = say_changes(table, WITH_AGE, noun="gene programme", label="feature")
    assert said.startswith("5 of 5 gene programmes change with age")
    assert [said.count(f"s{i} in A") for i in range(5)] == [1, 1, 1, 0, 0]
    assert said.endswith("; and 2 more")


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    rng = np.random.default_rng(1)
    obs = cells(rng)
    return ageing.Inputs(build(tmp_path_factory.mktemp("planted"), obs, counts_of(obs, rng)))


@pytest.fixture(scope="module")
def nothing(tmp_path_factory):
    """The same with the ages dealt anew to the donors."""
    rng = np.random.default_rng(1)
    obs = cells(rng)
    values = counts_of(obs, rng)
    donors = obs["donor"].unique()
    dealt = dict(zip(donors, [58, 24, 70, 33, 75, 28, 20, 66, 37, 73, 52, 61], strict=True))
    return ageing.Inputs(build(tmp_path_factory.mktemp("nothing"), obs.assign(age=obs["donor"].map(dealt)), values))


def verdicts(inputs, *names):
    return {one.name: one.verdict(one.compute(inputs, **one.in_report(inputs)))
            for one in ageing.ANALYSES if one.name in names}  # fmt: skip


def test_what_was_planted_is_found_and_said(planted):
    said = verdicts(planted, "composition", "fibres", "de")
    assert re.match(r"2 of 4 cell types change in fraction .*MF-I rises \(×1\.\d+ a decade", said["composition"])
    assert "MF-II falls (×0." in said["composition"]
    assert "the share of type I by labels rises (+0.0" in said["fibres"]
    n = int(re.match(r"(\d+) genes? change", said["de"])[1])
    assert 4 <= n <= len(PROGRAMME) + 1  # and CDKN1A; of twelve donors not all are found
    assert f"most in FB ({n}: {n} up, 0 down)" in said["de"]


def test_nothing_is_found_in_nothing(nothing):
    for name, said in verdicts(nothing, "composition", "fibres", "de", "senescence").items():
        assert said.startswith("None of "), (name, said)
        assert " beyond chance" in said


def test_of_sixty_studies_in_which_no_type_changes_few_are_said_to_have_one():
    """A sentence that finds something in nothing once in twenty studies is right; in ten of sixty it is not."""
    found = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        shares = np.exp(rng.normal(0, 0.3, (12, 6)))
        counts = [rng.multinomial(150, own / own.sum()) for own in shares]
        samples = pd.DataFrame({"donor": [f"d{i}" for i in range(12)], "age": np.array(AGES, float),
                                "sex": list("FM" * 6), "n_cells": 150})  # fmt: skip
        drawn = CellCounts(pd.DataFrame(counts, columns=list("abcdef")), samples=samples)
        said = ageing.composition(drawn)
        found += COMPOSITION.verdict(Findings({"asin": said})).startswith("None of") is False
    assert found <= 8
