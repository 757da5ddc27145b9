"""Labels that are swapped are found and told from those that are not: in all donors, in one, among subtypes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from good_datasets import Good
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu
from test_biology import Changed, run

from titin.check.dataset import CheckedDataset
from titin.check.findings import Outcome
from titin.check.swaps import Labelled, Swap, find_swaps, mean_of, related, separation

MARKERS = {0: ["a1", "a2", "shared"], 1: ["b1", "b2", "shared"], 2: ["c1", "c2"]}


def cells_of(
    seed: int, donors: int = 6, of_each: int = 12, fold: float = 20.0
) -> tuple[dict[str, np.ndarray], Labelled]:
    """Counts of the genes of three types in donors who differ, and the true types."""
    rng = np.random.default_rng(seed)
    donor = np.repeat(np.arange(donors), 3 * of_each)
    types = np.tile(np.repeat(np.arange(3), of_each), donors)
    genes: dict[str, np.ndarray] = {}
    for gene in dict.fromkeys(g for own in MARKERS.values() for g in own):
        has = np.isin(types, [t for t, own in MARKERS.items() if gene in own])
        rate = 0.1 * np.where(has, 20, 1) * np.exp(rng.normal(0, 0.5, donors))[donor]
        genes[gene] = np.log1p(rng.poisson(rate)).astype(np.float32)
    return genes, Labelled(types, donor, np.arange(donors))


def found_in(genes: dict[str, np.ndarray], cells: Labelled) -> list[Swap]:
    return list(find_swaps(genes.__getitem__, MARKERS, cells))


def swapped(cells: Labelled, one: int, other: int, donors: list[int] | None = None) -> Labelled:
    mine = np.ones(len(cells.types), bool) if donors is None else np.isin(cells.strata, donors)
    names = {one: other, other: one}
    types = np.where(mine, [names.get(t, t) for t in cells.types], cells.types)
    return Labelled(types, cells.strata, cells.donor_of)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), pair=st.sampled_from([(0, 1), (0, 2), (1, 2)]), donors=st.integers(1, 8))
def test_a_swap_in_all_donors_is_found_and_nothing_else(seed: int, pair: tuple[int, int], donors: int) -> None:
    genes, cells = cells_of(seed, donors)
    assert found_in(genes, cells) == []
    (swap,) = found_in(genes, swapped(cells, *pair))
    assert (swap.one, swap.other, swap.donor) == (*pair, None)
    assert swap.donors_against == donors
    assert swap.donors_for == 0
    assert max(swap.areas) < 0.3


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), donor=st.integers(0, 5))
def test_a_swap_in_one_donor_is_found_in_that_one(seed: int, donor: int) -> None:
    genes, cells = cells_of(seed)
    (swap,) = found_in(genes, swapped(cells, 0, 2, [donor]))
    assert (swap.one, swap.other, swap.donor) == (0, 2, donor)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), of_each=st.integers(1, 40))
def test_labels_drawn_by_lot_are_no_swap(seed: int, of_each: int) -> None:
    genes, cells = cells_of(seed, of_each=of_each)
    types = np.random.default_rng(seed).permutation(cells.types)
    assert found_in(genes, Labelled(types, cells.strata, cells.donor_of)) == []


def test_types_that_no_stratum_has_together_are_compared_in_the_donor() -> None:
    genes, cells = cells_of(3)
    strata = np.where(cells.types == 0, cells.strata, cells.strata + 6)  # the one in nuclei, the others in cells
    apart = Labelled(cells.types, strata, np.tile(np.arange(6), 2))
    assert found_in(genes, apart) == []
    (swap,) = found_in(genes, Labelled(swapped(apart, 0, 2).types, strata, apart.donor_of))
    assert (swap.one, swap.other, swap.donors_against) == (0, 2, 6)


def test_separation_in_one_stratum_is_the_rank_sum_test() -> None:
    rng = np.random.default_rng(0)
    values = rng.poisson(1.0, 60).astype(float)
    one = np.arange(60) < 25
    cells = Labelled(np.zeros(60, int), np.zeros(60, int), np.array([4]))
    found = separation(values, one, ~one, cells)
    assert found is not None
    expected = mannwhitneyu(values[one], values[~one], False, "less", method="asymptotic")
    assert found.area == pytest.approx(expected.statistic / 25 / 35)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.of_donor == {4: found.area}
    assert separation(np.zeros(60), one, ~one, cells).p == 1  # type: ignore[union-attr]
    assert separation(values, one, np.zeros(60, bool), cells) is None


def test_types_are_related_by_a_marker_or_by_a_coarser_label_that_parts_some() -> None:
    labels = pd.Series(["x", "y", "z", "x", "y", "z"])
    markers = {"x": ["g", "h"], "y": ["h"], "z": ["k"]}
    xy, yz = {("x", "y"), ("y", "x")}, {("y", "z"), ("z", "y")}
    assert related(markers, labels, []) == xy
    assert related(markers, labels, [pd.Series(["one"] * 6)]) == xy
    assert related(markers, labels, [pd.Series(["p", "q", "q"] * 2)]) == xy | yz


# in a dataset


@pytest.fixture(scope="module")
def demo(good: Callable[[str], Good]) -> Path:
    return good("demo").path


def swap_labels(one: str, other: str, donor: str | None = None) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(obs: pd.DataFrame) -> pd.DataFrame:
        labels = obs["annotation_level0"].astype(str)
        renamed = labels.replace({one: other, other: one})
        mine = True if donor is None else (obs["DonorID"] == donor).to_numpy()
        return obs.assign(annotation_level0=np.where(mine, renamed, labels))

    return change


def problems(outcome: Outcome) -> list[tuple[str | None, str]]:
    return [(f.severity, f.message) for f in outcome.findings]


@pytest.mark.parametrize(("one", "other"), [("FB", "MuSC"), ("FB", "SMC"), ("Pericyte", "VenEC"), ("CapEC", "FB")])
def test_two_types_swapped_in_all_donors_are_an_error(demo: Path, one: str, other: str) -> None:
    outcome = run(Changed(demo, swap_labels(one, other)), "biology.markers")
    assert [severity for severity, _ in problems(outcome)] == ["error"], problems(outcome)
    assert {one, other} == set(outcome.facts["swaps"][0]["types"])
    assert outcome.facts["swaps"][0]["donors_against"] > 3
    assert outcome.facts["certainty"] == 0.99


def test_two_subtypes_swapped_are_a_warning(demo: Path) -> None:
    outcome = run(Changed(demo, swap_labels("CapEC", "VenEC")), "biology.markers")  # both have PECAM1
    ((severity, message),) = problems(outcome)
    assert severity is None  # the check's own, a warning
    assert "the cells called CapEC have the markers of VenEC" in message


def test_two_types_swapped_in_one_donor_are_a_warning_that_names_the_donor(demo: Path) -> None:
    counts = Changed(demo).obs.query("annotation_level0 in ['FB', 'SMC', 'MuSC']")
    table = pd.crosstab(counts["DonorID"], counts["annotation_level0"].astype(str))
    donor = str(table[["FB", "MuSC"]].min(axis=1).idxmax())
    outcome = run(Changed(demo, swap_labels("FB", "MuSC", donor)), "biology.markers")
    assert [(s, donor in m) for s, m in problems(outcome)] == [(None, True)], (problems(outcome), table)


def test_without_donors_a_swap_is_a_warning(demo: Path) -> None:
    outcome = run(Changed(demo, swap_labels("FB", "MuSC"), donor=None, protocol=None), "biology.markers")
    assert [s for s, _ in problems(outcome)] == [None], problems(outcome)


def test_genes_that_no_cell_expresses_are_no_markers(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = Changed(demo)
    at = context.genes.index[context.genes["gene"] == "PAX7"]
    context.genes.loc[at, "n_cells"] = 0
    rows = {row["type"]: row["markers"] for row in run(context, "biology.markers").facts["types"]}
    assert "PAX7" not in rows["MuSC"]
    assert "MYF5" in rows["MuSC"]


def exchange(one: str, other: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Give each of two donors what is recorded of the other."""

    def change(obs: pd.DataFrame) -> pd.DataFrame:
        donor, sex = obs["DonorID"].astype(str), obs["Sex"].astype(str)
        of = sex.groupby(donor).first().rename(index={one: other, other: one})
        return obs.assign(Sex=donor.map(of).to_numpy())

    return change


