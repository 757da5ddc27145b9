"""Cells that lack what an analysis needs take no part: as if the dataset had never had them, counted, and said."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from small_atlases import build, cells, counts_of

from titin.ageing import ANALYSES, Inputs
from titin.ageing.comparison import OverDonors
from titin.cli import cli

# along components found by iteration from a start that depends on the order of genes
TRAJECTORY = {"pseudotime", "marker"}
ROLES = ("donor", "sample", "protocol", "chemistry", "sex", "age", "cell_type")
GAPS = {
    "some cells": lambda obs, rng: rng.random(len(obs)) < 0.06,
    "all of one donor": lambda obs, rng: (obs["donor"] == "d4").to_numpy(),
    "most of one donor": lambda obs, rng: (obs["donor"] == "d9").to_numpy() & (rng.random(len(obs)) < 0.8),
    "every cell": lambda obs, rng: np.ones(len(obs), bool),
}
WORDS = {"donor": "unknown", "sample": "N/A", "protocol": "na", "chemistry": "unspecified", "sex": "unknown",
         "cell_type": "unassigned"}  # fmt: skip
OPTIONS = {"stemcells": {"labels": ["FB"], "n_bootstraps": 20},
           "composition": {"min_sample_cells": 5}}  # fmt: skip


@pytest.fixture(scope="module")
def source():
    """Obs and counts of twelve donors, each in both protocols and chemistries."""
    rng = np.random.default_rng(1)
    obs = cells(rng, 120)
    number = np.arange(len(obs))
    obs["protocol"] = np.where(number % 3, "cells", "nuclei")
    obs["chemistry"] = np.where(obs["donor"].str[1:].astype(int) % 4 < 2, "v2", "v3")
    obs["sample"] = obs["donor"] + "_" + obs["protocol"] + np.where(number % 2, "a", "b")
    return obs, counts_of(obs, rng)


def with_gaps(obs, gaps, *, words=False):
    """Take away the entries of some roles, or put words in their place that say as much."""
    obs = obs.copy()
    for role, mask in gaps.items():
        column = obs[role].astype(float if role == "age" else object)
        column[mask] = WORDS[role] if words and role in WORDS else np.nan
        # anndata writes no text of which none is left
        obs[role] = column if role == "age" or column.notna().any() else column.astype("category")
    return obs


def findings(atlas):
    """Tables of every analysis, and its main result; the reason where it says that it cannot be done."""
    inputs = Inputs(atlas, threads=1)
    found = {}
    for analysis in ANALYSES:
        done = analysis.run(inputs, **OPTIONS.get(analysis.name, {}))
        found[analysis.name] = done.results
    return found


def in_order(table):
    """Rows by their names: genes come in the order of the cells that have them, those left out among them."""
    table = table.drop(
        columns=["pseudotime", "centre", "ci_low", "ci_high"] if TRAJECTORY & set(table) else [], errors="ignore"
    )
    names = [c for c in table if not pd.api.types.is_numeric_dtype(table[c])]
    plain = table.astype(dict.fromkeys(names, str))
    return plain.sort_values(names, ignore_index=True) if names else plain


def same(one, other):
    """Compare all tables of all results."""
    assert list(one) == list(other)
    for name in one:
        assert list(one[name]) == list(other[name]), name
        for part, result in one[name].items():
            for table, frame in result.tables().items():
                pd.testing.assert_frame_equal(
                    in_order(frame),
                    in_order(other[name][part].tables()[table]),
                    rtol=1e-6,
                    obj=f"{name} {part} {table}",
                )


@pytest.mark.parametrize(("kind", "words"), [
    ("some cells", False), pytest.param("all of one donor", True, marks=pytest.mark.slow),
    pytest.param("most of one donor", False, marks=pytest.mark.slow),
])  # fmt: skip
def test_results_are_those_of_a_dataset_without_the_cells(source, tmp_path, kind, words):
    obs, counts = source
    rng = np.random.default_rng(3)
    gaps = {role: GAPS[kind](obs, rng) for role in ROLES if kind == "some cells" or role in ("sex", "age")}
    lacking = np.any(list(gaps.values()), axis=0)
    whole = findings(build(tmp_path / "gaps", with_gaps(obs, gaps, words=words), counts))
    rest = findings(build(tmp_path / "rest", obs[~lacking], counts[~lacking]))
    if kind == "some cells":  # all but composition are free of samples
        sampleless = np.any([mask for role, mask in gaps.items() if role != "sample"], axis=0)
        free = findings(build(tmp_path / "free", obs[~sampleless], counts[~sampleless]))
        for name, parts in free.items():
            rest[name] = {part: rest[name][part] if part in ("poisson", "mann_whitney") else result
                          for part, result in parts.items()}  # fmt: skip
    same(whole, rest)
    for name, parts in whole.items():
        for part, result in parts.items():
            if isinstance(result, OverDonors) and name not in ("fibres", "stemcells"):
                free_of_sample = kind == "some cells" and part not in ("poisson", "mann_whitney")
                assert sum(result.cells_left_out.values()) == (sampleless if free_of_sample else lacking).sum(), name
            elif isinstance(result, OverDonors):
                assert 0 < sum(result.cells_left_out.values()) <= lacking.sum()
    if kind == "all of one donor":
        assert whole["de"][""].donors_left_out == ["d4"]


@pytest.mark.parametrize(("kind", "role"), [
    ("some cells", "sex"), ("every cell", "protocol"),
    *(pytest.param(kind, role, marks=pytest.mark.slow) for kind in ("some cells", "every cell") for role in ROLES),
])  # fmt: skip
def test_every_command_runs_with_a_gap_in_any_role(source, tmp_path, kind, role):
    obs, counts = source
    mask = GAPS[kind](obs, np.random.default_rng(5))
    build(tmp_path, with_gaps(obs, {role: mask}, words=role == "donor"), counts)
    for analysis in ANALYSES:
        asked = ["--label", "FB"] if analysis.name == "stemcells" else []
        result = CliRunner().invoke(
            cli, ["age", analysis.name, str(tmp_path / "dataset"), "-q", "--preset", "muscle", "--json", *asked]
        )
        if result.exit_code:
            said = str(result.exception)
            assert kind == "every cell", said
            assert role in ("donor", "age", "cell_type"), said
            assert type(result.exception).__name__ == "TitinError"
            continue
        document = json.loads(result.stdout, parse_constant=pytest.fail)
        main = next(iter(document["results"].values()))
        if kind == "some cells" and role != "sample":
            assert 0 < main["cells_left_out"][role] <= mask.sum()


def test_it_is_said_on_the_terminal(source, tmp_path):
    obs, counts = source
    gaps = {"donor": (obs["donor"] == "d1").to_numpy(), "sex": (obs["donor"] == "d4").to_numpy()}
    build(tmp_path, with_gaps(obs, gaps, words=True), counts)
    for name in ("de", "programmes", "senescence", "variance", "composition"):
        result = CliRunner().invoke(cli, ["age", name, str(tmp_path / "dataset"), "-q"], catch_exceptions=False)
        said = "240 cells take no part: 120 without donor, 120 without sex; of donor d4 no cell is left"
        assert said in result.stdout, result.stdout


FEW = {
    "one donor": ["d0"], "two donors": ["d0", "d11"], "three donors": ["d0", "d5", "d11"],
    "four donors": ["d0", "d1", "d10", "d11"], "one young donor": ["d0", "d7", "d8", "d9", "d10", "d11"],
}  # fmt: skip


@pytest.mark.parametrize("name", ["one donor", *(pytest.param(n, marks=pytest.mark.slow) for n in list(FEW)[1:])])
def test_few_donors_are_told_and_give_no_p_value(source, tmp_path, name):
    obs, counts = source
    kept = obs["donor"].isin(FEW[name]).to_numpy()
    build(tmp_path, obs[kept], counts[kept])
    for analysis in ANALYSES:
        asked = ["--label", "FB"] if analysis.name == "stemcells" else []
        result = CliRunner().invoke(
            cli, ["age", analysis.name, str(tmp_path / "dataset"), "-q", "--preset", "muscle", "--json", *asked]
        )
        if result.exit_code:
            assert type(result.exception).__name__ == "TitinError", result.exception
            assert "donor" in str(result.exception) or analysis.name == "stemcells"  # of too few cells
            continue
        for told in json.loads(result.stdout, parse_constant=pytest.fail)["results"].values():
            assert not any(row.get("p_value") is not None for row in told["top"])
