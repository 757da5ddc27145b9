"""Formulas: splines, interactions and paired donors work; what would run as Python does not."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from titin.ageing import differential_expression
from titin.ageing.comparison import ask, choose_units, extra_columns
from titin.ageing.design import NotTestableError, make_design
from titin.ageing.donor_means import DonorMeans, compare_donor_means
from titin.ageing.formulas import find_term, formula_variables, read_formula
from titin.ageing.pseudobulk import Pseudobulk
from titin.errors import TitinError

AGES = np.array([20.0, 25, 30, 35, 38, 50, 55, 60, 65, 70, 72, 75])


def donors(**columns):
    n = len(next(iter(columns.values())))
    return pd.DataFrame({"donor": [f"d{i:02}" for i in range(n)], "n_cells": 50, **columns})


@pytest.mark.parametrize(("formula", "names"), [
    ("~ sex + bs(age, df=3)", ["age", "sex"]),
    ("~ cr(age, df=3, constraints='center')", ["age"]),
    ("~ poly(age, 2) + scale(bmi) + center(scale(dose))", ["age", "bmi", "dose"]),
    ("~ age*sex + C(batch)", ["age", "batch", "sex"]),
    ("~ donor + protocol + protocol:age", ["age", "donor", "protocol"]),
    ("~ bs(age, knots=[30, -5.5], degree=2) - 1", ["age"]),
    ("~ `days in intensive care` + scale(`BMI (kg)`) + age", ["BMI (kg)", "age", "days in intensive care"]),
])  # fmt: skip
def test_columns_that_a_formula_names(formula, names):
    assert formula_variables(formula) == names


@pytest.mark.parametrize("formula", [
    "~ age + {__import__('os').system('true')}", "~ np.log(age)", "~ {age**2}", "~ I(age)", "~ exp(age)",
    "~ bs(age, df=__import__('os').getpid())", "~ bs(__import__('os'))", "~ bs(age.values)", "~ bs(age, **{'df': 3})",
    "~ scale(age + sex)", "~ poly([age for age in (1,)][0])", "~ bs((lambda: age)())", "~ eval('age')",
    "~ getattr(age, 'mean')()", "sex ~ age", "~ age | sex", "~ age + (", "~ C(sex, contr.treatment('F'))",
    "~ bs()", "~ (" * 300,
])  # fmt: skip
def test_what_would_run_is_refused(formula):
    with pytest.raises(TitinError) as error:
        read_formula(formula)
    assert "bs, cr, cc, poly, center, scale, C of one column" in error.value.hint
    with pytest.raises(TitinError):
        make_design(pd.DataFrame({"age": AGES, "n_cells": 1}), np.arange(12), formula, "age")


@pytest.mark.parametrize(("asked", "found"), [
    ("bs(age,df=3)", "bs(age, df=3)"), ("sex:age", "age:sex"), ("age", "age"), ("bmi", None), ("age + sex", None),
    ("exit()", None),
])  # fmt: skip
def test_a_contrast_is_found_however_it_is_written(asked, found):
    assert find_term(asked, ["age", "sex", "age:sex", "bs(age, df=3)"], "~ age*sex + bs(age, df=3)") == found


def test_a_spline_is_tested_as_a_whole_with_the_knots_of_the_donors():
    """A donor of many samples counts once for the knots, as everywhere."""
    once = donors(age=AGES, sex=["F", "M"] * 6, chemistry="v3")
    often = pd.concat([once, once[once["age"] < 30].assign(chemistry="v2")] * 2, ignore_index=True)
    formula = "~ sex + bs(age, df=4)"
    one, many = (
        choose_units(groups, np.arange(len(groups)), ask(groups, "bs(age,df=4)", formula)) for groups in (once, often)
    )
    assert one.design.tested == [f"bs(age, df=4)[{i}]" for i in range(1, 5)]
    np.testing.assert_allclose(many.design.matrix, one.design.matrix, atol=1e-12)
    assert (one.design.contrasts.sum(axis=0) == 1).all()


def test_the_default_formula_takes_a_term():
    groups = donors(age=AGES, sex=["F", "M"] * 6)
    question = ask(groups, "bs(age, df=3)", None)
    assert question.formula == "~ sex + bs(age, df=3)"
    assert extra_columns("scale(bmi)", None, None) == ["bmi"]
    compared = choose_units(groups, np.arange(12), question)
    assert compared.design.columns[:2] == ["Intercept", "sex[T.M]"]
    assert len(compared.design.tested) == 3


def test_columns_of_a_term_that_the_others_make_up_are_said():
    groups = donors(age=AGES)
    compared = choose_units(groups, np.arange(12), ask(groups, "cr(age, df=4)", None))
    assert len(compared.design.tested) == 3
    assert compared.notes == ["of cr(age, df=4), 3 of 4 columns can be told from the other terms"]


def test_an_interaction_needs_donors_on_both_sides_of_age():
    groups = donors(age=AGES, sex=["F", "M"] * 6)
    compared = choose_units(groups, np.arange(12), ask(groups, "sex:age", "~ age*sex"))
    assert compared.design.tested == ["age:sex[T.M]"]
    old = groups[groups["age"] > 40].reset_index(drop=True)
    with pytest.raises(NotTestableError, match="no young donors with enough cells"):
        choose_units(old, np.arange(len(old)), ask(groups, "sex:age", "~ age*sex"))


def test_a_spline_of_two_ages_is_their_difference():
    groups = donors(age=[20.0, 20, 20, 70, 70, 70])
    compared = choose_units(groups, np.arange(6), ask(groups, "bs(age, df=6)", None))
    assert compared.notes == ["of bs(age, df=6), 1 of 2 columns can be told from the other terms"]
    assert compared.design.residual_df == 4


def paired_pseudobulk():
    """16 donors in two protocols; the first ten genes are doubled in nuclei, the next ten rise with age there alone."""
    rng = np.random.default_rng(3)
    ages = np.tile([24.0, 30, 36, 56, 64, 72, 28, 60], 2)
    groups = pd.DataFrame({
        "donor": np.repeat([f"d{i:02}" for i in range(16)], 2), "protocol": ["cells", "nuclei"] * 16,
        "age": np.repeat(ages, 2), "label": "T", "n_cells": 100,
    })  # fmt: skip
    nuclei = (groups["protocol"] == "nuclei").to_numpy()
    mean = np.exp(rng.normal(5, 1, 120) + np.repeat(rng.normal(0, 0.5, (16, 120)), 2, axis=0))
    mean[:, :10] *= np.where(nuclei, 2, 1)[:, None]
    mean[:, 10:20] *= np.where(nuclei, 2 ** (0.6 * (groups["age"].to_numpy() / 10 - 5)), 1)[:, None]
    counts = sparse.csr_matrix(rng.poisson(rng.gamma(40, mean / 40)))
    genes = pd.DataFrame({"gene": [f"g{i}" for i in range(120)], "gene_id": [f"e{i}" for i in range(120)]})
    return Pseudobulk(groups, counts, counts, genes, ["label"])


def test_protocols_are_compared_within_donors():
    found = differential_expression(paired_pseudobulk(), contrast="protocol", formula="~ donor + protocol")
    assert [(t["cell_type"], t["protocol"], t["n_units"], t["vif"]) for t in found.tests] == [("T", "all", 32, 1.0)]
    table = found.table.set_index("gene")
    hits = table.index[table["adj_p_value"] < 0.05]
    assert {f"g{i}" for i in range(10)} <= set(hits)
    assert table.loc[[f"g{i}" for i in range(10)], "log2_fold_change"].median() == pytest.approx(1, abs=0.2)


def test_ageing_that_differs_between_protocols_is_an_interaction():
    formula = "~ donor + protocol + protocol:age"
    found = differential_expression(paired_pseudobulk(), contrast="age:protocol", formula=formula)
    table = found.table.set_index("gene")
    hits = set(table.index[table["adj_p_value"] < 0.05])
    assert {f"g{i}" for i in range(10, 20)} <= hits
    assert len(hits) <= 13
    assert found.tests[0]["tested"] == ["protocol[nuclei]:age"]
    assert table.loc[[f"g{i}" for i in range(10, 20)], "log2_fold_change"].median() == pytest.approx(0.6, abs=0.15)


def test_all_cells_can_be_one_type():
    data = paired_pseudobulk()
    split = Pseudobulk(data.groups.assign(label=np.repeat(["A", "B"], 16)), data.counts, data.detected, data.genes, [])
    whole = differential_expression(split)
    assert {t["cell_type"] for t in whole.tests} == {"all cells"}
    assert whole.settings["cell_type_level"] == "all cells"
    one = differential_expression(data).table.drop(columns="cell_type")
    pd.testing.assert_frame_equal(whole.table.drop(columns="cell_type"), one)
    named = differential_expression(Pseudobulk(split.groups, data.counts, data.detected, data.genes, ["label"]),
                                    cell_type_level="all")  # fmt: skip
    pd.testing.assert_frame_equal(named.table, whole.table)


def curved_pseudobulk():
    """24 donors; the first ten genes peak in middle age, which no slope sees."""
    rng = np.random.default_rng(8)
    ages = np.linspace(20, 80, 24)
    groups = pd.DataFrame({"donor": [f"d{i:02}" for i in range(24)], "age": ages, "label": "T", "n_cells": 100,
                           "sex": ["F", "M"] * 12})  # fmt: skip
    mean = np.exp(rng.normal(5, 1, 200) + rng.normal(0, 0.2, (24, 200)))
    mean[:, :10] *= np.exp(1.2 * np.cos((ages - 50) / 30 * np.pi))[:, None]
    counts = sparse.csr_matrix(rng.poisson(mean))
    genes = pd.DataFrame({"gene": [f"g{i}" for i in range(200)], "gene_id": [f"e{i}" for i in range(200)]})
    return Pseudobulk(groups, counts, counts, genes, ["label"])


def test_a_spline_finds_what_peaks_in_middle_age_and_a_slope_does_not():
    data, planted = curved_pseudobulk(), {f"g{i}" for i in range(10)}
    found = differential_expression(data, contrast="bs(age, df=3)")
    table = found.table
    hits = set(table.loc[table["adj_p_value"] < 0.05, "gene"])
    assert planted <= hits
    assert len(hits) <= 12
    slope = differential_expression(data).table
    assert not planted & set(slope.loc[slope["adj_p_value"] < 0.05, "gene"])
    assert {"f", "df_numerator", "coefficient of bs(age, df=3)[3]"} <= set(table)
    assert not {"log2_fold_change", "t"} & set(table)
    assert (table["df_numerator"] == 3).all()
    assert found.settings["test"].startswith("moderated F of all columns of the term")
    with pytest.raises(TitinError, match="has no test of a term of several columns"):
        differential_expression(data, contrast="bs(age, df=3)", method="deseq2")


def test_a_factor_with_three_values_is_a_term():
    data = curved_pseudobulk()
    data.groups["region"] = ["a", "b", "c"] * 8
    found = differential_expression(data, contrast="region", formula="~ sex + region")
    assert found.tests[0]["tested"] == ["region[T.b]", "region[T.c]"]
    assert (found.table["adj_p_value"] > 0.05).mean() > 0.95


def test_donors_means_have_the_same_f_test():
    groups = curved_pseudobulk().groups.assign(cell_type="T").drop(columns="label")
    rng = np.random.default_rng(2)
    peak = np.cos((groups["age"] - 50) / 30 * np.pi) + rng.normal(0, 0.3, 24)
    means = DonorMeans(groups, pd.DataFrame({"peak": peak, "noise": rng.normal(size=24)}))
    table = compare_donor_means(means, contrast="bs(age, df=3)").table.set_index("feature")
    design = choose_units(groups, np.arange(24), ask(groups, "bs(age, df=3)", None)).design
    rest = design.matrix[:, [i for i, name in enumerate(design.columns) if name not in design.tested]]
    rss = [float(np.linalg.lstsq(x, peak, rcond=None)[1][0]) for x in (rest, design.matrix)]
    assert table.loc["peak", "f"] == pytest.approx((rss[0] - rss[1]) / 3 / (rss[1] / 19), rel=1e-9)
    assert table.loc["peak", "adj_p_value"] < 1e-4
    assert table.loc["noise", "adj_p_value"] > 0.05
