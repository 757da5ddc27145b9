import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titin.features import choose_panel, gene_sets

REASONS = ["marker", "sex", "SenMayo", "GenAge", "highly variable"]
AGEING = [*gene_sets()["SenMayo"].genes, *gene_sets()["GenAge_human"].genes]
MARKERS = [g for name, s in gene_sets().items() if name.startswith(("markers_", "differentiation_")) for g in s.genes]
SEX = [*gene_sets()["sex_male"].genes, "XIST"]


def atlas(symbols, seed=0, silent=()):
    """Return genes with random moments and detection, in shuffled order."""
    rng = np.random.default_rng(seed)
    genes = pd.Index(rng.permutation(np.array(symbols, object)))
    n_cells = rng.integers(1, 10_000, len(genes))
    n_cells[genes.isin(silent)] = 0
    mean = rng.lognormal(0, 1, len(genes)) * (n_cells > 0)
    return genes, mean, mean * rng.lognormal(0, 1, len(genes)), n_cells


HUMAN = sorted({*MARKERS, *SEX, *AGEING} | {f"GENE{i}" for i in range(3000)})


def test_an_atlas_with_all_genes_fills_the_panel_as_promised():
    genes, mean, variance, n_cells = atlas(HUMAN)
    panel = choose_panel(genes, mean, variance, n_cells).table
    assert len(panel) == 512
    assert panel["position"].is_unique
    assert panel["gene"].tolist() == genes[panel["position"]].tolist()
    assert panel["n_cells"].tolist() == n_cells[panel["position"]].tolist()
    assert set(MARKERS) | set(SEX) | set(gene_sets()["SenMayo"].genes) <= set(panel["gene"])
    assert (panel["reason"] == "highly variable").sum() == 128


def test_what_did_not_fit_is_the_least_detected_and_is_counted():
    genes, mean, variance, n_cells = atlas(HUMAN)
    found = choose_panel(genes, mean, variance, n_cells)
    panel = found.table
    genage = found.sets["GenAge"]
    assert genage["left_out"] > 0
    assert genage["chosen"] + genage["left_out"] + genage["absent"] == genage["genes"]
    assert all(found.sets[reason]["left_out"] == 0 for reason in ("marker", "sex", "SenMayo"))
    detection = pd.Series(n_cells, genes)
    candidates = sorted(set(gene_sets()["GenAge_human"].genes) - set(MARKERS) - set(gene_sets()["SenMayo"].genes))
    taken = panel.loc[panel["reason"] == "GenAge", "gene"]
    assert detection[taken].min() > detection[[g for g in candidates if g not in set(panel["gene"])]].max()


def test_rows_are_ordered_by_reason_then_by_falling_detection():
    panel = choose_panel(*atlas(HUMAN)).table
    order = panel["reason"].map(REASONS.index)
    assert order.is_monotonic_increasing
    assert all(group["n_cells"].is_monotonic_decreasing for _, group in panel.groupby("reason"))


def test_genes_that_no_cell_expresses_are_absent():
    found = choose_panel(*atlas(HUMAN, silent=["PAX7", "XIST", "IL6"]))
    panel = found.table
    assert not panel["gene"].isin(["PAX7", "XIST", "IL6"]).any()
    assert [found.sets[reason]["absent"] for reason in ("marker", "sex", "SenMayo")] == [1, 1, 1]


def test_of_repeated_symbols_the_one_with_most_cells_is_taken_and_once_only():
    genes = pd.Index(["PAX7", "A", "PAX7", "A", "B"])
    panel = choose_panel(genes, [1.0, 2, 1, 2, 3], [9.0, 5, 2, 4, 3], [3, 5, 8, 5, 9]).table
    assert dict(zip(panel["gene"], panel["position"], strict=True)) == {"PAX7": 2, "A": 1, "B": 4}


def test_an_atlas_without_any_of_the_genes_has_highly_variable_ones_only():
    found = choose_panel(*atlas([f"Gene{i}" for i in range(2000)]), size=100)
    panel = found.table
    assert panel["reason"].tolist() == ["highly variable"] * 100
    assert all(counts["absent"] == counts["genes"] for counts in found.sets.values())


def test_an_atlas_of_ageing_genes_alone_gives_them_the_variable_genes_quarter():
    symbols = sorted(set(AGEING))
    panel = choose_panel(*atlas(symbols)).table
    assert sorted(panel["gene"]) == symbols
    assert "highly variable" not in set(panel["reason"])


def test_a_gene_left_out_of_its_set_can_still_be_chosen_as_variable():
    genes, mean, variance, n_cells = atlas(HUMAN)
    at = genes.get_loc("WRN")
    n_cells[at], variance[at] = 1, mean[at] * 1e9
    panel = choose_panel(genes, mean, variance, n_cells).table.set_index("gene")
    assert panel.loc["WRN", "reason"] == "highly variable"


def test_an_empty_atlas_has_an_empty_panel():
    panel = choose_panel(pd.Index([], dtype=object), [], [], []).table
    assert list(panel) == ["gene", "position", "n_cells", "reason"]
    assert panel["position"].dtype == np.int64
    assert len(panel) == 0


@given(st.integers(1, 700), st.integers(1, 600), st.integers(0, 3))
def test_never_more_than_size_and_the_same_every_time(n_genes, size, seed):
    source = atlas(HUMAN[:: max(1, len(HUMAN) // n_genes)], seed)
    panel = choose_panel(*source, size=size).table
    assert len(panel) <= size
    assert panel["gene"].is_unique
    pd.testing.assert_frame_equal(panel, choose_panel(*source, size=size).table)


def test_wrong_use_is_told():
    with pytest.raises(ValueError, match="size of 1 or more, not 0"):
        choose_panel(pd.Index(["A"]), [1.0], [1.0], [1], size=0)
    with pytest.raises(ValueError, match="2 genes, 1 moments and 1 cell counts"):
        choose_panel(pd.Index(["A", "B"]), [1.0], [1.0], [1])
