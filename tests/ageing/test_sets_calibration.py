"""The scripts that calibrate tests of gene sets, and all analyses at once, on a small size."""

import numpy as np
import pytest

from calibration import load


def test_hardly_a_gene_set_of_real_donors_with_made_up_ages_is_found_but_with_a_preset_correlation(shared):
    endothelium = load("real_pseudobulk").hearts(shared / "data").select(cell_type="Endo")
    tests = load("sets_null").null_tests(endothelium, 4, 3, 12)
    total = tests.groupby("test", sort=False)[["sets", "hit"]].sum()
    assert total["hit"].to_dict() == {
        "scores": 0, "camera, 0.01": 1, "camera, estimated": 0, "fry": 1,
        "ranking": 1, "overlap with the genes found": 0,
    }  # fmt: skip
    assert total["sets"].tolist() == [226, 79, 79, 79, 79, 20]


def test_p_is_adjusted_within_families_and_over_all(monkeypatch):
    """Two types of ten tests each: one with a p of 0.004, which is found there (0.04) and not over both (0.08)."""
    import pandas as pd

    script = load("analyses_null")
    table = pd.DataFrame({"feature": "f", "cell_type": np.repeat(["A", "B"], 10), "adj_p_value": 1.0,
                          "p_value": [0.004, *np.linspace(0.1, 1, 19)]})  # fmt: skip

    class Found:
        def __init__(self):
            self.results = {"": type("R", (), {"table": table})()}

    one = type("A", (), {"name": "x", "options": (), "compute": lambda *_, **__: Found()})()
    monkeypatch.setattr(script, "Inputs", lambda *_, **__: None)
    ((name, p, families),) = script.p_columns(None, one, "age")
    assert (name, len(p), [own.tolist() for own in families]) == ("x", 20, [[*range(10)], [*range(10, 20)]])
    assert [(script.adjust(p[own]) < 0.05).any() for own in families] == [True, False]
    assert not (script.adjust(p) < 0.05).any()
    table = table.drop(columns="feature")  # as of composition, whose tests are of types
    ((_, _, families),) = script.p_columns(None, one, "age")
    assert [own.tolist() for own in families] == [[*range(20)]]


def test_rates_of_runs_have_exact_intervals_and_runs_without_a_test_do_not_count():
    known = {"of": "x", "p < 0.001": 0, "found": False}
    rows = [{"tests": 20, "p < 0.05": 1, "families": 2, "hits": 1, **known},
            {"tests": 0, "p < 0.05": 0, "families": 0, "hits": 0, **known}]  # fmt: skip
    said = load("analyses_null").summary(rows)[-1]
    assert said == "| x | 20 | 0.05 | 0 | 2 | 50.0 % (1.3 to 98.7) | 1 | 0.0 % (0.0 to 97.5) |"


@pytest.mark.slow
def test_every_analysis_with_p_is_asked_of_a_null_twin(shared, tmp_path):
    script = load("analyses_null")
    rows = script.trial(tmp_path, 3000, 2500, 5, shared / "tools" / "twin.py", "age")
    asked = {row["of"].split(",")[0] for row in rows if row["tests"]}
    assert asked == {"composition", "fibres", "de", "programmes", "senescence", "stemcells"}