def test_two_donors_of_different_sex_exchanged_are_named_together(demo: Path) -> None:
    findings = run(Changed(demo, exchange("464C", "339C")), "biology.sex").findings
    assert [f.severity for f in findings] == ["error", "error"]
    assert all("464C" in f.hint and "339C" in f.hint and "exchanged" in f.hint for f in findings)


def test_stray_reads_of_the_other_sex_are_a_warning_at_most(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A man whose cells have lost their Y chromosome has nothing but some misplaced XIST."""
    context = Changed(demo, lambda obs: obs.assign(Sex="M", DonorID="one"))

    def stray(dataset: CheckedDataset, gene: str) -> np.ndarray:
        return np.arange(len(dataset.obs)) < 12 * (gene == "XIST")  # of 1,500 cells

    monkeypatch.setattr("titin.check.biology.counts_of", stray)
    findings = run(context, "biology.sex").findings
    assert {f.severity for f in findings} == {"warning"}


@pytest.mark.parametrize("n_genes", [1, 2, 7, 40])
def test_a_mean_of_genes_is_numpys_bit_for_bit(n_genes):
    values = np.random.default_rng(n_genes).gamma(0.5, 2.0, (n_genes, 999)).astype(np.float32)
    found = mean_of(lambda gene: values[int(gene)], [str(i) for i in range(n_genes)])
    assert found.dtype == np.float32
    assert found.tobytes() == np.mean(list(values), axis=0).tobytes()


def test_a_mean_of_genes_leaves_their_values_as_they_are():
    values = np.ones(5, np.float32)
    assert mean_of(lambda _: values, ["a", "b"]).tolist() == [1.0] * 5
    assert values.tolist() == [1.0] * 5
