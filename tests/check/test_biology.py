"""Biology of the demo atlas, in which sex genes, markers, MALAT1, mitochondrial genes and ageing genes are planted."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from good_datasets import Good
from scipy.stats import linregress, mannwhitneyu

from titin.check.biology import slope, units
from titin.check.dataset import CheckedDataset
from titin.check.findings import Outcome
from titin.check.markers import _areas
from titin.check.registry import CHECKS
from titin.study import Study
from titin.study.groups import CellGroups, group_by


class Changed(CheckedDataset):
    """A dataset whose metadata a test may change in memory, roles too."""

    def __init__(self, folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame] = lambda obs: obs, **roles: object):
        super().__init__(folder)
        self.__dict__["obs"] = change(self.atlas.obs.copy())
        self._roles = roles

    @property
    def roles(self):
        return super().roles | self._roles


def run(context: CheckedDataset, name: str) -> Outcome:
    outcome = CHECKS[name].function(context)
    json.dumps(outcome.facts, allow_nan=False)
    return outcome


@pytest.fixture(scope="module")
def demo(good: Callable[[str], Good]) -> Path:
    return good("demo").path


def test_a_good_atlas_has_no_error_or_warning(demo):
    context = Changed(demo)
    for name in (n for n in CHECKS if n.startswith("biology.")):
        found = run(context, name).findings
        assert {f.severity or CHECKS[name].severity for f in found} <= {"note"}, (name, [f.message for f in found])


def test_sex_is_called_for_each_donor(demo):
    context = Changed(demo)
    outcome = run(context, "biology.sex")
    atlas, donor = context.atlas, context.obs["DonorID"].to_numpy()
    y = np.any(
        [atlas.counts_of(g).to_numpy() > 0 for g in ("RPS4Y1", "DDX3Y", "UTY", "KDM5D", "EIF1AY", "USP9Y", "ZFY")], 0
    )
    female = pd.Series((atlas.counts_of("XIST").to_numpy() > 0) & ~y).groupby(donor, observed=True).sum()
    for row in outcome.facts["donors"]:
        assert row["cells"] == (donor == row["donor"]).sum()
        assert row["female_cells"] == female[row["donor"]]
        assert row["called"] in (row["recorded"], None)
    called = sum(row["called"] is not None for row in outcome.facts["donors"])
    assert called >= 15
    assert f"{called} of 17 donors evaluable" in outcome.read


def test_a_donor_of_one_cell_is_not_called(demo):
    def one_cell(obs):
        donors = obs["DonorID"].astype(str)
        donors.iloc[0] = "alone"
        return obs.assign(DonorID=donors)

    rows = {row["donor"]: row for row in run(Changed(demo, one_cell), "biology.sex").facts["donors"]}
    assert rows["alone"]["called"] is None
    assert not rows["alone"]["contradicts"]


@pytest.mark.parametrize("recorded", ["unknown", None])
def test_a_sex_that_is_not_recorded_is_not_contradicted(demo, recorded):
    outcome = run(Changed(demo, lambda obs: obs.assign(Sex=recorded)), "biology.sex")
    assert outcome.findings == []


def test_a_sample_of_the_other_sex_is_named(demo):
    def swap(obs):
        samples = obs["SampleID"].astype(str)
        donor = obs["DonorID"].astype(str)
        women = np.flatnonzero((donor == "339C").to_numpy())
        men = np.flatnonzero((donor == "464C").to_numpy())[: len(women) // 4]
        donor.iloc[men], samples.iloc[men] = "339C", "stray"
        return obs.assign(DonorID=donor, SampleID=samples, Sex=obs["Sex"].astype(str).where(donor != "339C", "F"))

    messages = [f.message for f in run(Changed(demo, swap), "biology.sex").findings]
    assert any("donor 339C, sample stray is recorded as F but expresses the genes of a male" in m for m in messages)


def test_nuclei_need_two_donors_on_either_side(demo):
    outcome = run(Changed(demo, lambda obs: obs.assign(batch="cells")), "biology.nuclei")
    assert outcome.skipped.endswith("and 0 have 20 nuclei or more")


def test_sex_cannot_be_evaluated_where_no_donor_has_evidence(demo, monkeypatch):
    monkeypatch.setattr("titin.check.biology._EVIDENCE", 10**6)
    assert run(Changed(demo), "biology.sex").skipped == "no donor has 1000000 cells with genes of one sex alone"


def test_units_sum_and_median_by_donor_and_protocol(demo):
    context = Changed(demo)
    by = units(context, ["donor", "protocol", "chemistry"])
    frame = context.obs.assign(n=context.totals.n_counts)
    expected = frame.groupby(["DonorID", "batch", "10X_version"], observed=True)["n"]
    assert by.table["n_cells"].tolist() == expected.size().tolist()
    assert by.sum(context.totals.n_counts) == pytest.approx(expected.sum().to_numpy())
    assert by.median(context.totals.n_counts) == pytest.approx(expected.median().to_numpy())
    genes = ["XIST", "MALAT1", "CDKN1A"]
    sums = by.gene_counts(context.atlas, genes)
    for i, gene in enumerate(genes):
        assert sums[:, i] == pytest.approx(by.sum(context.atlas.counts_of(gene).to_numpy()))


def test_gene_counts_are_the_same_in_small_batches_and_of_many_genes(demo, monkeypatch):
    context = Changed(demo)
    keys = Study.of(context.atlas).keys(["donor"])
    keys.iloc[::5] = None
    by = group_by(keys, complete=True)
    genes = context.atlas.var_names[50:0:-1].tolist()
    whole = by.gene_counts(context.atlas, genes)
    assert 0 < whole.sum() < context.atlas.counts[:, genes].sum()
    monkeypatch.setattr("titin.study.groups._BATCH_VALUES", 7 * len(context.obs))
    assert np.array_equal(by.gene_counts(context.atlas, genes), whole)
    monkeypatch.setattr("titin.study.groups._FEW_GENES", 49)
    assert np.array_equal(by.gene_counts(context.atlas, genes), whole)


def test_counts_of_many_genes_by_many_groups_are_in_memory_once(demo):
    """With donors the groups grow, to hundreds of megabytes: no second array of that size is made."""
    context = Changed(demo)
    genes = context.atlas.var_names.tolist()
    n_cells = len(context.obs)
    every = CellGroups(pd.DataFrame({"n_cells": np.ones(20 * n_cells, np.int64)}), np.arange(n_cells, dtype=np.int32))
    tracemalloc.start()
    counts = every.gene_counts(context.atlas, genes)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(counts[:n_cells], context.atlas.counts[:, genes].toarray())
    assert not counts[n_cells:].any()
    assert peak < 1.5 * counts.nbytes


def test_cells_that_lack_a_donor_belong_to_no_unit(demo):
    context = Changed(demo, lambda obs: obs.assign(DonorID=obs["DonorID"].astype(str).where(obs["Sex"] == "F")))
    by = units(context, ["donor"])
    assert (by.codes == -1).sum() == (context.obs["Sex"] == "M").sum() == len(by.codes) - by.table["n_cells"].sum()


def test_auroc_is_that_of_the_rank_sum_test_within_donors():
    rng = np.random.default_rng(3)
    donors, types = np.repeat([0, 1, 2], 60), rng.integers(0, 3, 180)
    score = rng.poisson(1 + (types == 1), 180).astype(float)
    areas, counted = _areas(score, types, 3, CellGroups(pd.DataFrame({"n_cells": [60] * 3}), donors))
    for kind in range(3):
        by_donor = []
        for donor in range(3):
            mine = donors == donor
            one, other = score[mine & (types == kind)], score[mine & (types != kind)]
            by_donor.append(mannwhitneyu(one, other).statistic / len(one) / len(other))
        assert areas[kind] == pytest.approx(np.median(by_donor))
    assert counted.tolist() == [3, 3, 3]


def test_a_type_with_few_cells_has_no_auroc():
    types = np.array([0] * 90 + [1] * 9)
    areas, counted = _areas(
        np.arange(99.0), types, 2, CellGroups(pd.DataFrame({"n_cells": [99]}), np.zeros(99, np.int32))
    )
    assert np.isnan(areas[1])
    assert counted[1] == 0


def test_markers_are_of_the_level_whose_labels_they_fit(demo):
    outcome = run(Changed(demo), "biology.markers")
    assert outcome.facts["level"] == "annotation_level0"
    rows = {row["type"]: row for row in outcome.facts["types"]}
    assert rows["MuSC"]["auroc"] > 0.9
    assert rows["MuSC"]["best"] == "MuSC"
    assert rows["pDC"]["auroc"] is None


def test_markers_of_other_tissues_are_not_guessed(demo):
    context = Changed(demo, lambda obs: obs.assign(annotation_level0="hepatocyte"), cell_type=["annotation_level0"])
    outcome = run(context, "biology.markers")
    assert "no label" in outcome.skipped


def test_a_donor_with_many_counts_stands_out(demo):
    context = Changed(demo)
    mine = (context.obs["DonorID"] == "464C").to_numpy()
    context.totals.n_counts[mine] *= 3
    messages = [f.message for f in run(context, "biology.library_size").findings]
    assert messages
    assert all(m.startswith("464C (") and "3" in m for m in messages)


def test_doublets_are_counted(demo):
    assert run(Changed(demo), "biology.doublets").facts["scrublet_score"].keys() == {"q05", "median", "q95", "max"}
    called = Changed(demo, lambda obs: obs.assign(predicted_doublet=np.arange(len(obs)) % 10 == 0))
    outcome = run(called, "biology.doublets")
    assert outcome.facts["predicted_doublet"]["doublets"] == -(-len(called.obs) // 10)
    assert [f.message for f in outcome.findings] == ["predicted_doublet: 150 cells (10.0%) are called doublets"]
    without = Changed(demo, lambda obs: obs.drop(columns="scrublet_score"))
    assert run(without, "biology.doublets").skipped


def test_types_of_few_donors_are_noted(demo):
    def rare(obs):
        labels = obs["annotation_level0"].astype(str)
        labels.iloc[:2] = "novel"
        return obs.assign(annotation_level0=labels, DonorID=obs["DonorID"].astype(str))

    context = Changed(demo, rare)
    outcome = run(context, "biology.cells_per_type")
    n = context.obs["DonorID"].iloc[:2].nunique()
    assert any(f.message.startswith(f"novel: 2 cells of {n} donor") for f in outcome.findings)
    assert sum(sum(row.values()) for row in outcome.facts["cells"].values()) == len(context.obs)


def test_planted_ageing_genes_rise_with_age_and_are_only_noted(demo):
    outcome = run(Changed(demo), "biology.ageing")
    for arm in ("cells", "nuclei"):
        fit = outcome.facts["CDKN1A"]["fits"][arm]
        assert fit["low"] > 0
        assert fit["donors"] >= 5
    assert CHECKS["biology.ageing"].severity == "note"
    assert any(f.message.startswith("CDKN1A, log2 expression a decade: cells +") for f in outcome.findings)


def test_slope_and_interval_are_those_of_least_squares():
    years = np.array([20, 30, 45, 60, 75, np.nan])
    values = np.array([1.0, 1.4, 1.1, 2.0, 2.2, 9.0])
    fit, expected = slope(years, values), linregress(years[:5] / 10, values[:5])
    assert fit["slope"] == pytest.approx(expected.slope)
    assert (fit["high"] - fit["low"]) / 2 == pytest.approx(3.182446 * expected.stderr, rel=1e-6)
    assert fit["donors"] == 5
    assert slope(years[:3], values[:3]) is None
    assert slope(np.full(5, 30.0), values[:5]) is None
